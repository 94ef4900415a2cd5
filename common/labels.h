/* SPDX-License-Identifier: MIT */
/*
 * The closed vocabularies that metrics, logs, events and the region share. Each list is written
 * once as an X macro; the enum and the table of names come from it, so that they cannot drift.
 * Being closed is the point: a metric's label can only take these values, so its storage is a
 * fixed array and no client can make the number of series grow.
 */
#ifndef BULKHEAD_LABELS_H
#define BULKHEAD_LABELS_H

#include <stddef.h>

/* Classes of requests: the compartments of a worker. */
#define CLASS_LIST(X)   \
    X(HEALTH, "health") \
    X(AUTH, "auth")     \
    X(READ, "read")     \
    X(WRITE, "write")   \
    X(OTHER, "other")

/* Endpoints: what the router knows. HEAD counts as the GET it mirrors. */
#define ENDPOINT_LIST(X)                                \
    X(HEALTH, HEALTH, "GET", "/health")                 \
    X(HEALTH_LIVE, HEALTH, "GET", "/health/live")       \
    X(HEALTH_READY, HEALTH, "GET", "/health/ready")     \
    X(OPENAPI, HEALTH, "GET", "/openapi.json")          \
    X(LOGIN, AUTH, "POST", "/auth/login")               \
    X(ITEM_LIST, READ, "GET", "/data/items")            \
    X(ITEM_GET, READ, "GET", "/data/items/{id}")        \
    X(ITEM_CREATE, WRITE, "POST", "/data/items")        \
    X(ITEM_PUT, WRITE, "PUT", "/data/items/{id}")       \
    X(ITEM_PATCH, WRITE, "PATCH", "/data/items/{id}")   \
    X(ITEM_DELETE, WRITE, "DELETE", "/data/items/{id}") \
    X(OPTIONS, OTHER, "OPTIONS", "*")                   \
    X(UNMATCHED, OTHER, "any", "unmatched")             \
    X(MALFORMED, OTHER, "any", "malformed")

/* Status codes the server can send; anything else would be counted as 0 and is a bug. */
#define STATUS_LIST(X)                                                                         \
    X(0)                                                                                       \
    X(200)                                                                                     \
    X(201)                                                                                     \
    X(204) X(304) X(400) X(401) X(404) X(405) X(408) X(409) X(411) X(412) X(413) X(414) X(415) \
        X(417) X(421) X(422) X(428) X(429) X(431) X(499) X(500) X(501) X(503) X(504) X(505)

/* What a request thread is doing. Waiting for the peer is never evidence of a hang. */
#define STAGE_LIST(X)              \
    X(IDLE, "idle")                \
    X(BETWEEN, "between_requests") \
    X(READ_HEADER, "read_header")  \
    X(READ_BODY, "read_body")      \
    X(HANDLE, "handle")            \
    X(QUEUE, "queue")              \
    X(HASH, "hash")                \
    X(DB, "db")                    \
    X(GATE, "gate")                \
    X(COMMIT, "commit")            \
    X(WRITE_RESPONSE, "write_response")

#define DB_OP_LIST(X)           \
    X(OPEN, "open")             \
    X(READ, "read")             \
    X(BEGIN, "begin")           \
    X(WRITE, "write")           \
    X(COMMIT, "commit")         \
    X(CHECKPOINT, "checkpoint") \
    X(IDENTITY, "identity")     \
    X(CHECK, "check")

#define DB_CODE_LIST(X)           \
    X(OK, "ok")                   \
    X(BUSY, "busy")               \
    X(READONLY, "readonly")       \
    X(INTERRUPT, "interrupt")     \
    X(IOERR, "ioerr")             \
    X(FSYNC, "fsync")             \
    X(CORRUPT, "corrupt")         \
    X(FULL, "full")               \
    X(CANTOPEN, "cantopen")       \
    X(PROTOCOL, "protocol")       \
    X(NOTADB, "notadb")           \
    X(NOMEM, "nomem")             \
    X(CONSTRAINT, "constraint")   \
    X(IDENTITY, "identity")       \
    X(UNAVAILABLE, "unavailable") \
    X(OTHER, "other")

