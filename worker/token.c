/* SPDX-License-Identifier: MIT */
#include "worker/token.h"

#include <ctype.h>
#include <jansson.h>
#include <jwt.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/uuid7.h"

/* ---- the cache --------------------------------------------------------------------------- */

#define CACHE_ENTRIES    1024
#define CACHED_MAX_WORDS 56 /* 448 bytes: a token of ours has about 260 */

/* What an entry says, in whole words: it is read and written word by word. */
struct cached {
    uint64_t length; /* of the token; 0: empty */
    uint64_t expires_s;
    struct identity identity;
};
#define CACHED_FACTS (sizeof(struct cached) / sizeof(uint64_t))
_Static_assert(sizeof(struct cached) % sizeof(uint64_t) == 0, "facts are whole words");

/* A reader takes no lock: it copies and then looks whether a writer was there meanwhile (the count
 * is odd while one is). A writer that finds another leaves the entry alone. */
struct cache_entry {
    _Alignas(64) _Atomic uint64_t count;
    _Atomic uint64_t fact[CACHED_FACTS];
    _Atomic uint64_t token[CACHED_MAX_WORDS];
};

struct token_cache {
    struct cache_entry entry[CACHE_ENTRIES];
};

struct token_cache *token_cache_make(void)
{
    struct token_cache *cache = aligned_alloc(64, sizeof *cache);
    if (cache)
        memset(cache, 0, sizeof *cache);
    return cache;
}

/* The token as zero-padded words; their number, 0 when it is too long to be remembered. */
static size_t token_words(const char *token, size_t length, uint64_t words[CACHED_MAX_WORDS])
{
    size_t count = (length + 7) / 8;
    if (length == 0 || count > CACHED_MAX_WORDS)
        return 0;
    words[count - 1] = 0;
    memcpy(words, token, length);
    return count;
}

/* The end of a token is its signature, which spreads well by itself. A client that makes up tokens
 * to collide with another's only makes that one be checked again. */
static struct cache_entry *entry_of(struct token_cache *cache, const uint64_t *words, size_t count)
{
    uint64_t hash = words[count - 1] ^ (count > 1 ? words[count - 2] * 3 : 0) ^
                    (count > 2 ? words[count - 3] * 5 : 0);
    hash *= UINT64_C(0x9E3779B97F4A7C15);
    return &cache->entry[hash >> 54];
}
_Static_assert(CACHE_ENTRIES == 1 << 10, "the hash keeps 10 bits");

static bool cache_find(struct token_cache *cache, const uint64_t *words, size_t count,
                       size_t length, struct cached *found)
{
    struct cache_entry *entry = entry_of(cache, words, count);
    uint64_t *facts = (uint64_t *)found;
    uint64_t before = atomic_load_explicit(&entry->count, memory_order_acquire);
    if (before & 1)
        return false;
    for (size_t i = 0; i < CACHED_FACTS; i++)
        facts[i] = atomic_load_explicit(&entry->fact[i], memory_order_relaxed);
    /* All words, whatever the first says: the time must not tell how much of a guess was right. */
    uint64_t difference = 0;
    for (size_t i = 0; i < count; i++)
        difference |= words[i] ^ atomic_load_explicit(&entry->token[i], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    return difference == 0 && found->length == length &&
           atomic_load_explicit(&entry->count, memory_order_relaxed) == before;
}

static void cache_put(struct token_cache *cache, const uint64_t *words, size_t count,
                      const struct cached *facts)
{
    struct cache_entry *entry = entry_of(cache, words, count);
    const uint64_t *from = (const uint64_t *)facts;
    uint64_t before = atomic_load_explicit(&entry->count, memory_order_relaxed);
    if ((before & 1) ||
        !atomic_compare_exchange_strong_explicit(&entry->count, &before, before + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return;
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < CACHED_FACTS; i++)
        atomic_store_explicit(&entry->fact[i], from[i], memory_order_relaxed);
    for (size_t i = 0; i < count; i++)
        atomic_store_explicit(&entry->token[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&entry->count, before + 2, memory_order_release);
}

/* ---- issue ------------------------------------------------------------------------------- */

bool user_name_valid(const char *name, size_t length)
{
    if (length < 1 || length > USER_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] == '\0' || (!isalnum((unsigned char)name[i]) && !strchr("._@-", name[i])))
            return false;
    return true;
}

char *token_issue(const struct key_file *keys, const char *name, int64_t user_id, uint64_t now_s)
{
    jwt_t *jwt = NULL;
    char id[UUID_TEXT_SIZE], *token = NULL;
    uuid7_make(id);
    if (jwt_new(&jwt) == 0 && jwt_add_grant(jwt, "iss", TOKEN_ISSUER) == 0 &&
        jwt_add_grant(jwt, "sub", name) == 0 && jwt_add_grant_int(jwt, "uid", user_id) == 0 &&
        jwt_add_grant_int(jwt, "iat", (long)now_s) == 0 &&
        jwt_add_grant_int(jwt, "exp", (long)(now_s + TOKEN_LIFETIME_S)) == 0 &&
        jwt_add_grant(jwt, "jti", id) == 0 &&
        jwt_set_alg(jwt, JWT_ALG_HS256, keys->key[0], KEY_BYTES) == 0)
        token = jwt_encode_str(jwt);
    jwt_free(jwt);
    return token;
}

/* ---- check ------------------------------------------------------------------------------- */

#define SIGNATURE_CHARACTERS 43 /* 32 bytes in base64url without padding */

/* The signature (RFC 7515, section 3.2) that a key gives the first `length` bytes. */
static bool sign(const unsigned char key[KEY_BYTES], const char *token, size_t length,
                 char out[SIGNATURE_CHARACTERS + 2])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_length = 0;
    if (!HMAC(EVP_sha256(), key, KEY_BYTES, (const unsigned char *)token, length, mac,
              &mac_length) ||
        mac_length != 32)
        return false;
    EVP_EncodeBlock((unsigned char *)out, mac, 32);
    for (size_t i = 0; i < SIGNATURE_CHARACTERS; i++)
        out[i] = (char)(out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i]);
    return true;
}

