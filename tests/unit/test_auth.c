/* SPDX-License-Identifier: MIT */
/* Tokens: what is believed, and that the cache never believes more. */
#include "tests/unit/unit.h"

#include <jwt.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "worker/token.h"

#define NOW UINT64_C(1800000000)

static struct key_file keys; /* two of them */
static struct token_cache *cache;

static int set_up(void **state)
{
    (void)state;
    memset(keys.key[0], 0x11, KEY_BYTES);
    memset(keys.key[1], 0x22, KEY_BYTES);
    keys.count = 2;
    cache = token_cache_make();
    return cache ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    free(cache);
    return 0;
}

static enum token_result check_at(const char *token, uint64_t now_s, struct identity *identity)
{
    return token_check(&keys, cache, token, strlen(token), now_s, identity);
}

static enum token_result check(const char *token)
{
    struct identity identity;
    return check_at(token, NOW, &identity);
}

/* A token with these claims, signed with one of the keys. */
static char *sign(const char *claims, jwt_alg_t algorithm, unsigned key)
{
    jwt_t *jwt = NULL;
    assert_int_equal(jwt_new(&jwt), 0);
    assert_int_equal(jwt_add_grants_json(jwt, claims), 0);
    assert_int_equal(algorithm == JWT_ALG_NONE
                         ? jwt_set_alg(jwt, algorithm, NULL, 0)
                         : jwt_set_alg(jwt, algorithm, keys.key[key], KEY_BYTES),
                     0);
    char *token = jwt_encode_str(jwt);
    jwt_free(jwt);
    assert_non_null(token);
    return token;
}

static void expect_claims(const char *claims, enum token_result expected)
{
    char *token = sign(claims, JWT_ALG_HS256, 0);
    assert_int_equal(check(token), expected);
    assert_int_equal(check(token), expected); /* remembered or not */
    free(token);
}

static void a_token_of_ours_is_believed_until_it_expires(void **state)
{
    (void)state;
    struct identity identity;
    char *token = token_issue(&keys, "demo", 7, NOW);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(check_at(token, NOW, &identity), TOKEN_OK);
        assert_int_equal(identity.user_id, 7);
        assert_string_equal(identity.name, "demo");
        assert_int_equal(check_at(token, NOW + TOKEN_LIFETIME_S - 1, &identity), TOKEN_OK);
        assert_int_equal(check_at(token, NOW + TOKEN_LIFETIME_S, &identity), TOKEN_EXPIRED);
    }
    free(token);
}

static void the_key_before_the_last_rotation_still_counts_and_no_other(void **state)
{
    (void)state;
    struct key_file before = {.count = 1}, stranger = {.count = 1};
    struct identity identity;
    memcpy(before.key[0], keys.key[1], KEY_BYTES);
    char *token = token_issue(&before, "demo", 7, NOW);
    assert_int_equal(check(token), TOKEN_OK);
    free(token);
    token = token_issue(&stranger, "demo", 7, NOW);
    assert_int_equal(check(token), TOKEN_BAD_SIGNATURE);
    assert_int_equal(token_check(&stranger, NULL, token, strlen(token), NOW, &identity), TOKEN_OK);
    free(token);
}

static void other_algorithms_are_not_believed(void **state)
{
    (void)state;
    static const char claims[] =
        "{\"iss\":\"bulkhead\",\"sub\":\"demo\",\"uid\":7,\"exp\":1800000100}";
    static const jwt_alg_t others[] = {JWT_ALG_NONE, JWT_ALG_HS384, JWT_ALG_HS512};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char *token = sign(claims, others[i], 0);
        assert_int_equal(check(token), TOKEN_BAD_SIGNATURE);
        free(token);
    }
    expect_claims(claims, TOKEN_OK);
}

