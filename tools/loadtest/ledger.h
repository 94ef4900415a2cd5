/* SPDX-License-Identifier: MIT */
/*
 * The ledger of creates: what was asked, what was acknowledged, what was read back. It judges; it
 * does no I/O. Memory: about 120 bytes a create.
 *
 * A promise is an acknowledgement (2xx). LOST, DUPLICATE and CORRUPT are broken promises.
 * INDETERMINATE is none: nobody said whether the create happened, both are right.
 */
#ifndef BULKHEAD_LOADTEST_LEDGER_H
#define BULKHEAD_LOADTEST_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/uuid7.h"

#define LEDGER_ID_SIZE 40 /* ids of the server: 36 characters, and room for other forms */

struct ledger_entry {
    char key[UUID_TEXT_SIZE];
    char id[LEDGER_ID_SIZE]; /* as acknowledged, or as found in a list; "" unknown */
    uint64_t payload_hash;
    uint32_t user;
    bool acked;      /* a 2xx came */
    bool uncertain;  /* an attempt was sent and nobody said what became of it */
    bool listed;     /* its id stands in the list of items */
    bool duplicated; /* another id with the same key stands there too */
    bool read_back;  /* the audit got an answer about the id */
    bool absent;     /* ... and it was 404 */
    bool corrupt;    /* some answer held another payload, in the run or in the audit */
};

struct ledger;

struct ledger *ledger_open(void);
void ledger_close(struct ledger *ledger);

/* Enter a create that is about to be sent; returns its index. Keys are unique. */
uint32_t ledger_add(struct ledger *ledger, uint32_t user, const char *key);

uint32_t ledger_count(const struct ledger *ledger);

/* Valid until the next ledger_add. */
const struct ledger_entry *ledger_entry(const struct ledger *ledger, uint32_t index);

/* A 2xx came; id NULL or too long: none was understood, the audit looks for the key. */
void ledger_ack(struct ledger *ledger, uint32_t index, const char *id);

void ledger_uncertain(struct ledger *ledger, uint32_t index);

/* An answer showed another payload than the one written. */
void ledger_corrupt(struct ledger *ledger, uint32_t index);

/* An acknowledged entry with an id, chosen by a random number; -1 when there is none. */
int64_t ledger_pick(const struct ledger *ledger, uint64_t random);

/* The audit's observations: this id with this title is in the list of items (titles of others are
 * ignored); reading the entry's id gave 404 (absent) or an item. */
void ledger_listed(struct ledger *ledger, const char *title, const char *id);
void ledger_read_back(struct ledger *ledger, uint32_t index, bool absent);

/* What an entry is, once the list was walked to its end. An entry can be several of these. */
enum finding {
    FINDING_LOST = 1 << 0,          /* acknowledged, and not readable by id or not in the list */
    FINDING_DUPLICATE = 1 << 1,     /* two items with one key */
    FINDING_CORRUPT = 1 << 2,       /* read with another payload */
    FINDING_INDETERMINATE = 1 << 3, /* never acknowledged, never refused for certain */
    FINDING_UNEXPECTED = 1 << 4,    /* every attempt was refused, and it exists all the same */
    FINDING_UNREAD = 1 << 5,        /* the audit got no answer about it */
};

unsigned ledger_classify(const struct ledger_entry *entry, bool list_complete);

struct ledger_verdict {
    uint64_t creates, acked;
    uint64_t lost, duplicate, corrupt, indeterminate, indeterminate_existing, unexpected, unread;
};

struct ledger_verdict ledger_verdict(const struct ledger *ledger, bool list_complete);

/* "LOST", ...: the gravest of the findings. */
const char *finding_name(unsigned findings);

#endif
