/* SPDX-License-Identifier: MIT */
/* The load tester's decisions: plan, parser, retries, thresholds, ledger, judgement, exit code. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "tools/loadtest/http_message.h"
#include "tools/loadtest/judge.h"
#include "tools/loadtest/ledger.h"
#include "tools/loadtest/options.h"
#include "tools/loadtest/payload.h"
#include "tools/loadtest/plan.h"
#include "tools/loadtest/request.h"
#include "tools/loadtest/result.h"
#include "tools/loadtest/retry.h"
#include "tools/loadtest/target.h"
#include "tools/loadtest/threshold.h"
#include "tools/loadtest/timers.h"

#define KEY_A "01a1fb94-6339-7733-bf6c-35658bdea75b"
#define KEY_B "01a1fb94-6352-7718-b5e4-8f017f5edf9a"

/* ---- plan ---- */

static struct plan_settings baseline(void)
{
    return (struct plan_settings){
        .arrivals = ARRIVALS_EVEN,
        .rate = 300,
        .duration_ns = 60 * NS_PER_S,
        .weight = {[LOAD_READ] = 75, [LOAD_WRITE] = 20, [LOAD_LIST] = 5},
        .seed = 1,
    };
}

static void even_arrivals_are_evenly_spaced(void **state)
{
    (void)state;
    struct plan_settings settings = baseline();
    struct plan plan;
    struct arrival arrival;
    plan_start(&plan, &settings);
    uint64_t count = 0;
    while (plan_next(&plan, &arrival)) {
        uint64_t exact = count * NS_PER_S / 300;
        assert_in_range(arrival.offset_ns, exact > 0 ? exact - 1 : 0, exact + 1);
        count += 1;
    }
    assert_int_equal(count, 18000);
}

static void poisson_arrivals_have_the_rate_and_exponential_gaps(void **state)
{
    (void)state;
    struct plan_settings settings = baseline();
    settings.arrivals = ARRIVALS_POISSON;
    struct plan plan;
    struct arrival arrival;
    plan_start(&plan, &settings);
    uint64_t count = 0, last = 0, longer_than_mean = 0;
    while (plan_next(&plan, &arrival)) {
        assert_true(arrival.offset_ns >= last);
        longer_than_mean += arrival.offset_ns - last > NS_PER_S / 300;
        last = arrival.offset_ns;
        count += 1;
    }
    /* 18000 ± 4 standard deviations; of exponential gaps e⁻¹ are longer than their mean. */
    assert_in_range(count, 18000 - 537, 18000 + 537);
    double share = (double)longer_than_mean / (double)count;
    assert_true(fabs(share - exp(-1)) < 0.02);
}

static void the_mix_is_kept(void **state)
{
    (void)state;
    struct plan_settings settings = baseline();
    struct plan plan;
    struct arrival arrival;
    unsigned count[LOAD_KINDS] = {0};
    plan_start(&plan, &settings);
    while (plan_next(&plan, &arrival))
        count[arrival.kind] += 1;
    /* ± 4 standard deviations of the binomial distribution */
    assert_in_range(count[LOAD_READ], 13500 - 233, 13500 + 233);
    assert_in_range(count[LOAD_WRITE], 3600 - 215, 3600 + 215);
    assert_in_range(count[LOAD_LIST], 900 - 117, 900 + 117);
}

static void a_seed_is_a_plan(void **state)
{
    (void)state;
    struct plan_settings settings = baseline(), poisson = baseline(), other = baseline();
    poisson.arrivals = ARRIVALS_POISSON;
    other.seed = 2;
    struct plan a, b, c, d;
    struct arrival of_a, of_b, of_c, of_d;
    unsigned differences = 0;
    plan_start(&a, &settings);
    plan_start(&b, &settings);
    plan_start(&c, &poisson);
    plan_start(&d, &other);
    for (int i = 0; i < 1000; i++) {
        assert_true(plan_next(&a, &of_a) && plan_next(&b, &of_b) && plan_next(&c, &of_c) &&
                    plan_next(&d, &of_d));
        assert_int_equal(of_a.offset_ns, of_b.offset_ns);
        assert_int_equal(of_a.kind, of_b.kind);
        assert_int_equal(of_a.random, of_b.random);
        assert_int_equal(of_a.kind, of_c.kind); /* kinds do not depend on the arrivals */
        differences += of_a.random != of_d.random;
    }
    assert_int_equal(differences, 1000);
}

