/* SPDX-License-Identifier: MIT */
#include "common/crypto/password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/check.h"

#define DEFAULT_LOG_N 15
#define DEFAULT_R     8
#define DEFAULT_P     3
#define SALT_BYTES    16
#define HASH_BYTES    32

/* A hash is data: one that asks for gigabytes or for minutes is refused, not tried. */
#define MEMORY_LIMIT (UINT64_C(256) << 20) /* 128 * N * r */
#define WORK_LIMIT   (UINT64_C(1) << 23)   /* N * r * p; the default is 0.75 * 2^20 */
#define LOG_N_LIMIT  21
#define R_LIMIT      64
#define P_LIMIT      64
/* libcrypto also counts its small blocks, 128 * r * (p + 2) bytes; they fit in this. */
#define MEMORY_MARGIN (UINT64_C(1) << 20)

struct hash {
    unsigned log_n, r, p;
    size_t salt_length, key_length;
    unsigned char salt[64], key[64];
};

static const char alphabet64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Base64 without padding, as the PHC string format has it (RFC 4648, section 4). */
static size_t encode64(char *out, const unsigned char *data, size_t length)
{
    size_t n = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | data[i];
        for (held += 8; held >= 6;) {
            held -= 6;
            out[n++] = alphabet64[bits >> held & 63];
        }
    }
    if (held > 0)
        out[n++] = alphabet64[bits << (6 - held) & 63];
    out[n] = '\0';
    return n;
}

/* Decode up to the end or a '$', which is left in *text. Number of bytes; 0 when it is not
 * base64, has bits to spare that are not zero, or is longer than size. */
static size_t decode64(unsigned char *out, size_t size, const char **text)
{
    size_t n = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (; **text != '\0' && **text != '$'; (*text)++) {
        const char *digit = strchr(alphabet64, **text);
        if (!digit)
            return 0;
        bits = bits << 6 | (uint32_t)(digit - alphabet64);
        held += 6;
        if (held >= 8) {
            if (n == size)
                return 0;
            held -= 8;
            out[n++] = (unsigned char)(bits >> held);
        }
    }
    return held < 6 && (bits & ((1u << held) - 1)) == 0 ? n : 0;
}

/* "name=123" without sign, space or leading zero; *text moves behind it. */
static bool read_parameter(const char **text, const char *name, unsigned *value)
{
    size_t length = strlen(name);
    if (strncmp(*text, name, length) != 0)
        return false;
    const char *digit = *text + length;
    *value = 0;
    if (*digit < '1' || *digit > '9')
        return false;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        if (*value > 1000000)
            return false;
        *value = *value * 10 + (unsigned)(*digit - '0');
    }
    *text = digit;
    return true;
}

static bool affordable(const struct hash *hash)
{
    if (hash->log_n > LOG_N_LIMIT || hash->r > R_LIMIT || hash->p > P_LIMIT ||
        hash->log_n >= 16 * hash->r) /* RFC 7914, section 2: N < 2^(128 * r / 8) */
        return false;
    uint64_t blocks = (UINT64_C(1) << hash->log_n) * hash->r;
    return blocks <= MEMORY_LIMIT / 128 && blocks * hash->p <= WORK_LIMIT;
}

/* The PHC string $scrypt$ln=15,r=8,p=3$SALT$HASH, and nothing behind it. */
static bool parse(struct hash *hash, const char *text)
{
    static const char prefix[] = "$scrypt$";
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return false;
    text += sizeof prefix - 1;
    if (!read_parameter(&text, "ln=", &hash->log_n) || !read_parameter(&text, ",r=", &hash->r) ||
        !read_parameter(&text, ",p=", &hash->p) || !affordable(hash) || *text++ != '$')
        return false;
    hash->salt_length = decode64(hash->salt, sizeof hash->salt, &text);
    if (hash->salt_length == 0 || *text++ != '$')
        return false;
    hash->key_length = decode64(hash->key, sizeof hash->key, &text);
    return hash->key_length >= 16 && *text == '\0';
}

/* RFC 7914 with the parameters and the salt of `hash`. */
static bool derive(const char *password, size_t length, const struct hash *hash, unsigned char *key)
{
    return EVP_PBE_scrypt(password, length, hash->salt, hash->salt_length,
                          UINT64_C(1) << hash->log_n, hash->r, hash->p,
                          MEMORY_LIMIT + MEMORY_MARGIN, key, hash->key_length) == 1;
}

static const struct hash defaults = {
    .log_n = DEFAULT_LOG_N,
    .r = DEFAULT_R,
    .p = DEFAULT_P,
    .salt_length = SALT_BYTES,
    .key_length = HASH_BYTES,
};

int password_hash(const char *password, size_t length, char out[PASSWORD_HASH_SIZE])
{
    struct hash hash = defaults;
    if (length > PASSWORD_MAX_BYTES || RAND_bytes(hash.salt, SALT_BYTES) != 1 ||
        !derive(password, length, &hash, hash.key))
        return -1;
    char salt[4 * SALT_BYTES], key[4 * HASH_BYTES];
    encode64(salt, hash.salt, hash.salt_length);
    encode64(key, hash.key, hash.key_length);
    int written = snprintf(out, PASSWORD_HASH_SIZE, "$scrypt$ln=%u,r=%u,p=%u$%s$%s", hash.log_n,
                           hash.r, hash.p, salt, key);
    CHECK(written > 0 && written < PASSWORD_HASH_SIZE);
    return 0;
}

bool password_matches(const char *password, size_t length, const char *hash)
{
    struct hash stored;
    unsigned char key[sizeof stored.key];
    /* An empty password, one too long, or a hash that cannot be read: the usual work, then no. */
    bool readable = hash && length > 0 && length <= PASSWORD_MAX_BYTES && parse(&stored, hash);
    if (!readable)
        stored = defaults;
    if (length > PASSWORD_MAX_BYTES)
        length = PASSWORD_MAX_BYTES;
    bool derived = derive(password, length, &stored, key);
    bool same = derived && CRYPTO_memcmp(key, stored.key, stored.key_length) == 0;
    OPENSSL_cleanse(key, sizeof key);
    return readable && same;
}

void password_random(char out[21])
{
    /* Without 0 O o 1 l I 2 Z z 5 S s 8 B: 48 characters, 5.58 bits each. */
    static const char alphabet[] = "34679abcdefghijkmnpqrtuvwxyACDEFGHJKLMNPQRTUVWXY";
    enum { CHARACTERS = sizeof alphabet - 1, FAIR = 256 / CHARACTERS * CHARACTERS };
    _Static_assert(CHARACTERS == 48, "48 characters");
    for (unsigned n = 0; n < 20;) {
        unsigned char byte;
        /* Without random numbers there is no password worth making. */
        CHECK(RAND_bytes(&byte, 1) == 1);
        if (byte < FAIR) /* above: the first characters would come more often */
            out[n++] = alphabet[byte % CHARACTERS];
    }
    out[20] = '\0';
}
