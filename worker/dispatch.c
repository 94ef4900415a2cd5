/* SPDX-License-Identifier: MIT */
#include "worker/dispatch.h"

#include <string.h>

#include "common/clock.h"
#include "common/deadline.h"
#include "common/fault.h"
#include "common/health.h"
#include "worker/answer_fault.h"
#include "worker/auth.h"
#include "worker/body.h"
#include "worker/client.h"
#include "worker/failure.h"
#include "worker/items.h"
#include "worker/limits.h"
#include "worker/liveness.h"
#include "worker/openapi.h"
#include "worker/route_gate.h"

#define DEADLINE_HEALTH_MS 1000
#define HEALTH_MAX_BYTES   4096
#define LONG_WAIT_NS       (100 * NS_PER_MS) /* a client of a request that old may have given up */

/* ---- endpoints that need nothing ---------------------------------------------------------- */

static void answer_health(struct exchange *exchange)
{
    char *room = response_room(&exchange->response, HEALTH_MAX_BYTES);
    size_t length =
        room ? health_json(exchange->services->child->region, room, HEALTH_MAX_BYTES) : 0;
    exchange->response.cache_control = "no-store";
    if (length > 0)
        response_json(exchange, 200, length);
    else
        response_problem(exchange, PROBLEM_INTERNAL_ERROR, "The board could not be read.");
}

static void answer_live(struct exchange *exchange)
{
    static const char body[] = "{\"status\":\"live\"}";
    exchange->response.cache_control = "no-store";
    response_json_copy(exchange, 200, body, sizeof body - 1);
}

static void answer_ready(struct exchange *exchange)
{
    static const char yes[] = "{\"status\":\"ready\"}", no[] = "{\"status\":\"not_ready\"}";
    bool ready = health_is_ready(exchange->services->child->region);
    exchange->response.cache_control = "no-store";
    exchange->response.retry_after_ms = ready ? 0 : 1000;
    if (ready) {
        response_json_copy(exchange, 200, yes, sizeof yes - 1);
    } else {
        exchange->reason = "not_ready";
        response_json_copy(exchange, 503, no, sizeof no - 1);
    }
}

static void answer_openapi(struct exchange *exchange)
{
    response_json_copy(exchange, 200, openapi_json, openapi_json_length);
}

static void (*const handlers[ENDPOINT_COUNT])(struct exchange *) = {
    [ENDPOINT_HEALTH] = answer_health,      [ENDPOINT_HEALTH_LIVE] = answer_live,
    [ENDPOINT_HEALTH_READY] = answer_ready, [ENDPOINT_OPENAPI] = answer_openapi,
    [ENDPOINT_LOGIN] = auth_login,          [ENDPOINT_ITEM_LIST] = items_list,
    [ENDPOINT_ITEM_GET] = items_get,        [ENDPOINT_ITEM_CREATE] = items_create,
    [ENDPOINT_ITEM_PUT] = items_put,        [ENDPOINT_ITEM_PATCH] = items_patch,
    [ENDPOINT_ITEM_DELETE] = items_delete,
};

/* ---- the steps of a request --------------------------------------------------------------- */

static void ensure_request_id(struct exchange *exchange)
{
    if (exchange->request.id[0] == '\0')
        uuid7_format(exchange->request.id, exchange->wall_us * NS_PER_US,
                     exchange_random(exchange));
}

static uint64_t default_deadline_ms(enum request_class class, const struct config *config)
{
    switch (class) {
    case CLASS_HEALTH:
    case CLASS_OTHER:
    case CLASS_COUNT:
        break;
    case CLASS_AUTH:
        return config->deadline_auth_ms;
    case CLASS_READ:
        return config->deadline_read_ms;
    case CLASS_WRITE:
        return config->deadline_write_ms;
    }
    return DEADLINE_HEALTH_MS;
}

/* Time runs from the first byte, wherever the request waited since; but a probe is answered however
 * long it waited: it may have come before this process. */
static void set_deadline(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    const struct front_door_peer *peer = &exchange->peer;
    enum request_class class = endpoint_class(request->route.endpoint);
    exchange->deadline_ns = deadline_from(
        class == CLASS_HEALTH ? peer->admitted_ns : peer->first_byte_ns,
        default_deadline_ms(class, &exchange->services->child->config), request->timeout_ms);
    liveness_request(request->route.endpoint, exchange->deadline_ns);
}

