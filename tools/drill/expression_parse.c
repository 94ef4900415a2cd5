/* SPDX-License-Identifier: MIT */
/* The grammar of expressions: a parser by recursive descent. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/exposition.h"
#include "tools/drill/expression.h"
#include "tools/drill/extra_metrics.h"

#define DEPTH_MAX       12
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const reading_names[] = {"delta", "max", "min", "last", "p50", "p95", "p99"};
static const char *const roots[] = {"load",  "load2", "health", "detect", "events",
                                    "drill", "rows",  "board",  "step"};

struct parser {
    const char *at;
    struct expression *out;
    struct selectors *selectors;
    char *error;
    size_t error_size;
    bool failed;
    unsigned depth;
};

static unsigned fail(struct parser *parser, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static unsigned fail(struct parser *parser, const char *format, ...)
{
    va_list arguments;
    if (!parser->failed) {
        va_start(arguments, format);
        vsnprintf(parser->error, parser->error_size, format, arguments);
        va_end(arguments);
    }
    parser->failed = true;
    return 0;
}

static void skip_space(struct parser *parser)
{
    while (isspace((unsigned char)*parser->at))
        parser->at++;
}

static bool take(struct parser *parser, const char *word)
{
    skip_space(parser);
    size_t length = strlen(word);
    if (strncmp(parser->at, word, length) != 0)
        return false;
    parser->at += length;
    return true;
}

static unsigned add_node(struct parser *parser, struct node node)
{
    if (parser->out->count == EXPRESSION_NODES)
        return fail(parser, "more than %d terms; split it", EXPRESSION_NODES);
    parser->out->node[parser->out->count] = node;
    return parser->out->count++;
}

static bool name_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static void take_name(struct parser *parser, char *out, size_t size)
{
    size_t length = 0;
    skip_space(parser);
    while (name_character(*parser->at) && length < size - 1)
        out[length++] = *parser->at++;
    out[length] = '\0';
}

/* Whether the comma-separated list has the word. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ',') && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

/* The metric of that name, with _count and _sum of histograms. False when there is none. */
static bool find_metric(const char *name, struct selector *selector, char *labels, size_t size)
{
    for (size_t i = 0; i < metrics_count; i++) {
        size_t length = strlen(metrics[i].name);
        const char *rest = name + length;
        bool histogram = metrics[i].kind == METRIC_SLOT_HISTOGRAM;
        if (strncmp(metrics[i].name, name, length) != 0)
            continue;
        if (*rest && !(histogram && (strcmp(rest, "_count") == 0 || strcmp(rest, "_sum") == 0)))
            continue;
        selector->histogram = histogram && !*rest;
        selector->gauge = strcmp(metrics[i].type, "gauge") == 0;
        exposition_labels(&metrics[i], labels, size);
        return true;
    }
    const struct extra_metric *extra = extra_metric_find(name);
    if (extra) {
        snprintf(labels, size, "%s", extra->labels);
        selector->gauge = extra->gauge;
    }
    return extra != NULL;
}

static void take_labels(struct parser *parser, struct selector *selector, const char *known)
{
    while (!parser->failed && !take(parser, "}")) {
        if (selector->label_count == SELECTOR_LABELS) {
            fail(parser, "%s: more than %d labels", selector->name, SELECTOR_LABELS);
            return;
        }
        struct selector_label *label = &selector->label[selector->label_count++];
        take_name(parser, label->key, sizeof label->key);
        label->differs = take(parser, "!=");
        if (!label->differs && !take(parser, "="))
            fail(parser, "%s{%s: want label=value or label!=value", selector->name, label->key);
        if (!list_has(known, label->key))
            fail(parser, "%s has no label \"%s\"; allowed: %s", selector->name, label->key,
                 *known ? known : "none");
        skip_space(parser);
        size_t length = strcspn(parser->at, ",} ");
        snprintf(label->value, sizeof label->value, "%.*s", (int)length, parser->at);
        parser->at += length;
        skip_space(parser);
        if (*parser->at == ',')
            parser->at++;
        else if (*parser->at != '}')
            fail(parser, "%s: labels end with }", selector->name);
    }
}

static bool same_selector(const struct selector *a, const struct selector *b)
{
    bool same = strcmp(a->name, b->name) == 0 && a->label_count == b->label_count;
    for (unsigned i = 0; same && i < a->label_count; i++)
        same = strcmp(a->label[i].key, b->label[i].key) == 0 &&
               strcmp(a->label[i].value, b->label[i].value) == 0 &&
               a->label[i].differs == b->label[i].differs;
    return same;
}

static unsigned add_selector(struct parser *parser, const struct selector *selector)
{
    struct selectors *list = parser->selectors;
    for (unsigned i = 0; i < list->count; i++)
        if (same_selector(&list->all[i], selector))
            return i;
    if (list->count == SELECTORS_MAX)
        return fail(parser, "more than %d metrics in one drill", SELECTORS_MAX);
    list->all[list->count] = *selector;
    return list->count++;
}

