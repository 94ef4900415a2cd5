/* SPDX-License-Identifier: MIT */
#include "tools/drill/sampler.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "common/exposition.h"
#include "common/slot_view.h"
#include "common/state_json.h"

/* A counter's series as of the last sample, to see that none goes back. */
struct series {
    char *key;
    double value;
};

struct sampler {
    struct evidence *evidence;
    const struct selectors *selectors;
    const struct region *region;
    size_t values;
    struct sample base; /* what supervisors before this one had counted */
    struct series *series;
    size_t series_count, series_room, cursor;
    uint64_t last_event;
    struct board board; /* large */
};

struct sampler *sampler_open(struct evidence *evidence)
{
    struct sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler)
        err(EXIT_TEMPORARY, "memory for samples");
    sampler->evidence = evidence;
    sampler->selectors = &evidence->spec->selectors;
    sampler->values = evidence_value_at(sampler->selectors, sampler->selectors->count);
    sampler->base.value = calloc(sampler->values + 1, sizeof(double));
    if (!sampler->base.value)
        err(EXIT_TEMPORARY, "memory for samples");
    return sampler;
}

static void forget_series(struct sampler *sampler)
{
    for (size_t i = 0; i < sampler->series_count; i++)
        free(sampler->series[i].key);
    sampler->series_count = sampler->cursor = 0;
}

void sampler_close(struct sampler *sampler)
{
    if (!sampler)
        return;
    forget_series(sampler);
    free(sampler->series);
    free(sampler->base.value);
    free(sampler);
}

void sampler_attach(struct sampler *sampler, const struct region *region)
{
    const struct evidence *evidence = sampler->evidence;
    if (region) { /* a new one may lie where the last one was */
        forget_series(sampler);
        sampler->last_event = 0;
        if (evidence->sample_count > 0) {
            double *value = sampler->base.value;
            sampler->base = evidence->sample[evidence->sample_count - 1];
            memcpy(value, sampler->base.value, sampler->values * sizeof *value);
            sampler->base.value = value;
        }
    }
    sampler->region = region;
}

/* ---- the exposition ------------------------------------------------------------------------ */

/* The value of a label in `a="x",b="y"`, without its quotes; NULL when it has none. */
static const char *label_of(const char *labels, const char *key, size_t *length)
{
    size_t key_length = strlen(key);
    for (const char *at = labels; at && *at && *at != '}'; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, key, key_length) == 0 && at[key_length] == '=') {
            at += key_length + 2;
            *length = strcspn(at, "\"");
            return at;
        }
    }
    return NULL;
}

static bool matches(const struct selector *selector, const char *labels)
{
    for (unsigned i = 0; i < selector->label_count; i++) {
        const struct selector_label *want = &selector->label[i];
        size_t length = 0, wanted = strlen(want->value);
        const char *value = label_of(labels, want->key, &length);
        bool open_end = wanted > 0 && want->value[wanted - 1] == '*';
        wanted -= open_end;
        bool same = value && (open_end ? length >= wanted : length == wanted) &&
                    strncmp(value, want->value, wanted) == 0;
        if (same == want->differs)
            return false;
    }
    return true;
}

/* Which of the exposition's buckets: they come in order, so counting will do. */
static unsigned bucket_index(const char *labels, bool plain)
{
    static const char *const seconds[] = {"0.001", "0.002", "0.005", "0.01", "0.02",
                                          "0.05",  "0.1",   "0.2",   "0.3",  "0.5",
                                          "1",     "2",     "5",     "10",   "+Inf"};
    static const char *const numbers[] = {"1",  "2",   "4",   "8",   "16",   "32",
                                          "64", "128", "256", "512", "1024", "+Inf"};
    const char *const *edges = plain ? numbers : seconds;
    unsigned count = plain ? 12 : SELECTOR_BUCKETS;
    size_t length = 0;
    const char *value = label_of(labels, "le", &length);
    for (unsigned i = 0; value && i < count; i++)
        if (strlen(edges[i]) == length && strncmp(edges[i], value, length) == 0)
            return i == count - 1 ? SELECTOR_BUCKETS - 1 : i;
    return SELECTOR_BUCKETS - 1;
}

