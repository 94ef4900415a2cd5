/* SPDX-License-Identifier: MIT */
#include "supervisor/console/history_writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "supervisor/console/history.h"
#include "supervisor/console/history_access.h"
#include "supervisor/console/history_file.h"

#define WRITE_EVERY_MS 2000 /* a kill costs this much of the past */
#define BEGIN_MS       100  /* until the first look */
#define BATCH_ROWS     600  /* a transaction: some 20 ms */

/* The two kinds of rows, and the time of the last one that is in the file. */
static struct kind {
    unsigned step, rows;
    int64_t written;
} kinds[] = {
    {.step = 1, .rows = HISTORY_FINE_ROWS},
    {.step = HISTORY_COARSE_STEP_S, .rows = HISTORY_COARSE_ROWS},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static struct {
    struct child *child;
    struct history_file file;
    bool recalled; /* what an earlier console left is in memory */
    char trouble[sizeof((struct history_file *)0)->error]; /* as told; "" none */
    atomic_bool ended;
} writer;

static int64_t span_of(const struct kind *kind)
{
    return (int64_t)kind->rows * kind->step;
}

/* ---- telling ------------------------------------------------------------------------------- */

static void tell_trouble(const char *trouble)
{
    if (strcmp(trouble, writer.trouble) == 0)
        return;
    snprintf(writer.trouble, sizeof writer.trouble, "%s", trouble);
    child_report(writer.child, EVENT_NOTE, "history is in memory alone: %s: %s", HISTORY_FILE_NAME,
                 trouble);
}

static void tell_well(void)
{
    if (writer.file.note[0])
        child_report(writer.child, EVENT_NOTE, "history: %s %s", HISTORY_FILE_NAME,
                     writer.file.note);
    else if (writer.trouble[0])
        child_report(writer.child, EVENT_NOTE, "history is written to %s again", HISTORY_FILE_NAME);
    writer.file.note[0] = writer.trouble[0] = '\0';
}

/* ---- opening ------------------------------------------------------------------------------- */

static bool take(void *kind, unsigned step, int64_t time, const float values[SERIES_NUMBER])
{
    ((struct kind *)kind)->written = time;
    return history_recall(step, time, values);
}

/* Bring back what is there. All of memory is written again when that fails half-way. */
static bool recall(int64_t now)
{
    for (size_t i = 0; i < KINDS; i++)
        if (!history_file_load(&writer.file, kinds[i].step, now - span_of(&kinds[i]), now, take,
                               &kinds[i]))
            return false;
    return true;
}

static bool open_file(int64_t now)
{
    bool fresh = true;
    if (!history_file_open(&writer.file, &fresh))
        return false;
    for (size_t i = 0; i < KINDS; i++)
        kinds[i].written = now - span_of(&kinds[i]);
    if (!fresh && !writer.recalled && !recall(now)) {
        history_file_close(&writer.file); /* to be opened, and so recalled, once more */
        return false;
    }
    writer.recalled = true;
    return true;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* Put the rows of a kind that are not in the file, room of them at most; *written moves on.
 * Returns how many; -1 on an error. */
static int put_rows(const struct kind *kind, int64_t now, int room, int64_t *written)
{
    int put = 0;
    int64_t newest = now - now % kind->step, oldest = newest - span_of(kind);
    /* The clock may have been set either way since. */
    *written = kind->written > newest ? newest - kind->step : kind->written;
    *written = *written < oldest ? oldest : *written - *written % kind->step;
    while (*written < newest && put < room) {
        float values[SERIES_NUMBER];
        *written += kind->step;
        if (!history_row(kind->step, *written, values))
            continue;
        if (!history_file_put(&writer.file, kind->step, *written, values))
            return -1;
        put++;
    }
    return put;
}

/* One transaction. 1: there is more, 0: that was all, -1: an error. */
static int write_batch(int64_t now)
{
    int64_t written[KINDS];
    int room = BATCH_ROWS;
    if (!history_file_begin(&writer.file))
        return -1;
    for (size_t i = 0; i < KINDS; i++) {
        int put = put_rows(&kinds[i], now, room, &written[i]);
        if (put < 0 ||
            !history_file_prune(&writer.file, kinds[i].step, now - span_of(&kinds[i]), now))
            return -1;
        room -= put;
    }
    if (!history_file_commit(&writer.file))
        return -1;
    for (size_t i = 0; i < KINDS; i++)
        kinds[i].written = written[i];
    return room == 0;
}

/* Open what is not open, write what is not written. */
static void write_all(void)
{
    struct history_file *file = &writer.file;
    int64_t now = history_last_time();
    if (now == 0)
        return;
    if (file->db && !history_file_is_there(file)) {
        history_file_close(file);
        snprintf(file->note, sizeof file->note, "was taken away and is made anew");
    }
    if (!file->db && !open_file(now)) {
        tell_trouble(file->error);
        return;
    }
    int more = 1;
    while (more > 0)
        more = write_batch(now);
    if (more < 0)
        tell_trouble(file->error);
    else
        tell_well();
}

static void *write_now_and_then(void *unused)
{
    (void)unused;
    bool stopping = history_sleep(BEGIN_MS);
    for (;;) {
        write_all();
        if (stopping)
            break;
        stopping = history_sleep(writer.recalled ? WRITE_EVERY_MS : 10 * BEGIN_MS);
    }
    history_file_close(&writer.file);
    atomic_store(&writer.ended, true);
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

bool history_writer_start(struct child *child)
{
    pthread_t thread;
    writer.child = child;
    history_file_init(&writer.file, child->region->header.data_dir);
    /* Nobody joins it: it may hang with the disk, and the console ends nevertheless. */
    errno = pthread_create(&thread, NULL, write_now_and_then, NULL);
    return errno == 0 && pthread_detach(thread) == 0;
}

void history_writer_wait(unsigned limit_ms)
{
    const struct timespec moment = {.tv_nsec = (long)(5 * NS_PER_MS)};
    for (uint64_t end_ns = clock_now_ns() + limit_ms * NS_PER_MS;
         !atomic_load(&writer.ended) && clock_now_ns() < end_ns;)
        nanosleep(&moment, NULL);
}
