/* SPDX-License-Identifier: MIT */
/*
 * Inside of the front door; nobody else includes this.
 *
 * Who owns a connection
 *   - CONN_IDLE, CONN_PARTIAL, CONN_LINGERING: the master thread. Only it reads, moves or closes
 *     them. Request threads put connections into these states and then let go of them.
 *   - CONN_READY, CONN_REFUSED: the list. Whoever takes it off, under the lock, owns it.
 *   - CONN_SERVED: the one request thread whose struct turn points to it; no lock is needed.
 * door.lock guards the lists, the counts and the table of free entries. It is held for a few
 * instructions and, where a connection changes hands, for the epoll_ctl that makes it known.
 *
 * civetweb never sees a descriptor of ours. What its accept gets is DOOR_TOKEN, a number no
 * descriptor has; poll, recv and send on the token mean "the connection this thread serves now",
 * which may be another one for each request. A call we do not define fails with EBADF and can
 * touch nothing.
 */
#ifndef BULKHEAD_DOOR_H
#define BULKHEAD_DOOR_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/codel.h"
#include "common/http/framing.h"
#include "common/http/front_door.h"

#define DOOR_TOKEN 0x40000000 /* beyond any RLIMIT_NOFILE (fs.nr_open stays far below) */

#define HEADER_LIMIT     16384u /* as civetweb's max_request_size, which it must fit in */
#define RESERVED_THREADS 4u     /* for requests of struct frame.health */
#define LINGER_MS        5      /* a thread waits this long for its connection's next request */
#define PATIENCE_NS      (2 * NS_PER_MS) /* a ready request waits this long for one of those */
#define DISCARD_LIMIT    (16u << 20)     /* bytes thrown away after an early refusal */
#define DISCARD_NS       (2 * NS_PER_S)
#define WRITE_TIMEOUT_MS 10000u      /* settings.write_timeout_ms when that is 0 */
#define HELD_LIMIT       (64u << 20) /* bytes of bodies held at the door, all connections */

enum conn_state {
    CONN_FREE,
    CONN_NEW,     /* accepted, not looked at */
    CONN_IDLE,    /* no byte of a request */
    CONN_PARTIAL, /* some bytes of a request */
    CONN_READY,   /* a request waits for a thread; in the list of its class */
    CONN_READY_HEALTH,
    CONN_REFUSED,   /* judged: the master thread is to answer it */
    CONN_SERVED,    /* has a thread */
    CONN_LINGERING, /* answered and shut; what still comes is thrown away */
    CONN_STATES,
};

struct connection {
    /* what a thread touches for every request */
    _Alignas(64) int fd;
    uint8_t state;                              /* enum conn_state */
    bool opaque;                                /* framing is not known: nothing may follow */
    bool linger;                                /* asked for: let the client finish sending */
    bool reset;                                 /* asked for: close at once, whatever waits */
    bool watched;                               /* in the epoll set, perhaps disarmed */
    bool looked_at;                             /* bytes were read from it before */
    bool in_hand;                               /* its request is counted in *door.open_requests */
    uint8_t class;                              /* READY: of its request; else CLASS_COUNT */
    uint8_t endpoint;                           /* READY: as far as the door knows */
    uint8_t verdict;                            /* REFUSED: enum overload_verdict */
    uint32_t scanned, length, offset, capacity; /* of buffer: framed, received, handed on, size */
    char *buffer;                               /* NULL when no byte waits */
    struct frame frame;
    uint64_t unread; /* of this request, not yet handed on; LINGERING: bytes left to discard */
    /* the rest */
    uint64_t first_byte_ns, admitted_ns, requests;
    uint64_t since_ns; /* in this state */
    struct connection *next, *prev;
    uint32_t generation;
    struct sockaddr_storage address;
};

struct conn_list {
    struct connection *head, *tail;
    unsigned count;
};

/* What a request thread is doing. */
enum turn_step {
    TURN_NONE,    /* serves no connection */
    TURN_START,   /* a request is there, civetweb has not read it */
    TURN_HEADER,  /* civetweb has read it and parses */
    TURN_REQUEST, /* between begin_request and end_request */
    TURN_BETWEEN, /* answered */
};

struct turn {
    _Alignas(64) struct connection *conn;
    _Atomic unsigned step; /* enum turn_step; written by its thread, read by front_door_busy */
    unsigned index;
    bool reserved;       /* got its connection out of the reserve */
    bool pending;        /* leased for a ready request, has not taken one yet */
    uint64_t blocked_ns; /* this response waited for its reader */
    char *spare;         /* a buffer of HEADER_LIMIT bytes, or NULL */
};

struct door {
    struct front_door_settings settings;
    struct mg_callbacks user;
    _Atomic int adopted; /* civetweb's listening socket; -1 none */
    _Atomic bool draining;
    _Atomic uint64_t waiting_since_ns; /* the longest waiting ready request; 0 none */
    _Atomic unsigned open;
    _Atomic unsigned thread_count; /* started */
    int epoll, wake;
    struct turn *turns;
    char *spare; /* the master's */
    uint64_t drain_ns, grace_ns;
    uint64_t paused_until_ns; /* no descriptor or memory was left: accept again then */
    bool listening;           /* listeners are in the epoll set */

