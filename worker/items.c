/* SPDX-License-Identifier: MIT */
#include "worker/items.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_out.h"
#include "common/utf8.h"
#include "worker/auth.h"
#include "worker/body.h"
#include "worker/failure.h"

/* What no item has: a condition that cannot hold, but still tells "no such item" from "not so". */
#define VERSION_OF_NONE ((uint64_t)INT64_MAX)

/* An item is private to its user, and a cache must ask before it shows it again. */
#define CACHE_PRIVATE "private, no-cache"

static void add_cost(struct exchange *exchange, const struct store_cost *cost)
{
    exchange->cost.queue_us += cost->queue_us;
    exchange->cost.db_us += cost->db_us;
    if (cost->error != DB_CODE_OK)
        exchange->cost.error = cost->error;
    exchange->cost.dependency = cost->dependency;
    exchange->cost.retry_ms = cost->retry_ms;
}

/* ---- reading ----------------------------------------------------------------------------- */

void items_list(struct exchange *exchange)
{
    struct page_query page;
    struct store_cost cost = {0};
    char *items = NULL, next_id[UUID_TEXT_SIZE] = "", cursor[CURSOR_SIZE];
    size_t length = 0;
    const char *wrong = request_page_query(exchange->request.query, &page);
    if (wrong) {
        response_problem(exchange, PROBLEM_MALFORMED_REQUEST, wrong);
        return;
    }
    enum store_result result =
        store_list(exchange->user.user_id, page.before_id[0] ? page.before_id : NULL, page.limit,
                   exchange->deadline_ns, &items, &length, next_id, &cost);
    add_cost(exchange, &cost);
    char *room = result == STORE_OK ? response_room(&exchange->response, length + 128) : NULL;
    if (room) {
        struct json_out json;
        json_out_init(&json, room, length + 128);
        json_object_begin(&json);
        json_key(&json, "items");
        json_raw(&json, items, length);
        request_cursor(next_id, cursor);
        json_key_string(&json, "next_cursor", next_id[0] ? cursor : NULL);
        json_object_end(&json);
        exchange->response.cache_control = CACHE_PRIVATE;
        response_json(exchange, 200, json.length);
    } else if (result == STORE_OK) {
        response_problem(exchange, PROBLEM_INTERNAL_ERROR, "There is no memory for the answer.");
    } else {
        failure_of_store(exchange, result);
    }
    free(items);
}

/* Read the item of the path. False when the response is made. */
static bool find(struct exchange *exchange, struct item *item)
{
    struct store_cost cost = {0};
    if (!exchange->request.route.id_valid) {
        failure_of_store(exchange, STORE_NOT_FOUND);
        return false;
    }
    enum store_result result = store_get(exchange->user.user_id, exchange->request.route.id,
                                         exchange->deadline_ns, item, &cost);
    add_cost(exchange, &cost);
    if (result != STORE_OK)
        failure_of_store(exchange, result);
    return result == STORE_OK;
}

static void answer_item(struct exchange *exchange, const struct item *item)
{
    /* A character takes six bytes at worst, as \u001f. */
    size_t size = 512 + item->title_length + item->body_length, length = 0;
    size_t most = 512 + 6 * (item->title_length + item->body_length);
    for (; length == 0 && size <= 2 * most; size *= 2) {
        char *room = response_room(&exchange->response, size);
        if (!room)
            break;
        length = item_json(item, true, room, size);
    }
    exchange->response.etag_version = item->version;
    exchange->response.cache_control = CACHE_PRIVATE;
    if (length > 0)
        response_json(exchange, 200, length);
    else
        response_problem(exchange, PROBLEM_INTERNAL_ERROR, "There is no memory for the answer.");
}

void items_get(struct exchange *exchange)
{
    struct item item;
    struct etag_list known = {0};
    const char *none_match = exchange->request.header[HEADER_IF_NONE_MATCH];
    if (none_match && !request_etags(none_match, &known)) {
        response_problem(exchange, PROBLEM_MALFORMED_REQUEST,
                         "If-None-Match is not a list of entity tags.");
        return;
    }
    if (!find(exchange, &item))
        return;
    if (none_match && request_etag_in(&known, item.version, true)) {
        exchange->response.etag_version = item.version;
        exchange->response.cache_control = CACHE_PRIVATE;
        response_empty(exchange, 304);
    } else {
        answer_item(exchange, &item);
    }
    item_free(&item);
}

/* ---- fields ------------------------------------------------------------------------------ */

static void take_title(struct write *write, const json_t *value, struct field_errors *errors)
{
    size_t characters;
    write->has_title = true;
    if (!json_is_string(value)) {
        field_error(errors, "title", "must be a string");
        return;
    }
    write->title = json_string_value(value);
    write->title_length = json_string_length(value);
    if (!utf8_valid(write->title, write->title_length, &characters) || characters < 1 ||
        characters > ITEM_TITLE_MAX_CHARACTERS)
        field_error(errors, "title", "must have 1 to 200 characters");
}

static void take_body(struct write *write, const json_t *value, struct field_errors *errors)
{
    write->has_body = true;
    if (json_is_null(value))
        return;
    if (!json_is_string(value)) {
        field_error(errors, "body", "must be a string or null");
        return;
    }
    write->body = json_string_value(value);
    write->body_length = json_string_length(value);
    if (write->body_length > ITEM_BODY_MAX_BYTES)
        field_error(errors, "body", "must have at most 65536 bytes");
}

