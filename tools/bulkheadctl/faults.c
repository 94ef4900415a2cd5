/* SPDX-License-Identifier: MIT */
/* faults: what is broken on purpose in a running server, as a table or JSON; set and clear. A spec
 * is examined here first, so that a mistake in it is told without a server (exit 2). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault_spec.h"
#include "common/slot_view.h"
#include "tools/bulkheadctl/commands.h"
#include "tools/bulkheadctl/server.h"
#include "tools/bulkheadctl/text.h"

#define EXIT_BAD_FAULT 2
#define JSON_SIZE      32768

void faults_print_help(void)
{
    printf(
        "\n"
        "  faults                              list them (--json)\n"
        "  faults set KIND [key=value ...]     break something; prints the id\n"
        "  faults clear [ID|all]               end one, or all\n"
        "The server must run with faults.enabled=yes.\n"
        "\nKinds, with their own keys (first value: preset)\n"
        "  crash      signal=KILL|SEGV|ABRT\n"
        "  hang       mode=stop|spin|thread   SIGSTOP; or one thread spins or sleeps\n"
        "  slow       delay=50ms jitter=10ms ramp=10s\n"
        "  error      status=500|503|504\n"
        "  scribble   into=slot|gate          a neighbour's counters; the write gate's mutex\n"
        "  close_fds                          the database's descriptors, under SQLite's feet\n"
        "  db         effect=down|slow|full|readonly|locked|ioerr|torn|bitflip|hang\n"
        "             op=all|read|write|sync|begin  delay=20ms jitter=0ms (slow)\n"
        "  partial                            half of the answer's body, then the end\n"
        "  omission   point=answer|request    a reset instead of an answer: handled, or not\n"
        "  wrong                              one letter of an item's text is another one\n"
        "  resource   of=fds percent=90; of=memory mib=256   held by the process until it ends\n"
        "Keys of all kinds\n"
        "  target     worker:N any all sentinel keeper console database; presets: any one worker\n"
        "             for what strikes and for resource, database for db, else all workers\n"
        "  class, route   only such requests: class=read, route=GET:/data/items/{id}\n"
        "  point      now start request in_transaction in_commit after_commit answer\n"
        "             in_checkpoint; start: every worker that starts meanwhile, before it serves\n"
        "  ramp       10s: so long grows the delay, the amount or the chance (not of what strikes)\n"
        "  after, duration  500ms, 30s; presets 0 and 60s, at most 600s\n"
        "  repeat     no|yes: crash, hang, scribble, close_fds strike once without it\n"
        "  per_second, per_million   how often, how likely; preset: every time (with repeat at\n"
        "             point=now: once a second)\n"
        "  seed       of the chances\n"
        "\nExamples\n"
        "  $ bulkheadctl faults set crash target=worker:1 signal=SEGV\n"
        "  $ bulkheadctl faults set crash point=after_commit repeat=yes per_second=1 duration=30s\n"
        "  $ bulkheadctl faults set slow class=read delay=200ms jitter=50ms duration=20s\n"
        "  $ bulkheadctl faults set error route=GET:/data/items per_million=300000 status=503\n"
        "  $ bulkheadctl faults set db effect=full duration=10s\n"
        "  $ bulkheadctl faults set omission route=POST:/data/items per_million=100000 ramp=10s\n"
        "  $ bulkheadctl faults set resource of=fds percent=100 target=worker:0 ramp=20s\n"
        "  $ bulkheadctl faults clear all\n");
}

static void print_targets(const struct fault *fault)
{
    char label[SLOT_LABEL_SIZE];
    if (fault->everybody)
        printf("%s", fault->target == FAULT_TARGET_DATABASE ? "all processes" : "all workers");
    const char *before = "";
    for (unsigned i = 0; !fault->everybody && i < SLOTS_MAX; i++) {
        if (!fault->generation[i])
            continue;
        slot_view_label(i, label);
        printf("%s%s%s", before, i < WORKER_SLOTS_MAX ? "worker " : "", label);
        before = ", ";
    }
    if (!fault->everybody && !*before)
        printf("nobody");
}

static void print_table(const struct invocation *invocation, const struct fault_table *table)
{
    char text[FAULT_TEXT_SIZE], state[32];
    uint64_t now_ns = clock_now_ns();
    unsigned count = 0;
    for (unsigned i = 0; i < FAULTS_MAX; i++) {
        const struct fault *fault = &table->fault[i];
        if (fault->state == FAULT_STATE_FREE)
            continue;
        if (count++ == 0) {
            text_colour(invocation->colour, COLOUR_BOLD);
            printf("  %4s  %-18s  %8s  %s\n", "id", "state", "left", "fault");
            text_colour(invocation->colour, COLOUR_NONE);
        }
        bool running = fault->state != FAULT_STATE_ENDED;
        fault_spec_print(fault, text, sizeof text);
        snprintf(state, sizeof state, "%s%s%s", running ? fault_state_name(fault->state) : "ended",
                 running ? "" : ": ", running ? "" : fault_end_name(fault->end));
        printf("  %4" PRIu32 "  %-18s  %6.1f s  %s\n", fault->id, state,
               running && fault->end_ns > now_ns
                   ? (double)(fault->end_ns - now_ns) / (double)NS_PER_S
                   : 0.0,
               text);
        printf("  %4s  %-18s  %8s  aimed at ", "", "", "");
        print_targets(fault);
        putchar('\n');
    }
    if (count == 0)
        puts("no faults");
}

static int list(const struct invocation *invocation)
{
    static struct fault_table table;
    static char text[JSON_SIZE];
    struct server server;
    struct json_out json;
    int code = server_open(&server, invocation);
    if (code)
        return code;
    if (!region_read_faults(server.region, &table))
        return complain(invocation, EXIT_TEMPORARY, "the table of faults cannot be read");
    if (!invocation->json) {
        print_table(invocation, &table);
        return EXIT_ASKED;
    }
    json_out_init(&json, text, sizeof text);
    fault_table_json(&json, &table, clock_now_ns());
    puts(text);
    return EXIT_ASKED;
}

static int ask(const struct invocation *invocation, const char *request)
{
    struct server server;
    struct answer answer;
    int code = server_find(&server, invocation);
    if (!code)
        code = server_ask(&server, invocation, request, &answer);
    if (code)
        return code;
    return answer.ok ? announce(invocation, "%s", answer.text)
                     : complain(invocation, EXIT_REFUSED, "%s", answer.text);
}

static int set(const struct invocation *invocation)
{
    struct fault fault;
    char request[480] = "faults set", error[256];
    size_t used = strlen(request);
    for (int i = 1; i < invocation->word_count && used < sizeof request; i++)
        used +=
            (size_t)snprintf(request + used, sizeof request - used, " %s", invocation->words[i]);
    if (used >= sizeof request)
        return complain(invocation, EXIT_BAD_FAULT, "faults set: more words than a fault can have");
    if (strchr(request, '\n'))
        return complain(invocation, EXIT_BAD_FAULT, "faults set: a newline in it");
    if (fault_spec_parse(request + strlen("faults set"), &fault, error, sizeof error) < 0)
        return complain(invocation, EXIT_BAD_FAULT, "%s", error);
    return ask(invocation, request);
}

static int clear(const struct invocation *invocation)
{
    char request[64];
    const char *which = invocation->word_count > 1 ? invocation->words[1] : "all";
    if (invocation->word_count > 2 ||
        (strcmp(which, "all") != 0 && strspn(which, "0123456789") != strlen(which)) ||
        strlen(which) > 10 || !*which)
        return complain(invocation, EXIT_BAD_FAULT,
                        "faults clear %.40s: allowed: the id of one fault, or all", which);
    snprintf(request, sizeof request, "faults clear %s", which);
    return ask(invocation, request);
}

int command_faults(const struct invocation *invocation)
{
    const char *verb = invocation->word_count > 0 ? invocation->words[0] : "list";
    if (strcmp(verb, "set") == 0)
        return set(invocation);
    if (strcmp(verb, "clear") == 0)
        return clear(invocation);
    if (strcmp(verb, "list") == 0 && invocation->word_count <= 1)
        return list(invocation);
    if (strcmp(verb, "beat") == 0 && invocation->word_count == 1)
        return ask(invocation, "faults beat");
    return complain(
        invocation, EXIT_BAD_FAULT,
        "faults %.40s: not known; allowed: list, set KIND key=value ..., clear [ID|all], "
        "beat",
        verb);
}