    pthread_mutex_t lock;
    struct connection *table;
    uint32_t table_size;
    struct conn_list list[CONN_STATES];  /* CONN_FREE and the waiting states but CONN_READY */
    struct conn_list ready[CLASS_COUNT]; /* CONN_READY, longest waiting first */
    unsigned ready_count;
    struct codel codel[CLASS_COUNT];
    unsigned leases; /* threads civetweb gave out */
    unsigned leases_pending;
    unsigned normal_serving, normal_limit;
    uint64_t held_bytes; /* of buffers beyond HEADER_LIMIT */
    int injected[16];
    unsigned injected_count;
    bool running;
    /* shed.c; the master's but for service_ns */
    _Atomic uint64_t service_ns[CLASS_COUNT]; /* mean; 0 unknown */
    uint64_t looked_ns, line_ns, refused, random;
    _Atomic uint64_t nowhere; /* counts without metrics */
    _Atomic int64_t no_gauge;
    _Atomic uint64_t *accepts, *evicted, *returned, *open_requests;
    _Atomic int64_t *parked;
};

extern struct door door;
extern _Thread_local struct turn *door_turn; /* of a request thread; NULL elsewhere */

/* ---- connection.c: the table, and what a connection holds -------------------------------- */

enum look { LOOK_NOTHING, LOOK_PARTIAL, LOOK_COMPLETE, LOOK_TOO_LARGE, LOOK_NO_PATH };

/* A table entry for an accepted descriptor; NULL when all are in use. */
struct connection *conn_open(int fd);

/* Close for good. The caller owns it. */
void conn_close(struct connection *c, char **spare);

/* Receive once into the buffer, flags for recv(2). As recv: 0 end, −1 with errno. */
ssize_t conn_receive(struct connection *c, int flags, char **spare);

/* What has been received of the request. A complete one is in hand from then on. */
enum look conn_look(struct connection *c);

/* The request in hand enters and leaves *door.open_requests, which is all that tells of it when
 * this process is killed. It leaves once its answer has been counted, or when its connection ends.
 * Called by the connection's owner; twice does no harm. */
void conn_count_in(struct connection *c);
void conn_count_out(struct connection *c);

/* Drop the request that was answered without a thread. False when it is not here as a whole: then
 * nobody knows where the next one begins. */
bool conn_skip(struct connection *c);

/* Forget the request that was served; bytes of the next one move to the front. */
void conn_next(struct connection *c, char **spare);

/* Hand received bytes of this request on; 0 when none are left here. */
size_t conn_deliver(struct connection *c, char *out, size_t size, char **spare);

/* Move into a state and its list, under the lock. IDLE, PARTIAL, LINGERING: also watch it; from
 * then on it is the master's. False when it could not be watched: the caller still owns it. */
bool conn_move(struct connection *c, enum conn_state state, uint64_t now_ns);

/* Shut our side, throw away what the client still sends, then close. */
void conn_linger(struct connection *c, char **spare);

/* Answer without a thread, count it as malformed, then linger. status: 400, 408 or 431. */
void conn_refuse(struct connection *c, unsigned status, char **spare);

/* Threads that could take a ready request now; under the lock. */
unsigned door_takeable(void);

/* ---- turn.c: a request thread ------------------------------------------------------------- */

/* A request for this thread is there, from its own connection or another one. False: none. */
bool turn_next(struct turn *turn);

/* civetweb begins, ends, and has ended what it takes for a connection. */
void turn_attach(struct turn *turn);
void turn_close(struct turn *turn);
void turn_release(struct turn *turn);

/* poll, recv and send on DOOR_TOKEN; results and errno as theirs. */
int turn_poll(struct turn *turn, struct pollfd *pfd, int timeout_ms);
ssize_t turn_receive(struct turn *turn, void *out, size_t size);
ssize_t turn_send(struct turn *turn, const void *bytes, size_t size);

/* ---- shed.c: who is served next, and who not at all ------------------------------------------ */

/* Name the class of the request that is about to be READY. */
void shed_classify(struct connection *c);

/* The ready request to serve next, still in its list; NULL when none is left. Under the lock. Those
 * it finds hopeless become REFUSED; *refused is set then: wake the master. */
struct connection *shed_choose(uint64_t now_ns, bool *refused);

/* A list of ready requests was empty or is now. Under the lock. */
void shed_note_empty(unsigned class, uint64_t now_ns);

/* A thread has answered a request that came from the list. */
void shed_served(const struct connection *c);

/* The master's look at those that wait: refuse who must be. Returns when to look again. */
uint64_t shed_look(uint64_t now_ns);

/* ---- accept.c: the master thread's way to new connections ---------------------------------- */

/* Accept one connection, when that listener has one and there is room. */
void accept_one(unsigned listener_index);

/* Listen or not, as drain, room and descriptors allow. */
void accept_adjust(uint64_t now_ns);

/* Accept nothing for a moment: what is accepted now could only be closed. */
void accept_pause(uint64_t now_ns);

/* Take in what front_door_inject handed over. */
void accept_injected(void);

/* ---- door.c: civetweb's master thread ----------------------------------------------------- */

/* Keys of the epoll set beyond the table's indices. */
#define KEY_WAKE     UINT64_MAX
#define KEY_LISTENER (UINT64_MAX - LISTENERS_MAX) /* + index */

/* Put a connection where what is in its buffer belongs; its first bytes came at c->first_byte_ns.
 */
void door_place(struct connection *c, uint64_t now_ns);

/* Bytes may have come. Receive them and decide where the connection belongs now. */
void door_look(struct connection *c);

/* poll(2) on civetweb's listening socket: POLLIN when a request waits and a thread is free.
 * Returns at the latest after 200 ms, so that civetweb sees its stop flag. */
int door_poll(struct pollfd *adopted, int timeout_ms);

/* civetweb's accept: one thread is given out. */
void door_lease(void);

/* Make the loop look again. */
void door_wake(void);

/* Begin and end; 0 or negative errno. */
int door_open(const struct front_door_settings *settings);
void door_close(void);

/* ---- interpose.c --------------------------------------------------------------------------- */

/* This thread's first bind is the placeholder's, and it may use the socket: the thread that starts
 * civetweb, for so long, and the master thread. */
void interpose_for_this_thread(bool on);

#endif
