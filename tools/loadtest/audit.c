/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/audit.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/http/http_message.h"
#include "tools/loadtest/memory.h"

#define PATIENCE_NS (30 * NS_PER_S)
/* Few at a time: the audit must not be refused by the limits it comes to check behind. */
#define AT_ONCE   8u
#define PAGE_SIZE 100u

/* One account's list. */
struct walk {
    char mark[LEDGER_ID_SIZE]; /* the newest id before the run, "" when there was none */
    char cursor[REQUEST_CURSOR_SIZE];
};

struct audit {
    struct engine *engine;
    struct accounts *accounts;
    struct ledger *ledger;
    struct walk *walks;
    bool show_progress;
    unsigned in_flight;
    unsigned next_user;
    uint32_t next_entry, read;
    bool failed; /* some question stayed without an answer */
    struct outcome failure;
};

struct audit *audit_open(struct engine *engine, struct accounts *accounts, bool show_progress)
{
    struct audit *audit = memory_zeroed(1, sizeof *audit);
    audit->engine = engine;
    audit->accounts = accounts;
    audit->ledger = engine_settings(engine)->ledger;
    audit->walks = memory_zeroed(accounts->count, sizeof *audit->walks);
    audit->show_progress = show_progress;
    return audit;
}

void audit_close(struct audit *audit)
{
    free(audit->walks);
    free(audit);
}

static void fail(struct audit *audit, const struct outcome *outcome)
{
    audit->failed = true;
    audit->failure = *outcome;
}

static struct request *ask(struct audit *audit, enum request_kind kind, request_done *done,
                           unsigned user)
{
    struct request *request = engine_request(audit->engine, kind, done, audit);
    request->user = user;
    request->give_up_ns = clock_now_ns() + PATIENCE_NS;
    audit->in_flight += 1;
    return request;
}

static json_t *parse(const struct http_response *response)
{
    return json_loadb(response->body ? response->body : "", response->body_length, 0, NULL);
}

static void mark_done(void *context, struct request *request, const struct outcome *outcome,
                      const struct http_response *response)
{
    struct audit *audit = context;
    audit->in_flight -= 1;
    if (outcome->cause != CAUSE_NONE) {
        fail(audit, outcome);
        return;
    }
    json_t *page = parse(response);
    const json_t *newest = json_array_get(json_object_get(page, "items"), 0);
    const char *id = json_string_value(json_object_get(newest, "id"));
    if (id && strlen(id) < LEDGER_ID_SIZE)
        memcpy(audit->walks[request->user].mark, id, strlen(id) + 1);
    json_decref(page);
}

int audit_mark(struct audit *audit, struct outcome *outcome)
{
    while ((audit->next_user < audit->accounts->count && !audit->failed) || audit->in_flight > 0) {
        while (audit->next_user < audit->accounts->count && audit->in_flight < AT_ONCE) {
            struct request *request = ask(audit, REQUEST_WALK, mark_done, audit->next_user++);
            request->limit = 1;
            engine_submit(audit->engine, request);
        }
        engine_step(audit->engine, UINT64_MAX);
        if (engine_interrupts(audit->engine) > 0)
            return -EINTR;
    }
    *outcome = audit->failure;
    return audit->failed ? -EIO : 0;
}

/* Note the items of a page. True when the mark was reached: what follows is older than the run. */
static bool note_items(struct audit *audit, const json_t *items, const char *mark)
{
    size_t i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        const char *id = json_string_value(json_object_get(item, "id"));
        const char *title = json_string_value(json_object_get(item, "title"));
        if (!id || !title)
            continue;
        if (*mark && strcmp(id, mark) <= 0)
            return true;
        ledger_listed(audit->ledger, title, id);
    }
    return json_array_size(items) == 0;
}

static void walk_page(struct audit *audit, unsigned user);

