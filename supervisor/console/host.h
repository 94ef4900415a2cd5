/* SPDX-License-Identifier: MIT */
/*
 * Which names the console answers to. A page of a stranger can make a browser connect here by
 * pointing its own name at our address (DNS rebinding), but it cannot make the browser send
 * another Host than that name: so only names that need no DNS, or that the operator listed, pass.
 */
#ifndef BULKHEAD_CONSOLE_HOST_H
#define BULKHEAD_CONSOLE_HOST_H

#include <stdbool.h>

/* Whether a Host header (RFC 9110, section 7.2: name or literal, optional port) is an address
 * literal, localhost, or one of the comma-separated names. */
bool host_is_allowed(const char *host, const char *names);

#endif
