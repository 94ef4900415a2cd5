/* SPDX-License-Identifier: MIT */
/*
 * How connections come in: from the inherited listeners, which other processes share, and by hand.
 * All of it runs in the master thread.
 */
#include "common/http/door.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BACK_OFF_NS (50 * NS_PER_MS) /* no descriptor or no memory left */

static void listen_to(unsigned index, bool on)
{
    /* EXCLUSIVE: one connection wakes one process, not all */
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                .data.u64 = KEY_LISTENER + index};
    epoll_ctl(door.epoll, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, door.settings.listeners[index],
              &event);
}

static void listen_all(bool on)
{
    if (on == door.listening)
        return;
    door.listening = on;
    for (unsigned i = 0; i < door.settings.listener_count; i++)
        listen_to(i, on);
}

/* Room for one more connection; if need be *idle is the one that has been idle longest and must
 * leave for it. */
static bool has_room(struct connection **idle)
{
    pthread_mutex_lock(&door.lock);
    unsigned parked = door.list[CONN_IDLE].count + door.list[CONN_PARTIAL].count +
                      door.ready_count + door.list[CONN_READY_HEALTH].count;
    bool full = parked >= door.settings.parked_limit;
    *idle = full ? door.list[CONN_IDLE].head : NULL;
    pthread_mutex_unlock(&door.lock);
    return !full || *idle != NULL;
}

/* A table entry, if need be of a connection that only lingers. */
static struct connection *open_entry(int fd)
{
    struct connection *c = conn_open(fd);
    if (c != NULL)
        return c;
    pthread_mutex_lock(&door.lock);
    struct connection *lingering = door.list[CONN_LINGERING].head;
    pthread_mutex_unlock(&door.lock);
    if (lingering == NULL)
        return NULL;
    conn_close(lingering, &door.spare);
    return conn_open(fd);
}

static void welcome(int fd, const struct sockaddr_storage *address)
{
    struct connection *c = open_entry(fd);
    if (c == NULL) {
        close(fd);
        return;
    }
    c->address = *address;
    int on = 1;
    /* a thread waits in recv for its client's next request, with one call instead of two */
    struct timeval patience = {.tv_usec = LINGER_MS * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (address->ss_family == AF_INET || address->ss_family == AF_INET6) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    } else {
        c->looked_at = true; /* nobody kept the time of its bytes */
    }
    counter_increment(door.accepts);
    door_look(c);
}

void accept_one(unsigned index)
{
    if (!door.listening)
        return; /* stopped earlier in this batch */
    struct connection *idle;
    if (!has_room(&idle)) {
        listen_all(false);
        return;
    }
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int fd =
        accept4(door.settings.listeners[index], (struct sockaddr *)&address, &size, SOCK_CLOEXEC);
    if (fd >= 0) {
        /* the kernel wakes the first waiter in line: to the end of it, so that several processes
         * get their share */
        listen_to(index, false);
        listen_to(index, true);
        if (idle != NULL) {
            counter_increment(door.evicted);
            conn_close(idle, &door.spare);
        }
        welcome(fd, &address);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        accept_pause(clock_now_ns());
    }
}

void accept_pause(uint64_t now_ns)
{
    door.paused_until_ns = now_ns + BACK_OFF_NS;
    listen_all(false);
}

void accept_adjust(uint64_t now_ns)
{
    struct connection *idle;
    if (atomic_load(&door.draining))
        listen_all(false);
    else if (!door.listening && now_ns >= door.paused_until_ns && has_room(&idle))
        listen_all(true);
}

void accept_injected(void)
{
    int fds[sizeof door.injected / sizeof *door.injected];
    pthread_mutex_lock(&door.lock);
    unsigned count = door.injected_count;
    memcpy(fds, door.injected, sizeof fds);
    door.injected_count = 0;
    pthread_mutex_unlock(&door.lock);
    struct sockaddr_storage nobody = {.ss_family = AF_UNSPEC};
    for (unsigned i = 0; i < count; i++)
        welcome(fds[i], &nobody);
}