static void mixes_are_parsed(void **state)
{
    (void)state;
    unsigned weight[LOAD_KINDS];
    assert_int_equal(plan_parse_mix("list=1,read=2", weight), 0);
    assert_int_equal(weight[LOAD_READ], 2);
    assert_int_equal(weight[LOAD_WRITE], 0);
    assert_int_equal(weight[LOAD_LIST], 1);
    static const char *const bad[] = {"",        "read",       "read=",    "read=-1",     "read=1,",
                                      ",read=1", "reads=1",    "read=0",   "read=1x",     "read=1 ",
                                      "read= 1", "read=1;l=2", "update=1", "read=9999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(plan_parse_mix(bad[i], weight), -EINVAL);
}

/* ---- response parser ---- */

/* Feed text in two pieces, cut at `cut`; the bytes used are returned in *used. */
static int feed(struct http_response *response, const char *text, size_t cut, size_t *used)
{
    size_t length = strlen(text), first = 0, second = 0;
    http_response_reset(response);
    int error = http_response_feed(response, text, cut, &first);
    if (!error && first == cut)
        error = http_response_feed(response, text + cut, length - cut, &second);
    *used = first + second;
    return error;
}

static void responses_may_be_cut_anywhere(void **state)
{
    (void)state;
    static const char plain[] = "HTTP/1.1 201 Created\r\ncontent-LENGTH: 5 \r\n"
                                "Keep-Alive: timeout=10, max=99\r\nX-Empty:\r\n\r\nhello";
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                  "2\r\nhe\r\n3;name=value\r\nllo\r\n0\r\nTrailer: x\r\n\r\n";
    static const char interim[] = "HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\n"
                                  "HTTP/1.1 103 Early Hints\r\n\r\n"
                                  "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello";
    static const char *const texts[] = {plain, chunked, interim};
    struct http_response response = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t cut = 0; cut <= strlen(texts[i]); cut++) {
            size_t used;
            assert_int_equal(feed(&response, texts[i], cut, &used), 0);
            assert_int_equal(response.phase, HTTP_COMPLETE);
            assert_int_equal(response.status, i == 0 ? 201 : 200);
            assert_int_equal(response.body_length, 5);
            assert_memory_equal(response.body, "hello", 5);
            assert_int_equal(used, strlen(texts[i]));
            assert_true(response.keep_alive);
            assert_int_equal(response.keep_alive_timeout_s, i == 0 ? 10 : -1);
        }
    }
    http_response_free(&response);
}

static void responses_may_come_byte_by_byte(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: Close\r\n"
                               "Content-Length: 2\r\n\r\n{}";
    struct http_response response = {0};
    http_response_reset(&response);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        size_t used;
        assert_int_not_equal(response.phase, HTTP_COMPLETE);
        assert_int_equal(http_response_feed(&response, text + i, 1, &used), 0);
        assert_int_equal(used, 1);
    }
    assert_int_equal(response.phase, HTTP_COMPLETE);
    assert_int_equal(response.status, 503);
    assert_false(response.keep_alive);
    http_response_free(&response);
}

static void bytes_after_a_response_are_not_its_own(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n";
    struct http_response response = {0};
    size_t used;
    assert_int_equal(feed(&response, text, sizeof text - 1, &used), 0);
    assert_int_equal(response.phase, HTTP_COMPLETE);
    assert_int_equal(used, strlen("HTTP/1.1 204 No Content\r\n\r\n"));
    http_response_free(&response);
}

