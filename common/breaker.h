/* SPDX-License-Identifier: MIT */
/*
 * A circuit breaker: may a call of a dependency be made, or has it failed so much lately that one
 * does better not to ask? Pure: clock and randomness are passed in; no allocation, no lock.
 *
 * The caller guards a breaker with one mutex, held for well under a microsecond twice a call. (Free
 * of locks it could not be: a result moves a window, a state and a generation together.)
 *
 * CLOSED counts results in buckets of a second. OPEN refuses, then lets one call through, the probe
 * (HALF_OPEN). A probe that succeeds closes it; then a growing share of calls is let in, the ramp.
 * FORCED_OPEN: somebody who sees more than this process holds it. DISABLED lets everything through.
 *
 * Invariants
 *   - Half-open counts permits when they are given, not when results come: one probe, not a crowd.
 *   - A result counts only in the generation its permit was given in; every move begins another.
 *   - A probe whose result never comes is given up after its lease; its late result is ignored.
 *   - What is older than the window is dropped before anything is counted or judged.
 *   - Closing forgets the window: old failures do not open it again.
 */
#ifndef BULKHEAD_BREAKER_H
#define BULKHEAD_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/labels.h"

#define BREAKER_WINDOW_MAX 60 /* breaker.window, in buckets of a second */
#define BREAKER_CALLS_MAX  64 /* at once: no compartment has more permits */
#define BREAKER_SLOW_NS    UINT64_C(1000000000)
#define BREAKER_LEASE_NS   UINT64_C(6000000000)
#define BREAKER_RAMP_NS    UINT64_C(2000000000)
#define BREAKER_STAYS      BREAKER_MOVE_COUNT /* no move */

struct breaker_settings {
    unsigned window_s;      /* 0: disabled */
    unsigned failure_pct;   /* this share of failures opens it … */
    unsigned min_calls;     /* … from so many calls on */
    unsigned fast_window_s; /* 0: none */
    unsigned permits;       /* calls that can be made at once */
    uint64_t open_ns;       /* give or take a tenth */
};

/* Calls that ended, or that run and are slow already. */
struct breaker_count {
    uint32_t calls, failed, slow, bad; /* bad: failed or slow */
    uint32_t still;                    /* counted slow before, and still running */
};

/* A call under way. */
struct breaker_call {
    uint64_t start_ns;  /* 0: it still waits for its turn */
    uint64_t counted_s; /* the bucket it was counted slow in; 0 not counted */
    uint64_t seen_s;    /* the newest bucket that knows of it since */
    uint32_t generation;
};

struct breaker {
    struct breaker_settings settings;
    enum breaker_state state;
    enum breaker_move move; /* what the last call of a function below did, or BREAKER_STAYS */
    uint32_t generation;
    uint32_t consecutive;   /* failures in a row */
    uint32_t failed_probes; /* since it left CLOSED */
    uint64_t since_ns;      /* in this state */
    uint64_t opened_ns;     /* when it left CLOSED on evidence of its own; 0 */
    uint64_t until_ns;      /* OPEN: the next probe; HALF_OPEN: end of the probe's lease, 0 none */
    uint64_t ramp_since_ns; /* CLOSED: 0 no ramp */
    uint64_t newest_s;      /* the newest bucket */
    struct breaker_count bucket[BREAKER_WINDOW_MAX], window; /* the window is their sum */
    uint64_t used;                                           /* bit i: call[i] is under way */
    struct breaker_call call[BREAKER_CALLS_MAX];
};

/* What others see of it, and what the next process in the slot goes on with. */
struct breaker_public {
    uint32_t state; /* enum breaker_state */
    uint32_t failed_probes;
    uint32_t calls, failed, slow, running;
    uint64_t since_ns, since_wall_us;
    uint64_t opened_ns, until_ns, ramp_since_ns; /* as in struct breaker */
};

struct breaker_permit {
    uint32_t generation;
    uint32_t call; /* index; BREAKER_CALLS_MAX: nothing is counted */
};

enum breaker_result {
    BREAKER_SUCCESS,
    BREAKER_FAILURE,
    BREAKER_IGNORED, /* it says nothing of the dependency */
};

/* A new process's breaker. before: what the process before it left, zero if there was none; NULL:
 * it cannot be read, so a probe decides. accused: that process was ended because its calls failed
 * and nobody else's, so a probe decides. */
void breaker_adopt(struct breaker *breaker, const struct breaker_settings *settings,
                   const struct breaker_public *before, bool accused, uint64_t now_ns);

/* May a call be made? True: *permit is given and breaker_record is owed. */
bool breaker_acquire(struct breaker *breaker, uint64_t now_ns, uint64_t random,
                     struct breaker_permit *permit);

/* The call begins now: the time until then was spent waiting for others. */
void breaker_begin(struct breaker *breaker, struct breaker_permit permit, uint64_t now_ns);

/* The call is over. */
void breaker_record(struct breaker *breaker, struct breaker_permit permit,
                    enum breaker_result result, uint64_t now_ns, uint64_t random);

/* Ten times a second: calls that have run for BREAKER_SLOW_NS count as slow, each once; for the
 * fast window again in every further second in which they run. So calls that hang do not grow too
 * old to be seen by it, and slow calls alone can open the breaker, though few of them end. */
void breaker_tick(struct breaker *breaker, uint64_t now_ns, uint64_t random);

/* Shared evidence: hold it open; let it go, to CLOSED, at once and without a ramp. */
void breaker_hold(struct breaker *breaker, uint64_t now_ns);
void breaker_release(struct breaker *breaker, uint64_t now_ns);

/* Time until asking again makes sense; 0 when a probe is under way. */
uint64_t breaker_wait_ns(const struct breaker *breaker, uint64_t now_ns);

/* Share of calls let in, in thousandths. */
unsigned breaker_share(const struct breaker *breaker, uint64_t now_ns);

/* All but since_wall_us. */
void breaker_show(const struct breaker *breaker, struct breaker_public *shown);

#endif
