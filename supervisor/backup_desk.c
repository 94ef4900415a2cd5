/* SPDX-License-Identifier: MIT */
#include "supervisor/backup_desk.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "supervisor/supervisor.h"

uint64_t backup_desk_ask(struct supervisor *supervisor)
{
    supervisor->backup_requests++;
    atomic_store(&supervisor->region->board.words.backup_request, supervisor->backup_requests);
    return supervisor->backup_requests;
}

bool backup_desk_is_answered(const struct backup_report *report, uint64_t request)
{
    return report->request >= request &&
           (report->result == BACKUP_DONE || report->result == BACKUP_FAILED);
}

/* A copy that is safe to print. False: not now. */
static bool read_report(const struct supervisor *supervisor, struct backup_report *report)
{
    const struct backup_part *part = &supervisor->region->backup;
    if (!change_try(&part->change, report, &part->report, sizeof *report))
        return false;
    report->name[sizeof report->name - 1] = report->text[sizeof report->text - 1] = '\0';
    for (char *c = report->name; *c; c++)
        *c = isprint((unsigned char)*c) && *c != '/' ? *c : '?';
    for (char *c = report->text; *c; c++)
        *c = isprint((unsigned char)*c) ? *c : '?';
    return true;
}

/* The keeper closes a descriptor only after it said so. What is taken while its words stay the same
 * is therefore what they say, and not another file of the same number. */
static int take_descriptor(const struct supervisor *supervisor, const struct backup_report *report)
{
    const struct slot_record *keeper = &supervisor->slots[HELPER_SLOT(HELPER_KEEPER)];
    struct backup_report again;
    if (report->fd < 0 || report->pid != keeper->pid || keeper->pid_fd < 0)
        return -1;
    int fd = pidfd_getfd(keeper->pid_fd, report->fd, 0);
    if (fd < 0)
        return -1;
    if (read_report(supervisor, &again) && again.fd == report->fd &&
        again.request == report->request && strcmp(again.name, report->name) == 0)
        return fd;
    close(fd);
    return -1;
}

bool backup_desk_answer(struct supervisor *supervisor, uint64_t request, bool *ok, int *fd,
                        char *text, size_t size)
{
    struct backup_report report;
    *fd = -1;
    if (!read_report(supervisor, &report) || !backup_desk_is_answered(&report, request))
        return false;
    *ok = report.result == BACKUP_DONE;
    if (!*ok) {
        snprintf(text, size, "no backup: %s", report.text);
        return true;
    }
    *fd = take_descriptor(supervisor, &report);
    snprintf(text, size, "%.2f MiB, made in %.2f s and checked; also kept as %.100s/backup/%s",
             (double)report.bytes / (1 << 20), (double)report.took_ms / 1000,
             supervisor->place.data_dir, report.name);
    return true;
}
