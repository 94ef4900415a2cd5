/* SPDX-License-Identifier: MIT */
/*
 * A request thread's turn. Between requests the thread stays with its connection for a moment:
 * a client in a hurry is served without the door. A client that thinks, or whose neighbour has
 * waited long enough, loses the thread; the connection goes back to the door, the thread takes the
 * next ready request, and only when there is none does it tell civetweb that this "connection" has
 * ended and goes to sleep.
 */
#include "common/http/door.h"

#include <errno.h>
#include <sys/ioctl.h>

static void step_set(struct turn *turn, enum turn_step step)
{
    atomic_store_explicit(&turn->step, step, memory_order_relaxed);
}

static unsigned step_of(const struct turn *turn)
{
    return atomic_load_explicit(&turn->step, memory_order_relaxed);
}

/* The thread has no connection any more; under the lock. */
static void detach(struct turn *turn)
{
    if (!turn->reserved)
        door.normal_serving--;
    turn->conn = NULL;
    step_set(turn, TURN_NONE);
}

static enum conn_state ready_state(const struct connection *c)
{
    return c->frame.health ? CONN_READY_HEALTH : CONN_READY;
}

/* Give the connection back to the door in the state its bytes call for. */
static void hand_back(struct turn *turn, enum look look)
{
    struct connection *c = turn->conn;
    enum conn_state state = look == LOOK_COMPLETE  ? ready_state(c)
                            : look == LOOK_PARTIAL ? CONN_PARTIAL
                                                   : CONN_IDLE;
    if (state == CONN_READY)
        shed_classify(c);
    pthread_mutex_lock(&door.lock);
    bool moved = conn_move(c, state, clock_now_ns());
    detach(turn);
    pthread_mutex_unlock(&door.lock);
    if (!moved)
        conn_close(c, &turn->spare);
    counter_increment(door.returned);
}

static void let_go(struct turn *turn, bool linger)
{
    struct connection *c = turn->conn;
    pthread_mutex_lock(&door.lock);
    detach(turn);
    pthread_mutex_unlock(&door.lock);
    if (linger)
        conn_linger(c, &turn->spare);
    else
        conn_close(c, &turn->spare);
}

/* May this thread serve the request that is in the buffer now? A thread of the reserve only when
 * an ordinary one is free as well, or the request is of the reserved kind. */
static bool may_serve(struct turn *turn)
{
    if (!turn->reserved || turn->conn->frame.health)
        return true;
    pthread_mutex_lock(&door.lock);
    bool room = door.normal_serving < door.normal_limit;
    if (room) {
        door.normal_serving++;
        turn->reserved = false;
    }
    pthread_mutex_unlock(&door.lock);
    return room;
}

static bool somebody_waits(void)
{
    uint64_t since = atomic_load_explicit(&door.waiting_since_ns, memory_order_relaxed);
    return since != 0 && clock_now_ns() - since > PATIENCE_NS;
}

static void start(struct turn *turn, uint64_t now_ns)
{
    struct connection *c = turn->conn;
    c->admitted_ns = now_ns;
    c->linger = false;
    turn->blocked_ns = 0;
    step_set(turn, TURN_START);
}

/* The next request of the thread's own connection. False: the thread has lost it. */
static bool continue_connection(struct turn *turn)
{
    struct connection *c = turn->conn;
    conn_next(c, &turn->spare);
    enum look look = conn_look(c);
    uint64_t first = 0;
    while (look == LOOK_NOTHING || look == LOOK_PARTIAL) {
        bool impatient = turn->reserved || somebody_waits();
        ssize_t n = conn_receive(c, impatient ? MSG_DONTWAIT : 0, &turn->spare);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            let_go(turn, false);
            return false;
        }
        uint64_t now = n > 0 ? clock_now_ns() : 0;
        if (n > 0 && first == 0)
            c->first_byte_ns = first = now;
        look = conn_look(c);
        bool late = n < 0 || now - first > LINGER_MS * NS_PER_MS;
        if (late && (look == LOOK_NOTHING || look == LOOK_PARTIAL)) {
            hand_back(turn, look);
            return false;
        }
    }
    if (look == LOOK_TOO_LARGE || look == LOOK_NO_PATH) {
        pthread_mutex_lock(&door.lock);
        detach(turn);
        pthread_mutex_unlock(&door.lock);
        conn_refuse(c, look == LOOK_NO_PATH ? 400 : 431, &turn->spare);
        return false;
    }
    if (somebody_waits() || !may_serve(turn)) {
        hand_back(turn, look);
        return false;
    }
    start(turn, clock_now_ns());
    return true;
}

