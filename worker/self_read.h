/* SPDX-License-Identifier: MIT */
/*
 * The worker's own read of the database, before it says READY: on a thread of its own, because a
 * disk may let a read wait for as long as it likes, and the thread that beats the heart must not
 * wait with it.
 */
#ifndef BULKHEAD_SELF_READ_H
#define BULKHEAD_SELF_READ_H

#include <stdbool.h>

#include "common/labels.h"

/* Start the thread. 0 or a negative errno. */
int self_read_start(void);

/* Begin a read unless one is under way; wait for it for some milliseconds. True with its result
 * in *code; false: it goes on, ask again. One caller only. */
bool self_read(enum db_code *code);

/* Whether none is under way: it has a connection of the store in hand. */
bool self_read_rests(void);

#endif
