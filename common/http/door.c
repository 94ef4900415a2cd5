/* SPDX-License-Identifier: MIT */
/*
 * The loop civetweb's master thread runs instead of poll on its listening socket. It accepts,
 * receives until a request is complete, puts it on a ready list, and returns to civetweb only when
 * a request waits and a thread is free. It also ends what took too long.
 */
#include "common/http/door.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TICK_MS       200
#define EVENTS        64
#define DISCARD_CHUNK (1 << 20) /* at a time: others wait */
#define EXTRA_ENTRIES 256u      /* of the table, for connections that linger */

struct door door = {
    .adopted = -1,
    .epoll = -1,
    .wake = -1,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .accepts = &door.nowhere,
    .evicted = &door.nowhere,
    .returned = &door.nowhere,
    .open_requests = &door.nowhere,
    .parked = &door.no_gauge,
};

void door_wake(void)
{
    uint64_t one = 1;
    (void)!write(door.wake, &one, sizeof one); /* full means it is awake anyway */
}

/* ---- what the door knows of connections it holds ------------------------------------------ */

static void move(struct connection *c, enum conn_state state, uint64_t now_ns)
{
    pthread_mutex_lock(&door.lock);
    bool moved = conn_move(c, state, now_ns);
    pthread_mutex_unlock(&door.lock);
    if (!moved)
        conn_close(c, &door.spare);
}

/* When the first bytes came. The first look may be late: a process that was just started finds
 * connections that waited for it. TCP keeps the time since the last byte. */
static uint64_t first_byte_ns(const struct connection *c, uint64_t now_ns)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (c->looked_at || getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return now_ns;
    uint64_t waited = info.tcpi_last_data_recv * NS_PER_MS;
    return waited < now_ns ? now_ns - waited : now_ns;
}

void door_look(struct connection *c)
{
    bool first = c->length == 0;
    bool fresh = c->state == CONN_NEW;
    ssize_t n = conn_receive(c, MSG_DONTWAIT, &door.spare);
    uint64_t now = clock_now_ns();
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        move(c, fresh ? CONN_IDLE : (enum conn_state)c->state, now);
        return;
    }
    if (n <= 0) {
        /* Who has no memory and goes on accepting takes from other processes what they would serve.
         */
        if (n < 0 && errno == ENOBUFS)
            accept_pause(now);
        conn_close(c, &door.spare);
        return;
    }
    if (first)
        c->first_byte_ns = first_byte_ns(c, now);
    c->looked_at = true;
    door_place(c, now);
}

void door_place(struct connection *c, uint64_t now_ns)
{
    switch (conn_look(c)) {
    case LOOK_NOTHING:
        move(c, CONN_IDLE, now_ns);
        break;
    case LOOK_PARTIAL:
        move(c, CONN_PARTIAL, now_ns);
        break;
    case LOOK_COMPLETE:
        shed_classify(c);
        move(c, c->frame.health ? CONN_READY_HEALTH : CONN_READY, now_ns);
        break;
    case LOOK_TOO_LARGE:
        conn_refuse(c, 431, &door.spare);
        break;
    case LOOK_NO_PATH:
        conn_refuse(c, 400, &door.spare);
        break;
    }
}

/* Throw away what a client still sends after it was answered. */
static void discard(struct connection *c)
{
    static char bin[DISCARD_CHUNK]; /* the master thread's alone */
    ssize_t n = recvfrom(c->fd, bin, sizeof bin, MSG_DONTWAIT, NULL, NULL);
    if (n > 0)
        c->unread -= (uint64_t)n < c->unread ? (uint64_t)n : c->unread;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || c->unread == 0)
        conn_close(c, &door.spare);
    else
        move(c, CONN_LINGERING, 0);
}

static void handle_connection(uint64_t key)
{
    uint32_t index = (uint32_t)key;
    struct connection *c = &door.table[index];
    pthread_mutex_lock(&door.lock);
    /* an event of a connection that ended earlier in the same batch is stale */
    unsigned state = c->generation == (uint32_t)(key >> 32) ? c->state : CONN_FREE;
    pthread_mutex_unlock(&door.lock);
    if (state == CONN_IDLE || state == CONN_PARTIAL)
        door_look(c);
    else if (state == CONN_LINGERING)
        discard(c);
}

