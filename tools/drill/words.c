/* SPDX-License-Identifier: MIT */
#include "tools/drill/words.h"

#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A term as a drill file writes it, and as a person says it. */
struct word {
    const char *term, *says;
};

/* Members of loadtest's summary and of its seconds. */
static const struct word load_words[] = {
    {"requests.sent", "requests sent"},
    {"requests.ok", "requests answered well"},
    {"requests.failed", "requests that failed"},
    {"requests.error_rate", "share of requests that failed"},
    {"sending_s", "seconds of sending"},
    {"latency_ms.p95", "latency of 95 % of the requests, ms"},
    {"latency_ms.p99", "latency of 99 % of the requests, ms"},
    {"errors.attempts.refused", "attempts refused a connection"},
    {"errors.attempts.dropped", "attempts that found no free connection"},
    {"refusals.p99_ms", "time until a refusal was told, 99 % of them, ms"},
    {"by_kind.read.failed", "reads that failed"},
    {"by_kind.write.failed", "writes that failed"},
    {"by_kind.read.ok", "reads answered well"},
    {"by_kind.write.ok", "writes answered well"},
    {"by_kind.read.p95_ms", "latency of 95 % of the reads, ms"},
    {"ok", "requests answered well"},
    {"failed", "requests that failed"},
    {"failed_share", "share of requests that failed"},
    {"p95_ms", "latency of 95 % of the requests in the worst second, ms"},
};

static const struct word path_words[] = {
    {"health.p50_ms", "time /health took, half of the looks, ms"},
    {"health.p95_ms", "time /health took, 95 % of the looks, ms"},
    {"health.p99_ms", "time /health took, 99 % of the looks, ms"},
    {"health.max_ms", "time the slowest look at /health took, ms"},
    {"health.sent", "looks at /health"},
    {"health.failed", "looks at /health that got no answer"},
    {"health.refused", "looks at /health refused a connection"},
    {"health.degraded", "looks at /health that said degraded"},
    {"health.failing", "looks at /health that said failing"},
    {"board.min_ready", "fewest workers ready at once"},
    {"board.max_quarantined", "most workers quarantined at once"},
    {"board.max_breakers", "most breakers open at once"},
    {"board.max_degraded", "most workers degraded at once"},
    {"drill.respawn_max_s", "longest time from a worker's death to its successor's being ready, s"},
    {"drill.orphans_gone_s", "time from the supervisor's death to that of its last orphan, s"},
    {"drill.recover_s", "time to recover, s"},
    {"drill.error_share", "share of data requests that failed"},
    {"drill.leakage_points", "leakage to compartments that were not meant, points"},
    {"drill.counters_back", "times a counter went backwards"},
    {"detect.degraded_s", "time until /health said so, s"},
    {"detect.verdict_s", "time until the verdict on the database moved, s"},
    {"detect.breaker_s", "time until a breaker opened, s"},
    {"detect.first_failure_s", "time until the first request failed, s"},
};

static const struct word metric_words[] = {
    {"http_requests_total", "answers"},
    {"http_request_duration_seconds", "the server's own time for a request"},
    {"worker_deaths_total", "deaths of workers"},
    {"worker_restarts_total", "restarts of workers"},
    {"helper_deaths_total", "deaths of helpers"},
    {"fault_hits_total", "times the fault struck"},
    {"bulkhead_rejected_total", "requests refused"},
    {"requests_lost_total", "requests lost with a dead worker"},
    {"breakers_open", "breakers open"},
    {"threads_busy", "threads with a request in hand"},
    {"circuit_breaker_transitions_total", "moves of breakers"},
    {"db_wal_bytes", "bytes of the write-ahead log"},
    {"db_query_duration_seconds_count", "database calls"},
    {"db_query_duration_seconds_sum", "seconds spent in database calls"},
    {"door_evicted_total", "connections cut at the door"},
    {"door_parked", "connections parked at the door"},
};

/* Lines of the verdict's own. */
static const struct word line_words[] = {
    {"steady after", "steady again at the end: under 1 % errors, /health healthy"},
    {"leakage, points", "rise of errors in compartments not meant to suffer, points"},
    {"the database is whole", "the database file is whole: read through at the end"},
};

