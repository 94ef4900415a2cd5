/* SPDX-License-Identifier: MIT */
/* The load tester: what was written, what was promised, and what answers are worth. */
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tools/http/http_message.h"
#include "tools/loadtest/judge.h"
#include "tools/loadtest/ledger.h"
#include "tools/loadtest/payload.h"
#include "tools/loadtest/plan.h"
#include "tools/loadtest/request.h"

#define KEY_A "01a1fb94-6339-7733-bf6c-35658bdea75b"
#define KEY_B "01a1fb94-6352-7718-b5e4-8f017f5edf9a"

/* ---- payload and ledger ---- */

static void payloads_follow_from_the_key(void **state)
{
    (void)state;
    char title[PAYLOAD_TITLE_SIZE], a[PAYLOAD_BODY_SIZE], b[PAYLOAD_BODY_SIZE];
    payload_title(title, KEY_A);
    assert_string_equal(payload_key(title), KEY_A);
    assert_null(payload_key("loadtest of somebody else"));
    assert_null(payload_key(KEY_A));
    payload_body(a, KEY_A);
    payload_body(b, KEY_B);
    assert_int_equal(strlen(a), PAYLOAD_BODY_SIZE - 1);
    assert_string_not_equal(a, b);
    uint64_t hash = payload_hash(title, strlen(title), a, strlen(a));
    assert_int_equal(hash, payload_hash_of_key(KEY_A));
    a[100] ^= 1; /* one bit of one byte */
    assert_int_not_equal(hash, payload_hash(title, strlen(title), a, strlen(a)));
}

static void list(struct ledger *ledger, const char *key, const char *id)
{
    char title[PAYLOAD_TITLE_SIZE];
    payload_title(title, key);
    ledger_listed(ledger, title, id);
}

static unsigned found(const struct ledger *ledger, uint32_t index)
{
    return ledger_classify(ledger_entry(ledger, index), true);
}

static void kept_promises_are_no_findings(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_open();
    uint32_t a = ledger_add(ledger, 0, KEY_A);
    ledger_ack(ledger, a, "id-a");
    assert_int_equal(ledger_pick(ledger, 12345), a);
    list(ledger, KEY_A, "id-a");
    list(ledger, KEY_A, "id-a"); /* the same page twice is no duplicate */
    ledger_read_back(ledger, a, false);
    assert_int_equal(found(ledger, a), 0);
    uint32_t b = ledger_add(ledger, 0, KEY_B); /* refused, and not there */
    assert_int_equal(found(ledger, b), 0);
    ledger_close(ledger);
}

static void planted_faults_are_found(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_open();
    uint32_t index = ledger_add(ledger, 0, KEY_A);
    ledger_ack(ledger, index, "id-a");
    assert_int_equal(ledger_classify(ledger_entry(ledger, index), false), FINDING_UNREAD);
    assert_int_equal(found(ledger, index), FINDING_LOST); /* neither listed nor read */
    ledger_read_back(ledger, index, false);
    assert_int_equal(found(ledger, index), FINDING_LOST); /* by id, but in no list */
    list(ledger, KEY_A, "id-a");
    assert_int_equal(found(ledger, index), 0);
    ledger_read_back(ledger, index, true);
    assert_int_equal(found(ledger, index), FINDING_LOST); /* listed, but 404 by its id */
    ledger_read_back(ledger, index, false);
    list(ledger, KEY_A, "id-a-again");
    assert_int_equal(found(ledger, index), FINDING_DUPLICATE);
    ledger_corrupt(ledger, index);
    assert_int_equal(found(ledger, index), FINDING_DUPLICATE | FINDING_CORRUPT);
    ledger_close(ledger);
}

