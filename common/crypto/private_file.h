/* SPDX-License-Identifier: MIT */
/*
 * Small files nobody else may read (jwt.key, demo.txt, app.id): written whole or not at all.
 */
#ifndef BULKHEAD_PRIVATE_FILE_H
#define BULKHEAD_PRIVATE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Put `length` bytes into DIRECTORY/NAME, mode 0600: a temporary name (NAME.new), fsync, rename,
 * fsync of the directory. A file of that name is replaced; a reader sees the old one or the new
 * one, also after a crash. 0, or negative errno and nothing is left behind. */
int private_file_write(const char *directory, const char *name, const void *data, size_t length);

/* Read at most size - 1 bytes of a regular file (no symbolic link) and end them with NUL.
 * Returns the number of bytes, -EFBIG when it is longer, -EINVAL when it is not a regular file,
 * another negative errno otherwise. *mode (when not NULL) gets its permission bits. */
ssize_t private_file_read(const char *directory, const char *name, char *out, size_t size,
                          mode_t *mode);

/* fsync of a directory, so that a rename in it lasts. 0, or negative errno. */
int private_file_sync_directory(const char *directory);

#endif
