/* SPDX-License-Identifier: MIT */
/*
 * One connection: its entry in the table, the bytes received ahead of civetweb, and the lists.
 * Bytes are received here and handed to civetweb one request at a time, so its own buffer is empty
 * between requests and a connection can leave a thread at any request's end.
 */
#include "common/http/door.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/check.h"
#include "common/uuid7.h"

/* ---- buffers ----------------------------------------------------------------------------- */

static bool buffer_take(struct connection *c, char **spare)
{
    c->buffer = *spare != NULL ? *spare : malloc(HEADER_LIMIT);
    *spare = NULL;
    c->capacity = HEADER_LIMIT;
    c->length = c->offset = c->scanned = 0;
    return c->buffer != NULL;
}

/* Bytes held beyond what every connection may have; false when that is too much in all. */
static bool held_change(uint64_t from, uint64_t to)
{
    from = from > HEADER_LIMIT ? from : 0;
    pthread_mutex_lock(&door.lock);
    bool room = to <= from || door.held_bytes + to - from <= HELD_LIMIT;
    if (room)
        door.held_bytes += to - from;
    pthread_mutex_unlock(&door.lock);
    return room;
}

static void buffer_drop(struct connection *c, char **spare)
{
    if (c->capacity > HEADER_LIMIT) {
        held_change(c->capacity, 0);
        free(c->buffer);
    } else if (*spare == NULL) {
        *spare = c->buffer;
    } else {
        free(c->buffer);
    }
    c->buffer = NULL;
    c->length = c->offset = c->capacity = c->scanned = 0;
}

/* Room for a whole request; false when so much is held already that a thread shall read it. */
static bool buffer_grow(struct connection *c, size_t total)
{
    if (total <= c->capacity)
        return true;
    if (!held_change(c->capacity, total))
        return false;
    char *larger = realloc(c->buffer, total);
    if (larger == NULL) {
        held_change(total, c->capacity > HEADER_LIMIT ? c->capacity : 0);
        return false;
    }
    c->buffer = larger;
    c->capacity = (uint32_t)total;
    return true;
}

ssize_t conn_receive(struct connection *c, int flags, char **spare)
{
    if (c->buffer == NULL && !buffer_take(c, spare)) {
        errno = ENOBUFS;
        return -1;
    }
    ssize_t n = recvfrom(c->fd, c->buffer + c->length, c->capacity - c->length, flags, NULL, NULL);
    if (n > 0) {
        c->length += (uint32_t)n;
    } else if (c->length == 0) {
        int error = errno;
        buffer_drop(c, spare);
        errno = error;
    }
    return n;
}

static size_t request_end(const struct connection *c)
{
    uint64_t end = c->frame.header_length + c->frame.content_length;
    return c->opaque || end > c->length ? c->length : (size_t)end;
}

void conn_count_in(struct connection *c)
{
    if (c->in_hand || c->address.ss_family == AF_UNSPEC)
        return;
    c->in_hand = true;
    atomic_fetch_add_explicit(door.open_requests, 1, memory_order_relaxed);
}

void conn_count_out(struct connection *c)
{
    if (!c->in_hand)
        return;
    c->in_hand = false;
    atomic_fetch_sub_explicit(door.open_requests, 1, memory_order_relaxed);
}

static enum look look_at(struct connection *c)
{
    if (c->length == 0)
        return LOOK_NOTHING;
    if (c->frame.header_length == 0) {
        enum framing framing = frame_request(c->buffer, c->length, &c->scanned, &c->frame);
        if (c->frame.no_path)
            return LOOK_NO_PATH;
        switch (framing) {
        case FRAMING_INCOMPLETE:
            return c->length < HEADER_LIMIT ? LOOK_PARTIAL : LOOK_TOO_LARGE;
        case FRAMING_OPAQUE:
            c->opaque = true;
            c->unread = 0;
            return LOOK_COMPLETE;
        case FRAMING_EXACT:
            break;
        }
        if (c->frame.header_length > HEADER_LIMIT)
            return LOOK_TOO_LARGE;
        c->unread = c->frame.header_length + c->frame.content_length;
    }
    if (c->length >= c->unread || c->frame.expects ||
        c->frame.content_length > door.settings.first_byte_limit_bytes)
        return LOOK_COMPLETE;
    return buffer_grow(c, (size_t)c->unread) ? LOOK_PARTIAL : LOOK_COMPLETE;
}

