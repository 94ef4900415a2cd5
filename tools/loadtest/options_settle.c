/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/options_given.h"

#include <err.h>
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit_codes.h"

#define PATH_LIMIT   2048
#define STEP_RATE    50.0
#define STEP_S       10.0
#define SPIKE_FACTOR 5.0

/* A threshold takes the place of an earlier one for the same metric. */
static void add_threshold(struct options *options, const char *text)
{
    struct threshold threshold;
    if (threshold_parse(text, &threshold) < 0)
        errx(EXIT_CONFIGURATION, "--threshold: cannot read '%s'; write e.g. 'p95<200'", text);
    for (unsigned i = 0; i < options->threshold_count; i++) {
        if (options->thresholds[i].metric != threshold.metric)
            continue;
        options->thresholds[i] = threshold;
        return;
    }
    if (options->threshold_count == THRESHOLD_LIMIT)
        errx(EXIT_CONFIGURATION, "--threshold: more than %d", THRESHOLD_LIMIT);
    options->thresholds[options->threshold_count++] = threshold;
}

/* A path goes into a request line as it is. */
static void check_get(struct options *options)
{
    bool good = options->get[0] == '/' && strlen(options->get) < PATH_LIMIT;
    for (const char *c = options->get; *c; c++)
        good = good && *c > ' ' && *c <= '~';
    if (!good)
        errx(EXIT_CONFIGURATION,
             "--get: %s is no path: it begins with / and is ASCII without "
             "blanks, e.g. /index.html",
             options->get);
    if (options->user || options->password_stdin || options->credentials_stdin)
        errx(EXIT_CONFIGURATION, "--get asks without a login: no --user, no --credentials-stdin");
    options->users = 1;
    options->audit = false;
}

