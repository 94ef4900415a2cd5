/* SPDX-License-Identifier: MIT */
/*
 * anomaly: its life on one screen. Options; the truths; the source, read row by row through the
 * detectors; what was found.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_codes.h"
#include "tools/anomaly/analysis.h"
#include "tools/anomaly/arguments.h"
#include "tools/anomaly/floors.h"
#include "tools/anomaly/moment.h"
#include "tools/anomaly/nab.h"
#include "tools/anomaly/plot.h"
#include "tools/anomaly/read_csv.h"
#include "tools/anomaly/read_db.h"
#include "tools/anomaly/show.h"
#include "tools/anomaly/truth_file.h"
#include "tools/anomaly/watch_url.h"

#define STEP_OF_URL_S 1.0

static volatile sig_atomic_t asked_to_end;

struct session {
    const struct arguments *arguments;
    struct table table;
    struct analysis analysis;
    struct truth_list truths;
    struct problem problem;
    double step_s;
};

static void on_signal(int number)
{
    asked_to_end = number;
}

/* ---- which metrics ----------------------------------------------------------------------- */

/* The names there are, as many as a message holds. */
static void list_columns(const struct table *table, char *out, size_t size)
{
    size_t length = 0;
    *out = '\0';
    for (unsigned column = 0; column < table->columns; column++) {
        int written = snprintf(out + length, size - length, " %s", table->names[column]);
        if (written < 0 || (size_t)written >= size - length) {
            snprintf(out + (size > 5 ? size - 5 : 0), 5, " ...");
            return;
        }
        length += (size_t)written;
    }
}

static int watch(struct session *session, unsigned column)
{
    if (analysis_watch(&session->analysis, column, session->arguments->least_step,
                       session->step_s) < 0)
        return problem_set(&session->problem, EXIT_TEMPORARY, "no memory for the detectors");
    return 0;
}

static int watch_named(struct session *session)
{
    char there[3800];
    for (unsigned i = 0; i < session->arguments->metric_count; i++) {
        int column = table_column(&session->table, session->arguments->metrics[i]);
        if (column < 0) {
            list_columns(&session->table, there, sizeof there);
            return problem_set(&session->problem, EXIT_CONFIGURATION,
                               "--metric %.80s: there is none of this name; there are:%s",
                               session->arguments->metrics[i], there);
        }
        if (watch(session, (unsigned)column) < 0)
            return -1;
    }
    return 0;
}

static bool is_watched(const struct analysis *analysis, unsigned column)
{
    for (unsigned i = 0; i < analysis->watched_count; i++)
        if (analysis->watched[i].column == column)
            return true;
    return false;
}

static int no_such_truth(struct session *session, const struct truth *truth)
{
    char there[3400];
    list_columns(&session->table, there, sizeof there);
    return problem_set(&session->problem, EXIT_CONFIGURATION,
                       "%.200s, %s: metric %s: %.200s has none of this name; there are:%s",
                       session->arguments->truth, truth->fault, truth->metric,
                       session->arguments->source, there);
}

/* What a truth speaks of is looked at as well: otherwise it would be missed, or quiet, for that
 * alone. What the data does not have can be neither. */
static int watch_truths(struct session *session)
{
    for (size_t i = 0; i < session->truths.count; i++) {
        const struct truth *truth = &session->truths.all[i];
        int column = table_column(&session->table, truth->metric);
        if (column < 0)
            return no_such_truth(session, truth);
        if (!is_watched(&session->analysis, (unsigned)column) &&
            watch(session, (unsigned)column) < 0)
            return -1;
    }
    return 0;
}

static int choose_metrics(struct session *session)
{
    int result = 0;
    if (session->arguments->metric_count > 0)
        return watch_named(session);
    for (const char *const *name = floors_default_metrics; *name && result == 0; name++) {
        int column = table_column(&session->table, *name);
        if (column >= 0)
            result = watch(session, (unsigned)column);
    }
    if (session->analysis.watched_count > 0)
        return result;
    for (unsigned column = 0; column < session->table.columns && result == 0; column++)
        result = watch(session, column);
    return result;
}

static int learn(struct session *session)
{
    struct table before = {0};
    if (!session->arguments->learn)
        return 0;
    int result = read_csv_file(session->arguments->learn, CSV_ORDERED, &before, &session->problem);
    if (result == 0)
        analysis_learn(&session->analysis, &before);
    table_free(&before);
    return result;
}

/* Called when the columns are known. */
static int begin(void *context)
{
    struct session *session = context;
    session->analysis.preset = session->arguments->preset;
    session->analysis.table = &session->table;
    int result = choose_metrics(session);
    if (result == 0)
        result = watch_truths(session);
    return result == 0 ? learn(session) : result;
}

/* ---- the source -------------------------------------------------------------------------- */

static int take_row(void *context, size_t row)
{
    struct session *session = context;
    int raised = analysis_take(&session->analysis, row);
    if (raised < 0)
        return problem_set(&session->problem, EXIT_TEMPORARY, "no memory for the alarms");
    return 0;
}

/* The same while it is still running: what was raised is told at once. */
static int take_live_row(void *context, size_t row)
{
    struct session *session = context;
    size_t before = session->analysis.alarm_count;
    int result = take_row(session, row);
    for (size_t i = before; i < session->analysis.alarm_count; i++) {
        if (session->arguments->json)
            show_raised_ndjson(stdout, &session->analysis.alarms[i]);
        else
            show_raised(stderr, &session->analysis.alarms[i]);
    }
    return result;
}

