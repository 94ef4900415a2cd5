/* SPDX-License-Identifier: MIT */
/* The fault table by its clock: who is struck, when a fault begins and ends, and what is refused.
 */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/fault_spec.h"
#include "common/region.h"
#include "supervisor/faults.h"

#define S NS_PER_S

static struct faults faults;
static struct fault_subject fleet[FAULT_SLOTS_MAX];

static int begin(void **state)
{
    (void)state;
    memset(&faults, 0, sizeof faults);
    memset(fleet, 0, sizeof fleet);
    for (unsigned i = 0; i < 3; i++)
        fleet[i] = (struct fault_subject){.generation = 10 + i, .serves = true};
    fleet[HELPER_SLOT(HELPER_SENTINEL)].generation = 1;
    fleet[HELPER_SLOT(HELPER_KEEPER)].generation = 1;
    return 0;
}

static struct fault *at(int64_t id)
{
    for (unsigned i = 0; i < FAULTS_MAX; i++)
        if (faults.table.fault[i].id == id)
            return &faults.table.fault[i];
    fail_msg("no such fault");
    return NULL;
}

static int64_t set(const char *spec, uint64_t now_ns)
{
    char error[256] = "";
    int64_t id = faults_set(&faults, true, fleet, spec, now_ns, error, sizeof error);
    if (id < 0)
        print_error("%s\n", error);
    assert_true(id > 0);
    return id;
}

static struct fault_changes step(uint64_t now_ns)
{
    return faults_step(&faults, true, fleet, now_ns);
}

static void strike(unsigned slot, int64_t id, uint64_t now_ns)
{
    unsigned place = (unsigned)(at(id) - faults.table.fault);
    fleet[slot].mark[place].id = (uint32_t)id;
    fleet[slot].mark[place].struck_ns = now_ns;
}

static unsigned meant(const struct fault *fault)
{
    unsigned count = 0;
    for (unsigned i = 0; i < FAULT_SLOTS_MAX; i++)
        count += fault->generation[i] != 0;
    return count;
}

static int slot_of(const struct fault *fault)
{
    for (int i = 0; i < FAULT_SLOTS_MAX; i++)
        if (fault->generation[i])
            return i;
    return -1;
}

static void assert_ended(int64_t id, enum fault_end why)
{
    assert_int_equal(at(id)->state, FAULT_STATE_ENDED);
    assert_string_equal(fault_end_name(at(id)->end), fault_end_name(why));
}

/* ---- time ---------------------------------------------------------------------------------- */

static void it_begins_and_ends_by_the_clock(void **state)
{
    (void)state;
    int64_t id = set("slow delay=50ms after=2s duration=3s", 10 * S);
    assert_int_equal(step(11 * S).started, 0);
    assert_int_equal(at(id)->state, FAULT_STATE_SCHEDULED);
    assert_true(step(12 * S).started != 0);
    assert_int_equal(at(id)->state, FAULT_STATE_ACTIVE);
    assert_int_equal(step(15 * S - 1).ended, 0);
    assert_true(step(15 * S).ended != 0);
    assert_ended(id, FAULT_END_EXPIRED);
}

static void none_outlives_ten_minutes(void **state)
{
    (void)state;
    int64_t id = set("slow delay=50ms after=500s duration=500s", 10 * S);
    step(510 * S);
    assert_int_equal(at(id)->state, FAULT_STATE_ACTIVE);
    step(610 * S);
    assert_ended(id, FAULT_END_EXPIRED);
}

static void the_preset_is_a_minute(void **state)
{
    (void)state;
    int64_t id = set("error", 0);
    assert_int_equal(at(id)->duration_ms, 60000);
    assert_int_equal(at(id)->variant, 500);
}

static void silence_clears_all(void **state)
{
    (void)state;
    int64_t id = set("error", 0);
    step(0);
    step(9 * S); /* nobody beat yet: nobody is missed */
    assert_int_equal(at(id)->state, FAULT_STATE_ACTIVE);
    faults_beat(&faults, 10 * S);
    step(15 * S);
    assert_int_equal(at(id)->state, FAULT_STATE_ACTIVE);
    step(15 * S + NS_PER_MS);
    assert_ended(id, FAULT_END_NO_HEARTBEAT);
    int64_t later = set("error", 16 * S); /* whoever was watching is gone, and not expected back */
    step(30 * S);
    assert_int_equal(at(later)->state, FAULT_STATE_ACTIVE);
}

static void disabling_ends_all(void **state)
{
    (void)state;
    int64_t id = set("error", 0);
    step(0);
    faults_step(&faults, false, fleet, S);
    assert_ended(id, FAULT_END_DISABLED);
}

