/* SPDX-License-Identifier: MIT */
#include "tools/anomaly/show.h"

#include "common/json_out.h"
#include "tools/anomaly/moment.h"

#define LINE_BYTES 2048

void show_raised(FILE *out, const struct alarm *alarm)
{
    char at[MOMENT_SIZE];
    moment_print(at, alarm->from_s);
    fprintf(out, "%s  %s is %.4g, expected about %.4g (score %.1f)\n", at, alarm->metric,
            alarm->value, alarm->expected, alarm->score);
    fflush(out);
}

/* ---- for a person ------------------------------------------------------------------------ */

static void print_alarms(FILE *out, const struct analysis *analysis)
{
    char at[MOMENT_SIZE];
    fprintf(out, "%-20s  %7s  %-24s %10s %10s %7s %7s\n", "raised", "lasted", "metric", "value",
            "expected", "score", "peak");
    for (size_t i = 0; i < analysis->alarm_count; i++) {
        const struct alarm *alarm = &analysis->alarms[i];
        moment_print(at, alarm->from_s);
        fprintf(out, "%-20s  %5lld s%s  %-24s %10.4g %10.4g %7.1f %7.1f\n", at,
                (long long)(alarm->until_s - alarm->from_s), alarm->under_way ? "+" : " ",
                alarm->metric, alarm->value, alarm->expected, alarm->score, alarm->peak_score);
    }
}

static void print_truths(FILE *out, const struct shown *shown)
{
    fprintf(out, "\n%-20s %-24s %-8s %s\n", "fault", "metric", "expected", "delay");
    for (size_t i = 0; i < shown->truth_count; i++) {
        const struct truth *truth = &shown->truths[i];
        fprintf(out, "%-20s %-24s %-8s ", truth->fault, truth->metric,
                truth->expected ? "alarm" : "nothing");
        if (truth->found)
            fprintf(out, "%.1f s%s\n", truth->delay_s, truth->expected ? "" : "  FALSE");
        else
            fprintf(out, "%s\n", truth->expected ? "MISSED" : "-");
    }
    const struct evaluation *evaluation = shown->evaluation;
    fprintf(out,
            "recall %.3f (%u of %u), precision %.3f (%u of %u alarms, %u more not judged), delay "
            "mean %.1f s, worst %.1f s\n",
            evaluation->recall, evaluation->found, evaluation->expected, evaluation->precision,
            evaluation->true_alarms, evaluation->true_alarms + evaluation->false_alarms,
            evaluation->unjudged, evaluation->mean_delay_s, evaluation->worst_delay_s);
}

void show_table(FILE *out, const struct shown *shown)
{
    const struct analysis *analysis = shown->analysis;
    const struct table *table = analysis->table;
    size_t fewest = table->rows;
    for (unsigned i = 0; i < analysis->watched_count; i++)
        if (analysis->watched[i].points < fewest)
            fewest = analysis->watched[i].points;
    if (analysis->alarm_count > 0)
        print_alarms(out, analysis);
    fprintf(out, "%s%s: %zu alarm%s, %zu rows of %g s, %u metrics, preset %s\n",
            analysis->alarm_count > 0 ? "\n" : "", shown->source, analysis->alarm_count,
            analysis->alarm_count == 1 ? "" : "s", table->rows, shown->step_s,
            analysis->watched_count, analysis->preset->name);
    if (fewest <= analysis->preset->warm_up)
        fprintf(out, "The first %u points of a metric are not scored; one metric has %zu.\n",
                analysis->preset->warm_up, fewest);
    if (shown->truths)
        print_truths(out, shown);
}

/* ---- for a program ----------------------------------------------------------------------- */

static void key_time(struct json_out *json, const char *key, int64_t time_s)
{
    char text[MOMENT_SIZE];
    moment_print(text, time_s);
    json_key_string(json, key, text);
}

static void end_line(FILE *out, struct json_out *json)
{
    json_object_end(json);
    fprintf(out, "%s\n", json->overflow ? "{\"event\":\"overflow\"}" : json->buffer);
}

static void begin_line(struct json_out *json, char buffer[LINE_BYTES], const char *event)
{
    json_out_init(json, buffer, LINE_BYTES);
    json_object_begin(json);
    json_key_string(json, "event", event);
}

static void write_alarm(FILE *out, const struct alarm *alarm, const char *event)
{
    char buffer[LINE_BYTES];
    struct json_out json;
    begin_line(&json, buffer, event);
    json_key_string(&json, "metric", alarm->metric);
    key_time(&json, "at", alarm->from_s);
    key_time(&json, "until", alarm->until_s);
    json_key_bool(&json, "under_way", alarm->under_way);
    json_key_double(&json, "value", alarm->value);
    json_key_double(&json, "expected", alarm->expected);
    json_key_double(&json, "score", alarm->score);
    json_key_double(&json, "peak_score", alarm->peak_score);
    end_line(out, &json);
}

void show_raised_ndjson(FILE *out, const struct alarm *alarm)
{
    write_alarm(out, alarm, "raised");
    fflush(out);
}

static void write_truth(FILE *out, const struct truth *truth)
{
    char buffer[LINE_BYTES];
    struct json_out json;
    begin_line(&json, buffer, "truth");
    json_key_string(&json, "fault", truth->fault);
    json_key_string(&json, "metric", truth->metric);
    json_key_bool(&json, "expected", truth->expected);
    json_key_bool(&json, "found", truth->found);
    json_key(&json, "delay_s");
    if (truth->found)
        json_double(&json, truth->delay_s);
    else
        json_none(&json);
    end_line(out, &json);
}

static void write_evaluation(struct json_out *json, const struct evaluation *evaluation)
{
    json_key_double(json, "recall", evaluation->recall);
    json_key_double(json, "precision", evaluation->precision);
    json_key_double(json, "mean_delay_s", evaluation->mean_delay_s);
    json_key_double(json, "worst_delay_s", evaluation->worst_delay_s);
    json_key_uint(json, "expected", evaluation->expected);
    json_key_uint(json, "found", evaluation->found);
    json_key_uint(json, "true_alarms", evaluation->true_alarms);
    json_key_uint(json, "false_alarms", evaluation->false_alarms);
    json_key_uint(json, "unjudged", evaluation->unjudged);
}

void show_ndjson(FILE *out, const struct shown *shown)
{
    char buffer[LINE_BYTES];
    struct json_out json;
    const struct analysis *analysis = shown->analysis;
    const struct table *table = analysis->table;
    for (size_t i = 0; i < analysis->alarm_count; i++)
        write_alarm(out, &analysis->alarms[i], "alarm");
    for (size_t i = 0; shown->truths && i < shown->truth_count; i++)
        write_truth(out, &shown->truths[i]);
    begin_line(&json, buffer, "summary");
    json_key_string(&json, "source", shown->source);
    json_key_string(&json, "preset", analysis->preset->name);
    json_key_uint(&json, "metrics", analysis->watched_count);
    json_key_uint(&json, "rows", table->rows);
    json_key_double(&json, "step_s", shown->step_s);
    if (table->rows > 0) {
        key_time(&json, "from", table->time_s[0]);
        key_time(&json, "to", table->time_s[table->rows - 1]);
    }
    json_key_uint(&json, "alarms", analysis->alarm_count);
    if (shown->truths)
        write_evaluation(&json, shown->evaluation);
    end_line(out, &json);
}
