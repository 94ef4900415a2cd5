/* SPDX-License-Identifier: MIT */
#include "worker/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "worker/json_memory.h"
#include "worker/liveness.h"

#define JSON_DEPTH_MAX 16

static void watch(struct exchange *exchange, int fd)
{
    pthread_mutex_lock(&exchange->body_lock);
    exchange->body_fd = fd;
    exchange->body_limit_ns = clock_now_ns() + BODY_LIMIT_MS * NS_PER_MS;
    pthread_mutex_unlock(&exchange->body_lock);
}

void body_cut_when_late(struct exchange *exchange, uint64_t now_ns)
{
    /* Under the lock: the descriptor is the connection's until the reader takes it back. */
    pthread_mutex_lock(&exchange->body_lock);
    if (exchange->body_fd >= 0 && now_ns > exchange->body_limit_ns) {
        shutdown(exchange->body_fd, SHUT_RD);
        exchange->body_fd = -1;
    }
    pthread_mutex_unlock(&exchange->body_lock);
}

void body_free(struct request *request)
{
    json_memory_free();
    free(request->body);
    request->body = NULL;
    request->body_length = 0;
}

enum problem body_read(struct exchange *exchange, const char **detail)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct request *request = &exchange->request;
    size_t length = (size_t)request->content_length;
    request->body = malloc(length + 1);
    if (!request->body) {
        *detail = "There is no memory for the request.";
        return PROBLEM_INTERNAL_ERROR;
    }
    liveness_stage(STAGE_READ_BODY);
    watch(exchange, exchange->peer.fd);
    if (request->expects_continue)
        mg_write(exchange->connection, go_on, sizeof go_on - 1);
    int got = mg_read(exchange->connection, request->body, length);
    watch(exchange, -1);
    liveness_stage(STAGE_HANDLE);
    if (got != (int)length) {
        *detail = "The request body did not come in time.";
        return PROBLEM_REQUEST_TIMEOUT;
    }
    request->body[length] = '\0';
    request->body_length = length;
    exchange->body_pending = false;
    return PROBLEM_NONE;
}

/* jansson descends up to 2048 levels, which is more than the 100 KiB of stack that civetweb's
 * threads have in Debian: the depth is bounded before. */
static bool nests_too_deeply(const char *text, size_t length)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

json_t *body_json(struct exchange *exchange)
{
    char detail[256];
    json_error_t error;
    const struct request *request = &exchange->request;
    if (nests_too_deeply(request->body, request->body_length)) {
        response_problem(exchange, PROBLEM_MALFORMED_JSON, "The body is nested too deeply.");
        return NULL;
    }
    bool no_memory;
    json_t *json = json_memory_parse(request->body ? request->body : "", request->body_length,
                                     JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error, &no_memory);
    if (no_memory) {
        response_problem(exchange, PROBLEM_INTERNAL_ERROR, "There is no memory for the request.");
        return NULL;
    }
    if (json_is_object(json))
        return json;
    if (json) {
        struct field_errors errors = {0};
        field_error(&errors, "", "must be a JSON object");
        response_invalid_fields(exchange, &errors);
        json_decref(json);
        return NULL;
    }
    /* jansson goes on to quote the place; the client has it before him. */
    char *quote = strstr(error.text, " near ");
    if (quote)
        *quote = '\0';
    snprintf(detail, sizeof detail, "Line %d, column %d: %s.", error.line, error.column,
             error.text);
    response_problem(exchange, PROBLEM_MALFORMED_JSON, detail);
    return NULL;
}
