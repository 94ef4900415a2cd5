/* SPDX-License-Identifier: MIT */
#include "supervisor/blame.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define ENOUGH_CALLS 20
#define MINUTE_NS    (60 * NS_PER_S)
#define LATE_NS      (500 * NS_PER_MS)  /* a sample this late: the supervisor was stopped */
#define LEAP         UINT64_C(10000000) /* calls in one second that nobody makes */
#define SKEW         256                /* call and failure are counted one after the other */
#define ALL_OPS      DB_OP_COUNT        /* as an operation: all of them together */
#define RING         (BLAME_SECONDS + 1)

bool blame_is_evidence(enum db_code code)
{
    switch (code) {
    case DB_CODE_BUSY:
    case DB_CODE_IOERR:
    case DB_CODE_CORRUPT:
    case DB_CODE_CANTOPEN:
    case DB_CODE_PROTOCOL:
    case DB_CODE_NOTADB:
    case DB_CODE_NOMEM:
    case DB_CODE_OTHER:
        return true;
    default:
        return false;
    }
}

/* Calls of one operation in a window, and how they failed. */
struct share {
    uint64_t calls, failed;
    uint64_t by_code[DB_CODE_COUNT];
};

static const struct blame_counts *sample(const struct blame_past *past, unsigned back)
{
    return &past->ring[(past->next + RING - 1 - back) % RING];
}

static void add_share(struct share *share, const struct blame_past *past, unsigned op)
{
    if (past->filled < 2)
        return;
    const struct blame_counts *now = sample(past, 0), *then = sample(past, past->filled - 1);
    uint64_t failed = 0, calls = now->calls[op] - then->calls[op];
    for (unsigned c = 0; c < DB_CODE_COUNT; c++) {
        uint64_t n = now->failed[op][c] - then->failed[op][c];
        if (!blame_is_evidence((enum db_code)c))
            continue;
        share->by_code[c] += n;
        failed += n;
    }
    share->failed += failed;
    share->calls += calls > failed ? calls : failed;
}

static struct share share_of(const struct blame_past *past, unsigned op)
{
    struct share share = {0};
    for (unsigned o = 0; o < DB_OP_COUNT; o++)
        if (op == o || op == ALL_OPS)
            add_share(&share, past, o);
    return share;
}

/* False when the step from one sample to the next cannot be true. */
static bool is_credible(const struct blame_counts *then, const struct blame_counts *now)
{
    for (unsigned op = 0; op < DB_OP_COUNT; op++) {
        uint64_t failed = 0, calls = now->calls[op] - then->calls[op];
        for (unsigned c = 0; c < DB_CODE_COUNT; c++) {
            uint64_t n = now->failed[op][c] - then->failed[op][c]; /* huge when it fell */
            if (n > LEAP)
                return false;
            failed += blame_is_evidence((enum db_code)c) ? n : 0;
        }
        if (calls > LEAP || failed > calls + SKEW)
            return false;
    }
    return true;
}

static void take_breakers(struct blame_past *past, const struct blame_sight *sight, bool late)
{
    bool begins = late || !sight->serves || sight->generation != past->generation;
    for (unsigned d = 0; d < DEPENDENCY_COUNT; d++) {
        if (begins || !sight->breaker[d].open)
            past->open[d] = 0;
        past->open[d] += sight->serves && sight->breaker[d].open;
    }
}

static void take_sample(struct blame_past *past, const struct blame_sight *sight, bool late)
{
    take_breakers(past, sight, late);
    if (late || !sight->serves || sight->generation != past->generation ||
        (past->filled && !is_credible(sample(past, 0), &sight->counts)))
        past->filled = 0;
    past->generation = sight->generation;
    if (!sight->serves)
        return;
    past->ring[past->next] = sight->counts;
    past->next = (past->next + 1) % RING;
    past->filled += past->filled < RING;
}

/* What fails: all operations together, else a single one; -1 nothing. */
static int failing_op(const struct blame_past *past)
{
    if (past->filled < RING)
        return -1;
    for (unsigned d = 0; d < DEPENDENCY_COUNT; d++)
        if (past->open[d] > 0)
            return -1;
    for (int op = ALL_OPS; op >= 0; op--) {
        struct share share = share_of(past, (unsigned)op);
        if (share.calls >= ENOUGH_CALLS && share.failed * 2 >= share.calls)
            return op;
    }
    return -1;
}

