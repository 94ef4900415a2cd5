/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypto/key_file.h"

static char directory[64], path[96], temporary[96];

static int make_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/bulkhead-key-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/jwt.key", directory);
    snprintf(temporary, sizeof temporary, "%s/jwt.key.new", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(directory); /* fails when anything else was left */
}

static void put(const char *text, size_t length, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, length), (ssize_t)length);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void a_key_is_made_once_and_kept(void **state)
{
    (void)state;
    struct key_file first, second;
    struct stat status;
    char error[256];
    assert_int_equal(key_file_make(directory), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(status.st_size, 65);
    assert_int_equal(key_file_read(directory, &first, error, sizeof error), 0);
    assert_int_equal(first.count, 1);
    assert_int_equal(key_file_make(directory), 0);
    assert_int_equal(key_file_read(directory, &second, error, sizeof error), 0);
    assert_memory_equal(first.key[0], second.key[0], KEY_BYTES);
}

static void two_keys_are_not_the_same(void **state)
{
    (void)state;
    struct key_file first, second;
    char error[256];
    assert_int_equal(key_file_make(directory), 0);
    assert_int_equal(key_file_read(directory, &first, error, sizeof error), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(key_file_make(directory), 0);
    assert_int_equal(key_file_read(directory, &second, error, sizeof error), 0);
    assert_memory_not_equal(first.key[0], second.key[0], KEY_BYTES);
}

static void rotation_keeps_the_key_before(void **state)
{
    (void)state;
    struct key_file before, after, twice;
    char error[256];
    assert_int_equal(key_file_make(directory), 0);
    assert_int_equal(key_file_read(directory, &before, error, sizeof error), 0);
    assert_int_equal(key_file_rotate(directory), 0);
    assert_int_equal(key_file_read(directory, &after, error, sizeof error), 0);
    assert_int_equal(after.count, 2);
    assert_memory_equal(after.key[1], before.key[0], KEY_BYTES);
    assert_memory_not_equal(after.key[0], before.key[0], KEY_BYTES);
    assert_int_equal(key_file_rotate(directory), 0);
    assert_int_equal(key_file_read(directory, &twice, error, sizeof error), 0);
    assert_int_equal(twice.count, 2);
    assert_memory_equal(twice.key[1], after.key[0], KEY_BYTES);
}

static void the_digits_are_the_key(void **state)
{
    (void)state;
    struct key_file keys;
    char error[256];
    static const char line[] = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F\n";
    put(line, sizeof line - 1, 0600);
    assert_int_equal(key_file_read(directory, &keys, error, sizeof error), 0);
    for (unsigned i = 0; i < KEY_BYTES; i++)
        assert_int_equal(keys.key[0][i], i);
}

static void a_file_that_is_no_key_is_refused_by_name(void **state)
{
    (void)state;
    struct key_file keys;
    char error[256], line[200];
    memset(line, 'a', sizeof line);
    line[64] = '\n';
    static const size_t lengths[] = {0, 1, 64, 66, 129, 131, 200};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        put(line, lengths[i], 0600);
        error[0] = '\0';
        assert_int_equal(key_file_read(directory, &keys, error, sizeof error), -1);
        assert_non_null(strstr(error, path));
        assert_int_equal(key_file_rotate(directory), -EINVAL);
    }
    line[10] = 'g';
    put(line, 65, 0600);
    assert_int_equal(key_file_read(directory, &keys, error, sizeof error), -1);
    line[10] = 'a';
    line[64] = 'a'; /* no end of line where one belongs */
    put(line, 65, 0600);
    assert_int_equal(key_file_read(directory, &keys, error, sizeof error), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(key_file_read(directory, &keys, error, sizeof error), -1);
    assert_non_null(strstr(error, "No such file"));
}

static void a_key_others_can_read_is_refused(void **state)
{
    (void)state;
    struct key_file keys;
    char error[256];
    static const mode_t modes[] = {0640, 0604, 0620, 0610};
    assert_int_equal(key_file_make(directory), 0);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(key_file_read(directory, &keys, error, sizeof error), -1);
        assert_non_null(strstr(error, "chmod 600"));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(key_file_read(directory, &keys, error, sizeof error), 0);
}

static void a_link_is_not_followed_and_not_replaced(void **state)
{
    (void)state;
    struct key_file keys;
    struct stat status;
    char error[256];
    char elsewhere[96];
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", directory);
    assert_int_equal(key_file_make(directory), 0);
    assert_int_equal(rename(path, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_int_equal(key_file_read(directory, &keys, error, sizeof error), -1);
    assert_non_null(strstr(error, "not a regular file"));
    assert_int_equal(key_file_make(directory), 0);
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    unlink(elsewhere);
}

static void a_run_that_was_killed_leaves_no_trap(void **state)
{
    (void)state;
    struct key_file keys;
    char error[256];
    /* Half a key under the temporary name, or a link laid there, must not matter. */
    assert_int_equal(symlink("/etc/hostname", temporary), 0);
    assert_int_equal(key_file_make(directory), 0);
    assert_int_equal(key_file_read(directory, &keys, error, sizeof error), 0);
    assert_int_equal(access(temporary, F_OK), -1);
}

static void a_directory_that_is_not_there_is_an_errno(void **state)
{
    (void)state;
    assert_int_equal(key_file_make("/nonexistent/directory"), -ENOENT);
}

int main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_key_is_made_once_and_kept),
        IN_DIRECTORY(two_keys_are_not_the_same),
        IN_DIRECTORY(rotation_keeps_the_key_before),
        IN_DIRECTORY(the_digits_are_the_key),
        IN_DIRECTORY(a_file_that_is_no_key_is_refused_by_name),
        IN_DIRECTORY(a_key_others_can_read_is_refused),
        IN_DIRECTORY(a_link_is_not_followed_and_not_replaced),
        IN_DIRECTORY(a_run_that_was_killed_leaves_no_trap),
        IN_DIRECTORY(a_directory_that_is_not_there_is_an_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
