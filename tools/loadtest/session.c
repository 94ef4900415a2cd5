/* SPDX-License-Identifier: MIT */
#include "tools/loadtest/session.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tools/http/http_message.h"
#include "tools/loadtest/memory.h"

#define NAME_LIMIT        64
#define PASSWORD_LIMIT    1024
#define LOGIN_PATIENCE_NS (30 * NS_PER_S)
#define RENEW_PAUSE_NS    (5 * NS_PER_S)
#define LIFETIME_LIMIT_S  (10 * 365 * 86400)

/* Both texts are copied. */
static int add_account(struct accounts *accounts, const char *name, size_t name_length,
                       const char *password)
{
    size_t password_length = strlen(password);
    if (name_length < 1 || name_length > NAME_LIMIT || password_length < 1 ||
        password_length > PASSWORD_LIMIT)
        return -EINVAL;
    accounts->all = memory_resize(accounts->all, accounts->count + 1, sizeof *accounts->all);
    struct account *account = &accounts->all[accounts->count++];
    *account = (struct account){
        .name = memory_zeroed(name_length + 1, 1),
        .password = memory_zeroed(password_length + 1, 1),
        .token = memory_zeroed(1, 1),
    };
    memcpy(account->name, name, name_length);
    memcpy(account->password, password, password_length);
    return 0;
}

/* The next line without its end; false at the end of input. */
static bool read_line(char **line, size_t *size, FILE *input)
{
    if (getline(line, size, input) < 0)
        return false;
    (*line)[strcspn(*line, "\r\n")] = '\0';
    return true;
}

int accounts_read_password(struct accounts *accounts, const char *name, FILE *input)
{
    char *line = NULL;
    size_t size = 0;
    int error = -EINVAL;
    if (read_line(&line, &size, input))
        error = add_account(accounts, name, strlen(name), line);
    if (line)
        explicit_bzero(line, size);
    free(line);
    return error;
}

int accounts_read(struct accounts *accounts, FILE *input, unsigned limit, unsigned *line_number)
{
    char *line = NULL;
    size_t size = 0;
    int error = 0;
    *line_number = 0;
    while (!error && (limit == 0 || accounts->count < limit) && read_line(&line, &size, input)) {
        *line_number += 1;
        size_t name_length = strcspn(line, ":");
        if (line[name_length] != ':')
            error = -EINVAL;
        else
            error = add_account(accounts, line, name_length, line + name_length + 1);
    }
    if (line)
        explicit_bzero(line, size);
    free(line);
    if (!error && accounts->count == 0) {
        *line_number = 0;
        error = -EINVAL;
    }
    return error;
}

void accounts_nobody(struct accounts *accounts)
{
    add_account(accounts, "-", 1, "-");
    accounts->all[0].renew_at_ns = UINT64_MAX;
}

void accounts_free(struct accounts *accounts)
{
    for (unsigned i = 0; i < accounts->count; i++) {
        struct account *account = &accounts->all[i];
        explicit_bzero(account->password, strlen(account->password));
        free(account->name);
        free(account->password);
        free(account->token);
    }
    free(accounts->all);
    *accounts = (struct accounts){0};
}

/* A token goes into a header: printable ASCII without blanks. */
static bool token_is_sane(const char *token)
{
    size_t length = strlen(token);
    for (size_t i = 0; i < length; i++)
        if (token[i] <= ' ' || token[i] > '~')
            return false;
    return length > 0 && length <= TOKEN_LIMIT;
}

static bool keep_token(struct account *account, const struct http_response *response,
                       uint64_t now_ns)
{
    json_t *answer =
        json_loadb(response->body ? response->body : "", response->body_length, 0, NULL);
    const char *token = json_string_value(json_object_get(answer, "access_token"));
    json_int_t seconds = json_integer_value(json_object_get(answer, "expires_in"));
    bool good = token && token_is_sane(token) && seconds > 0 && seconds <= LIFETIME_LIMIT_S;
    if (good) {
        free(account->token);
        account->token = memcpy(memory_zeroed(strlen(token) + 1, 1), token, strlen(token));
        account->obtained_ns = now_ns;
        account->renew_at_ns = now_ns + (uint64_t)seconds * NS_PER_S / 5 * 4;
    }
    json_decref(answer);
    return good;
}

static void login_done(void *context, struct request *request, const struct outcome *outcome,
                       const struct http_response *response)
{
    struct account *account = context;
    uint64_t now_ns = clock_now_ns();
    (void)request;
    account->login_under_way = false;
    account->login_outcome = *outcome;
    account->login_failed = outcome->cause != CAUSE_NONE || !keep_token(account, response, now_ns);
    if (account->login_failed)
        account->renew_at_ns = now_ns + RENEW_PAUSE_NS;
}

static void start_login(struct engine *engine, struct accounts *accounts, unsigned user,
                        uint64_t now_ns)
{
    struct account *account = &accounts->all[user];
    struct request *request = engine_request(engine, REQUEST_LOGIN, login_done, account);
    account->login_under_way = true;
    request->user = user;
    request->give_up_ns = now_ns + LOGIN_PATIENCE_NS;
    engine_submit(engine, request);
}

int session_login(struct engine *engine, struct accounts *accounts, unsigned *failed)
{
    for (unsigned user = 0; user < accounts->count; user++) {
        struct account *account = &accounts->all[user];
        start_login(engine, accounts, user, clock_now_ns());
        while (account->login_under_way && engine_interrupts(engine) == 0)
            engine_step(engine, UINT64_MAX);
        if (account->login_under_way)
            return -EINTR;
        if (account->login_failed) {
            *failed = user;
            return -EACCES;
        }
    }
    return 0;
}

void session_renew(struct engine *engine, struct accounts *accounts, uint64_t now_ns)
{
    for (unsigned user = 0; user < accounts->count; user++)
        if (!accounts->all[user].login_under_way && accounts->all[user].renew_at_ns <= now_ns)
            start_login(engine, accounts, user, now_ns);
}
