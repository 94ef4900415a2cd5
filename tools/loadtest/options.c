/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/options.h"

#include <err.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit_codes.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

#define RATE_LIMIT       1e6
#define DURATION_LIMIT_S 604800.0

struct profile {
    const char *name;
    double rate, duration_s;
    bool closed;
};

static const struct profile profiles[] = {
    {.name = "baseline", .rate = 300, .duration_s = 60},
    {.name = "peak", .rate = 500, .duration_s = 120},
    {.name = "closed", .rate = 1, .duration_s = 30, .closed = true},
};

enum flag {
    OPTION_URL = 256,
    OPTION_USER,
    OPTION_PASSWORD_STDIN,
    OPTION_CREDENTIALS_STDIN,
    OPTION_USERS,
    OPTION_PROFILE,
    OPTION_RPS,
    OPTION_DURATION,
    OPTION_MIX,
    OPTION_ARRIVALS,
    OPTION_CONNECTIONS,
    OPTION_TIMEOUT,
    OPTION_RETRY,
    OPTION_ATTEMPTS,
    OPTION_THRESHOLD,
    OPTION_OUT,
    OPTION_SEED,
    OPTION_JSON,
    OPTION_NO_AUDIT,
    OPTION_ALLOW_429,
};

static const struct option long_options[] = {
    {"url", required_argument, NULL, OPTION_URL},
    {"user", required_argument, NULL, OPTION_USER},
    {"password-stdin", no_argument, NULL, OPTION_PASSWORD_STDIN},
    {"credentials-stdin", no_argument, NULL, OPTION_CREDENTIALS_STDIN},
    {"users", required_argument, NULL, OPTION_USERS},
    {"profile", required_argument, NULL, OPTION_PROFILE},
    {"rps", required_argument, NULL, OPTION_RPS},
    {"duration", required_argument, NULL, OPTION_DURATION},
    {"mix", required_argument, NULL, OPTION_MIX},
    {"arrivals", required_argument, NULL, OPTION_ARRIVALS},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"retry", required_argument, NULL, OPTION_RETRY},
    {"attempts", required_argument, NULL, OPTION_ATTEMPTS},
    {"threshold", required_argument, NULL, OPTION_THRESHOLD},
    {"out", required_argument, NULL, OPTION_OUT},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"json", no_argument, NULL, OPTION_JSON},
    {"no-audit", no_argument, NULL, OPTION_NO_AUDIT},
    {"allow-429", no_argument, NULL, OPTION_ALLOW_429},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "usage: loadtest --url URL --user NAME --password-stdin [options]\n"
    "\n"
    "Sends requests to a bulkhead server at times fixed beforehand, measures how long each took,\n"
    "and afterwards reads back every write that was acknowledged.\n"
    "\n"
    "  build/loadtest --url http://127.0.0.1:8080 --user demo --password-stdin <<<\"$PASSWORD\"\n"
    "\n"
    "Whom\n"
    "  --url URL             http://HOST[:PORT][/PREFIX]; HOST may be [::1]\n"
    "  --user NAME           with --password-stdin: the password is the first line of stdin\n"
    "  --credentials-stdin   instead of both: lines name:password, one account each\n"
    "  --users N             use the first N of those lines (default: all)\n"
    "\n"
    "What\n"
    "  --profile NAME        baseline: 300 requests/s for 60 s (default)\n"
    "                        peak:     500 requests/s for 120 s\n"
    "                        closed:   every connection sends its next request when the answer\n"
    "                                  came, 30 s; finds the most a server can do, and hides its\n"
    "                                  pauses: for comparison only\n"
    "  --rps N, --duration S instead of the profile's\n"
    "  --mix SHARES          default read=75,write=20,list=5\n"
    "  --arrivals KIND       even (default), or poisson: independent users come in clumps\n"
    "  --seed N              times and kinds are a function of this number (default 1)\n"
    "  --connections N       the most connections open at once (default 64)\n"
    "  --timeout S           of one attempt (default 5)\n"
    "  --retry POLICY        none (default), immediate, fixed (100 ms) or full-jitter (50 ms,\n"
    "                        doubled up to 1 s) after refused, reset, closed, timed out, 429, "
    "502,\n"
    "                        503, 504; a write is repeated with its Idempotency-Key\n"
    "  --attempts N          in all, the first included (default 3)\n"
    "\n"
    "Verdict\n"
    "  --threshold LIMIT     e.g. 'p95<200' 'error_rate<=0.01' 'refused==0'; repeatable. "
    "Latencies\n"
    "                        p50 p95 p99 max in ms, error_rate 0 to 1, counts dropped refused "
    "lost\n"
    "                        duplicate; comparisons < <= ==\n"
    "  --allow-429           do not call a run invalid because the server limited its rate\n"
    "  --no-audit            do not read the acknowledged writes back\n"
    "\n"
    "Output\n"
    "  --out DIR             seconds.ndjson, seconds.csv and summary.json\n"
    "  --json                the summary as JSON on stdout instead of a table\n"
    "\n"
    "Latency counts from the intended time, not from the sending: a server that stalls for a\n"
    "second delays everything that was due in it. A request that finds no free connection within\n"
    "100 ms is dropped, which is an error. When this program itself is late (p99 above 5 ms) the\n"
    "run is invalid: give it a core of its own.\n"
    "\n"
    "The audit: LOST was acknowledged and cannot be read, DUPLICATE exists twice, CORRUPT reads\n"
    "differently. INDETERMINATE got no answer: it may exist or not, and is no fault.\n"
    "\n"
    "Exit: 0 good, 1 audit failed, 2 invalid run, 3 interrupted (Ctrl-C; a second one skips the\n"
    "audit), 75 server not reached, login or audit not possible, 78 command line, 99 threshold.\n";

