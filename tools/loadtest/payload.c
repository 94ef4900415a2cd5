/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/payload.h"

#include <stdio.h>
#include <string.h>

#include "common/backoff.h"

#define TITLE_PREFIX "loadtest "
#define BODY_PREFIX  "é✓ "

#define FNV_OFFSET UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME  UINT64_C(0x100000001B3)

static uint64_t fnv1a(uint64_t hash, const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)data[i]) * FNV_PRIME;
    return hash;
}

void payload_title(char out[PAYLOAD_TITLE_SIZE], const char *key)
{
    snprintf(out, PAYLOAD_TITLE_SIZE, TITLE_PREFIX "%s", key);
}

void payload_body(char out[PAYLOAD_BODY_SIZE], const char *key)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t state = fnv1a(FNV_OFFSET, key, strlen(key)), bits = 0;
    size_t length = sizeof BODY_PREFIX - 1;
    memcpy(out, BODY_PREFIX, length);
    for (unsigned left = 0; length < PAYLOAD_BODY_SIZE - 1; length++) {
        if (left == 0) {
            bits = random_next(&state);
            left = 10; /* letters of six bits in 64 */
        }
        out[length] = letters[bits & 63];
        bits >>= 6;
        left -= 1;
    }
    out[length] = '\0';
}

uint64_t payload_hash(const char *title, size_t title_length, const char *body, size_t body_length)
{
    uint64_t hash = fnv1a(FNV_OFFSET, title, title_length);
    return fnv1a(fnv1a(hash, "", 1), body, body_length);
}

uint64_t payload_hash_of_key(const char *key)
{
    char title[PAYLOAD_TITLE_SIZE], body[PAYLOAD_BODY_SIZE];
    payload_title(title, key);
    payload_body(body, key);
    return payload_hash(title, strlen(title), body, strlen(body));
}

const char *payload_key(const char *title)
{
    size_t prefix = sizeof TITLE_PREFIX - 1;
    if (strncmp(title, TITLE_PREFIX, prefix) != 0 || !uuid_valid(title + prefix))
        return NULL;
    return title + prefix;
}
