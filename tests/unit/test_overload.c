/* SPDX-License-Identifier: MIT */
/* What is decided at the door, and a small world in which it matters: the numbers are virtual. */
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <string.h>

#include "common/codel.h"
#include "common/deadline.h"
#include "common/ewma.h"
#include "common/overload.h"

#define MS NS_PER_MS

/* ---- CoDel ------------------------------------------------------------------------------ */

static uint64_t note_for(struct codel *codel, uint64_t from_ms, uint64_t to_ms, uint64_t oldest_ms)
{
    for (uint64_t ms = from_ms; ms < to_ms; ms += 5)
        codel_note(codel, oldest_ms * MS, ms * MS);
    return to_ms;
}

static void a_standing_queue_is_overload(void **unused)
{
    (void)unused;
    struct codel codel = {0};
    uint64_t t = note_for(&codel, 1000, 1100, 30);
    assert_false(codel.overloaded); /* not before an interval is over */
    t = note_for(&codel, t, t + 5, 30);
    assert_true(codel.overloaded);
    /* held at the target by refusals: still overloaded */
    t = note_for(&codel, t, t + 500, 17);
    assert_true(codel.overloaded);
    t = note_for(&codel, t, t + 250, 9);
    assert_false(codel.overloaded);
    /* and 17 ms alone is none */
    note_for(&codel, t, t + 500, 17);
    assert_false(codel.overloaded);
}

static void a_burst_is_not_overload(void **unused)
{
    (void)unused;
    struct codel codel = {0};
    for (uint64_t ms = 1000; ms < 5000; ms += 5) {
        /* for 90 of every 100 ms the oldest is far too old, then the queue is empty once */
        codel_note(&codel, ms % 100 < 90 ? 80 * MS : 0, ms * MS);
        assert_false(codel.overloaded);
    }
}

static void an_empty_queue_ends_overload(void **unused)
{
    (void)unused;
    struct codel codel = {0};
    uint64_t t = note_for(&codel, 1000, 1300, 60);
    assert_true(codel.overloaded);
    codel_note(&codel, 0, t * MS);
    codel_note(&codel, 60 * MS, (t + 5) * MS);
    /* at the end of the interval in which it was empty, at the latest */
    note_for(&codel, t + 5, t + 100, 60);
    assert_false(codel.overloaded);
}

static void a_quiet_time_is_no_evidence(void **unused)
{
    (void)unused;
    struct codel codel = {0};
    uint64_t t = note_for(&codel, 1000, 1050, 60);
    codel_note(&codel, 0, t * MS);
    codel_note(&codel, 0, (t + 60000) * MS);
    assert_false(codel.overloaded);
}

/* ---- the verdict ------------------------------------------------------------------------ */

static const struct overload_view usual = {
    .shed = true, .left_ns = 1500 * MS, .service_ns = 50 * MS, .class_ns = 2000 * MS};

static void verdicts(void **unused)
{
    (void)unused;
    struct overload_view v = usual;
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
    v.waited_ns = 999 * MS;
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
    v.waited_ns = 1000 * MS; /* half of its class's time */
    assert_int_equal(overload_judge(&v), OVERLOAD_REFUSE);
    v = usual;
    v.class_overloaded = v.any_overloaded = true;
    v.waited_ns = 19 * MS;
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
    v.waited_ns = 20 * MS;
    assert_int_equal(overload_judge(&v), OVERLOAD_REFUSE);
    v.waited_ns = 0;
    v.retry = true;
    assert_int_equal(overload_judge(&v), OVERLOAD_REFUSE_RETRY);
    v.class_overloaded = false; /* another class is */
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
    v.login = true;
    assert_int_equal(overload_judge(&v), OVERLOAD_REFUSE);
    v.shed = false;
    v.waited_ns = 5000 * MS;
    v.left_ns = 0;
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
}

