/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tools/loadtest/memory.h"
#include "tools/loadtest/payload.h"

/* Keys are found by a table of open addressing that holds index + 1 and is at most half full. */
struct ledger {
    struct ledger_entry *entries;
    uint32_t count, capacity;
    uint32_t *readable; /* acknowledged entries with an id */
    uint32_t readable_count;
    uint32_t *table;
    uint32_t table_size; /* a power of two */
};

#define FIRST_CAPACITY 1024u

struct ledger *ledger_open(void)
{
    return memory_zeroed(1, sizeof(struct ledger));
}

void ledger_close(struct ledger *ledger)
{
    free(ledger->entries);
    free(ledger->readable);
    free(ledger->table);
    free(ledger);
}

static uint32_t *table_slot(const struct ledger *ledger, const char *key)
{
    uint32_t mask = ledger->table_size - 1;
    uint32_t at = (uint32_t)payload_hash(key, UUID_TEXT_SIZE - 1, "", 0) & mask;
    while (ledger->table[at] && strcmp(ledger->entries[ledger->table[at] - 1].key, key) != 0)
        at = (at + 1) & mask;
    return &ledger->table[at];
}

static void grow(struct ledger *ledger)
{
    CHECK(ledger->capacity < UINT32_MAX / 4);
    ledger->capacity = ledger->capacity ? ledger->capacity * 2 : FIRST_CAPACITY;
    ledger->entries = memory_resize(ledger->entries, ledger->capacity, sizeof *ledger->entries);
    ledger->readable = memory_resize(ledger->readable, ledger->capacity, sizeof *ledger->readable);
    free(ledger->table);
    ledger->table_size = ledger->capacity * 2;
    ledger->table = memory_zeroed(ledger->table_size, sizeof *ledger->table);
    for (uint32_t i = 0; i < ledger->count; i++)
        *table_slot(ledger, ledger->entries[i].key) = i + 1;
}

uint32_t ledger_add(struct ledger *ledger, uint32_t user, const char *key)
{
    if (ledger->count == ledger->capacity)
        grow(ledger);
    uint32_t index = ledger->count++;
    struct ledger_entry *entry = &ledger->entries[index];
    *entry = (struct ledger_entry){.user = user, .payload_hash = payload_hash_of_key(key)};
    CHECK(strlen(key) < sizeof entry->key);
    memcpy(entry->key, key, strlen(key) + 1);
    uint32_t *slot = table_slot(ledger, key);
    CHECK(*slot == 0);
    *slot = index + 1;
    return index;
}

uint32_t ledger_count(const struct ledger *ledger)
{
    return ledger->count;
}

static struct ledger_entry *at(const struct ledger *ledger, uint32_t index)
{
    CHECK(index < ledger->count);
    return &ledger->entries[index];
}

const struct ledger_entry *ledger_entry(const struct ledger *ledger, uint32_t index)
{
    return at(ledger, index);
}

void ledger_ack(struct ledger *ledger, uint32_t index, const char *id)
{
    struct ledger_entry *entry = at(ledger, index);
    entry->acked = true;
    if (!id || !*id || strlen(id) >= LEDGER_ID_SIZE || entry->id[0])
        return;
    memcpy(entry->id, id, strlen(id) + 1);
    ledger->readable[ledger->readable_count++] = index;
}

void ledger_uncertain(struct ledger *ledger, uint32_t index)
{
    at(ledger, index)->uncertain = true;
}

void ledger_corrupt(struct ledger *ledger, uint32_t index)
{
    at(ledger, index)->corrupt = true;
}

int64_t ledger_pick(const struct ledger *ledger, uint64_t random)
{
    if (ledger->readable_count == 0)
        return -1;
    return ledger->readable[random % ledger->readable_count];
}

void ledger_listed(struct ledger *ledger, const char *title, const char *id)
{
    const char *key = payload_key(title);
    uint32_t found = key && ledger->count > 0 ? *table_slot(ledger, key) : 0;
    if (found == 0)
        return;
    struct ledger_entry *entry = &ledger->entries[found - 1];
    if (!entry->id[0] && strlen(id) < LEDGER_ID_SIZE)
        memcpy(entry->id, id, strlen(id) + 1);
    if (strcmp(entry->id, id) == 0)
        entry->listed = true;
    else
        entry->duplicated = true;
}

void ledger_read_back(struct ledger *ledger, uint32_t index, bool absent)
{
    at(ledger, index)->read_back = true;
    at(ledger, index)->absent = absent;
}

unsigned ledger_classify(const struct ledger_entry *entry, bool list_complete)
{
    unsigned findings = 0;
    bool exists = entry->listed || (entry->read_back && !entry->absent);
    if (entry->duplicated)
        findings |= FINDING_DUPLICATE;
    if (entry->corrupt)
        findings |= FINDING_CORRUPT;
    if (entry->acked) {
        if (entry->absent || (list_complete && !entry->listed))
            findings |= FINDING_LOST;
        else if (!entry->read_back)
            findings |= FINDING_UNREAD;
    } else if (entry->uncertain) {
        findings |= FINDING_INDETERMINATE;
    } else if (exists) {
        findings |= FINDING_UNEXPECTED;
    }
    return findings;
}

struct ledger_verdict ledger_verdict(const struct ledger *ledger, bool list_complete)
{
    struct ledger_verdict verdict = {.creates = ledger->count};
    for (uint32_t i = 0; i < ledger->count; i++) {
        const struct ledger_entry *entry = &ledger->entries[i];
        unsigned findings = ledger_classify(entry, list_complete);
        verdict.acked += entry->acked;
        verdict.lost += (findings & FINDING_LOST) != 0;
        verdict.duplicate += (findings & FINDING_DUPLICATE) != 0;
        verdict.corrupt += (findings & FINDING_CORRUPT) != 0;
        verdict.unexpected += (findings & FINDING_UNEXPECTED) != 0;
        verdict.unread += (findings & FINDING_UNREAD) != 0;
        if (findings & FINDING_INDETERMINATE) {
            verdict.indeterminate += 1;
            verdict.indeterminate_existing += entry->listed;
        }
    }
    return verdict;
}

const char *finding_name(unsigned findings)
{
    if (findings & FINDING_LOST)
        return "LOST";
    if (findings & FINDING_DUPLICATE)
        return "DUPLICATE";
    if (findings & FINDING_CORRUPT)
        return "CORRUPT";
    if (findings & FINDING_UNEXPECTED)
        return "UNEXPECTED";
    if (findings & FINDING_UNREAD)
        return "UNREAD";
    return findings & FINDING_INDETERMINATE ? "INDETERMINATE" : "OK";
}
