/* SPDX-License-Identifier: MIT */
#include "tools/drill/walk.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "tools/drill/process.h"
#include "tools/drill/walk_parts.h"

#define LOOK_NS (20 * NS_PER_MS)
#define LOOK_S  12 /* after each step, to read it and to look */
#define LINE    65536
/* Requests without an answer at a second's end, when all is well, are few; and how long those that
 * are asked again may take until then. */
#define UNDER_WAY 30
#define SETTLE_S  20

/* The load goes on until the last step is over, and is then told to end. Logging in has time: on a
 * slow machine hashing a password takes seconds, and that is not what is shown here. */
static const char walk_text[] =
    "{\"title\": \"five failures, one after the other\", \"teaches\": \"a failure stays in its "
    "compartment\", \"phases\": {\"warm_up_s\": 1, \"before_s\": 1, \"after_s\": 1800},"
    " \"load\": {\"rps\": 300, \"retry\": \"full-jitter\", \"attempts\": 6, \"connections\": 256},"
    " \"server\": {\"faults\": false, \"overrides\": {\"deadline.auth\": 20000}}, \"method\": [], "
    "\"hypothesis\": [], \"proof\": \"1 == 1\","
    " \"expect\": {\"lost_acked\": 0, \"integrity\": true}}";

/* ---- words --------------------------------------------------------------------------------- */

static void line(const struct walk *walk, const char *before, const char *code, const char *format,
                 va_list arguments)
{
    fputs(before, stdout);
    fputs(walk->colour ? code : "", stdout);
    vprintf(format, arguments);
    puts(walk->colour ? "\033[0m" : "");
    fflush(stdout);
}

void walk_say(const struct walk *walk, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    line(walk, "   ", "", format, arguments);
    va_end(arguments);
}

void walk_do(const struct walk *walk, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    line(walk, "   ", "\033[1m", format, arguments);
    va_end(arguments);
}

void walk_look(const struct walk *walk, const char *command)
{
    printf("   %slook yourself:  %s%s\n", walk->colour ? "\033[36m" : "", command,
           walk->colour ? "\033[0m" : "");
    fflush(stdout);
}

static void heading(const struct walk *walk, const char *text)
{
    printf("\n%s%s%s\n", walk->colour ? "\033[1;34m" : "", text, walk->colour ? "\033[0m" : "");
}

/* ---- time ---------------------------------------------------------------------------------- */

bool walk_is_over(const struct walk *walk)
{
    return walk->runner->interrupts > 0 || *walk->runner->evidence->trouble;
}

bool walk_wait(struct walk *walk, double limit_s, walk_condition *holds, const void *argument)
{
    uint64_t end_ns = clock_now_ns() + (uint64_t)(limit_s * (double)NS_PER_S);
    while (!holds(walk, argument)) {
        uint64_t now_ns = clock_now_ns();
        if (now_ns >= end_ns || !turn(walk->runner, now_ns + LOOK_NS))
            return false;
    }
    return true;
}

bool walk_stay(struct walk *walk, double seconds)
{
    return turn_until(walk->runner, "walk",
                      clock_now_ns() + (uint64_t)(seconds * (double)NS_PER_S));
}

/* ---- what clients met ----------------------------------------------------------------------- */

static double sum_of(const json_t *errors, const char *const *names)
{
    double sum = 0;
    for (; *names; names++)
        sum += json_number_value(json_object_get(errors, *names));
    return sum;
}

static void add_row(struct walk *walk, const json_t *row)
{
    static const char *const broken[] = {"reset", "eof_before_response", "malformed", NULL};
    static const char *const refused[] = {"refused", "unreachable", NULL};
    static const char *const timeouts[] = {"timeout", NULL};
    static const char *const told[] = {"http_503", NULL};
    const json_t *errors = json_object_get(row, "errors");
    walk->all.sent += json_number_value(json_object_get(row, "sent"));
    walk->all.failed += json_number_value(json_object_get(row, "failed"));
    walk->all.attempts += json_number_value(json_object_get(row, "attempts"));
    walk->all.told += sum_of(errors, told);
    walk->in_flight = json_number_value(json_object_get(row, "in_flight"));
    walk->all.broken += sum_of(errors, broken);
    walk->all.refused += sum_of(errors, refused);
    walk->all.timeouts += sum_of(errors, timeouts);
    walk->seconds += 1;
}

static void read_rows(struct walk *walk)
{
    static char text[LINE];
    char path[HOUSE_PATH * 3];
    snprintf(path, sizeof path, "%s/seconds.ndjson", walk->runner->load[0].directory);
    FILE *rows = fopen(path, "re");
    if (!rows)
        return;
    fseek(rows, walk->read_to, SEEK_SET);
    while (fgets(text, sizeof text, rows) && strchr(text, '\n')) {
        json_t *row = json_loads(text, 0, NULL);
        walk->read_to = ftell(rows);
        if (row)
            add_row(walk, row);
        json_decref(row);
    }
    fclose(rows);
}

