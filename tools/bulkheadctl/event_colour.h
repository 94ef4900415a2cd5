/* SPDX-License-Identifier: MIT */
/* How bad an event or the state of a slot is, as a colour; for events, status and top. */
#ifndef BULKHEADCTL_EVENT_COLOUR_H
#define BULKHEADCTL_EVENT_COLOUR_H

#include <stdint.h>

#include "tools/bulkheadctl/text.h"

enum colour event_colour(uint32_t type);
enum colour slot_colour(uint32_t state);

#endif
