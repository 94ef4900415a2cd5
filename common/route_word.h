/* SPDX-License-Identifier: MIT */
/*
 * How supervisor and workers speak of a route that workers died of: one word of the board a route,
 * one of each slot for its answer. Numbers only; supervisor/route_guard.c says what they mean.
 */
#ifndef BULKHEAD_ROUTE_WORD_H
#define BULKHEAD_ROUTE_WORD_H

#include <stdint.h>

/* Where a route stands that workers died of (supervisor/route_guard.c). */
enum guard_state {
    GUARD_OPEN,
    GUARD_SHUT,  /* refused */
    GUARD_TRIAL, /* refused, but for one request in one worker */
};

/* State, slot that holds the trial and the trial's number in one word. */
static inline uint64_t route_word(enum guard_state state, unsigned slot, uint32_t number)
{
    return state == GUARD_OPEN ? 0 : (uint64_t)number << 32 | (slot & 0xffu) << 8 | (unsigned)state;
}

static inline enum guard_state route_word_state(uint64_t word)
{
    return (enum guard_state)(word & 0xff);
}

static inline unsigned route_word_slot(uint64_t word)
{
    return (unsigned)(word >> 8 & 0xff);
}

static inline uint32_t route_word_number(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* What a worker says of a trial in slot.route_trial. It only grows, so that a number is taken
 * once, whatever process is in the slot. */
static inline uint64_t route_trial_taken(uint32_t number)
{
    return (uint64_t)number * 2;
}

static inline uint64_t route_trial_answered(uint32_t number)
{
    return (uint64_t)number * 2 + 1;
}

#endif
