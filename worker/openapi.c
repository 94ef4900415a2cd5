/* SPDX-License-Identifier: MIT */
/*
 * The document is written as JSON and made a string by the preprocessor, so that it can be read
 * here as it is read there. Numbers and names in it are those of request.h, store.h, token.h.
 */
#include "worker/openapi.h"

/* clang-format off */
#define TEXT_OF(...) #__VA_ARGS__
#define JSON(...)    TEXT_OF(__VA_ARGS__)

/* Parts that occur again and again. */
#define COMMON \
    {"$ref": "#/components/parameters/RequestId"}, \
    {"$ref": "#/components/parameters/Traceparent"}, \
    {"$ref": "#/components/parameters/TimeoutMs"}, \
    {"$ref": "#/components/parameters/RetryAttempt"}
#define PROBLEM      {"$ref": "#/components/responses/Problem"}
#define RETRY_LATER  {"$ref": "#/components/responses/RetryLater"}
#define REFUSED_ANY  "400": PROBLEM, "417": PROBLEM, "429": {"$ref": "#/components/responses/RateLimited"}, "500": PROBLEM, "503": RETRY_LATER, "504": PROBLEM
#define REFUSED_BODY "408": PROBLEM, "411": PROBLEM, "413": PROBLEM, "415": PROBLEM, "422": {"$ref": "#/components/responses/InvalidFields"}

#define PARAMETERS \
    "RequestId": {"name": "X-Request-Id", "in": "header", "description": "Echoed when it is 1 to 64 of [A-Za-z0-9._-], else made", "schema": {"type": "string"}}, \
    "Traceparent": {"name": "traceparent", "in": "header", "description": "W3C Trace Context; logged and echoed", "schema": {"type": "string"}}, \
    "TimeoutMs": {"name": "X-Request-Timeout-Ms", "in": "header", "description": "Answer by then or not at all; counted from the first byte", "schema": {"type": "integer", "minimum": 1, "maximum": 60000}}, \
    "RetryAttempt": {"name": "X-Retry-Attempt", "in": "header", "description": "0 for the first attempt", "schema": {"type": "integer", "minimum": 0}}, \
    "IfMatch": {"name": "If-Match", "in": "header", "description": "Only if the item has one of these versions", "schema": {"type": "string"}}

#define HEADERS \
    "ETag": {"description": "The version, quoted", "schema": {"type": "string"}}, \
    "RetryAfter": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}, \
    "RateLimitPolicy": {"description": "draft-ietf-httpapi-ratelimit-headers: the limit by name, its quota (q) and in how many seconds (w) that is whole again. On every answer to a request that a limit was asked about", "schema": {"type": "string"}}, \
    "RateLimit": {"description": "The limit by name, how many requests may follow at once (r), seconds until the quota is whole again (t)", "schema": {"type": "string"}}, \
    "Authenticate": {"schema": {"type": "string"}}

#define CONTENT_PROBLEM "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

#define RESPONSES \
    "Item": {"description": "The item as it is now", "headers": {"ETag": {"$ref": "#/components/headers/ETag"}}, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}}, \
    "Problem": {"description": "What is wrong", CONTENT_PROBLEM}, \
    "Unauthorized": {"description": "No token, a token that is not good, or a wrong login", "headers": {"WWW-Authenticate": {"$ref": "#/components/headers/Authenticate"}}, CONTENT_PROBLEM}, \
    "NotFound": {"description": "The user has no such item", CONTENT_PROBLEM}, \
    "InvalidFields": {"description": "JSON with other fields than it should have, or an Idempotency-Key of another request", CONTENT_PROBLEM}, \
    "RateLimited": {"description": "This user, or this user name from this address, asks too often; nothing was changed", "headers": {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}, "RateLimit-Policy": {"$ref": "#/components/headers/RateLimitPolicy"}, "RateLimit": {"$ref": "#/components/headers/RateLimit"}}, CONTENT_PROBLEM}, \
    "RetryLater": {"description": "Refused for now, by the database's state or a full compartment; only write-outcome-unknown may have had an effect", "headers": {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}, CONTENT_PROBLEM}

#define ITEM_TEXTS \
    "title": {"type": "string", "minLength": 1, "maxLength": 200}, \
    "body": {"type": ["string", "null"], "description": "At most 65536 bytes of UTF-8"}

