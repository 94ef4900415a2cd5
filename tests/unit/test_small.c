/* SPDX-License-Identifier: MIT */
/* The small modules of common/: JSON, UTF-8, UUID, backoff, clock, labels, configuration. */
#include "tests/unit/unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/json_out.h"
#include "common/labels.h"
#include "common/utf8.h"
#include "common/uuid7.h"

static void json_is_read_back_by_a_parser(void **unused)
{
    (void)unused;
    char text[512];
    struct json_out out;
    json_out_init(&out, text, sizeof text);
    json_object_begin(&out);
    json_key_string(&out, "text", "quote \" back \\ line \n bell \x07 é");
    json_key_int(&out, "negative", -5);
    json_key_bool(&out, "yes", true);
    json_key_double(&out, "nan", 0.0 / 0.0);
    json_key(&out, "list");
    json_array_begin(&out);
    json_uint(&out, 1);
    json_none(&out);
    json_object_begin(&out);
    json_object_end(&out);
    json_array_end(&out);
    json_object_end(&out);
    assert_false(out.overflow);
    json_t *read = json_loads(text, 0, NULL);
    assert_non_null(read);
    assert_string_equal(json_string_value(json_object_get(read, "text")),
                        "quote \" back \\ line \n bell \x07 é");
    assert_int_equal(json_integer_value(json_object_get(read, "negative")), -5);
    assert_true(json_is_null(json_object_get(read, "nan")));
    assert_int_equal(json_array_size(json_object_get(read, "list")), 3);
    json_decref(read);
}

static void json_never_carries_bad_utf8(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"\xff", "a\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80",
                                      "x\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[64];
        struct json_out out;
        assert_false(utf8_valid(bad[i], strlen(bad[i]), NULL));
        json_out_init(&out, text, sizeof text);
        json_array_begin(&out);
        json_text(&out, bad[i]);
        json_array_end(&out);
        json_t *read = json_loads(text, 0, NULL);
        assert_non_null(read);
        json_decref(read);
    }
}

static void json_stops_at_the_end_of_its_buffer(void **unused)
{
    (void)unused;
    for (size_t size = 1; size < 24; size++) {
        char text[32];
        struct json_out out;
        memset(text, 'Z', sizeof text);
        json_out_init(&out, text, size);
        json_array_begin(&out);
        json_text(&out, "0123456789");
        json_int(&out, 12345);
        json_array_end(&out);
        assert_int_equal(out.overflow, size < sizeof "[\"0123456789\",12345]");
        assert_int_equal(text[size], 'Z');
    }
}

static void characters_are_code_points(void **unused)
{
    (void)unused;
    size_t n;
    assert_true(utf8_valid("aé€😀", strlen("aé€😀"), &n));
    assert_int_equal(n, 4);
}

static void uuids_are_ordered_and_valid(void **unused)
{
    (void)unused;
    char last[UUID_TEXT_SIZE] = "", next[UUID_TEXT_SIZE];
    for (int i = 0; i < 20000; i++) {
        uuid7_make(next);
        assert_true(uuid_valid(next));
        assert_int_equal(next[14], '7');
        assert_true(strncmp(next, last, 18) > 0); /* the time bits alone already grow */
        memcpy(last, next, sizeof last);
    }
    /* RFC 9562, appendix A.6: 2022-02-22T19:22:22Z is 017F22E2-79B0. */
    uuid7_format(next, UINT64_C(1645557742000) * NS_PER_MS, 0);
    assert_memory_equal(next, "017f22e2-79b0-7000-8000-000000000000", 36);
    assert_false(uuid_valid("017F22E2-79B0-7000-8000-000000000000"));
    assert_false(uuid_valid("017f22e2-79b0-7000-8000-00000000000"));
    assert_false(uuid_valid("017f22e2-79b0-7000-8000-0000000000000"));
    assert_false(uuid_valid(""));
}