static double parse_number(const char *flag, const char *text, double least, double most)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= least && number <= most))
        errx(EXIT_CONFIGURATION, "--%s: %s is not a number from %g to %g", flag, text, least, most);
    return number;
}

static unsigned parse_count(const char *flag, const char *text, unsigned least, unsigned most)
{
    double number = parse_number(flag, text, least, most);
    if (number > floor(number))
        errx(EXIT_CONFIGURATION, "--%s: %s is not a whole number", flag, text);
    return (unsigned)number;
}

static uint64_t parse_seed(const char *text)
{
    char *end;
    unsigned long long seed = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0')
        errx(EXIT_CONFIGURATION, "--seed: %s is not a whole number", text);
    return seed;
}

static const struct profile *find_profile(const char *name)
{
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return &profiles[i];
    errx(EXIT_CONFIGURATION, "--profile: %s is none of baseline, peak, closed", name);
}

static void parse_arrivals(struct options *options, const char *text)
{
    if (strcmp(text, "even") == 0)
        options->plan.arrivals = ARRIVALS_EVEN;
    else if (strcmp(text, "poisson") == 0)
        options->plan.arrivals = ARRIVALS_POISSON;
    else
        errx(EXIT_CONFIGURATION, "--arrivals: %s is neither even nor poisson", text);
}

static void add_threshold(struct options *options, const char *text)
{
    if (options->threshold_count == THRESHOLD_LIMIT)
        errx(EXIT_CONFIGURATION, "--threshold: more than %d", THRESHOLD_LIMIT);
    if (threshold_parse(text, &options->thresholds[options->threshold_count++]) < 0)
        errx(EXIT_CONFIGURATION, "--threshold: cannot read '%s'; write e.g. 'p95<200'", text);
}

/* Values that are checked against others once all are known. */
struct given {
    double rate, duration_s; /* 0: not given */
    bool attempts, arrivals;
};

static void take_load_option(struct options *options, struct given *given, int option,
                             const char *value)
{
    switch (option) {
    case OPTION_PROFILE:
        options->profile = find_profile(value)->name;
        break;
    case OPTION_RPS:
        given->rate = parse_number("rps", value, 0.01, RATE_LIMIT);
        break;
    case OPTION_DURATION:
        given->duration_s = parse_number("duration", value, 0.1, DURATION_LIMIT_S);
        break;
    case OPTION_MIX:
        if (plan_parse_mix(value, options->plan.weight) < 0)
            errx(EXIT_CONFIGURATION, "--mix: cannot read '%s'; write e.g. read=75,write=20,list=5",
                 value);
        break;
    case OPTION_ARRIVALS:
        parse_arrivals(options, value);
        given->arrivals = true;
        break;
    case OPTION_CONNECTIONS:
        options->connections = parse_count("connections", value, 1, 65000);
        break;
    case OPTION_TIMEOUT:
        options->timeout_ns = (uint64_t)(parse_number("timeout", value, 0.001, 600) * 1e9);
        break;
    case OPTION_RETRY:
        if (retry_parse(value, &options->retry.kind) < 0)
            errx(EXIT_CONFIGURATION, "--retry: %s is none of none, immediate, fixed, full-jitter",
                 value);
        break;
    case OPTION_ATTEMPTS:
        options->retry.attempts = parse_count("attempts", value, 1, 100);
        given->attempts = true;
        break;
    case OPTION_SEED:
        options->plan.seed = parse_seed(value);
        break;
    default:
        exit(EXIT_CONFIGURATION); /* getopt_long has said which flag it does not know */
    }
}

