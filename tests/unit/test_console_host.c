/* SPDX-License-Identifier: MIT */
/* Which Host headers the console answers to. */
#include "tests/unit/unit.h"

#include "supervisor/console/host.h"

static void addresses_and_localhost_pass(void **unused)
{
    (void)unused;
    static const char *const good[] = {"127.0.0.1",        "127.0.0.1:8081", "localhost",
                                       "LocalHost:1",      "[::1]",          "[::1]:8081",
                                       "192.168.0.7:65535"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(host_is_allowed(good[i], ""));
}

static void other_names_do_not(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",
        ":8081",
        "example.org",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:123456",
        "[::1",
        "[::1]x",
        "[example.org]",
        "::1",
        "localhost@x",
        "127.1",
        "0x7f000001",
        "[]",
        "[",
        "localhost ",
        "1.2.3.4, localhost",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (host_is_allowed(bad[i], ""))
            fail_msg("%s passed", bad[i]);
}

static void listed_names_pass(void **unused)
{
    (void)unused;
    assert_true(host_is_allowed("ops.example.org:8081", "a.example.org, OPS.example.org"));
    assert_true(host_is_allowed("a.example.org", "a.example.org,ops.example.org"));
    assert_false(host_is_allowed("ops.example", "a.example.org, ops.example.org"));
    assert_false(host_is_allowed("ops.example.org.evil", "ops.example.org"));
    assert_false(host_is_allowed("", ", ,"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_localhost_pass),
        cmocka_unit_test(other_names_do_not),
        cmocka_unit_test(listed_names_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
