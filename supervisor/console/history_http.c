/* SPDX-License-Identifier: MIT */
#include "supervisor/console/history_http.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/json_out.h"
#include "supervisor/console/history.h"
#include "supervisor/console/history_query.h"

#define NUMBER_SIZE 32
#define NAMES_SIZE  8192 /* of all series, with units */
#define SLO_SIZE    4096

static int64_t wall_second(void)
{
    return (int64_t)(clock_wall_ns() / NS_PER_S);
}

static void put_text(struct reply_stream *stream, const char *text)
{
    reply_stream_put(stream, text, strlen(text));
}

static void put_time(struct reply_stream *stream, int64_t time)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, time);
    put_text(stream, text);
}

/* A value in six digits, `none` for null. */
static void put_value(struct reply_stream *stream, float value, const char *none)
{
    char text[NUMBER_SIZE];
    if (!isfinite(value))
        snprintf(text, sizeof text, "%s", none);
    else if (value == rintf(value) && fabsf(value) < 1e15f)
        snprintf(text, sizeof text, "%.0f", (double)value);
    else
        snprintf(text, sizeof text, "%.6g", (double)value);
    put_text(stream, text);
}

/* Parse, or answer what is wrong. 0, or the status sent. */
static int parse(struct reply *reply, const struct mg_request_info *request, unsigned allowed,
                 struct history_query *query)
{
    char error[QUERY_ERROR_SIZE];
    if (history_query_parse(request->query_string, wall_second(), allowed, query, error) == 0)
        return 0;
    return reply_problem(reply, 400, "bad-query", error, "");
}

/* The first time of a row at or after one. */
static int64_t first_row(const struct history_query *query)
{
    int64_t step = query->step;
    return (query->from + step - 1) / step * step;
}

/* ---- history ------------------------------------------------------------------------------- */

static void put_names(struct reply_stream *stream, const struct history_query *query)
{
    char text[NAMES_SIZE];
    struct json_out json;
    json_out_init(&json, text, sizeof text);
    json_object_begin(&json);
    json_key_uint(&json, "step", query->step);
    json_key_int(&json, "from", query->from);
    json_key_int(&json, "to", query->to);
    json_key(&json, "series");
    json_array_begin(&json);
    for (unsigned i = 0; i < query->series_count; i++)
        json_text(&json, series[query->series[i]].name);
    json_array_end(&json);
    json_key(&json, "units");
    json_array_begin(&json);
    for (unsigned i = 0; i < query->series_count; i++)
        json_text(&json, series[query->series[i]].unit);
    json_array_end(&json);
    json_key(&json, "rows");
    json_array_begin(&json);
    reply_stream_put(stream, text, json.length);
}

int serve_history(struct reply *reply, const struct mg_request_info *request)
{
    struct history_query query;
    struct reply_stream stream;
    float values[SERIES_NUMBER];
    const char *comma = "";
    int status = parse(reply, request, QUERY_ALL, &query);
    if (status)
        return status;
    reply_stream_begin(&stream, reply, "application/json", "");
    put_names(&stream, &query);
    for (int64_t t = first_row(&query); t <= query.to && !stream.failed; t += query.step) {
        if (!history_row(query.step, t, values))
            continue;
        put_text(&stream, comma);
        put_text(&stream, "[");
        put_time(&stream, t);
        for (unsigned i = 0; i < query.series_count; i++) {
            put_text(&stream, ",");
            put_value(&stream, values[query.series[i]], "null");
        }
        put_text(&stream, "]");
        comma = ",";
    }
    put_text(&stream, "]}");
    return reply_stream_end(&stream);
}

static void put_rfc3339(struct reply_stream *stream, int64_t t)
{
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)t;
    gmtime_r(&seconds, &tm);
    reply_stream_put(stream, text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm));
}

/* RFC 4180, but for its line ends: nothing in it needs quotes. */
int serve_history_csv(struct reply *reply, const struct mg_request_info *request)
{
    struct history_query query;
    struct reply_stream stream;
    float values[SERIES_NUMBER];
    int status = parse(reply, request, QUERY_ALL, &query);
    if (status)
        return status;
    reply_stream_begin(&stream, reply, "text/csv; charset=utf-8; header=present", "");
    put_text(&stream, "time");
    for (unsigned i = 0; i < query.series_count; i++) {
        put_text(&stream, ",");
        put_text(&stream, series[query.series[i]].name);
    }
    put_text(&stream, "\n");
    for (int64_t t = first_row(&query); t <= query.to && !stream.failed; t += query.step) {
        if (!history_row(query.step, t, values))
            continue;
        put_rfc3339(&stream, t);
        for (unsigned i = 0; i < query.series_count; i++) {
            put_text(&stream, ",");
            put_value(&stream, values[query.series[i]], "");
        }
        put_text(&stream, "\n");
    }
    return reply_stream_end(&stream);
}

