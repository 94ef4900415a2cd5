/* SPDX-License-Identifier: MIT */
#include "common/fault_spec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault_rules.h"
#include "common/region.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define WORD_MAX        96

#define X(id, name) name,
static const char *const point_names[] = {FAULT_POINT_LIST(X) NULL};
static const char *const crash_names[] = {FAULT_CRASH_LIST(X) NULL};
static const char *const hang_names[] = {FAULT_HANG_LIST(X) NULL};
static const char *const into_names[] = {FAULT_INTO_LIST(X) NULL};
static const char *const of_names[] = {FAULT_OF_LIST(X) NULL};
static const char *const db_names[] = {FAULT_DB_LIST(X) NULL};
static const char *const op_names[] = {FAULT_OP_LIST(X) NULL};
static const char *const kind_names[] = {FAULT_KIND_LIST(X) NULL};
static const char *const class_names[] = {CLASS_LIST(X) NULL};
#undef X
static const char *const yes_names[] = {"no", "yes", NULL};
static const char *const helper_names[] = {"sentinel", "keeper", "console", NULL};

bool fault_kind_strikes(unsigned kind)
{
    return kind == FAULT_CRASH || kind == FAULT_HANG || kind == FAULT_SCRIBBLE ||
           kind == FAULT_CLOSE_FDS;
}

/* ---- values -------------------------------------------------------------------------------- */

struct key;
typedef bool take(struct fault *fault, const struct key *key, const char *value);

struct key {
    const char *name;
    unsigned kinds; /* bit of each kind that has it */
    take *take;
    size_t offset;
    uint64_t least, most;
    const char *const *names; /* of take_name */
    const char *allowed;      /* NULL: the names, or the numbers from least to most */
};

static uint32_t *field_of(struct fault *fault, const struct key *key)
{
    return (uint32_t *)(void *)((char *)fault + key->offset);
}

static bool parse_number(const char *value, const char **end, uint64_t *number)
{
    char *stop;
    errno = 0;
    *number = strtoull(value, &stop, 10);
    *end = stop;
    return *value >= '0' && *value <= '9' && errno == 0;
}

static bool take_number(struct fault *fault, const struct key *key, const char *value)
{
    uint64_t number;
    const char *end;
    if (!parse_number(value, &end, &number) || *end || number < key->least || number > key->most)
        return false;
    *field_of(fault, key) = (uint32_t)number;
    return true;
}

/* "500ms", "30s"; a number alone is milliseconds. */
static bool take_time(struct fault *fault, const struct key *key, const char *value)
{
    uint64_t number;
    const char *end;
    if (!parse_number(value, &end, &number) || number > key->most)
        return false;
    if (strcmp(end, "s") == 0)
        number *= 1000;
    else if (*end && strcmp(end, "ms") != 0)
        return false;
    if (number < key->least || number > key->most)
        return false;
    *field_of(fault, key) = (uint32_t)number;
    return true;
}

static bool find_name(const char *const *names, const char *value, uint32_t *index)
{
    for (uint32_t i = 0; names[i]; i++)
        if (strcmp(names[i], value) == 0) {
            *index = i;
            return true;
        }
    return false;
}

static bool take_name(struct fault *fault, const struct key *key, const char *value)
{
    return find_name(key->names, value, field_of(fault, key));
}

static bool take_seed(struct fault *fault, const struct key *key, const char *value)
{
    const char *end;
    (void)key;
    return parse_number(value, &end, &fault->seed) && *end == '\0';
}

static bool take_target(struct fault *fault, const struct key *key, const char *value)
{
    uint64_t slot;
    const char *end;
    uint32_t helper;
    (void)key;
    if (strcmp(value, "any") == 0) {
        fault->target = FAULT_TARGET_ANY;
    } else if (strcmp(value, "all") == 0) {
        fault->target = FAULT_TARGET_ALL;
    } else if (strcmp(value, "database") == 0) {
        fault->target = FAULT_TARGET_DATABASE;
    } else if (find_name(helper_names, value, &helper)) {
        fault->target = FAULT_TARGET_HELPER;
        fault->slot = HELPER_SLOT(helper);
    } else {
        if (strncmp(value, "worker:", 7) != 0 || !parse_number(value + 7, &end, &slot) || *end ||
            slot >= WORKER_SLOTS_MAX)
            return false;
        fault->target = FAULT_TARGET_WORKER;
        fault->slot = (uint32_t)slot;
    }
    return true;
}

