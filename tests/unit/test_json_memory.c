/* SPDX-License-Identifier: MIT */
/* A body that is parsed while memory runs out is refused, wherever in it that happens. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "worker/json_memory.h"

static json_t *parse(const char *text, size_t length, bool *no_memory)
{
    json_error_t error;
    return json_memory_parse(text, length, JSON_DECODE_ANY, &error, no_memory);
}

static void what_is_parsed_is_what_was_written(void **state)
{
    (void)state;
    bool no_memory;
    char text[200000];
    for (unsigned n = 0; n < 100; n++) {
        int length =
            snprintf(text, sizeof text, "{\"n\":%u,\"a\":[1,\"%0*d\",null],\"é\":\"\\u00e9\"}", n,
                     (int)n * 1500 + 1, 7);
        json_t *json = parse(text, (size_t)length, &no_memory);
        assert_non_null(json);
        assert_false(no_memory);
        assert_int_equal(json_integer_value(json_object_get(json, "n")), n);
        assert_int_equal(json_string_length(json_array_get(json_object_get(json, "a"), 1)),
                         n * 1500 + 1);
        assert_string_equal(json_string_value(json_object_get(json, "é")), "é");
        json_decref(json);
        json_memory_free();
    }
    assert_null(parse("{\"n\":", 5, &no_memory));
    assert_false(no_memory); /* a mistake of the client's is another thing */
    json_memory_free();
}

static void others_get_plain_memory(void **state)
{
    (void)state;
    bool no_memory;
    json_t *inside = parse("{\"a\":1}", 7, &no_memory), *outside = json_object();
    json_object_set_new(outside, "b", json_string("c"));
    free(json_dumps(outside, 0)); /* as libjwt does */
    json_decref(inside);
    json_memory_free();
    assert_string_equal(json_string_value(json_object_get(outside, "b")), "c");
    json_decref(outside);
}

static uint64_t cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* A body of the largest size with the most values, which anybody may send to /auth/login: giving
 * back what it took costs a tenth of taking it (and was seven times as much). */
static void many_values_are_given_back_as_fast_as_they_came(void **state)
{
    (void)state;
    enum { LENGTH = 128 * 1024 / 3 * 3 };
    static char text[LENGTH];
    bool no_memory;
    for (size_t i = 1; i < LENGTH; i++)
        text[i] = "[],"[(i - 1) % 3];
    text[0] = '[';
    memcpy(text + LENGTH - 2, "1]", 2);
    uint64_t start_us = cpu_us();
    json_t *json = parse(text, LENGTH, &no_memory);
    uint64_t parsed_us = cpu_us();
    assert_non_null(json);
    assert_true(json_array_size(json) > 40000);
    json_decref(json);
    json_memory_free();
    assert_true(cpu_us() - parsed_us < 2 * (parsed_us - start_us));
}

/* In a process of its own: parse a string of 40 MB with room for `mib` more. 0 it was parsed, 1 it
 * was refused, -1 the process died of it. */
static int parse_with(unsigned mib)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        const size_t length = 40000000;
        char *text = malloc(length);
        memset(text, 'x', length);
        text[0] = text[length - 1] = '"';
        size_t mapped = 0;
        FILE *file = fopen("/proc/self/statm", "r");
        if (!file || fscanf(file, "%zu", &mapped) != 1)
            _exit(9);
        fclose(file);
        rlim_t limit = mapped * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)mib << 20);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        setrlimit(RLIMIT_AS, &(struct rlimit){limit, limit});
        bool no_memory;
        json_t *json = parse(text, length, &no_memory);
        if (json)
            json_decref(json);
        json_memory_free();
        _exit(json ? 0 : no_memory ? 1 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void without_memory_it_is_refused_and_nobody_dies(void **state)
{
    (void)state;
    unsigned refused = 0;
    if (strstr(getenv("BUILD") ? getenv("BUILD") : "", "sanitize"))
        skip(); /* a sanitizer maps terabytes: no limit on addresses fits */
    for (unsigned mib = 0; mib <= 120; mib += 6) {
        int result = parse_with(mib);
        assert_in_range(result, 0, 1);
        refused += result == 1;
    }
    assert_in_range(refused, 5, 21);
    assert_int_equal(parse_with(1000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_parsed_is_what_was_written),
        cmocka_unit_test(others_get_plain_memory),
        cmocka_unit_test(many_values_are_given_back_as_fast_as_they_came),
        cmocka_unit_test(without_memory_it_is_refused_and_nobody_dies),
    };
    json_memory_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
