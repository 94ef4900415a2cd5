/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/governor.h"

#include "common/clock.h"

#define BYTES_PER_MIB      (UINT64_C(1) << 20)
#define WAL_WORTH_IT_BYTES BYTES_PER_MIB /* below, emptying it costs more than it saves */
#define IDLE_EVERY_NS      NS_PER_S
#define SOON_NS            (200 * NS_PER_MS)
#define PINNED_WAIT_NS     NS_PER_S
#define BUDGET_NS          (250 * NS_PER_MS) /* a twelfth of the time a write may take */
#define BUDGET_MOST_NS     (16 * NS_PER_S)
#define NAME_EVERY_NS      (60 * NS_PER_S)

void governor_set_limits(struct governor *governor, uint64_t soft_mib, uint64_t hard_mib)
{
    governor->soft_bytes = soft_mib * BYTES_PER_MIB;
    governor->hard_bytes = hard_mib * BYTES_PER_MIB;
}

void governor_init(struct governor *governor, uint64_t soft_mib, uint64_t hard_mib)
{
    *governor = (struct governor){.budget_ns = BUDGET_NS};
    governor_set_limits(governor, soft_mib, hard_mib);
}

bool governor_may_checkpoint(enum db_state state, bool writable)
{
    switch (state) {
    case DB_STATE_UP:   /* writes are refused for the log's size alone */
    case DB_STATE_SLOW: /* the same */
    case DB_STATE_FULL:
        return true;
    case DB_STATE_UNKNOWN:
    case DB_STATE_LOCKED:
    case DB_STATE_READ_ONLY:
    case DB_STATE_MOVED:
    case DB_STATE_REPLACED:
    case DB_STATE_CORRUPT:
    case DB_STATE_DOWN:
    case DB_STATE_COUNT:
        break;
    }
    return writable;
}

bool governor_wants_try(const struct governor *governor, uint64_t wal_bytes, uint64_t now_ns)
{
    if (wal_bytes < WAL_WORTH_IT_BYTES || now_ns < governor->next_try_ns)
        return false;
    return wal_bytes > governor->soft_bytes || now_ns >= governor->next_idle_ns;
}

void governor_put_off(struct governor *governor, uint64_t now_ns)
{
    governor->next_try_ns = now_ns + SOON_NS;
}

void governor_note(struct governor *governor, enum db_code code, uint64_t now_ns)
{
    governor->next_idle_ns = now_ns + IDLE_EVERY_NS;
    governor->next_try_ns = now_ns + (code == DB_CODE_OK ? SOON_NS : PINNED_WAIT_NS);
    if (code == DB_CODE_INTERRUPT)
        governor->budget_ns =
            governor->budget_ns * 2 < BUDGET_MOST_NS ? governor->budget_ns * 2 : BUDGET_MOST_NS;
    else
        governor->budget_ns = BUDGET_NS;
    if (code != DB_CODE_BUSY)
        governor->suspect = 0;
}

bool governor_names(struct governor *governor, uint64_t wal_bytes, pid_t holder, uint64_t now_ns)
{
    bool again = holder != 0 && holder == governor->suspect;
    governor->suspect = holder;
    if (!again || wal_bytes <= governor->hard_bytes || now_ns < governor->next_name_ns)
        return false;
    governor->next_name_ns = now_ns + NAME_EVERY_NS;
    return true;
}
