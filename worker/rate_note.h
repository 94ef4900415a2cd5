/* SPDX-License-Identifier: MIT */
/* What the headers RateLimit-Policy and RateLimit say of the limit that was asked about a request.
 */
#ifndef BULKHEAD_RATE_NOTE_H
#define BULKHEAD_RATE_NOTE_H

#include <stdint.h>

#include "common/labels.h"

struct rate_note {
    enum rate_policy policy;
    uint64_t quota;     /* that may come at once */
    uint64_t window_s;  /* in which an empty bucket is whole again */
    uint64_t remaining; /* of the quota */
    uint64_t whole_s;   /* until this bucket is whole again */
};

#endif