static bool is_ours(const char *key)
{
    return strcmp(key, "id") == 0 || strcmp(key, "version") == 0 ||
           strcmp(key, "created_at") == 0 || strcmp(key, "updated_at") == 0;
}

/* The fields of the body into the write, which then points into *json; json_decref() it.
 * False when the response is made. */
static bool read_fields(struct exchange *exchange, struct write *write, json_t **json)
{
    struct field_errors errors = {0};
    const char *key;
    json_t *value;
    *json = body_json(exchange);
    if (!*json)
        return false;
    json_object_foreach(*json, key, value)
    {
        if (strcmp(key, "title") == 0)
            take_title(write, value, &errors);
        else if (strcmp(key, "body") == 0)
            take_body(write, value, &errors);
        else
            field_error(&errors, key, is_ours(key) ? "is set by the server" : "is not known");
    }
    if (!write->has_title && write->kind != WRITE_PATCH)
        field_error(&errors, "title", "is missing");
    if (write->kind == WRITE_PUT)
        write->has_body = true; /* a PUT says all there is */
    if (errors.count > 0)
        response_invalid_fields(exchange, &errors);
    return errors.count == 0;
}

/* ---- conditions -------------------------------------------------------------------------- */

/* If-Match into the version the write asks for. Of several versions the one the item has now is
 * asked for; if it changes before the write, the write fails, as it should. */
static bool read_if_match(struct exchange *exchange, struct write *write)
{
    struct etag_list wanted;
    struct item item;
    const char *if_match = exchange->request.header[HEADER_IF_MATCH];
    if (!if_match)
        return true;
    if (!request_etags(if_match, &wanted)) {
        response_problem(exchange, PROBLEM_MALFORMED_REQUEST,
                         "If-Match is not a list of entity tags.");
        return false;
    }
    if (wanted.any)
        return true; /* an item that is not there is a 404 all the same */
    write->if_match_version = VERSION_OF_NONE;
    if (wanted.count == 1 && !wanted.tag[0].weak) {
        write->if_match_version = wanted.tag[0].version;
    } else if (wanted.count > 1) {
        if (!find(exchange, &item))
            return false;
        if (request_etag_in(&wanted, item.version, false))
            write->if_match_version = item.version;
        item_free(&item);
    }
    return true;
}

/* The same request under the same key has the same hash, by whichever prefix it came. */
static bool hash_request(const struct exchange *exchange, uint8_t hash[32])
{
    static const char head[] = "POST /data/items\n";
    const struct request *request = &exchange->request;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
                EVP_DigestUpdate(context, head, sizeof head - 1) == 1 &&
                EVP_DigestUpdate(context, request->body, request->body_length) == 1 &&
                EVP_DigestFinal_ex(context, hash, NULL) == 1;
    EVP_MD_CTX_free(context);
    return done;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void run(struct exchange *exchange, struct write *write)
{
    struct store_cost cost = {0};
    struct response *response = &exchange->response;
    enum store_result result = store_write(write, exchange->deadline_ns, &cost);
    add_cost(exchange, &cost);
    if (result != STORE_OK && result != STORE_REPLAYED) {
        if (result == STORE_NOT_FOUND && write->kind == WRITE_CREATE)
            auth_account_gone(exchange);
        else
            failure_of_store(exchange, result);
        free(write->answer);
        return;
    }
    response->replayed = result == STORE_REPLAYED;
    if (write->answer) {
        response->etag_version = write->version;
        response->cache_control = CACHE_PRIVATE;
        response_json_copy(exchange, write->status, write->answer, write->answer_length);
    } else {
        response_empty(exchange, write->status);
    }
    if (response->status == 201)
        snprintf(response->location, sizeof response->location, "%s/data/items/%s",
                 exchange->request.route.versioned ? "/v1" : "", write->id);
    free(write->answer);
}

void items_create(struct exchange *exchange)
{
    struct write write = {.kind = WRITE_CREATE, .user_id = exchange->user.user_id};
    char key[IDEMPOTENCY_KEY_SIZE];
    const char *header = exchange->request.header[HEADER_IDEMPOTENCY_KEY];
    json_t *json = NULL;
    if (header && !request_idempotency_key(header, key)) {
        response_problem(exchange, PROBLEM_MALFORMED_REQUEST,
                         "Idempotency-Key must have 1 to 255 visible ASCII characters.");
        return;
    }
    write.idempotency_key = header ? key : NULL;
    if (header && !hash_request(exchange, write.request_hash))
        response_problem(exchange, PROBLEM_INTERNAL_ERROR, "The request could not be hashed.");
    else if (read_fields(exchange, &write, &json))
        run(exchange, &write);
    json_decref(json);
}

static void change(struct exchange *exchange, enum write_kind kind)
{
    struct write write = {.kind = kind, .user_id = exchange->user.user_id};
    json_t *json = NULL;
    if (kind != WRITE_DELETE && !read_fields(exchange, &write, &json))
        goto out;
    if (!exchange->request.route.id_valid) {
        failure_of_store(exchange, STORE_NOT_FOUND);
        goto out;
    }
    memcpy(write.id, exchange->request.route.id, sizeof write.id);
    if (read_if_match(exchange, &write))
        run(exchange, &write);
out:
    json_decref(json);
}

void items_put(struct exchange *exchange)
{
    change(exchange, WRITE_PUT);
}

void items_patch(struct exchange *exchange)
{
    change(exchange, WRITE_PATCH);
}

void items_delete(struct exchange *exchange)
{
    change(exchange, WRITE_DELETE);
}