static void backoff_stays_in_its_bounds(void **unused)
{
    (void)unused;
    const struct backoff backoff = {.floor_ns = 100, .base_ns = 200, .cap_ns = 5000};
    uint64_t state = 7, largest = 0;
    for (unsigned attempt = 0; attempt < 100; attempt++)
        for (int i = 0; i < 200; i++) {
            uint64_t wait = backoff_wait_ns(&backoff, attempt, random_next(&state));
            uint64_t ceiling = attempt < 5 ? UINT64_C(200) << attempt : 5000;
            assert_in_range(wait, 100, ceiling > 5000 ? 5000 : ceiling);
            largest = wait > largest ? wait : largest;
        }
    assert_true(largest > 4900); /* and uses them */
}

static void time_is_written_as_rfc_3339(void **unused)
{
    (void)unused;
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, UINT64_C(1645557742000042));
    assert_string_equal(text, "2022-02-22T19:22:22.000042Z");
    assert_int_equal(clock_ms_until(10 * NS_PER_MS + 1, 0, 1000), 11);
    assert_int_equal(clock_ms_until(5, 9, 1000), 0);
    assert_int_equal(clock_ms_until(NS_PER_S * 60, 0, 1000), 1000);
}

static void labels_have_names(void **unused)
{
    (void)unused;
    assert_string_equal(class_name(CLASS_WRITE), "write");
    assert_string_equal(class_name(1000), "?");
    assert_int_equal(status_index(404), STATUS_404);
    assert_int_equal(status_code(STATUS_404), 404);
    assert_int_equal(status_index(299), STATUS_0);
    for (unsigned i = 0; i < DEATH_COUNT; i++) /* a restart's reason may be a death */
        assert_string_equal(death_name(i), restart_reason_name(i));
}

/* That every event has one is the list's doing: a row without it does not compile. */
static void an_event_has_one_tone_everywhere(void **unused)
{
    (void)unused;
    assert_int_equal(event_tone(EVENT_LAST_RESORT_BEGAN), EVENT_TONE_BAD);
    assert_int_equal(event_tone(EVENT_LAST_RESORT_ENDED), EVENT_TONE_GOOD);
    assert_int_equal(event_tone(EVENT_DB_STALLED), EVENT_TONE_WARN);
    assert_int_equal(event_tone(EVENT_FAULT_START), EVENT_TONE_FAULT);
    assert_int_equal(event_tone(EVENT_COUNT), EVENT_TONE_INFO);
    assert_string_equal(event_tone_name(EVENT_TONE_FAULT), "fault");
    assert_string_equal(event_tone_name(EVENT_TONE_COUNT), "?");
}

static void configuration_takes_what_it_prints(void **unused)
{
    (void)unused;
    struct config config, again;
    char value[300], error[256];
    config_defaults(&config);
    config_defaults(&again);
    for (size_t i = 0; i < config_keys_count; i++) {
        config_value(&config, i, value, sizeof value);
        assert_int_equal(config_set(&again, config_keys[i].key, value, error, sizeof error), 0);
    }
    assert_memory_equal(&config, &again, sizeof config);
    assert_int_equal(config_check(&config, error, sizeof error), 0);
}

