/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/report.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "tools/loadtest/memory.h"

#define ROW_BYTES 32768 /* every status there is, once */

struct report {
    struct statistics *statistics;
    uint64_t duration_ns;
    uint64_t start_wall_us;
    uint64_t second; /* index of the one under way */
    double rate;     /* of the phase; 0: one rate for all */
    int directory_fd;
    FILE *ndjson, *csv;
    struct timeline *timeline;
    bool show_progress, broken;
};

static FILE *create(const struct report *report, const char *name)
{
    int fd = openat(report->directory_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static void write_csv_header(FILE *csv)
{
    fputs("t,wall,sent,ok,failed,attempts,in_flight,p50_ms,p95_ms,p99_ms", csv);
    for (int cause = CAUSE_REFUSED; cause < CAUSE_HTTP; cause++)
        fprintf(csv, ",%s", cause_name((enum cause)cause));
    fputs(",http_3xx,http_4xx,http_5xx\n", csv);
}

struct report *report_open(const char *directory, struct statistics *statistics,
                           uint64_t duration_ns, bool show_progress)
{
    struct report *report = memory_zeroed(1, sizeof *report);
    *report = (struct report){.statistics = statistics,
                              .duration_ns = duration_ns,
                              .directory_fd = -1,
                              .show_progress = show_progress};
    if (!directory)
        return report;
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        goto failed;
    report->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (report->directory_fd < 0)
        goto failed;
    report->ndjson = create(report, "seconds.ndjson");
    report->csv = create(report, "seconds.csv");
    if (!report->ndjson || !report->csv)
        goto failed;
    /* A summary of an earlier run must not stand beside the seconds of this one. */
    if (unlinkat(report->directory_fd, "summary.json", 0) < 0 && errno != ENOENT)
        goto failed;
    if (unlinkat(report->directory_fd, "report.html", 0) < 0 && errno != ENOENT)
        goto failed;
    report->timeline = timeline_open();
    write_csv_header(report->csv);
    return report;

failed:;
    int error = errno;
    report_close(report);
    errno = error;
    return NULL;
}

void report_close(struct report *report)
{
    if (report->ndjson)
        fclose(report->ndjson);
    if (report->csv)
        fclose(report->csv);
    if (report->directory_fd >= 0)
        close(report->directory_fd);
    if (report->timeline)
        timeline_close(report->timeline);
    free(report);
}

void report_start(struct report *report, uint64_t start_wall_us)
{
    report->start_wall_us = start_wall_us;
}

void report_rate(struct report *report, double rate)
{
    report->rate = rate;
}

void report_failures(struct json_out *json, const struct failures *failures)
{
    json_object_begin(json);
    for (int cause = CAUSE_REFUSED; cause < CAUSE_HTTP; cause++)
        json_key_uint(json, cause_name((enum cause)cause), failures->cause[cause]);
    for (int status = 0; status < STATUS_LIMIT; status++) {
        char key[24];
        if (failures->status[status] == 0)
            continue;
        snprintf(key, sizeof key, "http_%03d", status);
        json_key_uint(json, key, failures->status[status]);
    }
    json_object_end(json);
}

static void write_ndjson(struct report *report, const char *wall, uint64_t in_flight)
{
    const struct tally *second = &report->statistics->second;
    char row[ROW_BYTES];
    struct json_out json;
    json_out_init(&json, row, sizeof row);
    json_object_begin(&json);
    json_key_uint(&json, "t", report->second);
    json_key_string(&json, "wall", wall);
    json_key_uint(&json, "sent", second->sent);
    json_key_uint(&json, "ok", second->ok);
    json_key_uint(&json, "failed", second->failed);
    json_key_uint(&json, "attempts", second->attempts);
    json_key_uint(&json, "in_flight", in_flight);
    json_key_double(&json, "p50_ms", statistics_percentile_ms(&second->latency_us, 50));
    json_key_double(&json, "p95_ms", statistics_percentile_ms(&second->latency_us, 95));
    json_key_double(&json, "p99_ms", statistics_percentile_ms(&second->latency_us, 99));
    json_key_uint(&json, "refused", second->attempt_failures.cause[CAUSE_REFUSED]);
    json_key(&json, "errors");
    report_failures(&json, &second->attempt_failures);
    json_object_end(&json);
    fprintf(report->ndjson, "%s\n", row);
    fflush(report->ndjson);
}

static void write_csv_percentile(FILE *csv, const struct histogram_sum *latency_us, double percent)
{
    if (latency_us->count > 0)
        fprintf(csv, ",%.3f", statistics_percentile_ms(latency_us, percent));
    else
        fputc(',', csv); /* empty: not measured, which is not 0 */
}

static void write_csv(struct report *report, const char *wall, uint64_t in_flight)
{
    const struct tally *second = &report->statistics->second;
    const struct failures *failures = &second->attempt_failures;
    FILE *csv = report->csv;
    fprintf(csv, "%llu,%s,%llu,%llu,%llu,%llu,%llu", (unsigned long long)report->second, wall,
            (unsigned long long)second->sent, (unsigned long long)second->ok,
            (unsigned long long)second->failed, (unsigned long long)second->attempts,
            (unsigned long long)in_flight);
    write_csv_percentile(csv, &second->latency_us, 50);
    write_csv_percentile(csv, &second->latency_us, 95);
    write_csv_percentile(csv, &second->latency_us, 99);
    for (int cause = CAUSE_REFUSED; cause < CAUSE_HTTP; cause++)
        fprintf(csv, ",%llu", (unsigned long long)failures->cause[cause]);
    for (int hundred = 3; hundred <= 5; hundred++)
        fprintf(csv, ",%llu", (unsigned long long)failures_of_class(failures, hundred));
    fputc('\n', csv);
    fflush(csv);
}

static void show(const struct report *report, uint64_t elapsed_ns, uint64_t in_flight)
{
    const struct tally *second = &report->statistics->second;
    const struct tally *total = &report->statistics->total;
    char p95[24] = "-";
    if (second->latency_us.count > 0)
        snprintf(p95, sizeof p95, "%.1f ms", statistics_percentile_ms(&second->latency_us, 95));
    char asked[32] = "";
    if (report->rate > 0)
        snprintf(asked, sizeof asked, " of %g", report->rate);
    uint64_t left_ns = report->duration_ns > elapsed_ns ? report->duration_ns - elapsed_ns : 0;
    fprintf(stderr, "\r\033[K%llu%s/s  p95 %s  in flight %llu  errors %llu (%.2f %%)  ",
            (unsigned long long)second->ok, asked, p95, (unsigned long long)in_flight,
            (unsigned long long)total->failed, 100 * statistics_error_rate(total));
    if (left_ns > 0)
        fprintf(stderr, "%llu s left", (unsigned long long)((left_ns + NS_PER_S / 2) / NS_PER_S));
    else
        fputs("waiting for the last answers", stderr);
}

void report_second(struct report *report, uint64_t elapsed_ns, uint64_t in_flight)
{
    char wall[CLOCK_RFC3339_SIZE];
    clock_rfc3339(wall, report->start_wall_us + report->second * US_PER_S);
    if (report->ndjson) {
        write_ndjson(report, wall, in_flight);
        write_csv(report, wall, in_flight);
    }
    if (report->timeline)
        timeline_add(report->timeline, report->second, report->statistics);
    if (report->show_progress)
        show(report, elapsed_ns, in_flight);
    statistics_next_second(report->statistics);
    report->second += 1;
}

void report_last_second(struct report *report, uint64_t elapsed_ns, uint64_t in_flight)
{
    const struct tally *second = &report->statistics->second;
    if (second->sent > 0 || second->ok > 0 || second->failed > 0 || second->attempts > 0)
        report_second(report, elapsed_ns, in_flight);
    if (report->show_progress)
        fputs("\r\033[K", stderr);
}

FILE *report_create(struct report *report, const char *name)
{
    if (report->directory_fd < 0)
        return NULL;
    FILE *file = create(report, name);
    report->broken |= !file;
    return file;
}

const struct timeline *report_timeline(const struct report *report)
{
    return report->timeline;
}

void report_broken(struct report *report)
{
    report->broken = true;
}

void report_summary(struct report *report, const char *json)
{
    FILE *file = report_create(report, "summary.json");
    if (!file)
        return;
    bool written = fprintf(file, "%s\n", json) > 0;
    if (fclose(file) != 0 || !written)
        report->broken = true;
}

bool report_written(struct report *report)
{
    return !report->broken && (!report->ndjson || !ferror(report->ndjson)) &&
           (!report->csv || !ferror(report->csv));
}