static void add_line(struct sampler *sampler, struct sample *sample, const char *name,
                     const char *labels, double value)
{
    size_t at = 0, length = strlen(name);
    for (unsigned i = 0; i < sampler->selectors->count; i++) {
        const struct selector *selector = &sampler->selectors->all[i];
        size_t own = strlen(selector->name);
        bool same = strncmp(name, selector->name, own) == 0 &&
                    (selector->histogram ? strcmp(name + own, "_bucket") == 0 : length == own);
        if (same && matches(selector, labels))
            sample->value[at + (selector->histogram
                                    ? bucket_index(labels, strstr(name, "batch") != NULL)
                                    : 0)] += value;
        at += selector->histogram ? SELECTOR_BUCKETS : 1;
    }
}

static bool is_counter(const char *name)
{
    static const char *const ends[] = {"_total", "_count", "_sum", "_bucket"};
    size_t length = strlen(name);
    for (unsigned i = 0; i < 4; i++) {
        size_t end = strlen(ends[i]);
        if (length > end && strcmp(name + length - end, ends[i]) == 0)
            return true;
    }
    return false;
}

/* Series keep their order, so the next one is nearly always where the cursor is. */
static struct series *find_series(struct sampler *sampler, const char *key)
{
    for (size_t i = 0; i < sampler->series_count; i++) {
        struct series *series = &sampler->series[(sampler->cursor + i) % sampler->series_count];
        if (strcmp(series->key, key) == 0) {
            sampler->cursor = (size_t)(series - sampler->series) + 1;
            return series;
        }
    }
    if (sampler->series_count == sampler->series_room) {
        sampler->series_room = sampler->series_room ? sampler->series_room * 2 : 256;
        sampler->series =
            reallocarray(sampler->series, sampler->series_room, sizeof *sampler->series);
        if (!sampler->series)
            err(EXIT_TEMPORARY, "memory for samples");
    }
    struct series *series = &sampler->series[sampler->series_count++];
    *series = (struct series){.key = strdup(key)};
    if (!series->key)
        err(EXIT_TEMPORARY, "memory for samples");
    return series;
}

static void check_counter(struct sampler *sampler, const char *key, double value)
{
    struct series *series = find_series(sampler, key);
    struct evidence *evidence = sampler->evidence;
    if (value < series->value && evidence->counters_back++ == 0)
        snprintf(evidence->counter_back, sizeof evidence->counter_back, "%s from %.0f to %.0f", key,
                 series->value, value);
    series->value = value;
}

static void read_line(struct sampler *sampler, struct sample *sample, char *line)
{
    char *space = strrchr(line, ' ');
    if (*line == '#' || !space)
        return;
    *space = '\0';
    double value = strtod(space + 1, NULL);
    char *brace = strchr(line, '{');
    char name[96];
    snprintf(name, sizeof name, "%.*s", (int)(brace ? brace - line : (long)strlen(line)), line);
    if (is_counter(name))
        check_counter(sampler, line, value);
    add_line(sampler, sample, name, brace ? brace + 1 : "", value);
}

static bool read_exposition(struct sampler *sampler, struct sample *sample)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        err(EXIT_TEMPORARY, "memory for samples");
    bool good = exposition_write(sampler->region, out) == 0;
    fclose(out);
    char *rest = text;
    for (char *line; good && (line = strsep(&rest, "\n"));)
        read_line(sampler, sample, line);
    free(text);
    return good;
}

/* ---- the region itself --------------------------------------------------------------------- */