/* GET:/data/items/{id} */
static bool take_route(struct fault *fault, const struct key *key, const char *value)
{
    (void)key;
    const char *colon = strchr(value, ':');
    for (unsigned i = 0; colon && i < ENDPOINT_COUNT; i++) {
        const char *method = endpoint_method(i);
        if (strlen(method) == (size_t)(colon - value) &&
            strncmp(method, value, strlen(method)) == 0 &&
            strcmp(endpoint_route(i), colon + 1) == 0) {
            fault->endpoint = i;
            return true;
        }
    }
    return false;
}

/* ---- keys ---------------------------------------------------------------------------------- */

#define K(kind)       (1u << FAULT_##kind)
#define EVERY_KIND    ((1u << FAULT_KIND_COUNT) - 1)
#define ANSWERS       (K(PARTIAL) | K(OMISSION) | K(WRONG))
#define REQUESTS      (K(CRASH) | K(HANG) | K(SLOW) | K(ERROR) | ANSWERS)
#define STRIKING      (K(CRASH) | K(HANG) | K(SCRIBBLE) | K(CLOSE_FDS))
#define LASTING       (EVERY_KIND & ~STRIKING)
#define OCCASIONAL    (EVERY_KIND & ~K(RESOURCE))
#define DELAY_MAX_MS  60000
#define MIB_MOST      65536
#define TIME_ALLOWED  "a time like 500ms or 30s, at most 600s"
#define DELAY_ALLOWED "a time like 50ms or 2s, at most 60s"

#define KEY(word, of, how) .name = word, .kinds = (of), .take = how
#define TO(member)         .offset = offsetof(struct fault, member)
#define FROM(a, b)         .least = (a), .most = (b)

static const struct key keys[] = {
    {KEY("target", EVERY_KIND, take_target),
     .allowed = "worker:N, any, all, sentinel, keeper, console, database"},
    {KEY("point", K(CRASH) | K(HANG) | K(SLOW) | K(OMISSION), take_name), TO(point),
     .names = point_names,
     .allowed = "now, start, request, in_transaction, in_commit, after_commit, answer, "
                "in_checkpoint"},
    {KEY("class", REQUESTS, take_name), TO(class), .names = class_names},
    {KEY("route", REQUESTS, take_route),
     .allowed = "METHOD:/path as metrics name it, for example GET:/data/items/{id}"},
    {KEY("after", EVERY_KIND, take_time), TO(after_ms), FROM(0, FAULT_DURATION_MAX_MS),
     .allowed = TIME_ALLOWED},
    {KEY("duration", EVERY_KIND, take_time), TO(duration_ms), FROM(1, FAULT_DURATION_MAX_MS),
     .allowed = TIME_ALLOWED},
    {KEY("repeat", STRIKING, take_name), TO(repeat), .names = yes_names},
    {KEY("per_second", OCCASIONAL, take_number), TO(per_second), FROM(1, 1000)},
    {KEY("per_million", OCCASIONAL, take_number), TO(per_million), FROM(1, FAULT_ALWAYS_PPM)},
    {KEY("seed", EVERY_KIND, take_seed), .allowed = "a whole number"},
    {KEY("signal", K(CRASH), take_name), TO(variant), .names = crash_names},
    {KEY("mode", K(HANG), take_name), TO(variant), .names = hang_names},
    {KEY("delay", K(SLOW) | K(DB), take_time), TO(delay_ms), FROM(1, DELAY_MAX_MS),
     .allowed = DELAY_ALLOWED},
    {KEY("jitter", K(SLOW) | K(DB), take_time), TO(jitter_ms), FROM(0, DELAY_MAX_MS),
     .allowed = DELAY_ALLOWED},
    {KEY("ramp", LASTING, take_time), TO(ramp_ms), FROM(0, FAULT_DURATION_MAX_MS),
     .allowed = TIME_ALLOWED},
    {KEY("status", K(ERROR), take_number), TO(variant), FROM(500, 504), .allowed = "500, 503, 504"},
    {KEY("into", K(SCRIBBLE), take_name), TO(variant), .names = into_names},
    {KEY("of", K(RESOURCE), take_name), TO(variant), .names = of_names},
    {KEY("percent", K(RESOURCE), take_number), TO(percent), FROM(1, 100)},
    {KEY("mib", K(RESOURCE), take_number), TO(mib), FROM(1, MIB_MOST)},
    {KEY("effect", K(DB), take_name), TO(variant), .names = db_names},
    {KEY("op", K(DB), take_name), TO(op), .names = op_names},
};

