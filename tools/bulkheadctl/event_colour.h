/* SPDX-License-Identifier: MIT */
/* How bad an event is, as a colour; for events and top. */
#ifndef BULKHEADCTL_EVENT_COLOUR_H
#define BULKHEADCTL_EVENT_COLOUR_H

#include <stdint.h>

#include "tools/bulkheadctl/text.h"

enum colour event_colour(uint32_t type);

#endif
