/* SPDX-License-Identifier: MIT */
/*
 * Overload at the door: the class of a request that waits, which one is served next, and the
 * refusal of those that are not. The decisions are overload.h's and codel.h's; this file has the
 * lists and the canned answer. A refusal takes no thread, no memory and no log line of its own.
 *
 * Anybody may find a waiting request hopeless and move it to REFUSED, under the lock. Only the
 * master thread answers those.
 */
#include "common/http/door.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/check.h"
#include "common/deadline.h"
#include "common/ewma.h"
#include "common/log.h"
#include "common/overload.h"
#include "common/request_id.h"
#include "common/traceparent.h"
#include "common/uuid7.h"

#define LOOK_NS        (5 * NS_PER_MS) /* between two looks at those that wait */
#define LOOK_MOST      1024u           /* of a class, at once */
#define ADVERTISE_LESS 5u              /* seconds: Keep-Alive is told so much shorter */

/* ---- class --------------------------------------------------------------------------------- */

void shed_classify(struct connection *c)
{
    const struct front_door_settings *settings = &door.settings;
    c->class = CLASS_OTHER;
    c->endpoint = ENDPOINT_UNMATCHED;
    size_t length = c->buffer != NULL ? c->frame.header_length : 0;
    const char *method = c->buffer, *end = c->buffer + length;
    const char *path = length > 0 ? memchr(method, ' ', length) : NULL;
    if (path == NULL)
        return;
    size_t method_length = (size_t)(path++ - method);
    if (end - path > 4 && memcmp(path, "/v1/", 4) == 0)
        path += 3;
    for (unsigned i = 0; i < settings->route_count; i++) {
        const struct front_door_route *route = &settings->routes[i];
        size_t n = strlen(route->path);
        if (route->method != NULL && (strlen(route->method) != method_length ||
                                      memcmp(route->method, method, method_length) != 0))
            continue;
        if ((size_t)(end - path) >= n && memcmp(path, route->path, n) == 0) {
            c->endpoint = (uint8_t)route->endpoint;
            c->class = (uint8_t)endpoint_class(route->endpoint);
            return;
        }
    }
}

/* A 404 or a probe costs no more than its refusal: those classes are served in order, always. */
static bool can_be_overloaded(unsigned class)
{
    return door.settings.class_ns[class] > 0 && class != CLASS_HEALTH && class != CLASS_OTHER;
}

static bool is_watched(unsigned class)
{
    return door.settings.newest_first && can_be_overloaded(class);
}

void shed_served(const struct connection *c)
{
    if (c->class >= CLASS_COUNT)
        return;
    /* two threads at once may lose a value; the mean survives it */
    _Atomic uint64_t *mean = &door.service_ns[c->class];
    uint64_t before = atomic_load_explicit(mean, memory_order_relaxed);
    atomic_store_explicit(mean, ewma_add(before, clock_now_ns() - c->admitted_ns),
                          memory_order_relaxed);
}

/* ---- judging, under the lock --------------------------------------------------------------- */

static bool any_overloaded(void)
{
    bool any = false;
    for (unsigned class = 0; class < CLASS_COUNT; class ++)
        any |= door.codel[class].overloaded;
    return any;
}

static enum overload_verdict judge(const struct connection *c, bool any, uint64_t now_ns)
{
    uint64_t class_ns = door.settings.class_ns[c->class];
    uint64_t deadline_ns =
        deadline_from(c->first_byte_ns, class_ns / NS_PER_MS, c->frame.timeout_ms);
    struct overload_view view = {
        .shed = door.settings.shed && can_be_overloaded(c->class),
        .class_overloaded = door.codel[c->class].overloaded,
        .any_overloaded = any,
        .retry = c->frame.attempt > 0,
        .login = c->class == CLASS_AUTH,
        .waited_ns = deadline_left_ns(now_ns, c->since_ns),
        .left_ns = deadline_left_ns(deadline_ns, now_ns),
        .service_ns = atomic_load_explicit(&door.service_ns[c->class], memory_order_relaxed),
        .class_ns = class_ns,
    };
    return overload_judge(&view);
}

void shed_note_empty(unsigned class, uint64_t now_ns)
{
    if (is_watched(class))
        codel_note(&door.codel[class], 0, now_ns);
}

