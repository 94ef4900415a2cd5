/* SPDX-License-Identifier: MIT */
/* What a person at the terminal reads: where the service is, how to try it, why it did not start.
 */
#ifndef BULKHEAD_WELCOME_H
#define BULKHEAD_WELCOME_H

struct supervisor;
struct slot_record;

/* Once the service serves: addresses; with --demo the login and three lines to try. */
void welcome(const struct supervisor *supervisor);

/* Set-up ended badly: its last words on stderr, its exit code becomes ours. */
void welcome_setup_failed(struct supervisor *supervisor, const struct slot_record *setup);

#endif
