/* SPDX-License-Identifier: MIT */
#include "common/codel.h"

static void look_for_overload(struct codel *codel, uint64_t oldest_ns, uint64_t now_ns)
{
    if (oldest_ns <= CODEL_TARGET_NS) {
        codel->interval_end_ns = 0;
    } else if (codel->interval_end_ns == 0) {
        codel->interval_end_ns = now_ns + CODEL_INTERVAL_NS;
    } else if (now_ns >= codel->interval_end_ns) {
        codel->overloaded = true;
        codel->interval_end_ns = now_ns + CODEL_INTERVAL_NS;
        codel->least_ns = oldest_ns;
    }
}

void codel_note(struct codel *codel, uint64_t oldest_ns, uint64_t now_ns)
{
    if (!codel->overloaded) {
        look_for_overload(codel, oldest_ns, now_ns);
        return;
    }
    if (oldest_ns < codel->least_ns)
        codel->least_ns = oldest_ns;
    if (now_ns < codel->interval_end_ns)
        return;
    codel->overloaded = codel->least_ns > CODEL_TARGET_NS / 2;
    codel->interval_end_ns = codel->overloaded ? now_ns + CODEL_INTERVAL_NS : 0;
    codel->least_ns = oldest_ns;
}