/* ---- deadlines ---------------------------------------------------------------------------- */

static uint64_t idle_deadline(const struct connection *c)
{
    uint64_t deadline = c->since_ns + door.settings.keepalive_timeout_s * NS_PER_S;
    if (atomic_load(&door.draining)) {
        uint64_t since = c->since_ns < door.drain_ns ? c->since_ns : door.drain_ns;
        if (since + door.grace_ns < deadline)
            deadline = since + door.grace_ns;
    }
    return deadline;
}

static uint64_t deadline_of(const struct connection *c)
{
    switch (c->state) {
    case CONN_IDLE:
        return idle_deadline(c);
    case CONN_PARTIAL:
        return c->since_ns + door.settings.incomplete_timeout_ms * NS_PER_MS;
    default:
        return c->since_ns + DISCARD_NS;
    }
}

static void expire(struct connection *c)
{
    switch (c->state) {
    case CONN_IDLE: {
        char byte;
        if (recvfrom(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) > 0) {
            door_look(c); /* a request arrived in the last moment */
            return;
        }
        if (!atomic_load(&door.draining))
            counter_increment(door.evicted);
        conn_close(c, &door.spare);
        return;
    }
    case CONN_PARTIAL:
        conn_refuse(c, 408, &door.spare);
        return;
    default:
        conn_close(c, &door.spare);
    }
}

/* End what is over; each list is in the order of its deadlines. Returns the next one. */
static uint64_t expire_all(uint64_t now_ns)
{
    static const enum conn_state timed[] = {CONN_IDLE, CONN_PARTIAL, CONN_LINGERING};
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++) {
        for (;;) {
            pthread_mutex_lock(&door.lock);
            struct connection *c = door.list[timed[i]].head;
            uint64_t deadline = c != NULL ? deadline_of(c) : UINT64_MAX;
            pthread_mutex_unlock(&door.lock);
            if (c == NULL || deadline > now_ns) {
                next = deadline < next ? deadline : next;
                break;
            }
            expire(c);
        }
    }
    return next;
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static bool wants_lease(void)
{
    pthread_mutex_lock(&door.lock);
    bool wants = door_takeable() > door.leases_pending && door.leases < door.settings.threads;
    pthread_mutex_unlock(&door.lock);
    return wants;
}

void door_lease(void)
{
    pthread_mutex_lock(&door.lock);
    door.leases++;
    door.leases_pending++;
    pthread_mutex_unlock(&door.lock);
}

static void handle(uint64_t key)
{
    if (key == KEY_WAKE) {
        uint64_t count;
        (void)!read(door.wake, &count, sizeof count);
        accept_injected();
    } else if (key >= KEY_LISTENER) {
        accept_one((unsigned)(key - KEY_LISTENER));
    } else {
        handle_connection(key);
    }
}

