/* SPDX-License-Identifier: MIT */
#include "common/fault_hold.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fault_table.h"
#include "common/resources.h"

/* A look is made ten times a second by the thread whose heart must beat. */
#define FDS_A_LOOK    16384
#define BLOCKS_A_LOOK 64
#define BLOCK_BYTES   ((size_t)1 << 20)
#define KIB_A_BLOCK   1024

static struct {
    int *fds;
    void **blocks;
    size_t fd_count, fd_room, block_count, block_room;
} hold;

bool fault_hold_has_any(void)
{
    return hold.fd_count > 0 || hold.block_count > 0;
}

/* Room for one more of *list, whose entries have `size` bytes. */
static bool make_room(void *list, size_t count, size_t *room, size_t size)
{
    void **start = list;
    if (count < *room)
        return true;
    size_t more = *room ? *room * 2 : 256;
    void *grown = realloc(*start, more * size);
    if (!grown)
        return false;
    *start = grown;
    *room = more;
    return true;
}

/* ---- descriptors --------------------------------------------------------------------------- */

/* Whether a number is free below the limit: one above it, opened before the limit was lowered, is
 * counted too. */
static bool one_is_left(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static uint64_t fds_lacking(const struct fault_hold_goal *goal)
{
    struct resource_use use;
    if (goal->fds_permille == 0 || !resources_read(&use))
        return 0;
    if (goal->fds_permille >= 1000) /* all of them */
        return one_is_left() ? use.max_fds : 0;
    uint64_t wanted = use.max_fds * goal->fds_permille / 1000;
    return wanted > use.open_fds ? wanted - use.open_fds : 0;
}

static void take_fds(uint64_t count)
{
    for (uint64_t i = 0; i < count && i < FDS_A_LOOK; i++) {
        if (!make_room(&hold.fds, hold.fd_count, &hold.fd_room, sizeof *hold.fds))
            return;
        int fd = hold.fd_count ? fcntl(hold.fds[0], F_DUPFD_CLOEXEC, 3)
                               : open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return; /* the limit itself, or the system's */
        hold.fds[hold.fd_count++] = fd;
    }
}

static void give_fds(void)
{
    for (size_t i = 0; i < FDS_A_LOOK && hold.fd_count > 0; i++)
        close(hold.fds[--hold.fd_count]);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void take_blocks(uint64_t wanted)
{
    for (unsigned i = 0; i < BLOCKS_A_LOOK && hold.block_count < wanted; i++) {
        if (!make_room(&hold.blocks, hold.block_count, &hold.block_room, sizeof *hold.blocks))
            return;
        void *block =
            mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            return;
        memset(block, 0x5A, BLOCK_BYTES);
        hold.blocks[hold.block_count++] = block;
    }
}

static void give_blocks(uint64_t kept)
{
    for (unsigned i = 0; i < BLOCKS_A_LOOK && hold.block_count > kept; i++)
        munmap(hold.blocks[--hold.block_count], BLOCK_BYTES);
}

/* ---- both ---------------------------------------------------------------------------------- */

uint32_t fault_hold_lacks(const struct fault_hold_goal *goal)
{
    bool memory = hold.block_count < goal->kib / KIB_A_BLOCK;
    return (fds_lacking(goal) > 0 ? 1u << FAULT_OF_FDS : 0) | (memory ? 1u << FAULT_OF_MEMORY : 0);
}

void fault_hold_towards(const struct fault_hold_goal *goal)
{
    uint64_t blocks = goal->kib / KIB_A_BLOCK;
    if (goal->fds_permille == 0)
        give_fds();
    else
        take_fds(fds_lacking(goal));
    if (hold.block_count > blocks)
        give_blocks(blocks);
    else
        take_blocks(blocks);
}
