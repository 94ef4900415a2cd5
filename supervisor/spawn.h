/* SPDX-License-Identifier: MIT */
/* Fork and exec of one child, with exactly the descriptors and rights its kind has. */
#ifndef BULKHEAD_SPAWN_H
#define BULKHEAD_SPAWN_H

struct supervisor;
struct slot_record;

/* Start the next process of a slot: sets pid, pid_fd, generation, spawned_ns. 0 or negative errno.
 * A program that cannot be executed says so on stderr and exits with 127. */
int spawn_child(struct supervisor *supervisor, struct slot_record *record);

/* Move a descriptor out of the range children use for theirs (3 to 63), close-on-exec.
 * Returns the new number, or negative errno; the old one is closed. */
int spawn_move_fd(int fd);

#endif