static void refuse(struct connection *c, enum overload_verdict verdict, uint64_t now_ns)
{
    c->verdict = (uint8_t)verdict;
    conn_move(c, CONN_REFUSED, now_ns);
}

/* Of the class whose oldest request has waited longest, the oldest; the newest when the class is
 * overloaded. */
static struct connection *next_in_line(void)
{
    const struct conn_list *list = NULL;
    for (unsigned class = 0; class < CLASS_COUNT; class ++) {
        const struct conn_list *other = &door.ready[class];
        if (other->head != NULL && (list == NULL || other->head->since_ns < list->head->since_ns))
            list = other;
    }
    if (list == NULL)
        return NULL;
    return door.codel[list - door.ready].overloaded ? list->tail : list->head;
}

struct connection *shed_choose(uint64_t now_ns, bool *refused)
{
    bool any = any_overloaded();
    struct connection *c;
    while ((c = next_in_line()) != NULL) {
        enum overload_verdict verdict = judge(c, any, now_ns);
        if (verdict == OVERLOAD_KEEP) {
            if (door.ready[c->class].count == 1)
                shed_note_empty(c->class, now_ns);
            break;
        }
        refuse(c, verdict, now_ns);
        *refused = true;
    }
    return c;
}

/* ---- the answer ---------------------------------------------------------------------------- */

