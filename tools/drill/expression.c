/* SPDX-License-Identifier: MIT */
#include "tools/drill/expression.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const comparison_names[] = {"<", "<=", "==", "!=", ">=", ">"};

const char *comparison_name(enum comparison comparison)
{
    return comparison_names[comparison];
}

enum comparison comparison_find(const char *text)
{
    unsigned i = 0;
    while (i < COMPARISON_COUNT && strcmp(comparison_names[i], text) != 0)
        i++;
    return (enum comparison)i;
}

/* Bits of the floating-point sum are no difference: EQUAL is about whole numbers and shares. */
bool comparison_holds(enum comparison comparison, double value, double limit)
{
    if (isnan(value) || isnan(limit))
        return false;
    bool equal = fabs(value - limit) < 1e-9;
    switch (comparison) {
    case LESS:
        return value < limit && !equal;
    case LESS_EQUAL:
        return value < limit || equal;
    case EQUAL:
        return equal;
    case NOT_EQUAL:
        return !equal;
    case GREATER_EQUAL:
        return value > limit || equal;
    case GREATER:
        return value > limit && !equal;
    case COMPARISON_COUNT:
        break;
    }
    return false;
}

/* A share of nothing is not measured: where nobody was answered, nothing may hold. */
static double divide(double a, double b)
{
    if (fabs(b) > 0)
        return a / b;
    return fabs(a) > 0 && !isnan(b) ? (double)INFINITY : (double)NAN;
}

static double value_of(const struct expression *expression, unsigned index,
                       expression_resolve *resolve, void *argument)
{
    const struct node *node = &expression->node[index];
    if (node->kind == NODE_NUMBER)
        return node->number;
    if (node->kind == NODE_METRIC || node->kind == NODE_PATH)
        return resolve(argument, node);
    double left = value_of(expression, node->left, resolve, argument);
    double right = value_of(expression, node->right, resolve, argument);
    switch (node->kind) {
    case NODE_ADD:
        return left + right;
    case NODE_SUBTRACT:
        return left - right;
    case NODE_MULTIPLY:
        return left * right;
    case NODE_DIVIDE:
        return divide(left, right);
    case NODE_COMPARE:
        return comparison_holds(node->comparison, left, right);
    case NODE_AND:
    case NODE_NUMBER:
    case NODE_METRIC:
    case NODE_PATH:
        break;
    }
    return left > 0 && right > 0;
}

double expression_value(const struct expression *expression, expression_resolve *resolve,
                        void *argument)
{
    return value_of(expression, expression->root, resolve, argument);
}

static const char *in_words(double value, char room[24])
{
    if (isnan(value))
        return "not measured";
    snprintf(room, 24, "%.6g", value);
    return room;
}

static void explain(const struct expression *expression, unsigned index,
                    expression_resolve *resolve, void *argument, char *out, size_t size)
{
    const struct node *node = &expression->node[index];
    if (node->kind == NODE_AND) {
        explain(expression, node->left, resolve, argument, out, size);
        explain(expression, node->right, resolve, argument, out, size);
        return;
    }
    if (node->kind != NODE_COMPARE)
        return;
    size_t used = strlen(out);
    if (used >= size)
        return;
    double left = value_of(expression, node->left, resolve, argument);
    double right = value_of(expression, node->right, resolve, argument);
    char rooms[2][24];
    snprintf(out + used, size - used, "%s%s %s %s %s", used ? ", " : "", in_words(left, rooms[0]),
             comparison_names[node->comparison], in_words(right, rooms[1]),
             comparison_holds(node->comparison, left, right) ? "holds" : "does not hold");
}

void expression_explain(const struct expression *expression, expression_resolve *resolve,
                        void *argument, char *out, size_t size)
{
    out[0] = '\0';
    explain(expression, expression->root, resolve, argument, out, size);
}
