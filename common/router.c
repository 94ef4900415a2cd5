/* SPDX-License-Identifier: MIT */
#include "common/router.h"

#include <stddef.h>
#include <string.h>

/* Longer than any path there is; what does not fit cannot match. */
#define PATH_DECODED_MAX 128

#define ITEM_PREFIX "/data/items/"

struct resource {
    const char *path; /* decoded; one ending in a slash is followed by an id */
    const char *allow;
    struct {
        const char *method;
        enum endpoint endpoint;
    } methods[4];
};

static const struct resource resources[] = {
    {"/data/items",
     "GET, HEAD, POST, OPTIONS",
     {{"GET", ENDPOINT_ITEM_LIST}, {"POST", ENDPOINT_ITEM_CREATE}}},
    {"/auth/login", "POST, OPTIONS", {{"POST", ENDPOINT_LOGIN}}},
    {"/health", "GET, HEAD, OPTIONS", {{"GET", ENDPOINT_HEALTH}}},
    {"/health/live", "GET, HEAD, OPTIONS", {{"GET", ENDPOINT_HEALTH_LIVE}}},
    {"/health/ready", "GET, HEAD, OPTIONS", {{"GET", ENDPOINT_HEALTH_READY}}},
    {"/openapi.json", "GET, HEAD, OPTIONS", {{"GET", ENDPOINT_OPENAPI}}},
};

static const struct resource item_resource = {
    ITEM_PREFIX,
    "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
    {{"GET", ENDPOINT_ITEM_GET},
     {"PUT", ENDPOINT_ITEM_PUT},
     {"PATCH", ENDPOINT_ITEM_PATCH},
     {"DELETE", ENDPOINT_ITEM_DELETE}},
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode into out. False when the path is malformed. A path too long to match any resource is
 * checked to its end all the same, and decoded to "". */
static bool decode(const char *raw, char out[PATH_DECODED_MAX])
{
    size_t length = 0;
    bool too_long = false;
    if (raw[0] != '/')
        return false;
    while (*raw) {
        char c = *raw++;
        if (c == '%') {
            int high = hex_value(raw[0]);
            int low = high < 0 ? -1 : hex_value(raw[1]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high << 4 | low);
            raw += 2;
            if (c == '/')
                c = '%'; /* stands in no path of ours, so it matches none */
        }
        if (length < PATH_DECODED_MAX - 1)
            out[length++] = c;
        else
            too_long = true;
    }
    out[too_long ? 0 : length] = '\0';
    return true;
}

static void match_method(const char *method, const struct resource *resource, struct route *route)
{
    route->allow = resource->allow;
    if (strcmp(method, "OPTIONS") == 0) {
        route->result = ROUTE_OPTIONS;
        route->endpoint = ENDPOINT_OPTIONS;
        return;
    }
    const char *looked_for = route->head ? "GET" : method;
    for (size_t i = 0; i < 4 && resource->methods[i].method; i++) {
        if (strcmp(looked_for, resource->methods[i].method) == 0) {
            route->result = ROUTE_FOUND;
            route->endpoint = resource->methods[i].endpoint;
            return;
        }
    }
    route->result = ROUTE_METHOD_NOT_ALLOWED;
}

/* An id is one segment; its hex digits may come in either case (RFC 9562, section 4). */
static bool take_id(const char *segment, struct route *route)
{
    size_t i;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): the path ends in a NUL */
    if (segment[0] == '\0' || strchr(segment, '/'))
        return false;
    for (i = 0; i < UUID_TEXT_SIZE - 1; i++) { /* its end is no hex digit */
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? segment[i] != '-' : hex_value(segment[i]) < 0)
            break;
        route->id[i] =
            (char)(segment[i] >= 'A' && segment[i] <= 'F' ? segment[i] + 32 : segment[i]);
    }
    route->id_valid = i == UUID_TEXT_SIZE - 1 && segment[i] == '\0';
    route->id[route->id_valid ? i : 0] = '\0';
    return true;
}

void router_match(const char *method, const char *raw_path, struct route *route)
{
    char decoded[PATH_DECODED_MAX];
    const char *path = decoded;
    *route = (struct route){.result = ROUTE_NOT_FOUND,
                            .endpoint = ENDPOINT_UNMATCHED,
                            .head = strcmp(method, "HEAD") == 0};
    if (!decode(raw_path, decoded)) {
        route->result = ROUTE_MALFORMED;
        route->endpoint = ENDPOINT_MALFORMED;
        return;
    }
    if (strncmp(path, "/v1/", 4) == 0) {
        route->versioned = true;
        path += 3;
    }
    if (strncmp(path, ITEM_PREFIX, sizeof ITEM_PREFIX - 1) == 0) {
        if (take_id(path + sizeof ITEM_PREFIX - 1, route))
            match_method(method, &item_resource, route);
        return;
    }
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        if (strcmp(path, resources[i].path) == 0) {
            match_method(method, &resources[i], route);
            return;
        }
    }
}
