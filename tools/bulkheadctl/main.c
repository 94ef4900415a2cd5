/* SPDX-License-Identifier: MIT */
/*
 * bulkheadctl: asks a running server and tells it what to do, through its control socket. It reads
 * the command line here, finds the command in one table, and leaves the rest to it.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json_out.h"
#include "common/log_readable.h"
#include "common/region.h"
#include "tools/bulkheadctl/commands.h"

#ifndef VERSION
#define VERSION "of an unnamed build"
#endif

#define TIMEOUT_PRESET_S 30

enum {
    OPTION_JSON = 256,
    OPTION_WAIT,
    OPTION_TIMEOUT,
    OPTION_FOLLOW,
    OPTION_SINCE,
    OPTION_DESCRIBE,
    OPTION_FORCE,
    OPTION_CSV,
    OPTION_FROM,
    OPTION_TO,
    OPTION_STEP,
    OPTION_SERIES,
    OPTION_LEVEL,
    OPTION_EVENT,
    OPTION_REQUEST,
    OPTION_INTERVAL,
    OPTION_ONCE,
    OPTION_COUNT_OF_SNAPSHOTS, /* -n */
};

static const struct option options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"wait", no_argument, NULL, OPTION_WAIT},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"follow", no_argument, NULL, OPTION_FOLLOW},
    {"since", required_argument, NULL, OPTION_SINCE},
    {"describe", no_argument, NULL, OPTION_DESCRIBE},
    {"force", no_argument, NULL, OPTION_FORCE},
    {"csv", no_argument, NULL, OPTION_CSV},
    {"from", required_argument, NULL, OPTION_FROM},
    {"to", required_argument, NULL, OPTION_TO},
    {"step", required_argument, NULL, OPTION_STEP},
    {"series", required_argument, NULL, OPTION_SERIES},
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"event", required_argument, NULL, OPTION_EVENT},
    {"request", required_argument, NULL, OPTION_REQUEST},
    {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"once", no_argument, NULL, OPTION_ONCE},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {0},
};

/* Sets of the options that not every command takes. */
#define TAKES(option) (1u << ((option)-OPTION_JSON))
#define TAKES_WAIT    (TAKES(OPTION_WAIT) | TAKES(OPTION_TIMEOUT))
#define TAKES_EVENTS  (TAKES(OPTION_FOLLOW) | TAKES(OPTION_SINCE))
#define TAKES_HISTORY                                                                 \
    (TAKES(OPTION_CSV) | TAKES(OPTION_FROM) | TAKES(OPTION_TO) | TAKES(OPTION_STEP) | \
     TAKES(OPTION_SERIES) | TAKES(OPTION_TIMEOUT))
#define TAKES_LOGS                                                       \
    (TAKES(OPTION_LEVEL) | TAKES(OPTION_EVENT) | TAKES(OPTION_REQUEST) | \
     TAKES(OPTION_FOLLOW)) /* it follows stdin as it is */
#define TAKES_TOP (TAKES(OPTION_INTERVAL) | TAKES(OPTION_ONCE) | TAKES(OPTION_COUNT_OF_SNAPSHOTS))

