/* SPDX-License-Identifier: MIT */
#include "worker/answer_fault.h"

#include <string.h>
#include <sys/socket.h>

#include "common/fault.h"

/* ---- altering ------------------------------------------------------------------------------ */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static char another(char c)
{
    return c == 'z' ? 'a' : c == 'Z' ? 'A' : c == '9' ? '0' : (char)(c + 1);
}

/* The closing quote of the string that opens at `at`; length when it is not closed. */
static size_t string_end(const char *json, size_t length, size_t at)
{
    for (at++; at < length && json[at] != '"'; at++)
        if (json[at] == '\\')
            at++;
    return at < length ? at : length;
}

static bool is_written_by_clients(const char *key, size_t length)
{
    return (length == 5 && memcmp(key, "title", 5) == 0) ||
           (length == 4 && memcmp(key, "body", 4) == 0);
}

/* Bytes of a string that can be another letter or digit: none of an escape. The nth of them goes to
 * *place when it is among these. */
static size_t plain_bytes(const char *json, size_t from, size_t to, size_t nth, size_t *place)
{
    size_t count = 0;
    for (size_t i = from; i < to; i++) {
        if (json[i] == '\\') {
            i += i + 1 < to && json[i + 1] == 'u' ? 5 : 1;
            continue;
        }
        if (is_plain(json[i]) && count++ == nth)
            *place = i;
    }
    return count;
}

/* All such bytes of the strings that are values, of every key or of a client's alone. */
static size_t value_bytes(const char *json, size_t length, bool clients_alone, size_t nth,
                          size_t *place)
{
    size_t count = 0;
    bool wanted = !clients_alone;
    for (size_t i = 0; i < length; i++) {
        if (json[i] != '"')
            continue;
        size_t end = string_end(json, length, i);
        bool is_key = end + 1 < length && json[end + 1] == ':';
        if (is_key)
            wanted = !clients_alone || is_written_by_clients(json + i + 1, end - i - 1);
        else if (wanted && end < length)
            count += plain_bytes(json, i + 1, end, nth - count, place);
        i = end;
    }
    return count;
}

size_t answer_fault_alter(char *json, size_t length, uint64_t random)
{
    size_t place = 0;
    for (int clients_alone = 1; clients_alone >= 0; clients_alone--) {
        size_t count = value_bytes(json, length, clients_alone, SIZE_MAX, &place);
        if (count == 0)
            continue;
        value_bytes(json, length, clients_alone, random % count, &place);
        json[place] = another(json[place]);
        return place;
    }
    place = random % length;
    json[place] = (char)(json[place] ^ 1);
    return place;
}

/* ---- the answer ---------------------------------------------------------------------------- */

void answer_fault_omit(struct exchange *exchange)
{
    front_door_reset(exchange->connection);
    exchange->reason = "injected_omission";
}

bool answer_fault_strikes(struct exchange *exchange)
{
    struct response *response = &exchange->response;
    enum endpoint endpoint = exchange->request.route.endpoint;
    char *body = exchange->request.route.head ? NULL : response_body(response);
    /* A worker's request to itself is no client's. */
    if (exchange->peer.address.ss_family == AF_UNSPEC)
        return false;
    struct fault_answer fate = fault_answer(endpoint_class(endpoint), endpoint, body != NULL,
                                            response->status >= 200 && response->status < 300);
    if (fate.omitted)
        answer_fault_omit(exchange);
    if (fate.altered && body)
        answer_fault_alter(body, response->body_length, fate.random);
    response->cut = fate.cut;
    return fate.omitted;
}
