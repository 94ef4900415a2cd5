/* SPDX-License-Identifier: MIT */
#include "common/fault.h"

#include <pthread.h>

#include "common/clock.h"
#include "common/fault_act.h"
#include "common/fault_hold.h"

static const _Atomic uint64_t none_active;
const _Atomic uint64_t *fault_active_word = &none_active;

/* The process's one bench. `copy` is the table as of `version`; the mutex guards both. */
static struct {
    struct region *region;
    struct slot *slot;
    unsigned slot_index;
    uint32_t generation;
    uint64_t draws; /* random numbers drawn */
    uint64_t version;
    pthread_mutex_t mutex;
    struct fault_table copy;
} bench = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void fault_start(struct region *region, unsigned slot, uint32_t generation)
{
    bench.region = region;
    bench.slot = region_slot(region, slot);
    bench.slot_index = slot;
    bench.generation = generation;
    fault_active_word = &region->faults.active;
}

/* ---- which faults are meant ---------------------------------------------------------------- */

/* With the mutex. False when none is active. */
static bool look_at_table(void)
{
    uint64_t version = atomic_load_explicit(fault_active_word, memory_order_acquire);
    if (version == 0)
        return false;
    /* The copy may be newer than the version read before it: then it is made once more. */
    if (version != bench.version && region_read_faults(bench.region, &bench.copy))
        bench.version = version;
    return version == bench.version;
}

/* splitmix64 over the fault's seed, this slot and the number of draws: the same seed and the same
 * occasions give the same strikes. */
