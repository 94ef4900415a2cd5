/* SPDX-License-Identifier: MIT */
/*
 * Passwords: scrypt (RFC 7914) through libcrypto, N = 2^15, r = 8, p = 3, stored in PHC string
 * form: $scrypt$ln=15,r=8,p=3$SALT$HASH (base64 without padding). Parameters are read from the
 * hash, so they can be raised later without locking anybody out.
 */
#ifndef BULKHEAD_PASSWORD_H
#define BULKHEAD_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

#define PASSWORD_HASH_SIZE 160
#define PASSWORD_MAX_BYTES 1024

/* Hash with a fresh salt. 0, or -1 when libcrypto failed (memory, random). About 0.2 s of CPU. */
int password_hash(const char *password, size_t length, char out[PASSWORD_HASH_SIZE]);

/* Whether the password belongs to the hash, compared in constant time. A hash that cannot be read
 * is false after the same work, so that an unknown user costs what a known one does: pass NULL. */
bool password_matches(const char *password, size_t length, const char *hash);

/* A random password of 20 characters from an unambiguous alphabet (about 110 bits). */
void password_random(char out[21]);

#endif
