/* SPDX-License-Identifier: MIT */
/* The test plays the supervisor: faults by their text, published into a region this process is a
 * child of. */
#ifndef BULKHEAD_FAULT_TABLE_BED_H
#define BULKHEAD_FAULT_TABLE_BED_H

#include "tests/unit/unit.h"

#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fault.h"
#include "common/fault_spec.h"
#include "common/region.h"

#define BED_SLOT       2
#define BED_GENERATION 5

static struct region *bed_region;
static struct fault_table bed_table;
static uint64_t bed_version;
static uint32_t bed_last_id;

static inline void bed_publish(void)
{
    bool any = false;
    for (unsigned i = 0; i < FAULTS_MAX; i++)
        any |= bed_table.fault[i].state == FAULT_STATE_ACTIVE;
    change_publish(&bed_region->faults.change, &bed_region->faults.table, &bed_table,
                   sizeof bed_table);
    atomic_store(&bed_region->faults.active, any ? ++bed_version : 0);
}

/* Active at once, for whoever it says; a target that is one process is this one. */
static inline struct fault *bed_set(const char *spec)
{
    char error[256] = "";
    struct fault *fault = &bed_table.fault[0];
    while (fault->state == FAULT_STATE_ACTIVE)
        fault++;
    assert_int_equal(fault_spec_parse(spec, fault, error, sizeof error), 0);
    fault->id = ++bed_last_id;
    fault->state = FAULT_STATE_ACTIVE;
    fault->begin_ns = clock_now_ns();
    fault->end_ns = fault->begin_ns + fault->duration_ms * NS_PER_MS;
    fault->everybody = fault->target == FAULT_TARGET_DATABASE || fault->target == FAULT_TARGET_ALL;
    if (!fault->everybody)
        fault->generation[BED_SLOT] = BED_GENERATION;
    bed_publish();
    return fault;
}

static inline void bed_clear(void)
{
    memset(&bed_table, 0, sizeof bed_table);
    bed_publish();
}

static inline uint64_t bed_hits(enum fault_kind kind)
{
    return atomic_load(&region_slot(bed_region, BED_SLOT)->metrics.fault_hits[kind][0]);
}

static inline int bed_begin(void)
{
    int fd = region_create(&bed_region);
    if (fd < 0)
        return -1;
    close(fd);
    fault_start(bed_region, BED_SLOT, BED_GENERATION);
    return 0;
}

#endif
