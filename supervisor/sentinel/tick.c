/* SPDX-License-Identifier: MIT */
/*
 * The sentinel's life: a look four times a second, and at once when a file is not what it was.
 * It may block for as long as the disk does; that is why it is a process. Then no tick comes, and
 * its silence is what the supervisor judges.
 */
#include "common/child.h"
#include "common/clock.h"
#include "common/exit_codes.h"
#include "supervisor/sentinel/modes.h"
#include "supervisor/sentinel/probe.h"
#include "supervisor/sentinel/rescue.h"

#define LOOK_EVERY_NS (250 * NS_PER_MS)

int sentinel_run(int argc, char **argv)
{
    static struct child child;
    static struct prober prober;
    child_enter(&child, "sentinel", argc, argv);
    prober_init(&prober, &child);
    prober_look(&prober);
    child_set_phase(&child, PHASE_READY);
    uint64_t next_ns = clock_now_ns() + LOOK_EVERY_NS;
    while (!child_wait(&child) && !child_is_orphan(&child)) {
        uint64_t now_ns = clock_now_ns();
        if (now_ns < next_ns && !prober_has_news(&prober))
            continue;
        prober_look(&prober);
        /* Looks keep their rhythm; those a hung disk made us miss are not made up for. */
        next_ns += LOOK_EVERY_NS;
        if (next_ns < now_ns)
            next_ns = now_ns + LOOK_EVERY_NS;
    }
    rescue_lost_sidecar(&prober.handle);
    handle_close(&prober.handle);
    return EXIT_ASKED;
}