static void claims_must_be_there_and_of_their_type(void **state)
{
    (void)state;
#define REST "\"sub\":\"demo\",\"uid\":7,\"exp\":1800000100"
    expect_claims("{\"iss\":\"other\"," REST "}", TOKEN_BAD_CLAIMS);
    expect_claims("{" REST "}", TOKEN_BAD_CLAIMS);
    expect_claims("{\"iss\":\"bulkhead\"," REST ",\"nbf\":\"x\"}", TOKEN_BAD_CLAIMS);
    expect_claims("{\"iss\":\"bulkhead\"," REST ",\"nbf\":1800000001}", TOKEN_NOT_YET_VALID);
    expect_claims("{\"iss\":\"bulkhead\"," REST ",\"nbf\":1800000000}", TOKEN_OK);
#undef REST
#define FIRST "{\"iss\":\"bulkhead\","
    expect_claims(FIRST "\"uid\":7,\"exp\":1800000100}", TOKEN_BAD_CLAIMS);
    expect_claims(FIRST "\"sub\":\"a b\",\"uid\":7,\"exp\":1800000100}", TOKEN_BAD_CLAIMS);
    expect_claims(FIRST "\"sub\":\"demo\",\"exp\":1800000100}", TOKEN_BAD_CLAIMS);
    expect_claims(FIRST "\"sub\":\"demo\",\"uid\":0,\"exp\":1800000100}", TOKEN_BAD_CLAIMS);
    expect_claims(FIRST "\"sub\":\"demo\",\"uid\":\"7\",\"exp\":1800000100}", TOKEN_BAD_CLAIMS);
    expect_claims(FIRST "\"sub\":\"demo\",\"uid\":7}", TOKEN_BAD_CLAIMS);
    expect_claims(FIRST "\"sub\":\"demo\",\"uid\":7,\"exp\":1800000100.5}", TOKEN_BAD_CLAIMS);
    expect_claims(FIRST "\"sub\":\"demo\",\"uid\":7,\"exp\":1800000000}", TOKEN_EXPIRED);
#undef FIRST
}

static void every_changed_character_is_noticed(void **state)
{
    (void)state;
    struct identity identity;
    char *token = token_issue(&keys, "demo", 7, NOW);
    size_t length = strlen(token);
    for (size_t i = 0; i < length; i++) {
        char was = token[i];
        token[i] = was == 'A' ? 'B' : 'A';
        assert_int_not_equal(check_at(token, NOW, &identity), TOKEN_OK);
        token[i] = was;
        assert_int_equal(check_at(token, NOW, &identity), TOKEN_OK); /* now it is remembered */
        token[i] = was == 'A' ? 'B' : 'A';
        assert_int_not_equal(check_at(token, NOW, &identity), TOKEN_OK);
        token[i] = was;
    }
    for (size_t cut = 1; cut < length; cut++)
        assert_int_not_equal(token_check(&keys, cache, token + cut, length - cut, NOW, &identity),
                             TOKEN_OK);
    free(token);
}

static void what_is_no_token_is_malformed(void **state)
{
    (void)state;
    static char deep[TOKEN_MAX_BYTES + 2];
    static const char *const texts[] = {"",        "abc",    "a.b",     "a.b.c.d",
                                        "a b.c.d", "a.b.c=", "\xff.b.c"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(check(texts[i]), TOKEN_MALFORMED);
    assert_int_equal(check(".."), TOKEN_BAD_SIGNATURE);
    memset(deep, 'W', sizeof deep - 1); /* base64 of many opening brackets: never parsed */
    assert_int_equal(check(deep), TOKEN_MALFORMED);
    deep[3000] = deep[3010] = '.';
    deep[3054] = '\0';
    assert_int_equal(check(deep), TOKEN_BAD_SIGNATURE);
}

/* Many threads put tokens of two users into one cache and must never be taken for the other. */
static void *use_cache(void *argument)
{
    char *const *tokens = argument;
    for (int i = 0; i < 20000; i++) {
        struct identity identity = {0};
        int which = i % 64;
        if (check_at(tokens[which], NOW, &identity) != TOKEN_OK || identity.user_id != which + 1)
            return argument;
    }
    return NULL;
}

static void threads_share_the_cache(void **state)
{
    (void)state;
    char *tokens[64];
    pthread_t threads[4];
    void *failed[4];
    for (int i = 0; i < 64; i++)
        tokens[i] = token_issue(&keys, "demo", i + 1, NOW);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_cache, tokens), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed[i]);
        assert_null(failed[i]);
    }
    for (int i = 0; i < 64; i++)
        free(tokens[i]);
}

static void user_names_have_few_characters(void **state)
{
    (void)state;
    char name[USER_NAME_MAX + 1];
    memset(name, 'a', sizeof name);
    assert_true(user_name_valid("A.b_c@d-9", 9));
    assert_true(user_name_valid(name, USER_NAME_MAX));
    assert_false(user_name_valid(name, USER_NAME_MAX + 1));
    assert_false(user_name_valid("", 0));
    assert_false(user_name_valid("a b", 3));
    assert_false(user_name_valid("a\0b", 3));
    assert_false(user_name_valid("\xc3\xa4", 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_of_ours_is_believed_until_it_expires),
        cmocka_unit_test(the_key_before_the_last_rotation_still_counts_and_no_other),
        cmocka_unit_test(other_algorithms_are_not_believed),
        cmocka_unit_test(claims_must_be_there_and_of_their_type),
        cmocka_unit_test(every_changed_character_is_noticed),
        cmocka_unit_test(what_is_no_token_is_malformed),
        cmocka_unit_test(threads_share_the_cache),
        cmocka_unit_test(user_names_have_few_characters),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