/* The seconds are there, and what was asked again in them has its answer. */
static bool has_settled(const struct walk *walk, const void *seconds)
{
    read_rows((struct walk *)(uintptr_t)walk);
    return walk->seconds >= *(const double *)seconds && walk->in_flight <= UNDER_WAY;
}

bool walk_met(struct walk *walk, struct met *met)
{
    double until =
        ceil((double)(clock_now_ns() - walk->runner->evidence->load_ns) / (double)NS_PER_S);
    bool good = walk_wait(walk, SETTLE_S, has_settled, &until);
    *met = (struct met){.sent = walk->all.sent - walk->before.sent,
                        .failed = walk->all.failed - walk->before.failed,
                        .attempts = walk->all.attempts - walk->before.attempts,
                        .broken = walk->all.broken - walk->before.broken,
                        .refused = walk->all.refused - walk->before.refused,
                        .told = walk->all.told - walk->before.told,
                        .timeouts = walk->all.timeouts - walk->before.timeouts};
    return good;
}

/* ---- events -------------------------------------------------------------------------------- */

const struct event *walk_event(const struct walk *walk, enum event_type type, int slot)
{
    const struct evidence *evidence = walk->runner->evidence;
    for (size_t i = walk->mark; i < evidence->event_count; i++)
        if (evidence->event[i].type == type && (slot < 0 || evidence->event[i].slot == slot))
            return &evidence->event[i];
    return NULL;
}

unsigned walk_events(const struct walk *walk, enum event_type type)
{
    const struct evidence *evidence = walk->runner->evidence;
    unsigned count = 0;
    for (size_t i = walk->mark; i < evidence->event_count; i++)
        count += evidence->event[i].type == type;
    return count;
}

double walk_ms(const struct walk *walk, const struct event *event)
{
    if (!event)
        return (double)NAN;
    return ((double)evidence_mono_ns(walk->runner->evidence, event->wall_us) -
            (double)walk->began_ns) /
           (double)NS_PER_MS;
}

/* ---- steps --------------------------------------------------------------------------------- */

bool walk_begin(struct walk *walk, const char *text)
{
    char numbered[200];
    walk->step++;
    snprintf(numbered, sizeof numbered, "%u. %s", walk->step, text);
    heading(walk, numbered);
    read_rows(walk);
    walk->before = walk->all;
    walk->mark = walk->runner->evidence->event_count;
    walk->began_ns = clock_now_ns();
    return walk_stay(walk, walk->fast ? 0 : 2); /* to read it */
}

bool walk_act(struct walk *walk, const struct spec_step *step)
{
    walk->mark = walk->runner->evidence->event_count;
    walk->began_ns = clock_now_ns();
    return turn_act(walk->runner, step);
}

bool walk_end(struct walk *walk, bool recovered)
{
    if (walk_is_over(walk))
        return false;
    if (!recovered) {
        walk->bad++;
        walk_do(walk, "This is not as it should be.");
    }
    return walk_stay(walk, walk->fast ? 0.2 : LOOK_S);
}

/* ---- beginning and end ---------------------------------------------------------------------- */

static void show_fleet(const struct walk *walk)
{
    static struct board board;
    const struct region *region = walk->runner->remote.server.region;
    if (!region || !region_read_board(region, &board))
        return;
    walk_say(walk, "%-10s %8s  %-10s %s", "", "pid", "generation", "heartbeat");
    for (unsigned slot = 0; slot < board.configured; slot++)
        if (slot_view_is_live(region, &board, slot))
            walk_say(walk, "worker %-3u %8d  %-10u %.0f ms ago", slot, board.slot[slot].pid,
                     board.slot[slot].generation,
                     (double)slot_view_heartbeat_age_ns(region, slot, clock_now_ns()) /
                         (double)NS_PER_MS);
}

static bool introduce(struct walk *walk)
{
    const struct house *house = &walk->runner->house;
    char program[HOUSE_PATH * 2];
    process_sister("bulkheadctl", program, sizeof program);
    heading(walk, "A server of four workers, under load, and what can be broken of it");
    walk_say(walk, "supervisor pid %d, http://%s, in a directory of its own", house->supervisor,
             house->address);
    walk_say(walk,
             "load: 300 requests a second, a fifth of them writes; what fails is sent again,");
    walk_say(walk,
             "      a write with its Idempotency-Key, six times at most; every write that was");
    walk_say(walk, "      acknowledged is read back at the end");
    show_fleet(walk);
    if (walk->fast)
        return true;
    walk_say(walk, "To look for yourself while this goes on, paste this into a second terminal:");
    walk_do(walk, "alias ctl='%s -d %s'", program, house->data_dir);
    walk_look(walk, "ctl workers;  ctl top");
    walk_say(walk, "Ctrl-C ends everything at any moment and leaves nothing behind.");
    return walk_stay(walk, LOOK_S);
}

