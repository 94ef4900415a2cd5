/* SPDX-License-Identifier: MIT */
/*
 * A VFS before SQLite's own through which the fault bench (kind db) reaches the calls for app.db,
 * its -wal and its -shm. It owns how each effect looks to SQLite; which are active is
 * common/fault.c's word. Files of other names are opened by the VFS below and never seen here
 * again.
 *
 * Invariant: locks are always let go of and files always closed, whatever is active.
 */
#ifndef BULKHEAD_DB_FAULT_VFS_H
#define BULKHEAD_DB_FAULT_VFS_H

/* Make it the default, before the first connection of this process; again does nothing. Only where
 * faults.enabled is yes: others run SQLite's own VFS and nothing else. */
void fault_vfs_install(void);

#endif
