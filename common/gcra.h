/* SPDX-License-Identifier: MIT */
/*
 * Rate limits: the generic cell rate algorithm (ITU-T I.371, annex A) in one 64-bit word a bucket,
 * and a table of such words that all workers share. Pure: the clock is passed in.
 *
 * A word is a tag (16 bits) over a theoretical arrival time (48 bits, in µs): the moment at which
 * the bucket is whole again. A word whose time is past says nothing that an absent one does not, so
 * nothing is ever evicted or swept: whoever finds such a word in its set claims it.
 *
 * Invariants: a word is changed by compare-and-swap alone, so a process may die anywhere; no loop
 * runs longer than GCRA_TRIES; what cannot be counted passes (a full set, a contended word): this
 * protects a service from its clients and must not become the reason that it fails.
 */
#ifndef BULKHEAD_GCRA_H
#define BULKHEAD_GCRA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define GCRA_WAYS  4
#define GCRA_SETS  (1u << 14)
#define GCRA_WORDS (GCRA_SETS * GCRA_WAYS)
#define GCRA_TRIES 16

struct gcra_table {
    _Alignas(64) _Atomic uint64_t word[GCRA_SETS][GCRA_WAYS];
};

struct gcra_limit {
    uint64_t interval_us; /* between two at the limited rate */
    uint64_t burst;       /* at once, from a whole bucket; interval_us × burst < 2^47 */
};

/* `events` in each `period_us`; the interval is rounded up, so never more than that. */
struct gcra_limit gcra_limit_of(uint64_t events, uint64_t period_us, uint64_t burst);

enum gcra_result {
    GCRA_ALLOWED,
    GCRA_LIMITED,
    GCRA_PASSED_FULL, /* not counted: the set is full, or its words were too contended */
};

struct gcra_decision {
    enum gcra_result result;
    uint64_t remaining; /* that could follow at once */
    uint64_t wait_us;   /* LIMITED: until one would be allowed */
    uint64_t whole_us;  /* until the bucket is as if never used */
};

/* One event of the bucket `key` (well mixed bits: siphash.h) at now_us. */
struct gcra_decision gcra_charge(struct gcra_table *table, const struct gcra_limit *limit,
                                 uint64_t key, uint64_t now_us);

/* What gcra_charge would say; nothing is counted. */
struct gcra_decision gcra_look(const struct gcra_table *table, const struct gcra_limit *limit,
                               uint64_t key, uint64_t now_us);

/* ---- parts, for tests -------------------------------------------------------------------- */

/* The theoretical arrival time after an event at now_us of a bucket with the time tat_us. */
struct gcra_decision gcra_decide(const struct gcra_limit *limit, uint64_t tat_us, uint64_t now_us,
                                 uint64_t *next_tat_us);

unsigned gcra_set_of(uint64_t key);
uint64_t gcra_word(uint64_t key, uint64_t tat_us);
uint64_t gcra_word_tat(uint64_t word);

/* After `mine` was put into way `way`: is it the only word of its tag? An earlier one is the
 * bucket: ours is released (-1: charge again) and what others put on ours meanwhile moves there.
 * A later one is folded into ours: the way stays. */
int gcra_settle(_Atomic uint64_t *set, int way, uint64_t mine, uint64_t now_us);

#endif