enum look conn_look(struct connection *c)
{
    enum look look = look_at(c);
    if (look == LOOK_COMPLETE)
        conn_count_in(c);
    return look;
}

bool conn_skip(struct connection *c)
{
    if (c->opaque || c->buffer == NULL || request_end(c) - c->offset < c->unread)
        return false;
    c->offset = (uint32_t)request_end(c);
    return true;
}

void conn_next(struct connection *c, char **spare)
{
    conn_count_out(c);
    c->class = CLASS_COUNT;
    size_t rest = c->length - c->offset;
    c->frame = (struct frame){0};
    c->unread = 0;
    c->scanned = 0;
    if (c->buffer == NULL)
        return;
    if (rest == 0) {
        buffer_drop(c, spare);
        return;
    }
    memmove(c->buffer, c->buffer + c->offset, rest);
    c->length = (uint32_t)rest;
    c->offset = 0;
}

size_t conn_deliver(struct connection *c, char *out, size_t size, char **spare)
{
    if (c->buffer == NULL)
        return 0;
    size_t here = request_end(c) - c->offset;
    size_t n = size < here ? size : here;
    memcpy(out, c->buffer + c->offset, n);
    c->offset += (uint32_t)n;
    c->unread -= c->opaque ? 0 : n;
    if (c->offset == c->length)
        buffer_drop(c, spare);
    return n;
}

/* ---- table and lists --------------------------------------------------------------------- */

static void list_append(struct conn_list *list, struct connection *c)
{
    c->prev = list->tail;
    c->next = NULL;
    if (list->tail != NULL)
        list->tail->next = c;
    else
        list->head = c;
    list->tail = c;
    list->count++;
}

static void list_remove(struct conn_list *list, struct connection *c)
{
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        list->head = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    else
        list->tail = c->prev;
    c->next = c->prev = NULL;
    list->count--;
}

static bool has_list(unsigned state)
{
    return state != CONN_NEW && state != CONN_SERVED;
}

static struct conn_list *list_of(const struct connection *c, unsigned state)
{
    return state == CONN_READY ? &door.ready[c->class] : &door.list[state];
}

static bool is_parked(unsigned state)
{
    return state == CONN_IDLE || state == CONN_PARTIAL || state == CONN_READY ||
           state == CONN_READY_HEALTH;
}

static void note_waiting(void)
{
    const struct connection *health = door.list[CONN_READY_HEALTH].head;
    uint64_t since = health != NULL ? health->since_ns : 0;
    for (unsigned class = 0; door.ready_count > 0 && class < CLASS_COUNT; class ++) {
        const struct connection *first = door.ready[class].head;
        if (first != NULL && (since == 0 || first->since_ns < since))
            since = first->since_ns;
    }
    /* seq_cst: a thread that ends its lease and the master that looks for one must not both miss
     * the other's step */
    atomic_store(&door.waiting_since_ns, since);
}

static bool watch(struct connection *c)
{
    uint64_t key = (uint64_t)c->generation << 32 | (uint64_t)(c - door.table);
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.u64 = key};
    if (epoll_ctl(door.epoll, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event) != 0)
        return false;
    c->watched = true;
    return true;
}

static void set_state(struct connection *c, enum conn_state state, uint64_t now_ns)
{
    unsigned before = c->state;
    if (has_list(before))
        list_remove(list_of(c, before), c);
    if (state == CONN_READY && list_of(c, state)->count == 0)
        shed_note_empty(c->class, now_ns);
    if (has_list(state))
        list_append(list_of(c, state), c);
    if (before == CONN_READY)
        door.ready_count--;
    if (state == CONN_READY)
        door.ready_count++;
    if (is_parked(before) != is_parked(state))
        atomic_fetch_add_explicit(door.parked, is_parked(state) ? 1 : -1, memory_order_relaxed);
    c->state = (uint8_t)state;
    c->since_ns = now_ns;
    bool ready_before = before == CONN_READY || before == CONN_READY_HEALTH;
    if (ready_before || state == CONN_READY || state == CONN_READY_HEALTH)
        note_waiting();
}

