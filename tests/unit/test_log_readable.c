/* SPDX-License-Identifier: MIT */
/* Log lines for people: nothing a client sent is obeyed by the terminal, and what is cut is cut
 * between characters. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "common/log_readable.h"

static char text[4096];
static struct readable out;

static void begin(size_t size, bool colour)
{
    memset(text, '#', sizeof text);
    out = (struct readable){.text = text, .size = size, .colour = colour};
}

static const char *shown(const char *given, size_t length)
{
    begin(sizeof text, false);
    readable_text(&out, given, length);
    text[out.length] = '\0';
    return text;
}

#define SHOWN(literal) shown(literal, sizeof(literal) - 1)

static void ordinary_text_stays(void **unused)
{
    (void)unused;
    assert_string_equal(SHOWN("GET /data/items 200"), "GET /data/items 200");
    assert_string_equal(SHOWN("Grüße, 世界 😀 \\ \""), "Grüße, 世界 😀 \\ \"");
    assert_string_equal(SHOWN(""), "");
}

static void what_a_terminal_obeys_is_made_visible(void **unused)
{
    (void)unused;
    assert_string_equal(SHOWN("\033[2J\033]0;x\007"), "\\x1b[2J\\x1b]0;x\\x07");
    assert_string_equal(SHOWN("a\nb\tc\rd\be\x7f"), "a\\nb\\tc\\x0dd\\x08e\\x7f");
    assert_string_equal(SHOWN("a\0b"), "a\\x00b");
    assert_string_equal(SHOWN("\xc2\x9b"
                              "31m"),
                        "\\x9b31m"); /* CSI of 8 bits, as UTF-8 */
    assert_string_equal(SHOWN("\x9b"
                              "31m"),
                        "\\x9b31m"); /* and bare */
    assert_string_equal(SHOWN("a\xe2\x80\xae"
                              "b"),
                        "a\\u202eb");
    assert_string_equal(SHOWN("a\xe2\x81\xa6"
                              "b\xe2\x80\xa8"),
                        "a\\u2066b\\u2028");
}

static void what_is_no_utf8_is_made_visible(void **unused)
{
    (void)unused;
    assert_string_equal(SHOWN("\xff\xfe"), "\\xff\\xfe");
    assert_string_equal(SHOWN("\xc0\xaf"), "\\xc0\\xaf");          /* overlong */
    assert_string_equal(SHOWN("\xed\xa0\x80"), "\\xed\\xa0\\x80"); /* a surrogate */
    assert_string_equal(SHOWN("\xe2\x82"), "\\xe2\\x82");          /* cut */
}

static void a_whole_line(void **unused)
{
    (void)unused;
    begin(sizeof text, false);
    readable_begin(&out, "2026-01-31T23:59:58.123456Z", LOG_WARNING, "worker", 3, "request",
                   "GET / 404", 9);
    readable_field(&out, "status", "404", 3);
    readable_field(&out, "user", "a\033b", 3);
    readable_end(&out);
    text[out.length] = '\0';
    assert_string_equal(text, "23:59:58.123 worker 3   request            GET / 404  status=404  "
                              "user=a\\x1bb\n");
}

static void colours_are_ended(void **unused)
{
    (void)unused;
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        begin(sizeof text, true);
        readable_begin(&out, "odd\033time", (enum log_level)level, "supervisor", -1, "note", "m",
                       1);
        readable_field(&out, "k", "v", 1);
        readable_end(&out);
        text[out.length] = '\0';
        const char *last = strrchr(text, '\033');
        assert_non_null(last);
        assert_int_equal(strncmp(last, "\033[0m", 4), 0);
        assert_null(strstr(text, "odd\033"));
    }
}

/* Whatever the room: never beyond it, always a line, always in no colour at its end. */
static void any_room_is_kept_to(void **unused)
{
    (void)unused;
    static const char message[] = "Grüße \033 aus der Welt";
    static const char value[] = "value \033 世界";
    for (size_t size = 64; size < 400; size++) {
        begin(size, true);
        readable_begin(&out, "2026-01-31T23:59:58.123456Z", LOG_ERROR, "worker", 12,
                       "a_long_name_of_an_event", message, strlen(message));
        for (unsigned i = 0; i < 10; i++)
            readable_field(&out, "key", value, strlen(value));
        readable_end(&out);
        assert_true(out.length <= size);
        assert_int_equal(text[out.length - 1], '\n');
        assert_int_equal(text[size], '#');
        text[out.length] = '\0';
        const char *last = strrchr(text, '\033');
        assert_int_equal(strncmp(last, "\033[0m", 4), 0);
    }
}

static void levels_have_names(void **unused)
{
    (void)unused;
    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++)
        assert_int_equal(log_level_of(log_level_name((enum log_level)level)), level);
    assert_int_equal(log_level_of("loud"), -1);
    assert_int_equal(log_level_of(""), -1);
}

static void no_colour_without_a_terminal(void **unused)
{
    (void)unused;
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    assert_false(terminal_wants_colour(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_text_stays),
        cmocka_unit_test(what_a_terminal_obeys_is_made_visible),
        cmocka_unit_test(what_is_no_utf8_is_made_visible),
        cmocka_unit_test(a_whole_line),
        cmocka_unit_test(colours_are_ended),
        cmocka_unit_test(any_room_is_kept_to),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(no_colour_without_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