static void check_whom(struct options *options)
{
    if (!options->url)
        errx(EXIT_CONFIGURATION, "--url is missing; try --help");
    if (target_parse(&options->target, options->url) < 0)
        errx(EXIT_CONFIGURATION, "--url: %s is not http://HOST[:PORT][/PREFIX]", options->url);
    if (options->get) {
        check_get(options);
        return;
    }
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

static void choose_mix(struct options *options, const struct given *given,
                       const struct profile *profile)
{
    const char *mix = given->mix ? given->mix : profile->mix;
    if (options->get && (given->mix || options->probe_rate[LOAD_READ] > 0))
        errx(EXIT_CONFIGURATION, "--get is all that is asked: no --mix, no read probe");
    if (options->get)
        options->plan.weight[LOAD_GET] = 1;
    else if (plan_parse_mix(mix, options->plan.weight) < 0)
        errx(EXIT_CONFIGURATION, "--mix: cannot read '%s'; write e.g. read=75,write=20,list=5",
             mix);
}

static void choose_beside(struct options *options, const struct given *given,
                          const struct profile *profile)
{
    if (given->probe_read > 0)
        options->probe_rate[LOAD_READ] = given->probe_read;
    else if (!given->no_probe_read)
        options->probe_rate[LOAD_READ] = profile->probe_read;
    if (given->probe_health > 0)
        options->probe_rate[LOAD_HEALTH] = given->probe_health;
    else if (!given->no_probe_health)
        options->probe_rate[LOAD_HEALTH] = profile->probe_health;
    unsigned slow = 0;
    for (int kind = 0; kind < SLOW_KINDS; kind++) {
        options->slow[kind] =
            given->slow[kind] >= 0 ? (unsigned)given->slow[kind] : profile->slow[kind];
        slow += options->slow[kind];
    }
    if (options->get && slow > 0)
        errx(EXIT_CONFIGURATION, "--get: slow clients talk to a bulkhead server only");
    options->connections = given->connections ? given->connections : profile->connections;
    options->allow_429 |= profile->allow_429;
}

/* A profile's thresholds come first, and only when it was named: a plain run has none. */
static void choose_thresholds(struct options *options, const struct given *given,
                              const struct profile *profile)
{
    for (unsigned i = 0; given->profile && i < PROFILE_THRESHOLDS && profile->thresholds[i]; i++)
        add_threshold(options, profile->thresholds[i]);
    for (unsigned i = 0; i < given->threshold_count; i++) {
        if (strcmp(given->thresholds[i], "none") == 0)
            options->threshold_count = 0;
        else
            add_threshold(options, given->thresholds[i]);
    }
    for (unsigned i = 0; i < options->threshold_count; i++) {
        enum metric metric = options->thresholds[i].metric;
        if (!options->audit && (metric == METRIC_LOST || metric == METRIC_DUPLICATE))
            errx(EXIT_CONFIGURATION, "--threshold %s needs the audit", metric_name(metric));
        if ((metric == METRIC_KNEE && profile->shape != SHAPE_RAMP) ||
            (metric == METRIC_RECOVERY && profile->shape != SHAPE_SPIKE))
            errx(EXIT_CONFIGURATION, "--threshold %s needs --profile %s", metric_name(metric),
                 metric == METRIC_KNEE ? "ramp" : "spike");
    }
}

static void choose_phases(struct options *options, const struct given *given,
                          const struct profile *profile)
{
    struct profile_settings settings = {
        .rate = given->rate > 0 ? given->rate : profile->rate,
        .duration_s = given->duration_s > 0 ? given->duration_s : profile->duration_s,
        .step_rate = given->step_rate > 0 ? given->step_rate : STEP_RATE,
        .step_s = given->step_s > 0 ? given->step_s : STEP_S,
        .factor = given->factor > 0 ? given->factor : SPIKE_FACTOR,
    };
    if (profile->shape != SHAPE_RAMP && (given->step_rate > 0 || given->step_s > 0))
        errx(EXIT_CONFIGURATION, "--step-rps and --step-duration need --profile ramp");
    if (profile->shape != SHAPE_SPIKE && given->factor > 0)
        errx(EXIT_CONFIGURATION, "--factor needs --profile spike");
    int count = profile_phases(profile, &settings, options->phases, PHASE_LIMIT,
                               &options->plan.duration_ns);
    if (count == -E2BIG)
        errx(EXIT_CONFIGURATION, "--step-rps %g: up to %g requests/s that is more than %d steps",
             settings.step_rate, settings.rate, PHASE_LIMIT);
    if (count < 0)
        errx(EXIT_CONFIGURATION,
             "--profile ramp: no step of %g requests/s and %g s fits into "
             "%g requests/s and %g s",
             settings.step_rate, settings.step_s, settings.rate, settings.duration_s);
    options->step_rate = settings.step_rate;
    options->step_s = settings.step_s;
    options->spike_factor = settings.factor;
    options->plan.rate = settings.rate;
    options->plan.phases = count > 0 ? options->phases : NULL;
    options->plan.phase_count = (unsigned)count;
}

static void check_together(struct options *options, const struct given *given)
{
    const struct profile *profile = profile_find(given->profile ? given->profile : "baseline");
    options->profile = profile->name;
    options->shape = profile->shape;
    options->closed = profile->shape == SHAPE_CLOSED;
    if (options->closed && (given->rate > 0 || given->arrivals))
        errx(EXIT_CONFIGURATION, "--profile closed has no intended times: no --rps, no --arrivals");
    if (given->attempts && options->retry.kind == RETRY_NONE)
        errx(EXIT_CONFIGURATION, "--attempts needs --retry");
    if (options->before_audit && !options->audit)
        errx(EXIT_CONFIGURATION, "--before-audit needs the audit");
    if (options->events && !options->out)
        errx(EXIT_CONFIGURATION, "--events is for the report: give --out DIR");
    choose_phases(options, given, profile);
    choose_beside(options, given, profile);
    choose_mix(options, given, profile);
    choose_thresholds(options, given, profile);
    if (options->closed &&
        (options->probe_rate[LOAD_READ] > 0 || options->probe_rate[LOAD_HEALTH] > 0))
        errx(EXIT_CONFIGURATION, "--profile closed has no probes");
}

bool options_need_items(const struct options *options)
{
    return options->plan.weight[LOAD_READ] > 0 || options->probe_rate[LOAD_READ] > 0;
}

void options_settle(struct options *options, const struct given *given)
{
    check_whom(options);
    check_together(options, given);
}
