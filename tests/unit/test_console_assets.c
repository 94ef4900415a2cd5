/* SPDX-License-Identifier: MIT */
/* The page in the console: every file of it is there, as it is on disk, and says what it is. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/console/assets.h"

static void assert_is_file(const char *path, const char *file)
{
    const struct asset *asset = asset_find(path);
    assert_non_null(asset);
    FILE *in = fopen(file, "rb");
    assert_non_null(in);
    size_t size = (size_t)(asset->end - asset->begin);
    char *bytes = malloc(size + 1);
    assert_int_equal(fread(bytes, 1, size + 1, in), size);
    assert_memory_equal(bytes, asset->begin, size);
    free(bytes);
    fclose(in);
}

static void the_page_is_what_is_on_disk(void **unused)
{
    (void)unused;
    assert_is_file("/", "supervisor/console/web/index.html");
    assert_is_file("/style.css", "supervisor/console/web/style.css");
    assert_is_file("/app.js", "supervisor/console/web/app.js");
    assert_is_file("/dygraph.min.js", "/usr/share/javascript/dygraphs/dygraph.min.js");
    assert_null(asset_find("/index.html"));
    assert_null(asset_find("/../etc/passwd"));
    assert_null(asset_find(""));
}

static void types_and_tags(void **unused)
{
    (void)unused;
    assert_string_equal(asset_find("/")->content_type, "text/html; charset=utf-8");
    assert_string_equal(asset_find("/app.js")->content_type, "text/javascript; charset=utf-8");
    for (size_t i = 0; i < assets_count; i++) {
        assert_int_equal(strlen(assets[i].etag), 34);
        assert_int_equal(assets[i].etag[0], '"');
        assert_int_equal(assets[i].etag[33], '"');
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(assets[i].path, assets[j].path);
            assert_string_not_equal(assets[i].etag, assets[j].etag);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_what_is_on_disk),
        cmocka_unit_test(types_and_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