static void writes_without_an_answer_are_indeterminate(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_open();
    uint32_t a = ledger_add(ledger, 0, KEY_A), b = ledger_add(ledger, 0, KEY_B);
    ledger_uncertain(ledger, a);
    assert_int_equal(found(ledger, a), FINDING_INDETERMINATE);
    list(ledger, KEY_A, "id-a");
    assert_int_equal(found(ledger, a), FINDING_INDETERMINATE);
    list(ledger, KEY_A, "id-a-again"); /* may exist once, not twice */
    assert_int_equal(found(ledger, a), FINDING_INDETERMINATE | FINDING_DUPLICATE);
    ledger_uncertain(ledger, b);
    ledger_ack(ledger, b, "id-b"); /* the retry was acknowledged: a promise after all */
    assert_int_equal(found(ledger, b), FINDING_LOST);
    struct ledger_verdict verdict = ledger_verdict(ledger, true);
    assert_int_equal(verdict.creates, 2);
    assert_int_equal(verdict.acked, 1);
    assert_int_equal(verdict.lost, 1);
    assert_int_equal(verdict.duplicate, 1);
    assert_int_equal(verdict.indeterminate, 1);
    assert_int_equal(verdict.indeterminate_existing, 1);
    ledger_close(ledger);
}

static void refused_writes_that_exist_are_told(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_open();
    uint32_t a = ledger_add(ledger, 0, KEY_A);
    list(ledger, KEY_A, "id-a");
    assert_int_equal(found(ledger, a), FINDING_UNEXPECTED);
    ledger_close(ledger);
}

static void acknowledgements_without_an_id_are_found_by_their_key(void **state)
{
    (void)state;
    struct ledger *ledger = ledger_open();
    uint32_t a = ledger_add(ledger, 0, KEY_A);
    ledger_ack(ledger, a, NULL);
    assert_int_equal(ledger_pick(ledger, 0), -1);
    assert_int_equal(found(ledger, a), FINDING_LOST);
    list(ledger, KEY_A, "id-a");
    assert_string_equal(ledger_entry(ledger, a)->id, "id-a");
    ledger_read_back(ledger, a, false);
    assert_int_equal(found(ledger, a), 0);
    ledger_close(ledger);
}

static void ledgers_grow(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct ledger *ledger = ledger_open();
    char key[UUID_TEXT_SIZE];
    ledger_listed(ledger, "loadtest " KEY_A, "id"); /* an empty ledger knows nobody */
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "00000000-0000-7000-8000-%012x", i);
        assert_int_equal(ledger_add(ledger, 0, key), i);
        ledger_ack(ledger, i, key);
    }
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "00000000-0000-7000-8000-%012x", i);
        list(ledger, key, key);
        assert_true(ledger_entry(ledger, i)->listed);
        ledger_read_back(ledger, i, false);
    }
    struct ledger_verdict verdict = ledger_verdict(ledger, true);
    assert_int_equal(verdict.acked, MANY);
    assert_int_equal(verdict.lost + verdict.duplicate + verdict.corrupt + verdict.unread, 0);
    ledger_close(ledger);
}

/* ---- judgement ---- */

static struct outcome judge(struct ledger *ledger, enum request_kind kind, int status, char *body)
{
    struct request request = {.kind = kind};
    struct http_response response = {.status = status, .body = body, .body_length = strlen(body)};
    return judge_answer(&request, &response, ledger);
}

/* The item of KEY_A as a server would show it; `spoil` changes one letter of its body. */
static char *item(char out[1024], const char *id, bool spoil)
{
    char title[PAYLOAD_TITLE_SIZE], body[PAYLOAD_BODY_SIZE];
    payload_title(title, KEY_A);
    payload_body(body, KEY_A);
    if (spoil)
        body[200] = '#';
    snprintf(out, 1024, "{\"id\":\"%s\",\"title\":\"%s\",\"body\":\"%s\"}", id, title, body);
    return out;
}

