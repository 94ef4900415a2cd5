/* SPDX-License-Identifier: MIT */
#include "tools/bulkheadctl/server.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"

#define ANSWER_LIMIT_S  5
#define PATIENT_LOOK_MS 200
#define PLACES_MAX      8

/* ---- where the socket may be --------------------------------------------------------------- */

struct places {
    unsigned count;
    char path[PLACES_MAX][PATH_MAX];
};

static void add_place(struct places *places, const char *directory, const char *below)
{
    if (!directory || !*directory || places->count == PLACES_MAX)
        return;
    /* systemd may hand over several directories, separated by colons: the first is ours. */
    size_t length = strcspn(directory, ":");
    snprintf(places->path[places->count++], PATH_MAX, "%.*s%s/control.sock", (int)length, directory,
             below);
}

/* `make run` keeps its data in var/ beside the build directory this program lies in. */
static void add_place_of_build(struct places *places)
{
    char program[PATH_MAX - 32];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    add_place(places, program, "/../var/run");
}

static void list_places(struct places *places, const struct invocation *invocation)
{
    places->count = 0;
    if (invocation->socket) {
        snprintf(places->path[places->count++], PATH_MAX, "%s", invocation->socket);
    } else if (invocation->data_dir) {
        add_place(places, invocation->data_dir, "/run");
    } else {
        add_place(places, getenv("RUNTIME_DIRECTORY"), "");
        add_place(places, "/run/bulkhead", "");
        add_place(places, getenv("STATE_DIRECTORY"), "/run");
        add_place(places, "./var", "/run");
        add_place_of_build(places);
    }
}

/* ---- one connection ------------------------------------------------------------------------ */

/* A connected socket, or a negative errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const struct timeval limit = {.tv_sec = ANSWER_LIMIT_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* The header's pid is one of the server's pid namespace, the peer's is one of ours. */
static void learn_pid(struct server *server, int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.pid <= 0)
        return;
    server->pid = peer.pid;
    server->pid_fd = pidfd_open(peer.pid, 0);
}

int server_find(struct server *server, const struct invocation *invocation)
{
    struct places places;
    char tried[2048] = "";
    *server = (struct server){.pid_fd = -1};
    list_places(&places, invocation);
    for (unsigned i = 0; i < places.count; i++) {
        int fd = connect_to(places.path[i]);
        if (fd >= 0) {
            snprintf(server->path, sizeof server->path, "%s", places.path[i]);
            learn_pid(server, fd);
            close(fd);
            return 0;
        }
        size_t used = strlen(tried);
        snprintf(tried + used, sizeof tried - used, "%s%s (%s)", used ? ", " : "", places.path[i],
                 strerror(-fd));
    }
    return complain(invocation, EXIT_TEMPORARY,
                    "no server answers at %s; say which with -d DATADIR or -s SOCKET", tried);
}

/* Take a descriptor out of a message. */
static int descriptor_of(struct msghdr *message)
{
    int fd = -1;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS &&
            part->cmsg_len == CMSG_LEN(sizeof fd))
            memcpy(&fd, CMSG_DATA(part), sizeof fd);
    return fd;
}

