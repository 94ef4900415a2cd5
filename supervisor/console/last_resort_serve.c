/* SPDX-License-Identifier: MIT */
#include "supervisor/console/last_resort_serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http/framing.h"
#include "common/log.h"
#include "supervisor/console/last_resort.h"
#include "supervisor/console/last_resort_answer.h"

#define HEAD_MAX         16384          /* as at the workers' door */
#define FIRST_BYTE_NS    NS_PER_S       /* who asks nothing holds a place so long */
#define HEAD_NS          (5 * NS_PER_S) /* from accept to the end of the head */
#define DISCARD_NS       (2 * NS_PER_S) /* what comes after the answer is thrown away … */
#define CROWDED_NS       NS_PER_S       /* instead of both while every place is taken */
#define DISCARD_MAX      (UINT64_C(16) << 20)
#define DISCARD_CHUNK    65536
#define NO_DESCRIPTOR_NS (50 * NS_PER_MS)
#define EVENTS           32
#define KEY_SIGNAL       UINT64_MAX
#define KEY_LISTENER     UINT64_C(1000) /* + index; below it guests */

enum guest_state {
    GUEST_NONE,
    GUEST_ASKING,  /* its head is not whole */
    GUEST_LEAVING, /* answered and shut; what it still sends would turn our close into a reset */
};

struct guest {
    enum guest_state state;
    int fd;
    uint32_t length, scanned; /* of head: received, framed */
    uint64_t since_ns;        /* in this state */
    uint64_t first_byte_ns;   /* 0: nothing came */
    uint64_t unread;          /* LEAVING: bytes it may still send */
    char head[HEAD_MAX];
};

static struct {
    struct child *child;
    struct last_resort resort;
    struct board board; /* as of the last look */
    int epoll_fd;
    unsigned listeners;
    bool listening, left;
    uint64_t quiet_until_ns; /* no descriptor was left */
    unsigned guests;
    struct guest guest[LAST_RESORT_GUESTS];
    /* what the log and the events tell */
    bool active;
    uint64_t began_ns, line_ns, answered, answered_before;
} self;

static struct slot_metrics *numbers(void)
{
    return &self.child->slot->metrics;
}

/* ---- the listeners ------------------------------------------------------------------------- */

static void listen_all(bool on)
{
    if (on == self.listening)
        return;
    self.listening = on;
    for (unsigned i = 0; i < self.listeners; i++) {
        /* EXCLUSIVE: workers that come back are woken in turn, not all for one connection */
        struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                    .data.u64 = KEY_LISTENER + i};
        epoll_ctl(self.epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
                  CHILD_FD_LISTENERS + 1 + (int)i, &event);
    }
}

/* The board is large and looked at twenty times a second: the word on it first, which says in one
 * load that all is well. A word never written reads as healthy. */
static bool decide(uint64_t now_ns)
{
    const struct board_words *words = &self.child->region->board.words;
    bool stopping = self.left || atomic_load(&words->order[0]) == ORDER_STOP;
    if (atomic_load(&words->health) != HEALTH_FAILING) {
        last_resort_init(&self.resort, now_ns);
        return false;
    }
    bool readable = region_read_board(self.child->region, &self.board);
    return last_resort_decide(&self.resort, readable ? &self.board : NULL, stopping, now_ns);
}

static void tell(bool active, uint64_t now_ns)
{
    char cause[LAST_RESORT_CAUSE_SIZE];
    if (active == self.active)
        return;
    self.active = active;
    if (active) {
        self.began_ns = now_ns;
        self.answered_before = self.answered;
        last_resort_cause(&self.board, cause);
        child_report(self.child, EVENT_LAST_RESORT_BEGAN, "no worker can serve: %.100s", cause);
    } else {
        child_report(self.child, EVENT_LAST_RESORT_ENDED, "%llu requests answered here in %.1f s",
                     (unsigned long long)(self.answered - self.answered_before),
                     (double)(now_ns - self.began_ns) / (double)NS_PER_S);
    }
}

/* Once a second, however many were answered. */
static void write_line(uint64_t now_ns)
{
    static uint64_t told;
    if (self.answered == told || now_ns - self.line_ns < NS_PER_S)
        return;
    log_event(LOG_WARNING, "last_resort",
              LOG_FIELDS(log_number("answered", (int64_t)(self.answered - told)),
                         log_text("reason", "no_workers")),
              "%llu requests were answered for workers that are not there",
              (unsigned long long)(self.answered - told));
    told = self.answered;
    self.line_ns = now_ns;
}

