/* SPDX-License-Identifier: MIT */
#include "common/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/check.h"

/* A page of one writer never holds a byte of another's. */
_Static_assert(offsetof(struct region, config) % REGION_PAGE == 0, "config starts a page");
_Static_assert(offsetof(struct region, board) % REGION_PAGE == 0, "board starts a page");
_Static_assert(offsetof(struct region, watch) % REGION_PAGE == 0, "watch starts a page");
_Static_assert(offsetof(struct region, events) % REGION_PAGE == 0, "events start a page");
_Static_assert(offsetof(struct region, faults) % REGION_PAGE == 0, "faults start a page");
_Static_assert(offsetof(struct region, deaths) % REGION_PAGE == 0, "deaths start a page");
_Static_assert(offsetof(struct region, gate) % REGION_PAGE == 0, "gate starts a page");
_Static_assert(offsetof(struct region, backup) % REGION_PAGE == 0, "backup starts a page");
_Static_assert(offsetof(struct region, buckets) % REGION_PAGE == 0, "buckets start a page");
_Static_assert(sizeof(struct buckets_part) % REGION_PAGE == 0, "buckets are whole pages");
_Static_assert(offsetof(struct region, slots) % REGION_PAGE == 0, "slots start a page");
_Static_assert(sizeof(struct slot_part) % REGION_PAGE == 0, "each slot starts a page");
_Static_assert(sizeof(struct gate) <= REGION_PAGE, "the gate is alone on its page");
/* Groups are copied in words of 8 bytes. */
_Static_assert(sizeof(struct board) % 8 == 0, "board is whole words");
_Static_assert(sizeof(struct watch) % 8 == 0, "watch is whole words");
_Static_assert(sizeof(struct event) % 8 == 0, "event is whole words");
_Static_assert(sizeof(struct death_report) % 8 == 0, "a death report is whole words");
_Static_assert(sizeof(struct config) % 8 == 0, "config is whole words");
_Static_assert(sizeof(struct fault_table) % 8 == 0, "the fault table is whole words");
_Static_assert(FAULT_SLOTS_MAX == SLOTS_MAX, "a fault can name every slot");
_Static_assert(sizeof(struct backup_report) % 8 == 0, "a backup's report is whole words");
_Static_assert(sizeof(struct breaker_public) % 8 == 0, "a breaker is whole words");
_Static_assert(sizeof(_Atomic uint64_t) == 8, "an atomic counter is one word");

#define QUICK_TRIES   20
#define PATIENT_TRIES 500 /* of at least 0.1 ms each */

void change_publish(struct change *change, void *shared, const void *private_copy, size_t size)
{
    CHECK(size % sizeof(uint64_t) == 0);
    _Atomic uint64_t *to = shared;
    const uint64_t *from = private_copy;
    uint64_t count = atomic_load_explicit(&change->count, memory_order_relaxed);
    /* A writer that died in the middle left it odd: start again from the next even number. */
    count = (count + 1) & ~UINT64_C(1);
    atomic_store_explicit(&change->count, count + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < size / sizeof(uint64_t); i++)
        atomic_store_explicit(&to[i], from[i], memory_order_relaxed);
    atomic_store_explicit(&change->count, count + 2, memory_order_release);
}

static bool copy_once(const struct change *change, uint64_t *to, const _Atomic uint64_t *from,
                      size_t size)
{
    uint64_t before = atomic_load_explicit(&change->count, memory_order_acquire);
    if (before & 1)
        return false;
    for (size_t i = 0; i < size / sizeof(uint64_t); i++)
        to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&change->count, memory_order_relaxed) == before;
}

bool change_try(const struct change *change, void *private_copy, const void *shared, size_t size)
{
    for (int tries = 0; tries < QUICK_TRIES; tries++)
        if (copy_once(change, private_copy, shared, size))
            return true;
    return false;
}

