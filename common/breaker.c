/* SPDX-License-Identifier: MIT */
#include "common/breaker.h"

#include <string.h>

#include "common/check.h"
#include "common/clock.h"

#define SLOW_PCT         80
#define FAST_PCT         90
#define FAST_CALLS_MOST  20
#define FAST_CALLS_LEAST 10
#define CONSECUTIVE      5
#define RAMP_FIRST_SHARE 100 /* thousandths */
#define WHOLE            1000

/* ---- the window ---------------------------------------------------------------------------- */

static void forget_window(struct breaker *breaker)
{
    memset(breaker->bucket, 0, sizeof breaker->bucket);
    breaker->window = (struct breaker_count){0};
    breaker->consecutive = 0;
}

static struct breaker_count *bucket_at(struct breaker *breaker, uint64_t second)
{
    return &breaker->bucket[second % breaker->settings.window_s];
}

/* Drop what has left the window. A clock read before another thread's is no older bucket. */
static void age(struct breaker *breaker, uint64_t now_ns)
{
    uint64_t now_s = now_ns / NS_PER_S;
    uint64_t steps = now_s > breaker->newest_s ? now_s - breaker->newest_s : 0;
    if (steps > breaker->settings.window_s)
        steps = breaker->settings.window_s;
    for (uint64_t i = steps; i > 0; i--) {
        struct breaker_count *oldest = bucket_at(breaker, now_s - i + 1);
        breaker->window.calls -= oldest->calls;
        breaker->window.failed -= oldest->failed;
        breaker->window.slow -= oldest->slow;
        breaker->window.bad -= oldest->bad;
        breaker->window.still -= oldest->still;
        *oldest = (struct breaker_count){0};
    }
    if (steps > 0)
        breaker->newest_s = now_s;
}

static void add(struct breaker *breaker, uint64_t second, const struct breaker_count *more)
{
    struct breaker_count *sums[] = {bucket_at(breaker, second), &breaker->window};
    for (size_t i = 0; i < 2; i++) {
        sums[i]->calls += more->calls;
        sums[i]->failed += more->failed;
        sums[i]->slow += more->slow;
        sums[i]->bad += more->bad;
        sums[i]->still += more->still;
    }
}

static bool reaches(uint32_t part, uint32_t whole, unsigned pct)
{
    return (uint64_t)part * 100 >= (uint64_t)whole * pct;
}

/* Each permit gives the window one slow call a second, however long the calls take: fewer than 20
 * permits may never make 20 calls in it. */
static unsigned fast_calls(unsigned permits)
{
    if (permits > FAST_CALLS_MOST)
        return FAST_CALLS_MOST;
    return permits < FAST_CALLS_LEAST ? FAST_CALLS_LEAST : permits;
}

static bool fast_window_is_bad(const struct breaker *breaker)
{
    struct breaker_count sum = {0};
    for (unsigned i = 0; i < breaker->settings.fast_window_s && i <= breaker->newest_s; i++) {
        const struct breaker_count *bucket =
            &breaker->bucket[(breaker->newest_s - i) % breaker->settings.window_s];
        sum.calls += bucket->calls + bucket->still;
        sum.bad += bucket->bad + bucket->still;
    }
    return sum.calls >= fast_calls(breaker->settings.permits) &&
           reaches(sum.bad, sum.calls, FAST_PCT);
}

/* What the window says of a closed breaker. */
static enum breaker_move judge(const struct breaker *breaker)
{
    const struct breaker_count *window = &breaker->window;
    if (fast_window_is_bad(breaker))
        return MOVE_FAST;
    if (window->calls < breaker->settings.min_calls)
        return breaker->consecutive >= CONSECUTIVE && window->failed >= CONSECUTIVE
                   ? MOVE_CONSECUTIVE
                   : BREAKER_STAYS;
    if (reaches(window->failed, window->calls, breaker->settings.failure_pct))
        return MOVE_FAILURES;
    return reaches(window->slow, window->calls, SLOW_PCT) ? MOVE_SLOW : BREAKER_STAYS;
}

/* ---- moves --------------------------------------------------------------------------------- */