/* The resource and its method. False when the response is made. */
static bool step_route(struct exchange *exchange)
{
    const struct route *route = &exchange->request.route;
    exchange->response.allow = route->allow;
    switch (route->result) {
    case ROUTE_FOUND:
        exchange->response.allow = NULL;
        return true;
    case ROUTE_OPTIONS:
        response_empty(exchange, 204);
        return false;
    case ROUTE_METHOD_NOT_ALLOWED:
        response_problem(exchange, PROBLEM_METHOD_NOT_ALLOWED,
                         "The resource does not know this method; see Allow.");
        return false;
    case ROUTE_NOT_FOUND:
    case ROUTE_MALFORMED:
        break;
    }
    response_problem(exchange, PROBLEM_NOT_FOUND, "There is no such resource.");
    return false;
}

/* What the head alone can decide. False when the response is made. */
static bool step_head(struct exchange *exchange)
{
    struct request *request = &exchange->request;
    const char *detail = NULL;
    if (!step_route(exchange) || !route_gate_pass(exchange))
        return false;
    enum problem problem = request_judge(request, &detail);
    enum request_class class = endpoint_class(request->route.endpoint);
    /* Probes add what they like; elsewhere a parameter that means nothing is a mistake. */
    if (problem == PROBLEM_NONE && request->query && *request->query && class != CLASS_HEALTH &&
        request->route.endpoint != ENDPOINT_ITEM_LIST) {
        problem = PROBLEM_MALFORMED_REQUEST;
        detail = "This resource has no query parameters.";
    }
    if (problem != PROBLEM_NONE) {
        response_problem(exchange, problem, detail);
        return false;
    }
    set_deadline(exchange);
    if (exchange->peer.admitted_ns >= exchange->deadline_ns) {
        failure_deadline(exchange, STAGE_QUEUE);
        return false;
    }
    if (!limits_take_attempt(exchange))
        return false;
    /* The token before the limit: its user is whose limit it is. Unchecked, anybody could use up
     * another's; and a token that was checked before costs a comparison. */
    if ((class == CLASS_READ || class == CLASS_WRITE) &&
        (!auth_require(exchange) || !limits_take_request(exchange)))
        return false;
    return route_gate_enter(exchange);
}

/* A client we cannot go on with, because it has not sent, or will not send, what it announced. */
static void end_connection(struct exchange *exchange)
{
    exchange->response.close = true;
    front_door_linger(exchange->connection);
}

/* False when the response is made. */
static bool step_body(struct exchange *exchange)
{
    const char *detail = NULL;
    if (!exchange->body_pending)
        return true;
    enum problem problem = body_read(exchange, &detail);
    if (problem != PROBLEM_NONE) {
        end_connection(exchange);
        response_problem(exchange, problem, detail);
        return false;
    }
    if (clock_now_ns() >= exchange->deadline_ns) {
        failure_deadline(exchange, STAGE_READ_BODY);
        return false;
    }
    return true;
}

/* A refusal made before the body was read: to keep the connection the body must be out of the way.
 * A client that waits for 100 will not send it now. */
static void settle_body(struct exchange *exchange)
{
    const char *ignored;
    if (!exchange->body_pending)
        return;
    if (exchange->request.header[HEADER_EXPECT] || body_read(exchange, &ignored) != PROBLEM_NONE)
        end_connection(exchange);
}

/* What the fault bench has for this request. False when the response is made. */
static bool step_fault(struct exchange *exchange)
{
    enum endpoint endpoint = exchange->request.route.endpoint;
    unsigned status = fault_request(endpoint_class(endpoint), endpoint);
    if (status == 0)
        return true;
    if (status == FAULT_NO_ANSWER) {
        answer_fault_omit(exchange);
        exchange->response.status = FAULT_NO_ANSWER;
        return false;
    }
    response_problem(exchange,
                     status == 503   ? PROBLEM_INJECTED_UNAVAILABLE
                     : status == 504 ? PROBLEM_INJECTED_TIMEOUT
                                     : PROBLEM_INJECTED_ERROR,
                     "A fault that was set on purpose; nothing was changed.");
    return false;
}