/* The sentinel's judgement of the database, worst last but for unknown. */
#define DB_STATE_LIST(X)      \
    X(UNKNOWN, "unknown")     \
    X(UP, "up")               \
    X(SLOW, "slow")           \
    X(LOCKED, "locked")       \
    X(FULL, "full")           \
    X(READ_ONLY, "read_only") \
    X(MOVED, "moved")         \
    X(REPLACED, "replaced")   \
    X(CORRUPT, "corrupt")     \
    X(DOWN, "down")

/* The lifecycle of a slot (supervisor/lifecycle.c). */
#define SLOT_STATE_LIST(X)  \
    X(EMPTY, "empty")       \
    X(STARTING, "starting") \
    X(READY, "ready")       \
    X(DEGRADED, "degraded") \
    X(DRAINING, "draining") \
    X(KILLING, "killing")   \
    X(DEAD, "dead")         \
    X(BACKOFF, "backoff")   \
    X(QUARANTINED, "quarantined")

/* Why a child died (supervisor/obituary.c). */
#define DEATH_LIST(X)                     \
    X(CLEAN, "clean")                     \
    X(KILLED, "killed")                   \
    X(SIGNAL, "signal")                   \
    X(CORE, "core")                       \
    X(ERROR, "error")                     \
    X(OOM, "oom")                         \
    X(HUNG, "hung")                       \
    X(SANDBOX, "sandbox")                 \
    X(FAILED_TO_START, "failed_to_start") \
    X(GATE, "gate")                       \
    X(LOCAL_DB_FAULT, "local_db_fault")

/* Why a slot was filled again: the death before it, or somebody asked. */
#define RESTART_REASON_LIST(X) \
    DEATH_LIST(X)              \
    X(RELOAD, "reload")        \
    X(OPERATOR, "operator")

#define ATTEMPT_LIST(X) X(FIRST, "0") X(SECOND, "1") X(THIRD, "2") X(MORE, "3+")

/* Why a compartment, the door, the fence or the last resort refused. */
#define REFUSAL_LIST(X)                       \
    X(FULL, "full")                           \
    X(WAITED, "waited")                       \
    X(DEADLINE, "deadline")                   \
    X(DATABASE, "database")                   \
    X(DRAINING, "draining")                   \
    X(ROUTE_QUARANTINED, "route_quarantined") \
    X(CIRCUIT_OPEN, "circuit_open")           \
    X(RETRY_BUDGET, "retry_budget")           \
    X(OVERLOADED, "overloaded")               \
    X(RETRY, "retry")                         \
    X(ESTIMATED, "estimated")                 \
    X(NO_WORKERS, "no_workers")

/* What is limited, and what a limit said (worker/limits.c). */
#define RATE_POLICY_LIST(X)             \
    X(LOGIN, "login")                   \
    X(LOGIN_FAILURES, "login_failures") \
    X(READ, "read")                     \
    X(WRITE, "write")
#define RATE_RESULT_LIST(X) \
    X(ALLOWED, "allowed") X(LIMITED, "limited") X(PASSED_FULL, "passed_full")

/* How bad an event is. The level of its log line, its colour on a terminal and its mark on the page
 * all come from this. A fault is what was broken on purpose. */
#define EVENT_TONE_LIST(X) \
    X(INFO, "info")        \
    X(GOOD, "good")        \
    X(WARN, "warn")        \
    X(BAD, "bad")          \
    X(FAULT, "fault")