static void move(struct breaker *breaker, enum breaker_move way, uint64_t now_ns)
{
    if (way == BREAKER_STAYS)
        return;
    CHECK(breaker_move_from(way) == breaker->state);
    breaker->move = way;
    breaker->state = breaker_move_to(way);
    breaker->generation++;
    breaker->since_ns = now_ns;
    breaker->until_ns = breaker->ramp_since_ns = 0;
    if (breaker->state == BREAKER_CLOSED) {
        forget_window(breaker);
        breaker->opened_ns = 0;
        breaker->failed_probes = 0;
    } else if (breaker->opened_ns == 0 && breaker->state != BREAKER_FORCED_OPEN) {
        breaker->opened_ns = now_ns;
    }
}

static void open_it(struct breaker *breaker, enum breaker_move way, uint64_t now_ns,
                    uint64_t random)
{
    uint64_t open_ns = breaker->settings.open_ns;
    if (way == BREAKER_STAYS)
        return;
    move(breaker, way, now_ns);
    breaker->until_ns = now_ns + open_ns - open_ns / 10 + random % (open_ns / 5 + 1);
}

static void probe_failed(struct breaker *breaker, enum breaker_move way, uint64_t now_ns,
                         uint64_t random)
{
    breaker->failed_probes++;
    open_it(breaker, way, now_ns, random);
}

/* ---- permits ------------------------------------------------------------------------------- */

static void give_permit(struct breaker *breaker, struct breaker_permit *permit)
{
    CHECK(~breaker->used);
    unsigned index = (unsigned)__builtin_ctzll(~breaker->used);
    breaker->used |= UINT64_C(1) << index;
    breaker->call[index] = (struct breaker_call){.generation = breaker->generation};
    *permit = (struct breaker_permit){breaker->generation, index};
}

unsigned breaker_share(const struct breaker *breaker, uint64_t now_ns)
{
    if (breaker->state != BREAKER_CLOSED && breaker->state != BREAKER_DISABLED)
        return 0;
    if (breaker->ramp_since_ns == 0 || now_ns >= breaker->ramp_since_ns + BREAKER_RAMP_NS)
        return WHOLE;
    uint64_t into_ns = now_ns > breaker->ramp_since_ns ? now_ns - breaker->ramp_since_ns : 0;
    return RAMP_FIRST_SHARE + (unsigned)((WHOLE - RAMP_FIRST_SHARE) * into_ns / BREAKER_RAMP_NS);
}

/* One probe at a time; who takes a lost one's place makes its result a late one. */
static bool acquire_probe(struct breaker *breaker, uint64_t now_ns)
{
    if (breaker->until_ns > now_ns)
        return false;
    if (breaker->until_ns > 0)
        breaker->generation++;
    breaker->until_ns = now_ns + BREAKER_LEASE_NS;
    return true;
}

bool breaker_acquire(struct breaker *breaker, uint64_t now_ns, uint64_t random,
                     struct breaker_permit *permit)
{
    breaker->move = BREAKER_STAYS;
    *permit = (struct breaker_permit){.call = BREAKER_CALLS_MAX};
    if (breaker->state == BREAKER_DISABLED)
        return true;
    age(breaker, now_ns);
    if (breaker->state == BREAKER_OPEN && now_ns >= breaker->until_ns)
        move(breaker, MOVE_WAITED, now_ns);
    bool admitted = breaker->state == BREAKER_HALF_OPEN
                        ? acquire_probe(breaker, now_ns)
                        : random % WHOLE < breaker_share(breaker, now_ns);
    if (admitted)
        give_permit(breaker, permit);
    return admitted;
}

static struct breaker_call *call_of(struct breaker *breaker, struct breaker_permit permit)
{
    if (permit.call >= BREAKER_CALLS_MAX)
        return NULL;
    CHECK(breaker->used & UINT64_C(1) << permit.call);
    return &breaker->call[permit.call];
}

void breaker_begin(struct breaker *breaker, struct breaker_permit permit, uint64_t now_ns)
{
    struct breaker_call *call = call_of(breaker, permit);
    if (call)
        call->start_ns = now_ns;
}

/* ---- results ------------------------------------------------------------------------------- */

static bool is_slow(const struct breaker_call *call, uint64_t now_ns)
{
    return call->start_ns > 0 && now_ns >= call->start_ns + BREAKER_SLOW_NS;
}

/* One that was counted slow while it ran is counted already: only its failure is news, and belongs
 * to the same bucket, so that no bucket has more failures than calls. */
