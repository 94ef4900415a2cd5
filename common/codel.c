/* SPDX-License-Identifier: MIT */
#include "common/codel.h"

void codel_note(struct codel *codel, uint64_t oldest_ns, uint64_t now_ns)
{
    if (codel->interval_end_ns != 0 && oldest_ns < codel->least_ns)
        codel->least_ns = oldest_ns;
    if (now_ns < codel->interval_end_ns)
        return;
    if (codel->interval_end_ns != 0) {
        uint64_t limit_ns = codel->overloaded ? CODEL_TARGET_NS / 2 : CODEL_TARGET_NS;
        codel->overloaded = codel->least_ns > limit_ns;
    }
    codel->interval_end_ns = now_ns + CODEL_INTERVAL_NS;
    codel->least_ns = oldest_ns;
}
