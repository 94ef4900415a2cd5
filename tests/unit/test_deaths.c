/* SPDX-License-Identifier: MIT */
/* Death reports: composed from a slot that lies, written as JSON, kept as files. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/death_json.h"
#include "common/log.h"
#include "supervisor/autopsy.h"
#include "supervisor/journal.h"
#include "supervisor/sentinel/deaths.h"
#include "supervisor/supervisor.h"

static struct supervisor supervisor;
static char text[DEATH_JSON_SIZE];
static const uint64_t boot[2] = {1, 2};

static int setup(void **unused)
{
    (void)unused;
    log_open("test", -1, LOG_ERROR, NULL);
    memset(&supervisor, 0, sizeof supervisor);
    supervisor.region_fd = region_create(&supervisor.region);
    supervisor.config.worker_threads = 4;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        supervisor.slots[i] =
            (struct slot_record){.index = i, .kind = roster_kind_of(i), .stuck_cell = NO_CELL};
    assert_true(supervisor.region_fd >= 0);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    close(supervisor.region_fd);
    return 0;
}

static json_t *parse_with(const struct death_report *report, size_t flags)
{
    json_error_t error;
    size_t length = death_json(report, boot, text, sizeof text);
    assert_true(length > 0 && text[length - 1] == '\n');
    json_t *root = json_loads(text, flags, &error);
    if (!root)
        fail_msg("%s at %d", error.text, error.position);
    return root;
}

static json_t *parse(const struct death_report *report)
{
    return parse_with(report, 0);
}

static void text_is_bounded_and_printable(void **unused)
{
    (void)unused;
    char out[8];
    autopsy_copy_text(out, sizeof out, "a\x1b\n\xff-way too long", 17, false);
    assert_string_equal(out, "a?"
                             "?"
                             "?-wa");
    autopsy_copy_text(out, sizeof out, "a\tb\n\r", 5, true);
    assert_string_equal(out, "a\tb\n?");
    autopsy_copy_text(out, sizeof out, "abcdef", 3, false); /* no NUL within its room */
    assert_string_equal(out, "abc");
}

static void cells_that_lie_are_put_in_range(void **unused)
{
    (void)unused;
    static struct slot slot;
    static struct death_report report;
    const uint64_t now_ns = 1000 * NS_PER_S;
    memset(&slot, 0, sizeof slot);
    report.uptime_ms = 5000;
    slot.cell[0].stage = 4711;
    slot.cell[0].endpoint = UINT32_MAX;
    slot.cell[0].in_request = 77;
    slot.cell[0].since_ns = UINT64_MAX; /* in the future */
    slot.cell[0].deadline_ns = UINT64_MAX;
    slot.cell[1].since_ns = 1; /* of a process before this one */
    slot.cell[1].deadline_ns = 1;
    slot.cell[2].stage = STAGE_DB;
    slot.cell[2].endpoint = ENDPOINT_ITEM_GET;
    slot.cell[2].in_request = 1;
    slot.cell[2].since_ns = now_ns - 250 * NS_PER_MS;
    slot.cell[2].deadline_ns = now_ns - 40 * NS_PER_MS;
    slot.cell[100].in_request = 1; /* more threads than the configuration knows of */
    autopsy_threads(&report, &slot, 3, now_ns);
    assert_int_equal(report.thread_count, 4);
    assert_int_equal(report.thread[0].stage, STAGE_COUNT);
    assert_int_equal(report.thread[0].endpoint, ENDPOINT_COUNT);
    assert_int_equal(report.thread[0].in_request, 1);
    assert_int_equal(report.thread[0].stage_ms, 0);
    assert_int_equal(report.thread[0].left_ms, 24 * 3600 * 1000);
    assert_int_equal(report.thread[1].stage_ms, 5000);
    assert_int_equal(report.thread[1].left_ms, -999999);
    assert_int_equal(report.thread[2].stage_ms, 250);
    assert_int_equal(report.thread[2].left_ms, -40);
    assert_int_equal(report.thread[3].cell, 100);
    assert_true(report.thread[3].left_ms == NO_DEADLINE);
    memset(&slot, 0xff, sizeof slot);
    autopsy_threads(&report, &slot, 100000, now_ns);
    assert_int_equal(report.thread_count, CELLS_MAX);
}

