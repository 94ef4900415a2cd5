/* SPDX-License-Identifier: MIT */
#include "worker/auth.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/crypto/password.h"
#include "common/json_out.h"
#include "worker/body.h"
#include "worker/failure.h"
#include "worker/hasher.h"
#include "worker/limits.h"
#include "worker/liveness.h"

#define CHALLENGE         "Bearer realm=\"bulkhead\""
#define CHALLENGE_INVALID "Bearer realm=\"bulkhead\", error=\"invalid_token\""

static void unauthorized(struct exchange *exchange, const char *challenge, const char *detail)
{
    exchange->response.authenticate = challenge;
    response_problem(exchange, PROBLEM_UNAUTHORIZED, detail);
}

static const char *token_fault(enum token_result result)
{
    switch (result) {
    case TOKEN_EXPIRED:
        return "The token has expired; log in again.";
    case TOKEN_NOT_YET_VALID:
        return "The token is not valid yet.";
    case TOKEN_BAD_SIGNATURE:
        return "The token's signature is not ours.";
    case TOKEN_BAD_CLAIMS:
        return "The token lacks a claim, or is not for this server.";
    case TOKEN_MALFORMED:
    case TOKEN_OK:
        break;
    }
    return "The token is malformed.";
}

bool auth_require(struct exchange *exchange)
{
    const char *header = exchange->request.header[HEADER_AUTHORIZATION];
    if (!header || strncasecmp(header, "Bearer ", 7) != 0) {
        unauthorized(exchange, CHALLENGE,
                     "This needs an Authorization header with a bearer token.");
        return false;
    }
    const char *token = header + 7 + strspn(header + 7, " ");
    enum token_result result =
        token_check(exchange->services->keys, exchange->services->tokens, token, strlen(token),
                    exchange->wall_us / US_PER_S, &exchange->user);
    if (result == TOKEN_OK)
        return true;
    unauthorized(exchange, CHALLENGE_INVALID, token_fault(result));
    return false;
}

void auth_account_gone(struct exchange *exchange)
{
    unauthorized(exchange, CHALLENGE_INVALID, "The account of this token does not exist any more.");
}

/* ---- login ------------------------------------------------------------------------------- */

struct credentials {
    const char *name, *password; /* the name ends with NUL, both are counted */
    size_t name_length, password_length;
    bool possible; /* false: no account can have these */
};

/* Both texts and nothing else. False when the response is made. */
static bool read_credentials(struct exchange *exchange, json_t *json, struct credentials *login)
{
    struct field_errors errors = {0};
    const char *key;
    json_t *value;
    json_object_foreach(json, key, value)
    {
        if (strcmp(key, "username") != 0 && strcmp(key, "password") != 0)
            field_error(&errors, key, "is not known");
        else if (!json_is_string(value))
            field_error(&errors, key, "must be a string");
    }
    const json_t *name = json_object_get(json, "username");
    const json_t *password = json_object_get(json, "password");
    if (!name)
        field_error(&errors, "username", "is missing");
    if (!password)
        field_error(&errors, "password", "is missing");
    if (errors.count > 0) {
        response_invalid_fields(exchange, &errors);
        return false;
    }
    login->name = json_string_value(name);
    login->name_length = json_string_length(name);
    login->password = json_string_value(password);
    login->password_length = json_string_length(password);
    login->possible = user_name_valid(login->name, login->name_length) &&
                      login->password_length >= 1 && login->password_length <= PASSWORD_MAX_BYTES;
    return true;
}

static void answer_token(struct exchange *exchange)
{
    const struct services *services = exchange->services;
    struct json_out json;
    char *token = token_issue(services->keys, exchange->user.name, exchange->user.user_id,
                              exchange->wall_us / US_PER_S);
    char *room = response_room(&exchange->response, TOKEN_MAX_BYTES);
    if (!token || !room) {
        response_problem(exchange, PROBLEM_INTERNAL_ERROR, "The token could not be made.");
        free(token);
        return;
    }
    json_out_init(&json, room, TOKEN_MAX_BYTES);
    json_object_begin(&json);
    json_key_string(&json, "access_token", token);
    json_key_string(&json, "token_type", "Bearer");
    json_key_int(&json, "expires_in", TOKEN_LIFETIME_S);
    json_object_end(&json);
    free(token);
    exchange->response.cache_control = "no-store";
    response_json(exchange, 200, json.length);
    counter_increment(&exchange_metrics(exchange)->logins[LOGIN_OK][0]);
}

static void answer_login(struct exchange *exchange, enum hasher_verdict verdict, bool known)
{
    struct slot_metrics *numbers = exchange_metrics(exchange);
    switch (verdict) {
    case HASHER_MATCHES:
    case HASHER_DIFFERS:
        if (verdict == HASHER_MATCHES && known) {
            answer_token(exchange);
            return;
        }
        counter_increment(&numbers->logins[LOGIN_DENIED][0]);
        unauthorized(exchange, CHALLENGE, "The user name or the password is wrong.");
        return;
    case HASHER_REFUSED:
        counter_increment(&numbers->logins[LOGIN_REFUSED][0]);
        failure_compartment_full(exchange);
        return;
    case HASHER_DEADLINE:
        counter_increment(&numbers->logins[LOGIN_REFUSED][0]);
        failure_deadline(exchange, STAGE_HASH);
        return;
    case HASHER_CLIENT_GONE:
        break;
    }
    exchange->response.status = 499;
    exchange->reason = "client_gone";
}

void auth_login(struct exchange *exchange)
{
    struct credentials login = {0};
    char hash[PASSWORD_HASH_SIZE];
    json_t *json = body_json(exchange);
    if (!json || !read_credentials(exchange, json, &login) ||
        !limits_take_login(exchange, login.name, login.name_length))
        goto out;
    /* No account has the name ""; looking for it costs what looking for any other does. */
    const char *name = login.possible ? login.name : "";
    enum store_result result = store_find_user(name, exchange->deadline_ns, &exchange->user.user_id,
                                               hash, sizeof hash, &exchange->cost);
    bool known = result == STORE_OK && login.possible;
    if (result != STORE_OK && result != STORE_NOT_FOUND) {
        failure_of_store(exchange, result);
        goto out;
    }
    uint64_t start_ns = clock_now_ns();
    enum hasher_verdict verdict =
        hasher_check(exchange->services->hasher, login.password, login.password_length,
                     known ? hash : NULL, exchange->peer.fd, exchange->deadline_ns);
    liveness_stage(STAGE_HANDLE);
    if (verdict == HASHER_REFUSED)
        exchange->cost.queue_us += (clock_now_ns() - start_ns) / NS_PER_US;
    if (known && verdict == HASHER_MATCHES)
        memcpy(exchange->user.name, login.name, strlen(login.name) + 1);
    else if (verdict == HASHER_MATCHES || verdict == HASHER_DIFFERS)
        limits_login_failed(exchange, login.name, login.name_length);
    answer_login(exchange, verdict, known);
out:
    json_decref(json);
}
