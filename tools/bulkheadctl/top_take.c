/* SPDX-License-Identifier: MIT */
#include "common/clock.h"
#include "common/state_json.h"
#include "tools/bulkheadctl/top.h"

static void sum(const struct region *region, struct top_counts *now)
{
    *now = (struct top_counts){.at_ns = clock_now_ns()};
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        const struct slot_metrics *slot = &region->slots[i].slot.metrics;
        now->commits += atomic_load_explicit(&slot->db_commits[0][0], memory_order_relaxed);
        histogram_sum_add(&now->lock_wait, &slot->db_lock_wait[0]);
    }
}

bool top_take(struct top_look *look, const struct region *region, struct top_counts *before)
{
    static struct top_counts now; /* 7 KB */
    static struct histogram_sum waited;
    if (!region_read_board(region, &look->board))
        return false;
    sum(region, &now);
    look->now_ns = now.at_ns;
    look->now_wall_us = clock_wall_us();
    look->commits_per_s = look->lock_wait_ms = 0;
    if (before->at_ns && now.at_ns > before->at_ns && now.commits >= before->commits) {
        double seconds = (double)(now.at_ns - before->at_ns) / (double)NS_PER_S;
        look->commits_per_s = (double)(now.commits - before->commits) / seconds;
        waited = now.lock_wait;
        histogram_sum_subtract(&waited, &before->lock_wait);
        look->lock_wait_ms = (double)histogram_percentile(&waited, 95) / 1000;
    }
    *before = now;
    return true;
}

size_t top_json(const struct top_look *look, const struct region *region, char *out, size_t size)
{
    static char state[STATE_JSON_SIZE];
    char time[CLOCK_RFC3339_SIZE];
    struct json_out json;
    size_t length = state_json(region, state, sizeof state);
    if (length == 0)
        return 0;
    clock_rfc3339(time, look->now_wall_us);
    json_out_init(&json, out, size);
    json_object_begin(&json);
    json_key_string(&json, "ts", time);
    json_key_double(&json, "commits_per_s", look->commits_per_s);
    json_key_double(&json, "lock_wait_p95_ms", look->lock_wait_ms);
    json_key(&json, "state");
    json_raw(&json, state, length);
    json_object_end(&json);
    return json.overflow ? 0 : json.length;
}
