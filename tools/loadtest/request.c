/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/json_out.h"
#include "tools/loadtest/payload.h"

struct writer {
    char *out;
    size_t length;
    bool overflow;
};

static void add(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct writer *writer, const char *format, ...)
{
    va_list arguments;
    size_t room = REQUEST_BYTES - writer->length;
    va_start(arguments, format);
    int n = vsnprintf(writer->out + writer->length, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room)
        writer->overflow = true;
    else
        writer->length += (size_t)n;
}

/* A cursor is opaque: everything but the unreserved characters of RFC 3986 is escaped. */
static void add_escaped(struct writer *writer, const char *text)
{
    static const char unreserved[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text; text++) {
        if (strchr(unreserved, *text))
            add(writer, "%c", *text);
        else
            add(writer, "%%%02X", (unsigned char)*text);
    }
}

static void add_target(struct writer *writer, const struct request *request,
                       const struct ledger_entry *entry, const char *prefix)
{
    switch (request->kind) {
    case REQUEST_READ:
    case REQUEST_VERIFY:
        add(writer, "GET %s/data/items/", prefix);
        add_escaped(writer, entry->id);
        break;
    case REQUEST_CREATE:
        add(writer, "POST %s/data/items", prefix);
        break;
    case REQUEST_LOGIN:
        add(writer, "POST %s/auth/login", prefix);
        break;
    case REQUEST_HEALTH:
        add(writer, "GET %s/health", prefix);
        break;
    case REQUEST_GET:
        add(writer, "GET %s%s", prefix, request->path);
        break;
    case REQUEST_LIST:
    case REQUEST_WALK:
        add(writer, "GET %s/data/items?limit=%u", prefix, request->limit);
        if (request->cursor && *request->cursor) {
            add(writer, "&cursor=");
            add_escaped(writer, request->cursor);
        }
        break;
    }
}

/* The JSON of a create or a login; length 0 for requests without a body. */
static size_t write_json(char *out, size_t size, const struct request *request,
                         const struct account *account, const struct ledger_entry *entry)
{
    struct json_out json;
    json_out_init(&json, out, size);
    if (request->kind == REQUEST_CREATE) {
        char title[PAYLOAD_TITLE_SIZE], body[PAYLOAD_BODY_SIZE];
        payload_title(title, entry->key);
        payload_body(body, entry->key);
        json_object_begin(&json);
        json_key_string(&json, "title", title);
        json_key_string(&json, "body", body);
        json_object_end(&json);
    } else if (request->kind == REQUEST_LOGIN) {
        json_object_begin(&json);
        json_key_string(&json, "username", account->name);
        json_key_string(&json, "password", account->password);
        json_object_end(&json);
    }
    return json.overflow ? size : json.length;
}

enum load_kind request_load_kind(const struct request *request)
{
    switch (request->kind) {
    case REQUEST_CREATE:
        return LOAD_WRITE;
    case REQUEST_LIST:
        return LOAD_LIST;
    case REQUEST_LOGIN:
        return LOAD_LOGIN;
    case REQUEST_HEALTH:
        return LOAD_HEALTH;
    case REQUEST_GET:
        return LOAD_GET;
    default:
        return LOAD_READ;
    }
}

size_t request_write(char out[REQUEST_BYTES], const struct request *request,
                     const struct target *target, const struct account *account,
                     const struct ledger_entry *entry, const char *run)
{
    char json[REQUEST_BYTES / 2];
    size_t json_length = write_json(json, sizeof json, request, account, entry);
    struct writer writer = {.out = out};
    add_target(&writer, request, entry, target->prefix);
    add(&writer,
        " HTTP/1.1\r\n"
        "Host: %s\r\n"
        "User-Agent: bulkhead-loadtest\r\n"
        "Accept: application/json\r\n"
        "X-Request-Id: %s-%llu.%u\r\n"
        "X-Retry-Attempt: %u\r\n",
        target->authority, run, (unsigned long long)request->number, request->attempt,
        request->attempt);
    if (request->kind != REQUEST_LOGIN && request->kind != REQUEST_HEALTH &&
        request->kind != REQUEST_GET)
        add(&writer, "Authorization: Bearer %s\r\n", account->token);
    if (request->kind == REQUEST_CREATE)
        add(&writer, "Idempotency-Key: \"%s\"\r\n", entry->key);
    if (json_length > 0)
        add(&writer, "Content-Type: application/json\r\nContent-Length: %zu\r\n", json_length);
    add(&writer, "\r\n");
    if (writer.overflow || json_length >= sizeof json ||
        json_length >= REQUEST_BYTES - writer.length)
        return 0;
    memcpy(out + writer.length, json, json_length);
    return writer.length + json_length;
}
