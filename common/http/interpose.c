/* SPDX-License-Identifier: MIT */
/*
 * The libc functions this program defines itself, so that the dynamic linker gives them to
 * civetweb. For every descriptor but civetweb's listening socket and DOOR_TOKEN they are the
 * system calls they are named after; the whole program uses them, so they must stay exact and
 * cheap. close and shutdown are not among them: on the token they fail with EBADF, which civetweb
 * does not look at.
 */
#undef _FORTIFY_SOURCE /* its headers define some of these names themselves */
#include "common/http/door.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "fcntl stands for fcntl64 below");

/* This thread starts civetweb or is its master: no other one may know the listening socket, whose
 * number can be somebody else's as soon as civetweb has closed it. */
static _Thread_local bool host;

void interpose_for_this_thread(bool on)
{
    host = on;
}

static bool is_adopted(int fd)
{
    return host && fd == atomic_load_explicit(&door.adopted, memory_order_relaxed);
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    if (host && address->sa_family == AF_INET && atomic_load(&door.adopted) < 0) {
        atomic_store(&door.adopted, fd);
        return 0;
    }
    return (int)syscall(SYS_bind, fd, address, length);
}

int listen(int fd, int backlog)
{
    return is_adopted(fd) ? 0 : (int)syscall(SYS_listen, fd, backlog);
}

/* For the token an address of no family: civetweb then leaves the socket's options alone. */
int getsockname(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
    if (fd != DOOR_TOKEN && !is_adopted(fd))
        return (int)syscall(SYS_getsockname, fd, address, length);
    struct sockaddr_in none = {.sin_family = fd == DOOR_TOKEN ? AF_UNSPEC : AF_INET};
    memcpy(address, &none, *length < sizeof none ? *length : sizeof none);
    *length = sizeof none;
    return 0;
}

/* civetweb has 16 bytes for the peer's address: ours never need more. */
int accept(int fd, struct sockaddr *restrict address, socklen_t *restrict length)
{
    if (!is_adopted(fd))
        return accept4(fd, address, length, SOCK_CLOEXEC);
    memset(address, 0, *length);
    *length = sizeof(struct sockaddr_in);
    door_lease();
    return DOOR_TOKEN;
}

/* glibc declares that poll only writes through fds, which is true of nobody's poll */
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (count == 1 && fds->fd == DOOR_TOKEN && door_turn != NULL)
        return turn_poll(door_turn, fds, timeout_ms);
    if (count > 0 && is_adopted(fds->fd))
        return door_poll(fds, timeout_ms);
    struct timespec wait = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    return ppoll(fds, count, timeout_ms < 0 ? NULL : &wait, NULL);
}

ssize_t recv(int fd, void *out, size_t size, int flags)
{
    if (fd == DOOR_TOKEN && door_turn != NULL)
        return turn_receive(door_turn, out, size);
    return recvfrom(fd, out, size, flags, NULL, NULL);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (fd == DOOR_TOKEN && door_turn != NULL)
        return turn_send(door_turn, bytes, size);
    return sendto(fd, bytes, size, flags, NULL, 0);
}

int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fd == DOOR_TOKEN ? 0 : fcntl(fd, command, argument);
}
