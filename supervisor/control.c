/* SPDX-License-Identifier: MIT */
#include "supervisor/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exit_codes.h"
#include "common/json_out.h"
#include "supervisor/backup_desk.h"
#include "supervisor/fault_desk.h"
#include "supervisor/loop.h"
#include "supervisor/reconcile.h"
#include "supervisor/spawn.h"
#include "supervisor/supervisor.h"

#define CLIENT_LIMIT_NS (2 * NS_PER_S)
#define BACKUP_LIMIT_NS (300 * NS_PER_S)
#define BACKUP_WAITERS  (CONTROL_CLIENTS_MAX / 2) /* the other places stay free to act */

bool control_is_answered(const char *runtime_dir, pid_t *pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t length = sizeof peer;
    *pid = 0;
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", runtime_dir) >=
        (int)sizeof address.sun_path)
        return false; /* no supervisor could have made it */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool connected = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    bool answered = connected || errno == EAGAIN; /* its queue is full: somebody listens */
    /* The credentials are of who called listen(2). */
    if (connected && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0)
        *pid = peer.pid;
    close(fd);
    return answered;
}

int control_open(struct control *control, const char *runtime_dir, char *error, size_t error_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        control->client[i].fd = -1;
    snprintf(control->path, sizeof control->path, "%.90s/control.sock", runtime_dir);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", control->path);
    /* Nobody answered (control_is_answered): a socket file that lies there is a dead one's. */
    unlink(control->path);
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control->fd < 0 ||
        bind(control->fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(control->fd, CONTROL_CLIENTS_MAX) < 0) {
        snprintf(error, error_size, "%s: %s", control->path, strerror(errno));
        return EXIT_TEMPORARY;
    }
    control->fd = spawn_move_fd(control->fd);
    if (control->fd < 0) {
        snprintf(error, error_size, "%s: too many open files (ulimit -n)", control->path);
        return EXIT_TEMPORARY;
    }
    return 0;
}

static void drop(struct supervisor *supervisor, struct control_client *client)
{
    epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
    close(client->fd);
    client->fd = -1;
}

void control_accept(struct supervisor *supervisor)
{
    struct control *control = &supervisor->control;
    struct ucred peer;
    socklen_t length = sizeof peer;
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    bool may = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
               (peer.uid == geteuid() || peer.uid == 0);
    for (unsigned i = 0; may && i < CONTROL_CLIENTS_MAX; i++) {
        if (control->client[i].fd >= 0)
            continue;
        control->client[i] =
            (struct control_client){.fd = spawn_move_fd(fd), .since_ns = clock_now_ns()};
        if (control->client[i].fd >= 0)
            loop_watch(supervisor, control->client[i].fd, LOOP_CONTROL_CLIENT, i);
        return;
    }
    close(fd);
}

static void answer(struct control_client *client, bool ok, int descriptor, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A socket just accepted takes one short line without blocking, or its client is not reading. */
static void answer(struct control_client *client, bool ok, int descriptor, const char *format, ...)
{
    char text[400], line[640];
    struct json_out json;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_out_init(&json, line, sizeof line - 1);
    json_object_begin(&json);
    json_key_bool(&json, "ok", ok);
    json_key_string(&json, ok ? "message" : "error", text);
    json_object_end(&json);
    line[json.length++] = '\n';

    struct iovec part = {.iov_base = line, .iov_len = json.length};
    _Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = space;
        message.msg_controllen = sizeof space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hand_out_region(struct supervisor *supervisor, struct control_client *client)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", supervisor->region_fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        answer(client, false, -1, "the region cannot be opened: %s", strerror(errno));
        return;
    }
    answer(client, true, fd, "region");
    close(fd);
}

/* "restart 2": the slot, or -1 when it is no slot of a worker. */
static int slot_after(const struct supervisor *supervisor, const char *line, const char *verb)
{
    size_t length = strlen(verb);
    char *end;
    long slot = strtol(line + length, &end, 10);
    bool in_use = slot >= 0 && slot <= (long)supervisor->config.workers;
    return line[length] == ' ' && end != line + length + 1 && *end == '\0' && in_use ? (int)slot
                                                                                     : -1;
}

