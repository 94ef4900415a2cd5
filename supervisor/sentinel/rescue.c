/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/rescue.h"

#include <string.h>

#include "common/clock.h"
#include "common/db/gate.h"

#define GATE_LIMIT_NS (500 * NS_PER_MS)
#define BUSY_LIMIT_NS (300 * NS_PER_MS) /* a reader of ours is interrupted by the new epoch */

/* True when every frame is in app.db: that the log could not be emptied then does not matter. */
static bool checkpoint_all(struct handle *handle, enum db_code *code)
{
    uint64_t start_ns = clock_now_ns();
    int frames = -1, moved = -1;
    handle->busy_until_ns = start_ns + BUSY_LIMIT_NS;
    handle->stop_at_ns = 0;
    gate_mark_commit(handle->child->slot);
    *code = db_code_of_call(
        handle->db,
        sqlite3_wal_checkpoint_v2(handle->db, "main", SQLITE_CHECKPOINT_TRUNCATE, &frames, &moved));
    handle_count(handle, DB_OP_CHECKPOINT, *code == DB_CODE_BUSY ? DB_CODE_OK : *code, start_ns);
    return *code == DB_CODE_OK || (*code == DB_CODE_BUSY && frames >= 0 && frames == moved);
}

void rescue_lost_sidecar(struct handle *handle)
{
    struct child *child = handle->child;
    enum db_code code;
    if (!handle->db || db_identity_check(&handle->paths, &handle->opened) != IDENTITY_SIDECAR)
        return;
    int taken = gate_lock(&child->region->gate, child->slot, clock_now_ns() + GATE_LIMIT_NS);
    if (taken < 0) {
        child_report(child, EVENT_NOTE,
                     "app.db-wal or -shm was taken away; its content was not saved: the write gate "
                     "cannot be had (%s)",
                     strerror(-taken));
        return;
    }
    bool saved = checkpoint_all(handle, &code);
    gate_unlock(&child->region->gate, child->slot);
    if (saved)
        child_report(child, EVENT_NOTE, "app.db-wal or -shm was taken away; its content was saved");
    else
        child_report(child, EVENT_NOTE, "app.db-wal or -shm was taken away; not all was saved: %s",
                     db_code_name(code));
}
