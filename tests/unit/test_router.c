/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#include "common/router.h"

#define ID "01a1fba7-e5d9-7af5-a808-6686303f4709"

static struct route match(const char *method, const char *path)
{
    struct route route;
    router_match(method, path, &route);
    return route;
}

static void found(const char *method, const char *path, enum endpoint endpoint)
{
    struct route route = match(method, path);
    assert_int_equal(route.result, ROUTE_FOUND);
    assert_int_equal(route.endpoint, endpoint);
}

static void every_endpoint_is_found_with_and_without_version(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENDPOINT_OPTIONS; i++) {
        char path[128], versioned[132];
        const char *template = endpoint_route(i), *id = strstr(template, "{id}");
        snprintf(path, sizeof path, "%.*s%s", id ? (int)(id - template) : 100, template,
                 id ? ID : "");
        snprintf(versioned, sizeof versioned, "/v1%s", path);
        found(endpoint_method(i), path, (enum endpoint)i);
        found(endpoint_method(i), versioned, (enum endpoint)i);
        assert_false(match(endpoint_method(i), path).versioned);
        assert_true(match(endpoint_method(i), versioned).versioned);
    }
}

static void head_is_get_without_body(void **state)
{
    (void)state;
    found("HEAD", "/data/items", ENDPOINT_ITEM_LIST);
    assert_true(match("HEAD", "/health").head);
    assert_false(match("GET", "/health").head);
    assert_int_equal(match("HEAD", "/auth/login").result, ROUTE_METHOD_NOT_ALLOWED);
}

static void other_methods_are_told_what_is_allowed(void **state)
{
    (void)state;
    struct route route = match("POST", "/data/items/" ID);
    assert_int_equal(route.result, ROUTE_METHOD_NOT_ALLOWED);
    assert_string_equal(route.allow, "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
    assert_int_equal(route.endpoint, ENDPOINT_UNMATCHED);
    assert_string_equal(match("DELETE", "/auth/login").allow, "POST, OPTIONS");
    assert_int_equal(match("get", "/health").result, ROUTE_METHOD_NOT_ALLOWED);
    route = match("OPTIONS", "/data/items");
    assert_int_equal(route.result, ROUTE_OPTIONS);
    assert_int_equal(route.endpoint, ENDPOINT_OPTIONS);
    assert_string_equal(route.allow, "GET, HEAD, POST, OPTIONS");
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/",
        "/v1",
        "/v1/",
        "/v2/health",
        "/v1/v1/health",
        "/Health",
        "/health/",
        "//health",
        "/data/items/",
        "/data/items/" ID "/",
        "/data/items/" ID "/x",
        "/data%2Fitems",
        ("/data/items%2f" ID),
        "/data/../health",
        "/data",
        "/health%20",
        "/health\xff",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct route route = match("GET", paths[i]);
        assert_int_equal(route.result, ROUTE_NOT_FOUND);
        assert_int_equal(route.endpoint, ENDPOINT_UNMATCHED);
        assert_null(route.allow);
    }
}

static void encoded_characters_are_what_they_stand_for(void **state)
{
    (void)state;
    found("GET", "/%64ata/items", ENDPOINT_ITEM_LIST);
    found("GET", "/%76%31/health", ENDPOINT_HEALTH);
    assert_true(match("GET", "/data/items/01a1fba7%2De5d9-7af5-a808-6686303f4709").id_valid);
}

static void bad_encodings_are_malformed_however_long_the_path(void **state)
{
    (void)state;
    static const char *const paths[] = {"",     "health", "*",    "/%",         "/%4",
                                        "/%4g", "/%g4",   "/%00", "/health%00", "/a%0"};
    char longest[600];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(match("GET", paths[i]).result, ROUTE_MALFORMED);
        assert_int_equal(match("GET", paths[i]).endpoint, ENDPOINT_MALFORMED);
    }
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(match("GET", longest).result, ROUTE_NOT_FOUND);
    memcpy(longest + sizeof longest - 4, "%00", 4);
    assert_int_equal(match("GET", longest).result, ROUTE_MALFORMED);
}

static void an_id_is_a_uuid_in_either_case(void **state)
{
    (void)state;
    struct route route = match("GET", "/data/items/01A1FBA7-E5D9-7AF5-A808-6686303F4709");
    assert_true(route.id_valid);
    assert_string_equal(route.id, ID);
    static const char *const others[] = {
        "x",
        "01a1fba7-e5d9-7af5-a808-6686303f470",
        ID "0",
        "01a1fba7e5d9-7af5-a808-6686303f47090",
        "01a1fba7-e5d9-7af5-a808-6686303f470g",
        "01a1fba7-e5d9-7af5-a808-6686303f470%2f",
        "------------------------------------",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char path[96];
        snprintf(path, sizeof path, "/data/items/%s", others[i]);
        route = match("GET", path);
        assert_int_equal(route.result, ROUTE_FOUND); /* who asks is told 401 before 404 */
        assert_int_equal(route.endpoint, ENDPOINT_ITEM_GET);
        assert_false(route.id_valid);
        assert_string_equal(route.id, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endpoint_is_found_with_and_without_version),
        cmocka_unit_test(head_is_get_without_body),
        cmocka_unit_test(other_methods_are_told_what_is_allowed),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(encoded_characters_are_what_they_stand_for),
        cmocka_unit_test(bad_encodings_are_malformed_however_long_the_path),
        cmocka_unit_test(an_id_is_a_uuid_in_either_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