/* The last look before the work: time may have passed, and the client may have. False when the
 * response is made, or there is nobody to make one for. */
static bool step_worth_it(struct exchange *exchange)
{
    enum request_class class = endpoint_class(exchange->request.route.endpoint);
    uint64_t now_ns = clock_now_ns();
    if (class == CLASS_HEALTH)
        return true;
    if (now_ns >= exchange->deadline_ns) {
        failure_deadline(exchange, STAGE_HANDLE);
        return false;
    }
    if (exchange->services->child->config.overload_shed == OVERLOAD_SHED_OFF ||
        now_ns - exchange->peer.first_byte_ns < LONG_WAIT_NS || !client_is_gone(exchange->peer.fd))
        return true;
    exchange->response.status = 499;
    exchange->reason = "client_gone";
    return false;
}

void dispatch_request(struct exchange *exchange)
{
    const struct mg_request_info *info = mg_get_request_info(exchange->connection);
    struct request *request = &exchange->request;
    const char *detail = NULL;
    enum problem problem = request_parse(info, request, &detail);
    if (problem == PROBLEM_NONE && !request_head_is_whole(info)) {
        problem = PROBLEM_MALFORMED_REQUEST;
        detail = "The header has a line that is none.";
    }
    ensure_request_id(exchange);
    liveness_request(request->route.endpoint, 0);
    exchange->body_pending = request->content_length > 0;
    if (problem != PROBLEM_NONE) {
        end_connection(exchange);
        response_problem(exchange, problem, detail);
    } else if (!step_head(exchange)) {
        settle_body(exchange);
    } else if (step_body(exchange) && step_fault(exchange) && step_worth_it(exchange)) {
        handlers[request->route.endpoint](exchange);
    }
}

/* ---- what never became a request ----------------------------------------------------------- */

/* civetweb refuses any method it does not know as it does a line that is none; the line was in
 * order when it got past "HTTP/" and not yet to the headers. */
static bool is_unknown_method(const struct mg_request_info *info, int status)
{
    const char *version = info->http_version;
    return status == 400 && info->request_method && info->request_uri && version &&
           info->num_headers == 0 && version[-1] == '/' &&
           (strcmp(version, "1.1") == 0 || strcmp(version, "1.0") == 0);
}

static void answer_unknown_method(struct exchange *exchange, const struct mg_request_info *info)
{
    char path[256];
    size_t length = strcspn(info->request_uri, "?");
    exchange->request.method = info->request_method;
    if (length < sizeof path) {
        memcpy(path, info->request_uri, length);
        path[length] = '\0';
        router_match(info->request_method, path, &exchange->request.route);
    }
    enum route_result result = exchange->request.route.result;
    if (result == ROUTE_METHOD_NOT_ALLOWED || result == ROUTE_NOT_FOUND)
        step_route(exchange);
    else
        response_problem(exchange, PROBLEM_MALFORMED_REQUEST, "The request line is not valid.");
}

/* 505 and 413 keep their meaning; 411 is civetweb's word for a Content-Length that is no number. */
void dispatch_broken(struct exchange *exchange, int status)
{
    const struct mg_request_info *info = mg_get_request_info(exchange->connection);
    exchange->request =
        (struct request){.route = {.result = ROUTE_NOT_FOUND, .endpoint = ENDPOINT_MALFORMED}};
    ensure_request_id(exchange);
    end_connection(exchange);
    if (is_unknown_method(info, status))
        answer_unknown_method(exchange, info);
    else if (status == 413)
        response_problem(exchange, PROBLEM_TOO_MANY_HEADERS,
                         "Request line and headers have more than 16 KiB.");
    else if (status == 505)
        response_problem(exchange, PROBLEM_VERSION_NOT_SUPPORTED, "This server speaks HTTP/1.1.");
    else if (status == 400 && mg_get_header(exchange->connection, "Transfer-Encoding"))
        response_problem(exchange, PROBLEM_NOT_IMPLEMENTED,
                         "Transfer-Encoding is not supported; send a Content-Length.");
    else if (status < 500)
        response_problem(exchange, PROBLEM_MALFORMED_REQUEST, "This is not an HTTP/1.1 request.");
    else
        response_problem(exchange, PROBLEM_INTERNAL_ERROR, NULL);
}