static int watch_live(struct session *session)
{
    struct sigaction end = {.sa_handler = on_signal};
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    session->step_s = STEP_OF_URL_S;
    return url_watch(&(struct url_watcher){.url = session->arguments->source,
                                           .for_s = session->arguments->for_s,
                                           .asked = &asked_to_end,
                                           .begin = begin,
                                           .row = take_live_row,
                                           .context = session},
                     &session->table, &session->problem);
}

static bool is_database(const char *path)
{
    char magic[16] = "";
    FILE *file = fopen(path, "re");
    size_t length = strlen(path), got = file ? fread(magic, 1, sizeof magic, file) : 0;
    if (file)
        fclose(file);
    return (got == sizeof magic && memcmp(magic, "SQLite format 3", sizeof magic) == 0) ||
           (length > 3 && strcmp(path + length - 3, ".db") == 0);
}

static int read_source(struct session *session)
{
    const char *source = session->arguments->source;
    int result;
    if (url_is(source) && !url_is_csv(source))
        return watch_live(session);
    if (url_is(source))
        result = url_read_csv(source, &session->table, &session->problem);
    else if (is_database(source))
        result = read_db_file(source, &session->table, &session->problem);
    else
        result = read_csv_file(source, CSV_ORDERED, &session->table, &session->problem);
    if (session->table.cut_short && result == 0)
        warnx("%s: the last line has no line end and was left out", source);
    if (session->table.set_back > 0 && result == 0)
        warnx("%s: %zu rows are not after the row before: a clock set back?", source,
              session->table.set_back);
    session->step_s = table_step_s(&session->table);
    if (result == 0)
        result = begin(session);
    for (size_t row = 0; row < session->table.rows && result == 0; row++)
        result = take_row(session, row);
    return result;
}

/* ---- what was found ---------------------------------------------------------------------- */

static int record(struct session *session)
{
    const struct table *table = &session->table;
    char time[MOMENT_SIZE];
    FILE *file = fopen(session->arguments->record, "we");
    if (!file)
        return problem_set(&session->problem, EXIT_TEMPORARY, "--record %s: %s",
                           session->arguments->record, strerror(errno));
    fputs("time", file);
    for (unsigned column = 0; column < table->columns; column++)
        fprintf(file, ",%s", table->names[column]);
    for (size_t row = 0; row < table->rows; row++) {
        moment_print(time, table->time_s[row]);
        fprintf(file, "\n%s", time);
        for (unsigned column = 0; column < table->columns; column++) {
            double value = table_cell(table, row, column);
            if (isfinite(value))
                fprintf(file, ",%.10g", value);
            else
                fputc(',', file);
        }
    }
    fputc('\n', file);
    if (ferror(file) | fclose(file))
        return problem_set(&session->problem, EXIT_TEMPORARY, "--record %s: not written completely",
                           session->arguments->record);
    return 0;
}

static struct evaluation hold_against(const struct session *session)
{
    const struct analysis *analysis = &session->analysis;
    struct raised_alarm *raised = calloc(analysis->alarm_count + 1, sizeof *raised);
    if (!raised)
        err(EXIT_TEMPORARY, "the evaluation");
    for (size_t i = 0; i < analysis->alarm_count; i++)
        raised[i] = (struct raised_alarm){.metric = analysis->alarms[i].metric,
                                          .at_s = (double)analysis->alarms[i].from_s};
    struct evaluation evaluation =
        evaluate(session->truths.all, session->truths.count, raised, analysis->alarm_count);
    free(raised);
    return evaluation;
}

static int tell(struct session *session)
{
    const struct arguments *arguments = session->arguments;
    struct evaluation evaluation = hold_against(session);
    struct shown shown = {
        .source = arguments->source,
        .analysis = &session->analysis,
        .step_s = session->step_s,
        .truths = session->truths.all,
        .truth_count = session->truths.count,
        .evaluation = &evaluation,
    };
    (arguments->json ? show_ndjson : show_table)(stdout, &shown);
    if (arguments->plot && plot_write(arguments->plot, &shown, &session->problem) < 0)
        return -1;
    if (arguments->record && record(session) < 0)
        return -1;
    if (fflush(stdout) != 0)
        return problem_set(&session->problem, EXIT_TEMPORARY, "standard output: %s",
                           strerror(errno));
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct session session = {.arguments = &arguments};
    arguments_parse(&arguments, argc, argv);
    int result = 0;
    if (arguments.nab)
        result = nab_run(arguments.nab, &detector_batch, &session.problem);
    else if (arguments.truth)
        result = truth_file_read(arguments.truth, &session.truths, &session.problem);
    if (result == 0 && !arguments.nab)
        result = read_source(&session);
    if (result == 0 && !arguments.nab)
        result = tell(&session);
    int exit_code = result == 0 ? EXIT_ASKED : session.problem.exit_code;
    if (result < 0)
        warnx("%s", session.problem.text);
    else if (arguments.fail_on && session.analysis.alarm_count > 0)
        exit_code = ANOMALY_RAISED;
    analysis_free(&session.analysis);
    table_free(&session.table);
    free(session.truths.all);
    return exit_code;
}