/* FUNCTION(metric): what stands before it and after it. */
static const struct function {
    const char *term, *before, *after;
} readings[] = {
    {"p50", "half of ", ", ms"},   {"p95", "95 % of ", ", ms"}, {"p99", "99 % of ", ", ms"},
    {"max", "largest of ", ""},    {"min", "smallest of ", ""}, {"last", "last value of ", ""},
    {"delta", "increase of ", ""},
};

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static const char *find(const struct word *words, size_t count, const char *term)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i].term, term) == 0)
            return words[i].says;
    return NULL;
}

struct text {
    char *out;
    size_t size, length;
};

static void put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->out + text->length, text->size - text->length, format, arguments);
    va_end(arguments);
    text->length += length > 0 ? (size_t)length : 0;
    if (text->length >= text->size)
        text->length = text->size - 1;
}

/* "worker_ready_s" with its unit taken off, and words parted. */
static void put_event(struct text *text, const char *name)
{
    size_t length = strlen(name);
    if (length > 2 && strcmp(name + length - 2, "_s") == 0)
        length -= 2;
    for (size_t i = 0; i < length; i++)
        put(text, "%c", name[i] == '_' ? ' ' : name[i]);
}

static void put_term(struct text *text, const char *term)
{
    char root[8] = "";
    unsigned step;
    int rest = 0;
    const char *says = find(path_words, LENGTH(path_words), term);
    if (!says)
        says = find(metric_words, LENGTH(metric_words), term);
    if (says) {
        put(text, "%s", says);
    } else if (sscanf(term, "step.%u.%n", &step, &rest) == 1 && rest > 0) {
        put(text, "time from step %u to the event \"", step);
        put_event(text, term + rest);
        put(text, "\", s");
    } else if (strncmp(term, "events.", 7) == 0) {
        put(text, "events \"");
        put_event(text, term + 7);
        put(text, "\"");
    } else if (sscanf(term, "%7[a-z0-9].", root) == 1 &&
               (!strcmp(root, "load") || !strcmp(root, "load2") || !strcmp(root, "rows")) &&
               (says = find(load_words, LENGTH(load_words), term + strlen(root) + 1))) {
        put(text, "%s%s", strcmp(root, "load2") ? "" : "the second load's ", says);
    } else {
        put(text, "%s", term);
    }
}

/* "{class=read,code=5*}" as " (class read, code 5xx)". Returns what follows it. */
static const char *put_labels(struct text *text, const char *at)
{
    put(text, " (");
    for (at++; *at && *at != '}'; at++) {
        if (*at == '=')
            put(text, " ");
        else if (*at == '!')
            put(text, " not");
        else if (*at == ',')
            put(text, ", ");
        else
            put(text, *at == '*' ? "…" : "%c", *at);
    }
    put(text, ")");
    return *at ? at + 1 : at;
}

static const char *put_operator(struct text *text, const char *at)
{
    static const struct word operators[] = {{"/", " per "},  {"*", " × "}, {"(", "("}, {")", ")"},
                                            {"-", " less "}, {"+", " + "}, {" ", ""}};
    char one[2] = {*at, '\0'};
    const char *says = find(operators, LENGTH(operators), one);
    put(text, "%s", says ? says : one);
    return at + 1;
}

static const struct function *find_reading(const char *term, char next)
{
    for (size_t i = 0; next == '(' && i < LENGTH(readings); i++)
        if (strcmp(readings[i].term, term) == 0)
            return &readings[i];
    return NULL;
}

static bool in_comparison(char c)
{
    return c == '<' || c == '>' || c == '=' || c == '!';
}

/* What the verdict adds is in words already: one word after another, where an expression has an
 * operator. */
static bool is_sentence(const char *source)
{
    for (const char *at = source; (at = strchr(at, ' ')); at++)
        if (at > source && (isalpha((unsigned char)at[-1]) || at[-1] == ',') &&
            isalpha((unsigned char)at[1]) && strncmp(at + 1, "and ", 4) != 0 &&
            !(at - source >= 4 && strncmp(at - 4, " and", 4) == 0))
            return true;
    return false;
}

