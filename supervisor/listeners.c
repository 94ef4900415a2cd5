/* SPDX-License-Identifier: MIT */
#include "supervisor/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/exit_codes.h"

#define BACKLOG          4096
#define SYSTEMD_FIRST_FD 3

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080" into an address. 0 or -1. No names are looked
 * up: a resolver may block, and an address that depends on one is no address to listen on. */
static int parse_address(const char *text, union address *address, socklen_t *length)
{
    char host[CONFIG_LISTEN_SIZE];
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text)
        return -1;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || port > 65535)
        return -1;
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    memset(address, 0, sizeof *address);
    if (host[0] == '[' && host[strlen(host) - 1] == ']') {
        host[strlen(host) - 1] = '\0';
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons((uint16_t)port);
        *length = sizeof address->v6;
        return inet_pton(AF_INET6, host + 1, &address->v6.sin6_addr) == 1 ? 0 : -1;
    }
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons((uint16_t)port);
    *length = sizeof address->v4;
    const char *digits = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    return inet_pton(AF_INET, digits, &address->v4.sin_addr) == 1 ? 0 : -1;
}

static bool is_loopback(const union address *address)
{
    if (address->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
    return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
}

/* The address a socket really has: port 0 becomes the one the kernel chose. */
static void name_socket(struct listener *listener)
{
    union address address = {0};
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    getsockname(listener->fd, &address.any, &length);
    if (address.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof host);
        snprintf(listener->name, sizeof listener->name, "[%s]:%u", host,
                 ntohs(address.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof host);
        snprintf(listener->name, sizeof listener->name, "%s:%u", host, ntohs(address.v4.sin_port));
    }
}

static int open_one(struct listener *listener, const char *text, const char *key,
                    bool loopback_only, char *error, size_t error_size)
{
    union address address;
    socklen_t length;
    const int one = 1;
    listener->fd = -1;
    if (parse_address(text, &address, &length) < 0) {
        snprintf(error, error_size,
                 "%s = \"%s\": want ADDRESS:PORT with a numeric address, such as 127.0.0.1:8080 "
                 "or [::1]:8080",
                 key, text);
        return EXIT_CONFIGURATION;
    }
    if (loopback_only && !is_loopback(&address)) {
        snprintf(error, error_size,
                 "%s = \"%s\": running as root for root serves loopback only; set user= or give "
                 "the data directory to another account",
                 key, text);
        return EXIT_CONFIGURATION;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd >= 0 && address.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (fd < 0 || bind(fd, &address.any, length) < 0 || listen(fd, BACKLOG) < 0) {
        snprintf(error, error_size, "cannot listen on %s: %s%s", text, strerror(errno),
                 errno == EADDRINUSE ? " by another program (choose a free port with -l, or "
                                       "console.listen)"
                                     : "");
        if (fd >= 0)
            close(fd);
        return EXIT_TEMPORARY;
    }
    listener->fd = fd;
    name_socket(listener);
    return 0;
}

static void warn_of_short_queue(void)
{
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
    int limit = BACKLOG;
    if (file && fscanf(file, "%d", &limit) == 1 && limit < BACKLOG)
        fprintf(stderr,
                "supervisor: net.core.somaxconn is %d: queues of waiting connections hold "
                "%d, not %d\n",
                limit, limit, BACKLOG);
    if (file)
        fclose(file);
}

/* Descriptors from systemd start at 3, where children expect other things: move them away. */
static int take_from_systemd(struct listeners *listeners, bool loopback_only, char *error,
                             size_t error_size)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (!pid || !count || atoi(pid) != getpid())
        return 0;
    int n = atoi(count);
    if (n < 0 || n > LISTENERS_MAX) {
        snprintf(error, error_size, "LISTEN_FDS=%s: want 1 to %d sockets", count, LISTENERS_MAX);
        return EXIT_CONFIGURATION;
    }
    for (int i = 0; i < n; i++) {
        int listening = 0;
        socklen_t length = sizeof listening;
        int fd = SYSTEMD_FIRST_FD + i;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0 || !listening) {
            snprintf(error, error_size, "LISTEN_FDS: descriptor %d is no listening socket", fd);
            return EXIT_CONFIGURATION;
        }
        union address address = {0};
        length = sizeof address;
        getsockname(fd, &address.any, &length);
        if ((address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6) ||
            (loopback_only && !is_loopback(&address))) {
            snprintf(error, error_size, "LISTEN_FDS: descriptor %d is no TCP socket%s", fd,
                     loopback_only ? " on loopback, and root for root serves nothing else" : "");
            return EXIT_CONFIGURATION;
        }
        struct listener *listener = &listeners->public[listeners->public_count++];
        listener->fd = fcntl(fd, F_DUPFD_CLOEXEC, 64);
        close(fd);
        fcntl(listener->fd, F_SETFL, fcntl(listener->fd, F_GETFL) | O_NONBLOCK);
        name_socket(listener);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    listeners->from_systemd = n > 0;
    return 0;
}

int listeners_open(struct listeners *listeners, const struct config *config, bool loopback_only,
                   char *error, size_t error_size)
{
    *listeners = (struct listeners){.console.fd = -1};
    int code = take_from_systemd(listeners, loopback_only, error, error_size);
    if (!code && !listeners->from_systemd) {
        uint64_t count = config->listen_count ? config->listen_count : 1;
        for (uint64_t i = 0; i < count && !code; i++) {
            code = open_one(&listeners->public[listeners->public_count],
                            config -> listen_count ? config -> listen[i] : "127.0.0.1:8080",
                            "listen", loopback_only, error, error_size);
            listeners->public_count += code == 0;
        }
    }
    if (!code && config->console_listen[0])
        code = open_one(&listeners->console, config->console_listen, "console.listen",
                        loopback_only, error, error_size);
    if (code)
        listeners_close(listeners);
    else
        warn_of_short_queue();
    return code;
}

void listeners_close(struct listeners *listeners)
{
    for (unsigned i = 0; i < listeners->public_count; i++)
        close(listeners->public[i].fd);
    listeners->public_count = 0;
    if (listeners->console.fd >= 0)
        close(listeners->console.fd);
    listeners->console.fd = -1;
}

void listener_measure(const struct listener *listener, struct board_listener *out)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    snprintf(out->name, sizeof out->name, "%s", listener->name);
    /* Of a listening socket these two fields are its queue (net/ipv4/tcp.c, tcp_get_info). */
    if (getsockopt(listener->fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0) {
        out->queue_depth = info.tcpi_unacked;
        out->queue_max = info.tcpi_sacked;
    }
    uint32_t memory[SK_MEMINFO_VARS];
    length = sizeof memory;
    if (getsockopt(listener->fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0 &&
        length > SK_MEMINFO_DROPS * sizeof memory[0])
        out->drops = memory[SK_MEMINFO_DROPS];
}