static void what_cannot_be_done_in_time(void **unused)
{
    (void)unused;
    struct overload_view v = usual;
    v.waited_ns = 30 * MS;
    v.left_ns = 100 * MS;
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
    v.left_ns = 99 * MS; /* twice the mean is needed */
    assert_int_equal(overload_judge(&v), OVERLOAD_REFUSE_DEADLINE);
    v.waited_ns = 0; /* who did not wait may try */
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
    v.waited_ns = 30 * MS;
    v.service_ns = 0;
    v.left_ns = 1 * MS;
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
    v.left_ns = 1 * MS - 1;
    assert_int_equal(overload_judge(&v), OVERLOAD_REFUSE_DEADLINE);
    /* a call that hung does not condemn the fresh ones after it */
    v.service_ns = 10000 * MS;
    v.left_ns = 501 * MS;
    assert_int_equal(overload_judge(&v), OVERLOAD_KEEP);
}

/* ---- numbers ---------------------------------------------------------------------------- */

static void means_and_waits(void **unused)
{
    (void)unused;
    uint64_t mean = ewma_add(0, 800);
    assert_int_equal(mean, 800);
    mean = ewma_add(mean, 1600);
    assert_int_equal(mean, 900);
    for (int i = 0; i < 100; i++)
        mean = ewma_add(mean, 0);
    assert_in_range(mean, 1, 10); /* never 0: that is "unknown" */
    assert_int_equal(ewma_wait_ns(50 * MS, 8, 4), 100 * MS);
    assert_int_equal(ewma_wait_ns(50 * MS, 0, 4), 0);
    assert_int_equal(ewma_wait_ns(UINT64_MAX / 2, 8, 4), UINT64_MAX);
}

static void deadlines(void **unused)
{
    (void)unused;
    assert_int_equal(deadline_from(7, 2000, 0), 7 + 2000 * MS);
    assert_int_equal(deadline_from(7, 2000, 50), 7 + 50 * MS);
    assert_int_equal(deadline_from(7, 2000, 60000), 7 + 2000 * MS);
    assert_int_equal(deadline_left_ns(10, 12), 0);
    assert_int_equal(deadline_left_ns(12, 10), 2);
    assert_int_equal(deadline_of_query(9 * NS_PER_S, 1 * NS_PER_S), 6 * NS_PER_S);
    assert_int_equal(deadline_of_query(3 * NS_PER_S, 1 * NS_PER_S), 3 * NS_PER_S);
}

/* ---- a world: 4 permits of 50 ms, clients that wait 1 s and ask three times ------------- */

enum { PERMITS = 4, SERVICE_MS = 50, PATIENCE_MS = 1000, ATTEMPTS = 3, ASKS_MOST = 400000 };

struct ask {
    unsigned ready_ms, attempt;
    bool over; /* its client has its answer, or waits no more */
};

static struct world {
    struct ask ask[ASKS_MOST];
    unsigned count, head; /* asks come in order of ready_ms; waiting ones are marked */
    bool waiting[ASKS_MOST];
    unsigned first_patient; /* all before it are over */
    unsigned queued;
    unsigned busy_until_ms[PERMITS], serving[PERMITS];
    bool works[PERMITS];
    unsigned good, failed; /* in the present second of the world */
    struct codel codel;
} world;

static void arrive(unsigned now_ms, unsigned attempt)
{
    if (attempt > ATTEMPTS) {
        world.failed++;
        return;
    }
    assert_true(world.count < ASKS_MOST);
    world.ask[world.count] = (struct ask){now_ms, attempt, false};
    world.waiting[world.count++] = true;
    world.queued++;
}

static void lose_patience(unsigned now_ms)
{
    while (world.first_patient < world.count &&
           world.ask[world.first_patient].ready_ms + PATIENCE_MS <= now_ms) {
        struct ask *ask = &world.ask[world.first_patient++];
        if (!ask->over) {
            ask->over = true; /* nobody tells the server */
            arrive(now_ms, ask->attempt + 1);
        }
    }
}

static unsigned oldest(void)
{
    while (world.head < world.count && !world.waiting[world.head])
        world.head++;
    return world.head;
}

