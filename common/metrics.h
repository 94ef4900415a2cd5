/* SPDX-License-Identifier: MIT */
/*
 * Storage and description of the metrics declared in metrics.def. A metric is an array of cells,
 * one for each combination of its labels; the labels come from the closed lists of labels.h.
 * Only the owner of a slot adds to its struct; everybody may read. Adding is one relaxed atomic.
 */
#ifndef BULKHEAD_METRICS_H
#define BULKHEAD_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/histogram.h"
#include "common/labels.h"

#define WORKER_SLOTS_MAX (WORKERS_MAX + 1) /* one more to start a successor in */

/* The dimensions a row may name. */
#define LOGIN_LIST(X) X(OK, "ok") X(DENIED, "denied") X(REFUSED, "refused")
#define X(id, name)   LOGIN_##id,
enum login_result { LOGIN_LIST(X) LOGIN_COUNT };
#undef X

enum dimension {
    DIMENSION_NONE,
    DIMENSION_CLASS,
    DIMENSION_ENDPOINT, /* three labels: class, method, route */
    DIMENSION_STATUS,
    DIMENSION_STAGE,
    DIMENSION_ATTEMPT,
    DIMENSION_REFUSAL,
    DIMENSION_DB_OP,
    DIMENSION_DB_CODE,
    DIMENSION_LOGIN,
    DIMENSION_SLOT,
    DIMENSION_RESTART_REASON,
    DIMENSION_DEATH,
    DIMENSION_FAULT_KIND,
    DIMENSION_DEPENDENCY,
    DIMENSION_BREAKER_MOVE, /* three labels: from, to, reason */
    DIMENSION_RATE_POLICY,
    DIMENSION_RATE_RESULT,
};

#define SIZE_NONE           1
#define SIZE_CLASS          CLASS_COUNT
#define SIZE_ENDPOINT       ENDPOINT_COUNT
#define SIZE_STATUS         STATUS_COUNT
#define SIZE_STAGE          STAGE_COUNT
#define SIZE_ATTEMPT        ATTEMPT_COUNT
#define SIZE_REFUSAL        REFUSAL_COUNT
#define SIZE_DB_OP          DB_OP_COUNT
#define SIZE_DB_CODE        DB_CODE_COUNT
#define SIZE_LOGIN          LOGIN_COUNT
#define SIZE_SLOT           WORKER_SLOTS_MAX
#define SIZE_RESTART_REASON RESTART_REASON_COUNT
#define SIZE_DEATH          DEATH_COUNT
#define SIZE_FAULT_KIND     FAULT_KIND_COUNT
#define SIZE_DEPENDENCY     DEPENDENCY_COUNT
#define SIZE_BREAKER_MOVE   BREAKER_MOVE_COUNT
#define SIZE_RATE_POLICY    RATE_POLICY_COUNT
#define SIZE_RATE_RESULT    RATE_RESULT_COUNT

#define SLOT_COUNTER(id, name, d1, d2, spread, help) _Atomic uint64_t id[SIZE_##d1][SIZE_##d2];
#define SLOT_GAUGE(id, name, d1, spread, help)       _Atomic int64_t id[SIZE_##d1];
#define SLOT_HISTOGRAM(id, name, d1, scale, help)    struct histogram id[SIZE_##d1];
#define BOARD_COUNTER(id, name, d1, d2, help)
#define DERIVED(id, name, type, labels, help)
/* One slot's numbers. */
struct slot_metrics {
#include "common/metrics.def"
};
#undef SLOT_COUNTER
#undef SLOT_GAUGE
#undef SLOT_HISTOGRAM
#undef BOARD_COUNTER

#define SLOT_COUNTER(id, name, d1, d2, spread, help)
#define SLOT_GAUGE(id, name, d1, spread, help)
#define SLOT_HISTOGRAM(id, name, d1, scale, help)
#define BOARD_COUNTER(id, name, d1, d2, help) uint64_t id[SIZE_##d1][SIZE_##d2];
/* The supervisor's own numbers; plain, because they are published with the board. */
struct board_metrics {
#include "common/metrics.def"
};
#undef SLOT_COUNTER
#undef SLOT_GAUGE
#undef SLOT_HISTOGRAM
#undef BOARD_COUNTER
#undef DERIVED

enum metric_kind {
    METRIC_SLOT_COUNTER,
    METRIC_SLOT_GAUGE,
    METRIC_SLOT_HISTOGRAM,
    METRIC_BOARD_COUNTER,
    METRIC_DERIVED,
};

enum metric_scale { SCALE_PLAIN, SCALE_MICROSECONDS };

/* How a slot's metric is shown: all slots added up, or a series for each slot. */
enum metric_spread { SPREAD_SUM, SPREAD_PER_SLOT };

/* One row of metrics.def, for code that walks all metrics. */
struct metric {
    enum metric_kind kind;
    const char *name;
    const char *type; /* counter, gauge, histogram */
    const char *help;
    enum dimension dimension[2];
    enum metric_scale scale;
    enum metric_spread spread;
    const char *derived_labels; /* names, comma-separated; NULL but for METRIC_DERIVED */
    size_t offset;              /* into struct slot_metrics or struct board_metrics */
};

extern const struct metric metrics[];
extern const size_t metrics_count;

/* Number of values of a dimension. */
size_t dimension_size(enum dimension dimension);

/* The label text for one value, e.g. `class="read"`; "" for DIMENSION_NONE. At most size bytes. */
int dimension_label(enum dimension dimension, unsigned value, char *out, size_t size);

/* A counter's cell, plus one or plus n. */
static inline void counter_add(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

static inline void counter_increment(_Atomic uint64_t *cell)
{
    counter_add(cell, 1);
}

static inline void gauge_add(_Atomic int64_t *cell, int64_t n)
{
    atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

static inline void gauge_set(_Atomic int64_t *cell, int64_t n)
{
    atomic_store_explicit(cell, n, memory_order_relaxed);
}

#endif
