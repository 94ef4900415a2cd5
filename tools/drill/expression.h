/* SPDX-License-Identifier: MIT */
/*
 * What a drill asks of numbers, as text: `p95(http_request_duration_seconds{class=read})`,
 * `worker_deaths_total{class=killed} >= 20 and load.audit.lost == 0`. It owns the grammar; it knows
 * which metrics exist (common/metrics.def) and nothing of how they were measured: whoever evaluates
 * passes a function that answers for each term.
 *
 *   condition  := comparison { "and" comparison }
 *   comparison := sum ( < | <= | == | != | >= | > ) sum
 *   sum        := product { (+|-) product };  product := atom { (*|/) atom }
 *   atom       := number | ( sum ) | FUNCTION(metric) | metric | path
 *   metric     := name [ { label=value | label!=value, ... } ]      a value may end in *
 *   FUNCTION   := delta max min last p50 p95 p99
 *   path       := root.name...      load.latency_ms.p95, detect.degraded_s, events.worker_hung
 *
 * A metric alone is delta() of a counter and max() of a gauge. Division by nothing of nothing is 0.
 * A term that was not measured is NaN, and no comparison with it holds.
 */
#ifndef BULKHEAD_DRILL_EXPRESSION_H
#define BULKHEAD_DRILL_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>

#define EXPRESSION_TEXT  256
#define EXPRESSION_NODES 40
#define SELECTOR_LABELS  4
#define SELECTORS_MAX    64
#define SELECTOR_BUCKETS 15 /* edges of a histogram in the exposition, +Inf included */

enum comparison { LESS, LESS_EQUAL, EQUAL, NOT_EQUAL, GREATER_EQUAL, GREATER, COMPARISON_COUNT };

/* How a metric's samples become one number. */
enum reading {
    READ_DELTA,
    READ_MAX,
    READ_MIN,
    READ_LAST,
    READ_P50,
    READ_P95,
    READ_P99,
};

struct selector_label {
    char key[24], value[64];
    bool differs;
};

/* Which series of the exposition are added up. */
struct selector {
    char name[64];
    bool gauge, histogram;
    unsigned label_count;
    struct selector_label label[SELECTOR_LABELS];
};

struct selectors {
    unsigned count;
    struct selector all[SELECTORS_MAX];
};

enum node_kind {
    NODE_NUMBER,
    NODE_METRIC,
    NODE_PATH,
    NODE_ADD,
    NODE_SUBTRACT,
    NODE_MULTIPLY,
    NODE_DIVIDE,
    NODE_COMPARE,
    NODE_AND,
};

struct node {
    enum node_kind kind;
    double number;
    unsigned selector; /* of METRIC: its place among the selectors */
    enum reading reading;
    char path[64]; /* of PATH */
    enum comparison comparison;
    unsigned left, right;
};

struct expression {
    char text[EXPRESSION_TEXT];
    unsigned count, root;
    struct node node[EXPRESSION_NODES];
};

/* Parse a value (`condition` false) or a condition. Selectors are added to the list, each once.
 * 0, or -1 and one line in error. */
int expression_parse(struct expression *expression, const char *text, bool condition,
                     struct selectors *selectors, char *error, size_t error_size);

/* The number of a METRIC or PATH term; NaN when it was not measured. */
typedef double expression_resolve(void *argument, const struct node *term);

/* The value; a condition gives 1 or 0. */
double expression_value(const struct expression *expression, expression_resolve *resolve,
                        void *argument);

/* The condition's comparisons with the numbers found, e.g. "a >= 20: 3". */
void expression_explain(const struct expression *expression, expression_resolve *resolve,
                        void *argument, char *out, size_t size);

bool comparison_holds(enum comparison comparison, double value, double limit);
const char *comparison_name(enum comparison comparison);
/* COMPARISON_COUNT when it is none. */
enum comparison comparison_find(const char *text);

#endif
