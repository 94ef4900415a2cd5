/* SPDX-License-Identifier: MIT */
#include "supervisor/proc_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

char proc_state(pid_t pid)
{
    char path[32], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *name_end = strrchr(text, ')'); /* the name may contain anything */
    return name_end && name_end[1] == ' ' ? name_end[2] : 0;
}

bool proc_is_stopped(pid_t pid)
{
    char state = proc_state(pid);
    return state == 'T' || state == 't';
}
