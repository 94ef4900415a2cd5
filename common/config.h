/* SPDX-License-Identifier: MIT */
/*
 * The configuration: one plain struct, made of the rows of config.def. The supervisor fills it
 * from defaults, file, flags and -o; children get a copy through the region and parse nothing.
 */
#ifndef BULKHEAD_CONFIG_H
#define BULKHEAD_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#define WORKERS_MAX        64
#define CONFIG_LISTEN_MAX  8
#define CONFIG_LISTEN_SIZE 112

struct config {
#define KEY_NUMBER(field, key, unit, preset, least, most, help) uint64_t field;
#define KEY_TEXT(field, key, size, preset, help)                _Alignas(8) char field[size];
#define KEY_CHOICE(field, key, choices, preset, help)           uint64_t field;
#include "common/config.def"
#undef KEY_NUMBER
#undef KEY_TEXT
#undef KEY_CHOICE
    /* `listen` may be given several times, so it is no row. */
    uint64_t listen_count;
    char listen[CONFIG_LISTEN_MAX][CONFIG_LISTEN_SIZE];
};

/* Values of the choices, in the order of config.def. */
enum { DURABILITY_FULL, DURABILITY_NORMAL };
enum { OVERLOAD_SHED_ON, OVERLOAD_SHED_OFF };
enum { OVERLOAD_ORDER_CODEL, OVERLOAD_ORDER_FIFO };
enum { LOG_REQUESTS_ALL, LOG_REQUESTS_ERRORS, LOG_REQUESTS_NONE };

enum config_type { CONFIG_NUMBER, CONFIG_TEXT, CONFIG_CHOICE };

/* One row of config.def, for code that walks all keys. */
struct config_key {
    enum config_type type;
    const char *key;
    const char *unit; /* NULL for text and choice */
    const char *help;
    const char *choices; /* "a|b|c", NULL but for a choice */
    uint64_t preset, least, most;
    const char *preset_text;
    size_t offset, size;
};

extern const struct config_key config_keys[];
extern const size_t config_keys_count;

void config_defaults(struct config *config);

/* Index of a key, -1 when there is none of that name ("listen" is no row: -1). */
int config_find(const char *key);

/* Set one key from text. 0, or -1 with one line in error that names the key, the value and what
 * would be right. The config is unchanged then. `listen` adds an address. */
int config_set(struct config *config, const char *key, const char *value, char *error,
               size_t error_size);

/* The value of row `index` as text, the way config_set reads it. */
void config_value(const struct config *config, size_t index, char *out, size_t size);

/* Rules between keys. 0, or -1 with one line that names the keys that disagree. */
int config_check(const struct config *config, char *error, size_t error_size);

#endif