/* ---- whom ---------------------------------------------------------------------------------- */

static void one_shot_ends_when_it_struck(void **state)
{
    (void)state;
    int64_t id = set("crash target=worker:1", 0);
    step(0);
    assert_int_equal(meant(at(id)), 1);
    assert_int_equal(at(id)->generation[1], 11);
    assert_int_equal(step(S).ended, 0);
    strike(1, id, S);
    step(S);
    assert_ended(id, FAULT_END_STRUCK);
}

static void the_next_generation_is_not_meant(void **state)
{
    (void)state;
    int64_t id = set("crash target=worker:1 point=in_commit", 0);
    step(0);
    fleet[1].generation = 12; /* it died of something else */
    step(S);
    assert_ended(id, FAULT_END_TARGET_GONE);
}

static void all_means_those_of_now(void **state)
{
    (void)state;
    int64_t id = set("crash target=all", 0);
    step(0);
    assert_int_equal(meant(at(id)), 3);
    assert_int_equal(at(id)->generation[HELPER_SLOT(HELPER_SENTINEL)], 0);
    strike(0, id, S);
    strike(1, id, S);
    step(S);
    assert_int_equal(at(id)->state, FAULT_STATE_ACTIVE);
    fleet[2].generation = 0;
    step(S);
    assert_ended(id, FAULT_END_STRUCK);
}

static void any_is_one(void **state)
{
    (void)state;
    int64_t id = set("crash", 0);
    step(0);
    assert_int_equal(meant(at(id)), 1);
    assert_true(slot_of(at(id)) < 3);
}

static void it_waits_for_its_target(void **state)
{
    (void)state;
    int64_t id = set("crash target=worker:7", 0);
    step(0);
    assert_int_equal(at(id)->state, FAULT_STATE_SCHEDULED);
    fleet[7] = (struct fault_subject){.generation = 1, .serves = true};
    step(S);
    assert_int_equal(at(id)->state, FAULT_STATE_ACTIVE);
}

/* Whoever starts is meant: nobody need live, and a death ends nothing. */
static void a_crash_at_the_start_waits_for_nobody(void **state)
{
    (void)state;
    memset(fleet, 0, sizeof fleet);
    int64_t one = set("crash point=start target=worker:2", 0), all = set("crash point=start", 0);
    step(0);
    assert_int_equal(at(one)->state, FAULT_STATE_ACTIVE);
    assert_int_equal(slot_of(at(one)), 2);
    assert_true(at(all)->everybody);
    strike(2, one, S);
    step(S);
    assert_int_equal(at(one)->state, FAULT_STATE_ACTIVE);
    step(60 * S);
    assert_ended(one, FAULT_END_EXPIRED);
}

static void repeat_on_any_goes_round_at_its_rate(void **state)
{
    (void)state;
    int64_t id = set("crash repeat=yes per_second=1 duration=30s", 0);
    step(0);
    unsigned strikes = 0;
    for (uint64_t now_ns = 0; now_ns < 20 * S; now_ns += S / 10) {
        int slot = slot_of(at(id));
        unsigned place = (unsigned)(at(id) - faults.table.fault);
        if (slot >= 0 && (fleet[slot].mark[place].id != id ||
                          now_ns >= fleet[slot].mark[place].struck_ns + S)) { /* as a child does */
            strike((unsigned)slot, id, now_ns);
            fleet[slot].generation++;
            strikes++;
        }
        step(now_ns);
    }
    assert_in_range(strikes, 18, 21);
    assert_int_equal(at(id)->state, FAULT_STATE_ACTIVE);
}

static void a_lasting_fault_stays_with_its_worker(void **state)
{
    (void)state;
    int64_t id = set("slow target=any delay=10ms", 0);
    step(0);
    int slot = slot_of(at(id));
    for (unsigned i = 1; i < 50; i++) {
        strike((unsigned)slot, id, i * S / 10);
        step(i * S / 10);
        assert_int_equal(slot_of(at(id)), slot);
    }
}

static void a_thread_hangs_as_long_as_its_fault(void **state)
{
    (void)state;
    int64_t id = set("hang mode=thread point=request target=worker:0 duration=5s", 0);
    step(0);
    strike(0, id, S);
    step(S);
    assert_int_equal(at(id)->state, FAULT_STATE_ACTIVE);
    step(5 * S);
    assert_ended(id, FAULT_END_EXPIRED);
}

static void a_strike_is_noticed_once(void **state)
{
    (void)state;
    int64_t id = set("crash target=worker:1 repeat=yes", 0);
    step(0);
    unsigned place = (unsigned)(at(id) - faults.table.fault);
    assert_false(faults_struck(&faults, fleet, place, 1));
    strike(1, id, S);
    assert_true(faults_struck(&faults, fleet, place, 1));
    assert_false(faults_struck(&faults, fleet, place, 1));
    strike(1, id, 2 * S);
    assert_true(faults_struck(&faults, fleet, place, 1));
}

