/* SPDX-License-Identifier: MIT */
#include "tools/drill/acts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/slot_view.h"
#include "tools/drill/process.h"

#define GATE_WAIT_NS (3 * NS_PER_S) /* for somebody to be in the gate */
#define GATE_LOOK_US 20
#define MIB          (1024 * 1024)
#define PAGE         4096
#define COPY_CHUNK   (256 * 1024)

/* Bytes of -shm (SQLite's wal.c): the writer's lock, and of the five read marks the second. */
#define SHM_WRITE_LOCK 120
#define SHM_READ_LOCK  (120 + 3 + 1)

static const char *const files[] = {"app.db", "app.db-wal", "app.db-shm"};

static int say(char *done, size_t size, int result, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int say(char *done, size_t size, int result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(done, size, format, arguments);
    va_end(arguments);
    return result;
}

/* ---- signals ------------------------------------------------------------------------------- */

static void remember(struct acts *acts, pid_t pid, int number)
{
    if (number == SIGSTOP && acts->stopped_count < WORKER_SLOTS_MAX)
        acts->stopped[acts->stopped_count++] = pid;
}

static int send_to(struct acts *acts, pid_t pid, unsigned number, const char *whom, char *done,
                   size_t size)
{
    if (pid <= 1)
        return say(done, size, -1, "%s has no process now", whom);
    if (kill(pid, (int)number) < 0)
        return say(done, size, -1, "SIG%s to %s (pid %d): %s", sigabbrev_np((int)number), whom,
                   (int)pid, strerror(errno));
    remember(acts, pid, (int)number);
    return say(done, size, 0, "SIG%s to %s (pid %d)", sigabbrev_np((int)number), whom, (int)pid);
}

static pid_t pid_of(const struct acts *acts, const struct board *board, unsigned slot)
{
    if (slot >= SLOTS_MAX || !slot_view_is_live(acts->region, board, slot))
        return 0;
    return board->slot[slot].pid;
}

static int signal_all(struct acts *acts, const struct board *board, unsigned number, char *done,
                      size_t size)
{
    unsigned count = 0;
    for (unsigned slot = 0; slot < slot_view_worker_slots(board); slot++) {
        pid_t pid = pid_of(acts, board, slot);
        if (pid > 1 && kill(pid, (int)number) == 0) {
            remember(acts, pid, (int)number);
            count++;
        }
    }
    return say(done, size, count ? 0 : -1, "SIG%s to all %u workers", sigabbrev_np((int)number),
               count);
}

static int signal_any(struct acts *acts, const struct board *board, unsigned number, char *done,
                      size_t size)
{
    unsigned slots = slot_view_worker_slots(board);
    for (unsigned i = 0; i < slots; i++) {
        unsigned slot = acts->turn++ % slots;
        char whom[24];
        snprintf(whom, sizeof whom, "worker %u", slot);
        if (pid_of(acts, board, slot) > 1 && board->slot[slot].state == SLOT_READY)
            return send_to(acts, pid_of(acts, board, slot), number, whom, done, size);
    }
    return say(done, size, -1, "no worker is ready");
}

/* Who is in the gate leaves it within a millisecond: look until one is met, and look again once
 * the signal was sent. */
static int signal_gate(struct acts *acts, const struct board *board, unsigned number, char *done,
                       size_t size)
{
    uint64_t end_ns = clock_now_ns() + GATE_WAIT_NS;
    while (clock_now_ns() < end_ns) {
        for (unsigned slot = 0; slot < slot_view_worker_slots(board); slot++) {
            const struct slot *own = &acts->region->slots[slot].slot;
            pid_t pid = pid_of(acts, board, slot);
            if (pid <= 1 || atomic_load(&own->gate_stage) < GATE_HOLDING ||
                kill(pid, (int)number) < 0)
                continue;
            usleep(2000);
            if (number != SIGSTOP || atomic_load(&own->gate_stage) >= GATE_HOLDING) {
                remember(acts, pid, (int)number);
                return say(done, size, 0, "SIG%s to worker %u (pid %d), which holds the gate",
                           sigabbrev_np((int)number), slot, (int)pid);
            }
            kill(pid, SIGCONT);
        }
        usleep(GATE_LOOK_US);
    }
    return say(done, size, -1, "nobody was met in the gate within %d s",
               (int)(GATE_WAIT_NS / NS_PER_S));
}

static int act_signal(struct acts *acts, const struct spec_step *step, char *done, size_t size)
{
    static struct board board;
    const char *target = step->target;
    static const char *const helpers[] = {"sentinel", "keeper", "console"};
    if (strcmp(target, "supervisor") == 0)
        return send_to(acts, acts->house->supervisor, step->signal, target, done, size);
    if (!acts->region || !region_read_board(acts->region, &board))
        return say(done, size, -1, "the board cannot be read");
    if (strcmp(target, "all") == 0)
        return signal_all(acts, &board, step->signal, done, size);
    if (strcmp(target, "any") == 0)
        return signal_any(acts, &board, step->signal, done, size);
    if (strcmp(target, "gate") == 0)
        return signal_gate(acts, &board, step->signal, done, size);
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(target, helpers[i]) == 0)
            return send_to(acts, pid_of(acts, &board, HELPER_SLOT(i)), step->signal, target, done,
                           size);
    unsigned slot = (unsigned)strtoul(target + strlen("worker:"), NULL, 10);
    return send_to(acts, pid_of(acts, &board, slot), step->signal, target, done, size);
}

