/* SPDX-License-Identifier: MIT */
#include "supervisor/console/server.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/exposition.h"
#include "common/health.h"
#include "common/http/front_door.h"
#include "common/log.h"
#include "common/state_json.h"
#include "supervisor/console/assets.h"
#include "supervisor/console/history_http.h"
#include "supervisor/console/host.h"
#include "supervisor/console/negotiate.h"
#include "supervisor/console/reply.h"

#define THREADS       16
#define PARKED_LIMIT  1024
#define INCOMPLETE_MS 1000 /* a scraper or a page sends its head in one piece */
#define HEADERS_MAX   64   /* civetweb drops what comes after these */

static struct {
    const struct child *child;
    atomic_bool serving;
} server;

/* ---- what is served ------------------------------------------------------------------------ */

static int not_readable(const struct reply *reply)
{
    return reply_problem(reply, 503, "board-unavailable",
                         "The supervisor's board cannot be read at the moment.",
                         "Retry-After: 1\r\n");
}

static int no_memory(const struct reply *reply)
{
    return reply_problem(reply, 503, "no-memory", "The console has no memory for the answer.",
                         "Retry-After: 1\r\n");
}

/* A text that was made in memory of its own; frees it. length: 0 when the board could not be read.
 */
static int send_json(const struct reply *reply, char *text, size_t length)
{
    int status = !text    ? no_memory(reply)
                 : length ? reply_send(reply, 200, "application/json", "", text, length)
                          : not_readable(reply);
    free(text);
    return status;
}

static int serve_metrics(struct reply *reply, const struct mg_request_info *request)
{
    struct negotiation negotiation = {0};
    for (int i = 0; i < request->num_headers; i++)
        if (strcasecmp(request->http_headers[i].name, "Accept") == 0)
            negotiate_take(&negotiation, request->http_headers[i].value);
    enum exposition_format format = negotiate_format(&negotiation);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out)
        __fsetlocking(out, FSETLOCKING_BYCALLER); /* nobody else has it */
    int error = out ? exposition_write_as(server.child->region, format, out) : -ENOMEM;
    if (out && fclose(out) != 0)
        error = -ENOMEM;
    int status = error == -EAGAIN ? not_readable(reply)
                 : error          ? no_memory(reply)
                                  : reply_send(reply, 200, exposition_content_type(format),
                                               "Vary: Accept\r\n", text, length);
    free(text);
    return status;
}

static int serve_health(struct reply *reply, const struct mg_request_info *request)
{
    (void)request;
    char text[HEALTH_JSON_SIZE];
    size_t length = health_json(server.child->region, text, sizeof text);
    if (length == 0)
        return not_readable(reply);
    return reply_send(reply, 200, "application/json", "", text, length);
}

static int serve_state(struct reply *reply, const struct mg_request_info *request)
{
    (void)request;
    char *text = malloc(STATE_JSON_SIZE);
    size_t length = text ? state_json(server.child->region, text, STATE_JSON_SIZE) : 0;
    return send_json(reply, text, length);
}

/* The id after which events are wanted; without one, the newest page. False when it is no number.
 */
static bool parse_since(const char *query, uint64_t *since)
{
    char text[24];
    uint64_t last = state_last_event(server.child->region);
    *since = last > EVENTS_PAGE ? last - EVENTS_PAGE : 0;
    int length = query ? mg_get_var(query, strlen(query), "since", text, sizeof text) : -1;
    if (length == -1)
        return true;
    char *end;
    errno = 0;
    if (length < 1 || !isdigit((unsigned char)text[0]))
        return false;
    *since = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0;
}

static int serve_events(struct reply *reply, const struct mg_request_info *request)
{
    uint64_t since;
    if (!parse_since(request->query_string, &since))
        return reply_problem(reply, 400, "bad-query", "since must be the id of an event.", "");
    char *text = malloc(EVENTS_JSON_SIZE);
    size_t length =
        text ? state_events_json(server.child->region, since, text, EVENTS_JSON_SIZE) : 0;
    return send_json(reply, text, length);
}

/* Its scripts and styles are its own and nothing else is loaded or run; no other page frames it. */
#define PAGE_POLICY                                                                     \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self';" \
    " connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none';"   \
    " frame-ancestors 'none'\r\nReferrer-Policy: no-referrer\r\n"

/* A browser keeps a file and asks each time whether it is still this build's. */
static int serve_asset(struct reply *reply, const struct asset *asset)
{
    char headers[512];
    const char *known = mg_get_header(reply->connection, "If-None-Match");
    bool fresh = known != NULL && strstr(known, asset->etag) != NULL;
    reply->caching = "no-cache";
    reply->head |= fresh; /* a 304 has the length of the 200 and no body (RFC 9110, section 8.6) */
    snprintf(headers, sizeof headers, "ETag: %s\r\n" PAGE_POLICY, asset->etag);
    return reply_send(reply, fresh ? 304 : 200, asset->content_type, headers, asset->begin,
                      (size_t)(asset->end - asset->begin));
}

static const struct {
    const char *path;
    int (*serve)(struct reply *reply, const struct mg_request_info *request);
} routes[] = {
    {"/metrics", serve_metrics},           {"/health", serve_health},
    {"/api/state", serve_state},           {"/api/events", serve_events},
    {"/api/history", serve_history},       {"/api/history.csv", serve_history_csv},
    {"/api/components", serve_components}, {"/api/slo", serve_slo},
};

/* ---- what is refused ----------------------------------------------------------------------- */

