/* SPDX-License-Identifier: MIT */
/* The item as the API shows it. */
#include <stdlib.h>

#include "common/clock.h"
#include "common/json_out.h"
#include "worker/store.h"

static void key_time(struct json_out *out, const char *key, uint64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339(text, wall_us);
    json_key_string(out, key, text);
}

size_t item_json(const struct item *item, bool with_body, char *out, size_t size)
{
    struct json_out json;
    if (size == 0)
        return 0;
    json_out_init(&json, out, size);
    json_object_begin(&json);
    json_key_string(&json, "id", item->id);
    json_key(&json, "title");
    json_text_n(&json, item->title, item->title_length);
    if (with_body) {
        json_key(&json, "body");
        if (item->body)
            json_text_n(&json, item->body, item->body_length);
        else
            json_none(&json);
    }
    json_key_uint(&json, "version", item->version);
    key_time(&json, "created_at", item->created_us);
    key_time(&json, "updated_at", item->updated_us);
    json_object_end(&json);
    return json.overflow ? 0 : json.length;
}

void item_free(struct item *item)
{
    free(item->title);
    free(item->body);
    item->title = item->body = NULL;
}
