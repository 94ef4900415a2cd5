/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/scrape.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_codes.h"

#define BUCKETS_MAX 128

/* ---- parsing ----------------------------------------------------------------------------- */

/* Room for one more of `size` bytes at the end of a list that doubles; NULL without memory. */
static void *more(void *list, size_t count, size_t size)
{
    if (count & (count - 1))
        return list; /* not a power of two: there is room */
    return realloc(list, (count ? 2 * count : 1) * size);
}

static int take_type(struct scrape *scrape, char *line)
{
    char *rest = line + strlen("# TYPE "), *name = strsep(&rest, " ");
    struct scrape_family *all = more(scrape->families, scrape->family_count, sizeof *all);
    if (!all)
        return -ENOMEM;
    scrape->families = all;
    all[scrape->family_count++] = (struct scrape_family){
        .name = name,
        .type = !rest                            ? SCRAPE_OTHER
                : strcmp(rest, "counter") == 0   ? SCRAPE_COUNTER
                : strcmp(rest, "gauge") == 0     ? SCRAPE_GAUGE
                : strcmp(rest, "histogram") == 0 ? SCRAPE_HISTOGRAM
                                                 : SCRAPE_OTHER,
    };
    return 0;
}

/* The end of the labels that begin at `text`, or NULL: a brace in a quoted value is not it. */
static char *labels_end(char *text)
{
    bool quoted = false;
    for (; *text; text++) {
        if (quoted && *text == '\\' && text[1])
            text += 1;
        else if (*text == '"')
            quoted = !quoted;
        else if (*text == '}' && !quoted)
            return text;
    }
    return NULL;
}

static int take_sample(struct scrape *scrape, char *line)
{
    char *after_name = line + strcspn(line, "{ "), *end;
    struct scrape_sample sample = {.name = line, .labels = ""};
    char *number = after_name;
    if (*after_name == '{') {
        sample.labels = after_name + 1;
        number = labels_end(after_name + 1);
        if (!number)
            return -EPROTO;
        *number++ = '\0';
    }
    sample.value = strtod(number, &end);
    if (end == number || (*end && !isspace((unsigned char)*end)) || after_name == line ||
        !(isalpha((unsigned char)*line) || *line == '_' || *line == ':'))
        return -EPROTO;
    *after_name = '\0';
    struct scrape_sample *all = more(scrape->samples, scrape->sample_count, sizeof *all);
    if (!all)
        return -ENOMEM;
    scrape->samples = all;
    all[scrape->sample_count++] = sample;
    return 0;
}

int scrape_parse(struct scrape *scrape, char *text, double at_s, struct problem *problem)
{
    *scrape = (struct scrape){.text = text, .at_s = at_s};
    char *rest = text, *line;
    for (unsigned number = 1; (line = strsep(&rest, "\n")); number++) {
        int error = 0;
        if (strncmp(line, "# TYPE ", 7) == 0)
            error = take_type(scrape, line);
        else if (*line && *line != '#')
            error = take_sample(scrape, line);
        if (error == -ENOMEM)
            return problem_set(problem, EXIT_TEMPORARY, "no memory for the metrics");
        if (error)
            return problem_set(problem, EXIT_CONFIGURATION,
                               "line %u of the metrics is none of the Prometheus text format: "
                               "\"%.60s\"",
                               number, line);
    }
    if (scrape->sample_count == 0)
        return problem_set(problem, EXIT_CONFIGURATION, "the metrics hold no sample");
    return 0;
}

void scrape_free(struct scrape *scrape)
{
    free(scrape->text);
    free(scrape->samples);
    free(scrape->families);
    memset(scrape, 0, sizeof *scrape);
}

/* ---- labels ------------------------------------------------------------------------------ */

/* The value of a label between its quotes; NULL when there is no such label. */
static const char *label_value(const char *labels, const char *key, size_t key_length,
                               size_t *length)
{
    while (*labels) {
        const char *equals = strchr(labels, '=');
        if (!equals || equals[1] != '"')
            return NULL;
        const char *value = equals + 2, *end = value;
        while (*end && *end != '"')
            end += *end == '\\' && end[1] ? 2 : 1;
        if ((size_t)(equals - labels) == key_length && memcmp(labels, key, key_length) == 0) {
            *length = (size_t)(end - value);
            return value;
        }
        labels = *end ? end + 1 : end;
        labels += strspn(labels, ", ");
    }
    return NULL;
}

