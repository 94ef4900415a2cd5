/* SPDX-License-Identifier: MIT */
/* Every cell of the lifecycle table, against a table written a second time by hand. */
#include "tests/unit/unit.h"

#include <string.h>

#include "supervisor/lifecycle.h"

/* What leaves a state, said the other way round: "EVENT in STATE → STATE, ACTION". All that is not
 * listed must keep the state and do nothing. */
static const struct {
    enum slot_state state;
    enum life_event event;
    enum slot_state next;
    enum life_action action;
} moves[] = {
    {SLOT_EMPTY, LIFE_FILL, SLOT_STARTING, ACT_SPAWN},
    {SLOT_BACKOFF, LIFE_FILL, SLOT_STARTING, ACT_SPAWN},
    {SLOT_QUARANTINED, LIFE_FILL, SLOT_STARTING, ACT_SPAWN},
    {SLOT_STARTING, LIFE_SAID_READY, SLOT_READY, ACT_ANNOUNCE_READY},
    {SLOT_DEGRADED, LIFE_SAID_READY, SLOT_READY, ACT_ANNOUNCE_READY},
    {SLOT_STARTING, LIFE_SAID_DEGRADED, SLOT_DEGRADED, ACT_ANNOUNCE_DEGRADED},
    {SLOT_READY, LIFE_SAID_DEGRADED, SLOT_DEGRADED, ACT_ANNOUNCE_DEGRADED},
    {SLOT_STARTING, LIFE_ASKED_TO_DRAIN, SLOT_DRAINING, ACT_TERM},
    {SLOT_READY, LIFE_ASKED_TO_DRAIN, SLOT_DRAINING, ACT_TERM},
    {SLOT_DEGRADED, LIFE_ASKED_TO_DRAIN, SLOT_DRAINING, ACT_TERM},
    {SLOT_BACKOFF, LIFE_ASKED_TO_DRAIN, SLOT_EMPTY, ACT_NONE},
    {SLOT_QUARANTINED, LIFE_ASKED_TO_DRAIN, SLOT_EMPTY, ACT_NONE},
    {SLOT_STARTING, LIFE_ASKED_TO_DIE, SLOT_KILLING, ACT_KILL},
    {SLOT_READY, LIFE_ASKED_TO_DIE, SLOT_KILLING, ACT_KILL},
    {SLOT_DEGRADED, LIFE_ASKED_TO_DIE, SLOT_KILLING, ACT_KILL},
    {SLOT_DRAINING, LIFE_ASKED_TO_DIE, SLOT_KILLING, ACT_KILL},
    {SLOT_BACKOFF, LIFE_ASKED_TO_DIE, SLOT_EMPTY, ACT_NONE},
    {SLOT_QUARANTINED, LIFE_ASKED_TO_DIE, SLOT_EMPTY, ACT_NONE},
    {SLOT_STARTING, LIFE_CONDEMNED, SLOT_KILLING, ACT_KILL},
    {SLOT_READY, LIFE_CONDEMNED, SLOT_KILLING, ACT_KILL},
    {SLOT_DEGRADED, LIFE_CONDEMNED, SLOT_KILLING, ACT_KILL},
    {SLOT_DRAINING, LIFE_CONDEMNED, SLOT_KILLING, ACT_KILL},
    {SLOT_STARTING, LIFE_OVERDUE, SLOT_KILLING, ACT_KILL},
    {SLOT_DRAINING, LIFE_OVERDUE, SLOT_KILLING, ACT_KILL},
    {SLOT_KILLING, LIFE_OVERDUE, SLOT_KILLING, ACT_UNKILLABLE},
    {SLOT_STARTING, LIFE_EXITED, SLOT_DEAD, ACT_BURY},
    {SLOT_READY, LIFE_EXITED, SLOT_DEAD, ACT_BURY},
    {SLOT_DEGRADED, LIFE_EXITED, SLOT_DEAD, ACT_BURY},
    {SLOT_DRAINING, LIFE_EXITED, SLOT_DEAD, ACT_BURY},
    {SLOT_KILLING, LIFE_EXITED, SLOT_DEAD, ACT_BURY},
    {SLOT_DEAD, LIFE_LEAVE_EMPTY, SLOT_EMPTY, ACT_NONE},
    {SLOT_DEAD, LIFE_RESTART, SLOT_STARTING, ACT_SPAWN},
    {SLOT_DEAD, LIFE_WAIT, SLOT_BACKOFF, ACT_NONE},
    {SLOT_DEAD, LIFE_QUARANTINE, SLOT_QUARANTINED, ACT_NONE},
    {SLOT_BACKOFF, LIFE_WAIT_OVER, SLOT_STARTING, ACT_SPAWN},
    {SLOT_QUARANTINED, LIFE_WAIT_OVER, SLOT_STARTING, ACT_SPAWN},
};

static void every_cell(void **unused)
{
    (void)unused;
    unsigned moving = 0;
    for (unsigned s = 0; s < SLOT_STATE_COUNT; s++) {
        for (unsigned e = 0; e < LIFE_EVENT_COUNT; e++) {
            struct life_step want = {(enum slot_state)s, ACT_NONE};
            for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++)
                if (moves[i].state == s && moves[i].event == e)
                    want = (struct life_step){moves[i].next, moves[i].action};
            struct life_step got = lifecycle_step((enum slot_state)s, (enum life_event)e);
            if (got.next != want.next || got.action != want.action)
                fail_msg("%s in %s: got %s/%d, want %s/%d", life_event_name((enum life_event)e),
                         slot_state_name(s), slot_state_name(got.next), got.action,
                         slot_state_name(want.next), want.action);
            moving += got.action != ACT_NONE || got.next != s;
        }
    }
    assert_int_equal(moving, sizeof moves / sizeof moves[0]);
}

/* Whatever happens, a process is spawned only where none is. */
static void never_two_in_a_slot(void **unused)
{
    (void)unused;
    for (unsigned s = 0; s < SLOT_STATE_COUNT; s++)
        for (unsigned e = 0; e < LIFE_EVENT_COUNT; e++)
            if (lifecycle_step((enum slot_state)s, (enum life_event)e).action == ACT_SPAWN)
                assert_true(s == SLOT_EMPTY || s == SLOT_DEAD || s == SLOT_BACKOFF ||
                            s == SLOT_QUARANTINED);
}

/* Every state with a process in it is left when the process exits: nobody waits for a ghost. */
static void an_exit_is_always_seen(void **unused)
{
    (void)unused;
    static const enum slot_state alive[] = {SLOT_STARTING, SLOT_READY, SLOT_DEGRADED, SLOT_DRAINING,
                                            SLOT_KILLING};
    for (size_t i = 0; i < sizeof alive / sizeof alive[0]; i++)
        assert_int_equal(lifecycle_step(alive[i], LIFE_EXITED).next, SLOT_DEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(never_two_in_a_slot),
        cmocka_unit_test(an_exit_is_always_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