/* Are all but one together fine at it? *others: how many of them were asked. */
static bool others_are_fine(const struct blame *blame, unsigned slots, unsigned accused,
                            unsigned op, unsigned *others)
{
    struct share together = {0};
    *others = 0;
    for (unsigned i = 0; i < slots; i++) {
        if (i == accused || blame->past[i].filled < 2)
            continue;
        struct share share = share_of(&blame->past[i], op);
        together.calls += share.calls;
        together.failed += share.failed;
        ++*others;
    }
    return together.calls == 0 || together.failed * 10 < together.calls;
}

static unsigned accused_lately(const struct blame *blame, uint64_t now_ns)
{
    unsigned lately = 0;
    for (unsigned i = 0; i < WORKER_SLOTS_MAX && i < blame->accusations; i++)
        lately += now_ns - blame->accused_ns[i] < MINUTE_NS;
    return lately;
}

static void describe(const struct share *share, unsigned op, unsigned others, char *out,
                     size_t size)
{
    size_t used = (size_t)snprintf(
        out, size, "%llu of %llu %s calls failed in %d s:", (unsigned long long)share->failed,
        (unsigned long long)share->calls, op == ALL_OPS ? "database" : db_op_name(op),
        BLAME_SECONDS);
    const char *comma = "";
    for (unsigned c = 0; c < DB_CODE_COUNT && used < size; c++)
        if (share->by_code[c]) {
            used += (size_t)snprintf(out + used, size - used, "%s %s %llu", comma, db_code_name(c),
                                     (unsigned long long)share->by_code[c]);
            comma = ",";
        }
    if (used < size && others)
        snprintf(out + used, size - used, "; the sentinel and %u other%s see no fault", others,
                 others == 1 ? "" : "s");
    else if (used < size)
        snprintf(out + used, size - used, "; the sentinel sees no fault");
}

/* The dependency whose breaker is open in this worker, long enough and in nobody else; -1 none.
 * The first of BLAME_BREAKER_SECONDS + 1 samples begins the time. */
static int open_breaker(const struct blame *blame, const struct blame_question *question,
                        unsigned accused)
{
    for (unsigned d = 0; d < DEPENDENCY_COUNT; d++) {
        bool alone = blame->past[accused].open[d] > BLAME_BREAKER_SECONDS &&
                     question->sight[accused].breaker[d].probe_failed;
        for (unsigned i = 0; i < question->slots && alone; i++)
            alone = i == accused || blame->past[i].open[d] == 0;
        if (alone)
            return (int)d;
    }
    return -1;
}

/* Why this worker is to blame; false: it is not. */
static bool is_to_blame(const struct blame *blame, const struct blame_question *question,
                        unsigned accused, char *evidence, size_t evidence_size)
{
    unsigned others;
    int op = failing_op(&blame->past[accused]);
    if (op >= 0 && others_are_fine(blame, question->slots, accused, (unsigned)op, &others)) {
        struct share share = share_of(&blame->past[accused], (unsigned)op);
        describe(&share, (unsigned)op, others, evidence, evidence_size);
        return true;
    }
    int dependency = open_breaker(blame, question, accused);
    if (dependency < 0 || !others_are_fine(blame, question->slots, accused, ALL_OPS, &others))
        return false;
    snprintf(
        evidence, evidence_size,
        "its circuit breaker of %s has been open for %d s and a probe failed; the sentinel and "
        "%u other%s see no fault",
        dependency_name((unsigned)dependency), BLAME_BREAKER_SECONDS, others,
        others == 1 ? "" : "s");
    return true;
}

int blame_judge(struct blame *blame, const struct blame_question *question, uint64_t now_ns,
                char *evidence, size_t evidence_size)
{
    bool late = now_ns - blame->sample_ns > BLAME_SAMPLE_NS + LATE_NS;
    blame->sample_ns = now_ns;
    for (unsigned i = 0; i < question->slots; i++)
        take_sample(&blame->past[i], &question->sight[i], late);
    if (!question->db_up || now_ns - question->db_since_ns < BLAME_SECONDS * NS_PER_S ||
        accused_lately(blame, now_ns) >= (question->workers + 1) / 2)
        return -1;
    for (unsigned i = 0; i < question->slots; i++) {
        if (!is_to_blame(blame, question, i, evidence, evidence_size))
            continue;
        blame->past[i].filled = 0;
        memset(blame->past[i].open, 0, sizeof blame->past[i].open);
        blame->accused_ns[blame->accusations++ % WORKER_SLOTS_MAX] = now_ns;
        return (int)i;
    }
    return -1;
}