static void a_full_table_refuses_and_ended_places_are_used_again(void **state)
{
    (void)state;
    char error[256];
    struct fault_changes changes = {0};
    for (unsigned i = 0; i < FAULTS_MAX; i++)
        set("error", i);
    assert_int_equal(faults_set(&faults, true, fleet, "error", S, error, sizeof error), -1);
    assert_non_null(strstr(error, "full"));
    assert_int_equal(faults_clear(&faults, 5, FAULT_END_CLEARED, S, &changes), 1);
    assert_true(changes.ended != 0 && changes.table);
    assert_ended(5, FAULT_END_CLEARED);
    assert_int_equal(set("error", S), FAULTS_MAX + 1);
    assert_int_equal(faults_clear(&faults, 5, FAULT_END_CLEARED, S, &changes), 0);
    assert_int_equal(faults_clear(&faults, 0, FAULT_END_CLEARED, S, &changes), FAULTS_MAX);
}

static void trouble_with_the_database_has_its_cause(void **state)
{
    (void)state;
    set("slow delay=1ms", 0);
    step(0);
    assert_null(faults_cause_of_database(&faults, 0));
    int64_t id = set("db effect=full duration=5s", S), other = set("close_fds target=worker:0", S);
    step(S);
    struct fault_changes changes = {0};
    assert_int_equal(faults_cause_of_database(&faults, S)->id, other);
    strike(0, other, S);
    step(S);
    assert_ended(other, FAULT_END_STRUCK);
    assert_int_equal(faults_cause_of_database(&faults, 2 * S)->id, other);
    assert_int_equal(faults_cause_of_database(&faults, 12 * S)->id, id);
    faults_clear(&faults, 0, FAULT_END_CLEARED, 12 * S, &changes);
    assert_null(faults_cause_of_database(&faults, 12 * S));
}

/* ---- words --------------------------------------------------------------------------------- */

static void refusals_name_what_is_wrong_and_what_is_allowed(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *named, *allowed;
    } cases[] = {
        {"", "kind", "crash"},
        {"explode", "explode", "close_fds"},
        {"crash sig=KILL", "sig", "signal"},
        {"crash signal=HUP", "signal=HUP", "ABRT"},
        {"crash signal", "signal", "key=value"},
        {"crash delay=5ms", "delay", "signal"},
        {"crash target=worker:65", "target=worker:65", "worker:N"},
        {"crash target=worker:", "target=worker:", "worker:N"},
        {"crash target=database", "target=database", "worker:N"},
        {"crash target=sentinel point=in_commit", "in_commit", "workers"},
        {"crash target=worker:1 point=in_checkpoint", "in_checkpoint", "keeper"},
        {"crash class=read point=now", "point=now", "request"},
        {"crash point=db_io", "db_io", "db"},
        {"hang mode=sideways", "mode=sideways", "thread"},
        {"slow", "delay", "50ms"},
        {"slow delay=61s", "delay=61s", "60s"},
        {"slow delay=1h", "delay=1h", "50ms"},
        {"slow delay=5ms point=now", "point=now", "request"},
        {"error status=502", "status=502", "503"},
        {"error route=GET:/nothing", "route=GET:/nothing", "GET:/data/items/{id}"},
        {"error class=none", "class=none", "health"},
        {"error per_million=0", "per_million=0", "1000000"},
        {"error duration=601s", "duration=601s", "600s"},
        {"error duration=-1", "duration=-1", "600s"},
        {"error duration=99999999999999999999999s", "duration", "600s"},
        {"error duration=1s duration=2s", "duration=2s", "once"},
        {"crash signal=KILL target=any signal=KILL", "signal=KILL", "once"},
        {"crash point=start target=any", "point=start", "worker:N"},
        {"hang point=start target=all", "point=start", "crash"},
        {"omission point=now", "point=now", "answer"},
        {"omission point=in_commit", "point=in_commit", "answer"},
        {"partial point=answer", "point", "class"},
        {"crash class=read point=in_commit", "point=in_commit", "answer"},
        {"resource of=disk", "of=disk", "memory"},
        {"resource of=fds mib=5", "mib", "percent"},
        {"resource of=memory percent=5", "percent", "mib"},
        {"resource percent=101", "percent=101", "100"},
        {"resource per_second=1", "per_second", "percent"},
        {"resource target=database", "target=database", "worker:N"},
        {"crash point=held", "held", "resource"},
        {"crash ramp=1s", "ramp", "signal"},
        {"db effect=melt", "effect=melt", "bitflip"},
        {"db effect=slow", "delay", "50ms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char error[256] = "";
        struct fault fault;
        assert_int_equal(fault_spec_parse(cases[i].spec, &fault, error, sizeof error), -1);
        if (!strstr(error, cases[i].named) || !strstr(error, cases[i].allowed))
            fail_msg("\"%s\" was refused with \"%s\"", cases[i].spec, error);
    }
}

