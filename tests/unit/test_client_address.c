/* SPDX-License-Identifier: MIT */
/* Whose address counts behind proxies, and what a client may claim without being believed. */
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "common/client_address.h"

static struct sockaddr_storage peer_of(const char *text)
{
    struct sockaddr_storage peer = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(&peer, &v4, sizeof v4);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(&peer, &v6, sizeof v6);
    else
        peer.ss_family = AF_UNIX;
    return peer;
}

static void check(const char *trusted, const char *peer, const char *first, const char *second,
                  const char *want)
{
    struct trusted_proxies proxies;
    char error[256], got[INET6_ADDRSTRLEN], wanted[INET6_ADDRSTRLEN];
    const char *lines[] = {first, second};
    struct sockaddr_storage from = peer_of(peer), should = peer_of(want);
    assert_int_equal(trusted_proxies_parse(trusted, &proxies, error, sizeof error), 0);
    struct client_address client =
        client_address(&proxies, &from, lines, first ? (second ? 2 : 1) : 0);
    proxies = (struct trusted_proxies){0};
    struct client_address expected = client_address(&proxies, &should, NULL, 0);
    inet_ntop(AF_INET6, client.bytes, got, sizeof got);
    inet_ntop(AF_INET6, expected.bytes, wanted, sizeof wanted);
    assert_string_equal(got, wanted);
}

static void only_proxies_are_believed(void **unused)
{
    (void)unused;
    check("", "9.9.9.9", "1.1.1.1", NULL, "9.9.9.9");
    check("10.0.0.0/8", "9.9.9.9", "1.1.1.1", NULL, "9.9.9.9");
    check("10.0.0.0/8", "10.1.2.3", "1.1.1.1", NULL, "1.1.1.1");
    check("10.0.0.0/8", "10.1.2.3", NULL, NULL, "10.1.2.3");
    check("10.0.0.0/9", "10.200.2.3", "1.1.1.1", NULL, "10.200.2.3");
    check("fd00::/8", "fd12::1", "2001:db8::1", NULL, "2001:db8::1");
    check("10.0.0.1", "::ffff:10.0.0.1", "1.1.1.1", NULL, "1.1.1.1");
    check("", "unix", "1.1.1.1", NULL, "unix");
    check("unix", "unix", "1.1.1.1", NULL, "1.1.1.1");
}

static void the_rightmost_that_is_no_proxy_counts(void **unused)
{
    (void)unused;
    const char *trusted = "10.0.0.0/8, 127.0.0.1";
    check(trusted, "127.0.0.1", "6.6.6.6, 1.1.1.1", NULL, "1.1.1.1");
    check(trusted, "127.0.0.1", "6.6.6.6, 1.1.1.1 ,10.0.0.7", NULL, "1.1.1.1");
    /* A proxy may add a line of its own: what the client sent is before it. */
    check(trusted, "127.0.0.1", "6.6.6.6", "1.1.1.1", "1.1.1.1");
    check(trusted, "127.0.0.1", "6.6.6.6, 1.1.1.1", "10.0.0.7", "1.1.1.1");
    /* All are proxies: the one farthest away. */
    check(trusted, "127.0.0.1", "10.0.0.9,10.0.0.8", NULL, "10.0.0.9");
    /* What is no address ends the search. */
    check(trusted, "127.0.0.1", "1.1.1.1, unknown", NULL, "127.0.0.1");
    check(trusted, "127.0.0.1", "1.1.1.1, _hidden, 10.0.0.8", NULL, "10.0.0.8");
    check(trusted, "127.0.0.1", "", NULL, "127.0.0.1");
    check(trusted, "127.0.0.1", ",", NULL, "127.0.0.1");
    check(trusted, "127.0.0.1", "1.1.1.1:4711", NULL, "1.1.1.1");
    check(trusted, "127.0.0.1", "[2001:db8::7]:4711", NULL, "2001:db8::7");
    check(trusted, "127.0.0.1", "2001:db8::7", NULL, "2001:db8::7");
}

static void a_64_is_one_ipv6_client(void **unused)
{
    (void)unused;
    struct trusted_proxies none = {0};
    struct sockaddr_storage v4 = peer_of("1.1.1.1"), v6 = peer_of("2001:db8::1");
    struct client_address one = client_address(&none, &v4, NULL, 0);
    struct client_address other = client_address(&none, &v6, NULL, 0);
    assert_int_equal(client_address_length(&one), 16);
    assert_int_equal(client_address_length(&other), 8);
}

static void what_is_no_proxy_is_named(void **unused)
{
    (void)unused;
    const char *const bad[] = {"10.0.0",      "10.0.0.1/33", "fd00::/129", "10.0.0.1/",
                               "proxy.local", "10.0.0.1/-1", "10.0.0.1/8x"};
    struct trusted_proxies proxies;
    char error[256], many[1024] = "";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(trusted_proxies_parse(bad[i], &proxies, error, sizeof error), -1);
        assert_non_null(strstr(error, bad[i]));
    }
    for (int i = 0; i <= TRUSTED_PROXIES_MAX; i++)
        strcat(many, "10.0.0.1 ");
    assert_int_equal(trusted_proxies_parse(many, &proxies, error, sizeof error), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_proxies_are_believed),
        cmocka_unit_test(the_rightmost_that_is_no_proxy_counts),
        cmocka_unit_test(a_64_is_one_ipv6_client),
        cmocka_unit_test(what_is_no_proxy_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
