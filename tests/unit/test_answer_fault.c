/* SPDX-License-Identifier: MIT */
/* A wrong answer is one byte away from the right one, and still JSON where that can be. */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <string.h>

#include "worker/answer_fault.h"

/* The door is not linked here (GNUmakefile), and nothing is reset. */
void front_door_reset(const struct mg_connection *connection)
{
    (void)connection;
}

static size_t distance(const char *a, const char *b, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += a[i] != b[i];
    return count;
}

static void an_item_keeps_its_form_and_loses_its_truth(void **state)
{
    (void)state;
    static const char item[] = "{\"id\":\"0197-a\",\"title\":\"a "
                               "\\\"\\u00e9\\n9z\",\"body\":\"\xc3\xa9 Zq\",\"version\":3,"
                               "\"created_at\":\"2026-01-01T00:00:00Z\"}";
    const size_t length = sizeof item - 1;
    bool place_met[sizeof item] = {false};
    for (uint64_t random = 0; random < 200; random++) {
        char copy[sizeof item];
        memcpy(copy, item, sizeof item);
        place_met[answer_fault_alter(copy, length, random * UINT64_C(0x9E3779B97F4A7C15))] = true;
        assert_int_equal(distance(copy, item, length), 1);
        json_t *before = json_loads(item, 0, NULL), *after = json_loads(copy, 0, NULL);
        assert_non_null(after);
        assert_false(json_equal(before, after));
        /* What the server set is left alone: a client could not know it. */
        assert_true(json_equal(json_object_get(before, "id"), json_object_get(after, "id")));
        assert_true(json_equal(json_object_get(before, "created_at"),
                               json_object_get(after, "created_at")));
        json_decref(before);
        json_decref(after);
    }
    /* a 9 z Z q, and nothing of an escape or of another character. */
    size_t places = 0;
    for (size_t i = 0; i < length; i++)
        places += place_met[i];
    assert_int_equal(places, 5);
}

static void without_a_clients_text_any_string_will_do(void **state)
{
    (void)state;
    char list[] = "{\"items\":[],\"next_cursor\":\"b\"}";
    answer_fault_alter(list, strlen(list), 7);
    assert_string_equal(list, "{\"items\":[],\"next_cursor\":\"c\"}");
    char wrapped[] = "{\"title\":\"!\",\"x\":\"9\"}";
    answer_fault_alter(wrapped, strlen(wrapped), 7);
    assert_string_equal(wrapped, "{\"title\":\"!\",\"x\":\"0\"}");
}

static void without_any_string_it_is_some_byte(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "{\"n\":1}", "x", "\"", "\"\\", "\"\\u12"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (uint64_t random = 0; random < 9; random++) {
            char copy[16];
            strcpy(copy, texts[i]);
            answer_fault_alter(copy, strlen(texts[i]), random);
            assert_int_equal(distance(copy, texts[i], strlen(texts[i])), 1);
            assert_int_equal(strlen(copy), strlen(texts[i]));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_keeps_its_form_and_loses_its_truth),
        cmocka_unit_test(without_a_clients_text_any_string_will_do),
        cmocka_unit_test(without_any_string_it_is_some_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
