/* SPDX-License-Identifier: MIT */
/*
 * Reads the shared region of the server under drill: one sample at a time, events as they come. It
 * only reads. When the supervisor was replaced it is attached to the new region and counts on.
 */
#ifndef BULKHEAD_DRILL_SAMPLER_H
#define BULKHEAD_DRILL_SAMPLER_H

#include "tools/drill/evidence.h"

struct sampler;

struct sampler *sampler_open(struct evidence *evidence);
void sampler_close(struct sampler *sampler);

/* The region of a server not looked at yet, from now on; NULL: none. The mapping stays the
 * caller's. */
void sampler_attach(struct sampler *sampler, const struct region *region);

/* Add a sample and the events since the last one. False when there was nothing to read. */
bool sampler_take(struct sampler *sampler, uint64_t now_ns);

#endif