static void configuration_names_what_is_wrong(void **unused)
{
    (void)unused;
    static const struct {
        const char *key, *value, *says;
    } rows[] = {
        {"worker.threads", "7", "from 8 to 128"},
        {"worker.threads", "129", "from 8 to 128"},
        {"worker.threads", "", "want a whole number"},
        {"worker.threads", "64x", "64x"},
        {"worker.threads", "-1", "want a whole"},
        {"worker.threads", "99999999999999999999", "want"},
        {"durability", "maybe", "full|normal"},
        {"durability", "ful", "full|normal"},
        {"no.such.key", "1", "unknown key \"no.such.key\""},
        {"listen", "", "ADDRESS:PORT"},
    };
    struct config config, before;
    config_defaults(&config);
    before = config;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char error[256] = "";
        assert_int_equal(config_set(&config, rows[i].key, rows[i].value, error, sizeof error), -1);
        if (!strstr(error, rows[i].says))
            fail_msg("\"%s\" does not say \"%s\"", error, rows[i].says);
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static void keys_that_disagree_are_named(void **unused)
{
    (void)unused;
    struct config config;
    char error[256];
    config_defaults(&config);
    config_set(&config, "bulkhead.read", "40", error, sizeof error);
    assert_int_equal(config_check(&config, error, sizeof error), -1);
    assert_non_null(strstr(error, "bulkhead.read"));
    assert_non_null(strstr(error, "worker.threads"));
    /* 16 + 8 reads, 16 + 8 writes, 1 + 4 logins are 53; four threads are kept for probes */
    config_defaults(&config);
    config.worker_threads = 57;
    assert_int_equal(config_check(&config, error, sizeof error), 0);
    config.bulkhead_auth = 2;
    assert_int_equal(config_check(&config, error, sizeof error), -1);
    assert_non_null(strstr(error, "bulkhead.auth = 2"));
    assert_non_null(strstr(error, "at least 58, it is 57"));
}

static void steps_of_the_log_are_in_order(void **unused)
{
    (void)unused;
    static struct config config;
    char error[200];
    config_defaults(&config);
    assert_int_equal(config_check(&config, error, sizeof error), 0);
    config.wal_soft_mib = config.wal_hard_mib = config.wal_ceiling_mib = 20;
    assert_int_equal(config_check(&config, error, sizeof error), 0);
    config.wal_soft_mib = 21;
    assert_int_equal(config_check(&config, error, sizeof error), -1);
    assert_string_equal(error, "wal.soft = 21 is more than wal.hard = 20");
    config.wal_soft_mib = 1;
    config.wal_ceiling_mib = 19;
    assert_int_equal(config_check(&config, error, sizeof error), -1);
    assert_string_equal(error, "wal.hard = 20 is more than wal.ceiling = 19");
}

static void the_fast_window_fits_into_the_window(void **unused)
{
    (void)unused;
    static struct config config;
    char error[200];
    config_defaults(&config);
    config.breaker_window_s = 1;
    assert_int_equal(config_check(&config, error, sizeof error), -1);
    assert_string_equal(error, "breaker.fast_window = 2 is more than breaker.window = 1");
    config.breaker_window_s = 0; /* no breaker */
    assert_int_equal(config_check(&config, error, sizeof error), 0);
}

static void a_limit_without_a_burst_is_refused(void **unused)
{
    (void)unused;
    static struct config config;
    char error[256];
    config_defaults(&config);
    config.ratelimit_write_burst = 0;
    assert_int_equal(config_check(&config, error, sizeof error), -1);
    assert_string_equal(error, "ratelimit.write_burst = 0 with ratelimit.write = 500 would refuse "
                               "everything; set ratelimit.write = 0 for no limit");
    config.ratelimit_write = 0;
    assert_int_equal(config_check(&config, error, sizeof error), 0);
    config_set(&config, "trusted_proxies", "10.0.0.1, 10.0.0.300", error, sizeof error);
    assert_int_equal(config_check(&config, error, sizeof error), -1);
    assert_non_null(strstr(error, "trusted_proxies: \"10.0.0.300\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fast_window_fits_into_the_window),
        cmocka_unit_test(json_is_read_back_by_a_parser),
        cmocka_unit_test(json_never_carries_bad_utf8),
        cmocka_unit_test(json_stops_at_the_end_of_its_buffer),
        cmocka_unit_test(characters_are_code_points),
        cmocka_unit_test(uuids_are_ordered_and_valid),
        cmocka_unit_test(backoff_stays_in_its_bounds),
        cmocka_unit_test(time_is_written_as_rfc_3339),
        cmocka_unit_test(labels_have_names),
        cmocka_unit_test(an_event_has_one_tone_everywhere),
        cmocka_unit_test(configuration_takes_what_it_prints),
        cmocka_unit_test(configuration_names_what_is_wrong),
        cmocka_unit_test(keys_that_disagree_are_named),
        cmocka_unit_test(steps_of_the_log_are_in_order),
        cmocka_unit_test(a_limit_without_a_burst_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