static void a_report_tells_what_a_slot_that_lies_left(void **unused)
{
    (void)unused;
    struct slot_record *record = &supervisor.slots[1];
    struct slot *slot = region_slot(supervisor.region, 1);
    struct death_report report;
    memset(slot, 0xff, sizeof *slot);
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGKILL);
        _exit(0);
    }
    siginfo_t info;
    waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    record->pid = pid;
    record->generation = 3;
    snprintf(supervisor.database.verdict.evidence, TEXT_MAX, "locked by pid 5 (\"sqlite3\")");
    for (unsigned i = 0; i < 70; i++)
        journal(&supervisor, EVENT_NOTE, NULL, 0, "event %u", i);
    autopsy_begin(&supervisor, record, DEATH_KILLED, "killed by SIGKILL", 3, true, clock_now_ns());
    waitid(P_PID, (id_t)pid, &info, WEXITED);
    assert_false(region_read_death(supervisor.region, 1, &report)); /* not before its decision */
    autopsy_publish(&supervisor, "restarted at once");
    assert_true(region_read_death(supervisor.region, 1, &report));
    assert_int_equal(report.thread_count, CELLS_MAX);
    assert_int_equal(report.fatal_cell, NO_CELL); /* crashed_cell is out of range */
    assert_int_equal(report.gate_count, 1);
    assert_int_equal(report.event_count, DEATH_EVENTS);
    assert_string_equal(report.event[DEATH_EVENTS - 1].text, "event 69");
    assert_int_equal(strlen(report.last_words), sizeof report.last_words - 1);
    assert_int_equal(strspn(report.last_words, "?"), sizeof report.last_words - 1);
    assert_non_null(strstr(report.proc.status, "State:\tZ (zombie)"));
    assert_non_null(strstr(report.proc.stat, " Z "));
    json_t *root = parse(&report);
    assert_string_equal(json_string_value(json_object_get(root, "class")), "killed");
    assert_int_equal(json_array_size(json_object_get(root, "threads")), CELLS_MAX);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(root, "database"), "evidence")),
        "locked by pid 5 (\"sqlite3\")");
    json_decref(root);
    autopsy_publish(&supervisor, "again"); /* nothing is begun: nothing is shown */
    assert_int_equal(supervisor.region->deaths.last_id, 1);
}

static void the_thread_that_crashed_is_named(void **unused)
{
    (void)unused;
    struct slot_record *record = &supervisor.slots[0];
    struct slot *slot = region_slot(supervisor.region, 0);
    struct death_report report;
    slot->crashed_cell = 3;
    slot->cell[2].in_request = 1;
    slot->cell[2].endpoint = ENDPOINT_LOGIN;
    slot->cell[2].stage = STAGE_HASH;
    autopsy_begin(&supervisor, record, DEATH_SIGNAL, "killed by SIGSEGV", 1, true, NS_PER_S);
    autopsy_publish(&supervisor, "restarted at once");
    assert_true(region_read_death(supervisor.region, 1, &report));
    json_t *root = parse(&report);
    assert_int_equal(json_integer_value(json_object_get(root, "fatal_thread")), 2);
    json_t *thread = json_array_get(json_object_get(root, "threads"), 2);
    assert_true(json_is_true(json_object_get(thread, "fatal")));
    assert_string_equal(json_string_value(json_object_get(thread, "route")), "/auth/login");
    json_decref(root);
    record->killed_as = DEATH_HUNG; /* then the stuck one is meant */
    record->stuck_cell = 1;
    autopsy_begin(&supervisor, record, DEATH_HUNG, "ended with SIGKILL", 1, true, NS_PER_S);
    autopsy_publish(&supervisor, "restarted at once");
    assert_true(region_read_death(supervisor.region, 2, &report));
    assert_int_equal(report.fatal_cell, 1);
}

static void any_bytes_make_valid_json_that_fits(void **unused)
{
    (void)unused;
    static struct death_report report;
    static const unsigned char fill[] = {0xff, 0x01, '"', '\\', '\n', 0xc3, 0x00};
    for (size_t i = 0; i < sizeof fill; i++) {
        memset(&report, fill[i], sizeof report);
        json_decref(parse_with(&report, JSON_DECODE_INT_AS_REAL));
    }
    assert_int_equal(death_json(&report, boot, text, 100), 0);
    assert_int_equal(death_json(&report, boot, text, 0), 0);
}

static void names_are_ours_or_not(void **unused)
{
    (void)unused;
    char name[DEATH_NAME_SIZE];
    struct death_report report = {.wall_us = UINT64_C(1767225600123456), .slot = 2, .pid = 77};
    death_name_file(name, &report);
    assert_string_equal(name, "20260101T000000.123456Z-worker-2-77.json");
    assert_true(death_name_is_ours(name));
    report = (struct death_report){.wall_us = UINT64_MAX, .slot = UINT32_MAX, .pid = INT32_MIN};
    death_name_file(name, &report);
    report = (struct death_report){.slot = HELPER_SLOT(HELPER_SENTINEL), .pid = 1};
    death_name_file(name, &report);
    assert_non_null(strstr(name, "Z-sentinel-"));
    assert_true(death_name_is_ours(name));
    static const char *const others[] = {"",
                                         "notes.json",
                                         "new.tmp",
                                         "20260101T000000.123456Z",
                                         "20260101T000000.123456Z-a.txt",
                                         "20260101-000000.123456Z-worker-2-77.json"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(death_name_is_ours(others[i]));
}

/* ---- files --------------------------------------------------------------------------------- */

static unsigned count_files(const char *directory)
{
    unsigned count = 0;
    DIR *stream = opendir(directory);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream));)
        count += entry->d_name[0] != '.';
    closedir(stream);
    return count;
}