static uint64_t draw(void)
{
    /* splitmix64, as for the ids of requests that are served */
    uint64_t z = (door.random += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* The client's own id where it is one, else a new one. */
static void take_id(const struct connection *c, char id[REQUEST_ID_SIZE])
{
    size_t n = 0;
    const char *value = frame_field(c->buffer, c->frame.header_length, "x-request-id", &n);
    if (!request_id_take(value, n, id))
        uuid7_format(id, clock_wall_ns(), draw());
}

static bool take_trace(const struct connection *c, char trace[TRACEPARENT_LENGTH + 1])
{
    size_t n = 0;
    const char *value = frame_field(c->buffer, c->frame.header_length, "traceparent", &n);
    return value != NULL && traceparent_parse(value, n, trace);
}

static bool contains(const char *text, size_t length, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= length; i++)
        if (strncasecmp(text + i, word, n) == 0)
            return true;
    return false;
}

/* As whoever serves requests decides it. */
static bool wants_keep_alive(const struct connection *c)
{
    size_t n = 0;
    const char *eol = memchr(c->buffer, '\n', c->frame.header_length);
    const char *value = frame_field(c->buffer, c->frame.header_length, "connection", &n);
    if (value != NULL)
        return contains(value, n, "keep-alive") && !contains(value, n, "close");
    return eol != NULL && contains(eol - 10 > c->buffer ? eol - 10 : c->buffer, 10, "HTTP/1.1");
}

/* False: the connection ends with the answer. */
static bool send_refusal(const struct connection *c, bool keep)
{
    char id[REQUEST_ID_SIZE], connection[64] = "Connection: close", body[480], answer[1184];
    char trace[TRACEPARENT_LENGTH + 1], header[80] = "", member[80] = "";
    unsigned retry_s = 1 + (unsigned)(draw() % 3);
    take_id(c, id);
    if (take_trace(c, trace)) {
        snprintf(header, sizeof header, "traceparent: %s\r\n", trace);
        snprintf(member, sizeof member, "\"traceparent\":\"%s\",", trace);
    }
    if (keep)
        snprintf(connection, sizeof connection, "Connection: keep-alive\r\nKeep-Alive: timeout=%u",
                 door.settings.keepalive_timeout_s - ADVERTISE_LESS);
    int size = snprintf(body, sizeof body,
                        "{\"type\":\"/problems/overloaded\",\"title\":\"Overloaded\","
                        "\"status\":503,\"detail\":\"There is more to do than can be done in time; "
                        "nothing was changed.\",\"instance\":\"%s\",%s\"retry_after_ms\":%u}\n",
                        id, member, retry_s * 1000);
    int n = snprintf(
        answer, sizeof answer,
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
        "Content-Length: %d\r\nRetry-After: %u\r\nX-Request-Id: %s\r\n"
        "%sCache-Control: no-store\r\n%s\r\n\r\n%s",
        size, retry_s, id, header, connection, strncmp(c->buffer, "HEAD ", 5) == 0 ? "" : body);
    CHECK(n > 0 && (size_t)n < sizeof answer);
    ssize_t sent = sendto(c->fd, answer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
    return keep && sent == n;
}

static void count(const struct connection *c, uint64_t now_ns)
{
    static const enum refusal reasons[] = {
        [OVERLOAD_REFUSE] = REFUSAL_OVERLOADED,
        [OVERLOAD_REFUSE_DEADLINE] = REFUSAL_DEADLINE,
        [OVERLOAD_REFUSE_RETRY] = REFUSAL_RETRY,
    };
    struct slot_metrics *numbers = door.settings.metrics;
    unsigned attempt = c->frame.attempt < ATTEMPT_MORE ? c->frame.attempt : ATTEMPT_MORE;
    door.refused++;
    if (numbers == NULL)
        return;
    uint64_t took_us = (now_ns - c->first_byte_ns) / NS_PER_US;
    counter_increment(&numbers->refused[c->class][reasons[c->verdict]]);
    counter_increment(&numbers->http_requests[c->endpoint][STATUS_503]);
    counter_increment(&numbers->http_attempts[attempt][0]);
    histogram_record(&numbers->http_request_duration[c->class], took_us);
    histogram_record(&numbers->http_queue[c->class], took_us);
}

/* The master's: it took c off the list. */
static void answer_refused(struct connection *c, uint64_t now_ns)
{
    bool whole = conn_skip(c);
    bool keep = whole && wants_keep_alive(c) && !atomic_load(&door.draining) &&
                ++c->requests < door.settings.keepalive_max_requests;
    count(c, now_ns);
    if (!send_refusal(c, keep)) {
        conn_linger(c, &door.spare);
        return;
    }
    conn_next(c, &door.spare);
    c->first_byte_ns = now_ns;
    door_place(c, now_ns);
}

static void answer_all_refused(uint64_t now_ns)
{
    for (;;) {
        pthread_mutex_lock(&door.lock);
        struct connection *c = door.list[CONN_REFUSED].head;
        if (c != NULL)
            conn_move(c, CONN_NEW, now_ns);
        pthread_mutex_unlock(&door.lock);
        if (c == NULL)
            return;
        answer_refused(c, now_ns);
    }
}

static void report(uint64_t now_ns)
{
    if (door.refused == 0 || now_ns - door.line_ns < NS_PER_S)
        return;
    log_event(LOG_WARNING, "overloaded", LOG_FIELDS(log_number("refused", (int64_t)door.refused)),
              "%llu requests were refused at the door", (unsigned long long)door.refused);
    door.refused = 0;
    door.line_ns = now_ns;
}

/* ---- the master's look --------------------------------------------------------------------- */

static void look_at_class(unsigned class, bool any, uint64_t now_ns)
{
    struct connection *c = door.ready[class].head, *next;
    if (is_watched(class) && (c != NULL || door.codel[class].overloaded))
        codel_note(&door.codel[class], c != NULL ? deadline_left_ns(now_ns, c->since_ns) : 0,
                   now_ns);
    if (!door.settings.shed || !can_be_overloaded(class))
        return;
    for (unsigned i = 0; i < LOOK_MOST && c != NULL; i++, c = next) {
        next = c->next;
        enum overload_verdict verdict = judge(c, any, now_ns);
        if (verdict != OVERLOAD_KEEP)
            refuse(c, verdict, now_ns);
    }
}

uint64_t shed_look(uint64_t now_ns)
{
    if (!door.settings.shed && !door.settings.newest_first)
        return UINT64_MAX;
    pthread_mutex_lock(&door.lock);
    bool any = any_overloaded();
    if (now_ns - door.looked_ns >= LOOK_NS) {
        for (unsigned class = 0; class < CLASS_COUNT; class ++)
            look_at_class(class, any, now_ns);
        door.looked_ns = now_ns;
    }
    bool waiting = any || door.ready_count > 0;
    bool refused = door.list[CONN_REFUSED].count > 0;
    pthread_mutex_unlock(&door.lock);
    if (refused)
        answer_all_refused(now_ns);
    report(now_ns);
    if (waiting)
        return now_ns + LOOK_NS;
    return door.refused > 0 ? door.line_ns + NS_PER_S : UINT64_MAX;
}
