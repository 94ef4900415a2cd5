/* SPDX-License-Identifier: MIT */
#include "common/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/client_address.h"

const struct config_key config_keys[] = {
#define KEY_NUMBER(field, key, unit, preset, least, most, help)          \
    {CONFIG_NUMBER,   key,   unit, help, NULL,                           \
     preset,          least, most, NULL, offsetof(struct config, field), \
     sizeof(uint64_t)},
#define KEY_TEXT(field, key, size, preset, help) \
    {CONFIG_TEXT, key, NULL, help, NULL, 0, 0, 0, preset, offsetof(struct config, field), size},
#define KEY_CHOICE(field, key, choices, preset, help)                     \
    {                                                                     \
        CONFIG_CHOICE,   key, NULL, help, choices,                        \
        preset,          0,   0,    NULL, offsetof(struct config, field), \
        sizeof(uint64_t)},
#include "common/config.def"
#undef KEY_NUMBER
#undef KEY_TEXT
#undef KEY_CHOICE
};
const size_t config_keys_count = sizeof config_keys / sizeof config_keys[0];

static uint64_t *number_of(struct config *config, const struct config_key *key)
{
    return (uint64_t *)(void *)((char *)config + key->offset);
}

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < config_keys_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (key->type == CONFIG_TEXT)
            snprintf((char *)config + key->offset, key->size, "%s", key->preset_text);
        else
            *number_of(config, key) = key->preset;
    }
}

int config_find(const char *key)
{
    for (size_t i = 0; i < config_keys_count; i++)
        if (strcmp(config_keys[i].key, key) == 0)
            return (int)i;
    return -1;
}

static int set_number(struct config *config, const struct config_key *key, const char *value,
                      char *error, size_t error_size)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    bool digits = value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0;
    if (!digits || number < key->least || number > key->most) {
        snprintf(error, error_size, "%s = \"%s\": want a whole number of %s from %llu to %llu",
                 key->key, value, key->unit, (unsigned long long)key->least,
                 (unsigned long long)key->most);
        return -1;
    }
    *number_of(config, key) = number;
    return 0;
}

static int set_text(struct config *config, const struct config_key *key, const char *value,
                    char *error, size_t error_size)
{
    if (strlen(value) >= key->size) {
        snprintf(error, error_size, "%s: longer than %zu bytes", key->key, key->size - 1);
        return -1;
    }
    snprintf((char *)config + key->offset, key->size, "%s", value);
    return 0;
}

/* The n-th of "a|b|c"; its length in *length, NULL past the last. */
static const char *choice_at(const char *choices, uint64_t n, size_t *length)
{
    for (; n > 0 && choices; n--) {
        choices = strchr(choices, '|');
        if (choices)
            choices++;
    }
    if (choices)
        *length = strcspn(choices, "|");
    return choices;
}

static int set_choice(struct config *config, const struct config_key *key, const char *value,
                      char *error, size_t error_size)
{
    size_t length;
    const char *choice;
    for (uint64_t n = 0; (choice = choice_at(key->choices, n, &length)); n++)
        if (strlen(value) == length && memcmp(value, choice, length) == 0) {
            *number_of(config, key) = n;
            return 0;
        }
    snprintf(error, error_size, "%s = \"%s\": want one of %s", key->key, value, key->choices);
    return -1;
}

static int add_listen(struct config *config, const char *value, char *error, size_t error_size)
{
    if (strlen(value) >= CONFIG_LISTEN_SIZE || value[0] == '\0') {
        snprintf(error, error_size,
                 "listen = \"%s\": want ADDRESS:PORT or unix:PATH of 1 to %d bytes", value,
                 CONFIG_LISTEN_SIZE - 1);
        return -1;
    }
    if (config->listen_count == CONFIG_LISTEN_MAX) {
        snprintf(error, error_size, "listen: more than %d addresses", CONFIG_LISTEN_MAX);
        return -1;
    }
    snprintf(config->listen[config->listen_count++], CONFIG_LISTEN_SIZE, "%s", value);
    return 0;
}