#define ITEM_FACTS \
    "id": {"type": "string", "format": "uuid"}, \
    "version": {"type": "integer", "minimum": 1}, \
    "created_at": {"type": "string", "format": "date-time"}, \
    "updated_at": {"type": "string", "format": "date-time"}

#define SCHEMAS_OF_ITEMS \
    "Item": {"type": "object", "required": ["id", "title", "body", "version", "created_at", "updated_at"], "properties": {ITEM_TEXTS, ITEM_FACTS}}, \
    "ItemInList": {"type": "object", "required": ["id", "title", "version", "created_at", "updated_at"], "properties": {"title": {"type": "string"}, ITEM_FACTS}}, \
    "NewItem": {"type": "object", "required": ["title"], "additionalProperties": false, "properties": {ITEM_TEXTS}}, \
    "ItemPatch": {"type": "object", "additionalProperties": false, "properties": {ITEM_TEXTS}}, \
    "Page": {"type": "object", "required": ["items", "next_cursor"], "properties": {"items": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/ItemInList"}}, "next_cursor": {"type": ["string", "null"]}}}

#define SCHEMAS_OF_LOGINS \
    "Credentials": {"type": "object", "required": ["username", "password"], "additionalProperties": false, "properties": {"username": {"type": "string"}, "password": {"type": "string"}}}, \
    "Token": {"type": "object", "required": ["access_token", "token_type", "expires_in"], "properties": {"access_token": {"type": "string"}, "token_type": {"const": "Bearer"}, "expires_in": {"type": "integer"}}}

#define SCHEMAS_OF_HEALTH \
    "Probe": {"type": "object", "required": ["status"], "properties": {"status": {"enum": ["live", "ready", "not_ready"]}}}, \
    "Health": {"type": "object", "required": ["status", "degraded", "reason", "load", "db", "workers", "uptime_seconds", "version"], "properties": { \
      "status": {"enum": ["healthy", "degraded", "failing"]}, "degraded": {"type": "boolean"}, "reason": {"type": ["string", "null"]}, \
      "load": {"enum": ["normal", "stressed", "saturated"]}, \
      "db": {"type": "object", "properties": {"state": {"enum": ["unknown", "up", "slow", "locked", "full", "read_only", "moved", "replaced", "corrupt", "down"]}, "since": {"type": "string", "format": "date-time"}}}, \
      "workers": {"type": "object", "additionalProperties": {"type": "integer"}}, \
      "uptime_seconds": {"type": "number"}, "version": {"type": "string"}}}

#define SCHEMAS_OF_PROBLEMS \
    "Problem": {"type": "object", "required": ["type", "title", "status", "instance"], "properties": { \
      "type": {"type": "string", "description": "/problems/ and a name"}, "title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}, \
      "instance": {"type": "string", "description": "The request's id"}, "traceparent": {"type": "string"}, "retry_after_ms": {"type": "integer"}, \
      "reason": {"const": "db_unavailable"}, "dependency": {"enum": ["db_read", "db_write"]}, \
      "errors": {"type": "array", "items": {"type": "object", "required": ["field", "problem"], "properties": {"field": {"type": "string"}, "problem": {"type": "string"}}}}}}

#define COMPONENTS "components": { \
    "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}, \
    "parameters": {PARAMETERS}, "headers": {HEADERS}, "responses": {RESPONSES}, \
    "schemas": {SCHEMAS_OF_ITEMS, SCHEMAS_OF_LOGINS, SCHEMAS_OF_HEALTH, SCHEMAS_OF_PROBLEMS}}

const char openapi_json[] = JSON({
"openapi": "3.1.0",
"info": {
  "title": "bulkhead", "version": "1",
  "description": "Items of a user, behind a login. Every path may begin with /v1; without it the current version is meant. Every response carries X-Request-Id. HEAD is answered as GET, OPTIONS with Allow. Errors are application/problem+json (RFC 9457). Requests with Transfer-Encoding, a doubtful Content-Length, 64 headers or more, or a header twice that may occur once are refused and their connection is closed.",
  "license": {"name": "MIT", "identifier": "MIT"}
},
"servers": [{"url": "/"}, {"url": "/v1"}],
"security": [{"bearer": []}],
"paths": {
  "/health": {
    "get": {
      "operationId": "health", "summary": "How the service is", "security": [],
      "responses": {
        "200": {"description": "Always, whatever the status says", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}}}
      }
    }
  },
  "/health/live": {
    "get": {
      "operationId": "live", "summary": "Whether a process answers", "security": [],
      "responses": {"200": {"description": "It does", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Probe"}}}}}
    }
  },
  "/health/ready": {
    "get": {
      "operationId": "ready", "summary": "Whether any data endpoint can serve", "security": [],
      "responses": {
        "200": {"description": "At least one can", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Probe"}}}},
        "503": {"description": "None can", "headers": {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Probe"}}}}
      }
    }
  },
  "/openapi.json": {
    "get": {
      "operationId": "openapi", "summary": "This document", "security": [],
      "responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/json": {"schema": {"type": "object"}}}}}
    }
  },
  "/auth/login": {
    "parameters": [COMMON],
    "post": {
      "operationId": "login", "summary": "Get an access token", "security": [],
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Credentials"}}}},
      "responses": {
        "200": {"description": "A token", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Token"}}}},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        REFUSED_BODY, REFUSED_ANY
      }
    }
  },
  "/data/items": {
    "parameters": [COMMON],
    "get": {
      "operationId": "listItems", "summary": "The user's items, newest first, without their bodies",
      "parameters": [
        {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}},
        {"name": "cursor", "in": "query", "description": "next_cursor of the page before", "schema": {"type": "string"}}
      ],
      "responses": {
        "200": {"description": "A page; it ends early at 256 KiB", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Page"}}}},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        REFUSED_ANY
      }
    },
    "post": {
      "operationId": "createItem", "summary": "Make an item",
      "parameters": [{"name": "Idempotency-Key", "in": "header", "description": "Bare or quoted. The same request with the same key within 24 hours has its effect once and is answered with the stored answer.", "schema": {"type": "string", "minLength": 1, "maxLength": 255}}],
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewItem"}}}},
      "responses": {
        "201": {"description": "Made, or made before with this key", "headers": {"Location": {"schema": {"type": "string"}}, "ETag": {"$ref": "#/components/headers/ETag"}, "Idempotency-Replayed": {"schema": {"const": "true"}}}, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        REFUSED_BODY, REFUSED_ANY
      }
    }
  },
  "/data/items/{id}": {
    "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}, COMMON],
    "get": {
      "operationId": "getItem", "summary": "One item",
      "parameters": [{"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}],
      "responses": {
        "200": {"$ref": "#/components/responses/Item"},
        "304": {"description": "The client has this version", "headers": {"ETag": {"$ref": "#/components/headers/ETag"}}},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        "404": {"$ref": "#/components/responses/NotFound"},
        REFUSED_ANY
      }
    },
    "put": {
      "operationId": "replaceItem", "summary": "Replace an item",
      "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
      "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewItem"}}}},
      "responses": {
        "200": {"$ref": "#/components/responses/Item"},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        "404": {"$ref": "#/components/responses/NotFound"},
        "412": {"$ref": "#/components/responses/Problem"},
        REFUSED_BODY, REFUSED_ANY
      }
    },
    "patch": {
      "operationId": "changeItem", "summary": "Change some of an item (RFC 7396)",
      "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
      "requestBody": {"required": true, "content": {
        "application/merge-patch+json": {"schema": {"$ref": "#/components/schemas/ItemPatch"}},
        "application/json": {"schema": {"$ref": "#/components/schemas/ItemPatch"}}
      }},
      "responses": {
        "200": {"$ref": "#/components/responses/Item"},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        "404": {"$ref": "#/components/responses/NotFound"},
        "412": {"$ref": "#/components/responses/Problem"},
        REFUSED_BODY, REFUSED_ANY
      }
    },
    "delete": {
      "operationId": "deleteItem", "summary": "Delete an item",
      "parameters": [{"$ref": "#/components/parameters/IfMatch"}],
      "responses": {
        "204": {"description": "Deleted"},
        "401": {"$ref": "#/components/responses/Unauthorized"},
        "404": {"$ref": "#/components/responses/NotFound"},
        "412": {"$ref": "#/components/responses/Problem"},
        REFUSED_ANY
      }
    }
  }
},
COMPONENTS
});
/* clang-format on */

const size_t openapi_json_length = sizeof openapi_json - 1;