/* The key that signed the token, NULL when none did. libjwt would read the token's JSON first and
 * check its signature then; with jansson's recursion and the 100 KiB of stack that civetweb's
 * threads have in Debian, that order would let anybody end the process. */
static const unsigned char *key_of(const struct key_file *keys, const char *token, size_t length)
{
    char expected[SIGNATURE_CHARACTERS + 2];
    const char *signature = strrchr(token, '.') + 1;
    if (length - (size_t)(signature - token) != SIGNATURE_CHARACTERS)
        return NULL;
    for (unsigned i = 0; i < keys->count; i++)
        if (sign(keys->key[i], token, (size_t)(signature - 1 - token), expected) &&
            CRYPTO_memcmp(expected, signature, SIGNATURE_CHARACTERS) == 0)
            return keys->key[i];
    return NULL;
}

/* The claims of a token that is signed by us, with HS256 and nothing else. NULL when it is not. */
static jwt_t *decode_signed(const struct key_file *keys, const char *token, size_t length)
{
    jwt_t *jwt = NULL;
    const unsigned char *key = key_of(keys, token, length);
    if (key && jwt_decode(&jwt, token, key, KEY_BYTES) == 0 && jwt_get_alg(jwt) == JWT_ALG_HS256)
        return jwt;
    jwt_free(jwt);
    return NULL;
}

/* The claims as JSON: libjwt's own getters cannot tell a claim of another type from an absent one.
 * json_decref() them. */
static json_t *claims_of(jwt_t *jwt)
{
    char *text = jwt_get_grants_json(jwt, NULL);
    json_t *claims = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return claims;
}

static enum token_result check_claims(const json_t *claims, uint64_t now_s, struct cached *facts)
{
    const char *issuer = json_string_value(json_object_get(claims, "iss"));
    const char *name = json_string_value(json_object_get(claims, "sub"));
    const json_t *not_before = json_object_get(claims, "nbf");
    /* 0 for anything but a whole number */
    json_int_t user_id = json_integer_value(json_object_get(claims, "uid"));
    json_int_t expires = json_integer_value(json_object_get(claims, "exp"));
    if (!issuer || strcmp(issuer, TOKEN_ISSUER) != 0 || !name ||
        !user_name_valid(name, strlen(name)) || user_id <= 0 || expires <= 0 ||
        (not_before && !json_is_integer(not_before)))
        return TOKEN_BAD_CLAIMS;
    if ((uint64_t)expires <= now_s)
        return TOKEN_EXPIRED;
    if (json_integer_value(not_before) > (json_int_t)now_s)
        return TOKEN_NOT_YET_VALID;
    facts->expires_s = (uint64_t)expires;
    facts->identity.user_id = user_id;
    memcpy(facts->identity.name, name, strlen(name));
    return TOKEN_OK;
}

/* Three parts of base64url: what is less is not worth an HMAC, and gets another answer. */
static bool looks_like_jwt(const char *token, size_t length)
{
    unsigned dots = 0;
    for (size_t i = 0; i < length; i++) {
        if (token[i] == '.')
            dots++;
        else if (!isalnum((unsigned char)token[i]) && token[i] != '-' && token[i] != '_')
            return false;
    }
    return dots == 2;
}

enum token_result token_check(const struct key_file *keys, struct token_cache *cache,
                              const char *token, size_t length, uint64_t now_s,
                              struct identity *identity)
{
    uint64_t words[CACHED_MAX_WORDS];
    struct cached facts;
    size_t count = cache ? token_words(token, length, words) : 0;
    if (count > 0 && cache_find(cache, words, count, length, &facts)) {
        if (facts.expires_s <= now_s)
            return TOKEN_EXPIRED;
        *identity = facts.identity;
        return TOKEN_OK;
    }
    if (length > TOKEN_MAX_BYTES || !looks_like_jwt(token, length))
        return TOKEN_MALFORMED;
    jwt_t *jwt = decode_signed(keys, token, length);
    if (!jwt)
        return TOKEN_BAD_SIGNATURE;
    facts = (struct cached){.length = length};
    json_t *claims = claims_of(jwt);
    enum token_result result = check_claims(claims, now_s, &facts);
    json_decref(claims);
    jwt_free(jwt);
    if (result != TOKEN_OK)
        return result;
    if (count > 0)
        cache_put(cache, words, count, &facts);
    *identity = facts.identity;
    return TOKEN_OK;
}