int door_poll(struct pollfd *adopted, int timeout_ms)
{
    adopted->revents = 0;
    uint64_t now = clock_now_ns();
    uint64_t look_again = shed_look(now);
    if (!wants_lease()) {
        accept_adjust(now);
        uint64_t next = expire_all(now);
        if (look_again < next)
            next = look_again;
        if (door.paused_until_ns > now && door.paused_until_ns < next)
            next = door.paused_until_ns;
        int limit = timeout_ms >= 0 && timeout_ms < TICK_MS ? timeout_ms : TICK_MS;
        struct epoll_event events[EVENTS];
        int n = epoll_wait(door.epoll, events, EVENTS, clock_ms_until(next, now, limit));
        for (int i = 0; i < n; i++)
            handle(events[i].data.u64);
        /* a process that was woken and died before its accept told nobody else */
        for (unsigned i = 0; n == 0 && i < door.settings.listener_count; i++)
            accept_one(i);
        if (!wants_lease())
            return 0;
    }
    adopted->revents = POLLIN;
    return 1;
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void count_into(struct slot_metrics *slot)
{
    door.accepts = slot != NULL ? &slot->accepts[0][0] : &door.nowhere;
    door.evicted = slot != NULL ? &slot->door_evicted[0][0] : &door.nowhere;
    door.returned = slot != NULL ? &slot->door_returned[0][0] : &door.nowhere;
    door.parked = slot != NULL ? &slot->door_parked[0] : &door.no_gauge;
    gauge_set(door.parked, 0);
}

static void build_table(void)
{
    memset(door.list, 0, sizeof door.list);
    memset(door.ready, 0, sizeof door.ready);
    memset(door.codel, 0, sizeof door.codel);
    door.ready_count = 0;
    for (uint32_t i = 0; i < door.table_size; i++) {
        struct connection *c = &door.table[i];
        c->prev = i > 0 ? c - 1 : NULL;
        c->next = i + 1 < door.table_size ? c + 1 : NULL;
    }
    door.list[CONN_FREE] = (struct conn_list){
        .head = door.table, .tail = &door.table[door.table_size - 1], .count = door.table_size};
}

static void *cleared(size_t count, size_t size)
{
    void *memory = aligned_alloc(64, count * size);
    return memory != NULL ? memset(memory, 0, count * size) : NULL;
}

int door_open(const struct front_door_settings *settings)
{
    unsigned threads = settings->threads;
    if (threads == 0 || settings->listener_count > LISTENERS_MAX)
        return -EINVAL;
    door.settings = *settings;
    if (door.settings.write_timeout_ms == 0)
        door.settings.write_timeout_ms = WRITE_TIMEOUT_MS;
    door.table_size = settings->parked_limit + threads + EXTRA_ENTRIES;
    door.table = cleared(door.table_size, sizeof *door.table);
    door.turns = cleared(threads, sizeof *door.turns);
    door.epoll = epoll_create1(EPOLL_CLOEXEC);
    door.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = KEY_WAKE};
    if (door.table == NULL || door.turns == NULL || door.epoll < 0 || door.wake < 0 ||
        epoll_ctl(door.epoll, EPOLL_CTL_ADD, door.wake, &event) != 0) {
        int error = errno;
        door_close();
        return -error;
    }
    build_table();
    count_into(settings->metrics);
    door.open_requests = settings->open_requests != NULL ? settings->open_requests : &door.nowhere;
    unsigned reserve = threads >= 2 * RESERVED_THREADS ? RESERVED_THREADS : threads / 4;
    door.normal_limit = threads - reserve;
    door.normal_serving = door.leases = door.leases_pending = door.injected_count = 0;
    door.paused_until_ns = door.held_bytes = 0;
    door.looked_ns = door.line_ns = door.refused = 0;
    door.random = clock_now_ns() ^ (uint64_t)getpid() << 32;
    for (unsigned class = 0; class < CLASS_COUNT; class ++)
        atomic_store(&door.service_ns[class], 0);
    door.listening = false;
    atomic_store(&door.draining, false);
    atomic_store(&door.waiting_since_ns, 0);
    atomic_store(&door.open, 0);
    atomic_store(&door.thread_count, 0);
    pthread_mutex_lock(&door.lock);
    door.running = true;
    pthread_mutex_unlock(&door.lock);
    return 0;
}

void door_close(void)
{
    pthread_mutex_lock(&door.lock);
    bool was_running = door.running;
    door.running = false;
    pthread_mutex_unlock(&door.lock);
    for (unsigned i = 0; was_running && i < door.injected_count; i++)
        close(door.injected[i]);
    for (uint32_t i = 0; was_running && i < door.table_size; i++)
        if (door.table[i].state != CONN_FREE)
            conn_close(&door.table[i], &door.spare);
    for (unsigned i = 0; was_running && i < door.settings.threads; i++)
        free(door.turns[i].spare);
    if (door.epoll >= 0)
        close(door.epoll);
    if (door.wake >= 0)
        close(door.wake);
    free(door.spare);
    free(door.table);
    free(door.turns);
    door.spare = NULL;
    door.table = NULL;
    door.turns = NULL;
    door.epoll = door.wake = -1;
    atomic_store(&door.adopted, -1);
    count_into(NULL);
    door.open_requests = &door.nowhere;
}
