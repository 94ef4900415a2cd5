/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/arguments.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_codes.h"
#include "tools/anomaly/floors.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

enum flag {
    OPTION_METRIC = 256,
    OPTION_PRESET,
    OPTION_LEAST_STEP,
    OPTION_FOR,
    OPTION_FAIL_ON,
    OPTION_JSON,
    OPTION_PLOT,
    OPTION_TRUTH,
    OPTION_RECORD,
    OPTION_LEARN,
    OPTION_NAB,
};

static const struct option long_options[] = {
    {"metric", required_argument, NULL, OPTION_METRIC},
    {"preset", required_argument, NULL, OPTION_PRESET},
    {"least-step", required_argument, NULL, OPTION_LEAST_STEP},
    {"for", required_argument, NULL, OPTION_FOR},
    {"fail-on", no_argument, NULL, OPTION_FAIL_ON},
    {"json", no_argument, NULL, OPTION_JSON},
    {"plot", required_argument, NULL, OPTION_PLOT},
    {"truth", required_argument, NULL, OPTION_TRUTH},
    {"learn", required_argument, NULL, OPTION_LEARN},
    {"record", required_argument, NULL, OPTION_RECORD},
    {"nab", required_argument, NULL, OPTION_NAB},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "usage: anomaly [options] FILE.csv | metrics.db | URL\n"
    "       anomaly --nab DIR\n"
    "\n"
    "Looks at metrics over time, point by point and at past points only, and says where one\n"
    "stands out or where its level moved.\n"
    "\n"
    "  anomaly --for 300 http://127.0.0.1:8081/metrics       a running server, for five minutes\n"
    "  anomaly http://127.0.0.1:8081/api/history.csv?from=-900\n"
    "  bulkheadctl history --csv > h.csv; anomaly --plot h.svg h.csv\n"
    "  anomaly --metric p95_ms --metric errors_per_s var/metrics.db\n"
    "\n"
    "Source\n"
    "  FILE.csv              time,NAME,...; a time is 2026-01-31T23:59:59Z, the same without T "
    "and\n"
    "                        Z, or seconds since 1970; an empty cell is a gap, never a zero\n"
    "  metrics.db            the console's, in the data directory; may be in use\n"
    "  URL                   of a CSV: read once. Of anything else: Prometheus text, read once a\n"
    "                        second; counters become rates, histograms p50 and p95\n"
    "  --for S               how long to read it (default 60); Ctrl-C ends it early\n"
    "  --record FILE.csv     keep what was read\n"
    "  --learn FILE.csv      what was before, as usual: compared with, not judged. Without it the\n"
    "                        first 30 points raise nothing\n"
    "\n"
    "What\n"
    "  --metric NAME         repeatable; without it the usual ones below, or all of a file that\n"
    "                        has none of those; what --truth names is looked at in any case\n"
    "  --preset lab          points a second apart: window 120, level of 5, score 4, an alarm "
    "when\n"
    "                        3 of 5 points score it (default)\n"
    "  --preset batch        points minutes apart: window 2016, level of 12, score 7, 72 points\n"
    "                        between alarms, the daily profile taken out when there is one\n"
    "  --least-step X        smaller departures are no anomaly, in the metric's unit; for metrics\n"
    "                        whose unit is not known from their name, see below. 0: none\n"
    "\n"
    "Output\n"
    "  --json                NDJSON: \"alarm\" lines and a \"summary\"; while a URL is polled also "
    "a\n"
    "                        \"raised\" line at once\n"
    "  --plot FILE.svg       a picture: values, alarms, what was broken\n"
    "  --truth FILE          hold the alarms against what was broken on purpose: recall, "
    "precision,\n"
    "                        delay. {\"faults\": [{\"fault\": \"kill storm\", \"from\": T, \"to\": "
    "T,\n"
    "                        \"anomaly\": [{\"metric\": \"deaths_per_s\", \"expected\": true}]}]}\n"
    "  --fail-on             exit 99 when an alarm was raised\n"
    "  --nab DIR             a checkout of the Numenta Anomaly Benchmark: print the score\n"
    "\n"
    "Exit: 0 done, 99 --fail-on and an alarm, 75 not read now (may pass), 78 command line or "
    "input.\n";

static void print_help(void)
{
    fputs(help, stdout);
    puts("\nLeast steps (preset lab), the first that matches");
    floors_print(stdout);
    puts("\nThe usual metrics");
    for (const char *const *name = floors_default_metrics; *name; name++)
        printf("  %s", *name);
    putchar('\n');
}

static double parse_number(const char *flag, const char *text, double least, double most)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= least && number <= most))
        errx(EXIT_CONFIGURATION, "--%s: %s is not a number from %g to %g", flag, text, least, most);
    return number;
}

static void take_metric(struct arguments *arguments, const char *name)
{
    if (arguments->metric_count == ARGUMENTS_METRICS_MAX)
        errx(EXIT_CONFIGURATION, "--metric: more than %d", ARGUMENTS_METRICS_MAX);
    arguments->metrics[arguments->metric_count++] = name;
}

static void take_preset(struct arguments *arguments, const char *name)
{
    arguments->preset = detector_preset_named(name);
    if (!arguments->preset)
        errx(EXIT_CONFIGURATION, "--preset: %s is neither lab nor batch", name);
}

static void take_option(struct arguments *arguments, int option, const char *value)
{
    switch (option) {
    case OPTION_METRIC:
        take_metric(arguments, value);
        break;
    case OPTION_PRESET:
        take_preset(arguments, value);
        break;
    case OPTION_LEAST_STEP:
        arguments->least_step = parse_number("least-step", value, 0, 1e15);
        break;
    case OPTION_FOR:
        arguments->for_s = (unsigned)parse_number("for", value, 1, 604800);
        break;
    case OPTION_FAIL_ON:
        arguments->fail_on = true;
        break;
    case OPTION_JSON:
        arguments->json = true;
        break;
    case OPTION_PLOT:
        arguments->plot = value;
        break;
    case OPTION_TRUTH:
        arguments->truth = value;
        break;
    case OPTION_LEARN:
        arguments->learn = value;
        break;
    case OPTION_RECORD:
        arguments->record = value;
        break;
    case OPTION_NAB:
        arguments->nab = value;
        break;
    case 'h':
        print_help();
        exit(0);
    case 'V':
        puts("anomaly " VERSION);
        exit(0);
    default:
        errx(EXIT_CONFIGURATION, "try anomaly --help");
    }
}

void arguments_parse(struct arguments *arguments, int argc, char **argv)
{
    int option;
    *arguments = (struct arguments){.preset = &detector_lab, .least_step = -1, .for_s = 60};
    while ((option = getopt_long(argc, argv, "hV", long_options, NULL)) != -1)
        take_option(arguments, option, optarg);
    if (arguments->nab && optind < argc)
        errx(EXIT_CONFIGURATION, "--nab DIR stands alone: %s is not expected", argv[optind]);
    if (!arguments->nab && argc - optind != 1)
        errx(EXIT_CONFIGURATION, "one FILE.csv, metrics.db or URL is expected: try anomaly --help");
    arguments->source = argv[optind];
}
