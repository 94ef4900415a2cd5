/* SPDX-License-Identifier: MIT */
/*
 * The key that signs tokens: DATADIR/jwt.key, mode 0600, one line of 64 hex digits a key. The first
 * line signs; a second one, the key before the last rotation, is still accepted.
 */
#ifndef BULKHEAD_KEY_FILE_H
#define BULKHEAD_KEY_FILE_H

#include <stddef.h>

#define KEY_BYTES 32

struct key_file {
    unsigned char key[2][KEY_BYTES];
    unsigned count; /* 1, or 2 after a rotation */
};

/* Make the file with a random key unless it is there. 0, or negative errno. Writes a temporary
 * name, fsyncs, renames: never half a key. */
int key_file_make(const char *data_dir);

/* Read it. 0, or -1 with one line in error (missing, too open, not hex). */
int key_file_read(const char *data_dir, struct key_file *keys, char *error, size_t error_size);

/* Put a new key first and keep the present one second. 0, or negative errno. */
int key_file_rotate(const char *data_dir);

#endif