/* ---- files --------------------------------------------------------------------------------- */

static void place(const struct acts *acts, const char *below, const char *name, char *out,
                  size_t size)
{
    snprintf(out, size, "%s%s/%s", acts->house->data_dir, below, name);
}

#define AWAY "/drill-away"

static int move(struct acts *acts, bool back, char *done, size_t size)
{
    char from[PATH_MAX], to[PATH_MAX];
    place(acts, AWAY, "", to, sizeof to);
    if (!back && mkdir(to, 0700) < 0 && errno != EEXIST)
        return say(done, size, -1, "%s: %s", to, strerror(errno));
    /* The main file first, as `mv app.db*` would. */
    for (unsigned i = 0; i < 3; i++) {
        place(acts, back ? AWAY : "", files[i], from, sizeof from);
        place(acts, back ? "" : AWAY, files[i], to, sizeof to);
        if (rename(from, to) < 0 && (i == 0 || errno != ENOENT))
            return say(done, size, -1, "%s: %s", from, strerror(errno));
    }
    acts->moved = !back;
    place(acts, AWAY, "", to, sizeof to);
    if (back)
        rmdir(to);
    return say(done, size, 0, back ? "app.db is back" : "app.db is moved away");
}

static int copy(const char *from, const char *to)
{
    static char chunk[COPY_CHUNK];
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");
    bool good = in && out;
    for (size_t n; good && (n = fread(chunk, 1, sizeof chunk, in)) > 0;)
        good = fwrite(chunk, 1, n, out) == n;
    good = good && !ferror(in);
    if (in)
        fclose(in);
    if (out && fclose(out) != 0)
        good = false;
    return good ? chmod(to, 0600) : -1;
}

static int replace(struct acts *acts, char *done, size_t size)
{
    char from[PATH_MAX], to[PATH_MAX];
    place(acts, "", files[0], from, sizeof from);
    place(acts, "", "drill-copy.db", to, sizeof to);
    if (copy(from, to) < 0 || rename(to, from) < 0)
        return say(done, size, -1, "%s: %s", to, strerror(errno));
    return say(done, size, 0, "a copy took the name app.db");
}

static int delete (struct acts *acts, char *done, size_t size)
{
    char path[PATH_MAX];
    for (unsigned i = 0; i < 3; i++) {
        place(acts, "", files[i], path, sizeof path);
        if (unlink(path) < 0 && i == 0)
            return say(done, size, -1, "%s: %s", path, strerror(errno));
    }
    return say(done, size, 0, "app.db is deleted");
}

