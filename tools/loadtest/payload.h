/* SPDX-License-Identifier: MIT */
/*
 * What this program writes. Title and body follow from the idempotency key alone, so a retry says
 * the same, no body is kept in memory, and a duplicate is recognised by its title. Pure.
 */
#ifndef BULKHEAD_LOADTEST_PAYLOAD_H
#define BULKHEAD_LOADTEST_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "common/uuid7.h"

#define PAYLOAD_TITLE_SIZE 64
#define PAYLOAD_BODY_SIZE  256 /* bytes with the NUL */

/* Both texts are UTF-8 and need no escaping in JSON. The body holds letters of two and three bytes,
 * so that a server that mangles encodings is found out. */
void payload_title(char out[PAYLOAD_TITLE_SIZE], const char *key);
void payload_body(char out[PAYLOAD_BODY_SIZE], const char *key);

/* FNV-1a, 64 bits, of title, NUL, body. */
uint64_t payload_hash(const char *title, size_t title_length, const char *body, size_t body_length);

/* The hash of what payload_title and payload_body make of the key. */
uint64_t payload_hash_of_key(const char *key);

/* The key within a title made by payload_title, NULL for titles of others. */
const char *payload_key(const char *title);

#endif