/* ---- a guest ------------------------------------------------------------------------------- */

static void let_go(struct guest *guest)
{
    close(guest->fd);
    guest->state = GUEST_NONE;
    self.guests--;
}

static void count(const struct guest *guest, const struct last_resort_answer *answer,
                  unsigned attempt, uint64_t now_ns)
{
    struct slot_metrics *n = numbers();
    enum request_class class = endpoint_class(answer->endpoint);
    self.answered++;
    counter_increment(&n->http_requests[answer->endpoint][status_index(answer->status)]);
    counter_increment(&n->http_attempts[attempt < ATTEMPT_MORE ? attempt : ATTEMPT_MORE][0]);
    if (answer->refused)
        counter_increment(&n->refused[class][REFUSAL_NO_WORKERS]);
    if (answer->status != 408 && guest->first_byte_ns)
        histogram_record(&n->http_request_duration[class],
                         (now_ns - guest->first_byte_ns) / NS_PER_US);
}

/* The answer goes into an empty send buffer: what does not fit nobody reads. */
static void send_and_leave(struct guest *guest, const struct last_resort_answer *answer,
                           uint64_t unread, uint64_t now_ns)
{
    ssize_t sent = send(guest->fd, answer->bytes, answer->length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != (ssize_t)answer->length || unread == 0) {
        let_go(guest);
        return;
    }
    shutdown(guest->fd, SHUT_WR);
    guest->state = GUEST_LEAVING;
    guest->since_ns = now_ns;
    guest->unread = unread < DISCARD_MAX ? unread : DISCARD_MAX;
}

static void turn_away(struct guest *guest, unsigned status, uint64_t now_ns)
{
    struct last_resort_answer answer;
    last_resort_turn_away(status, &answer);
    count(guest, &answer, 0, now_ns);
    send_and_leave(guest, &answer, DISCARD_MAX, now_ns);
}

/* What the client may still send of this request, once its head is answered. */
static uint64_t unread_of(const struct guest *guest, enum framing framing,
                          const struct frame *frame)
{
    uint64_t whole = frame->header_length + frame->content_length;
    if (framing == FRAMING_OPAQUE || guest->length > whole)
        return DISCARD_MAX;
    return whole - guest->length;
}

static void answer_guest(struct guest *guest, enum framing framing, const struct frame *frame,
                         uint64_t now_ns)
{
    struct last_resort_answer answer;
    char cause[LAST_RESORT_CAUSE_SIZE];
    uint64_t random = 0;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK); /* without it all come back at once */
    last_resort_cause(&self.board, cause);
    last_resort_answer(self.child->region, cause, guest->head,
                       frame->header_length ? frame->header_length : guest->length, random,
                       &answer);
    count(guest, &answer, frame->attempt, now_ns);
    send_and_leave(guest, &answer, unread_of(guest, framing, frame), now_ns);
}

/* When its first bytes came: it may have waited in the kernel's queue since. */
static uint64_t first_byte_ns(int fd, uint64_t now_ns)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return now_ns;
    uint64_t waited_ns = info.tcpi_last_data_recv * NS_PER_MS;
    return waited_ns < now_ns ? now_ns - waited_ns : now_ns;
}

static void listen_to(struct guest *guest, uint64_t now_ns)
{
    struct frame frame = {0};
    ssize_t n = recv(guest->fd, guest->head + guest->length, sizeof guest->head - guest->length,
                     MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        let_go(guest);
        return;
    }
    if (guest->length == 0)
        guest->first_byte_ns = first_byte_ns(guest->fd, now_ns);
    guest->length += (uint32_t)n;
    enum framing framing = frame_request(guest->head, guest->length, &guest->scanned, &frame);
    if (framing != FRAMING_INCOMPLETE)
        answer_guest(guest, framing, &frame, now_ns);
    else if (guest->length == sizeof guest->head)
        turn_away(guest, 431, now_ns);
}