void words_of_expression(const char *source, char *out, size_t size)
{
    struct text text = {.out = out, .size = size};
    out[0] = '\0';
    if (is_sentence(source)) {
        const char *says = find(line_words, LENGTH(line_words), source);
        put(&text, "%s", says ? says : source);
        return;
    }
    const struct function *reading = NULL; /* whose parenthesis is open */
    for (const char *at = source; *at;) {
        char term[EXPRESSION_TEXT];
        size_t length = 0;
        while (isalnum((unsigned char)at[length]) || at[length] == '_' || at[length] == '.')
            length++;
        if (length > 0 && length < sizeof term) {
            snprintf(term, sizeof term, "%.*s", (int)length, at);
            at += length;
            const struct function *found = find_reading(term, *at);
            if (found) {
                put(&text, "%s", found->before);
                reading = found;
                at++;
            } else if (strcmp(term, "and") == 0)
                put(&text, " and ");
            else
                put_term(&text, term);
        } else if (*at == ')' && reading) {
            put(&text, "%s", reading->after);
            reading = NULL;
            at++;
        } else if (*at == '{') {
            at = put_labels(&text, at);
        } else if (in_comparison(*at)) {
            put(&text, " %.*s ", at[1] == '=' ? 2 : 1, at);
            at += at[1] == '=' ? 2 : 1;
        } else {
            at = put_operator(&text, at);
        }
    }
}

const char *words_of_comparison(const char *op)
{
    static const struct word operators[] = {{"<", "below"},     {"<=", "at most"},
                                            {"==", "exactly"},  {"!=", "anything but"},
                                            {">=", "at least"}, {">", "above"}};
    const char *says = find(operators, LENGTH(operators), op);
    return says ? says : op;
}

const char *words_of_window(const char *during)
{
    static const struct word windows[] = {{"fault", "during the fault"},
                                          {"before", "before the fault"},
                                          {"after", "after recovery"},
                                          {"all", "the whole time"}};
    const char *says = find(windows, LENGTH(windows), during);
    return says ? says : during;
}

static void put_target(struct text *text, const char *target)
{
    static const struct word targets[] = {{"any", "one worker"},
                                          {"all", "all workers at once"},
                                          {"gate", "the worker that holds the write gate"},
                                          {"supervisor", "the supervisor"},
                                          {"sentinel", "the sentinel"},
                                          {"keeper", "the keeper"},
                                          {"console", "the console"}};
    const char *says = find(targets, LENGTH(targets), target);
    if (says)
        put(text, "%s", says);
    else if (strncmp(target, "worker:", 7) == 0)
        put(text, "worker %s", target + 7);
    else
        put(text, "%s", target);
}

void words_of_step(const struct spec_step *step, char *out, size_t size)
{
    static const char *const acts[] = {
        [ACT_DB_MOVE] = "the database is moved away",
        [ACT_DB_RESTORE] = "the database is moved back",
        [ACT_DB_REPLACE] = "a copy takes the database's name",
        [ACT_DB_DELETE] = "the database is deleted",
        [ACT_LOCK] = "another program takes the database's write lock",
        [ACT_READER] = "another program reads the database and does not end",
        [ACT_RELEASE] = "what was taken is let go",
        [ACT_FILL] = "the disk is filled",
        [ACT_RELOAD] = "every worker is replaced (reload)",
        [ACT_START_SUPERVISOR] = "a new supervisor is started",
        [ACT_LOAD] = "a second load begins",
    };
    struct text text = {.out = out, .size = size};
    out[0] = '\0';
    if (step->kind == STEP_FAULT) {
        put(&text, "fault: %s", step->fault);
    } else if (step->kind == STEP_CLEAR) {
        put(&text, "the fault \"%s\" is cleared", step->id);
    } else if (step->act == ACT_SIGNAL) {
        const char *name = sigabbrev_np((int)step->signal);
        put(&text, "SIG%s to ", name ? name : "?");
        put_target(&text, step->target);
    } else {
        put(&text, "%s", step->act < ACT_COUNT && acts[step->act] ? acts[step->act] : "?");
    }
    if (step->times > 1)
        put(&text, ", every %g s, %u times", step->every_s, step->times);
}
