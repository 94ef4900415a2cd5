/* SPDX-License-Identifier: MIT */
/* What anomaly reads: times, CSV, metrics.db, Prometheus text, truths; and what it says of input
 * that is none of these. */
#include "tests/unit/unit.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exit_codes.h"
#include "common/series.h"
#include "tools/anomaly/floors.h"
#include "tools/anomaly/moment.h"
#include "tools/anomaly/read_csv.h"
#include "tools/anomaly/read_db.h"
#include "tools/anomaly/scrape.h"
#include "tools/anomaly/truth_file.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-6)

static struct table table;
static struct problem problem;

static int clear(void **unused)
{
    (void)unused;
    table_free(&table);
    problem = (struct problem){0};
    return 0;
}

/* ---- times ------------------------------------------------------------------------------- */

static void times_are_read_and_written(void **unused)
{
    (void)unused;
    int64_t time_s = 0;
    char text[MOMENT_SIZE];
    const char *same[] = {"2014-04-11T09:00:00Z", "2014-04-11 09:00:00", "1397206800",
                          "2014-04-11 09:00:00.000000", "2014-04-11T09:00:00.25Z"};
    for (unsigned i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(moment_parse(same[i], &time_s), 0);
        assert_int_equal(time_s, 1397206800);
    }
    moment_print(text, time_s);
    assert_string_equal(text, "2014-04-11T09:00:00Z");
    const char *wrong[] = {"",
                           "x",
                           "-5",
                           "2014-04-11",
                           "2014-13-11 09:00:00",
                           "1e9",
                           "2014-04-11 09:00:00 CET",
                           "2014-04-11T09:00:00+02:00",
                           "99999999999999999999"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_true(moment_parse(wrong[i], &time_s) < 0);
}

/* ---- CSV --------------------------------------------------------------------------------- */

static int read_text(const char *text, enum csv_order order)
{
    clear(NULL);
    FILE *file = tmpfile();
    assert_non_null(file);
    fputs(text, file);
    rewind(file);
    int result = read_csv(file, "h.csv", order, &table, &problem);
    fclose(file);
    return result;
}

static void csv_is_rows_and_gaps(void **unused)
{
    (void)unused;
    assert_int_equal(
        read_text("time,a,b\r\n1970-01-01T00:01:40Z,1.5,\r\n101,,-2e3\n\n103,4,5\n", CSV_ORDERED),
        0);
    assert_int_equal(table.columns, 2);
    assert_int_equal(table.rows, 3);
    assert_int_equal(table.time_s[0], 100);
    NEAR(table_cell(&table, 0, 0), 1.5);
    assert_true(isnan(table_cell(&table, 0, 1))); /* not 0 */
    NEAR(table_cell(&table, 1, 1), -2000);
    assert_int_equal(table_column(&table, "b"), 1);
    assert_int_equal(table_column(&table, "c"), -1);
    NEAR(table_step_s(&table), 2);
}

static void refuses(const char *text, int exit_code, const char *words)
{
    assert_int_equal(read_text(text, CSV_ORDERED), -1);
    assert_int_equal(problem.exit_code, exit_code);
    if (!strstr(problem.text, words))
        fail_msg("\"%s\" does not say \"%s\"", problem.text, words);
}

static void csv_that_is_none_is_named(void **unused)
{
    (void)unused;
    refuses("", EXIT_CONFIGURATION, "h.csv: the file is empty");
    refuses("time,a\n", EXIT_CONFIGURATION, "no row");
    refuses("time\n1\n", EXIT_CONFIGURATION, "nothing else");
    refuses("a,b\n1,2\n", EXIT_CONFIGURATION, "begins with \"a\"");
    refuses("time,a,a\n1,2,3\n", EXIT_CONFIGURATION, "names a twice");
    refuses("time,a\n1,2\n2,x\n", EXIT_CONFIGURATION, "line 3, a: \"x\" is no number");
    refuses("time,a\n1,2\n2,nan\n", EXIT_CONFIGURATION, "is no number");
    refuses("time,a\n1,2\n2,1.5.2\n", EXIT_CONFIGURATION, "is no number");
    refuses("time,a\n1,2\ntomorrow,3\n", EXIT_CONFIGURATION, "line 3: \"tomorrow\" is no time");
    refuses("time,a\n5000,2\n1399,3\n", EXIT_CONFIGURATION, "long before the line before");
    refuses("time,a,b\n1,2\n", EXIT_CONFIGURATION, "2 cells, but the header has 3");
    refuses("time,a\n1,2,3\n", EXIT_CONFIGURATION, "3 cells, but the header has 2");
    refuses("time,a,b\n1,2,3\n2,4", EXIT_TEMPORARY, "cut short");
    refuses("time,a\n1,2\n2026-01-3", EXIT_TEMPORARY, "cut short");
}

static void a_last_line_without_an_end_is_left_out(void **unused)
{
    (void)unused;
    assert_int_equal(read_text("time,a\n1,2\n2,12", CSV_ORDERED), 0); /* of 123? */
    assert_int_equal(table.rows, 1);
    assert_true(table.cut_short);
    assert_int_equal(read_text("time,a\n1,2\n2,12", CSV_AS_IT_IS), 0);
    assert_int_equal(table.rows, 2);
    assert_int_equal(read_text("time,a\n5,2\n4,12\n", CSV_AS_IT_IS), 0);
}

static void summer_ends(void **unused)
{
    (void)unused;
    assert_int_equal(read_text("time,a\n5000,1\n1400,2\n1700,3\n", CSV_ORDERED), 0);
    assert_int_equal(table.rows, 3);
    assert_int_equal(table.set_back, 1);
}

static void many_rows_are_kept(void **unused)
{
    (void)unused;
    FILE *file = tmpfile();
    fputs("t,a\n", file);
    for (int i = 0; i < 5000; i++)
        fprintf(file, "%d,%d\n", i, 2 * i);
    rewind(file);
    assert_int_equal(read_csv(file, "x", CSV_ORDERED, &table, &problem), 0);
    fclose(file);
    assert_int_equal(table.rows, 5000);
    NEAR(table_cell(&table, 4999, 0), 9998);
}

/* ---- metrics.db -------------------------------------------------------------------------- */

static char db_path[] = "/tmp/bulkhead-anomaly-XXXXXX";

static int read_made_db(const char *sql)
{
    sqlite3 *db;
    clear(NULL);
    strcpy(db_path + sizeof db_path - 7, "XXXXXX");
    int fd = mkstemp(db_path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(sqlite3_open(db_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    int result = read_db_file(db_path, &table, &problem);
    unlink(db_path);
    return result;
}

static void a_column_a_series(void **unused)
{
    (void)unused;
    assert_int_equal(
        read_made_db("CREATE TABLE metrics_events(t INTEGER, step INTEGER, p95_ms REAL, db_up);"
                     "INSERT INTO metrics_events VALUES(12, 1, 3.5, NULL), (11, 1, 2, 1),"
                     "(10, 10, 99, 99)"),
        0);
    assert_int_equal(table.columns, 2);
    assert_int_equal(table.rows, 2); /* steps of ten are another series */
    assert_int_equal(table.time_s[0], 11);
    NEAR(table_cell(&table, 1, 0), 3.5);
    assert_true(isnan(table_cell(&table, 1, 1)));
}

static void a_row_a_number(void **unused)
{
    (void)unused;
    assert_int_equal(read_made_db("CREATE TABLE metrics_events(t, step, series TEXT, value REAL);"
                                  "INSERT INTO metrics_events VALUES(5, 1, 'b', 1), (5, 1, 'a', 2),"
                                  "(6, 1, 'a', 3)"),
                     0);
    assert_int_equal(table.rows, 2);
    NEAR(table_cell(&table, 0, (unsigned)table_column(&table, "b")), 1);
    NEAR(table_cell(&table, 1, (unsigned)table_column(&table, "a")), 3);
    assert_true(isnan(table_cell(&table, 1, (unsigned)table_column(&table, "b"))));
}

static void other_databases_are_named(void **unused)
{
    (void)unused;
    assert_int_equal(read_made_db("CREATE TABLE items(id)"), -1);
    assert_int_equal(problem.exit_code, EXIT_CONFIGURATION);
    assert_non_null(strstr(problem.text, "no table metrics_events"));
    assert_int_equal(read_made_db("CREATE TABLE metrics_events(at, a)"), -1);
    assert_non_null(strstr(problem.text, "no table metrics_events with t"));
    assert_int_equal(read_made_db("CREATE TABLE metrics_events(t, a)"), -1);
    assert_non_null(strstr(problem.text, "no row yet"));
    clear(NULL);
    assert_int_equal(read_db_file("/nonexistent/metrics.db", &table, &problem), -1);
    assert_int_equal(problem.exit_code, EXIT_CONFIGURATION);
}

/* ---- Prometheus text --------------------------------------------------------------------- */

static void scrape_text(struct scrape *scrape, const char *text, double at_s)
{
    if (scrape_parse(scrape, strdup(text), at_s, &problem) < 0)
        fail_msg("%s", problem.text);
}

static void labels_are_matched(void **unused)
{
    (void)unused;
    struct scrape scrape;
    scrape_text(&scrape,
                "# TYPE c_total counter\n"
                "c_total{class=\"read\",code=\"200\"} 5\n"
                "c_total{class=\"read\",code=\"503\"} 7\n"
                "c_total{class=\"write\",code=\"503\"} 11 1395066363000\n"
                "c_total{class=\"odd\\\"},code=\",code=\"1\"} 13\n"
                "plain 2.5e3\n",
                1);
    NEAR(scrape_sum(&scrape, "c_total", NULL), 36);
    NEAR(scrape_sum(&scrape, "c_total", "class=read"), 12);
    NEAR(scrape_sum(&scrape, "c_total", "class=read|write,code=503"), 18);
    NEAR(scrape_sum(&scrape, "c_total", "code!=503|200"), 13);
    NEAR(scrape_sum(&scrape, "c_total", "code=50"), 0); /* whole values only */
    NEAR(scrape_most(&scrape, "c_total", "class=read"), 7);
    NEAR(scrape_sum(&scrape, "plain", NULL), 2500);
    assert_true(isnan(scrape_sum(&scrape, "absent", NULL)));
    scrape_free(&scrape);
}

static void quantiles_lie_in_their_bucket(void **unused)
{
    (void)unused;
    struct scrape before, after;
    scrape_text(&before,
                "h_bucket{le=\"0.1\"} 10\nh_bucket{le=\"0.2\"} 10\nh_bucket{le=\"+Inf\"} 10\n", 1);
    scrape_text(&after,
                "h_bucket{le=\"0.1\"} 10\nh_bucket{le=\"0.2\"} 14\nh_bucket{le=\"+Inf\"} 20\n", 2);
    /* Ten more: four between 0.1 and 0.2, six above. The second of ten is half way: 0.15. */
    NEAR(scrape_quantile(&before, &after, "h", NULL, 0.2), 0.15);
    NEAR(scrape_quantile(&before, &after, "h", NULL, 0.95), 0.2); /* the last edge there is */
    NEAR(scrape_quantile(NULL, &before, "h", NULL, 0.5), 0.05);
    assert_true(isnan(scrape_quantile(&after, &after, "h", NULL, 0.5))); /* none: a gap */
    /* It began again: what it has is all that is new. */
    NEAR(scrape_quantile(&after, &before, "h", NULL, 0.5), 0.05);
    scrape_free(&before);
    scrape_free(&after);
}

static void a_counter_that_went_back_began_at_nought(void **unused)
{
    (void)unused;
    static const char *const texts[] = {
        "# TYPE x_total counter\nx_total 100\n# TYPE g gauge\ng{a=\"1\"} 2\ng{a=\"2\"} 3\n",
        "# TYPE x_total counter\nx_total 130\n# TYPE g gauge\ng{a=\"1\"} 2\ng{a=\"2\"} 9\n",
        "# TYPE x_total counter\nx_total 8\n# TYPE g gauge\ng{a=\"1\"} 0\n",
    };
    struct scrape scrapes[3];
    double row[2];
    for (unsigned i = 0; i < 3; i++)
        scrape_text(&scrapes[i], texts[i], 10 + 2 * i);
    assert_int_equal(scrape_columns(&scrapes[0], &table), 0);
    assert_int_equal(table.columns, 2);
    unsigned rate = (unsigned)table_column(&table, "x_per_s");
    unsigned gauge = (unsigned)table_column(&table, "g");
    scrape_fill(&scrapes[0], &scrapes[1], &table, row);
    NEAR(row[rate], 15); /* 30 in 2 s */
    NEAR(row[gauge], 11);
    scrape_fill(&scrapes[1], &scrapes[2], &table, row);
    NEAR(row[rate], 4); /* 8 in 2 s, not -61 */
    for (unsigned i = 0; i < 3; i++)
        scrape_free(&scrapes[i]);
}

static void names_are_the_historys(void **unused)
{
    (void)unused;
    struct scrape scrape;
    scrape_text(&scrape,
                "# TYPE http_requests_total counter\n# TYPE worker_generation gauge\n"
                "worker_generation{slot=\"0\"} 1\n",
                1);
    assert_int_equal(scrape_columns(&scrape, &table), 0);
    scrape_free(&scrape);
    assert_true(table.columns > 60);
    for (unsigned i = 0; i < table.columns; i++)
        if (series_find(table.names[i], strlen(table.names[i])) == SERIES_NUMBER &&
            strcmp(table.names[i], "worker_generation") != 0)
            fail_msg("%s is no series of the history", table.names[i]);
    for (unsigned i = 0; i < SERIES_NUMBER; i++)
        if (floors_of(series[i].name).least_step <= 0)
            fail_msg("%s has no least step", series[i].name);
    for (const char *const *name = floors_default_metrics; *name; name++)
        assert_true(series_find(*name, strlen(*name)) != SERIES_NUMBER);
}

static void text_that_is_none_is_named(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {"<html>\n", "a{b=\"c\" 1\n", "a one\n", "a\n", " 5\n", ""};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct scrape scrape;
        assert_int_equal(scrape_parse(&scrape, strdup(wrong[i]), 1, &problem), -1);
        assert_int_equal(problem.exit_code, EXIT_CONFIGURATION);
        scrape_free(&scrape);
    }
}

/* ---- truths ------------------------------------------------------------------------------ */

static int read_truths(const char *text, struct truth_list *list)
{
    char path[] = "/tmp/bulkhead-truth-XXXXXX";
    FILE *file = fdopen(mkstemp(path), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    *list = (struct truth_list){0};
    int result = truth_file_read(path, list, &problem);
    unlink(path);
    return result;
}

static void truths_are_read(void **unused)
{
    (void)unused;
    struct truth_list list;
    assert_int_equal(
        read_truths("{\"faults\":[{\"fault\":\"kill\",\"from\":\"1970-01-01T00:01:40Z\",\"to\":"
                    "110.5,\"anomaly\":[{\"metric\":\"deaths_per_s\",\"expected\":true},"
                    "{\"metric\":\"db_up\",\"expected\":false}]}]}",
                    &list),
        0);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.all[1].metric, "db_up");
    assert_string_equal(list.all[1].fault, "kill");
    NEAR(list.all[0].from_s, 100);
    NEAR(list.all[0].to_s, 110.5);
    NEAR(list.all[0].grace_s, TRUTH_GRACE_S);
    assert_true(list.all[0].expected && !list.all[1].expected);
    free(list.all);
}

static void truths_that_are_none_are_named(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {
        "",
        "[]",
        "{\"faults\":3}",
        "{\"faults\":[5]}",
        "{\"faults\":[{\"fault\":\"k\",\"from\":9,\"to\":8,\"anomaly\":[]}]}",
        "{\"faults\":[{\"fault\":\"k\",\"from\":1,\"to\":8}]}",
        "{\"faults\":[{\"fault\":\"k\",\"from\":1,\"to\":8,\"anomaly\":[{\"metric\":\"a\"}]}]}"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct truth_list list;
        problem = (struct problem){0};
        assert_int_equal(read_truths(wrong[i], &list), -1);
        assert_int_equal(problem.exit_code, EXIT_CONFIGURATION);
        free(list.all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_and_written),
        cmocka_unit_test_teardown(csv_is_rows_and_gaps, clear),
        cmocka_unit_test_teardown(csv_that_is_none_is_named, clear),
        cmocka_unit_test_teardown(a_last_line_without_an_end_is_left_out, clear),
        cmocka_unit_test_teardown(summer_ends, clear),
        cmocka_unit_test_teardown(many_rows_are_kept, clear),
        cmocka_unit_test_teardown(a_column_a_series, clear),
        cmocka_unit_test_teardown(a_row_a_number, clear),
        cmocka_unit_test_teardown(other_databases_are_named, clear),
        cmocka_unit_test(labels_are_matched),
        cmocka_unit_test(quantiles_lie_in_their_bucket),
        cmocka_unit_test_teardown(a_counter_that_went_back_began_at_nought, clear),
        cmocka_unit_test_teardown(names_are_the_historys, clear),
        cmocka_unit_test(text_that_is_none_is_named),
        cmocka_unit_test(truths_are_read),
        cmocka_unit_test(truths_that_are_none_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