static void count(struct breaker *breaker, const struct breaker_call *call, bool failed, bool slow)
{
    uint64_t second = breaker->newest_s;
    struct breaker_count more = {.calls = 1, .failed = failed, .slow = slow, .bad = failed || slow};
    if (call->counted_s > 0) {
        second = call->counted_s;
        more = (struct breaker_count){.failed = failed};
        if (second + breaker->settings.window_s <= breaker->newest_s)
            more.failed = 0;
    }
    add(breaker, second, &more);
    breaker->consecutive = failed ? breaker->consecutive + 1 : 0;
}

static void record_probe(struct breaker *breaker, enum breaker_result result, bool slow,
                         uint64_t now_ns, uint64_t random)
{
    if (result == BREAKER_FAILURE) {
        probe_failed(breaker, MOVE_PROBE_FAILED, now_ns, random);
    } else if (slow) {
        probe_failed(breaker, MOVE_PROBE_SLOW, now_ns, random);
    } else {
        move(breaker, MOVE_PROBE_SUCCEEDED, now_ns);
        breaker->ramp_since_ns = now_ns;
    }
}

void breaker_record(struct breaker *breaker, struct breaker_permit permit,
                    enum breaker_result result, uint64_t now_ns, uint64_t random)
{
    struct breaker_call *call = call_of(breaker, permit);
    breaker->move = BREAKER_STAYS;
    if (!call)
        return;
    age(breaker, now_ns);
    breaker->used &= ~(UINT64_C(1) << permit.call);
    if (permit.generation != breaker->generation)
        return;
    if (result == BREAKER_IGNORED) {
        if (breaker->state == BREAKER_HALF_OPEN)
            breaker->until_ns = 0; /* it proved nothing: the next one is the probe */
        return;
    }
    bool slow = is_slow(call, now_ns);
    if (breaker->state == BREAKER_HALF_OPEN) {
        record_probe(breaker, result, slow, now_ns, random);
    } else {
        count(breaker, call, result == BREAKER_FAILURE, slow);
        open_it(breaker, judge(breaker), now_ns, random);
    }
}

/* A call that runs and is slow: the first time it counts, in later seconds it counts still. */
static void count_running(struct breaker *breaker, struct breaker_call *call)
{
    bool again = call->counted_s > 0;
    const struct breaker_count first = {.calls = 1, .slow = 1, .bad = 1}, later = {.still = 1};
    if (again && call->seen_s == breaker->newest_s)
        return;
    add(breaker, breaker->newest_s, again ? &later : &first);
    if (!again)
        call->counted_s = breaker->newest_s;
    call->seen_s = breaker->newest_s;
}

/* A slow call may be what a rule still lacked. Without news the fast window alone is judged: the
 * whole window must not open the breaker because its successes have grown old. */
void breaker_tick(struct breaker *breaker, uint64_t now_ns, uint64_t random)
{
    breaker->move = BREAKER_STAYS;
    if (breaker->state == BREAKER_DISABLED)
        return;
    age(breaker, now_ns);
    uint32_t slow = breaker->window.slow;
    for (uint64_t rest = breaker->used; rest && breaker->move == BREAKER_STAYS; rest &= rest - 1) {
        struct breaker_call *call = &breaker->call[__builtin_ctzll(rest)];
        if (call->generation != breaker->generation || !is_slow(call, now_ns))
            continue;
        if (breaker->state == BREAKER_HALF_OPEN)
            probe_failed(breaker, MOVE_PROBE_SLOW, now_ns, random);
        else
            count_running(breaker, call);
    }
    if (breaker->state != BREAKER_CLOSED)
        return;
    if (breaker->window.slow > slow)
        open_it(breaker, judge(breaker), now_ns, random);
    else if (fast_window_is_bad(breaker))
        open_it(breaker, MOVE_FAST, now_ns, random);
}

/* ---- the board, and the next process ------------------------------------------------------- */

void breaker_hold(struct breaker *breaker, uint64_t now_ns)
{
    static const enum breaker_move ways[BREAKER_STATE_COUNT] = {
        [BREAKER_CLOSED] = MOVE_HELD_CLOSED,       [BREAKER_OPEN] = MOVE_HELD_OPEN,
        [BREAKER_HALF_OPEN] = MOVE_HELD_HALF_OPEN, [BREAKER_FORCED_OPEN] = BREAKER_STAYS,
        [BREAKER_DISABLED] = BREAKER_STAYS,
    };
    breaker->move = BREAKER_STAYS;
    move(breaker, ways[breaker->state], now_ns);
}

