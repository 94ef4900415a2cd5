/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/judge.h"

#include <jansson.h>
#include <string.h>

#include "tools/loadtest/payload.h"

static const struct outcome success = {.cause = CAUSE_NONE};

static struct outcome wrong(int status)
{
    return (struct outcome){.cause = CAUSE_WRONG, .status = status};
}

static json_t *parse(const struct http_response *response)
{
    return json_loadb(response->body ? response->body : "", response->body_length, 0, NULL);
}

/* True when the item holds exactly what was written. */
static bool item_matches(const json_t *item, const struct ledger_entry *entry)
{
    const json_t *title = json_object_get(item, "title"), *body = json_object_get(item, "body");
    return json_is_string(title) && json_is_string(body) &&
           payload_hash(json_string_value(title), json_string_length(title),
                        json_string_value(body), json_string_length(body)) == entry->payload_hash;
}

static struct outcome judge_item(const struct request *request,
                                 const struct http_response *response, struct ledger *ledger)
{
    const struct ledger_entry *entry = ledger_entry(ledger, request->entry);
    json_t *item = parse(response);
    const char *id = json_string_value(json_object_get(item, "id"));
    bool matches = item_matches(item, entry);
    if (request->kind == REQUEST_CREATE)
        ledger_ack(ledger, request->entry, id);
    else if (!id || strcmp(id, entry->id) != 0)
        matches = false;
    if (!matches)
        ledger_corrupt(ledger, request->entry);
    /* An acknowledgement without an id is of no use to anybody. */
    struct outcome outcome = matches && id ? success : wrong(response->status);
    json_decref(item);
    return outcome;
}

static struct outcome judge_list(const struct http_response *response)
{
    json_t *page = parse(response);
    bool sensible = json_is_array(json_object_get(page, "items"));
    json_decref(page);
    return sensible ? success : wrong(response->status);
}

/* Whether the token is of use is the session's business. */
static struct outcome judge_login(const struct http_response *response)
{
    json_t *answer = parse(response);
    bool sensible = json_is_string(json_object_get(answer, "access_token"));
    json_decref(answer);
    return sensible ? success : wrong(response->status);
}

struct outcome judge_answer(const struct request *request, const struct http_response *response,
                            struct ledger *ledger)
{
    int status = response->status;
    if (request->kind == REQUEST_READ && status == 404)
        return wrong(status);
    if (request->kind == REQUEST_GET && status / 100 == 2)
        return success;
    bool created = request->kind == REQUEST_CREATE && status == 201;
    if (status != 200 && !created)
        return status < 300 ? wrong(status)
                            : (struct outcome){.cause = CAUSE_HTTP, .status = status};
    switch (request->kind) {
    case REQUEST_READ:
    case REQUEST_CREATE:
    case REQUEST_VERIFY:
        return judge_item(request, response, ledger);
    case REQUEST_LIST:
    case REQUEST_WALK:
        return judge_list(response);
    case REQUEST_LOGIN:
        return judge_login(response);
    case REQUEST_HEALTH:
    case REQUEST_GET:
        break;
    }
    return success;
}

bool judge_uncertain(const struct outcome *outcome, bool sent, const struct http_response *response)
{
    static const char unknown[] = "write-outcome-unknown";
    switch (outcome->cause) {
    case CAUSE_HTTP:
        return outcome->status == 500 || outcome->status == 502 ||
               (response && response->body &&
                memmem(response->body, response->body_length, unknown, sizeof unknown - 1));
    case CAUSE_NONE:
    case CAUSE_DROPPED:
    case CAUSE_REFUSED:
        return false;
    case CAUSE_WRONG:
        return true;
    default:
        return sent;
    }
}
