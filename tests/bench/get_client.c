/* SPDX-License-Identifier: MIT */
/*
 * A closed loop of one GET on a few keep-alive connections: each sends its next request when it has
 * its answer. Measures the CPU time another process used meanwhile, its kernel time included, from
 * the process's CPU clock.
 * `get_client PORT PID CONNECTIONS SECONDS REQUEST_FILE` prints one line of JSON. Exit 1 when an
 * answer is not 200 or a connection is lost, 2 when it could not begin.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/histogram.h"

#define CONNECTIONS_MAX 64
#define ANSWER_MAX      (64 * 1024)
#define WARM_UP_NS      (50 * NS_PER_MS)
#define SILENCE_MS      5000 /* an answer that takes so long is lost */

struct connection {
    int fd;
    uint64_t sent_ns;
    size_t length, expected; /* of the answer so far; in all, 0 while its head is incomplete */
    char answer[ANSWER_MAX];
};

static struct connection connections[CONNECTIONS_MAX];
static struct histogram_sum latency_us;
static char request[16 * 1024];
static size_t request_length;

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    exit(2);
}

static void lost(const struct connection *c, const char *why)
{
    fprintf(stderr, "get_client: %s: %.*s\n", why, (int)strcspn(c->answer, "\r\n"), c->answer);
    exit(1);
}

static void open_connection(struct connection *c, unsigned port, int epoll)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(c->fd >= 0 && connect(c->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
             setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
             epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) == 0,
         "connect");
}

static void ask(struct connection *c, uint64_t now_ns)
{
    c->length = c->expected = 0;
    c->sent_ns = now_ns;
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        lost(c, "send failed");
}

/* Receive what is there; true when the answer is complete. */
static bool receive(struct connection *c)
{
    static const char ok[] = "HTTP/1.1 200 ", length_is[] = "\r\nContent-Length:";
    ssize_t n = recv(c->fd, c->answer + c->length, sizeof c->answer - 1 - c->length, 0);
    if (n <= 0)
        lost(c, n == 0 ? "connection closed" : strerror(errno));
    c->length += (size_t)n;
    c->answer[c->length] = '\0';
    const char *end = c->expected == 0 ? strstr(c->answer, "\r\n\r\n") : NULL;
    if (end != NULL) {
        const char *length = strcasestr(c->answer, length_is);
        if (strncmp(c->answer, ok, sizeof ok - 1) != 0 || length == NULL || length > end)
            lost(c, "not the answer expected");
        c->expected =
            (size_t)(end + 4 - c->answer) + strtoul(length + sizeof length_is - 1, NULL, 10);
    }
    return c->expected > 0 && c->length >= c->expected;
}

/* Answer by answer until the time is over and nothing is owed. Returns how many came. */
static uint64_t run(unsigned count, int epoll, uint64_t end_ns)
{
    uint64_t answers = 0;
    unsigned owed = count;
    for (unsigned i = 0; i < count; i++)
        ask(&connections[i], clock_now_ns());
    while (owed > 0) {
        struct epoll_event events[CONNECTIONS_MAX];
        int n = epoll_wait(epoll, events, CONNECTIONS_MAX, SILENCE_MS);
        if (n == 0 || (n < 0 && errno != EINTR))
            lost(&connections[0], "no answer");
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!receive(c))
                continue;
            uint64_t now_ns = clock_now_ns();
            histogram_sum_record(&latency_us, (now_ns - c->sent_ns) / NS_PER_US);
            answers++;
            if (now_ns < end_ns)
                ask(c, now_ns);
            else
                owed--;
        }
    }
    return answers;
}

static uint64_t cpu_ns(clockid_t clock)
{
    struct timespec t;
    must(clock_gettime(clock, &t) == 0, "the process's CPU clock");
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
    must(argc == 6, "usage: get_client PORT PID CONNECTIONS SECONDS REQUEST_FILE");
    unsigned port = (unsigned)strtoul(argv[1], NULL, 10);
    unsigned count = (unsigned)strtoul(argv[3], NULL, 10);
    uint64_t span_ns = (uint64_t)(strtod(argv[4], NULL) * (double)NS_PER_S);
    clockid_t clock;
    must(clock_getcpuclockid((pid_t)strtol(argv[2], NULL, 10), &clock) == 0, "the process");
    must(count >= 1 && count <= CONNECTIONS_MAX, "CONNECTIONS");
    FILE *file = fopen(argv[5], "r");
    must(file != NULL, argv[5]);
    request_length = fread(request, 1, sizeof request, file);
    fclose(file);

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < count; i++)
        open_connection(&connections[i], port, epoll);
    run(count, epoll, clock_now_ns() + WARM_UP_NS);
    latency_us = (struct histogram_sum){0};
    uint64_t begin_ns = clock_now_ns(), cpu_before_ns = cpu_ns(clock);
    uint64_t answers = run(count, epoll, begin_ns + span_ns);
    uint64_t used_ns = cpu_ns(clock) - cpu_before_ns, took_ns = clock_now_ns() - begin_ns;
    printf("{\"answers\":%llu,\"cpu_us\":%.3f,\"rps\":%.0f,\"p50_us\":%llu,\"p99_us\":%llu}\n",
           (unsigned long long)answers, (double)used_ns / (double)NS_PER_US / (double)answers,
           (double)answers * (double)NS_PER_S / (double)took_ns,
           (unsigned long long)histogram_percentile(&latency_us, 50),
           (unsigned long long)histogram_percentile(&latency_us, 99));
    return 0;
}