static void discard(struct guest *guest)
{
    static char bin[DISCARD_CHUNK];
    ssize_t n = recv(guest->fd, bin, sizeof bin, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    guest->unread -= n > 0 && (uint64_t)n < guest->unread ? (uint64_t)n : guest->unread;
    if (n <= 0 || guest->unread == 0)
        let_go(guest);
}

static void handle_guest(struct guest *guest, uint64_t now_ns)
{
    if (guest->state == GUEST_ASKING)
        listen_to(guest, now_ns);
    else if (guest->state == GUEST_LEAVING)
        discard(guest);
}

static void expire(uint64_t now_ns)
{
    bool crowded = self.guests == LAST_RESORT_GUESTS;
    for (unsigned i = 0; i < LAST_RESORT_GUESTS && self.guests > 0; i++) {
        struct guest *guest = &self.guest[i];
        uint64_t age_ns = now_ns - guest->since_ns;
        bool silent = guest->state == GUEST_ASKING && guest->length == 0;
        if ((guest->state == GUEST_LEAVING && age_ns > (crowded ? CROWDED_NS : DISCARD_NS)) ||
            (silent && age_ns > FIRST_BYTE_NS))
            let_go(guest);
        else if (guest->state == GUEST_ASKING && age_ns > (crowded ? CROWDED_NS : HEAD_NS))
            turn_away(guest, 408, now_ns);
    }
}

/* ---- new ones ------------------------------------------------------------------------------ */

static void welcome(int fd, uint64_t now_ns)
{
    unsigned i = 0;
    while (self.guest[i].state != GUEST_NONE)
        i++;
    struct guest *guest = &self.guest[i];
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
    guest->state = GUEST_ASKING;
    guest->fd = fd;
    guest->length = guest->scanned = 0;
    guest->since_ns = now_ns;
    guest->first_byte_ns = guest->unread = 0;
    self.guests++;
    counter_increment(&numbers()->accepts[0][0]);
    if (epoll_ctl(self.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        let_go(guest);
    else
        listen_to(guest, now_ns);
}

/* One at a time, and each time the question whether it is still ours to answer. Whoever is answered
 * at once takes no place, so the turn has an end of its own: clients that come again and again must
 * not keep the thread from its heartbeat and the silent ones from their end. */
static void accept_some(unsigned listener, uint64_t now_ns)
{
    for (unsigned n = 0; n < LAST_RESORT_GUESTS; n++) {
        if (!self.listening || self.guests == LAST_RESORT_GUESTS || !decide(now_ns))
            return;
        int fd = accept4(CHILD_FD_LISTENERS + 1 + (int)listener, NULL, NULL,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
                self.quiet_until_ns = now_ns + NO_DESCRIPTOR_NS;
            return;
        }
        welcome(fd, now_ns);
    }
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void adjust(uint64_t now_ns)
{
    bool active = decide(now_ns);
    tell(active, now_ns);
    listen_all(active && self.guests < LAST_RESORT_GUESTS && now_ns >= self.quiet_until_ns);
}

void last_resort_step(int limit_ms)
{
    struct epoll_event events[EVENTS];
    adjust(clock_now_ns());
    int n = epoll_wait(self.epoll_fd, events, EVENTS, limit_ms);
    uint64_t now_ns = clock_now_ns();
    for (int i = 0; i < n; i++) {
        uint64_t key = events[i].data.u64;
        if (key < LAST_RESORT_GUESTS)
            handle_guest(&self.guest[key], now_ns);
        else if (key != KEY_SIGNAL)
            accept_some((unsigned)(key - KEY_LISTENER), now_ns);
    }
    expire(now_ns);
    write_line(now_ns);
    adjust(now_ns);
}

void last_resort_leave(void)
{
    self.left = true;
    adjust(clock_now_ns());
}

unsigned last_resort_guests(void)
{
    return self.guests;
}

int last_resort_open(struct child *child)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = KEY_SIGNAL};
    uint32_t count_of_header = child->region->header.listener_count;
    self.child = child;
    self.listeners = count_of_header < LISTENERS_MAX ? count_of_header : LISTENERS_MAX;
    last_resort_init(&self.resort, clock_now_ns());
    self.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self.epoll_fd < 0 || epoll_ctl(self.epoll_fd, EPOLL_CTL_ADD, child->signal_fd, &event) != 0)
        return -errno;
    return 0;
}