static void refuse_hopeless(unsigned now_ms)
{
    unsigned end = world.count;
    for (unsigned i = oldest(); i < end; i++) {
        struct ask *ask = &world.ask[i];
        if (!world.waiting[i])
            continue;
        uint64_t age = now_ms - ask->ready_ms;
        struct overload_view view = {.shed = true,
                                     .class_overloaded = world.codel.overloaded,
                                     .any_overloaded = world.codel.overloaded,
                                     .retry = ask->attempt > 1,
                                     .waited_ns = age * MS,
                                     .left_ns = age < 2000 ? (2000 - age) * MS : 0,
                                     .service_ns = SERVICE_MS * MS,
                                     .class_ns = 2000 * MS};
        if (overload_judge(&view) == OVERLOAD_KEEP)
            continue;
        world.waiting[i] = false;
        world.queued--;
        if (!ask->over) {
            ask->over = true;
            arrive(now_ms, ask->attempt + 1);
        }
    }
}

static int take(bool newest_first)
{
    if (world.queued == 0)
        return -1;
    unsigned i = oldest();
    if (newest_first)
        for (i = world.count - 1; !world.waiting[i]; i--)
            ;
    world.waiting[i] = false;
    world.queued--;
    return (int)i;
}

static void serve(unsigned now_ms, bool stalled, bool protect)
{
    for (unsigned p = 0; p < PERMITS && !stalled; p++) {
        if (world.works[p] && world.busy_until_ms[p] <= now_ms) {
            struct ask *ask = &world.ask[world.serving[p]];
            world.good += !ask->over;
            ask->over = true;
            world.works[p] = false;
        }
        int next = world.works[p] ? -1 : take(protect && world.codel.overloaded);
        if (next >= 0) {
            world.works[p] = true;
            world.serving[p] = (unsigned)next;
            world.busy_until_ms[p] = now_ms + SERVICE_MS;
        }
    }
}

/* Arrivals at per_second; no service from 5 s to 15 s. The share of requests that succeeded in each
 * of the seconds from..to-1. */
static double success(unsigned per_second, bool stall, bool protect, unsigned from_s, unsigned to_s)
{
    unsigned good = 0, failed = 0;
    memset(&world, 0, sizeof world);
    for (unsigned ms = 0; ms < to_s * 1000; ms++) {
        if (ms == from_s * 1000)
            world.good = world.failed = 0;
        for (unsigned i = ms * per_second / 1000; i < (ms + 1) * per_second / 1000; i++)
            arrive(ms, 1);
        lose_patience(ms);
        if (protect && ms % 5 == 0) {
            uint64_t now_ns = (uint64_t)ms * MS;
            uint64_t age_ms = oldest() < world.count ? ms - world.ask[world.head].ready_ms : 0;
            codel_note(&world.codel, age_ms * MS, now_ns);
            refuse_hopeless(ms);
        }
        serve(ms, stall && ms >= 5000 && ms < 15000, protect);
        if (protect && world.queued == 0)
            codel_note(&world.codel, 0, (uint64_t)ms * MS);
    }
    good = world.good;
    failed = world.failed;
    return good + failed > 0 ? (double)good / (good + failed) : 0;
}

static void a_stall_ends_when_it_ends(void **unused)
{
    (void)unused;
    double before = success(72, true, true, 1, 5);
    double after = success(72, true, true, 16, 26);
    double control = success(72, true, false, 40, 50);
    print_message("90 %% load, 10 s stall, 3 attempts: %.3f before, %.3f in 1-11 s after; control "
                  "%.3f in 25-35 s after\n",
                  before, after, control);
    assert_true(before > 0.99);
    assert_true(after > 0.95);
    assert_true(control < 0.10);
}

static void too_much_is_served_as_far_as_it_goes(void **unused)
{
    (void)unused;
    /* 400/s against 80/s */
    double share = success(400, false, true, 2, 12);
    double control = success(400, false, false, 5, 15);
    print_message("5 times the capacity: %.3f served (0.200 is all there is); control %.3f\n",
                  share, control);
    assert_true(share > 0.2 * 0.9);
    assert_true(control < 0.02);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_standing_queue_is_overload),
        cmocka_unit_test(a_burst_is_not_overload),
        cmocka_unit_test(an_empty_queue_ends_overload),
        cmocka_unit_test(a_quiet_time_is_no_evidence),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(what_cannot_be_done_in_time),
        cmocka_unit_test(means_and_waits),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(a_stall_ends_when_it_ends),
        cmocka_unit_test(too_much_is_served_as_far_as_it_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
