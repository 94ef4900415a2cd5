/* SPDX-License-Identifier: MIT */
/* Rate limits: equal to an exact oracle, no more than was promised to many at once, and harmless
 * when the table is full. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/gcra.h"
#include "common/siphash.h"

static const uint64_t secret[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
static struct gcra_table *table;

static int clear(void **unused)
{
    (void)unused;
    if (!table)
        table =
            mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(table, 0, sizeof *table);
    return table == MAP_FAILED;
}

/* A key of set `set` with tag `tag`. */
static uint64_t key_of(unsigned set, uint64_t tag)
{
    return tag << 48 | set;
}

static void siphash_is_the_papers(void **unused)
{
    (void)unused;
    /* Appendix A of the paper: 15 bytes 00 … 0e, key 00 … 0f. */
    unsigned char input[15];
    for (unsigned i = 0; i < sizeof input; i++)
        input[i] = (unsigned char)i;
    assert_true(siphash24(secret, input, sizeof input) == UINT64_C(0xa129ca6149be45e5));
    assert_true(siphash24(secret, input, 0) == UINT64_C(0x726fdb47dd0e0e31));
}

/* ---- the oracle: a level that leaks, one for each key, in a table of its own ---------------- */

#define KEYS     4000
#define ARRIVALS (10 * 1000 * 1000)

struct oracle {
    uint64_t key, level_us, at_us;
};

static bool oracle_takes(struct oracle *oracle, const struct gcra_limit *limit, uint64_t now_us)
{
    uint64_t leaked = now_us - oracle->at_us;
    oracle->level_us = oracle->level_us > leaked ? oracle->level_us - leaked : 0;
    oracle->at_us = now_us;
    if (oracle->level_us + limit->interval_us > limit->interval_us * limit->burst)
        return false;
    oracle->level_us += limit->interval_us;
    return true;
}

/* Every key is in a set with others, but no set has more of them than ways, and no tag twice. */
static void make_keys(struct oracle *oracle)
{
    for (unsigned i = 0; i < KEYS; i++)
        oracle[i].key = key_of(i / GCRA_WAYS * 3, 1 + i * 7);
}

static void ten_million_arrivals_are_judged_as_by_an_oracle(void **unused)
{
    (void)unused;
    static struct oracle oracle[KEYS];
    const struct gcra_limit limits[] = {{500, 4}, {333, 7}, {6000000, 10}, {1, 1}};
    uint64_t random = 7, now_us = 1000 * US_PER_S, allowed = 0;
    make_keys(oracle);
    for (unsigned i = 0; i < ARRIVALS; i++) {
        uint64_t bits = random_next(&random);
        unsigned who = (unsigned)(bits % 64 < 48 ? (bits >> 8) % 16 : (bits >> 8) % KEYS);
        const struct gcra_limit *limit = &limits[who % 4];
        now_us += bits >> 40 & 127;
        if ((bits >> 56) == 0)
            now_us += (bits >> 20) % 100000; /* a lull */
        bool want = oracle_takes(&oracle[who], limit, now_us);
        struct gcra_decision got = gcra_charge(table, limit, oracle[who].key, now_us);
        if ((got.result == GCRA_ALLOWED) != want || got.result == GCRA_PASSED_FULL ||
            got.whole_us != oracle[who].level_us)
            fail_msg("arrival %u of key %u: result %d, oracle %d", i, who, got.result, want);
        allowed += want ? 1 : 0;
    }
    print_message("%llu of %d allowed\n", (unsigned long long)allowed, ARRIVALS);
    assert_in_range(allowed, ARRIVALS / 10, ARRIVALS * 9 / 10);
}

static void numbers_of_a_decision_are_true(void **unused)
{
    (void)unused;
    const struct gcra_limit limit = gcra_limit_of(10, 60 * US_PER_S, 3);
    uint64_t key = key_of(5, 5), now_us = 50;
    assert_int_equal(limit.interval_us, 6 * US_PER_S);
    for (uint64_t left = 3; left-- > 0;) {
        assert_int_equal(gcra_look(table, &limit, key, now_us).result, GCRA_ALLOWED);
        struct gcra_decision decision = gcra_charge(table, &limit, key, now_us);
        assert_int_equal(decision.result, GCRA_ALLOWED);
        assert_int_equal(decision.remaining, left);
        assert_int_equal(decision.whole_us, (3 - left) * limit.interval_us);
    }
    struct gcra_decision decision = gcra_charge(table, &limit, key, now_us);
    assert_int_equal(decision.result, GCRA_LIMITED);
    assert_int_equal(gcra_look(table, &limit, key, now_us).result, GCRA_LIMITED);
    /* One microsecond before the time it names it is still refused, then it is not. */
    assert_int_equal(gcra_charge(table, &limit, key, now_us + decision.wait_us - 1).result,
                     GCRA_LIMITED);
    assert_int_equal(gcra_charge(table, &limit, key, now_us + decision.wait_us).result,
                     GCRA_ALLOWED);
    assert_int_equal(gcra_limit_of(3, US_PER_S, 1).interval_us, 333334); /* never more than 3 */
}