/* ---- components ---------------------------------------------------------------------------- */

static void put_cell(struct reply_stream *stream, const float cell[CELL_VALUES])
{
    if (isnan(cell[CELL_REQUESTS_PER_S])) {
        put_text(stream, "null");
        return;
    }
    for (unsigned i = 0; i < CELL_VALUES; i++) {
        put_text(stream, i ? "," : "[");
        put_value(stream, cell[i], "null");
    }
    put_text(stream, "]");
}

static void put_component_names(struct reply_stream *stream, unsigned workers)
{
    char text[NAMES_SIZE];
    struct json_out json;
    json_out_init(&json, text, sizeof text);
    json_object_begin(&json);
    json_key_uint(&json, "step", 1);
    json_key(&json, "components");
    components_describe(&json, workers);
    json_key(&json, "values");
    json_array_begin(&json);
    json_text(&json, "requests_per_s");
    json_text(&json, "error_share");
    json_text(&json, "p95_ms");
    json_array_end(&json);
    json_key(&json, "rows");
    json_array_begin(&json);
    reply_stream_put(stream, text, json.length);
}

int serve_components(struct reply *reply, const struct mg_request_info *request)
{
    struct history_query query;
    struct reply_stream stream;
    float cells[COMPONENTS_MAX][CELL_VALUES];
    unsigned workers = history_workers();
    const char *comma = "";
    int status = parse(reply, request, QUERY_FROM, &query);
    if (status)
        return status;
    if (query.from <= query.to - HISTORY_COMPONENT_ROWS)
        query.from = query.to - HISTORY_COMPONENT_ROWS + 1;
    reply_stream_begin(&stream, reply, "application/json", "");
    put_component_names(&stream, workers);
    for (int64_t t = query.from; t <= query.to && !stream.failed; t++) {
        if (!history_components(t, cells))
            continue;
        put_text(&stream, comma);
        put_text(&stream, "{\"t\":");
        put_time(&stream, t);
        put_text(&stream, ",\"cells\":[");
        for (unsigned i = 0; i < COMPONENT_WORKER + workers; i++) {
            put_text(&stream, i ? "," : "");
            put_cell(&stream, cells[i]);
        }
        put_text(&stream, "]}");
        comma = ",";
    }
    put_text(&stream, "]}");
    return reply_stream_end(&stream);
}

/* ---- service level objectives -------------------------------------------------------------- */

static void put_objective(struct json_out *json, const struct slo_verdict *verdict)
{
    json_object_begin(json);
    json_key_string(json, "name", verdict->name);
    json_key_double(json, "objective", verdict->objective);
    if (verdict->threshold_ms)
        json_key_uint(json, "threshold_ms", verdict->threshold_ms);
    json_key_uint(json, "period_s", SLO_PERIOD_S);
    json_key_uint(json, "good", verdict->good);
    json_key_uint(json, "total", verdict->total);
    json_key_double(json, "budget_left", verdict->budget_left);
    json_key(json, "alerts");
    json_array_begin(json);
    for (unsigned i = 0; i < SLO_ALERTS; i++) {
        const struct slo_alert *alert = &verdict->alert[i];
        json_object_begin(json);
        json_key_double(json, "burn", alert->burn);
        json_key_uint(json, "long_s", alert->long_s);
        json_key_uint(json, "short_s", alert->short_s);
        json_key_double(json, "long_burn", alert->long_burn);
        json_key_double(json, "short_burn", alert->short_burn);
        json_key_bool(json, "firing", alert->firing);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

int serve_slo(struct reply *reply, const struct mg_request_info *request)
{
    char text[SLO_SIZE], error[QUERY_ERROR_SIZE];
    struct history_query none;
    struct json_out json;
    if (history_query_parse(request->query_string, 0, 0, &none, error) < 0)
        return reply_problem(reply, 400, "bad-query", error, "");
    json_out_init(&json, text, sizeof text);
    json_object_begin(&json);
    json_key_uint(&json, "scale", SLO_SCALE);
    json_key(&json, "slos");
    json_array_begin(&json);
    for (unsigned i = 0; i < SLO_OBJECTIVES; i++) {
        struct slo_verdict verdict;
        history_slo((enum slo_objective)i, &verdict);
        put_objective(&json, &verdict);
    }
    json_array_end(&json);
    json_object_end(&json);
    return reply_send(reply, 200, "application/json", "", text, json.length);
}
