/* SPDX-License-Identifier: MIT */
/*
 * A worker: its life on one screen. The request threads are civetweb's, behind the door; this
 * thread beats the heart, watches the board and decides when it is over.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/child.h"
#include "common/clock.h"
#include "common/exit_codes.h"
#include "common/fault.h"
#include "common/log.h"
#include "worker/hasher.h"
#include "worker/limits.h"
#include "worker/liveness.h"
#include "worker/resource_watch.h"
#include "worker/self_read.h"
#include "worker/server.h"
#include "worker/store.h"

#define PROBE_PATIENCE_NS (2 * NS_PER_S)
#define ORPHAN_LIMIT_NS   (4 * NS_PER_S)

/* How long idle keep-alive connections may stay in a drain: longer than clients were told that
 * they may reuse one while a successor serves; briefly when nobody will. */
#define GRACE_SUCCESSOR_MS 10000
#define GRACE_STOP_MS      1000
#define GRACE_ORPHAN_MS    500

static struct child child;
static struct key_file keys;
static struct resource_watch resource_watch;
static struct services services = {.child = &child, .keys = &keys};

static void open_everything(void)
{
    char error[256];
    liveness_start(child.slot);
    liveness_mark_crashes();
    if (key_file_read(child.region->header.data_dir, &keys, error, sizeof error) < 0)
        child_give_up(&child, EXIT_CONFIGURATION, "%s", error);
    if (store_start(&child) != 0)
        child_give_up(&child, EXIT_CONFIGURATION, "bulkhead.read is more than a store can have");
    services.tokens = token_cache_make();
    services.hasher = hasher_start(&child.slot->metrics, (unsigned)child.config.bulkhead_auth,
                                   child.config.overload_shed == OVERLOAD_SHED_ON);
    services.limits = limits_start(&child);
    if (!services.tokens || !services.hasher || !services.limits ||
        (errno = -self_read_start()) != 0)
        child_give_up(&child, EXIT_TEMPORARY, "no memory or no thread: %s", strerror(errno));
    resource_watch_tick(&resource_watch, &child, clock_now_ns());
    fault_strike(FAULT_POINT_START);
    if (server_start(&services) < 0)
        child_give_up(&child, EXIT_BUG, "the front door did not open: %s", strerror(errno));
    if (!server_answers_itself())
        child_give_up(&child, EXIT_TEMPORARY, "no answer to a request of our own within a second");
}

/* A fresh process helps only when the fault is this one's: another worker reads, or there is none
 * to compare with. */
static bool others_are_well(void)
{
    uint64_t now_ns = clock_now_ns();
    if (child.config.workers < 2)
        return true;
    for (unsigned i = 0; i < WORKER_SLOTS_MAX; i++) {
        const struct slot *slot = &child.region->slots[i].slot;
        uint64_t beat_ns = atomic_load(&slot->heartbeat_ns);
        if (i != child.slot_index && atomic_load(&slot->phase) == PHASE_READY &&
            beat_ns + NS_PER_S > now_ns)
            return true;
    }
    return false;
}

/* READY while the board says that the database serves reads and writes, and it does; DEGRADED
 * otherwise. Nobody restarts a worker for the database's sake; but one whose own reads fail while
 * everybody else's work goes, so that a fresh one can try. */
static void follow_board(void)
{
    static uint64_t failing_since_ns;
    const struct board_words *words = &child.region->board.words;
    bool readable = atomic_load(&words->db_readable), writable = atomic_load(&words->db_writable);
    enum child_phase now = atomic_load(&child.slot->phase);
    enum child_phase next = readable && writable ? PHASE_READY : PHASE_DEGRADED;
    enum db_code code = DB_CODE_OK;
    /* A read of our own before every change to READY; who is READY is watched by its callers. */
    if (readable && now != PHASE_READY && (next == PHASE_READY || failing_since_ns > 0) &&
        !self_read(&code))
        return;
    if (code == DB_CODE_OK) {
        failing_since_ns = 0;
        child_set_phase(&child, next);
        return;
    }
    child_set_phase(&child, PHASE_DEGRADED);
    if (failing_since_ns == 0) {
        failing_since_ns = clock_now_ns();
        child_report(&child, EVENT_NOTE, "the database is up, but not for this worker: %s",
                     db_code_name(code));
    } else if (clock_now_ns() - failing_since_ns > PROBE_PATIENCE_NS && others_are_well()) {
        child_give_up(&child, EXIT_TEMPORARY, "reads fail here and nowhere else: %s",
                      db_code_name(code));
    }
}

/* Serve until there is a reason not to. */
static void serve(void)
{
    bool term = false;
    while (!term && child_order(&child) == ORDER_RUN && !child_is_orphan(&child)) {
        follow_board();
        resource_watch_tick(&resource_watch, &child, clock_now_ns());
        store_tick();
        server_tick();
        term = child_wait(&child);
    }
}

/* Let clients go without losing a request of theirs. A TERM more changes nothing; a supervisor
 * that dies meanwhile does: its successor waits for us. */
static void drain(void)
{
    enum slot_order order = child_order(&child);
    bool orphan = child_is_orphan(&child);
    uint64_t now_ns = clock_now_ns();
    uint64_t limit_ns = now_ns + child.config.drain_timeout_s * NS_PER_S;
    if (orphan && limit_ns > now_ns + ORPHAN_LIMIT_NS)
        limit_ns = now_ns + ORPHAN_LIMIT_NS;
    child_set_phase(&child, PHASE_DRAINING);
    front_door_drain(orphan                 ? GRACE_ORPHAN_MS
                     : order == ORDER_DRAIN ? GRACE_SUCCESSOR_MS
                                            : GRACE_STOP_MS);
    while (front_door_connections() > 0 && (now_ns = clock_now_ns()) < limit_ns) {
        if (!orphan && child_is_orphan(&child)) {
            orphan = true;
            if (limit_ns > now_ns + ORPHAN_LIMIT_NS)
                limit_ns = now_ns + ORPHAN_LIMIT_NS;
            front_door_drain(GRACE_ORPHAN_MS);
        } else if (order == ORDER_DRAIN && child_order(&child) == ORDER_STOP) {
            order = ORDER_STOP; /* the successor goes too */
            front_door_drain(GRACE_STOP_MS);
        }
        store_tick();
        server_tick();
        child_wait(&child);
    }
}

int main(int argc, char **argv)
{
    child_enter(&child, "worker", argc, argv);
    open_everything();
    log_info("worker_started", "generation %u serves with %u threads", child.generation,
             (unsigned)child.config.worker_threads);
    serve();
    drain();
    unsigned busy = front_door_busy();
    if (busy > 0)
        log_warning("drain", "%u requests were not finished in time", busy);
    else if (self_read_rests())
        store_stop();
    /* Not mg_stop and not exit: nothing is left to be answered, mg_stop would take up to two
     * seconds to say so, and handlers of exit would run under threads that still wait. */
    _exit(EXIT_ASKED);
}