void breaker_release(struct breaker *breaker, uint64_t now_ns)
{
    breaker->move = BREAKER_STAYS;
    if (breaker->state == BREAKER_FORCED_OPEN)
        move(breaker, MOVE_RELEASED, now_ns);
}

uint64_t breaker_wait_ns(const struct breaker *breaker, uint64_t now_ns)
{
    uint64_t until_ns = 0;
    if (breaker->state == BREAKER_OPEN)
        until_ns = breaker->until_ns;
    else if (breaker->ramp_since_ns > 0)
        until_ns = breaker->ramp_since_ns + BREAKER_RAMP_NS;
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

/* The words of the process before are bounded: it may have died of writing nonsense. Its failed
 * probes are not this process's. */
static void take_over(struct breaker *breaker, const struct breaker_public *before, uint64_t now_ns)
{
    uint64_t latest_ns = now_ns + breaker->settings.open_ns + breaker->settings.open_ns / 10;
    breaker->state = (enum breaker_state)before->state;
    if (breaker->state == BREAKER_DISABLED)
        breaker->state = BREAKER_CLOSED;
    breaker->since_ns = before->since_ns < now_ns ? before->since_ns : now_ns;
    if (breaker->state == BREAKER_CLOSED) {
        breaker->ramp_since_ns = before->ramp_since_ns < now_ns ? before->ramp_since_ns : now_ns;
        return;
    }
    breaker->opened_ns = before->opened_ns < now_ns ? before->opened_ns : now_ns;
    if (breaker->state == BREAKER_OPEN) /* of HALF_OPEN the probe died with its process */
        breaker->until_ns = before->until_ns < latest_ns ? before->until_ns : latest_ns;
}

/* The slot may have been empty for long: what is older than a window says nothing. */
static enum breaker_move expire(const struct breaker *breaker, uint64_t now_ns)
{
    uint64_t last_ns = breaker->since_ns;
    if (breaker->state != BREAKER_OPEN && breaker->state != BREAKER_HALF_OPEN)
        return BREAKER_STAYS;
    if (breaker->until_ns > last_ns)
        last_ns = breaker->until_ns;
    if (now_ns < last_ns + breaker->settings.window_s * NS_PER_S)
        return BREAKER_STAYS;
    return breaker->state == BREAKER_OPEN ? MOVE_EXPIRED_OPEN : MOVE_EXPIRED_HALF_OPEN;
}

void breaker_adopt(struct breaker *breaker, const struct breaker_settings *settings,
                   const struct breaker_public *before, bool accused, uint64_t now_ns)
{
    *breaker = (struct breaker){.settings = *settings,
                                .state = BREAKER_HALF_OPEN,
                                .move = BREAKER_STAYS,
                                .since_ns = now_ns,
                                .opened_ns = now_ns,
                                .newest_s = now_ns / NS_PER_S};
    if (settings->window_s == 0) {
        breaker->state = BREAKER_DISABLED;
        breaker->opened_ns = 0;
        return;
    }
    if (!before || before->state >= BREAKER_STATE_COUNT)
        return;
    breaker->opened_ns = 0;
    take_over(breaker, before, now_ns);
    if (accused && breaker->state == BREAKER_CLOSED)
        move(breaker, MOVE_ACCUSED_CLOSED, now_ns);
    else if (accused && breaker->state == BREAKER_OPEN)
        move(breaker, MOVE_ACCUSED_OPEN, now_ns);
    else
        move(breaker, expire(breaker, now_ns), now_ns);
}

void breaker_show(const struct breaker *breaker, struct breaker_public *shown)
{
    *shown = (struct breaker_public){
        .state = breaker->state,
        .failed_probes = breaker->failed_probes,
        .calls = breaker->window.calls,
        .failed = breaker->window.failed,
        .slow = breaker->window.slow,
        .running = (uint32_t)__builtin_popcountll(breaker->used),
        .since_ns = breaker->since_ns,
        .opened_ns = breaker->opened_ns,
        .until_ns = breaker->until_ns,
        .ramp_since_ns = breaker->ramp_since_ns,
    };
}
