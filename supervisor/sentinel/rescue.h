/* SPDX-License-Identifier: MIT */
/*
 * Saving what only open handles still see. When -wal or -shm is taken away from beside app.db, its
 * content lives on in the connections that have it open, and one opened anew would not find what is
 * not checkpointed. So sentinel and keeper, whoever of them has a connection, move it into app.db
 * before they let go. It happens behind the gate, as every checkpoint; the fence is up, nobody
 * writes.
 */
#ifndef BULKHEAD_SENTINEL_RESCUE_H
#define BULKHEAD_SENTINEL_RESCUE_H

#include "supervisor/sentinel/handle.h"

/* Call before the handle is closed, whatever the reason. Does nothing when the files are those that
 * were opened, or when app.db itself is another one: there is nothing to save it into then. What
 * came of it is reported as an event. */
void rescue_lost_sidecar(struct handle *handle);

#endif