_Static_assert(COUNT_OF(keys) <= 32, "a bit for each key");

static void join(const char *const *names, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (; *names && used < size; names++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", *names);
}

static void allowed_values(const struct key *key, char *out, size_t size)
{
    if (key->allowed)
        snprintf(out, size, "%s", key->allowed);
    else if (key->names)
        join(key->names, out, size);
    else
        snprintf(out, size, "a whole number from %" PRIu64 " to %" PRIu64, key->least, key->most);
}

static void keys_of_kind(unsigned kind, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < COUNT_OF(keys) && used < size; i++)
        if (keys[i].kinds & (1u << kind))
            used +=
                (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", keys[i].name);
}

/* given: a bit of each key met so far. */
static int take_word(struct fault *fault, uint32_t *given, char *word, char *error, size_t size)
{
    char allowed[160];
    char *value = strchr(word, '=');
    if (value)
        *value++ = '\0';
    for (size_t i = 0; value && i < COUNT_OF(keys); i++) {
        if (strcmp(keys[i].name, word) != 0 || !(keys[i].kinds & (1u << fault->kind)))
            continue;
        if (*given & UINT32_C(1) << i)
            return fault_refuse(error, size, "%s=%.40s: %s was given already; say it once", word,
                                value, word);
        *given |= UINT32_C(1) << i;
        if (keys[i].take(fault, &keys[i], value))
            return 0;
        allowed_values(&keys[i], allowed, sizeof allowed);
        return fault_refuse(error, size, "%s=%.40s: not allowed; allowed: %s", word, value,
                            allowed);
    }
    keys_of_kind(fault->kind, allowed, sizeof allowed);
    return fault_refuse(error, size, "%.40s: %s of %s; known: %s", word,
                        value ? "no such key" : "not of the form key=value, and no key",
                        fault_kind_name(fault->kind), allowed);
}

int fault_spec_parse(const char *text, struct fault *fault, char *error, size_t error_size)
{
    char word[WORD_MAX], known[96];
    bool first = true;
    uint32_t kind = 0, given = 0;
    for (;;) {
        text += strspn(text, " ");
        size_t length = strcspn(text, " ");
        if (length == 0)
            break;
        if (length >= sizeof word)
            return fault_refuse(error, error_size, "%.20s...: longer than any key=value", text);
        memcpy(word, text, length);
        word[length] = '\0';
        text += length;
        if (first && !find_name(kind_names, word, &kind)) {
            join(kind_names, known, sizeof known);
            return fault_refuse(error, error_size, "%.40s: no such kind of fault; known: %s", word,
                                known);
        }
        if (first)
            fault_rules_preset(fault, kind);
        else if (take_word(fault, &given, word, error, error_size) < 0)
            return -1;
        first = false;
    }
    if (first) {
        join(kind_names, known, sizeof known);
        return fault_refuse(error, error_size, "say the kind of fault; known: %s", known);
    }
    fault_rules_complete(fault);
    return fault_rules_check(fault, error, error_size);
}