static unsigned count_header(const struct mg_request_info *request, const char *name)
{
    unsigned count = 0;
    for (int i = 0; i < request->num_headers; i++)
        count += strcasecmp(request->http_headers[i].name, name) == 0;
    return count;
}

static bool has_body(const struct mg_request_info *request)
{
    for (int i = 0; i < request->num_headers; i++)
        if (strcasecmp(request->http_headers[i].name, "Content-Length") == 0 &&
            strcmp(request->http_headers[i].value, "0") != 0)
            return true;
    return false;
}

/* Framing civetweb is lenient about is refused, and the connection with it: what follows on it
 * might be read otherwise than the client, or a proxy before us, meant it. 0: nothing wrong. */
static int refuse_framing(struct reply *reply, const struct mg_request_info *request)
{
    bool keep = !reply->close;
    reply->close = true;
    if (request->num_headers >= HEADERS_MAX)
        return reply_problem(reply, 431, "too-many-headers", "At most 63 header fields.", "");
    if (count_header(request, "Transfer-Encoding") > 0)
        return reply_problem(reply, 501, "transfer-encoding",
                             "The console takes no request bodies.", "");
    if (count_header(request, "Host") != 1)
        return reply_problem(reply, 400, "bad-host", "Exactly one Host header is needed.", "");
    if (strcmp(request->request_method, "GET") != 0 && !reply->head)
        return reply_problem(reply, 405, "method-not-allowed", "The console only reads.",
                             "Allow: GET, HEAD\r\n");
    if (has_body(request))
        return reply_problem(reply, 400, "unexpected-body", "The console takes no request bodies.",
                             "");
    reply->close = !keep;
    return 0;
}

static int answer(struct reply *reply, const struct mg_request_info *request)
{
    int refused = refuse_framing(reply, request);
    if (refused)
        return refused;
    if (!host_is_allowed(mg_get_header(reply->connection, "Host"),
                         server.child->config.console_hosts))
        return reply_problem(reply, 421, "misdirected-request",
                             "Use an address, localhost, or a name listed in console.hosts.", "");
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(request->local_uri_raw, routes[i].path) == 0)
            return routes[i].serve(reply, request);
    const struct asset *asset = asset_find(request->local_uri);
    if (asset != NULL)
        return serve_asset(reply, asset);
    return reply_problem(reply, 404, "not-found",
                         "Here are / (for people), /metrics, /health, /api/state, /api/events, "
                         "/api/history, /api/history.csv, /api/components and /api/slo.",
                         "");
}

/* ---- civetweb ------------------------------------------------------------------------------ */

static int begin_request(struct mg_connection *connection)
{
    const struct mg_request_info *request = mg_get_request_info(connection);
    struct front_door_peer peer;
    struct reply reply;
    front_door_peer(connection, &peer);
    reply_begin(&reply, connection);
    reply.head = strcmp(request->request_method, "HEAD") == 0;
    reply.close = peer.last;
    reply.keepalive_s = (unsigned)server.child->config.keepalive_timeout_s - 5;
    return answer(&reply, request);
}

/* civetweb refuses a method it does not know as it does a line that is none. */
static bool is_unknown_method(const struct mg_request_info *request, int status)
{
    return status == 400 && request->request_method && request->request_uri &&
           request->http_version && request->num_headers == 0 &&
           strncmp(request->http_version, "1.", 2) == 0;
}

/* What never became a request: nothing may follow on its connection. */
static int http_error(struct mg_connection *connection, int status, const char *message)
{
    const struct mg_request_info *request = mg_get_request_info(connection);
    struct reply reply;
    (void)message;
    reply_begin(&reply, connection);
    reply.close = true;
    if (is_unknown_method(request, status))
        reply_problem(&reply, 405, "method-not-allowed", "The console only reads.",
                      "Allow: GET, HEAD\r\n");
    else if (status == 505)
        reply_problem(&reply, 505, "http-version-not-supported", "The console speaks HTTP/1.1.",
                      "");
    else
        reply_problem(&reply, 400, "malformed-request", "This is not an HTTP/1.1 request.", "");
    return 0;
}

/* Once it serves, what civetweb complains of is clients that went away. */
static int log_message(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    /* Its warnings are about options that are set twice: ours override the door's. */
    if (!atomic_load(&server.serving) && strncmp(message, "warning:", 8) != 0)
        log_error("http", "%s", message);
    return 1;
}

bool server_start(const struct child *child)
{
    static const int listener = CHILD_FD_LISTENERS;
    /* No path here needs decoding, and civetweb's would end one at an encoded NUL. */
    static const char *const options[] = {"decode_url", "no", NULL};
    const struct front_door_settings settings = {
        .listeners = &listener,
        .listener_count = 1,
        .threads = THREADS,
        .parked_limit = PARKED_LIMIT,
        .keepalive_timeout_s = (unsigned)child->config.keepalive_timeout_s,
        .keepalive_max_requests = (unsigned)child->config.keepalive_max_requests,
        .incomplete_timeout_ms = INCOMPLETE_MS,
        .first_byte_limit_bytes = 0, /* bodies are refused unread */
        /* The door's metrics are about the service's clients; ours are the operators'. */
        .metrics = NULL,
    };
    const struct mg_callbacks callbacks = {
        .begin_request = begin_request,
        .http_error = http_error,
        .log_message = log_message,
    };
    server.child = child;
    if (!front_door_start(&settings, &callbacks, NULL, options))
        return false;
    atomic_store(&server.serving, true);
    return true;
}
