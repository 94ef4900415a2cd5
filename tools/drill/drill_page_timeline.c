/* SPDX-License-Identifier: MIT */
/*
 * The timeline: what the drill did, and the server's events as trees, each below the event it names
 * as its cause. An event whose cause is not among them (older than what was read) is a root.
 */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/drill/drill_page.h"
#include "tools/report/html.h"

#define DEEPEST    6
#define MOST_SHOWN 60 /* roots that are shown at once; the rest opens by a click */

struct tree {
    FILE *out;
    const json_t *list;
    size_t count;
    size_t *first_child, *sibling, *last_child; /* of each; count: none */
    bool *root;
};

static bool is_event(const json_t *entry)
{
    return strcmp(drill_text(entry, "from"), "server") == 0;
}

/* The latest event before `index` of that id: ids begin again with a new supervisor. */
static size_t cause_of(const struct tree *tree, size_t index)
{
    const json_t *cause = json_object_get(json_array_get(tree->list, index), "cause_id");
    for (size_t i = index; json_is_integer(cause) && i-- > 0;) {
        const json_t *entry = json_array_get(tree->list, i);
        const json_t *id = json_object_get(entry, "id");
        if (is_event(entry) && json_integer_value(id) == json_integer_value(cause))
            return i;
    }
    return tree->count;
}

static void link_all(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        tree->first_child[i] = tree->sibling[i] = tree->last_child[i] = tree->count;
    for (size_t i = 0; i < tree->count; i++) {
        size_t cause = cause_of(tree, i);
        tree->root[i] = cause == tree->count;
        if (tree->root[i])
            continue;
        if (tree->first_child[cause] == tree->count)
            tree->first_child[cause] = i;
        else
            tree->sibling[tree->last_child[cause]] = i;
        tree->last_child[cause] = i;
    }
}

static const char *tone_of(const json_t *entry)
{
    static const char *const bad[] = {"died",        "hung", "unavailable",
                                      "quarantined", "open", "reset"};
    static const char *const good[] = {"ready", "recovered", "closed", "released"};
    const char *name = drill_text(entry, "event");
    if (strstr(name, "half_open"))
        return "t-plain";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strstr(name, bad[i]))
            return "t-bad";
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (strstr(name, good[i]))
            return "t-good";
    return "t-plain";
}

static void put_entry(const struct tree *tree, size_t index, size_t cause)
{
    const json_t *entry = json_array_get(tree->list, index);
    char at[DRILL_CELL];
    double t_s = drill_number(entry, "t_s");
    snprintf(at, sizeof at, "%.3f s", t_s);
    fprintf(tree->out, "<span class=\"at\">%s</span> ", at);
    if (!is_event(entry)) {
        bool failed = strcmp(drill_text(entry, "event"), "failed") == 0;
        fprintf(tree->out, "<b class=\"deed%s\">the drill:</b> ", failed ? " bad" : "");
        html_text(tree->out, drill_text(entry, "text"));
        if (failed)
            fputs(" (failed)", tree->out);
        return;
    }
    fprintf(tree->out, "<b class=\"%s\">", tone_of(entry));
    html_text(tree->out, drill_text(entry, "event"));
    fputs("</b> ", tree->out);
    if (*drill_text(entry, "who")) {
        html_text(tree->out, drill_text(entry, "who"));
        fputs(": ", tree->out);
    }
    html_text(tree->out, drill_text(entry, "text"));
    if (cause < tree->count) {
        drill_seconds(at, t_s - drill_number(json_array_get(tree->list, cause), "t_s"));
        fprintf(tree->out, " <span class=\"later\">%s later</span>", at);
    }
}

static void put_tree(const struct tree *tree, size_t index, size_t cause, unsigned depth)
{
    fputs("<li>", tree->out);
    put_entry(tree, index, cause);
    size_t child = tree->first_child[index];
    if (child < tree->count && depth < DEEPEST)
        fputs("<ul>", tree->out);
    /* What is deeper is put beside, not lost. */
    else if (child < tree->count)
        fputs("</li>", tree->out);
    for (size_t i = child; i < tree->count; i = tree->sibling[i])
        put_tree(tree, i, index, depth + 1);
    if (child < tree->count && depth < DEEPEST)
        fputs("</ul></li>\n", tree->out);
    else if (child == tree->count)
        fputs("</li>\n", tree->out);
}

/* Roots from one time to another; those past `most` behind a click. Returns their number. */
static size_t put_span(const struct tree *tree, double from_s, double to_s, size_t most)
{
    size_t shown = 0;
    for (size_t i = 0; i < tree->count; i++) {
        double t_s = drill_number(json_array_get(tree->list, i), "t_s");
        if (!tree->root[i] || t_s < from_s || t_s >= to_s)
            continue;
        if (shown == 0)
            fputs("<ul class=\"causes\">\n", tree->out);
        if (shown++ == most)
            fputs("</ul>\n<details><summary>What came then</summary><ul class=\"causes\">\n",
                  tree->out);
        put_tree(tree, i, tree->count, 0);
    }
    if (shown > 0)
        fputs("</ul>\n", tree->out);
    if (shown > most)
        document_details_end(tree->out);
    return shown;
}

static void put_all(const struct tree *tree, const json_t *report)
{
    const json_t *phases = json_object_get(report, "phases");
    bool begun = !isnan(drill_number(phases, "fault_s"));
    double end_s = drill_number(phases, "end_s");
    if (isnan(end_s))
        end_s = (double)INFINITY;
    if (begun) {
        document_details_begin(tree->out, "Before the fault: how the server started");
        put_span(tree, -(double)INFINITY, 0, MOST_SHOWN);
        document_details_end(tree->out);
    }
    size_t shown = put_span(tree, begun ? 0 : -(double)INFINITY, end_s, MOST_SHOWN);
    if (shown == 0)
        document_paragraph(tree->out, TONE_PLAIN, "Nothing happened while it was measured.");
    if (isfinite(end_s)) {
        document_details_begin(tree->out, "After the measurement: audit and end");
        put_span(tree, end_s, (double)INFINITY, MOST_SHOWN);
        document_details_end(tree->out);
    }
}

void drill_page_timeline(FILE *out, const json_t *report)
{
    const json_t *list = json_object_get(report, "timeline");
    size_t count = json_array_size(list);
    if (count == 0)
        return;
    size_t *links = calloc(3 * count, sizeof *links);
    bool *root = calloc(count, sizeof *root);
    document_section(
        out, "What happened, and why",
        "Seconds count from the beginning of the fault. What stands below an event, moved "
        "in, was caused by it: the server itself writes down the cause of each event.");
    if (links && root) {
        struct tree tree = {.out = out,
                            .list = list,
                            .count = count,
                            .first_child = links,
                            .sibling = links + count,
                            .last_child = links + 2 * count,
                            .root = root};
        link_all(&tree);
        put_all(&tree, report);
    }
    free(links);
    free(root);
}