static uint64_t load(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

static void extra_line(struct sampler *sampler, struct sample *sample, const char *name,
                       unsigned slot, const char *label, double value)
{
    char labels[96];
    snprintf(labels, sizeof labels, "%s,slot=\"%u\"", label, slot);
    add_line(sampler, sample, name, labels, value);
}

static void read_answers(struct sampler *sampler, struct sample *sample, unsigned slot)
{
    const struct slot_metrics *own = &sampler->region->slots[slot].slot.metrics;
    for (unsigned endpoint = 0; endpoint < ENDPOINT_COUNT; endpoint++) {
        enum request_class class = endpoint_class(endpoint);
        bool data = class == CLASS_AUTH || class == CLASS_READ || class == CLASS_WRITE;
        for (unsigned status = 0; status < STATUS_COUNT; status++) {
            uint64_t count = load(&own->http_requests[endpoint][status]);
            bool failure = status_code(status) >= 500;
            char label[24];
            if (count == 0)
                continue;
            sample->answers[class] += count;
            sample->failures[class] += failure ? count : 0;
            if (!data || slot >= WORKER_SLOTS_MAX)
                continue;
            sample->slot_answers[slot] += count;
            sample->slot_failures[slot] += failure ? count : 0;
            snprintf(label, sizeof label, "code=\"%u\"", status_code(status));
            extra_line(sampler, sample, "slot_answers_total", slot, label, (double)count);
        }
    }
}

static void read_live(struct sampler *sampler, struct sample *sample, unsigned slot)
{
    const struct slot *own = &sampler->region->slots[slot].slot;
    unsigned busy = 0;
    for (unsigned i = 0; i < CELLS_MAX; i++)
        busy += atomic_load_explicit(&own->cell[i].in_request, memory_order_relaxed) != 0;
    extra_line(sampler, sample, "threads_busy", slot, "", busy);
    for (unsigned dependency = 0; dependency < DEPENDENCY_COUNT; dependency++) {
        char label[48];
        int64_t state = atomic_load_explicit(&own->metrics.circuit_breaker_state[dependency],
                                             memory_order_relaxed);
        bool open = state == BREAKER_OPEN || state == BREAKER_HALF_OPEN;
        sample->breakers += open;
        snprintf(label, sizeof label, "dep=\"%s\"", dependency_name(dependency));
        extra_line(sampler, sample, "breakers_open", slot, label, open);
    }
}

static void read_slots(struct sampler *sampler, struct sample *sample)
{
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++) {
        if (!slot_view_was_used(sampler->region, slot))
            continue;
        read_answers(sampler, sample, slot);
        if (slot < WORKER_SLOTS_MAX && slot_view_is_live(sampler->region, &sampler->board, slot))
            read_live(sampler, sample, slot);
    }
}

static void read_board(struct sampler *sampler, struct sample *sample)
{
    const struct board *board = &sampler->board;
    sample->status = board->status;
    sample->ready = board->ready;
    sample->degraded = board->degraded;
    sample->restarting = board->restarting;
    sample->quarantined = board->quarantined;
    sample->lost = board->metrics.requests_lost[0][0];
    sample->db_state =
        atomic_load_explicit(&sampler->region->board.words.db_state, memory_order_relaxed);
}

static void add_base(const struct sampler *sampler, struct sample *sample)
{
    size_t at = 0;
    for (unsigned i = 0; i < sampler->selectors->count; i++) {
        const struct selector *selector = &sampler->selectors->all[i];
        size_t width = selector->histogram ? SELECTOR_BUCKETS : 1;
        for (size_t n = 0; n < width && !selector->gauge; n++)
            sample->value[at + n] += sampler->base.value[at + n];
        at += width;
    }
    sample->lost += sampler->base.lost;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        sample->answers[i] += sampler->base.answers[i];
        sample->failures[i] += sampler->base.failures[i];
    }
    for (unsigned i = 0; i < WORKER_SLOTS_MAX; i++) {
        sample->slot_answers[i] += sampler->base.slot_answers[i];
        sample->slot_failures[i] += sampler->base.slot_failures[i];
    }
}

static void read_events(struct sampler *sampler)
{
    uint64_t last = state_last_event(sampler->region);
    uint64_t oldest = state_oldest_since(sampler->region);
    uint64_t id = sampler->last_event > oldest ? sampler->last_event : oldest;
    for (; id < last; id++) {
        struct event event;
        if (region_read_event(sampler->region, id + 1, &event))
            *evidence_add_event(sampler->evidence) = event;
    }
    sampler->last_event = last;
}

bool sampler_take(struct sampler *sampler, uint64_t now_ns)
{
    struct evidence *evidence = sampler->evidence;
    if (!sampler->region || !region_read_board(sampler->region, &sampler->board))
        return false;
    struct sample *sample = evidence_add_sample(evidence, sampler->values);
    sample->t_ns = now_ns;
    read_board(sampler, sample);
    read_slots(sampler, sample);
    if (!read_exposition(sampler, sample)) {
        free(sample->value);
        evidence->sample_count--;
        return false;
    }
    add_base(sampler, sample);
    read_events(sampler);
    return true;
}