/* A ready request for a thread without a connection. */
static bool take_ready(struct turn *turn)
{
    uint64_t now = clock_now_ns();
    bool refused = false;
    pthread_mutex_lock(&door.lock);
    if (turn->pending) {
        turn->pending = false;
        door.leases_pending--;
    }
    struct connection *c = door.list[CONN_READY_HEALTH].head;
    bool normal_free = door.normal_serving < door.normal_limit;
    if (c == NULL && normal_free)
        c = shed_choose(now, &refused);
    if (c != NULL) {
        conn_move(c, CONN_SERVED, now);
        turn->conn = c;
        turn->reserved = !normal_free;
        if (normal_free)
            door.normal_serving++;
    }
    pthread_mutex_unlock(&door.lock);
    if (refused)
        door_wake();
    if (c != NULL)
        start(turn, now);
    return c != NULL;
}

bool turn_next(struct turn *turn)
{
    if (turn->conn != NULL && continue_connection(turn))
        return true;
    return take_ready(turn);
}

/* ---- civetweb's calls ---------------------------------------------------------------------- */

void turn_attach(struct turn *turn)
{
    turn->pending = true;
    step_set(turn, TURN_NONE);
}

/* civetweb closes what it takes for the connection. Bytes we have not read would turn the close
 * into a reset, which can take the answer with it: then the door lingers. */
void turn_close(struct turn *turn)
{
    struct connection *c = turn->conn;
    if (c == NULL)
        return;
    int waiting = 0;
    bool linger = c->linger || c->unread > 0 || c->buffer != NULL || step_of(turn) == TURN_HEADER ||
                  ioctl(c->fd, FIONREAD, &waiting) != 0 || waiting > 0;
    let_go(turn, linger && !c->reset);
}

void turn_release(struct turn *turn)
{
    pthread_mutex_lock(&door.lock);
    door.leases--;
    if (turn->pending) {
        turn->pending = false;
        door.leases_pending--;
    }
    pthread_mutex_unlock(&door.lock);
    if (atomic_load(&door.waiting_since_ns) != 0)
        door_wake();
}

/* Room to write. The reader may keep us waiting only so long for one response. */
static int wait_writable(struct turn *turn, struct pollfd *pfd, int timeout_ms)
{
    uint64_t begin = clock_now_ns();
    uint64_t limit = door.settings.write_timeout_ms * NS_PER_MS;
    int result = 0;
    if (turn->blocked_ns < limit) {
        int left = clock_ms_until(begin + limit - turn->blocked_ns, begin, timeout_ms);
        struct pollfd real = {.fd = turn->conn->fd, .events = POLLOUT};
        struct timespec wait = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000L};
        result = ppoll(&real, 1, &wait, NULL);
        pfd->revents = real.revents;
        turn->blocked_ns += clock_now_ns() - begin;
    } else {
        counter_increment(door.evicted);
        shutdown(turn->conn->fd, SHUT_RDWR); /* the next send fails at once */
        pfd->revents = POLLOUT;
        result = 1;
    }
    return result;
}

int turn_poll(struct turn *turn, struct pollfd *pfd, int timeout_ms)
{
    unsigned step = step_of(turn);
    if (turn->conn != NULL && (pfd->events & POLLOUT))
        return wait_writable(turn, pfd, timeout_ms);
    if (step == TURN_REQUEST && turn->conn != NULL) {
        struct connection *c = turn->conn;
        if (c->buffer == NULL) {
            struct pollfd real = {.fd = c->fd, .events = POLLIN};
            struct timespec wait = {.tv_sec = timeout_ms / 1000,
                                    .tv_nsec = timeout_ms % 1000 * 1000000L};
            int result = ppoll(&real, 1, timeout_ms < 0 ? NULL : &wait, NULL);
            pfd->revents = real.revents;
            return result;
        }
    } else if (step != TURN_START && (step == TURN_HEADER || !turn_next(turn))) {
        /* no request for this thread; or civetweb wants more of a header than there is */
        errno = ECONNRESET;
        return -1;
    }
    pfd->revents = POLLIN;
    return 1;
}

ssize_t turn_receive(struct turn *turn, void *out, size_t size)
{
    struct connection *c = turn->conn;
    if (c == NULL) {
        errno = ECONNRESET;
        return -1;
    }
    if (step_of(turn) == TURN_START)
        step_set(turn, TURN_HEADER);
    size_t n = conn_deliver(c, out, size, &turn->spare);
    if (n > 0)
        return (ssize_t)n;
    ssize_t received = recvfrom(c->fd, out, size, MSG_DONTWAIT, NULL, NULL);
    if (received > 0 && !c->opaque)
        c->unread -= (uint64_t)received < c->unread ? (uint64_t)received : c->unread;
    return received;
}

ssize_t turn_send(struct turn *turn, const void *bytes, size_t size)
{
    if (turn->conn == NULL) {
        errno = ECONNRESET;
        return -1;
    }
    return sendto(turn->conn->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
}
