/* SPDX-License-Identifier: MIT */
/*
 * A server with known faults, to hold a load tester against: it answers every request with the same
 * bytes, one at a time, each after SERVICE_US, and stands still for STALL_MS of every PERIOD_MS,
 * in the middle of each period, counted from the first request.
 *
 *   stub_server SERVICE_US [PERIOD_MS STALL_MS]
 *
 * It prints its port, then a line "stall FROM TO" (microseconds of the wall clock) after each
 * stall, and ends when its standard input does. One process, one thread: while it stands still
 * nothing is read, as with a real server that is stopped.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define EVENTS 64

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 3\r\n\r\nok\n";

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end)
        errx(2, "%s is no number", text);
    return value;
}

static void sleep_until(uint64_t deadline_ns)
{
    struct timespec when = clock_timespec(deadline_ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

static int listen_on_any_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        err(2, "listening");
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        err(2, "epoll");
}

/* Requests that are whole in what was read: each ends with an empty line. They are small and come
 * in one piece, because the load tester sends each with one call. */
static unsigned requests_in(const char *data, size_t length)
{
    unsigned count = 0;
    for (size_t i = 0; i + 4 <= length; i++)
        count += memcmp(data + i, "\r\n\r\n", 4) == 0;
    return count;
}

/* Answer what is there; the number of requests, -1 when the connection is over. */
static int serve(int fd, uint64_t service_ns)
{
    char data[16384];
    ssize_t n = recv(fd, data, sizeof data, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    unsigned count = n > 0 ? requests_in(data, (size_t)n) : 0;
    for (unsigned i = 0; i < count; i++) {
        if (service_ns > 0)
            sleep_until(clock_now_ns() + service_ns);
        if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0)
            n = 0;
    }
    if (n > 0)
        return (int)count;
    close(fd);
    return -1;
}

/* Stand still when it is time. `start_ns` is the first request's. */
static void stall(uint64_t start_ns, uint64_t period_ns, uint64_t stall_ns)
{
    static uint64_t done;
    uint64_t begin_ns = start_ns + done * period_ns + (period_ns - stall_ns) / 2;
    if (start_ns == 0 || stall_ns == 0 || clock_now_ns() < begin_ns)
        return;
    uint64_t from_us = clock_wall_us();
    sleep_until(begin_ns + stall_ns);
    printf("stall %llu %llu\n", (unsigned long long)from_us, (unsigned long long)clock_wall_us());
    fflush(stdout);
    done += 1;
}

int main(int argc, char **argv)
{
    struct epoll_event events[EVENTS];
    if (argc != 2 && argc != 4)
        errx(2, "usage: stub_server SERVICE_US [PERIOD_MS STALL_MS]");
    uint64_t service_ns = number(argv[1]) * NS_PER_US, start_ns = 0;
    uint64_t period_ns = argc == 4 ? number(argv[2]) * NS_PER_MS : NS_PER_S;
    uint64_t stall_ns = argc == 4 ? number(argv[3]) * NS_PER_MS : 0;
    int listener = listen_on_any_port();
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll_fd, listener);
    watch(epoll_fd, STDIN_FILENO);
    for (;;) {
        /* One at a time keeps the order in which they came, when each takes its time. */
        int n = epoll_wait(epoll_fd, events, service_ns > 0 ? 1 : EVENTS, 1);
        stall(start_ns, period_ns, stall_ns);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO)
                return 0;
            if (fd != listener) {
                if (serve(fd, service_ns) > 0 && start_ns == 0)
                    start_ns = clock_now_ns();
                continue;
            }
            int client;
            while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
                watch(epoll_fd, client);
        }
    }
}
