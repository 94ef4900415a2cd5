/* SPDX-License-Identifier: MIT */
#include "supervisor/console/reply.h"

#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json_out.h"

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 421:
        return "Misdirected Request";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Internal Server Error";
    }
}

void reply_begin(struct reply *reply, struct mg_connection *connection)
{
    const char *id = mg_get_header(connection, "X-Request-Id");
    const char *trace = mg_get_header(connection, "traceparent");
    *reply = (struct reply){.connection = connection};
    request_id_choose(id, id ? strlen(id) : 0, reply->request_id);
    if (trace)
        traceparent_parse(trace, strlen(trace), reply->traceparent);
}

/* framing: the line that says where the body ends, "" for at the connection's end. */
static void send_head(const struct reply *reply, int status, const char *content_type,
                      const char *framing, const char *extra_headers)
{
    char header[1024], date[CLOCK_HTTP_DATE_SIZE], connection[64],
        trace[TRACEPARENT_LENGTH + 20] = "";
    clock_http_date(date, clock_wall_us());
    if (reply->close)
        mg_disable_connection_keep_alive(reply->connection);
    snprintf(connection, sizeof connection,
             reply->close ? "Connection: close\r\n" : "Keep-Alive: timeout=%u\r\n",
             reply->keepalive_s);
    if (reply->traceparent[0])
        snprintf(trace, sizeof trace, "traceparent: %s\r\n", reply->traceparent);
    int size = snprintf(header, sizeof header,
                        "HTTP/1.1 %d %s\r\n"
                        "Date: %s\r\n"
                        "Content-Type: %s\r\n"
                        "%s"
                        "Cache-Control: %s\r\n"
                        "X-Content-Type-Options: nosniff\r\n"
                        "X-Request-Id: %s\r\n"
                        "%s%s%s\r\n",
                        status, reason_phrase(status), date, content_type, framing,
                        reply->caching ? reply->caching : "no-store", reply->request_id, trace,
                        connection, extra_headers);
    CHECK(size > 0 && (size_t)size < sizeof header);
    mg_write(reply->connection, header, (size_t)size);
}

int reply_send(const struct reply *reply, int status, const char *content_type,
               const char *extra_headers, const char *body, size_t length)
{
    char framing[64];
    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", length);
    send_head(reply, status, content_type, framing, extra_headers);
    if (!reply->head && length > 0)
        mg_write(reply->connection, body, length);
    return status;
}

/* ---- answers sent as they are made --------------------------------------------------------- */

static void send_part(struct reply_stream *stream, const char *text, size_t length)
{
    if (!stream->failed && length > 0)
        stream->failed = mg_write(stream->reply->connection, text, length) != (int)length;
}

static void flush_part(struct reply_stream *stream)
{
    char size[24];
    if (stream->length == 0)
        return;
    if (stream->chunked)
        send_part(stream, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", stream->length));
    send_part(stream, stream->buffer, stream->length);
    if (stream->chunked)
        send_part(stream, "\r\n", 2);
    stream->length = 0;
}

void reply_stream_begin(struct reply_stream *stream, struct reply *reply, const char *content_type,
                        const char *extra_headers)
{
    const char *version = mg_get_request_info(reply->connection)->http_version;
    stream->reply = reply;
    stream->chunked = version && strcmp(version, "1.0") != 0;
    stream->failed = reply->head;
    stream->length = 0;
    reply->close |= !stream->chunked;
    send_head(reply, 200, content_type, stream->chunked ? "Transfer-Encoding: chunked\r\n" : "",
              extra_headers);
}

void reply_stream_put(struct reply_stream *stream, const char *text, size_t length)
{
    while (length > 0 && !stream->failed) {
        size_t room = sizeof stream->buffer - stream->length;
        size_t part = length < room ? length : room;
        memcpy(stream->buffer + stream->length, text, part);
        stream->length += part;
        text += part;
        length -= part;
        if (stream->length == sizeof stream->buffer)
            flush_part(stream);
    }
}

int reply_stream_end(struct reply_stream *stream)
{
    flush_part(stream);
    if (stream->chunked)
        send_part(stream, "0\r\n\r\n", 5);
    return 200;
}

int reply_problem(const struct reply *reply, int status, const char *slug, const char *detail,
                  const char *extra_headers)
{
    char body[1024], type[64];
    struct json_out json;
    snprintf(type, sizeof type, "/problems/%s", slug);
    json_out_init(&json, body, sizeof body);
    json_object_begin(&json);
    json_key_string(&json, "type", type);
    json_key_string(&json, "title", reason_phrase(status));
    json_key_int(&json, "status", status);
    json_key_string(&json, "detail", detail);
    json_key_string(&json, "instance", reply->request_id);
    if (reply->traceparent[0])
        json_key_string(&json, "traceparent", reply->traceparent);
    if (status == 503)
        json_key_uint(&json, "retry_after_ms", 1000);
    json_object_end(&json);
    return reply_send(reply, status, "application/problem+json", extra_headers, body, json.length);
}
