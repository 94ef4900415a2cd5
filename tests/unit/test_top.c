/* SPDX-License-Identifier: MIT */
/* The picture of top: right in any size, and what needs a look is seen in the smallest. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/region.h"
#include "tools/bulkheadctl/top.h"

static struct region *region;
static int region_fd;
static struct board board;
static struct top_look look;
static struct top_counts counts;
static struct frame frame;

static void publish_event(uint64_t id, enum event_type type, const char *text)
{
    struct event event = {.id = id, .wall_us = clock_wall_us(), .type = type, .slot = 1};
    struct event_entry *entry = &region->events.entry[id % EVENTS_SIZE];
    snprintf(event.text, sizeof event.text, "%s", text);
    change_publish(&entry->change, &entry->event, &event, sizeof event);
    atomic_store(&region->events.last_id, id);
}

static int make(void **unused)
{
    (void)unused;
    region_fd = region_create(&region);
    if (region_fd < 0)
        return 1;
    memset(&board, 0, sizeof board);
    memset(&counts, 0, sizeof counts);
    board.configured = board.ready = 8;
    board.worker_slots = 9;
    board.db_state = DB_STATE_UP;
    board.listener_count = 1;
    board.published_ns = clock_now_ns();
    snprintf(board.listener[0].name, sizeof board.listener[0].name, "127.0.0.1:8080");
    for (unsigned i = 0; i < 8; i++) {
        board.slot[i] = (struct board_slot){.state = SLOT_READY, .generation = 1, .pid = 100};
        atomic_store(&region_slot(region, i)->generation, 1);
        atomic_store(&region_slot(region, i)->heartbeat_ns, clock_now_ns());
    }
    region->header.started_ns = clock_now_ns() - 65 * NS_PER_S;
    snprintf(region->header.version, sizeof region->header.version, "1.2.3");
    for (uint64_t id = 1; id <= 30; id++)
        publish_event(id, EVENT_NOTE, "something");
    return 0;
}

static int unmake(void **unused)
{
    (void)unused;
    close(region_fd);
    return 0;
}

static const char *draw(unsigned width, unsigned height, bool colour)
{
    change_publish(&region->board.change, &region->board.board, &board, sizeof board);
    assert_true(top_take(&look, region, &counts));
    frame_begin(&frame, width, height, colour);
    top_draw(&frame, &look, region, 4711, false);
    return frame.text;
}

/* Rows, and the longest of them without its colours. */
static unsigned rows_of(const char *text, unsigned *longest)
{
    unsigned rows = 0, column = 0;
    *longest = 0;
    for (; *text; text++) {
        if (*text == '\033') {
            text = strchr(text, 'm');
            continue;
        }
        if (*text == '\n') {
            rows++;
            column = 0;
        } else if (++column > *longest) {
            *longest = column;
        }
    }
    return rows;
}

static void every_size_is_kept_to(void **unused)
{
    (void)unused;
    for (unsigned width = 1; width <= 200; width += 13)
        for (unsigned height = 1; height <= 60; height++) {
            unsigned longest, rows = rows_of(draw(width, height, height % 2), &longest);
            if (rows > height || longest > width)
                fail_msg("%u x %u: %u rows, the longest of %u", width, height, rows, longest);
        }
}

static void everything_is_in_80_by_24(void **unused)
{
    (void)unused;
    const char *text = draw(80, 24, false);
    static const char *const wanted[] = {
        "healthy",   "load normal", "up 1 min 5 s",   "p99 ms", "auth",     "total", "db up",
        "commits/s", "lock wait",   "127.0.0.1:8080", "slot",   "breakers", "ready", "note"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strstr(text, wanted[i]))
            fail_msg("%s is missing in\n%s", wanted[i], text);
    assert_null(strchr(text, '\033'));
}

static void the_sick_one_is_seen_in_40_by_10(void **unused)
{
    (void)unused;
    board.slot[6].state = SLOT_QUARANTINED;
    board.status = HEALTH_DEGRADED;
    snprintf(board.reason, sizeof board.reason, "worker_quarantined");
    const char *text = draw(40, 10, false);
    assert_non_null(strstr(text, "degraded: worker_quarantined"));
    assert_non_null(strstr(text, "\n6        quarantined"));
    assert_non_null(strstr(text, "more"));
    assert_non_null(strstr(text, "total"));
    assert_non_null(strstr(text, "db up"));
}