static const struct command {
    const char *name,
        *argument; /* argument: NULL none, else its name in the help; in [ ] optional */
    const char *line, *example;
    bool words;       /* takes any number of them, and looks at them itself */
    unsigned options; /* besides -d, -s, --json, --help and --version */
    int (*run)(const struct invocation *invocation);
} commands[] = {
    {"status", NULL, "State of the service on one screen: health, workers, database, rates.",
     "bulkheadctl status", .run = command_status},
    {"workers", NULL, "The workers and helpers: state, pid, restarts, last death.",
     "bulkheadctl workers --json", .run = command_workers},
    {"metrics", NULL, "All metrics as the console's /metrics; --describe says what they mean.",
     "bulkheadctl metrics | grep db_", .options = TAKES(OPTION_DESCRIBE), .run = command_metrics},
    {"events", NULL, "What happened and why; --follow goes on, --since ID starts after one.",
     "bulkheadctl events --follow", .options = TAKES_EVENTS, .run = command_events},
    {"restart", "SLOT", "Replace the worker in a slot; --wait returns when that is done.",
     "bulkheadctl restart 2 --wait", .options = TAKES_WAIT, .run = command_replace},
    {"drain", "SLOT", "Let the worker in a slot finish what it has and end.", "bulkheadctl drain 0",
     .options = TAKES_WAIT, .run = command_replace},
    {"reload", NULL, "Replace all workers one by one; no request is lost.",
     "bulkheadctl reload --wait", .options = TAKES_WAIT, .run = command_replace},
    {"stop", NULL, "Stop the service gracefully and wait for its end.",
     "bulkheadctl stop --timeout 60", .options = TAKES(OPTION_TIMEOUT), .run = command_stop},
    {"faults", "...", "What is broken on purpose; set KIND key=value ..., clear ID|all; --help.",
     "bulkheadctl faults set crash target=worker:1", .words = true, .run = command_faults},
    {"deaths", "[N|NAME]", "Who died and why, newest first; with a number or name: one report.",
     "bulkheadctl deaths 1", .run = command_deaths},
    {"history", NULL, "The last minutes in numbers; --from -3600, --step 1, --series a,b, --csv.",
     "bulkheadctl history --csv --step 1 --series requests_per_s,p95_ms", .options = TAKES_HISTORY,
     .run = command_history},
    {"top", NULL,
     "The service on one screen, every second; q quits, space pauses; -n COUNT, --json.",
     "bulkheadctl top --interval 0.5", .options = TAKES_TOP, .run = command_top},
    {"logs", NULL,
     "The server's log from stdin, for people; --level, --event, --request; no server.",
     "journalctl -u bulkhead -o cat -f | bulkheadctl logs", .options = TAKES_LOGS,
     .run = command_logs},
    {"backup", "FILE", "A checked copy of the running database; - is stdout.",
     "bulkheadctl backup /mnt/app.db", .options = TAKES(OPTION_FORCE), .run = command_backup},
    {"restore", "FILE", "Put a backup in the place of a stopped server's database.",
     "bulkheadctl -d /var/lib/bulkhead restore app.db", .run = command_restore},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void print_command(const struct command *command)
{
    char usage[32];
    snprintf(usage, sizeof usage, "%s %s", command->name,
             command->argument ? command->argument : "");
    printf("  %-14s %s\n  %-14s   $ %s\n", usage, command->line, "", command->example);
}

static void print_options(void)
{
    printf("\nOptions\n"
           "  -d DATADIR     the server's data directory: its socket is DATADIR/run/control.sock\n"
           "  -s SOCKET      the server's control socket itself\n"
           "  --json         JSON instead of text; events: one object a line\n"
           "  --wait         restart, drain, reload: return when the workers serve again\n"
           "  --timeout S    longest wait of --wait, stop and history (30)\n"
           "  --follow       events: go on printing them as they happen; logs always does\n"
           "  --since ID     events: only those after this one\n"
           "  --force        backup: replace FILE when it exists\n"
           "  --csv          history: all series as CSV instead of a table of a few\n"
           "  --from T       history: from T, seconds since 1970, or -T before now; --to T\n"
           "  --step S       history: 1 (the last hour) or 10 (the last day)\n"
           "  --series A,B   history: these series; `metrics --describe` names all\n"
           "  --level L      logs: only from this level on: debug, info, warning, error\n"
           "  --event NAME   logs: only this event\n"
           "  --request ID   logs: only the request of this id\n"
           "  --interval S   top: seconds between two looks (1), from 0.1\n"
           "  -n COUNT       top: so many snapshots, one after the other; --once is -n 1\n"
           "  --describe     metrics: a table of their names and meanings; needs no server\n"
           "  -h, --help     this; after a command, its own\n"
           "  -V, --version\n"
           "Without -d and -s it looks in $RUNTIME_DIRECTORY, /run/bulkhead,\n"
           "$STATE_DIRECTORY/run and ./var/run. deaths reads DATADIR/deaths, server or not.\n"
           "\nExit codes: 0 done, 1 refused or not done in time, 75 no server, 78 usage;\n"
           "2 a fault that cannot be.\n");
}

static int print_help(const struct command *command)
{
    printf("Usage: bulkheadctl [-d DATADIR | -s SOCKET] [--json] COMMAND\n\nCommand%s\n",
           command ? "" : "s");
    for (size_t i = 0; i < COMMANDS; i++)
        if (!command || command == &commands[i])
            print_command(&commands[i]);
    if (command && command->words)
        faults_print_help();
    print_options();
    return EXIT_ASKED;
}

/* Print {"ok":…,"<key>":text} as a line. */
static void print_json(bool ok, const char *key, const char *text)
{
    char line[4096];
    struct json_out json;
    json_out_init(&json, line, sizeof line);
    json_object_begin(&json);
    json_key_bool(&json, "ok", ok);
    json_key_string(&json, key, text);
    json_object_end(&json);
    puts(line);
}

int complain(const struct invocation *invocation, int exit_code, const char *format, ...)
{
    char text[3072];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (invocation->quiet)
        return exit_code;
    if (invocation->json)
        print_json(false, "error", text);
    else
        fprintf(stderr, "bulkheadctl: %s\n", text);
    return exit_code;
}

int announce(const struct invocation *invocation, const char *format, ...)
{
    char text[3072];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (invocation->json)
        print_json(true, "message", text);
    else
        puts(text);
    return EXIT_ASKED;
}

/* A whole number from 0 to most. */
static bool parse_number(const char *text, uint64_t most, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *number <= most;
}

enum next { GO_ON, SHOW_HELP, SHOW_VERSION, BAD_USAGE }; /* the greatest wins */

/* Where an option leaves its text for the command to look at; NULL for one that is no text. */
static const char **place_of_text(struct invocation *invocation, int option)
{
    switch (option) {
    case 'd':
        return &invocation->data_dir;
    case 's':
        return &invocation->socket;
    case OPTION_FROM:
        return &invocation->from;
    case OPTION_TO:
        return &invocation->to;
    case OPTION_STEP:
        return &invocation->step;
    case OPTION_SERIES:
        return &invocation->series;
    case OPTION_EVENT:
        return &invocation->event;
    case OPTION_REQUEST:
        return &invocation->request;
    default:
        return NULL;
    }
}

/* Options of logs and top. */
static enum next take_view_option(struct invocation *invocation, int option)
{
    uint64_t number = 1;
    double seconds;
    char *end;
    switch (option) {
    case OPTION_LEVEL:
        invocation->least_level = log_level_of(optarg);
        if (invocation->least_level >= 0)
            return GO_ON;
        complain(invocation, 0, "--level %s: want debug, info, warning or error", optarg);
        return BAD_USAGE;
    case OPTION_INTERVAL:
        seconds = strtod(optarg, &end);
        if (end == optarg || *end || !(seconds >= 0.1 && seconds <= 3600)) {
            complain(invocation, 0, "--interval %s: not a number of seconds from 0.1 to 3600",
                     optarg);
            return BAD_USAGE;
        }
        invocation->interval_ms = (unsigned)(seconds * 1000);
        return GO_ON;
    case 'n':
        if (!parse_number(optarg, 1000000000, &number) || number == 0) {
            complain(invocation, 0, "-n %s: not a number of snapshots", optarg);
            return BAD_USAGE;
        }
        break;
    }
    invocation->count = (unsigned)number; /* --once: 1 */
    return GO_ON;
}

/* Take one option. */
static enum next take_option(struct invocation *invocation, int option)
{
    uint64_t number = 0;
    const char **place = place_of_text(invocation, option);
    if (place) {
        *place = optarg;
        return GO_ON;
    }
    switch (option) {
    case OPTION_JSON:
        invocation->json = true;
        return GO_ON;
    case OPTION_WAIT:
        invocation->wait = true;
        return GO_ON;
    case OPTION_FOLLOW:
        invocation->follow = true;
        return GO_ON;
    case OPTION_DESCRIBE:
        invocation->describe = true;
        return GO_ON;
    case OPTION_FORCE:
        invocation->force = true;
        return GO_ON;
    case OPTION_CSV:
        invocation->csv = true;
        return GO_ON;
    case OPTION_TIMEOUT:
        if (!parse_number(optarg, 86400, &number)) {
            complain(invocation, 0, "--timeout %s: not a number of seconds up to 86400", optarg);
            return BAD_USAGE;
        }
        invocation->timeout_s = (unsigned)number;
        return GO_ON;
    case OPTION_SINCE:
        if (!parse_number(optarg, UINT64_MAX, &invocation->since)) {
            complain(invocation, 0, "--since %s: not the id of an event", optarg);
            return BAD_USAGE;
        }
        invocation->since_given = true;
        return GO_ON;
    case OPTION_LEVEL:
    case OPTION_INTERVAL:
    case OPTION_ONCE:
    case 'n':
        return take_view_option(invocation, option);
    case 'h':
        return SHOW_HELP;
    case 'V':
        return SHOW_VERSION;
    default: /* getopt has said what is wrong */
        return BAD_USAGE;
    }
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; name && i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* The bit of an option that not every command takes; 0 for the others. */
static unsigned bit_of(int option)
{
    if (option == 'n')
        return TAKES(OPTION_COUNT_OF_SNAPSHOTS);
    return option > OPTION_JSON ? TAKES(option) : 0;
}

/* An option that the command does not look at was meant to do something. 0 or an exit code. */
static int check_options(const struct invocation *invocation, const struct command *command,
                         unsigned given)
{
    unsigned foreign = given & ~command->options;
    if (foreign == 0)
        return 0;
    for (size_t i = 0; options[i].name; i++)
        if (foreign & bit_of(options[i].val))
            return complain(invocation, EXIT_CONFIGURATION, "%s takes no --%s; bulkheadctl --help",
                            command->name, options[i].name);
    return complain(invocation, EXIT_CONFIGURATION, "%s takes no -n; bulkheadctl --help",
                    command->name);
}

/* What follows the command's name is exactly what the command takes. 0 or an exit code. */
static int take_arguments(struct invocation *invocation, const struct command *command, int count,
                          char **arguments)
{
    uint64_t slot = 0;
    invocation->word_count = count;
    invocation->words = arguments;
    if (command->words)
        return 0;
    if (command->argument && command->argument[0] == '[') {
        invocation->operand = count > 0 ? arguments[0] : NULL;
        return count <= 1 ? 0
                          : complain(invocation, EXIT_CONFIGURATION,
                                     "%s takes one argument at most; example: %s", command->name,
                                     command->example);
    }
    bool file = command->argument && strcmp(command->argument, "FILE") == 0;
    if (count != (command->argument ? 1 : 0))
        return complain(invocation, EXIT_CONFIGURATION, "%s takes %s; example: %s", command->name,
                        file                ? "a file name"
                        : command->argument ? "the number of a slot"
                                            : "no argument",
                        command->example);
    if (file)
        invocation->file = arguments[0];
    else if (command->argument && !parse_number(arguments[0], WORKER_SLOTS_MAX - 1, &slot))
        return complain(invocation, EXIT_CONFIGURATION, "%s %s: not the number of a slot (0-%d)",
                        command->name, arguments[0], WORKER_SLOTS_MAX - 1);
    invocation->slot = (unsigned)slot;
    return 0;
}

int main(int argc, char **argv)
{
    struct invocation invocation = {.timeout_s = TIMEOUT_PRESET_S};
    enum next next = GO_ON;
    int option;
    unsigned given = 0;
    /* To the end, whatever comes: only then has getopt moved the command's name to optind. */
    while ((option = getopt_long(argc, argv, "d:s:n:hV", options, NULL)) != -1) {
        enum next this = take_option(&invocation, option);
        next = this > next ? this : next;
        given |= bit_of(option);
    }
    if (next == BAD_USAGE)
        return EXIT_CONFIGURATION;
    const struct command *command = find_command(optind < argc ? argv[optind] : NULL);
    if (next == SHOW_VERSION)
        return printf("bulkheadctl %s\n", VERSION) < 0;
    if (next == SHOW_HELP)
        return print_help(command);
    if (optind == argc)
        return complain(&invocation, EXIT_CONFIGURATION, "say what to do; bulkheadctl --help");
    if (!command)
        return complain(&invocation, EXIT_CONFIGURATION, "%s: no such command; bulkheadctl --help",
                        argv[optind]);
    int code = check_options(&invocation, command, given);
    if (!code)
        code = take_arguments(&invocation, command, argc - optind - 1, argv + optind + 1);
    if (code)
        return code;
    invocation.verb = command->name;
    invocation.colour = terminal_wants_colour(STDOUT_FILENO);
    code = command->run(&invocation);
    /* A full disk or a file that cannot be written; a pipe that nobody reads any more is no error.
     */
    if ((fflush(stdout) != 0 || ferror(stdout)) && errno != EPIPE && code == 0)
        return complain(&invocation, EXIT_TEMPORARY, "what was found could not be written: %s",
                        strerror(errno));
    return code;
}