static uint64_t draw(const struct fault *fault)
{
    uint64_t z = fault->seed + (uint64_t)bench.slot_index * UINT64_C(0xD1B54A32D192ED03) +
                 ++bench.draws * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static bool is_meant_for_us(const struct fault *fault)
{
    if (fault->everybody)
        return fault->target == FAULT_TARGET_DATABASE || bench.slot_index < WORKER_SLOTS_MAX;
    uint32_t generation = fault->generation[bench.slot_index];
    return generation != 0 && (!fault->once || generation == bench.generation);
}

/* Of a value that a ramp lets grow. */
static uint64_t grown(const struct fault *fault, uint64_t value, uint64_t now_ns)
{
    uint64_t age_ms = now_ns > fault->begin_ns ? (now_ns - fault->begin_ns) / NS_PER_MS : 0;
    return age_ms < fault->ramp_ms ? value * age_ms / fault->ramp_ms : value;
}

/* The chance of an occasion. What has a delay or an amount grows in that alone. */
static uint64_t chance_of(const struct fault *fault, uint64_t now_ns)
{
    bool delays =
        fault->kind == FAULT_SLOW || (fault->kind == FAULT_DB && fault->variant == FAULT_DB_SLOW);
    bool grows = !delays && fault->kind != FAULT_RESOURCE;
    return grows ? grown(fault, fault->per_million, now_ns) : fault->per_million;
}

/* Whether this occasion is one for the fault; then it is marked and counted, before it strikes. */
static bool take(const struct fault *fault, unsigned place, uint64_t now_ns)
{
    struct fault_mark *mark = &bench.slot->fault_mark[place];
    bool known = atomic_load_explicit(&mark->id, memory_order_relaxed) == fault->id;
    uint64_t last_ns = atomic_load_explicit(&mark->struck_ns, memory_order_relaxed);
    uint64_t chance = chance_of(fault, now_ns);
    if (fault->state != FAULT_STATE_ACTIVE || now_ns >= fault->end_ns || !is_meant_for_us(fault) ||
        (known && fault->once) ||
        (known && fault->per_second && now_ns < last_ns + NS_PER_S / fault->per_second) ||
        (chance < FAULT_ALWAYS_PPM && draw(fault) % FAULT_ALWAYS_PPM >= chance))
        return false;
    atomic_store_explicit(&mark->struck_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&mark->id, fault->id, memory_order_release);
    counter_increment(&bench.slot->metrics.fault_hits[fault->kind][0]);
    return true;
}

static bool goes_on(uint32_t id)
{
    bool active = false;
    if (!fault_is_possible())
        return false;
    pthread_mutex_lock(&bench.mutex);
    uint64_t now_ns = clock_now_ns();
    for (unsigned i = 0; look_at_table() && i < FAULTS_MAX; i++) {
        const struct fault *fault = &bench.copy.fault[i];
        active |= fault->id == id && fault->state == FAULT_STATE_ACTIVE && now_ns < fault->end_ns;
    }
    pthread_mutex_unlock(&bench.mutex);
    return active;
}

/* ---- what they do -------------------------------------------------------------------------- */

/* Where and on what a fault may strike. */
struct occasion {
    enum fault_point point;
    unsigned class, endpoint;
    uint32_t without; /* bit of each kind that would not be felt here */
};

/* All that one occasion met: crash before hang before no answer before error before slow; delays
 * add up. */
struct strike {
    uint32_t kinds; /* bit of each kind that strikes */
    struct fault crash, hang, scribble;
    unsigned status;
    uint32_t slow_id;
    uint64_t delay_ms, random;
};

static uint64_t delay_of(const struct fault *fault, uint64_t now_ns)
{
    return grown(fault, fault->delay_ms, now_ns) +
           (fault->jitter_ms ? draw(fault) % (fault->jitter_ms + 1) : 0);
}

static void add(struct strike *strike, const struct fault *fault, uint64_t now_ns)
{
    strike->kinds |= 1u << fault->kind;
    switch ((enum fault_kind)fault->kind) {
    case FAULT_CRASH:
        strike->crash = *fault;
        break;
    case FAULT_HANG:
        strike->hang = *fault;
        break;
    case FAULT_SCRIBBLE:
        strike->scribble = *fault;
        break;
    case FAULT_ERROR:
        strike->status = fault->variant;
        break;
    case FAULT_SLOW:
        strike->delay_ms += delay_of(fault, now_ns);
        strike->slow_id = fault->id;
        break;
    case FAULT_WRONG:
        strike->random = draw(fault);
        break;
    default:
        break;
    }
}

static bool is_of(const struct fault *fault, const struct occasion *occasion)
{
    return fault->state == FAULT_STATE_ACTIVE && fault->point == (uint32_t)occasion->point &&
           !(occasion->without & 1u << fault->kind) &&
           (fault->class == FAULT_EVERY || fault->class == occasion->class) &&
           (fault->endpoint == FAULT_EVERY || fault->endpoint == occasion->endpoint);
}

static void collect(struct strike *strike, const struct occasion *occasion)
{
    pthread_mutex_lock(&bench.mutex);
    uint64_t now_ns = clock_now_ns();
    for (unsigned i = 0; look_at_table() && i < FAULTS_MAX; i++)
        if (is_of(&bench.copy.fault[i], occasion) && take(&bench.copy.fault[i], i, now_ns))
            add(strike, &bench.copy.fault[i], now_ns);
    pthread_mutex_unlock(&bench.mutex);
}

static bool has(const struct strike *strike, enum fault_kind kind)
{
    return strike->kinds & 1u << kind;
}

static void suffer(const struct strike *strike)
{
    if (has(strike, FAULT_CRASH))
        fault_act_crash((enum fault_crash)strike->crash.variant);
    if (has(strike, FAULT_SCRIBBLE))
        fault_act_scribble(bench.region, bench.slot_index,
                           (enum fault_into)strike->scribble.variant);
    if (has(strike, FAULT_CLOSE_FDS))
        fault_act_close_fds(bench.region->header.data_dir);
    if (has(strike, FAULT_HANG))
        fault_act_hang((enum fault_hang)strike->hang.variant, strike->hang.id, goes_on);
    if (strike->delay_ms && strike->status == 0 && !has(strike, FAULT_OMISSION))
        fault_act_wait(strike->delay_ms, strike->slow_id, goes_on);
}

void fault_strike_active(enum fault_point point)
{
    struct strike strike = {0};
    collect(&strike, &(struct occasion){point, CLASS_OTHER, ENDPOINT_UNMATCHED, 0});
    suffer(&strike);
}

unsigned fault_request_active(unsigned class, unsigned endpoint)
{
    struct strike strike = {0};
    collect(&strike, &(struct occasion){FAULT_POINT_REQUEST, class, endpoint, 0});
    suffer(&strike);
    return has(&strike, FAULT_OMISSION) ? FAULT_NO_ANSWER : strike.status;
}

struct fault_answer fault_answer_active(unsigned class, unsigned endpoint, bool has_body,
                                        bool success)
{
    struct strike strike = {0};
    uint32_t without =
        (has_body ? 0 : 1u << FAULT_PARTIAL) | (has_body && success ? 0 : 1u << FAULT_WRONG);
    collect(&strike, &(struct occasion){FAULT_POINT_ANSWER, class, endpoint, without});
    suffer(&strike);
    return (struct fault_answer){.omitted = has(&strike, FAULT_OMISSION),
                                 .cut = has(&strike, FAULT_PARTIAL),
                                 .altered = has(&strike, FAULT_WRONG),
                                 .random = strike.random};
}

/* ---- what is held all the while ------------------------------------------------------------ */

static bool is_held(const struct fault *fault, uint64_t now_ns)
{
    return fault->kind == FAULT_RESOURCE && fault->state == FAULT_STATE_ACTIVE &&
           now_ns < fault->end_ns && is_meant_for_us(fault);
}

/* Of several faults the largest share of descriptors counts, and all the memory. */
static struct fault_hold_goal goal_of(uint64_t now_ns)
{
    struct fault_hold_goal goal = {0};
    for (unsigned i = 0; look_at_table() && i < FAULTS_MAX; i++) {
        const struct fault *fault = &bench.copy.fault[i];
        if (!is_held(fault, now_ns))
            continue;
        uint64_t permille = grown(fault, fault->percent * UINT64_C(10), now_ns);
        goal.fds_permille = permille > goal.fds_permille ? (unsigned)permille : goal.fds_permille;
        goal.kib += grown(fault, fault->mib * UINT64_C(1024), now_ns);
    }
    return goal;
}

/* Each look that is to take something more counts as a strike. */
static void count_held(uint32_t lacks, uint64_t now_ns)
{
    for (unsigned i = 0; lacks && look_at_table() && i < FAULTS_MAX; i++)
        if (is_held(&bench.copy.fault[i], now_ns) && lacks & 1u << bench.copy.fault[i].variant)
            take(&bench.copy.fault[i], i, now_ns);
}

void fault_hold(void)
{
    if (!fault_is_possible() && !fault_hold_has_any())
        return;
    pthread_mutex_lock(&bench.mutex);
    uint64_t now_ns = clock_now_ns();
    struct fault_hold_goal goal = goal_of(now_ns);
    count_held(fault_hold_lacks(&goal), now_ns);
    pthread_mutex_unlock(&bench.mutex);
    fault_hold_towards(&goal); /* outside: what it takes may take a while */
}

/* ---- the database -------------------------------------------------------------------------- */

/* Whether an effect shows in a call: what a disk, a lock or a path can do to it. */
static bool concerns(const struct fault *fault, struct fault_io io)
{
    bool writes = io.op == FAULT_OP_WRITE;
    bool transfers = io.op != FAULT_OP_ALL && io.op != FAULT_OP_BEGIN;
    bool selected = fault->op == FAULT_OP_ALL ? transfers : fault->op == (uint32_t)io.op;
    switch ((enum fault_db)fault->variant) {
    case FAULT_DB_DOWN:
        return true;
    case FAULT_DB_SLOW:
        return selected && !io.again;
    case FAULT_DB_HANG:
    case FAULT_DB_IOERR:
        return selected;
    case FAULT_DB_FULL:
    case FAULT_DB_READONLY:
    case FAULT_DB_TORN:
        return writes;
    case FAULT_DB_LOCKED:
        return io.write_lock;
    case FAULT_DB_BITFLIP:
        return io.op == FAULT_OP_READ && !io.wal;
    default:
        return false;
    }
}

struct fault_io_effect fault_database_active(struct fault_io io)
{
    struct fault_io_effect effect = {0};
    uint64_t delay_ms = 0;
    uint32_t slow_id = 0, hang_id = 0;
    pthread_mutex_lock(&bench.mutex);
    uint64_t now_ns = clock_now_ns();
    for (unsigned i = 0; look_at_table() && i < FAULTS_MAX; i++) {
        const struct fault *fault = &bench.copy.fault[i];
        if (fault->kind != FAULT_DB || fault->state != FAULT_STATE_ACTIVE || !concerns(fault, io) ||
            !take(fault, i, now_ns))
            continue;
        if (fault->variant == FAULT_DB_SLOW) {
            delay_ms += delay_of(fault, now_ns);
            slow_id = fault->id;
        } else if (fault->variant == FAULT_DB_HANG) {
            hang_id = fault->id;
        } else if (!effect.strikes || fault->variant < (uint32_t)effect.effect) {
            effect = (struct fault_io_effect){true, (enum fault_db)fault->variant, draw(fault)};
        }
    }
    pthread_mutex_unlock(&bench.mutex);
    if (hang_id)
        fault_act_hang(FAULT_HANG_THREAD, hang_id, goes_on);
    if (delay_ms)
        fault_act_wait(delay_ms, slow_id, goes_on);
    return effect;
}