static void a_body_without_length_ends_with_the_connection(void **state)
{
    (void)state;
    struct http_response response = {0};
    size_t used;
    assert_int_equal(feed(&response, "HTTP/1.0 200 OK\r\n\r\nall of it", 20, &used), 0);
    assert_int_equal(response.phase, HTTP_BODY_UNTIL_CLOSE);
    assert_false(response.keep_alive);
    assert_int_equal(http_response_end(&response), 0);
    assert_int_equal(response.phase, HTTP_COMPLETE);
    assert_int_equal(response.body_length, 9);
    /* Half a body, half a head, nothing at all: the end completes none of them. */
    assert_int_equal(feed(&response, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 0, &used),
                     0);
    assert_int_equal(http_response_end(&response), -EPIPE);
    assert_int_equal(feed(&response, "HTTP/1.1 200 OK\r\nContent-Le", 3, &used), 0);
    assert_int_equal(http_response_end(&response), -EPIPE);
    http_response_reset(&response);
    assert_int_equal(http_response_end(&response), -EPIPE);
    http_response_free(&response);
}

static void what_is_not_http_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "garbage\r\n",
        "\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/2 200 OK\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1 099 Low\r\n",
        "HTTP/1.1 600 High\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n",
    };
    struct http_response response = {0};
    size_t used;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t cut = 0; cut <= strlen(bad[i]); cut++)
            assert_int_equal(feed(&response, bad[i], cut, &used), -EPROTO);
    http_response_free(&response);
}