int config_set(struct config *config, const char *key, const char *value, char *error,
               size_t error_size)
{
    if (strcmp(key, "listen") == 0)
        return add_listen(config, value, error, error_size);
    int index = config_find(key);
    if (index < 0) {
        snprintf(error, error_size, "unknown key \"%s\" (supervisor -t -v lists all keys)", key);
        return -1;
    }
    switch (config_keys[index].type) {
    case CONFIG_NUMBER:
        return set_number(config, &config_keys[index], value, error, error_size);
    case CONFIG_TEXT:
        return set_text(config, &config_keys[index], value, error, error_size);
    default:
        return set_choice(config, &config_keys[index], value, error, error_size);
    }
}

void config_value(const struct config *config, size_t index, char *out, size_t size)
{
    const struct config_key *key = &config_keys[index];
    const char *field = (const char *)config + key->offset;
    uint64_t number = 0;
    if (key->type != CONFIG_TEXT)
        memcpy(&number, field, sizeof number);
    size_t length = 0;
    const char *choice;
    switch (key->type) {
    case CONFIG_NUMBER:
        snprintf(out, size, "%llu", (unsigned long long)number);
        break;
    case CONFIG_TEXT:
        snprintf(out, size, "%s", field);
        break;
    case CONFIG_CHOICE:
        choice = choice_at(key->choices, number, &length);
        snprintf(out, size, "%.*s", (int)length, choice ? choice : "");
        break;
    }
}

/* The steps of a ladder: the lower one must not lie above the higher one. */
static int check_order(const char *lower, uint64_t low, const char *higher, uint64_t high,
                       char *error, size_t error_size)
{
    if (low <= high)
        return 0;
    snprintf(error, error_size, "%s = %llu is more than %s = %llu", lower, (unsigned long long)low,
             higher, (unsigned long long)high);
    return -1;
}

/* A limit without a burst would let nothing pass at all. */
static int check_burst(const char *limit, uint64_t events, const char *burst_key, uint64_t burst,
                       char *error, size_t error_size)
{
    if (events == 0 || burst > 0)
        return 0;
    snprintf(error, error_size,
             "%s = 0 with %s = %llu would refuse everything; set %s = 0 for no limit", burst_key,
             limit, (unsigned long long)events, limit);
    return -1;
}

static int check_limits(const struct config *config, char *error, size_t error_size)
{
    struct trusted_proxies proxies;
    if (trusted_proxies_parse(config->trusted_proxies, &proxies, error, error_size) < 0 ||
        check_burst("ratelimit.login", config->ratelimit_login, "ratelimit.login_burst",
                    config->ratelimit_login_burst, error, error_size) < 0 ||
        check_burst("ratelimit.read", config->ratelimit_read, "ratelimit.read_burst",
                    config->ratelimit_read_burst, error, error_size) < 0)
        return -1;
    return check_burst("ratelimit.write", config->ratelimit_write, "ratelimit.write_burst",
                       config->ratelimit_write_burst, error, error_size);
}

int config_check(const struct config *config, char *error, size_t error_size)
{
    if (check_limits(config, error, error_size) < 0)
        return -1;
    /* 4 threads stay free for /health; 4 logins may wait, 8 reads and 8 writes */
    uint64_t compartments =
        config->bulkhead_read + 8 + config->bulkhead_write + 8 + config->bulkhead_auth + 4;
    if (compartments + 4 > config->worker_threads) {
        snprintf(error, error_size,
                 "bulkhead.read = %llu, bulkhead.write = %llu and bulkhead.auth = %llu need "
                 "worker.threads of at least %llu, it is %llu",
                 (unsigned long long)config->bulkhead_read,
                 (unsigned long long)config->bulkhead_write,
                 (unsigned long long)config->bulkhead_auth, (unsigned long long)compartments + 4,
                 (unsigned long long)config->worker_threads);
        return -1;
    }
    if (config->breaker_window_s > 0 &&
        check_order("breaker.fast_window", config->breaker_fast_window_s, "breaker.window",
                    config->breaker_window_s, error, error_size) < 0)
        return -1;
    if (check_order("wal.soft", config->wal_soft_mib, "wal.hard", config->wal_hard_mib, error,
                    error_size) < 0)
        return -1;
    return check_order("wal.hard", config->wal_hard_mib, "wal.ceiling", config->wal_ceiling_mib,
                       error, error_size);
}