static void without_a_limit_nothing_is_left_out(void **unused)
{
    (void)unused;
    const char *text = draw(0, 0, true);
    for (unsigned i = 0; i < 8; i++) {
        char row[16];
        snprintf(row, sizeof row, "\n%u        ", i);
        assert_non_null(strstr(text, row));
    }
    assert_null(strstr(text, "more"));
    assert_non_null(strchr(text, '\033'));
}

static void threads_and_breakers_are_told(void **unused)
{
    (void)unused;
    struct slot *slot = region_slot(region, 2);
    struct breaker_public breaker = {.state = BREAKER_OPEN};
    atomic_store(&slot->cell[0].stage, STAGE_DB);
    atomic_store(&slot->cell[1].stage, STAGE_DB);
    atomic_store(&slot->cell[2].stage, STAGE_HASH);
    atomic_store(&slot->cell[3].stage, 12345); /* a corrupt one is none */
    change_publish(&slot->breaker[DEPENDENCY_DB_READ].change,
                   &slot->breaker[DEPENDENCY_DB_READ].breaker, &breaker, sizeof breaker);
    const char *text = draw(0, 0, false);
    assert_non_null(strstr(text, "db_read open  hash 1 db 2\n"));
    atomic_store(&slot->cell[3].stage, STAGE_IDLE);
}

static void rates_are_those_between_two_looks(void **unused)
{
    (void)unused;
    struct slot_metrics *numbers = &region_slot(region, 3)->metrics;
    draw(80, 24, false);
    counts.at_ns -= 2 * NS_PER_S;
    counter_add(&numbers->db_commits[0][0], 1000);
    histogram_record(&numbers->db_lock_wait[0], 5000);
    draw(80, 24, false);
    assert_true(look.commits_per_s > 450 && look.commits_per_s <= 500);
    assert_true(look.lock_wait_ms > 4.8 && look.lock_wait_ms < 5.2);
    draw(80, 24, false);
    assert_true(look.commits_per_s == 0 && look.lock_wait_ms == 0);
}

static void a_silent_supervisor_is_told(void **unused)
{
    (void)unused;
    assert_null(strstr(draw(100, 24, false), "silent"));
    board.published_ns -= 5 * NS_PER_S;
    assert_non_null(strstr(draw(100, 24, false), "supervisor silent for 5 s"));
}

static void what_is_in_the_region_is_not_obeyed(void **unused)
{
    (void)unused;
    publish_event(31, EVENT_NOTE, "a\033[2Jb\nc\xff");
    memset(board.reason, 'r', sizeof board.reason); /* without its NUL */
    board.status = board.load = board.db_state = 77;
    board.worker_slots = board.listener_count = 4000000000;
    const char *text = draw(200, 50, false);
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "a?[2Jb?c?"));
}

static void json_is_the_state_and_more(void **unused)
{
    (void)unused;
    static char line[256 * 1024];
    draw(80, 24, false);
    size_t length = top_json(&look, region, line, sizeof line);
    assert_true(length > 100 && length == strlen(line));
    assert_non_null(strstr(line, "\"commits_per_s\":"));
    assert_non_null(strstr(line, "\"state\":{\"health\":"));
    assert_null(strchr(line, '\n'));
    assert_int_equal(top_json(&look, region, line, 100), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_size_is_kept_to, make, unmake),
        cmocka_unit_test_setup_teardown(everything_is_in_80_by_24, make, unmake),
        cmocka_unit_test_setup_teardown(the_sick_one_is_seen_in_40_by_10, make, unmake),
        cmocka_unit_test_setup_teardown(without_a_limit_nothing_is_left_out, make, unmake),
        cmocka_unit_test_setup_teardown(threads_and_breakers_are_told, make, unmake),
        cmocka_unit_test_setup_teardown(rates_are_those_between_two_looks, make, unmake),
        cmocka_unit_test_setup_teardown(a_silent_supervisor_is_told, make, unmake),
        cmocka_unit_test_setup_teardown(what_is_in_the_region_is_not_obeyed, make, unmake),
        cmocka_unit_test_setup_teardown(json_is_the_state_and_more, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