static void walk_done(void *context, struct request *request, const struct outcome *outcome,
                      const struct http_response *response)
{
    struct audit *audit = context;
    struct walk *walk = &audit->walks[request->user];
    audit->in_flight -= 1;
    if (outcome->cause != CAUSE_NONE) {
        fail(audit, outcome);
        return;
    }
    json_t *page = parse(response);
    const char *cursor = json_string_value(json_object_get(page, "next_cursor"));
    bool over = note_items(audit, json_object_get(page, "items"), walk->mark) || !cursor;
    if (!over && (strlen(cursor) >= sizeof walk->cursor || strcmp(cursor, walk->cursor) == 0)) {
        fail(audit, &(struct outcome){.cause = CAUSE_WRONG, .status = response->status});
    } else if (!over) {
        memcpy(walk->cursor, cursor, strlen(cursor) + 1);
        walk_page(audit, request->user);
    }
    json_decref(page);
}

static void walk_page(struct audit *audit, unsigned user)
{
    struct request *request = ask(audit, REQUEST_WALK, walk_done, user);
    request->limit = PAGE_SIZE;
    request->cursor = audit->walks[user].cursor;
    engine_submit(audit->engine, request);
}

static void verify_done(void *context, struct request *request, const struct outcome *outcome,
                        const struct http_response *response)
{
    struct audit *audit = context;
    audit->in_flight -= 1;
    audit->read += 1;
    bool absent = outcome->cause == CAUSE_HTTP && outcome->status == 404;
    if (absent || (response && response->status == 200))
        ledger_read_back(audit->ledger, request->entry, absent);
    else
        fail(audit, outcome);
}

/* Ask for the next entry that has an id and a reason: somebody was promised it, or it was seen. */
static void verify_next(struct audit *audit)
{
    const struct ledger_entry *entry = ledger_entry(audit->ledger, audit->next_entry);
    if (entry->id[0]) {
        struct request *request = ask(audit, REQUEST_VERIFY, verify_done, entry->user);
        request->entry = audit->next_entry;
        engine_submit(audit->engine, request);
    }
    audit->next_entry += 1;
}

static void tick(void *context, uint64_t now_ns)
{
    struct audit *audit = context;
    session_renew(audit->engine, audit->accounts, now_ns);
    if (audit->show_progress)
        fprintf(stderr, "\r\033[Kaudit: %u of %u writes read back", audit->read,
                ledger_count(audit->ledger));
}

static bool walks_left(const struct audit *audit)
{
    return audit->next_user < audit->accounts->count;
}

static bool entries_left(const struct audit *audit)
{
    return audit->next_entry < ledger_count(audit->ledger);
}

/* Ask until `left` says no and all is answered. False when something failed or was interrupted. */
static bool ask_all(struct audit *audit, bool (*left)(const struct audit *),
                    void (*next)(struct audit *), unsigned interrupts)
{
    while ((left(audit) && !audit->failed) || audit->in_flight > 0) {
        while (left(audit) && !audit->failed && audit->in_flight < AT_ONCE)
            next(audit);
        engine_step(audit->engine, UINT64_MAX);
        if (engine_interrupts(audit->engine) > interrupts)
            return false;
    }
    return !audit->failed;
}

static void walk_next(struct audit *audit)
{
    walk_page(audit, audit->next_user++);
}

enum audit_state audit_run(struct audit *audit, bool *list_complete, struct outcome *failure)
{
    unsigned interrupts = engine_interrupts(audit->engine);
    audit->next_user = 0;
    audit->next_entry = 0;
    engine_on_tick(audit->engine, clock_now_ns() + NS_PER_S, tick, audit);
    *list_complete = ask_all(audit, walks_left, walk_next, interrupts);
    bool read = *list_complete && ask_all(audit, entries_left, verify_next, interrupts);
    engine_on_tick(audit->engine, UINT64_MAX, NULL, NULL);
    if (audit->show_progress)
        fputs("\r\033[K", stderr);
    *failure = audit->failure;
    if (engine_interrupts(audit->engine) > interrupts)
        return AUDIT_INTERRUPTED;
    return read ? AUDIT_COMPLETE : AUDIT_INCOMPLETE;
}

const char *audit_state_name(enum audit_state state)
{
    static const char *const names[] = {
        [AUDIT_SKIPPED] = "skipped",
        [AUDIT_COMPLETE] = "complete",
        [AUDIT_INCOMPLETE] = "incomplete",
        [AUDIT_INTERRUPTED] = "interrupted",
    };
    return names[state];
}
