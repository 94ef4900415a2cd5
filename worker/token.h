/* SPDX-License-Identifier: MIT */
/*
 * Access tokens: JWT (RFC 7519), HS256 only, signed with DATADIR/jwt.key. A token is believed only
 * after its signature, algorithm, issuer, times and user were checked; a token once checked is
 * remembered, so that a client's next request costs a comparison instead of an HMAC and two JSON
 * parsers. Nothing gets into the cache but by the check, and an entry dies with its token.
 */
#ifndef BULKHEAD_TOKEN_H
#define BULKHEAD_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/crypto/key_file.h"

#define TOKEN_LIFETIME_S 900
#define TOKEN_MAX_BYTES  4096
#define USER_NAME_MAX    64
#define TOKEN_ISSUER     "bulkhead"

/* Whose request it is. */
struct identity {
    int64_t user_id;
    char name[USER_NAME_MAX + 8]; /* NUL-terminated; whole words for the cache */
};

enum token_result {
    TOKEN_OK,
    TOKEN_MALFORMED,     /* no JWT, or too long */
    TOKEN_BAD_SIGNATURE, /* not signed by one of our keys, or not with HS256 */
    TOKEN_EXPIRED,
    TOKEN_NOT_YET_VALID, /* nbf lies in the future */
    TOKEN_BAD_CLAIMS,    /* another issuer, no user, no expiry */
};

struct token_cache;

/* An empty cache; NULL when there is no memory. Lives as long as the process. */
struct token_cache *token_cache_make(void);

/* A user name as set-up and login accept it: 1–64 of [A-Za-z0-9._@-]. */
bool user_name_valid(const char *name, size_t length);

/* A new token for a user, valid from now for TOKEN_LIFETIME_S. free() it; NULL when there is no
 * memory. */
char *token_issue(const struct key_file *keys, const char *name, int64_t user_id, uint64_t now_s);

/* Check a token of `length` bytes (NUL-terminated). cache may be NULL. *identity is filled on
 * TOKEN_OK alone. Thread-safe. */
enum token_result token_check(const struct key_file *keys, struct token_cache *cache,
                              const char *token, size_t length, uint64_t now_s,
                              struct identity *identity);

#endif
