/* SPDX-License-Identifier: MIT */
/*
 * The store: what the HTTP handlers know of the database. Reads come from a bounded pool of
 * query-only connections; writes go through the group commit (commit.h). No SQL anywhere else in
 * the worker. All calls are thread-safe and end by their deadline, but for a write that is being
 * committed when its time is up: it is told the truth, late. Each call sets the calling thread's
 * stage and leaves it at STAGE_HANDLE. `cost` is filled in whatever the result.
 */
#ifndef BULKHEAD_STORE_H
#define BULKHEAD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/child.h"
#include "common/uuid7.h"

#define ITEM_TITLE_MAX_CHARACTERS 200
#define ITEM_TITLE_MAX_BYTES      (ITEM_TITLE_MAX_CHARACTERS * 4)
#define ITEM_BODY_MAX_BYTES       (64 * 1024)
#define IDEMPOTENCY_KEY_MAX       255
#define PAGE_MAX                  100

enum store_result {
    STORE_OK,
    STORE_REPLAYED,         /* the stored answer of an earlier request with this key */
    STORE_NOT_FOUND,        /* no such item of this user; WRITE_CREATE: the account is gone */
    STORE_VERSION_MISMATCH, /* If-Match does not hold: 412 */
    STORE_KEY_REUSED,       /* the idempotency key belongs to another request: 422 */
    STORE_FULL_COMPARTMENT, /* no permit, nothing done: 503 bulkhead-full */
    STORE_DEADLINE,         /* time is up, nothing done: 504 */
    STORE_CIRCUIT_OPEN,     /* it failed here lately, so it was not asked: 503 circuit-open */
    STORE_UNAVAILABLE,      /* fenced or failing, nothing done: 503 database-unavailable */
    STORE_DISK_FULL,        /* nothing done: 503 storage-full */
    STORE_WAL_FULL,         /* the log is at its ceiling, nothing done: 503 wal-full */
    STORE_READ_ONLY,        /* nothing done: 503 read-only */
    STORE_LOCKED,           /* somebody else's lock, nothing done: 503 locked */
    STORE_REFUSED,          /* the database refused the data (constraint), nothing done: 500 */
    STORE_UNKNOWN, /* COMMIT failed in a way that leaves it open: 503 write-outcome-unknown */
};

struct item {
    char id[UUID_TEXT_SIZE];
    char *title;
    size_t title_length;
    char *body; /* NULL: none */
    size_t body_length;
    uint64_t version;
    uint64_t created_us, updated_us; /* wall clock */
};

enum write_kind { WRITE_CREATE, WRITE_PUT, WRITE_PATCH, WRITE_DELETE };

/* One write. The caller fills the first part, the store the second; all memory but `answer` is the
 * caller's and must live until store_write returns. */
struct write {
    enum write_kind kind;
    int64_t user_id;
    char id[UUID_TEXT_SIZE];  /* of the item; WRITE_CREATE: made (or found, on a replay) */
    bool has_title, has_body; /* what the request sets; PATCH may set either */
    const char *title;
    size_t title_length;
    const char *body; /* NULL with has_body: set to none */
    size_t body_length;
    uint64_t if_match_version;   /* 0: any */
    const char *idempotency_key; /* NULL: none; only WRITE_CREATE */
    uint8_t request_hash[32];    /* SHA-256 of method, path and body */
    /* results */
    unsigned status; /* HTTP status of a success (201, 200, 204), also of a replayed one */
    char *answer;    /* the item as JSON (NULL for DELETE); free() it */
    size_t answer_length;
    uint64_t version;
};

/* What a call cost, for the log line. */
struct store_cost {
    uint64_t queue_us; /* waiting for a permit, the leader or the gate */
    uint64_t db_us;
    enum db_code error; /* DB_CODE_OK when the database did not fail; DB_CODE_UNAVAILABLE when the
                           fence refused without asking it */
    bool excused;       /* the failure speaks against nobody: a lock a dead process left */
    enum dependency dependency; /* STORE_CIRCUIT_OPEN: of what, … */
    unsigned retry_ms;          /* … and when it is tried again */
};

/* Before the first call: opens nothing yet, remembers where things are. `child` must outlive the
 * store. 0, or -EINVAL when config.bulkhead_read is larger than a pool can be. */
int store_start(struct child *child);

/* One real read, for READY. 0, or the code it failed with. */
enum db_code store_probe(struct store_cost *cost);

enum store_result store_get(int64_t user_id, const char *id, uint64_t deadline_ns,
                            struct item *item, struct store_cost *cost);
void item_free(struct item *item);

/* Newest first, ids below before_id (NULL: from the newest). Writes a JSON array of items without
 * bodies to *json (free() it), the number of items, and the last id when there may be more
 * (else ""). */
enum store_result store_list(int64_t user_id, const char *before_id, unsigned limit,
                             uint64_t deadline_ns, char **json, size_t *json_length,
                             char next_id[UUID_TEXT_SIZE], struct store_cost *cost);

/* The account of a name. STORE_NOT_FOUND when there is none; hash is PHC text. */
enum store_result store_find_user(const char *name, uint64_t deadline_ns, int64_t *user_id,
                                  char *hash, size_t hash_size, struct store_cost *cost);

/* Queue the write, commit it together with its neighbours, return what became of it. */
enum store_result store_write(struct write *write, uint64_t deadline_ns, struct store_cost *cost);

/* The item as the API shows it; length, 0 when out is too small. with_body false leaves it out. */
size_t item_json(const struct item *item, bool with_body, char *out, size_t size);

/* Every 100 ms, from the worker's main loop: closes idle connections that the supervisor's epoch
 * has left behind and tells it (slot->epoch_closed) when none is left; tends the breakers. */
void store_tick(void);

/* Close every connection (drain is over; no call is under way). */
void store_stop(void);

#endif
