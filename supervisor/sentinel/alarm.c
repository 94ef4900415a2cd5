/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/alarm.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "common/clock.h"

#define BEAT_NS (50 * NS_PER_MS)

/* What the handler reads; written only while the timer is off. */
static struct {
    sqlite3 *volatile db;
    struct child *child; /* NULL: no beating, the first signal is the limit */
    uint64_t epoch, limit_ns;
} watched;

static bool may_go_on(void)
{
    sigset_t waiting;
    if (!watched.child || clock_now_ns() >= watched.limit_ns)
        return false;
    child_heartbeat(watched.child);
    if (atomic_load(&watched.child->region->board.words.db_epoch) != watched.epoch)
        return false;
    /* TERM is blocked: it waits for child_wait. */
    return sigpending(&waiting) == 0 && !sigismember(&waiting, SIGTERM);
}

static void on_alarm(int number)
{
    int kept = errno;
    (void)number;
    if (watched.db && !may_go_on())
        sqlite3_interrupt(watched.db);
    errno = kept;
}

static void set_timer(uint64_t first_ns, uint64_t every_ns)
{
    const struct itimerval timer = {
        .it_value = {.tv_sec = (time_t)(first_ns / NS_PER_S),
                     .tv_usec = (suseconds_t)(first_ns % NS_PER_S / NS_PER_US)},
        .it_interval = {.tv_usec = (suseconds_t)(every_ns / NS_PER_US)}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void start(sqlite3 *db, uint64_t first_ns, uint64_t every_ns)
{
    const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    watched.db = db;
    set_timer(first_ns, every_ns);
}

void alarm_set(sqlite3 *db, uint64_t limit_ns)
{
    watched.child = NULL;
    /* Again every 50 ms: an interrupt that comes before the call has begun is forgotten by it. */
    start(db, limit_ns, BEAT_NS);
}

void alarm_set_beating(sqlite3 *db, uint64_t limit_ns, struct child *child, uint64_t epoch)
{
    watched.child = child;
    watched.epoch = epoch;
    watched.limit_ns = clock_now_ns() + limit_ns;
    start(db, BEAT_NS, BEAT_NS);
}

void alarm_clear(void)
{
    set_timer(0, 0);
    watched.db = NULL;
}