static void obey_faults(struct supervisor *supervisor, struct control_client *client)
{
    static char text[FAULT_DESK_ANSWER]; /* the supervisor has one thread */
    fault_desk_obey(supervisor, client->line + 7, text, sizeof text - 1);
    size_t length = strlen(text);
    text[length++] = '\n';
    send(client->fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The client is parked until control_expire has its answer. */
static void ask_for_backup(struct supervisor *supervisor, struct control_client *client)
{
    unsigned waiting = 0;
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        waiting += supervisor->control.client[i].fd >= 0 && supervisor->control.client[i].backup;
    if (supervisor->life != LIFE_SERVING)
        answer(client, false, -1, "the service is not serving");
    else if (waiting >= BACKUP_WAITERS)
        answer(client, false, -1, "%u others wait for a backup already", waiting);
    else
        client->backup = backup_desk_ask(supervisor);
}

static void step_backup(struct supervisor *supervisor, struct control_client *client,
                        uint64_t now_ns)
{
    char text[300];
    bool ok = false;
    int fd;
    if (backup_desk_answer(supervisor, client->backup, &ok, &fd, text, sizeof text)) {
        answer(client, ok, fd, "%s", text);
        if (fd >= 0)
            close(fd);
    } else if (now_ns - client->since_ns > BACKUP_LIMIT_NS) {
        answer(client, false, -1, "no backup within 5 min; it may still come: see the events");
    } else {
        return;
    }
    drop(supervisor, client);
}

static void obey(struct supervisor *supervisor, struct control_client *client)
{
    const char *line = client->line;
    char why[160] = "";
    int slot;
    if (strncmp(line, "faults ", 7) == 0) {
        obey_faults(supervisor, client);
    } else if (strcmp(line, "region") == 0) {
        hand_out_region(supervisor, client);
    } else if (strcmp(line, "reload") == 0) {
        bool ok = reconcile_reload(supervisor, -1, why, sizeof why);
        answer(client, ok, -1, "%s", ok ? "replacing the workers one by one" : why);
    } else if (strcmp(line, "backup") == 0) {
        ask_for_backup(supervisor, client);
    } else if (strcmp(line, "stop") == 0) {
        reconcile_stop(supervisor, false);
        answer(client, true, -1, "stopping when everything is answered");
    } else if (strncmp(line, "restart ", 8) == 0 || strncmp(line, "drain ", 6) == 0) {
        bool restart = line[0] == 'r';
        slot = slot_after(supervisor, line, restart ? "restart" : "drain");
        if (slot < 0)
            answer(client, false, -1, "no worker slot of that number: 0 to %u",
                   (unsigned)supervisor->config.workers);
        else if (restart ? reconcile_restart(supervisor, (unsigned)slot, why, sizeof why)
                         : reconcile_drain(supervisor, (unsigned)slot, why, sizeof why))
            answer(client, true, -1, "%s slot %d", restart ? "restarting" : "draining", slot);
        else
            answer(client, false, -1, "%s", why);
    } else {
        answer(client, false, -1,
               "unknown command; known: region, restart N, drain N, reload, stop, backup, "
               "faults ...");
    }
}

void control_read(struct supervisor *supervisor, unsigned index)
{
    struct control_client *client = &supervisor->control.client[index];
    char ignored[64];
    if (client->fd < 0)
        return;
    if (client->backup) { /* it has said all; what still comes is its end */
        ssize_t n = read(client->fd, ignored, sizeof ignored);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            drop(supervisor, client);
        return;
    }
    ssize_t n =
        read(client->fd, client->line + client->length, sizeof client->line - 1 - client->length);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n > 0) {
        client->length += (size_t)n;
        client->line[client->length] = '\0';
        char *end = strchr(client->line, '\n');
        if (!end && client->length < sizeof client->line - 1)
            return;
        if (end) {
            *end = '\0';
            obey(supervisor, client);
            if (client->backup)
                return;
        }
    }
    drop(supervisor, client);
}

void control_expire(struct supervisor *supervisor, uint64_t now_ns)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &supervisor->control.client[i];
        if (client->fd >= 0 && client->backup)
            step_backup(supervisor, client, now_ns);
        else if (client->fd >= 0 && now_ns - client->since_ns > CLIENT_LIMIT_NS)
            drop(supervisor, client);
    }
}

void control_close(struct control *control)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        struct control_client *client = &control->client[i];
        if (client->fd < 0)
            continue;
        if (client->backup)
            answer(client, false, -1, "no backup: the server stops");
        close(client->fd);
    }
    if (control->path[0])
        unlink(control->path);
}