/* `reading` < 0: not said. */
static unsigned parse_metric(struct parser *parser, const char *name, int reading)
{
    struct selector selector = {0};
    char known[160];
    snprintf(selector.name, sizeof selector.name, "%s", name);
    if (!find_metric(name, &selector, known, sizeof known))
        return fail(parser, "no metric \"%s\"; allowed: those of docs/metrics.md and %s", name,
                    extra_metric_names());
    if (take(parser, "{"))
        take_labels(parser, &selector, known);
    if (reading < 0)
        reading = selector.gauge ? READ_MAX : READ_DELTA;
    if (selector.histogram != (reading >= READ_P50))
        return fail(parser,
                    selector.histogram
                        ? "%s is a histogram; allowed: p50(), p95(), p99() of it, or its "
                          "_count and _sum"
                        : "%s is no histogram; allowed: delta(), max(), min(), last()",
                    name);
    struct node node = {.kind = NODE_METRIC, .reading = (enum reading)reading};
    node.selector = parser->failed ? 0 : add_selector(parser, &selector);
    return add_node(parser, node);
}

static unsigned parse_path(struct parser *parser, const char *name)
{
    struct node node = {.kind = NODE_PATH};
    size_t length = strcspn(name, ".");
    for (size_t i = 0; i < COUNT_OF(roots); i++)
        if (strlen(roots[i]) == length && strncmp(roots[i], name, length) == 0) {
            snprintf(node.path, sizeof node.path, "%s", name);
            return add_node(parser, node);
        }
    return fail(parser,
                "%s: allowed before the dot: load, load2, health, detect, events, drill, "
                "rows, board, step",
                name);
}

static int find_reading(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(reading_names); i++)
        if (strcmp(reading_names[i], name) == 0)
            return (int)i;
    return -1;
}

static unsigned parse_sum(struct parser *parser);

static unsigned parse_atom(struct parser *parser)
{
    char name[64], inner[64];
    skip_space(parser);
    if (isdigit((unsigned char)*parser->at)) {
        char *end;
        struct node node = {.kind = NODE_NUMBER, .number = strtod(parser->at, &end)};
        parser->at = end;
        return add_node(parser, node);
    }
    if (take(parser, "(")) {
        unsigned inside =
            parser->depth++ < DEPTH_MAX ? parse_sum(parser) : fail(parser, "nested too deep");
        if (!parser->failed && !take(parser, ")"))
            fail(parser, "a ( without its )");
        parser->depth--;
        return inside;
    }
    take_name(parser, name, sizeof name);
    if (!*name)
        return fail(parser, "want a number, a metric or a name.path at \"%.20s\"", parser->at);
    int reading = find_reading(name);
    if (reading >= 0 && take(parser, "(")) {
        take_name(parser, inner, sizeof inner);
        unsigned metric = parse_metric(parser, inner, reading);
        if (!parser->failed && !take(parser, ")"))
            fail(parser, "%s( without its )", name);
        return metric;
    }
    return strchr(name, '.') ? parse_path(parser, name) : parse_metric(parser, name, -1);
}

static unsigned parse_product(struct parser *parser)
{
    unsigned left = parse_atom(parser);
    while (!parser->failed) {
        enum node_kind kind;
        if (take(parser, "*"))
            kind = NODE_MULTIPLY;
        else if (take(parser, "/"))
            kind = NODE_DIVIDE;
        else
            break;
        unsigned right = parse_atom(parser);
        left = add_node(parser, (struct node){.kind = kind, .left = left, .right = right});
    }
    return left;
}

static unsigned parse_sum(struct parser *parser)
{
    unsigned left = parse_product(parser);
    while (!parser->failed) {
        enum node_kind kind;
        if (take(parser, "+"))
            kind = NODE_ADD;
        else if (take(parser, "-"))
            kind = NODE_SUBTRACT;
        else
            break;
        unsigned right = parse_product(parser);
        left = add_node(parser, (struct node){.kind = kind, .left = left, .right = right});
    }
    return left;
}

static unsigned parse_comparison(struct parser *parser)
{
    /* The longer ones first. */
    static const enum comparison order[] = {LESS_EQUAL,    EQUAL, NOT_EQUAL,
                                            GREATER_EQUAL, LESS,  GREATER};
    unsigned left = parse_sum(parser);
    for (size_t i = 0; i < COUNT_OF(order) && !parser->failed; i++) {
        if (!take(parser, comparison_name(order[i])))
            continue;
        unsigned right = parse_sum(parser);
        return add_node(parser, (struct node){.kind = NODE_COMPARE,
                                              .comparison = order[i],
                                              .left = left,
                                              .right = right});
    }
    return fail(parser, "want a comparison (<, <=, ==, !=, >=, >) at \"%.20s\"", parser->at);
}

static unsigned parse_condition(struct parser *parser)
{
    unsigned left = parse_comparison(parser);
    while (!parser->failed && take(parser, "and")) {
        unsigned right = parse_comparison(parser);
        left = add_node(parser, (struct node){.kind = NODE_AND, .left = left, .right = right});
    }
    return left;
}

int expression_parse(struct expression *expression, const char *text, bool condition,
                     struct selectors *selectors, char *error, size_t error_size)
{
    struct parser parser = {.at = text,
                            .out = expression,
                            .selectors = selectors,
                            .error = error,
                            .error_size = error_size};
    memset(expression, 0, sizeof *expression);
    if (strlen(text) >= sizeof expression->text) {
        fail(&parser, "longer than %d characters", EXPRESSION_TEXT - 1);
        return -1;
    }
    snprintf(expression->text, sizeof expression->text, "%s", text);
    expression->root = condition ? parse_condition(&parser) : parse_sum(&parser);
    skip_space(&parser);
    if (!parser.failed && *parser.at)
        fail(&parser, "cannot read \"%.20s\"%s", parser.at,
             condition ? "" : "; a value has no comparison in it");
    return parser.failed ? -1 : 0;
}