bool change_read(const struct change *change, void *private_copy, const void *shared, size_t size)
{
    /* The writer may have lost its CPU in the middle of a change: spinning keeps it off one. */
    const struct timespec pause = {.tv_nsec = 50 * 1000};
    for (int tries = 0; tries < PATIENT_TRIES; tries++) {
        if (change_try(change, private_copy, shared, size))
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

int region_create(struct region **region)
{
    int fd = memfd_create("bulkhead-region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)sizeof(struct region)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        goto failed;
    void *map = mmap(NULL, sizeof(struct region), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        goto failed;
    *region = map;
    struct region_header *header = &(*region)->header;
    header->magic = REGION_MAGIC;
    header->layout = REGION_LAYOUT;
    header->header_size = sizeof(struct region_header);
    header->slot_size = sizeof(struct slot);
    header->board_size = sizeof(struct board);
    header->region_size = sizeof(struct region);
    return fd;
failed:;
    int error = errno;
    close(fd);
    return -error;
}

static int protect(struct region *region, size_t offset, size_t size, int protection)
{
    size_t pages = (size + REGION_PAGE - 1) / REGION_PAGE * REGION_PAGE;
    return mprotect((char *)region + offset, pages, protection) < 0 ? -errno : 0;
}

static bool same_build(const struct region_header *header)
{
    return header->magic == REGION_MAGIC && header->layout == REGION_LAYOUT &&
           header->header_size == sizeof(struct region_header) &&
           header->slot_size == sizeof(struct slot) && header->board_size == sizeof(struct board) &&
           header->region_size == sizeof(struct region);
}

int region_map(int fd, int own_slot, unsigned rights, struct region **region)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if ((uint64_t)status.st_size != sizeof(struct region) || own_slot >= SLOTS_MAX)
        return -EPROTO;
    void *map = mmap(NULL, sizeof(struct region), PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -errno;
    struct region *mapped = map;
    int error = same_build(&mapped->header) ? 0 : -EPROTO;
    if (!error && own_slot >= 0)
        error = protect(
            mapped, offsetof(struct region, slots) + (size_t)own_slot * sizeof(struct slot_part),
            sizeof(struct slot_part), PROT_READ | PROT_WRITE);
    if (!error && (rights & REGION_WRITES_WATCH))
        error = protect(mapped, offsetof(struct region, watch), sizeof(struct watch_part),
                        PROT_READ | PROT_WRITE);
    if (!error && (rights & REGION_WRITES_BACKUP))
        error = protect(mapped, offsetof(struct region, backup), sizeof(struct backup_part),
                        PROT_READ | PROT_WRITE);
    if (!error)
        error = protect(mapped, offsetof(struct region, gate), sizeof(struct gate),
                        (rights & REGION_USES_GATE) ? PROT_READ | PROT_WRITE : PROT_NONE);
    if (!error)
        error = protect(mapped, offsetof(struct region, buckets), sizeof(struct buckets_part),
                        (rights & REGION_USES_BUCKETS) ? PROT_READ | PROT_WRITE : PROT_NONE);
    if (error) {
        munmap(map, sizeof(struct region));
        return error;
    }
    *region = mapped;
    return 0;
}

bool region_read_board(const struct region *region, struct board *board)
{
    return change_read(&region->board.change, board, &region->board.board, sizeof *board);
}

bool region_read_watch(const struct region *region, struct watch *watch)
{
    return change_read(&region->watch.change, watch, &region->watch.watch, sizeof *watch);
}

bool region_read_config(const struct region *region, struct config *config)
{
    return change_read(&region->config.change, config, &region->config.config, sizeof *config);
}

bool region_read_backup(const struct region *region, struct backup_report *report)
{
    return change_read(&region->backup.change, report, &region->backup.report, sizeof *report);
}

bool region_read_event(const struct region *region, uint64_t id, struct event *event)
{
    const struct event_entry *entry = &region->events.entry[id % EVENTS_SIZE];
    return change_read(&entry->change, event, &entry->event, sizeof *event) && event->id == id;
}

bool region_read_faults(const struct region *region, struct fault_table *table)
{
    return change_read(&region->faults.change, table, &region->faults.table, sizeof *table);
}

bool region_read_death(const struct region *region, uint64_t id, struct death_report *report)
{
    const struct death_entry *entry = &region->deaths.entry[id % DEATHS_SIZE];
    return change_read(&entry->change, report, &entry->report, sizeof *report) && report->id == id;
}