static bool exists(const char *directory, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

static void remove_all(const char *directory)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

static void the_oldest_go_and_the_newest_stays(void **unused)
{
    (void)unused;
    static struct death_report report;
    char base[] = "/tmp/deaths-XXXXXX", directory[64], name[DEATH_NAME_SIZE],
         first[DEATH_NAME_SIZE];
    struct stat status;
    assert_non_null(mkdtemp(base));
    snprintf(directory, sizeof directory, "%s/deaths", base);
    for (unsigned i = 0; i < 25; i++) {
        report.wall_us = (1000 + i) * US_PER_S;
        report.pid = (int32_t)i;
        assert_int_equal(deaths_write(directory, &report, boot), 0);
        death_name_file(name, &report);
        if (i == 5)
            memcpy(first, name, sizeof first);
    }
    assert_true(stat(directory, &status) == 0 && (status.st_mode & 0777) == 0700);
    fclose(fopen(strcat(strcpy(text, directory), "/notes.txt"), "w"));
    report.wall_us = 1; /* the clock was set back: by name it is the oldest */
    death_name_file(name, &report);
    assert_int_equal(deaths_write(directory, &report, boot), 0);
    deaths_prune(directory, DEATHS_KEPT, name);
    assert_int_equal(count_files(directory), DEATHS_KEPT + 1); /* and the notes */
    assert_true(exists(directory, name) && exists(directory, "notes.txt"));
    assert_false(exists(directory, first));
    snprintf(text, sizeof text, "%s/%s", directory, name);
    assert_true(stat(text, &status) == 0 && (status.st_mode & 0777) == 0600);
    remove_all(base);
}

static void the_keeper_goes_on_where_it_left_off(void **unused)
{
    (void)unused;
    char base[] = "/tmp/deaths-XXXXXX", directory[64];
    struct child child = {.region = supervisor.region,
                          .slot = region_slot(supervisor.region, HELPER_SLOT(HELPER_KEEPER))};
    assert_non_null(mkdtemp(base));
    snprintf(directory, sizeof directory, "%s/deaths", base);
    snprintf(supervisor.region->header.data_dir, sizeof supervisor.region->header.data_dir, "%s",
             base);
    for (int i = 0; i < 3; i++) {
        autopsy_begin(&supervisor, &supervisor.slots[0], DEATH_ERROR, "exited with 1", 0, false, 1);
        autopsy_publish(&supervisor, "restarted at once");
    }
    assert_true(deaths_step(&child));
    assert_int_equal(count_files(directory), 3);
    remove_all(directory);
    assert_true(deaths_step(&child)); /* nothing is new */
    assert_false(exists(base, "deaths"));
    for (int i = 0; i < DEATHS_SIZE + 2; i++) { /* two more than the ring holds */
        supervisor.slots[0].pid = 1000 + i;     /* a process dies once: names differ */
        autopsy_begin(&supervisor, &supervisor.slots[0], DEATH_ERROR, "exited with 1", 0, false, 1);
        autopsy_publish(&supervisor, "restarted at once");
    }
    fclose(fopen(directory, "w")); /* it cannot be made: kept for later */
    assert_false(deaths_step(&child));
    assert_int_equal(unlink(directory), 0);
    assert_true(deaths_step(&child));
    assert_int_equal(count_files(directory), DEATHS_SIZE);
    assert_int_equal(child.slot->reports_written, 3 + DEATHS_SIZE + 2);
    remove_all(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_bounded_and_printable),
        cmocka_unit_test(cells_that_lie_are_put_in_range),
        cmocka_unit_test_setup_teardown(a_report_tells_what_a_slot_that_lies_left, setup, teardown),
        cmocka_unit_test_setup_teardown(the_thread_that_crashed_is_named, setup, teardown),
        cmocka_unit_test(any_bytes_make_valid_json_that_fits),
        cmocka_unit_test(names_are_ours_or_not),
        cmocka_unit_test(the_oldest_go_and_the_newest_stays),
        cmocka_unit_test_setup_teardown(the_keeper_goes_on_where_it_left_off, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
