/* SPDX-License-Identifier: MIT */
/* A thread that crashes leaves its number, and the process ends as it would have. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/liveness.h"

#define STACK_BYTES (100 * 1024) /* as civetweb's threads have */

static volatile int sink;

static void fault(void)
{
    const volatile int *closed = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sink = *closed;
}

static void send_fault(void)
{
    pthread_kill(pthread_self(), SIGSEGV);
    pause(); /* one that does not end the process is found by the alarm */
}

#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int overflow_from(int depth)
{
    volatile char room[512];
    room[depth % 512] = (char)depth;
    return overflow_from(depth + 1) + room[depth % 512];
}

static void overflow(void)
{
    sink = overflow_from(0);
}

static void divide(void)
{
    raise(SIGFPE); /* a division traps on some processors only */
}

static struct {
    void (*act)(void);
    bool in_request;
} plan;

static void *thread(void *unused)
{
    liveness_begin(7, clock_now_ns());
    if (!plan.in_request)
        liveness_end(clock_now_ns());
    plan.act();
    return unused;
}

/* Runs the plan in a child; returns the number left, and the signal it died of. */
static uint32_t crash(void (*act)(void), bool in_request, int *number)
{
    struct slot *slot =
        mmap(NULL, sizeof *slot, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    assert_true(slot != MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t id;
        pthread_attr_t attributes;
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        for (int i = 1; i < NSIG; i++)
            signal(i, SIG_DFL); /* neither cmocka's nor a sanitizer's are wanted */
        alarm(10);
        plan.act = act;
        plan.in_request = in_request;
        liveness_start(slot);
        liveness_mark_crashes();
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        pthread_create(&id, &attributes, thread, NULL);
        pthread_join(id, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    uint32_t cell = slot->crashed_cell;
    munmap(slot, sizeof *slot);
    return cell;
}

static void a_crash_names_its_thread(void **unused)
{
    (void)unused;
    static const struct {
        const char *what;
        void (*act)(void);
        int number;
    } rows[] = {{"a bad address", fault, SIGSEGV},
                {"a signal that was sent", send_fault, SIGSEGV},
                {"abort", abort, SIGABRT},
                {"an arithmetic fault", divide, SIGFPE},
                {"a stack overflow", overflow, SIGSEGV}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int number;
        uint32_t cell = crash(rows[i].act, true, &number);
        if (cell != 8 || number != rows[i].number)
            fail_msg("%s: left %u, died of %d", rows[i].what, cell, number);
        cell = crash(rows[i].act, false, &number);
        if (cell != 0 || number != rows[i].number)
            fail_msg("%s between requests: left %u, died of %d", rows[i].what, cell, number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_crash_names_its_thread)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
