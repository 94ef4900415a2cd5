/* SPDX-License-Identifier: MIT */
#include "common/crypto/key_file.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/crypto/private_file.h"

#define NAME       "jwt.key"
#define LINE_CHARS (2 * KEY_BYTES)
#define LINE_SIZE  (LINE_CHARS + 1) /* and the newline */
/* Two lines, one byte that would be too many, and a NUL. */
#define TEXT_SIZE (2 * LINE_SIZE + 2)

static void put_line(char *out, const unsigned char key[KEY_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < KEY_BYTES; i++) {
        out[2 * i] = digits[key[i] >> 4];
        out[2 * i + 1] = digits[key[i] & 15];
    }
    out[LINE_CHARS] = '\n';
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* One line of hex digits and its newline. */
static int get_line(unsigned char key[KEY_BYTES], const char *line)
{
    for (size_t i = 0; i < KEY_BYTES; i++) {
        int high = digit_value(line[2 * i]);
        int low = high < 0 ? -1 : digit_value(line[2 * i + 1]);
        if (low < 0)
            return -1;
        key[i] = (unsigned char)(high << 4 | low);
    }
    return line[LINE_CHARS] == '\n' ? 0 : -1;
}

static int write_keys(const char *data_dir, const struct key_file *keys)
{
    char text[TEXT_SIZE];
    for (unsigned i = 0; i < keys->count; i++)
        put_line(text + i * LINE_SIZE, keys->key[i]);
    int error = private_file_write(data_dir, NAME, text, keys->count * LINE_SIZE);
    OPENSSL_cleanse(text, sizeof text);
    return error;
}

int key_file_make(const char *data_dir)
{
    char path[4096];
    struct stat status;
    int length = snprintf(path, sizeof path, "%s/%s", data_dir, NAME);
    if (length < 0 || (size_t)length >= sizeof path)
        return -ENAMETOOLONG;
    if (lstat(path, &status) == 0)
        return 0; /* whatever it is: a key somebody put there is never replaced */
    if (errno != ENOENT)
        return -errno;
    struct key_file keys = {.count = 1};
    if (RAND_bytes(keys.key[0], KEY_BYTES) != 1)
        return -EIO;
    int error = write_keys(data_dir, &keys);
    OPENSSL_cleanse(&keys, sizeof keys);
    return error;
}

/* 0, or why the text is no key file. */
static const char *parse(struct key_file *keys, const char *text, size_t length)
{
    if (length != LINE_SIZE && length != 2 * LINE_SIZE)
        return "is not one or two lines of 64 hex digits";
    for (keys->count = 0; keys->count < length / LINE_SIZE; keys->count++)
        if (get_line(keys->key[keys->count], text + keys->count * LINE_SIZE) < 0)
            return "is not one or two lines of 64 hex digits";
    return NULL;
}

int key_file_read(const char *data_dir, struct key_file *keys, char *error, size_t error_size)
{
    char text[TEXT_SIZE];
    mode_t mode = 0;
    const char *problem;
    memset(keys, 0, sizeof *keys);
    ssize_t length = private_file_read(data_dir, NAME, text, sizeof text, &mode);
    if (length == -EFBIG)
        problem = "is longer than two keys";
    else if (length == -EINVAL || length == -ELOOP)
        problem = "is not a regular file";
    else if (length < 0)
        problem = strerror((int)-length);
    else if (mode & 077)
        problem = "can be read by others; run: chmod 600";
    else
        problem = parse(keys, text, (size_t)length);
    OPENSSL_cleanse(text, sizeof text);
    if (!problem)
        return 0;
    OPENSSL_cleanse(keys, sizeof *keys);
    snprintf(error, error_size, "%s/%s: %s", data_dir, NAME, problem);
    return -1;
}

int key_file_rotate(const char *data_dir)
{
    struct key_file keys;
    char why[512];
    int error = key_file_read(data_dir, &keys, why, sizeof why) < 0 ? -EINVAL : 0;
    if (!error) {
        memcpy(keys.key[1], keys.key[0], KEY_BYTES);
        keys.count = 2;
        error = RAND_bytes(keys.key[0], KEY_BYTES) == 1 ? write_keys(data_dir, &keys) : -EIO;
    }
    OPENSSL_cleanse(&keys, sizeof keys);
    return error;
}