/* Read up to the newline or the end. Length, or a negative errno. */
static ssize_t receive_line(int socket, char *line, size_t size, int *fd)
{
    size_t length = 0;
    while (length < size - 1) {
        union {
            struct cmsghdr header;
            char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec piece = {.iov_base = line + length, .iov_len = size - 1 - length};
        struct msghdr message = {.msg_iov = &piece,
                                 .msg_iovlen = 1,
                                 .msg_control = control.space,
                                 .msg_controllen = sizeof control.space};
        ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
        if (n < 0)
            return -errno;
        int came = descriptor_of(&message);
        if (came >= 0 && *fd >= 0)
            close(came);
        else if (came >= 0)
            *fd = came;
        length += (size_t)n;
        if (n == 0 || memchr(line, '\n', length))
            break;
    }
    line[length] = '\0';
    return (ssize_t)length;
}

static bool parse_answer(const char *line, struct answer *answer)
{
    json_t *root = json_loads(line, 0, NULL);
    const json_t *ok = json_object_get(root, "ok");
    bool valid = json_is_boolean(ok);
    if (valid) {
        answer->ok = json_is_true(ok);
        const char *text =
            json_string_value(json_object_get(root, answer->ok ? "message" : "error"));
        snprintf(answer->text, sizeof answer->text, "%s", text ? text : "");
    }
    json_decref(root);
    return valid;
}

/* Send a line and let `wait` decide how long the answer may take; then read it. */
static ssize_t exchange(int fd, const char *request, bool (*wait)(int fd, void *argument),
                        void *argument, char *line, size_t size, struct answer *answer)
{
    int length = snprintf(line, size, "%s\n", request);
    if (send(fd, line, (size_t)length, MSG_NOSIGNAL) != length)
        return -errno;
    if (wait && !wait(fd, argument))
        return -EAGAIN;
    return receive_line(fd, line, size, &answer->fd);
}

static int ask(const struct server *server, const struct invocation *invocation,
               const char *request, unsigned limit_s, bool (*wait)(int fd, void *argument),
               void *argument, struct answer *answer)
{
    char line[1024];
    *answer = (struct answer){.fd = -1};
    int fd = connect_to(server->path);
    if (fd < 0)
        return complain(invocation, EXIT_TEMPORARY, "%s: %s", server->path, strerror(-fd));
    ssize_t n = exchange(fd, request, wait, argument, line, sizeof line, answer);
    close(fd);
    if (n == -EAGAIN)
        return complain(invocation, EXIT_TEMPORARY, "%s: no answer within %u s", server->path,
                        limit_s);
    if (n == 0 || n == -EPIPE || n == -ECONNRESET)
        return complain(invocation, EXIT_TEMPORARY,
                        "%s: closed without an answer: the server is ending, has too many "
                        "clients, or belongs to another account",
                        server->path);
    if (n < 0)
        return complain(invocation, EXIT_TEMPORARY, "%s: %s", server->path, strerror((int)-n));
    if (!parse_answer(line, answer))
        return complain(invocation, EXIT_TEMPORARY, "%s: this is no bulkhead server: %.80s",
                        server->path, line);
    return 0;
}

int server_ask(const struct server *server, const struct invocation *invocation,
               const char *request, struct answer *answer)
{
    return ask(server, invocation, request, ANSWER_LIMIT_S, NULL, NULL, answer);
}

struct patience {
    uint64_t until_ns;
    void (*meanwhile)(void *);
    void *argument;
};

/* True when there is something to read. */
static bool wait_patiently(int fd, void *argument)
{
    const struct patience *patience = argument;
    struct pollfd answer = {.fd = fd, .events = POLLIN};
    while (poll(&answer, 1, PATIENT_LOOK_MS) == 0) {
        if (clock_now_ns() >= patience->until_ns)
            return false;
        patience->meanwhile(patience->argument);
    }
    return true;
}

int server_ask_patiently(const struct server *server, const struct invocation *invocation,
                         const char *request, unsigned limit_s, void (*meanwhile)(void *),
                         void *argument, struct answer *answer)
{
    struct patience patience = {clock_now_ns() + limit_s * NS_PER_S, meanwhile, argument};
    return ask(server, invocation, request, limit_s, wait_patiently, &patience, answer);
}

int server_map(struct server *server, const struct invocation *invocation)
{
    struct answer answer;
    int code = server_ask(server, invocation, "region", &answer);
    if (code)
        return code;
    if (!answer.ok || answer.fd < 0)
        return complain(invocation, EXIT_REFUSED, "%s",
                        answer.ok ? "the server sent no descriptor" : answer.text);
    int error = region_map(answer.fd, -1, 0, &server->region);
    close(answer.fd);
    if (error == -EPROTO)
        return complain(invocation, EXIT_CONFIGURATION,
                        "the server is of another build: use the bulkheadctl beside it");
    if (error)
        return complain(invocation, EXIT_TEMPORARY, "cannot map the shared region: %s",
                        strerror(-error));
    return 0;
}

int server_open(struct server *server, const struct invocation *invocation)
{
    int code = server_find(server, invocation);
    return code ? code : server_map(server, invocation);
}

bool server_ended_within(const struct server *server, int limit_ms)
{
    struct pollfd end = {.fd = server->pid_fd, .events = POLLIN};
    if (server->pid_fd >= 0)
        return poll(&end, 1, limit_ms) > 0;
    poll(NULL, 0, limit_ms);
    int fd = connect_to(server->path);
    if (fd < 0)
        return true;
    close(fd);
    return false;
}