static void disabled_names_the_key(void **state)
{
    (void)state;
    char error[256] = "";
    assert_int_equal(faults_set(&faults, false, fleet, "error", 0, error, sizeof error), -1);
    assert_non_null(strstr(error, "faults.enabled=yes"));
}

static void db_is_refused_while_somebody_cannot_notice(void **state)
{
    (void)state;
    char error[256] = "";
    fleet[1].deaf = true;
    assert_int_equal(faults_set(&faults, true, fleet, "db", 0, error, sizeof error), -1);
    assert_non_null(strstr(error, "worker 1"));
    fleet[HELPER_SLOT(HELPER_KEEPER)].deaf = true; /* which no reload ends */
    assert_int_equal(faults_set(&faults, true, fleet, "db", 0, error, sizeof error), -1);
    assert_non_null(strstr(error, "keeper"));
    assert_non_null(strstr(error, "start the server with faults.enabled=yes"));
    set("error", 0); /* the others need nothing of it */
    set("crash", 0);
    fleet[1].deaf = fleet[HELPER_SLOT(HELPER_KEEPER)].deaf = false;
    set("db", 0);
}

static void garbage_is_refused_within_bounds(void **state)
{
    (void)state;
    char error[64], line[600];
    struct fault fault;
    memset(line, 'a', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    assert_int_equal(fault_spec_parse(line, &fault, error, sizeof error), -1);
    assert_int_equal(fault_spec_parse("crash \xff\xfe=\x01", &fault, error, sizeof error), -1);
    assert_int_equal(fault_spec_parse("crash = == =x", &fault, error, sizeof error), -1);
    assert_true(strlen(error) < sizeof error);
}

static void what_is_printed_means_the_same(void **state)
{
    (void)state;
    static const char *const specs[] = {
        "crash signal=SEGV target=worker:3 point=in_commit",
        "hang mode=thread class=read seed=42",
        "slow delay=50ms jitter=5ms ramp=2s route=GET:/data/items/{id} target=worker:0",
        "error status=503 per_million=300000 class=write after=1s",
        "scribble into=gate target=any",
        "close_fds target=sentinel repeat=yes per_second=2",
        "db effect=slow op=read delay=20ms target=keeper duration=10s",
        "crash point=start",
        "crash point=start target=worker:3",
        "crash point=answer class=write",
        "partial class=read per_second=5 ramp=2s",
        "omission point=request route=POST:/data/items target=worker:1",
        "omission per_million=20000 seed=9",
        "wrong",
        "wrong class=read target=any",
        "resource",
        "resource of=fds percent=95 target=all ramp=5s",
        "resource of=memory mib=300 target=sentinel",
        "resource of=memory",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        char error[256], text[FAULT_TEXT_SIZE];
        struct fault first, second;
        assert_int_equal(fault_spec_parse(specs[i], &first, error, sizeof error), 0);
        fault_spec_print(&first, text, sizeof text);
        assert_int_equal(fault_spec_parse(text, &second, error, sizeof error), 0);
        assert_memory_equal(&first, &second, sizeof first);
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, begin)
    const struct CMUnitTest tests[] = {
        T(it_begins_and_ends_by_the_clock),
        T(none_outlives_ten_minutes),
        T(the_preset_is_a_minute),
        T(silence_clears_all),
        T(disabling_ends_all),
        T(one_shot_ends_when_it_struck),
        T(the_next_generation_is_not_meant),
        T(all_means_those_of_now),
        T(any_is_one),
        T(it_waits_for_its_target),
        T(a_crash_at_the_start_waits_for_nobody),
        T(repeat_on_any_goes_round_at_its_rate),
        T(a_lasting_fault_stays_with_its_worker),
        T(a_thread_hangs_as_long_as_its_fault),
        T(a_strike_is_noticed_once),
        T(trouble_with_the_database_has_its_cause),
        T(a_full_table_refuses_and_ended_places_are_used_again),
        T(refusals_name_what_is_wrong_and_what_is_allowed),
        T(disabled_names_the_key),
        T(db_is_refused_while_somebody_cannot_notice),
        T(garbage_is_refused_within_bounds),
        T(what_is_printed_means_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