static void responses_have_limits(void **state)
{
    (void)state;
    static const char head[] = "HTTP/1.1 200 OK\r\n";
    struct http_response response = {0};
    char line[HTTP_LINE_LIMIT + 1];
    size_t used;
    int error;

    memset(line, 'x', sizeof line);
    assert_int_equal(feed(&response, head, 0, &used), 0);
    assert_int_equal(http_response_feed(&response, line, sizeof line, &used), -EMSGSIZE);

    assert_int_equal(feed(&response, head, 0, &used), 0);
    unsigned lines = 0;
    while ((error = http_response_feed(&response, "A: b\r\n", 6, &used)) == 0)
        assert_true(++lines < HTTP_HEAD_LIMIT);
    assert_int_equal(error, -EMSGSIZE);

    /* An endless row of interim responses ends too. */
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    http_response_reset(&response);
    for (lines = 0;
         (error = http_response_feed(&response, interim, sizeof interim - 1, &used)) == 0;)
        assert_true(++lines < HTTP_HEAD_LIMIT);
    assert_int_equal(error, -EMSGSIZE);

    assert_int_equal(
        feed(&response, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", 9, &used),
        -EMSGSIZE);
    http_response_free(&response);
}

/* ---- retries ---- */

static void what_may_pass_is_worth_a_retry(void **state)
{
    (void)state;
    static const enum cause yes[] = {CAUSE_REFUSED, CAUSE_UNREACHABLE, CAUSE_RESET, CAUSE_EOF,
                                     CAUSE_TIMEOUT};
    static const enum cause no[] = {CAUSE_NONE, CAUSE_MALFORMED, CAUSE_DROPPED, CAUSE_WRONG};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(retry_is_worthwhile(&(struct outcome){.cause = yes[i]}));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(retry_is_worthwhile(&(struct outcome){.cause = no[i]}));
    for (int status = 300; status < STATUS_LIMIT; status++)
        assert_int_equal(
            retry_is_worthwhile(&(struct outcome){.cause = CAUSE_HTTP, .status = status}),
            status == 429 || status == 502 || status == 503 || status == 504);
}

static void policies_wait_as_they_say(void **state)
{
    (void)state;
    const struct outcome refused = {.cause = CAUSE_REFUSED};
    struct retry_policy policy = {.kind = RETRY_NONE, .attempts = 3};
    uint64_t wait_ns = 1;
    assert_false(retry_decide(&policy, &refused, 0, 0, &wait_ns));
    policy.kind = RETRY_IMMEDIATE;
    assert_true(retry_decide(&policy, &refused, 0, UINT64_MAX, &wait_ns));
    assert_int_equal(wait_ns, 0);
    assert_true(retry_decide(&policy, &refused, 1, UINT64_MAX, &wait_ns));
    assert_false(retry_decide(&policy, &refused, 2, UINT64_MAX, &wait_ns)); /* three in all */
    policy.kind = RETRY_FIXED;
    assert_true(retry_decide(&policy, &refused, 1, UINT64_MAX, &wait_ns));
    assert_int_equal(wait_ns, 100 * NS_PER_MS);
    policy.kind = RETRY_FULL_JITTER;
    policy.attempts = 0; /* no limit */
    uint64_t ceiling_ns = 50 * NS_PER_MS;
    for (unsigned attempt = 0; attempt < 20; attempt++) {
        uint64_t longest = 0;
        for (uint64_t random = 0; random < 1000; random++) {
            assert_true(
                retry_decide(&policy, &refused, attempt, random * 0x9E3779B97F4A7C15, &wait_ns));
            assert_true(wait_ns <= ceiling_ns);
            longest = wait_ns > longest ? wait_ns : longest;
        }
        assert_true(longest > ceiling_ns / 10 * 9);
        ceiling_ns = ceiling_ns * 2 < NS_PER_S ? ceiling_ns * 2 : NS_PER_S;
    }
}

static void policies_have_names(void **state)
{
    (void)state;
    enum retry_kind kind;
    for (int i = RETRY_NONE; i <= RETRY_FULL_JITTER; i++) {
        assert_int_equal(retry_parse(retry_name((enum retry_kind)i), &kind), 0);
        assert_int_equal(kind, i);
    }
    assert_int_equal(retry_parse("sometimes", &kind), -EINVAL);
}

/* ---- thresholds ---- */

static void thresholds_are_parsed_and_held(void **state)
{
    (void)state;
    struct threshold threshold;
    char text[THRESHOLD_TEXT];
    assert_int_equal(threshold_parse("p95<200", &threshold), 0);
    assert_true(threshold_holds(&threshold, 199.9));
    assert_false(threshold_holds(&threshold, 200));
    assert_false(threshold_holds(&threshold, (double)NAN));
    assert_int_equal(threshold_parse(" error_rate <= 0.01 ", &threshold), 0);
    assert_true(threshold_holds(&threshold, 0.01));
    assert_false(threshold_holds(&threshold, 0.0101));
    threshold_text(&threshold, text);
    assert_string_equal(text, "error_rate<=0.01");
    assert_int_equal(threshold_parse("lost==0", &threshold), 0);
    assert_int_equal(threshold.metric, METRIC_LOST);
    assert_true(threshold_holds(&threshold, 0));
    assert_false(threshold_holds(&threshold, 1));
    assert_false(threshold_holds(&threshold, (double)NAN));
    assert_int_equal(threshold_parse("knee >= 400", &threshold), 0);
    assert_true(threshold_holds(&threshold, 400));
    assert_false(threshold_holds(&threshold, 399));
    assert_false(threshold_holds(&threshold, (double)NAN));
    assert_int_equal(threshold_parse("goodput>100", &threshold), 0);
    assert_false(threshold_holds(&threshold, 100));
    static const char *const bad[] = {"",       "p95",       "p95<",     "p96<1",   "p95=>1",
                                      "p95=1",  "p95<=<1",   "p95<-1",   "p95<1ms", "p95<nan",
                                      "p95<<1", "p95<1 2",   "<1",       "p95 1",   "p95<inf",
                                      "p9 5<1", "p95 < = 1", "p95<1e999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(threshold_parse(bad[i], &threshold), -EINVAL);
}

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

/* ---- requests, targets, timers ---- */

static void requests_carry_what_the_contract_asks(void **state)
{
    (void)state;
    char out[REQUEST_BYTES + 1];
    char name[] = "me", password[] = "a\"b\\", token[] = "abc";
    struct target target = {.authority = "[::1]:8080", .prefix = "/v1"};
    struct account account = {.name = name, .password = password, .token = token};
    struct ledger *ledger = ledger_open();
    const struct ledger_entry *entry = ledger_entry(ledger, ledger_add(ledger, 0, KEY_A));
    struct request request = {.kind = REQUEST_CREATE, .number = 7, .attempt = 2};
    out[request_write(out, &request, &target, &account, entry, "lt-1")] = '\0';
    assert_ptr_equal(strstr(out, "POST /v1/data/items HTTP/1.1\r\nHost: [::1]:8080\r\n"), out);
    assert_non_null(strstr(out, "\r\nX-Request-Id: lt-1-7.2\r\n"));
    assert_non_null(strstr(out, "\r\nX-Retry-Attempt: 2\r\n"));
    assert_non_null(strstr(out, "\r\nAuthorization: Bearer abc\r\n"));
    assert_non_null(strstr(out, "\r\nIdempotency-Key: \"" KEY_A "\"\r\n"));
    const char *body = strstr(out, "\r\n\r\n") + 4, *length = strstr(out, "Content-Length: ");
    assert_int_equal(strlen(body), strtoul(length + 16, NULL, 10));
    request = (struct request){.kind = REQUEST_LOGIN};
    out[request_write(out, &request, &target, &account, NULL, "lt-1")] = '\0';
    assert_non_null(strstr(out, "{\"username\":\"me\",\"password\":\"a\\\"b\\\\\"}"));
    assert_null(strstr(out, "Authorization"));
    request = (struct request){.kind = REQUEST_WALK, .limit = 100, .cursor = "a/b+=&"};
    out[request_write(out, &request, &target, &account, NULL, "lt-1")] = '\0';
    assert_ptr_equal(strstr(out, "GET /v1/data/items?limit=100&cursor=a%2Fb%2B%3D%26 HTTP/1.1"),
                     out);
    ledger_close(ledger);
}

static void urls_are_taken_apart(void **state)
{
    (void)state;
    struct target target;
    assert_int_equal(target_parse(&target, "http://127.0.0.1:8080"), 0);
    assert_string_equal(target.host, "127.0.0.1");
    assert_string_equal(target.port, "8080");
    assert_string_equal(target.prefix, "");
    assert_int_equal(target_parse(&target, "http://[::1]/v1/"), 0);
    assert_string_equal(target.host, "::1");
    assert_string_equal(target.port, "80");
    assert_string_equal(target.prefix, "/v1");
    assert_string_equal(target.authority, "[::1]");
    static const char *const bad[] = {"",
                                      "127.0.0.1:8080",
                                      "https://x",
                                      "http://",
                                      "http://:80",
                                      "http://x:",
                                      "http://x:0",
                                      "http://x:65536",
                                      "http://[::1",
                                      "http://x:y",
                                      "http://a b",
                                      "http://x/?q",
                                      "http://a@b",
                                      "http://::1:8080",
                                      "http://x:80x",
                                      "unix:/tmp/x",
                                      "http://[::1]80",
                                      "http://x\r\ny"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(target_parse(&target, bad[i]), -EINVAL);
}

static void timers_come_in_order(void **state)
{
    (void)state;
    struct timers timers = {0};
    uint64_t due[500], random = 1, last = 0;
    assert_int_equal(timers_next_ns(&timers), UINT64_MAX);
    for (size_t i = 0; i < 500; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        due[i] = random >> 44;
        timers_add(&timers, due[i], &due[i]);
    }
    assert_null(timers_take(&timers, timers_next_ns(&timers) - 1));
    for (size_t i = 0; i < 500; i++) {
        uint64_t next = timers_next_ns(&timers);
        const uint64_t *thing = timers_take(&timers, next);
        assert_non_null(thing);
        assert_int_equal(*thing, next);
        assert_true(next >= last);
        last = next;
    }
    assert_null(timers_take(&timers, UINT64_MAX));
    timers_free(&timers);
}

/* ---- the result ---- */

static void the_gravest_finding_is_the_exit_code(void **state)
{
    (void)state;
    struct result result = {.audit = AUDIT_COMPLETE};
    assert_int_equal(result_exit_code(&result), LOADTEST_OK);
    result.breaches = 1;
    assert_int_equal(result_exit_code(&result), LOADTEST_BREACHED);
    result.invalid_count = 1;
    assert_int_equal(result_exit_code(&result), LOADTEST_INVALID);
    result.audit = AUDIT_INCOMPLETE;
    assert_int_equal(result_exit_code(&result), EXIT_TEMPORARY);
    result.interrupted = true;
    assert_int_equal(result_exit_code(&result), LOADTEST_INTERRUPTED);
    result.verdict.indeterminate = 1;
    assert_int_equal(result_exit_code(&result), LOADTEST_INTERRUPTED);
    result.verdict.corrupt = 1;
    assert_int_equal(result_exit_code(&result), LOADTEST_AUDIT_FAILED);
}

static void late_and_limited_runs_are_invalid(void **state)
{
    (void)state;
    struct options options = {.thresholds = {{METRIC_P99, BELOW, 1000}}, .threshold_count = 1};
    struct statistics *statistics = calloc(1, sizeof *statistics);
    struct result result = {.options = &options, .statistics = statistics};
    const struct outcome limited = {.cause = CAUSE_HTTP, .status = 429};
    assert_non_null(statistics);
    for (unsigned i = 0; i < 100; i++) {
        statistics_sent(statistics);
        statistics_lag(statistics, i < 99 ? NS_PER_MS : 50 * NS_PER_MS);
        statistics_request_ok(statistics, LOAD_READ, NS_PER_MS);
    }
    result_conclude(&result);
    assert_int_equal(result.exit_code, LOADTEST_OK); /* one in a hundred may be late */
    assert_int_equal(result.invalid_count, 0);
    statistics_lag(statistics, 50 * NS_PER_MS);
    statistics_lag(statistics, 50 * NS_PER_MS);
    result = (struct result){.options = &options, .statistics = statistics};
    result_conclude(&result);
    assert_int_equal(result.exit_code, LOADTEST_INVALID);
    statistics_attempt_failed(statistics, &limited, 0);
    result = (struct result){.options = &options, .statistics = statistics};
    result_conclude(&result);
    assert_int_equal(result.invalid_count, 2);
    options.allow_429 = true;
    result = (struct result){.options = &options, .statistics = statistics};
    result_conclude(&result);
    assert_int_equal(result.invalid_count, 1);
    free(statistics);
}

/* A server that stands still for a second of ten: every request that was due in it is late by what
 * was left of the second. Counted from the sending, one request would show it. */
static void a_pause_delays_everything_that_was_due_in_it(void **state)
{
    (void)state;
    struct plan_settings settings = baseline();
    settings.duration_ns = 10 * NS_PER_S;
    struct plan plan;
    struct arrival arrival;
    struct options options = {.thresholds = {{METRIC_P99, BELOW, 880}}, .threshold_count = 1};
    struct statistics *statistics = calloc(1, sizeof *statistics);
    struct result result = {.options = &options, .statistics = statistics};
    assert_non_null(statistics);
    plan_start(&plan, &settings);
    while (plan_next(&plan, &arrival)) {
        bool paused = arrival.offset_ns >= 4 * NS_PER_S && arrival.offset_ns < 5 * NS_PER_S;
        statistics_sent(statistics);
        statistics_request_ok(statistics, arrival.kind,
                              paused ? 5 * NS_PER_S - arrival.offset_ns : NS_PER_MS);
    }
    result_conclude(&result);
    /* 300 of 3000 are spread evenly over the second: the 99th percentile is at 0.9 of it. */
    assert_true(result.value[0] > 870 && result.value[0] < 930);
    assert_int_equal(result.exit_code, LOADTEST_BREACHED);
    free(statistics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(even_arrivals_are_evenly_spaced),
        cmocka_unit_test(poisson_arrivals_have_the_rate_and_exponential_gaps),
        cmocka_unit_test(the_mix_is_kept),
        cmocka_unit_test(a_seed_is_a_plan),
        cmocka_unit_test(mixes_are_parsed),
        cmocka_unit_test(responses_may_be_cut_anywhere),
        cmocka_unit_test(responses_may_come_byte_by_byte),
        cmocka_unit_test(bytes_after_a_response_are_not_its_own),
        cmocka_unit_test(a_body_without_length_ends_with_the_connection),
        cmocka_unit_test(what_is_not_http_is_refused),
        cmocka_unit_test(responses_have_limits),
        cmocka_unit_test(what_may_pass_is_worth_a_retry),
        cmocka_unit_test(policies_wait_as_they_say),
        cmocka_unit_test(policies_have_names),
        cmocka_unit_test(thresholds_are_parsed_and_held),
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
        cmocka_unit_test(requests_carry_what_the_contract_asks),
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(timers_come_in_order),
        cmocka_unit_test(the_gravest_finding_is_the_exit_code),
        cmocka_unit_test(late_and_limited_runs_are_invalid),
        cmocka_unit_test(a_pause_delays_everything_that_was_due_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