/* Events: id, name, tone. */
#define EVENT_LIST(X)                                 \
    X(SUPERVISOR_STARTED, "supervisor_started", INFO) \
    X(WORKER_STARTED, "worker_started", INFO)         \
    X(WORKER_READY, "worker_ready", GOOD)             \
    X(WORKER_STOPPED, "worker_stopped", INFO)         \
    X(WORKER_DIED, "worker_died", BAD)                \
    X(WORKER_HUNG, "worker_hung", BAD)                \
    X(WORKER_RESTARTED, "worker_restarted", INFO)     \
    X(WORKER_QUARANTINED, "worker_quarantined", BAD)  \
    X(WORKER_DEGRADED, "worker_degraded", WARN)       \
    X(WORKER_RECOVERED, "worker_recovered", GOOD)     \
    X(DB_UNAVAILABLE, "db_unavailable", BAD)          \
    X(DB_RECOVERED, "db_recovered", GOOD)             \
    X(DB_REOPEN, "db_reopen", INFO)                   \
    X(DRAIN, "drain", INFO)                           \
    X(RELOAD, "reload", INFO)                         \
    X(GATE_RESET, "gate_reset", BAD)                  \
    X(UNKILLABLE, "unkillable", BAD)                  \
    X(PAUSED, "supervisor_paused", WARN)              \
    X(NOTE, "note", INFO)                             \
    X(WAL_PINNED, "wal_pinned", WARN)                 \
    X(BACKUP, "backup", INFO)                         \
    X(BACKUP_FAILED, "backup_failed", WARN)           \
    X(FAULT_START, "fault_start", FAULT)              \
    X(FAULT_END, "fault_end", GOOD)                   \
    X(WORKER_ACCUSED, "worker_accused", BAD)          \
    X(ROUTE_QUARANTINED, "route_quarantined", BAD)    \
    X(ROUTE_RELEASED, "route_released", GOOD)         \
    X(BREAKER_OPEN, "breaker_open", WARN)             \
    X(BREAKER_HALF_OPEN, "breaker_half_open", INFO)   \
    X(BREAKER_CLOSED, "breaker_closed", GOOD)         \
    X(RESOURCE_LOW, "resource_low", WARN)             \
    X(RESOURCE_OK, "resource_ok", GOOD)               \
    X(LAST_RESORT_BEGAN, "last_resort_began", BAD)    \
    X(LAST_RESORT_ENDED, "last_resort_ended", GOOD)   \
    X(DB_STALLED, "db_stalled", WARN)

/* What a worker depends on and has a circuit breaker for. */
#define DEPENDENCY_LIST(X) X(DB_READ, "db_read") X(DB_WRITE, "db_write")

/* The states of a circuit breaker (common/breaker.h). */
#define BREAKER_STATE_LIST(X)     \
    X(CLOSED, "closed")           \
    X(OPEN, "open")               \
    X(HALF_OPEN, "half_open")     \
    X(FORCED_OPEN, "forced_open") \
    X(DISABLED, "disabled")

/* Every way from one of them to another: from, to, why. */
#define BREAKER_MOVE_LIST(X)                                 \
    X(FAILURES, CLOSED, OPEN, "failures")                    \
    X(SLOW, CLOSED, OPEN, "slow")                            \
    X(FAST, CLOSED, OPEN, "fast_window")                     \
    X(CONSECUTIVE, CLOSED, OPEN, "consecutive")              \
    X(WAITED, OPEN, HALF_OPEN, "waited")                     \
    X(PROBE_SUCCEEDED, HALF_OPEN, CLOSED, "probe_succeeded") \
    X(PROBE_FAILED, HALF_OPEN, OPEN, "probe_failed")         \
    X(PROBE_SLOW, HALF_OPEN, OPEN, "probe_slow")             \
    X(HELD_CLOSED, CLOSED, FORCED_OPEN, "held")              \
    X(HELD_OPEN, OPEN, FORCED_OPEN, "held")                  \
    X(HELD_HALF_OPEN, HALF_OPEN, FORCED_OPEN, "held")        \
    X(RELEASED, FORCED_OPEN, CLOSED, "released")             \
    X(ACCUSED_CLOSED, CLOSED, HALF_OPEN, "local_db_fault")   \
    X(ACCUSED_OPEN, OPEN, HALF_OPEN, "local_db_fault")       \
    X(EXPIRED_OPEN, OPEN, CLOSED, "expired")                 \
    X(EXPIRED_HALF_OPEN, HALF_OPEN, CLOSED, "expired")

/* What can be broken on purpose (docs/faults.md). */
#define FAULT_KIND_LIST(X)    \
    X(CRASH, "crash")         \
    X(HANG, "hang")           \
    X(SLOW, "slow")           \
    X(ERROR, "error")         \
    X(SCRIBBLE, "scribble")   \
    X(CLOSE_FDS, "close_fds") \
    X(DB, "db")               \
    X(PARTIAL, "partial")     \
    X(OMISSION, "omission")   \
    X(WRONG, "wrong")         \
    X(RESOURCE, "resource")

