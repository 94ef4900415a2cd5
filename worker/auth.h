/* SPDX-License-Identifier: MIT */
/* Who is asking: the Authorization header, and the login that gives out tokens. */
#ifndef BULKHEAD_AUTH_H
#define BULKHEAD_AUTH_H

#include <stdbool.h>

#include "worker/exchange.h"

/* Check the bearer token (RFC 6750). True and exchange.user, or false and the 401 is made. */
bool auth_require(struct exchange *exchange);

/* The token is good, but its user was deleted. */
void auth_account_gone(struct exchange *exchange);

/* POST /auth/login. */
void auth_login(struct exchange *exchange);

#endif
