/* SPDX-License-Identifier: MIT */
/*
 * Everything that can be wrong with a request or with us, once: status, the slug that makes the
 * type URI, the title (RFC 9457). What happened this time is the detail, written where it is known.
 */
#ifndef BULKHEAD_PROBLEM_H
#define BULKHEAD_PROBLEM_H

#define PROBLEM_LIST(X)                                                                       \
    X(NONE, 0, "", "")                                                                        \
    X(MALFORMED_REQUEST, 400, "malformed-request", "Malformed request")                       \
    X(MALFORMED_JSON, 400, "malformed-json", "Malformed JSON")                                \
    X(UNAUTHORIZED, 401, "unauthorized", "Unauthorized")                                      \
    X(NOT_FOUND, 404, "not-found", "Not found")                                               \
    X(METHOD_NOT_ALLOWED, 405, "method-not-allowed", "Method not allowed")                    \
    X(REQUEST_TIMEOUT, 408, "request-timeout", "Request timeout")                             \
    X(LENGTH_REQUIRED, 411, "length-required", "Length required")                             \
    X(PRECONDITION_FAILED, 412, "precondition-failed", "Precondition failed")                 \
    X(CONTENT_TOO_LARGE, 413, "content-too-large", "Content too large")                       \
    X(URI_TOO_LONG, 414, "uri-too-long", "URI too long")                                      \
    X(UNSUPPORTED_MEDIA_TYPE, 415, "unsupported-media-type", "Unsupported media type")        \
    X(EXPECTATION_FAILED, 417, "expectation-failed", "Expectation failed")                    \
    X(INVALID_FIELDS, 422, "invalid-fields", "Invalid fields")                                \
    X(KEY_REUSED, 422, "idempotency-key-reused", "Idempotency key reused")                    \
    X(RATE_LIMITED, 429, "rate-limited", "Too many requests")                                 \
    X(TOO_MANY_HEADERS, 431, "too-many-headers", "Request header fields too large")           \
    X(INTERNAL_ERROR, 500, "internal-error", "Internal error")                                \
    X(NOT_IMPLEMENTED, 501, "not-implemented", "Not implemented")                             \
    X(DATABASE_UNAVAILABLE, 503, "database-unavailable", "Database unavailable")              \
    X(STORAGE_FULL, 503, "storage-full", "Storage full")                                      \
    X(WAL_FULL, 503, "wal-full", "Write-ahead log full")                                      \
    X(READ_ONLY, 503, "read-only", "Database is read-only")                                   \
    X(LOCKED, 503, "locked", "Database is locked")                                            \
    X(BULKHEAD_FULL, 503, "bulkhead-full", "Too many requests of this kind at once")          \
    X(ROUTE_QUARANTINED, 503, "route-quarantined", "Route is quarantined")                    \
    X(CIRCUIT_OPEN, 503, "circuit-open", "Circuit breaker is open")                           \
    X(RETRY_BUDGET, 503, "retry-budget", "Too many retries")                                  \
    X(WRITE_OUTCOME_UNKNOWN, 503, "write-outcome-unknown", "Outcome of the write is unknown") \
    X(DEADLINE_EXCEEDED, 504, "deadline-exceeded", "Deadline exceeded")                       \
    X(VERSION_NOT_SUPPORTED, 505, "http-version-not-supported", "HTTP version not supported") \
    X(INJECTED_ERROR, 500, "injected-fault", "Injected fault")                                \
    X(INJECTED_UNAVAILABLE, 503, "injected-fault", "Injected fault")                          \
    X(INJECTED_TIMEOUT, 504, "injected-fault", "Injected fault")

#define X(id, status, slug, title) PROBLEM_##id,
enum problem { PROBLEM_LIST(X) PROBLEM_COUNT };
#undef X

#endif
