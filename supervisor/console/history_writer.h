/* SPDX-License-Identifier: MIT */
/*
 * The thread that keeps history in metrics.db: brings back once what is there, then writes what is
 * new every few seconds, in one transaction, and deletes a little of what is too old. The rows in
 * memory are its queue, so a file that cannot be written for a while is caught up with later, and
 * one that is lost is written anew with all that memory holds. What goes wrong is told once, as an
 * event.
 */
#ifndef BULKHEAD_CONSOLE_HISTORY_WRITER_H
#define BULKHEAD_CONSOLE_HISTORY_WRITER_H

#include <stdbool.h>

#include "common/child.h"

/* False, errno set, without a thread. */
bool history_writer_start(struct child *child);

/* Wait until it has written the last rows and ended, for at most limit_ms. */
void history_writer_wait(unsigned limit_ms);

#endif
