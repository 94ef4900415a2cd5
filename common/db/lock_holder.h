/* SPDX-License-Identifier: MIT */
/*
 * Who holds a lock of app.db: SQLite's locks are POSIX locks on bytes of the -shm file, and the
 * kernel tells a holder's pid. It owns nothing: the descriptor is the caller's, who must keep it
 * open for as long as the process has the database open (closing it would drop SQLite's locks).
 * Locks of the calling process are never reported. A holder in another pid namespace has no pid
 * here: it is LOCK_HOLDER_HIDDEN. libc only.
 */
#ifndef BULKHEAD_LOCK_HOLDER_H
#define BULKHEAD_LOCK_HOLDER_H

#include <sys/types.h>

/* Bytes of -shm (sqlite.org/walformat.html, "Locks"). */
enum lock_byte {
    LOCK_BYTE_WRITE = 120,
    LOCK_BYTE_CHECKPOINT = 121,
    LOCK_BYTE_RECOVER = 122,
    LOCK_BYTE_READ = 123, /* the first of LOCK_READERS */
};
#define LOCK_READERS       5
#define LOCK_HOLDER_HIDDEN ((pid_t)-1)
#define LOCK_HOLDER_NAME   32

/* The pid of one process that holds this byte, shared or exclusive. 0: nobody else, or it cannot
 * be asked. */
pid_t lock_holder_of(int shm_fd, enum lock_byte byte);

/* The pid of a process that keeps the log from being emptied: the holder of the read lock with the
 * oldest mark. 0: nobody, or it cannot be told. */
pid_t lock_holder_of_oldest_read(int shm_fd);

/* The program's name, printable bytes only; "?" when it cannot be had. */
void lock_holder_name(pid_t pid, char out[LOCK_HOLDER_NAME]);

#endif
