/* SPDX-License-Identifier: MIT */
/*
 * The console: the control plane's window and its memory. It reads the shared region, remembers a
 * day of it, and shows both over HTTP, away from the data path: nothing there notices when it
 * hangs, dies or is flooded. When no worker can serve, its main thread answers for them
 * (last_resort.h).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/clock.h"
#include "common/exit_codes.h"
#include "common/http/front_door.h"
#include "common/log.h"
#include "supervisor/console/history.h"
#include "supervisor/console/last_resort_serve.h"
#include "supervisor/console/server.h"

#define DRAIN_LIMIT_NS (2 * NS_PER_S)
#define IDLE_GRACE_MS  200
#define LAST_WRITE_MS  500
#define LOOK_MS        100 /* at the board, and a heartbeat; well below the last resort's patience */

/* Let what is being answered end; idle connections are of no account. */
static void drain(struct child *child)
{
    uint64_t give_up_ns = clock_now_ns() + DRAIN_LIMIT_NS;
    child_set_phase(child, PHASE_DRAINING);
    front_door_drain(IDLE_GRACE_MS);
    last_resort_leave();
    while (front_door_connections() + last_resort_guests() > 0 && clock_now_ns() < give_up_ns) {
        last_resort_step(LOOK_MS);
        child_wait_ms(child, 0);
    }
}

int main(int argc, char **argv)
{
    struct child child;
    child_enter(&child, "console", argc, argv);
    if (!history_start(&child))
        child_give_up(&child, EXIT_TEMPORARY, "history did not start: %s", strerror(errno));
    if (!server_start(&child))
        child_give_up(&child, EXIT_BUG, "the HTTP server did not start: %s", strerror(errno));
    int error = last_resort_open(&child);
    if (error)
        child_give_up(&child, EXIT_BUG, "the last resort did not open: %s", strerror(-error));
    child_set_phase(&child, PHASE_READY);
    while (!child_wait_ms(&child, 0) && !child_is_orphan(&child))
        last_resort_step(LOOK_MS);
    drain(&child);
    history_stop(LAST_WRITE_MS);
    /* Not mg_stop: it takes up to 2 s to end threads that have nothing left to do. */
    _exit(EXIT_ASKED);
}