static int fill(struct acts *acts, const struct spec_step *step, char *done, size_t size)
{
    char path[PATH_MAX];
    struct statvfs room;
    place(acts, "", "drill-filler", path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstatvfs(fd, &room) < 0) {
        if (fd >= 0)
            close(fd);
        return say(done, size, -1, "%s: %s", path, strerror(errno));
    }
    acts->filled = true;
    off_t taken = 0, left = (off_t)(room.f_bavail * room.f_frsize) - (off_t)step->keep_mib * MIB;
    /* Others write meanwhile: what is left is found by trying, in ever smaller pieces. */
    for (off_t piece = MIB; piece >= PAGE && left > 0;) {
        bool fits = piece <= left && posix_fallocate(fd, taken, piece) == 0;
        taken += fits ? piece : 0;
        left -= fits ? piece : 0;
        piece = fits ? piece : piece / 2;
    }
    close(fd);
    return say(done, size, taken > 0 ? 0 : -1, "%lld KiB of the disk are taken",
               (long long)(taken / 1024));
}

/* ---- foreign locks ------------------------------------------------------------------------- */

struct hold {
    char path[PATH_MAX];
    off_t byte;
    short type;
};

static void hold_lock(const void *argument)
{
    const struct hold *hold = argument;
    struct flock lock = {
        .l_type = hold->type, .l_whence = SEEK_SET, .l_start = hold->byte, .l_len = 1};
    int fd = open(hold->path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fcntl(fd, F_SETLKW, &lock) < 0)
        _exit(1);
}

static int hold(struct acts *acts, bool writer, char *done, size_t size)
{
    struct hold what = {.byte = writer ? SHM_WRITE_LOCK : SHM_READ_LOCK,
                        .type = writer ? F_WRLCK : F_RDLCK};
    place(acts, "", files[2], what.path, sizeof what.path);
    if (acts->holder_count == HOLDERS_MAX)
        return say(done, size, -1, "more than %d foreign locks", HOLDERS_MAX);
    pid_t pid = process_fork(hold_lock, &what);
    if (pid < 0)
        return say(done, size, -1, "fork: %s", strerror(-pid));
    acts->holder[acts->holder_count++] = pid;
    return say(done, size, 0, "pid %d, a foreign process, takes the %s lock of app.db", (int)pid,
               writer ? "write" : "read");
}

static int release(struct acts *acts, char *done, size_t size)
{
    unsigned count = acts->holder_count;
    while (acts->holder_count > 0)
        kill(acts->holder[--acts->holder_count], SIGKILL);
    if (acts->filled) {
        char path[PATH_MAX];
        place(acts, "", "drill-filler", path, sizeof path);
        if (unlink(path) < 0 && errno != ENOENT)
            return say(done, size, -1, "%s: %s", path, strerror(errno));
        acts->filled = false;
        return say(done, size, 0, "the disk has room again");
    }
    return say(done, size, count ? 0 : -1, "%u foreign locks are let go of", count);
}

int acts_do(struct acts *acts, const struct spec_step *step, char *done, size_t size)
{
    switch (step->act) {
    case ACT_SIGNAL:
        return act_signal(acts, step, done, size);
    case ACT_DB_MOVE:
    case ACT_DB_RESTORE:
        return move(acts, step->act == ACT_DB_RESTORE, done, size);
    case ACT_DB_REPLACE:
        return replace(acts, done, size);
    case ACT_DB_DELETE:
        return delete (acts, done, size);
    case ACT_LOCK:
    case ACT_READER:
        return hold(acts, step->act == ACT_LOCK, done, size);
    case ACT_RELEASE:
        return release(acts, done, size);
    case ACT_FILL:
        return fill(acts, step, done, size);
    default:
        return say(done, size, -1, "%s: no such act here", act_name(step->act));
    }
}

int acts_undo(struct acts *acts, char *left, size_t size)
{
    char done[PATH_MAX + 100];
    int result = 0;
    while (acts->stopped_count > 0)
        kill(acts->stopped[--acts->stopped_count], SIGCONT);
    if (acts->moved && move(acts, true, done, sizeof done) < 0)
        result = say(left, size, -1, "%s", done);
    if ((acts->holder_count > 0 || acts->filled) && release(acts, done, sizeof done) < 0 &&
        result == 0)
        result = say(left, size, -1, "%s", done);
    return result;
}
