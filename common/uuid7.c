/* SPDX-License-Identifier: MIT */
#include "common/uuid7.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "common/check.h"
#include "common/clock.h"

/* rand_a has 12 bits for the fraction of a millisecond: steps of 244 ns. */
#define STEP_NS (NS_PER_MS / 4096 + 1)

/* The last hexadecimal digits of a number, and the character that follows them. Not snprintf: every
 * request has an id. */
static char *put_hex(char *at, uint64_t number, unsigned digits, char end)
{
    for (unsigned i = digits; i-- > 0; number >>= 4)
        at[i] = "0123456789abcdef"[number & 15];
    at[digits] = end;
    return at + digits + 1;
}

void uuid7_format(char out[UUID_TEXT_SIZE], uint64_t wall_ns, uint64_t random)
{
    uint64_t ms = wall_ns / NS_PER_MS;
    uint64_t fraction = (wall_ns % NS_PER_MS) * 4096 / NS_PER_MS;
    out = put_hex(out, ms >> 16, 8, '-');
    out = put_hex(out, ms, 4, '-');
    out = put_hex(out, 0x7000 | fraction, 4, '-');
    out = put_hex(out, 0x8000 | (random >> 48 & 0x3FFF), 4, '-');
    put_hex(out, random, 12, '\0');
}

void uuid7_make(char out[UUID_TEXT_SIZE])
{
    static _Atomic uint64_t last_ns;
    uint64_t now = clock_wall_ns(), last = atomic_load(&last_ns), next;
    do
        next = now > last + STEP_NS ? now : last + STEP_NS;
    while (!atomic_compare_exchange_weak(&last_ns, &last, next));
    uint64_t random;
    CHECK(getrandom(&random, sizeof random, 0) == (ssize_t)sizeof random);
    uuid7_format(out, next, random);
}

bool uuid_valid(const char *text)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (text[i] == '\0' || (dash ? text[i] != '-' : !strchr("0123456789abcdef", text[i])))
            return false;
    }
    return text[36] == '\0';
}
