/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "common/clock.h"
#include "common/crypto/password.h"

/* RFC 7914, section 12: P="password", S="NaCl", N=1024, r=8, p=16, 64 bytes. */
static const char rfc_vector[] =
    "$scrypt$ln=10,r=8,p=16$TmFDbA$"
    "/bq+HJ00cgB4VucZDQHp/nxq18vII3gw53N2Y0s3MWIurzDZLiKjiG/xCSedmDDaxyevuUqD7m2DYMvfoswGQA";

/* Work of this thread, whoever else has the processors. */
static uint64_t worked_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

static void the_vector_of_the_standard_matches(void **state)
{
    (void)state;
    assert_true(password_matches("password", 8, rfc_vector));
    assert_false(password_matches("Password", 8, rfc_vector));
    assert_false(password_matches("password", 7, rfc_vector));
}

static void a_hash_made_here_has_the_agreed_form_and_matches(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_SIZE], second[PASSWORD_HASH_SIZE];
    assert_int_equal(password_hash("correct horse", 13, hash), 0);
    assert_int_equal(strncmp(hash, "$scrypt$ln=15,r=8,p=3$", 22), 0);
    assert_true(password_matches("correct horse", 13, hash));
    assert_false(password_matches("correct horsf", 13, hash));
    assert_int_equal(password_hash("correct horse", 13, second), 0);
    assert_string_not_equal(hash, second);
}

static void a_byte_of_zero_is_part_of_the_password(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_SIZE];
    assert_int_equal(password_hash("a\0b", 3, hash), 0);
    assert_true(password_matches("a\0b", 3, hash));
    assert_false(password_matches("a\0c", 3, hash));
}

static void a_tampered_hash_matches_nothing(void **state)
{
    (void)state;
    char hash[sizeof rfc_vector];
    static const size_t places[] = {
        sizeof "$scrypt$ln=10,r=8,p=16$" - 1, /* salt */
        sizeof "$scrypt$ln=10,r=8,p=16$TmFDbA$" - 1,
        sizeof rfc_vector - 3, /* almost the end of the key */
        sizeof rfc_vector - 2, /* bits of its last character that belong to no byte */
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        memcpy(hash, rfc_vector, sizeof hash);
        hash[places[i]] = hash[places[i]] == 'A' ? 'B' : 'A';
        assert_false(password_matches("password", 8, hash));
    }
}

static void what_is_no_hash_matches_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "password",
        "$scrypt$",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA",
        "$scrypt$ln=10,r=8,p=16$TmFDbA",
        "$scrypt$ln=10,r=8,p=16$TmFDbA$",   /* a key of no bytes would match everything */
        "$scrypt$ln=10,r=8,p=16$TmFDbA$AA", /* and one of one byte every 256th password */
        "$scrypt$ln=10,r=8,p=16$$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=8$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$r=8,ln=10,p=16$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=010,r=8,p=16$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=8,p=16$TmF=bA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=8,p=16$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA$",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(password_matches("password", 8, wrong[i]));
    /* A right hash with something behind it. */
    char longer[sizeof rfc_vector + 1];
    snprintf(longer, sizeof longer, "%s\n", rfc_vector);
    assert_false(password_matches("password", 8, longer));
    snprintf(longer, sizeof longer, "%s$", rfc_vector);
    assert_false(password_matches("password", 8, longer));
}

static void absurd_parameters_cost_neither_memory_nor_minutes(void **state)
{
    (void)state;
    static const char *const absurd[] = {
        "$scrypt$ln=20,r=8,p=1$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA", /* 1 GiB */
        "$scrypt$ln=30,r=8,p=1$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=63,r=8,p=1$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=64,r=8,p=1$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=1000000,p=1$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=15,r=8,p=1000000$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA", /* hours */
        "$scrypt$ln=18,r=8,p=64$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=99999999999999999999,r=8,p=1$TmFDbA$AAAAAAAAAAAAAAAAAAAAAA",
    };
    struct rusage usage;
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        uint64_t start_ns = worked_ns();
        assert_false(password_matches("password", 8, absurd[i]));
        /* The usual work takes some 0.2 s; a sanitizer's build may be ten times slower. */
        assert_true(worked_ns() - start_ns < 10 * NS_PER_S);
    }
    getrusage(RUSAGE_SELF, &usage);
    /* In KiB. The least of these asks for 1 GiB; a sanitizer keeps freed blocks for a while. */
    assert_true(usage.ru_maxrss < 700 * 1024);
}