#define X(id, name) CLASS_##id,
enum request_class { CLASS_LIST(X) CLASS_COUNT };
#undef X
#define X(id, class, method, route) ENDPOINT_##id,
enum endpoint { ENDPOINT_LIST(X) ENDPOINT_COUNT };
#undef X
#define X(code) STATUS_##code,
enum status_index { STATUS_LIST(X) STATUS_COUNT };
#undef X
#define X(id, name) STAGE_##id,
enum stage { STAGE_LIST(X) STAGE_COUNT };
#undef X
#define X(id, name) DB_OP_##id,
enum db_op { DB_OP_LIST(X) DB_OP_COUNT };
#undef X
#define X(id, name) DB_CODE_##id,
enum db_code { DB_CODE_LIST(X) DB_CODE_COUNT };
#undef X
#define X(id, name) DB_STATE_##id,
enum db_state { DB_STATE_LIST(X) DB_STATE_COUNT };
#undef X
#define X(id, name) SLOT_##id,
enum slot_state { SLOT_STATE_LIST(X) SLOT_STATE_COUNT };
#undef X
#define X(id, name) DEATH_##id,
enum death_class { DEATH_LIST(X) DEATH_COUNT };
#undef X
#define X(id, name) RESTART_##id,
enum restart_reason { RESTART_REASON_LIST(X) RESTART_REASON_COUNT };
#undef X
#define X(id, name) ATTEMPT_##id,
enum attempt { ATTEMPT_LIST(X) ATTEMPT_COUNT };
#undef X
#define X(id, name) REFUSAL_##id,
enum refusal { REFUSAL_LIST(X) REFUSAL_COUNT };
#undef X
#define X(id, name) EVENT_TONE_##id,
enum event_tone { EVENT_TONE_LIST(X) EVENT_TONE_COUNT };
#undef X
#define X(id, name, tone) EVENT_##id,
enum event_type { EVENT_LIST(X) EVENT_COUNT };
#undef X
#define X(id, name) FAULT_##id,
enum fault_kind { FAULT_KIND_LIST(X) FAULT_KIND_COUNT };
#undef X
#define X(id, name) DEPENDENCY_##id,
enum dependency { DEPENDENCY_LIST(X) DEPENDENCY_COUNT };
#undef X
#define X(id, name) BREAKER_##id,
enum breaker_state { BREAKER_STATE_LIST(X) BREAKER_STATE_COUNT };
#undef X
#define X(id, from, to, reason) MOVE_##id,
enum breaker_move { BREAKER_MOVE_LIST(X) BREAKER_MOVE_COUNT };
#undef X
#define X(id, name) RATE_POLICY_##id,
enum rate_policy { RATE_POLICY_LIST(X) RATE_POLICY_COUNT };
#undef X
#define X(id, name) RATE_##id,
enum rate_result { RATE_RESULT_LIST(X) RATE_RESULT_COUNT };
#undef X

/* Names; "?" for a number that is none of the list (it may come from a corrupt page). */
const char *class_name(unsigned value);
const char *stage_name(unsigned value);
const char *db_op_name(unsigned value);
const char *db_code_name(unsigned value);
const char *db_state_name(unsigned value);
const char *slot_state_name(unsigned value);
const char *death_name(unsigned value);
const char *restart_reason_name(unsigned value);
const char *attempt_name(unsigned value);
const char *refusal_name(unsigned value);
const char *event_name(unsigned value);
const char *event_tone_name(unsigned value);
const char *fault_kind_name(unsigned value);
const char *dependency_name(unsigned value);
const char *breaker_state_name(unsigned value);

/* A breaker's move: between which states (BREAKER_STATE_COUNT when it is none), and why. */
enum breaker_state breaker_move_from(unsigned move);
enum breaker_state breaker_move_to(unsigned move);
const char *breaker_move_reason(unsigned move);
const char *rate_policy_name(unsigned value);
const char *rate_result_name(unsigned value);

/* How bad an event is; EVENT_TONE_INFO for a number that is none of the list. */
enum event_tone event_tone(unsigned event);

/* An endpoint's method, route template and class. */
const char *endpoint_method(unsigned endpoint);
const char *endpoint_route(unsigned endpoint);
enum request_class endpoint_class(unsigned endpoint);

/* The HTTP status at an index, and the index of a status (STATUS_0 when it is not in the list). */
unsigned status_code(unsigned index);
enum status_index status_index(unsigned code);

#endif
