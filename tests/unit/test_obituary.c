/* SPDX-License-Identifier: MIT */
/* Why a child died: every way it can end, and what it says of the requests it took along. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "supervisor/obituary.h"

static void the_class_of_every_end(void **unused)
{
    (void)unused;
    static const struct {
        struct end end;
        enum death_class class;
    } rows[] = {
        /* asked to go, and it went */
        {{.wait_code = CLD_EXITED, .wait_status = 0, .served = true, .asked = true}, DEATH_CLEAN},
        {{.wait_code = CLD_EXITED, .wait_status = 0, .asked = true}, DEATH_CLEAN},
        {{.wait_code = CLD_KILLED, .wait_status = SIGTERM, .served = true, .asked = true},
         DEATH_CLEAN},
        {{.wait_code = CLD_KILLED, .wait_status = SIGTERM, .asked = true}, DEATH_CLEAN},
        {{.wait_code = CLD_KILLED, .wait_status = SIGKILL, .asked = true}, DEATH_CLEAN},
        /* a `once` that succeeded, and one that did not */
        {{.wait_code = CLD_EXITED, .wait_status = 0, .once = true}, DEATH_CLEAN},
        {{.wait_code = CLD_EXITED, .wait_status = 75, .once = true}, DEATH_FAILED_TO_START},
        /* somebody outside, to a child that served */
        {{.wait_code = CLD_KILLED, .wait_status = SIGKILL, .served = true}, DEATH_KILLED},
        {{.wait_code = CLD_KILLED, .wait_status = SIGTERM, .served = true}, DEATH_KILLED},
        {{.wait_code = CLD_EXITED, .wait_status = 0, .served = true}, DEATH_KILLED},
        /* the kernel, for memory */
        {{.wait_code = CLD_KILLED, .wait_status = SIGKILL, .served = true, .oom = true}, DEATH_OOM},
        {{.wait_code = CLD_KILLED, .wait_status = SIGKILL, .oom = true}, DEATH_OOM},
        /* its own fault */
        {{.wait_code = CLD_KILLED, .wait_status = SIGSEGV, .served = true}, DEATH_SIGNAL},
        {{.wait_code = CLD_DUMPED, .wait_status = SIGSEGV, .served = true}, DEATH_CORE},
        {{.wait_code = CLD_KILLED, .wait_status = SIGSYS, .served = true}, DEATH_SANDBOX},
        {{.wait_code = CLD_EXITED, .wait_status = 1, .served = true}, DEATH_ERROR},
        {{.wait_code = CLD_EXITED, .wait_status = 1, .served = true, .asked = true}, DEATH_ERROR},
        {{.wait_code = CLD_EXITED, .wait_status = 127}, DEATH_FAILED_TO_START},
        {{.wait_code = CLD_KILLED, .wait_status = SIGKILL}, DEATH_FAILED_TO_START},
        {{.wait_code = 0, .wait_status = -11}, DEATH_FAILED_TO_START},
        /* we killed it, and know why */
        {{.wait_code = CLD_KILLED, .wait_status = SIGKILL, .served = true, .killed_as = DEATH_HUNG},
         DEATH_HUNG},
        {{.wait_code = CLD_KILLED, .wait_status = SIGABRT, .served = true, .killed_as = DEATH_HUNG},
         DEATH_HUNG},
        {{.wait_code = CLD_KILLED, .wait_status = SIGKILL, .killed_as = DEATH_FAILED_TO_START},
         DEATH_FAILED_TO_START},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (obituary_class(&rows[i].end) != rows[i].class)
            fail_msg("row %zu: got %s, want %s", i, death_name(obituary_class(&rows[i].end)),
                     death_name(rows[i].class));
}

static void the_manner_in_words(void **unused)
{
    (void)unused;
    char text[64];
    obituary_manner(&(struct end){.wait_code = CLD_KILLED, .wait_status = SIGKILL}, text,
                    sizeof text);
    assert_string_equal(text, "killed by SIGKILL");
    obituary_manner(&(struct end){.wait_code = CLD_EXITED, .wait_status = 75}, text, sizeof text);
    assert_string_equal(text, "exited with 75");
    obituary_manner(&(struct end){.wait_code = CLD_DUMPED, .wait_status = SIGSEGV}, text,
                    sizeof text);
    assert_string_equal(text, "killed by SIGSEGV (core dumped)");
}

static void the_requests_it_took_along(void **unused)
{
    (void)unused;
    static struct slot slot;
    char text[200];
    bool corrupt;
    memset(&slot, 0, sizeof slot);
    for (unsigned i = 0; i < 3; i++) {
        slot.cell[i].in_request = 1;
        slot.cell[i].endpoint = ENDPOINT_ITEM_GET;
        slot.cell[i].stage = STAGE_DB;
    }
    slot.cell[3].in_request = 1;
    slot.cell[3].endpoint = ENDPOINT_ITEM_CREATE;
    slot.cell[3].stage = STAGE_COMMIT;
    slot.cell[4].stage = STAGE_BETWEEN; /* no request in hand */
    slot.cell[5].in_request = 1;
    slot.cell[5].stage = 4000; /* scribbled on */
    slot.open_requests = 4;
    assert_int_equal(obituary_requests(&slot, 100, &corrupt, text, sizeof text), 4);
    assert_string_equal(text, "GET /data/items/{id} in db ×3, POST /data/items in commit ×1");
    assert_false(corrupt);
    obituary_requests(&slot, 100, &corrupt, text, 10); /* no room: cut, not overrun */
    assert_int_equal(strlen(text), 9);
}

static void the_requests_at_its_door(void **unused)
{
    (void)unused;
    static struct slot slot;
    char text[200];
    bool corrupt;
    memset(&slot, 0, sizeof slot);
    slot.open_requests = 3; /* complete, and no thread had begun one */
    assert_int_equal(obituary_requests(&slot, 100, &corrupt, text, sizeof text), 3);
    assert_string_equal(text, "3 at the door");
    slot.cell[0].in_request = 1;
    slot.cell[0].endpoint = ENDPOINT_ITEM_GET;
    slot.cell[0].stage = STAGE_DB;
    assert_int_equal(obituary_requests(&slot, 100, &corrupt, text, sizeof text), 3);
    assert_string_equal(text, "GET /data/items/{id} in db ×1, 2 at the door");
    slot.open_requests = 0; /* the worker's request to itself is nobody's loss */
    assert_int_equal(obituary_requests(&slot, 100, &corrupt, text, sizeof text), 0);
    assert_false(corrupt);
    slot.open_requests = UINT64_MAX; /* scribbled on: the threads alone are believed */
    assert_int_equal(obituary_requests(&slot, 100, &corrupt, text, sizeof text), 1);
    assert_true(corrupt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_class_of_every_end),
        cmocka_unit_test(the_manner_in_words),
        cmocka_unit_test(the_requests_it_took_along),
        cmocka_unit_test(the_requests_at_its_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
