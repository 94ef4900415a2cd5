/* SPDX-License-Identifier: MIT */
#include "common/backoff.h"

uint64_t backoff_wait_ns(const struct backoff *backoff, unsigned attempt, uint64_t random)
{
    uint64_t ceiling = backoff->base_ns;
    while (attempt-- > 0 && ceiling < backoff->cap_ns)
        ceiling *= 2;
    if (ceiling > backoff->cap_ns)
        ceiling = backoff->cap_ns;
    uint64_t wait = random % (ceiling + 1);
    return wait > backoff->floor_ns ? wait : backoff->floor_ns;
}

uint64_t random_next(uint64_t *state)
{
    /* Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014. */
    uint64_t z = (*state += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}