static void take_option(struct options *options, struct given *given, int option, const char *value)
{
    switch (option) {
    case OPTION_URL:
        options->url = value;
        break;
    case OPTION_USER:
        options->user = value;
        break;
    case OPTION_PASSWORD_STDIN:
        options->password_stdin = true;
        break;
    case OPTION_CREDENTIALS_STDIN:
        options->credentials_stdin = true;
        break;
    case OPTION_USERS:
        options->users = parse_count("users", value, 1, 10000);
        break;
    case OPTION_THRESHOLD:
        add_threshold(options, value);
        break;
    case OPTION_OUT:
        options->out = value;
        break;
    case OPTION_JSON:
        options->json = true;
        break;
    case OPTION_NO_AUDIT:
        options->audit = false;
        break;
    case OPTION_ALLOW_429:
        options->allow_429 = true;
        break;
    case 'h':
        fputs(help, stdout);
        exit(LOADTEST_OK);
    case 'V':
        puts("loadtest " VERSION);
        exit(LOADTEST_OK);
    default:
        take_load_option(options, given, option, value);
    }
}

static void check_whom(struct options *options)
{
    if (!options->url)
        errx(EXIT_CONFIGURATION, "--url is missing; try --help");
    if (target_parse(&options->target, options->url) < 0)
        errx(EXIT_CONFIGURATION, "--url: %s is not http://HOST[:PORT][/PREFIX]", options->url);
    if (options->credentials_stdin && (options->user || options->password_stdin))
        errx(EXIT_CONFIGURATION, "--credentials-stdin excludes --user and --password-stdin");
    if (options->credentials_stdin)
        return;
    if (!options->user || !options->password_stdin)
        errx(EXIT_CONFIGURATION, "give --user NAME --password-stdin, or --credentials-stdin");
    if (options->users > 1)
        errx(EXIT_CONFIGURATION, "--users %u needs as many accounts: --credentials-stdin",
             options->users);
    options->users = 1;
}

static void check_together(struct options *options, const struct given *given)
{
    const struct profile *profile = find_profile(options->profile);
    options->closed = profile->closed;
    if (options->closed && (given->rate > 0 || given->arrivals))
        errx(EXIT_CONFIGURATION, "--profile closed has no intended times: no --rps, no --arrivals");
    options->plan.rate = given->rate > 0 ? given->rate : profile->rate;
    double duration_s = given->duration_s > 0 ? given->duration_s : profile->duration_s;
    options->plan.duration_ns = (uint64_t)(duration_s * (double)NS_PER_S);
    if (given->attempts && options->retry.kind == RETRY_NONE)
        errx(EXIT_CONFIGURATION, "--attempts needs --retry");
    for (unsigned i = 0; i < options->threshold_count && !options->audit; i++)
        if (options->thresholds[i].metric == METRIC_LOST ||
            options->thresholds[i].metric == METRIC_DUPLICATE)
            errx(EXIT_CONFIGURATION, "--threshold %s needs the audit",
                 metric_name(options->thresholds[i].metric));
}

void options_parse(struct options *options, int argc, char **argv)
{
    struct given given = {0};
    *options = (struct options){
        .profile = "baseline",
        .plan = {.weight = {[LOAD_READ] = 75, [LOAD_WRITE] = 20, [LOAD_LIST] = 5}, .seed = 1},
        .connections = 64,
        .timeout_ns = 5 * NS_PER_S,
        .retry = {.kind = RETRY_NONE, .attempts = 3},
        .audit = true,
    };
    int option;
    while ((option = getopt_long(argc, argv, "hV", long_options, NULL)) != -1)
        take_option(options, &given, option, optarg);
    if (optind < argc)
        errx(EXIT_CONFIGURATION, "%s: no argument is expected here", argv[optind]);
    check_whom(options);
    check_together(options, &given);
}
