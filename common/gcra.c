/* SPDX-License-Identifier: MIT */
#include "common/gcra.h"

#include <stdbool.h>

#define TAT_BITS 48
#define TAT_MASK ((UINT64_C(1) << TAT_BITS) - 1)

struct gcra_limit gcra_limit_of(uint64_t events, uint64_t period_us, uint64_t burst)
{
    return (struct gcra_limit){(period_us + events - 1) / events, burst};
}

unsigned gcra_set_of(uint64_t key)
{
    return (unsigned)(key % GCRA_SETS);
}

uint64_t gcra_word(uint64_t key, uint64_t tat_us)
{
    return (key & ~TAT_MASK) | (tat_us & TAT_MASK);
}

uint64_t gcra_word_tat(uint64_t word)
{
    return word & TAT_MASK;
}

static bool is_live(uint64_t word, uint64_t now_us)
{
    return gcra_word_tat(word) > now_us;
}

static bool same_tag(uint64_t word, uint64_t other)
{
    return (word & ~TAT_MASK) == (other & ~TAT_MASK);
}

struct gcra_decision gcra_decide(const struct gcra_limit *limit, uint64_t tat_us, uint64_t now_us,
                                 uint64_t *next_tat_us)
{
    uint64_t used_us = tat_us > now_us ? tat_us - now_us : 0;
    uint64_t room_us = limit->interval_us * limit->burst;
    if (used_us + limit->interval_us > room_us)
        return (struct gcra_decision){.result = GCRA_LIMITED,
                                      .wait_us = used_us + limit->interval_us - room_us,
                                      .whole_us = used_us};
    used_us += limit->interval_us;
    *next_tat_us = now_us + used_us;
    return (struct gcra_decision){.result = GCRA_ALLOWED,
                                  .remaining = (room_us - used_us) / limit->interval_us,
                                  .whole_us = used_us};
}

/* ---- the table --------------------------------------------------------------------------- */

/* The way that holds the bucket, else the first that holds nothing; -1 when all hold others'. */
static int find_way(const _Atomic uint64_t *set, uint64_t key, uint64_t now_us, uint64_t *word)
{
    int free_way = -1;
    uint64_t free_word = 0;
    for (int way = 0; way < GCRA_WAYS; way++) {
        *word = atomic_load(&set[way]);
        if (is_live(*word, now_us) && same_tag(*word, key))
            return way;
        if (free_way < 0 && !is_live(*word, now_us)) {
            free_way = way;
            free_word = *word;
        }
    }
    *word = free_word;
    return free_way;
}

/* Empty a word of this tag; what it held beyond now_us, 0 when there is no such word any more. */
static uint64_t take_out(_Atomic uint64_t *word, uint64_t tag, uint64_t now_us)
{
    uint64_t held = atomic_load(word);
    for (int tries = 0; tries < GCRA_TRIES; tries++) {
        if (!is_live(held, now_us) || !same_tag(held, tag))
            return 0;
        if (atomic_compare_exchange_weak(word, &held, 0))
            return gcra_word_tat(held) - now_us;
    }
    return 0;
}

static void put_on(_Atomic uint64_t *word, uint64_t tag, uint64_t more_us)
{
    uint64_t held = atomic_load(word);
    for (int tries = 0; more_us > 0 && tries < GCRA_TRIES && same_tag(held, tag); tries++)
        if (atomic_compare_exchange_weak(word, &held,
                                         gcra_word(tag, gcra_word_tat(held) + more_us)))
            return;
}

/* Two can claim two ways for one bucket: a way became free between their looks at the set. The
 * earlier way is the bucket, because that is the one everybody finds. */
int gcra_settle(_Atomic uint64_t *set, int way, uint64_t mine, uint64_t now_us)
{
    uint64_t own_us = gcra_word_tat(mine) - now_us;
    for (int other = 0; other < GCRA_WAYS; other++) {
        uint64_t word = atomic_load(&set[other]);
        if (other == way || !is_live(word, now_us) || !same_tag(word, mine))
            continue;
        if (other < way) {
            uint64_t held_us = take_out(&set[way], mine, now_us);
            put_on(&set[other], mine, held_us > own_us ? held_us - own_us : 0);
            return -1;
        }
        put_on(&set[way], mine, take_out(&set[other], mine, now_us));
    }
    return way;
}

struct gcra_decision gcra_charge(struct gcra_table *table, const struct gcra_limit *limit,
                                 uint64_t key, uint64_t now_us)
{
    _Atomic uint64_t *set = table->word[gcra_set_of(key)];
    for (int tries = 0; tries < GCRA_TRIES; tries++) {
        uint64_t word, next_tat_us;
        int way = find_way(set, key, now_us, &word);
        if (way < 0)
            break;
        bool claims = !is_live(word, now_us);
        struct gcra_decision decision =
            gcra_decide(limit, claims ? 0 : gcra_word_tat(word), now_us, &next_tat_us);
        if (decision.result == GCRA_LIMITED)
            return decision;
        uint64_t next = gcra_word(key, next_tat_us);
        if (atomic_compare_exchange_strong(&set[way], &word, next) &&
            (!claims || gcra_settle(set, way, next, now_us) >= 0))
            return decision;
    }
    return (struct gcra_decision){.result = GCRA_PASSED_FULL};
}

struct gcra_decision gcra_look(const struct gcra_table *table, const struct gcra_limit *limit,
                               uint64_t key, uint64_t now_us)
{
    uint64_t word, next_tat_us;
    int way = find_way(table->word[gcra_set_of(key)], key, now_us, &word);
    if (way < 0)
        return (struct gcra_decision){.result = GCRA_PASSED_FULL};
    return gcra_decide(limit, is_live(word, now_us) ? gcra_word_tat(word) : 0, now_us,
                       &next_tat_us);
}
