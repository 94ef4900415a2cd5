/* SPDX-License-Identifier: MIT */
/*
 * A command between load and audit, for tests and drills: they break what was written, and the
 * audit must say so.
 */
#ifndef BULKHEAD_LOADTEST_HOOK_H
#define BULKHEAD_LOADTEST_HOOK_H

/* Run by /bin/sh, with signals as they were before this program took them, and wait for its end.
 * Its output goes to standard error: standard output is for the summary. 0 when it ended with 0;
 * else -1, said on standard error. */
int hook_run(const char *command);

#endif