/* ---- sets -------------------------------------------------------------------------------- */

static void one_tag_is_one_bucket(void **unused)
{
    (void)unused;
    const struct gcra_limit limit = {1000, 2};
    /* The bits between set and tag are not kept: such keys share a bucket, whatever the price. */
    uint64_t key = key_of(9, 77), twin = key | UINT64_C(1) << 20;
    assert_int_equal(gcra_charge(table, &limit, key, 10).result, GCRA_ALLOWED);
    assert_int_equal(gcra_charge(table, &limit, twin, 10).result, GCRA_ALLOWED);
    assert_int_equal(gcra_charge(table, &limit, key, 10).result, GCRA_LIMITED);
    assert_int_equal(gcra_charge(table, &limit, key_of(9, 78), 10).result, GCRA_ALLOWED);
    assert_int_equal(gcra_charge(table, &limit, key_of(10, 77), 10).result, GCRA_ALLOWED);
}

static void a_full_set_lets_pass_and_what_is_past_is_claimed(void **unused)
{
    (void)unused;
    const struct gcra_limit limit = {1000, 1};
    for (uint64_t tag = 1; tag <= GCRA_WAYS; tag++)
        assert_int_equal(gcra_charge(table, &limit, key_of(3, tag), 10 * tag).result, GCRA_ALLOWED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(gcra_charge(table, &limit, key_of(3, 99), 500).result, GCRA_PASSED_FULL);
    assert_int_equal(gcra_look(table, &limit, key_of(3, 99), 500).result, GCRA_PASSED_FULL);
    /* Those in it are still limited, and the next set is not full. */
    assert_int_equal(gcra_charge(table, &limit, key_of(3, 4), 500).result, GCRA_LIMITED);
    assert_int_equal(gcra_charge(table, &limit, key_of(4, 99), 500).result, GCRA_ALLOWED);
    /* At 1010 the first one's time is past: its word is free. */
    assert_int_equal(gcra_charge(table, &limit, key_of(3, 99), 1010).result, GCRA_ALLOWED);
    assert_int_equal(atomic_load(&table->word[3][0]), gcra_word(key_of(3, 99), 2010));
    assert_int_equal(gcra_charge(table, &limit, key_of(3, 99), 1010).result, GCRA_LIMITED);
}

/* Two claimed two ways for one bucket. */
static void of_two_claims_the_earlier_way_is_the_bucket(void **unused)
{
    (void)unused;
    _Atomic uint64_t *set = table->word[0];
    uint64_t key = key_of(0, 8), other = key_of(0, 9);
    /* Ours came second: it goes, and what others put on it meanwhile (200) moves. */
    atomic_store(&set[0], gcra_word(other, 5000));
    atomic_store(&set[1], gcra_word(key, 1300));
    atomic_store(&set[3], gcra_word(key, 1100 + 200));
    assert_int_equal(gcra_settle(set, 3, gcra_word(key, 1100), 1000), -1);
    assert_int_equal(atomic_load(&set[3]), 0);
    assert_int_equal(gcra_word_tat(atomic_load(&set[1])), 1500);
    assert_int_equal(atomic_load(&set[0]), gcra_word(other, 5000));
    /* Ours is the earlier one: the later one's charge is not forgotten. */
    atomic_store(&set[2], gcra_word(key, 1250));
    assert_int_equal(gcra_settle(set, 1, gcra_word(key, 1500), 1000), 1);
    assert_int_equal(atomic_load(&set[2]), 0);
    assert_int_equal(gcra_word_tat(atomic_load(&set[1])), 1750);
    /* A word of its tag whose time is past is nobody's. */
    atomic_store(&set[2], gcra_word(key, 999));
    assert_int_equal(gcra_settle(set, 1, gcra_word(key, 1750), 1000), 1);
    assert_int_equal(gcra_word_tat(atomic_load(&set[1])), 1750);
}

/* ---- many at once ------------------------------------------------------------------------ */

#define PROCESSES 4
#define THREADS   8
#define HAMMER_NS (300 * NS_PER_MS)

struct hammer {
    struct gcra_table table;
    _Atomic uint64_t first_us, last_us, allowed, limited, passed;
    uint64_t end_ns;
};
static struct hammer *hammer;
static const struct gcra_limit hammered = {100, 50}; /* 10 000 a second */

static void note_time(uint64_t now_us)
{
    uint64_t seen = atomic_load(&hammer->first_us);
    while ((seen == 0 || now_us < seen) &&
           !atomic_compare_exchange_weak(&hammer->first_us, &seen, now_us))
        ;
    seen = atomic_load(&hammer->last_us);
    while (now_us > seen && !atomic_compare_exchange_weak(&hammer->last_us, &seen, now_us))
        ;
}

static void *strike(void *other_keys)
{
    uint64_t random = (uint64_t)(uintptr_t)&random ^ (uint64_t)getpid();
    const struct gcra_limit brief = {2, 1};
    while (clock_now_ns() < hammer->end_ns) {
        uint64_t now_us = clock_now_ns() / NS_PER_US;
        if (other_keys) /* words of the same set that come and go all the time */
            gcra_charge(&hammer->table, &brief, key_of(1, 100 + random_next(&random) % 2), now_us);
        note_time(now_us);
        switch (gcra_charge(&hammer->table, &hammered, key_of(1, 1), now_us).result) {
        case GCRA_ALLOWED:
            atomic_fetch_add(&hammer->allowed, 1);
            break;
        case GCRA_LIMITED:
            atomic_fetch_add(&hammer->limited, 1);
            break;
        case GCRA_PASSED_FULL:
            atomic_fetch_add(&hammer->passed, 1);
            break;
        }
    }
    return NULL;
}

static void run_hammer(void *other_keys)
{
    hammer = mmap(NULL, sizeof *hammer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(hammer, MAP_FAILED);
    hammer->end_ns = clock_now_ns() + HAMMER_NS;
    pid_t pids[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        if ((pids[p] = fork()) != 0)
            continue;
        pthread_t threads[THREADS];
        for (int t = 0; t < THREADS; t++)
            pthread_create(&threads[t], NULL, strike, other_keys);
        for (int t = 0; t < THREADS; t++)
            pthread_join(threads[t], NULL);
        _exit(0);
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }
}

static void many_at_once_get_no_more_than_one(void **unused)
{
    (void)unused;
    run_hammer(NULL);
    uint64_t span_us = atomic_load(&hammer->last_us) - atomic_load(&hammer->first_us);
    uint64_t allowed = atomic_load(&hammer->allowed), passed = atomic_load(&hammer->passed);
    uint64_t most = span_us / hammered.interval_us + hammered.burst;
    print_message("%llu allowed, most %llu, %llu limited, %llu passed\n",
                  (unsigned long long)allowed, (unsigned long long)most,
                  (unsigned long long)atomic_load(&hammer->limited), (unsigned long long)passed);
    assert_in_range(allowed, most / 10, most);
    assert_in_range(passed, 0, allowed / 100); /* 16 lost races in a row: rare */
    assert_true(atomic_load(&hammer->limited) > allowed);
    munmap(hammer, sizeof *hammer);
}

/* With words around it that are claimed anew all the time the bucket may change its way; what it
 * holds must go with it. */
static void claims_beside_it_do_not_widen_a_bucket(void **unused)
{
    (void)unused;
    run_hammer(hammer);
    uint64_t span_us = atomic_load(&hammer->last_us) - atomic_load(&hammer->first_us);
    uint64_t allowed = atomic_load(&hammer->allowed);
    uint64_t most = span_us / hammered.interval_us + hammered.burst;
    print_message("%llu allowed, most %llu\n", (unsigned long long)allowed,
                  (unsigned long long)most);
    assert_in_range(allowed, most / 10, most + hammered.burst);
    munmap(hammer, sizeof *hammer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_is_the_papers),
        cmocka_unit_test_setup(ten_million_arrivals_are_judged_as_by_an_oracle, clear),
        cmocka_unit_test_setup(numbers_of_a_decision_are_true, clear),
        cmocka_unit_test_setup(one_tag_is_one_bucket, clear),
        cmocka_unit_test_setup(a_full_set_lets_pass_and_what_is_past_is_claimed, clear),
        cmocka_unit_test_setup(of_two_claims_the_earlier_way_is_the_bucket, clear),
        cmocka_unit_test(many_at_once_get_no_more_than_one),
        cmocka_unit_test(claims_beside_it_do_not_widen_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
