/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/options_given.h"

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

#define RATE_LIMIT       1e7
#define DURATION_LIMIT_S 604800.0
#define SLOW_LIMIT       20000

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
    OPTION_GET,
    OPTION_STEP_RPS,
    OPTION_STEP_DURATION,
    OPTION_FACTOR,
    OPTION_IDLE,
    OPTION_SLOW_HEADERS,
    OPTION_SLOW_BODIES,
    OPTION_PROBE_READ,
    OPTION_PROBE_HEALTH,
    OPTION_EVENTS,
    OPTION_BEFORE_AUDIT,
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
    {"get", required_argument, NULL, OPTION_GET},
    {"step-rps", required_argument, NULL, OPTION_STEP_RPS},
    {"step-duration", required_argument, NULL, OPTION_STEP_DURATION},
    {"factor", required_argument, NULL, OPTION_FACTOR},
    {"idle", required_argument, NULL, OPTION_IDLE},
    {"slow-headers", required_argument, NULL, OPTION_SLOW_HEADERS},
    {"slow-bodies", required_argument, NULL, OPTION_SLOW_BODIES},
    {"probe-read", required_argument, NULL, OPTION_PROBE_READ},
    {"probe-health", required_argument, NULL, OPTION_PROBE_HEALTH},
    {"events", required_argument, NULL, OPTION_EVENTS},
    {"before-audit", required_argument, NULL, OPTION_BEFORE_AUDIT},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

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

static void parse_arrivals(struct options *options, const char *text)
{
    if (strcmp(text, "even") == 0)
        options->plan.arrivals = ARRIVALS_EVEN;
    else if (strcmp(text, "poisson") == 0)
        options->plan.arrivals = ARRIVALS_POISSON;
    else
        errx(EXIT_CONFIGURATION, "--arrivals: %s is neither even nor poisson", text);
}

static void keep_threshold(struct given *given, const char *text)
{
    if (given->threshold_count == THRESHOLD_LIMIT)
        errx(EXIT_CONFIGURATION, "--threshold: more than %d", THRESHOLD_LIMIT);
    given->thresholds[given->threshold_count++] = text;
}

/* 0 switches a profile's probe off. */
static double parse_probe(const char *flag, const char *text, bool *off)
{
    double rate = parse_number(flag, text, 0, 10000);
    *off = !(rate > 0);
    return rate;
}

static void take_profile_option(struct given *given, int option, const char *value)
{
    switch (option) {
    case OPTION_PROFILE:
        if (!profile_find(value))
            errx(EXIT_CONFIGURATION, "--profile: %s is none of " PROFILE_NAMES, value);
        given->profile = value;
        break;
    case OPTION_STEP_RPS:
        given->step_rate = parse_number("step-rps", value, 0.1, RATE_LIMIT);
        break;
    case OPTION_STEP_DURATION:
        given->step_s = parse_number("step-duration", value, 0.5, 3600);
        break;
    case OPTION_FACTOR:
        given->factor = parse_number("factor", value, 1, 1000);
        break;
    case OPTION_IDLE:
        given->slow[SLOW_IDLE] = (int)parse_count("idle", value, 0, SLOW_LIMIT);
        break;
    case OPTION_SLOW_HEADERS:
        given->slow[SLOW_HEADERS] = (int)parse_count("slow-headers", value, 0, SLOW_LIMIT);
        break;
    case OPTION_SLOW_BODIES:
        given->slow[SLOW_BODIES] = (int)parse_count("slow-bodies", value, 0, SLOW_LIMIT);
        break;
    case OPTION_PROBE_READ:
        given->probe_read = parse_probe("probe-read", value, &given->no_probe_read);
        break;
    case OPTION_PROBE_HEALTH:
        given->probe_health = parse_probe("probe-health", value, &given->no_probe_health);
        break;
    default:
        exit(EXIT_CONFIGURATION); /* getopt_long has said which flag it does not know */
    }
}

static void take_load_option(struct options *options, struct given *given, int option,
                             const char *value)
{
    switch (option) {
    case OPTION_RPS:
        given->rate = parse_number("rps", value, 0.01, RATE_LIMIT);
        break;
    case OPTION_DURATION:
        given->duration_s = parse_number("duration", value, 0.1, DURATION_LIMIT_S);
        break;
    case OPTION_MIX:
        given->mix = value;
        break;
    case OPTION_ARRIVALS:
        parse_arrivals(options, value);
        given->arrivals = true;
        break;
    case OPTION_CONNECTIONS:
        given->connections = parse_count("connections", value, 1, 65000);
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
        take_profile_option(given, option, value);
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
        keep_threshold(given, value);
        break;
    case OPTION_GET:
        options->get = value;
        break;
    case OPTION_EVENTS:
        options->events = value;
        break;
    case OPTION_BEFORE_AUDIT:
        options->before_audit = value;
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
        fputs(options_help, stdout);
        exit(LOADTEST_OK);
    case 'V':
        puts("loadtest " VERSION);
        exit(LOADTEST_OK);
    default:
        take_load_option(options, given, option, value);
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    struct given given = {.slow = {-1, -1, -1}};
    *options = (struct options){
        .plan = {.seed = 1},
        .timeout_ns = 5 * NS_PER_S,
        .retry = {.kind = RETRY_NONE, .attempts = 3},
        .audit = true,
    };
    int option;
    while ((option = getopt_long(argc, argv, "hV", long_options, NULL)) != -1)
        take_option(options, &given, option, optarg);
    if (optind < argc)
        errx(EXIT_CONFIGURATION, "%s: no argument is expected here", argv[optind]);
    options_settle(options, &given);
}