static void parameters_may_be_raised(void **state)
{
    (void)state;
    /* From Python: hashlib.scrypt(b"password", salt=b"saltsaltsaltsalt", n=2**16, r=8, p=1,
     * dklen=32, maxmem=2**27). */
    assert_true(password_matches("password", 8,
                                 "$scrypt$ln=16,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$"
                                 "oWe8X9HfjD7LZ6/dEeGVzvPBuICsIzyLCt33hc6qmA8"));
}

static double cost_ms(const char *password, size_t length, const char *hash)
{
    double least = 1e9;
    for (int i = 0; i < 3; i++) {
        uint64_t start_ns = worked_ns();
        password_matches(password, length, hash);
        double ms = (double)(worked_ns() - start_ns) / (double)NS_PER_MS;
        least = ms < least ? ms : least;
    }
    return least;
}

static void an_unknown_user_costs_what_a_known_one_does(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_SIZE], too_long[PASSWORD_MAX_BYTES + 1];
    memset(too_long, 'x', sizeof too_long);
    assert_int_equal(password_hash("known", 5, hash), 0);
    assert_false(password_matches("known", 5, NULL));
    assert_false(password_matches("", 0, NULL));
    double known = cost_ms("wrong", 5, hash);
    assert_true(cost_ms("wrong", 5, NULL) > known / 2);
    assert_true(cost_ms("wrong", 5, "no hash") > known / 2);
    assert_true(cost_ms("", 0, hash) > known / 2);
    assert_true(cost_ms(too_long, sizeof too_long, hash) > known / 2);
    assert_true(cost_ms("wrong", 5, NULL) < known * 3);
}

static void lengths_are_bounded(void **state)
{
    (void)state;
    char password[PASSWORD_MAX_BYTES + 1], hash[PASSWORD_HASH_SIZE];
    memset(password, 'x', sizeof password);
    assert_int_equal(password_hash(password, PASSWORD_MAX_BYTES, hash), 0);
    assert_true(password_matches(password, PASSWORD_MAX_BYTES, hash));
    /* One more byte must not be cut off and then match. */
    assert_false(password_matches(password, PASSWORD_MAX_BYTES + 1, hash));
    assert_int_equal(password_hash(password, PASSWORD_MAX_BYTES + 1, hash), -1);
}

static void random_passwords_are_readable_and_differ(void **state)
{
    (void)state;
    char one[21], other[21];
    unsigned seen[256] = {0}, kinds = 0;
    for (int i = 0; i < 10000; i++) {
        password_random(one);
        assert_int_equal(strlen(one), 20);
        assert_null(strpbrk(one, "0Oo1lI2Zz5Ss8B"));
        for (const char *c = one; *c; c++)
            seen[(unsigned char)*c]++;
    }
    for (int c = 0; c < 256; c++) {
        kinds += seen[c] > 0;
        /* 200000 characters of 48: 4167 each, standard deviation 64. A byte taken modulo 48 would
         * bring some of them 4688 times. */
        assert_true(seen[c] == 0 || (seen[c] > 3750 && seen[c] < 4590));
    }
    assert_int_equal(kinds, 48);
    password_random(other);
    assert_string_not_equal(one, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_the_standard_matches),
        cmocka_unit_test(a_hash_made_here_has_the_agreed_form_and_matches),
        cmocka_unit_test(a_byte_of_zero_is_part_of_the_password),
        cmocka_unit_test(a_tampered_hash_matches_nothing),
        cmocka_unit_test(what_is_no_hash_matches_nothing),
        cmocka_unit_test(absurd_parameters_cost_neither_memory_nor_minutes),
        cmocka_unit_test(parameters_may_be_raised),
        cmocka_unit_test(an_unknown_user_costs_what_a_known_one_does),
        cmocka_unit_test(lengths_are_bounded),
        cmocka_unit_test(random_passwords_are_readable_and_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