bool conn_move(struct connection *c, enum conn_state state, uint64_t now_ns)
{
    bool watching = state == CONN_IDLE || state == CONN_PARTIAL || state == CONN_LINGERING;
    if (watching && !watch(c))
        return false;
    if (state == c->state) /* its time in this state goes on */
        return true;
    set_state(c, state, now_ns);
    return true;
}

struct connection *conn_open(int fd)
{
    pthread_mutex_lock(&door.lock);
    struct connection *c = door.list[CONN_FREE].head;
    if (c != NULL) {
        list_remove(&door.list[CONN_FREE], c);
        uint32_t generation = c->generation + 1;
        *c = (struct connection){
            .fd = fd, .generation = generation, .state = CONN_NEW, .class = CLASS_COUNT};
        atomic_fetch_add_explicit(&door.open, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&door.lock);
    return c;
}

void conn_close(struct connection *c, char **spare)
{
    conn_count_out(c);
    if (c->buffer != NULL)
        buffer_drop(c, spare);
    close(c->fd);
    pthread_mutex_lock(&door.lock);
    if (c->state != CONN_LINGERING)
        atomic_fetch_sub_explicit(&door.open, 1, memory_order_relaxed);
    set_state(c, CONN_FREE, 0);
    pthread_mutex_unlock(&door.lock);
}

void conn_linger(struct connection *c, char **spare)
{
    conn_count_out(c);
    if (c->buffer != NULL)
        buffer_drop(c, spare);
    shutdown(c->fd, SHUT_WR);
    c->unread = DISCARD_LIMIT;
    pthread_mutex_lock(&door.lock);
    bool moved = conn_move(c, CONN_LINGERING, clock_now_ns());
    if (moved)
        atomic_fetch_sub_explicit(&door.open, 1, memory_order_relaxed);
    pthread_mutex_unlock(&door.lock);
    if (!moved)
        conn_close(c, spare);
}

void conn_refuse(struct connection *c, unsigned status, char **spare)
{
    static const struct {
        unsigned status;
        const char *problem, *title, *detail;
    } refusals[] = {
        {400, "malformed-request", "Malformed request", "The target is not a path of this server."},
        {408, "request-timeout", "Request timeout",
         "The request did not arrive completely in time."},
        {431, "too-many-headers", "Request header fields too large",
         "The header is larger than 16 KiB."},
    };
    size_t which = 0;
    while (refusals[which].status != status)
        CHECK(++which < sizeof refusals / sizeof *refusals);
    char id[UUID_TEXT_SIZE], body[320], answer[640];
    uuid7_make(id); /* the client's own may be in the part that did not come */
    int size = snprintf(body, sizeof body,
                        "{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%u,"
                        "\"detail\":\"%s\",\"instance\":\"%s\"}\n",
                        refusals[which].problem, refusals[which].title, status,
                        refusals[which].detail, id);
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\n"
                     "Content-Length: %d\r\nX-Request-Id: %s\r\nCache-Control: no-store\r\n"
                     "Connection: close\r\n\r\n%s",
                     status, refusals[which].title, size, id, body);
    CHECK(n > 0 && (size_t)n < sizeof answer);
    /* a few hundred bytes into an empty send buffer: if they do not fit nobody reads them */
    (void)!sendto(c->fd, answer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
    counter_increment(door.evicted);
    if (door.settings.metrics != NULL)
        counter_increment(
            &door.settings.metrics->http_requests[ENDPOINT_MALFORMED][status_index(status)]);
    conn_linger(c, spare);
}

unsigned door_takeable(void)
{
    unsigned room = door.normal_limit - door.normal_serving;
    unsigned normal = door.ready_count;
    return door.list[CONN_READY_HEALTH].count + (normal < room ? normal : room);
}
