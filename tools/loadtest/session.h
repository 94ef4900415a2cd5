/* SPDX-License-Identifier: MIT */
/*
 * Accounts and their tokens: read from standard input, logged in before the run, renewed at four
 * fifths of a token's life while requests go on with the old one.
 */
#ifndef BULKHEAD_LOADTEST_SESSION_H
#define BULKHEAD_LOADTEST_SESSION_H

#include <stdint.h>
#include <stdio.h>

#include "tools/loadtest/engine.h"

struct accounts {
    struct account *all;
    unsigned count;
};

/* The first line of `input` is the password of this user. 0 or -EINVAL (none, or too long). */
int accounts_read_password(struct accounts *accounts, const char *name, FILE *input);

/* Every line of `input` is name:password; the first `limit` are kept, 0 for all. 0 or -EINVAL with
 * *line set to the line at fault (0: no line at all). */
int accounts_read(struct accounts *accounts, FILE *input, unsigned limit, unsigned *line);

/* One account without a name, for servers that ask for none; it is never logged in. */
void accounts_nobody(struct accounts *accounts);

void accounts_free(struct accounts *accounts);

/* Log every account in, one after the other: a server hashes passwords slowly on purpose.
 * 0, -EINTR (Ctrl-C) or -EACCES with *failed set to the account without a token. */
int session_login(struct engine *engine, struct accounts *accounts, unsigned *failed);

/* Start the renewals that are due. Call it about once a second. */
void session_renew(struct engine *engine, struct accounts *accounts, uint64_t now_ns);

#endif
