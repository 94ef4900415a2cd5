/* SPDX-License-Identifier: MIT */
/* Processes a drill starts: none is left, not even an orphan, the password arrives, and what one
 * wrote before it was killed is no result. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tools/drill/load.h"
#include "tools/drill/process.h"

static void stay(const void *unused)
{
    (void)unused;
    signal(SIGTERM, SIG_IGN);
}

/* A child with a child, which is an orphan as soon as its parent is killed. */
static void stay_with_child(const void *unused)
{
    (void)unused;
    if (fork() == 0)
        for (;;)
            pause();
}

static void who_does_not_end_is_killed(void **unused)
{
    (void)unused;
    process_adopt_orphans();
    assert_true(process_fork(stay, NULL) > 0);
    assert_true(process_fork(stay_with_child, NULL) > 0);
    usleep(100 * 1000); /* for the grandchild; without it there is one less to kill */
    uint64_t began_ns = clock_now_ns();
    assert_in_range(process_end_all(100), 2, 3);
    assert_true(clock_now_ns() - began_ns < 5 * NS_PER_S);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void who_ends_is_not(void **unused)
{
    (void)unused;
    static const char *const words[] = {"/bin/true", NULL};
    pid_t pid = process_start(
        &(struct process_setup){.words = words, .output = "/dev/null", .death_signal = SIGKILL});
    assert_true(pid > 0);
    assert_int_equal(process_end_all(5000), 0);
}

static void input_and_output_go_where_they_should(void **unused)
{
    (void)unused;
    char path[] = "/tmp/drill-process-XXXXXX", line[64] = "";
    int status = -1, fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char *const words[] = {"/bin/sh", "-c", "read word; echo \"got $word\"; exit 7",
                                        NULL};
    pid_t pid = process_start(&(struct process_setup){
        .words = words, .input = "secret\n", .output = path, .death_signal = SIGKILL});
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_true(read(fd, line, sizeof line - 1) > 0);
    assert_string_equal(line, "got secret\n");
    close(fd);
    unlink(path);
}

static void a_summary_of_a_killed_load_tester_is_no_result(void **unused)
{
    (void)unused;
    static struct evidence evidence;
    static struct load load;
    char path[sizeof load.directory + 32];
    snprintf(load.directory, sizeof load.directory, "/tmp/test_drill_load.XXXXXX");
    assert_non_null(mkdtemp(load.directory));
    snprintf(path, sizeof path, "%s/summary.json", load.directory);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs("{\"invalid\": []}\n", out);
    fclose(out);
    load.started = load.ended = true;
    assert_true(load_collect(&load, 0, &evidence));
    assert_string_equal(evidence.trouble, "");
    evidence_free(&evidence);
    load.status = SIGABRT; /* as waitpid says it */
    assert_false(load_collect(&load, 0, &evidence));
    assert_string_equal(evidence.trouble, "the load tester was ended by signal 6");
    evidence_free(&evidence);
    unlink(path);
    rmdir(load.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_does_not_end_is_killed),
        cmocka_unit_test(who_ends_is_not),
        cmocka_unit_test(input_and_output_go_where_they_should),
        cmocka_unit_test(a_summary_of_a_killed_load_tester_is_no_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