/* Whether one of the choices a|b|c is this value. */
static bool is_among(const char *choices, size_t choices_length, const char *value, size_t length)
{
    const char *end = choices + choices_length;
    while (choices <= end) {
        const char *bar = memchr(choices, '|', (size_t)(end - choices));
        size_t own = (size_t)((bar ? bar : end) - choices);
        if (own == length && memcmp(choices, value, length) == 0)
            return true;
        choices += own + 1;
    }
    return false;
}

static bool labels_fit(const char *labels, const char *wanted)
{
    while (wanted && *wanted) {
        size_t length = 0, key_length = strcspn(wanted, "=!");
        bool denied = wanted[key_length] == '!';
        const char *choices = wanted + key_length + (denied ? 2 : 1);
        size_t choices_length = strcspn(choices, ",");
        const char *value = label_value(labels, wanted, key_length, &length);
        if (!value || is_among(choices, choices_length, value, length) == denied)
            return false;
        wanted = choices + choices_length;
        wanted += *wanted == ',';
    }
    return true;
}

/* ---- values ------------------------------------------------------------------------------ */

static bool is_known(const struct scrape *scrape, const char *name)
{
    for (size_t i = 0; i < scrape->family_count; i++)
        if (strcmp(scrape->families[i].name, name) == 0)
            return true;
    return false;
}

double scrape_sum(const struct scrape *scrape, const char *name, const char *labels)
{
    double sum = is_known(scrape, name) ? 0 : NAN; /* a counter without a sample has not counted */
    for (size_t i = 0; i < scrape->sample_count; i++) {
        const struct scrape_sample *sample = &scrape->samples[i];
        if (strcmp(sample->name, name) == 0 && labels_fit(sample->labels, labels))
            sum = (isnan(sum) ? 0 : sum) + sample->value;
    }
    return sum;
}

double scrape_most(const struct scrape *scrape, const char *name, const char *labels)
{
    double most = NAN;
    for (size_t i = 0; i < scrape->sample_count; i++) {
        const struct scrape_sample *sample = &scrape->samples[i];
        if (strcmp(sample->name, name) == 0 && labels_fit(sample->labels, labels) &&
            !(most >= sample->value))
            most = sample->value;
    }
    return most;
}

struct buckets {
    unsigned count;
    double edge[BUCKETS_MAX], total[BUCKETS_MAX]; /* cumulative, as they are exposed */
};

static void buckets_add(struct buckets *buckets, double edge, double total)
{
    unsigned place = 0;
    while (place < buckets->count && buckets->edge[place] < edge)
        place++;
    if (place < buckets->count && buckets->edge[place] <= edge) {
        buckets->total[place] += total;
        return;
    }
    if (buckets->count == BUCKETS_MAX)
        return;
    for (unsigned i = buckets->count++; i > place; i--) {
        buckets->edge[i] = buckets->edge[i - 1];
        buckets->total[i] = buckets->total[i - 1];
    }
    buckets->edge[place] = edge;
    buckets->total[place] = total;
}

static void buckets_read(struct buckets *buckets, const struct scrape *scrape, const char *name,
                         const char *labels)
{
    size_t name_length = strlen(name), edge_length;
    for (size_t i = 0; i < scrape->sample_count; i++) {
        const struct scrape_sample *sample = &scrape->samples[i];
        const char *edge = label_value(sample->labels, "le", 2, &edge_length);
        if (edge && strncmp(sample->name, name, name_length) == 0 &&
            strcmp(sample->name + name_length, "_bucket") == 0 &&
            labels_fit(sample->labels, labels))
            buckets_add(buckets, strtod(edge, NULL), sample->value); /* "+Inf" too */
    }
}

double scrape_quantile(const struct scrape *before, const struct scrape *after, const char *name,
                       const char *labels, double share)
{
    struct buckets earlier = {0}, now = {0};
    buckets_read(&now, after, name, labels);
    if (before)
        buckets_read(&earlier, before, name, labels);
    bool began_again = earlier.count != now.count;
    for (unsigned i = 0; !began_again && i < now.count; i++)
        began_again = now.total[i] < earlier.total[i];
    for (unsigned i = 0; !began_again && i < now.count; i++)
        now.total[i] -= earlier.total[i];
    double all = now.count ? now.total[now.count - 1] : 0, low = 0, below = 0;
    if (!(all > 0))
        return NAN;
    for (unsigned i = 0; i < now.count; i++) {
        double inside = now.total[i] - below;
        if (now.total[i] >= share * all && inside > 0)
            return isinf(now.edge[i]) ? low
                                      : low + (now.edge[i] - low) * (share * all - below) / inside;
        below = now.total[i];
        low = now.edge[i];
    }
    return low;
}