static bool walk_method(struct runner *runner, void *argument)
{
    struct walk *walk = argument;
    walk->runner = runner;
    bool good = introduce(walk) && walk_steps(walk);
    if (good)
        heading(walk, "The audit: every acknowledged write is read back");
    return good;
}

static void next(const struct walk *walk)
{
    heading(walk, "Read on");
    walk_say(walk, "docs/failure-map.md    what each failure looks like, and how long it lasts");
    walk_say(walk,
             "docs/drills.md         twenty drills that prove it: build/drill run 03 --out DIR");
    walk_say(walk, "docs/faults.md         to break more, in a server of your own: make run");
    walk_say(walk, "docs/architecture.md   why it holds");
}

/* Writes that were refused, and are there all the same. */
static double unexpected_of(const struct evidence *evidence)
{
    const json_t *audit = json_object_get(evidence->summary[0], "audit");
    return json_number_value(json_object_get(audit, "unexpected"));
}

static void tell_integrity(const struct walk *walk, const struct evidence *evidence)
{
    if (evidence->integrity_ok || evidence->integrity_damaged)
        walk_say(walk, "the database was read through: %s",
                 evidence->integrity_ok ? "every page is whole" : evidence->integrity_words);
    else
        walk_say(walk, "the database was not read through: %s", evidence->integrity_words);
}

/* The audit's numbers. 0 when nothing was lost, 1 when something was, 2 when it cannot be told. */
static int audit(const struct walk *walk, const struct evidence *evidence)
{
    const json_t *audit = json_object_get(evidence->summary[0], "audit");
    const json_t *requests = json_object_get(evidence->summary[0], "requests");
    static const char *const names[] = {"acked", "lost", "duplicate", "corrupt"};
    double count[4];
    for (size_t i = 0; i < 4; i++) {
        const json_t *value = json_object_get(audit, names[i]);
        count[i] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    }
    const char *state = json_string_value(json_object_get(audit, "state"));
    walk_say(walk, "%.0f requests, %.0f failed for good",
             json_number_value(json_object_get(requests, "sent")),
             json_number_value(json_object_get(requests, "failed")));
    walk_say(walk, "audit %s: %.0f acknowledged writes, %.0f lost, %.0f duplicate, %.0f corrupt",
             state ? state : "missing", count[0], count[1], count[2], count[3]);
    if (json_is_number(json_object_get(audit, "unexpected")))
        walk_say(walk, "of the writes that were refused, %.0f had an effect all the same",
                 unexpected_of(evidence));
    tell_integrity(walk, evidence);
    double bad = count[1] + count[2] + count[3];
    if (bad > 0 || evidence->integrity_damaged)
        return 1;
    bool complete = state && strcmp(state, "complete") == 0 && count[0] > 0 && !isnan(bad);
    return complete && evidence->integrity_ok ? 0 : 2;
}

static const char *conclusion(const struct walk *walk, int audited)
{
    if (audited == 1)
        return "Writes were lost, or damaged.";
    if (audited == 2)
        return "Not everything could be read back: whether something was lost is not known.";
    return walk->bad ? "Nothing was lost, but not everything was as it should be."
                     : "Five failures, and nothing that was acknowledged is lost.";
}

int walk_run(struct spec *spec, int signal_fd, bool fast, bool colour)
{
    static struct evidence evidence;
    struct walk walk = {.fast = fast, .colour = colour};
    char error[600];
    if (spec_parse(spec, "walk", walk_text, ARM_FULL, error, sizeof error) < 0) {
        fprintf(stderr, "drill walk: %s\n", error);
        return 2;
    }
    puts("Starting a server, and a load …");
    fflush(stdout);
    runner_run(
        &(struct runner_options){.signal_fd = signal_fd, .method = walk_method, .argument = &walk},
        spec, &evidence);
    int code = evidence.interrupted ? 3 : *evidence.trouble ? 2 : 0;
    if (code == 3 && *evidence.trouble)
        printf("\nInterrupted. %s\n", evidence.trouble);
    else if (code == 3)
        puts("\nInterrupted. Everything was ended and removed.");
    if (code == 2)
        printf("\nIt could not be carried out: %s\n", evidence.trouble);
    if (code == 0) {
        code = audit(&walk, &evidence);
        walk.bad += unexpected_of(&evidence) > 0;
        next(&walk);
        heading(&walk, conclusion(&walk, code));
        code = code ? code : walk.bad > 0;
    }
    evidence_free(&evidence);
    return code;
}
