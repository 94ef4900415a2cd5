/* SPDX-License-Identifier: MIT */
/* The load and the server of a drill file. */
#include <stdio.h>
#include <string.h>

#include "common/config.h"
#include "tools/drill/spec_parts.h"

static const struct field load_fields[] = {
    TEXT("profile", spec_load, profile),
    TEXT("mix", spec_load, mix),
    TEXT("arrivals", spec_load, arrivals),
    TEXT("retry", spec_load, retry),
    NUMBER("rps", spec_load, rps, 0.1, 100000),
    NUMBER("timeout_s", spec_load, timeout_s, 0.01, 600),
    COUNT("attempts", spec_load, attempts, 1, 100),
    COUNT("connections", spec_load, connections, 1, 60000),
    COUNT("users", spec_load, users, 1, 10000),
    COUNT("seed", spec_load, seed, 1, 1e9),
    FLAG("no_audit", spec_load, no_audit),
    FLAG("allow_429", spec_load, allow_429),
    TEXT("more", spec_load, more),
};

void spec_take_load(struct reader *reader, const json_t *value, void *load)
{
    fields_take(reader, value, load_fields, COUNT_OF(load_fields), load);
}

static void take_overrides(struct reader *reader, const json_t *value, void *object)
{
    struct spec_server *server = object;
    static struct config config; /* large; only to hear config_set's opinion */
    const char *key;
    json_t *text;
    char error[256];
    if (!json_is_object(value))
        fields_fail(reader, "want an object of configuration keys");
    config_defaults(&config);
    json_object_foreach((json_t *)value, key, text)
    {
        size_t length = fields_enter(reader, key);
        char plain[64];
        if (json_is_integer(text))
            snprintf(plain, sizeof plain, "%lld", (long long)json_integer_value(text));
        else
            snprintf(plain, sizeof plain, "%s",
                     json_string_value(text) ? json_string_value(text) : "");
        if (!json_is_integer(text) && !json_is_string(text))
            fields_fail(reader, "want a text or a whole number");
        else if (server->override_count == SPEC_OVERRIDES)
            fields_fail(reader, "more than %d overrides", SPEC_OVERRIDES);
        else if (strcmp(key, "listen") == 0 || strcmp(key, "console.listen") == 0 ||
                 strcmp(key, "data_dir") == 0 || strcmp(key, "faults.enabled") == 0)
            fields_fail(reader, "is the drill's own business%s",
                        *key == 'f' ? "; say server.faults" : "");
        else if (config_set(&config, key, plain, error, sizeof error) < 0)
            fields_fail(reader, "%s", error);
        else {
            struct spec_override *override = &server->override[server->override_count++];
            snprintf(override->key, sizeof override->key, "%s", key);
            snprintf(override->value, sizeof override->value, "%s", plain);
        }
        fields_leave(reader, length);
        if (reader->failed)
            return;
    }
    if (config_check(&config, error, sizeof error) < 0)
        fields_fail(reader, "%s", error);
}

static const struct field server_fields[] = {
    COUNT("workers", spec_server, workers, 1, WORKERS_MAX),
    FLAG("faults", spec_server, faults),
    COUNT("tmpfs_mib", spec_server, tmpfs_mib, 1, 4096),
    COUNT("descriptors", spec_server, descriptors, 512, 1000000),
    SPECIAL("overrides", take_overrides),
};

void spec_take_server(struct reader *reader, const json_t *value, void *server)
{
    fields_take(reader, value, server_fields, COUNT_OF(server_fields), server);
}
