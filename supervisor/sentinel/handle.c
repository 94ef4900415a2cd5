/* SPDX-License-Identifier: MIT */
#include "supervisor/sentinel/handle.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/db/fault_vfs.h"
#include "common/db/schema.h"

#define BUSY_RETRY_NS  (500 * NS_PER_US) /* a killed holder's locks are free after some ms */
#define PROGRESS_STEPS 1000

static uint64_t board_epoch(const struct handle *handle)
{
    return atomic_load(&handle->child->region->board.words.db_epoch);
}

static void acknowledge(struct handle *handle, uint64_t epoch)
{
    handle->epoch = epoch;
    atomic_store(&handle->child->slot->epoch_closed, epoch);
}

void handle_init(struct handle *handle, struct child *child)
{
    *handle = (struct handle){.child = child, .shm_fd = -1};
    if (child->config.faults_enabled)
        fault_vfs_install();
    db_paths_set(&handle->paths, child->region->header.data_dir);
    acknowledge(handle, board_epoch(handle));
}

static int wait_while_busy(void *argument, int calls)
{
    const struct handle *handle = argument;
    const struct timespec pause = {.tv_nsec = (long)BUSY_RETRY_NS};
    (void)calls;
    if (clock_now_ns() >= handle->busy_until_ns)
        return 0;
    nanosleep(&pause, NULL);
    return 1;
}

static int stop_when_late(void *argument)
{
    const struct handle *handle = argument;
    return handle->stop_at_ns != 0 && clock_now_ns() >= handle->stop_at_ns;
}

/* What every process that writes must know of a file it just opened. */
static int read_what_it_is(struct handle *handle, struct db_error *error)
{
    if (schema_check(handle->db, error) < 0)
        return -1;
    db_identity_stat(&handle->paths, &handle->opened);
    if (db_read_app_id(handle->db, handle->opened.app_id) == 0)
        return 0;
    db_error_from(error, handle->db, "app.db: its id cannot be read");
    if (error->code == DB_CODE_OK) {
        error->code = DB_CODE_IDENTITY;
        snprintf(error->text, sizeof error->text, "app.db: there is no id in its table meta");
    }
    return -1;
}

int handle_open(struct handle *handle, enum db_role role, const struct db_identity *expected,
                struct db_error *error)
{
    uint64_t start_ns = clock_now_ns();
    int result = db_open(&handle->paths, role, handle->child->config.durability, expected,
                         &handle->db, error);
    if (result == 0) {
        handle->busy_until_ns = handle->stop_at_ns = 0;
        sqlite3_busy_handler(handle->db, wait_while_busy, handle);
        sqlite3_progress_handler(handle->db, PROGRESS_STEPS, stop_when_late, handle);
        result = read_what_it_is(handle, error);
        if (result == 0)
            handle->shm_fd = open(handle->paths.file[DB_FILE_SHM], O_RDONLY | O_CLOEXEC);
        else
            handle_close(handle);
    }
    handle_count(handle, DB_OP_OPEN, result < 0 ? error->code : DB_CODE_OK, start_ns);
    return result;
}

void handle_close(struct handle *handle)
{
    db_close(handle->db);
    handle->db = NULL;
    if (handle->shm_fd >= 0)
        close(handle->shm_fd);
    handle->shm_fd = -1;
}

bool handle_is_outdated(const struct handle *handle)
{
    return board_epoch(handle) != handle->epoch;
}

void handle_renew(struct handle *handle)
{
    uint64_t epoch = board_epoch(handle);
    handle_close(handle);
    acknowledge(handle, epoch);
}

void handle_count(struct handle *handle, enum db_op op, enum db_code code, uint64_t start_ns)
{
    struct slot_metrics *numbers = &handle->child->slot->metrics;
    histogram_record(&numbers->db_query_duration[op], (clock_now_ns() - start_ns) / NS_PER_US);
    if (code != DB_CODE_OK)
        counter_increment(&numbers->db_errors[op][code]);
}
