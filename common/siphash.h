/* SPDX-License-Identifier: MIT */
/*
 * SipHash-2-4 (J.-P. Aumasson, D. J. Bernstein: "SipHash: a fast short-input PRF", 2012): a keyed
 * hash, so that who does not know the key cannot choose inputs that collide.
 */
#ifndef BULKHEAD_SIPHASH_H
#define BULKHEAD_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash24(const uint64_t key[2], const void *data, size_t length);

#endif
