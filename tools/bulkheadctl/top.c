/* SPDX-License-Identifier: MIT */
/*
 * top: the service on one screen, again every second. On a terminal it takes the alternate screen
 * and reads keys; elsewhere, or with --once and -n, it prints one snapshot after the other, and
 * with
 * --json a line of JSON for each. A server that goes away is looked for until it is back.
 */
#include "tools/bulkheadctl/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log_readable.h"
#include "common/state_json.h"
#include "tools/bulkheadctl/commands.h"
#include "tools/bulkheadctl/server.h"

#define FIRST_MS 250 /* from the first look to the second: rates need two */

static struct {
    const struct invocation *invocation;
    struct server server;
    bool found, paused, live; /* live: the screen is ours */
    struct top_look look;
    struct top_counts counts;
    struct frame frame;
    int signal_fd;
    uint64_t printed;
} top = {.signal_fd = -1};

/* ---- the server ---------------------------------------------------------------------------- */

static void lose_server(void)
{
    if (top.server.region)
        munmap(top.server.region, sizeof *top.server.region);
    if (top.server.pid_fd >= 0)
        close(top.server.pid_fd);
    top.server = (struct server){.pid_fd = -1};
    top.found = false;
    top.counts.at_ns = 0;
}

static void find_server(void)
{
    struct invocation quiet = *top.invocation;
    quiet.quiet = true;
    top.found = server_open(&top.server, &quiet) == 0;
    if (!top.found)
        lose_server();
}

/* ---- what is shown ------------------------------------------------------------------------- */

static bool look(void)
{
    if (top.found && server_ended_within(&top.server, 0))
        lose_server();
    if (!top.found)
        find_server();
    return top.found && top_take(&top.look, top.server.region, &top.counts);
}

/* False when nobody can see it any more. */
static bool show_on_screen(bool seen)
{
    unsigned width, height;
    screen_size(&width, &height);
    frame_begin(&top.frame, width, height, top.invocation->colour);
    if (seen) {
        top_draw(&top.frame, &top.look, top.server.region, top.server.pid, top.paused);
    } else {
        frame_put(&top.frame, COLOUR_RED, "no server answers");
        frame_put(&top.frame, COLOUR_NONE, "; looked for once a second, q quits");
        frame_line(&top.frame);
    }
    return screen_show(&top.frame);
}

static bool print_json(bool seen)
{
    static char line[STATE_JSON_SIZE + 1024];
    if (!seen || top_json(&top.look, top.server.region, line, sizeof line) == 0) {
        complain(top.invocation, 0, "no server answers");
        return fflush(stdout) == 0;
    }
    puts(line);
    return fflush(stdout) == 0;
}

static bool print_plain(bool seen)
{
    if (!seen) {
        puts("no server answers");
        return fflush(stdout) == 0;
    }
    frame_begin(&top.frame, 0, 0, top.invocation->colour);
    top_draw(&top.frame, &top.look, top.server.region, top.server.pid, false);
    printf("%s%s", top.printed ? "\n" : "", top.frame.text);
    return fflush(stdout) == 0;
}

static bool show(bool seen)
{
    bool shown = top.live               ? show_on_screen(seen)
                 : top.invocation->json ? print_json(seen)
                                        : print_plain(seen);
    top.printed++;
    return shown;
}

/* ---- keys and signals ---------------------------------------------------------------------- */

enum what_next { NEXT_NOTHING, NEXT_DRAW, NEXT_LOOK, NEXT_QUIT };

static enum what_next read_keys(void)
{
    char keys[32];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    enum what_next next = n < 0 && errno != EAGAIN && errno != EINTR ? NEXT_QUIT : NEXT_NOTHING;
    for (ssize_t i = 0; i < n; i++) {
        if (keys[i] == 'q' || keys[i] == 'Q')
            return NEXT_QUIT;
        if (keys[i] == ' ') {
            top.paused = !top.paused;
            next = top.paused ? NEXT_DRAW : NEXT_LOOK;
        }
    }
    return next;
}

/* Ctrl-Z: the shell gets its screen back, and we ours with `fg`. */
static void stop_for_a_while(void)
{
    screen_leave();
    raise(SIGSTOP);
    screen_enter();
}

static enum what_next read_signals(void)
{
    struct signalfd_siginfo info;
    enum what_next next = NEXT_NOTHING;
    while (read(top.signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTSTP && top.live)
            stop_for_a_while();
        else if (info.ssi_signo != SIGWINCH)
            return NEXT_QUIT;
        next = NEXT_DRAW;
    }
    return next;
}

/* Until the next look is due, or something makes another picture of the last one. */
static enum what_next wait_until(uint64_t until_ns)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = top.signal_fd, .events = POLLIN},
            {.fd = top.live && isatty(STDIN_FILENO) ? STDIN_FILENO : -1, .events = POLLIN},
            {.fd = top.found ? top.server.pid_fd : -1, .events = POLLIN}};
        uint64_t now_ns = clock_now_ns();
        if (now_ns >= until_ns && !top.paused)
            return NEXT_LOOK;
        int wait_ms = top.paused ? -1 : clock_ms_until(until_ns, now_ns, 60 * 1000);
        if (poll(fds, 3, wait_ms) < 0 && errno != EINTR)
            return NEXT_QUIT;
        enum what_next next = NEXT_NOTHING;
        if (fds[0].revents)
            next = read_signals();
        if (next == NEXT_NOTHING && fds[1].revents)
            next = fds[1].revents & (POLLHUP | POLLERR) ? NEXT_QUIT : read_keys();
        if (next == NEXT_NOTHING && fds[2].revents) {
            top.paused = false; /* nothing is left to be looked at in peace */
            lose_server();
            next = NEXT_LOOK;
        }
        if (next != NEXT_NOTHING)
            return next;
    }
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void take_signals(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
    sigset_t set;
    sigemptyset(&set);
    /* Without a screen of our own the usual effects are the right ones. */
    for (size_t i = 0; top.live && i < sizeof wanted / sizeof wanted[0]; i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    top.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    signal(SIGPIPE, SIG_IGN);
}

/* Until the user quits, COUNT were printed, or nobody reads. */
static void run(unsigned interval_ms)
{
    uint64_t next_ns = clock_now_ns();
    bool seen = look();
    enum what_next next = wait_until(next_ns + FIRST_MS * NS_PER_MS);
    while (next != NEXT_QUIT) {
        if (next == NEXT_LOOK) {
            uint64_t now_ns = clock_now_ns();
            seen = look();
            next_ns += interval_ms * NS_PER_MS;
            if (next_ns < now_ns) /* stopped, or interrupted by the server's end */
                next_ns = now_ns + interval_ms * NS_PER_MS;
        }
        if (!show(seen) || (top.invocation->count && top.printed >= top.invocation->count))
            return;
        next = wait_until(next_ns);
    }
}

int command_top(const struct invocation *invocation)
{
    unsigned interval_ms = invocation->interval_ms ? invocation->interval_ms : 1000;
    top.invocation = invocation;
    int code = server_open(&top.server, invocation);
    if (code)
        return code;
    top.found = true;
    top.live = !invocation->json && invocation->count == 0 && isatty(STDOUT_FILENO);
    take_signals();
    if (top.live) {
        atexit(screen_leave);
        screen_enter();
    }
    run(interval_ms);
    screen_leave();
    return EXIT_ASKED;
}