static void answers_are_judged_by_what_was_written(void **state)
{
    (void)state;
    char text[1024];
    struct ledger *ledger = ledger_open();
    ledger_add(ledger, 0, KEY_A);
    assert_int_equal(judge(ledger, REQUEST_CREATE, 503, item(text, "", false)).cause, CAUSE_HTTP);
    assert_false(ledger_entry(ledger, 0)->acked);
    assert_int_equal(judge(ledger, REQUEST_CREATE, 201, item(text, "id-a", false)).cause,
                     CAUSE_NONE);
    assert_true(ledger_entry(ledger, 0)->acked);
    assert_string_equal(ledger_entry(ledger, 0)->id, "id-a");
    assert_int_equal(judge(ledger, REQUEST_READ, 200, item(text, "id-a", false)).cause, CAUSE_NONE);
    assert_int_equal(judge(ledger, REQUEST_READ, 404, item(text, "id-a", false)).cause,
                     CAUSE_WRONG);
    assert_int_equal(judge(ledger, REQUEST_READ, 206, item(text, "id-a", false)).cause,
                     CAUSE_WRONG);
    struct outcome outcome = judge(ledger, REQUEST_READ, 500, item(text, "id-a", false));
    assert_int_equal(outcome.cause, CAUSE_HTTP);
    assert_int_equal(outcome.status, 500);
    assert_false(ledger_entry(ledger, 0)->corrupt);
    assert_int_equal(judge(ledger, REQUEST_READ, 200, item(text, "id-a", true)).cause, CAUSE_WRONG);
    assert_true(ledger_entry(ledger, 0)->corrupt);
    ledger_close(ledger);
}

static void other_answers_need_sense_too(void **state)
{
    (void)state;
    char text[1024], empty[] = "", page[] = "{\"items\":[]}", object[] = "{}";
    struct ledger *ledger = ledger_open();
    ledger_add(ledger, 0, KEY_A);
    assert_int_equal(judge(ledger, REQUEST_LIST, 200, page).cause, CAUSE_NONE);
    assert_int_equal(judge(ledger, REQUEST_LIST, 200, object).cause, CAUSE_WRONG);
    assert_int_equal(judge(ledger, REQUEST_LIST, 200, empty).cause, CAUSE_WRONG);
    assert_int_equal(judge(ledger, REQUEST_VERIFY, 404, object).cause, CAUSE_HTTP);
    /* Another's item under our id, and an acknowledgement that is none. */
    assert_int_equal(judge(ledger, REQUEST_READ, 200, item(text, "id-b", false)).cause,
                     CAUSE_WRONG);
    assert_int_equal(judge(ledger, REQUEST_CREATE, 201, empty).cause, CAUSE_WRONG);
    assert_true(ledger_entry(ledger, 0)->acked);
    assert_true(ledger_entry(ledger, 0)->corrupt);
    ledger_close(ledger);
}

static void uncertainty_is_what_nobody_knows(void **state)
{
    (void)state;
    char unknown[] = "{\"type\":\"/problems/write-outcome-unknown\"}",
         named[] = "{\"type\":\"/x\"}";
    struct http_response says = {.body = unknown, .body_length = sizeof unknown - 1};
    struct http_response silent = {.body = named, .body_length = sizeof named - 1};
    struct outcome http = {.cause = CAUSE_HTTP, .status = 503};
    assert_true(judge_uncertain(&http, true, &says));
    assert_false(judge_uncertain(&http, true, &silent));
    http.status = 500;
    assert_true(judge_uncertain(&http, true, &silent));
    assert_true(judge_uncertain(&(struct outcome){.cause = CAUSE_TIMEOUT}, true, NULL));
    assert_false(judge_uncertain(&(struct outcome){.cause = CAUSE_TIMEOUT}, false, NULL));
    assert_true(judge_uncertain(&(struct outcome){.cause = CAUSE_EOF}, true, NULL));
    assert_false(judge_uncertain(&(struct outcome){.cause = CAUSE_REFUSED}, false, NULL));
    assert_false(judge_uncertain(&(struct outcome){.cause = CAUSE_DROPPED}, false, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payloads_follow_from_the_key),
        cmocka_unit_test(kept_promises_are_no_findings),
        cmocka_unit_test(planted_faults_are_found),
        cmocka_unit_test(writes_without_an_answer_are_indeterminate),
        cmocka_unit_test(refused_writes_that_exist_are_told),
        cmocka_unit_test(acknowledgements_without_an_id_are_found_by_their_key),
        cmocka_unit_test(ledgers_grow),
        cmocka_unit_test(answers_are_judged_by_what_was_written),
        cmocka_unit_test(other_answers_need_sense_too),
        cmocka_unit_test(uncertainty_is_what_nobody_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
