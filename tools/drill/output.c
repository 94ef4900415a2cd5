/* SPDX-License-Identifier: MIT */
#include "tools/drill/output.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#include "tools/drill/drill_page.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

#define PATH_ROOM    600
#define REPORTS_MAX  256
#define COMMAND_ROOM 700

static FILE *create(const char *directory, const char *name, const char *suffix)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
    FILE *file = fopen(path, "we");
    if (!file)
        warn("%s", path);
    return file;
}

/* 0 when all of it is on its way to the disk. */
static int finish(FILE *file, const char *name)
{
    int bad = ferror(file);
    if (fclose(file) != 0 || bad) {
        warn("%s", name);
        return -1;
    }
    return 0;
}

static const char *arm_name(unsigned arm)
{
    return arm & ARM_NO_FAULT  ? "no fault"
           : arm & ARM_CONTROL ? "control"
           : arm & ARM_SHORT   ? "short"
                               : "full";
}

/* How to run this one again, in the directory it was run in. */
static void command_of(const struct output *output, const struct spec *spec, unsigned arm,
                       char out[COMMAND_ROOM])
{
    bool prove = arm & (ARM_NO_FAULT | ARM_CONTROL);
    snprintf(out, COMMAND_ROOM, "build/drill %s %s%s%s%s --out %s", prove ? "prove" : "run",
             spec->file, arm & ARM_SHORT ? " --short" : "", output->attach ? " --attach " : "",
             output->attach ? output->attach : "", output->directory);
}

static json_t *how_of(const struct output *output, const struct spec *spec, unsigned arm,
                      const char *base)
{
    char command[COMMAND_ROOM];
    command_of(output, spec, arm, command);
    return json_pack("{s:s*, s:s*, s:s, s:s, s:s, s:i}", "command", command, "all", output->command,
                     "version", VERSION, "arm", arm_name(arm), "base", base, "processors",
                     get_nprocs());
}

/* loadtest's own page, kept beside. 0, or -1. */
static int write_load(const struct output *output, const struct evidence *evidence,
                      const char *base, json_t *how)
{
    static const char *const suffix[] = {"-load.html", "-load2.html"};
    static const char *const key[] = {"load_page", "load2_page"};
    int result = 0;
    for (unsigned i = 0; i < SPEC_LOADS; i++) {
        if (!evidence->load_page[i])
            continue;
        FILE *file = create(output->directory, base, suffix[i]);
        if (file)
            fputs(evidence->load_page[i], file);
        if (file && finish(file, suffix[i]) == 0)
            json_object_set_new(how, key[i], json_sprintf("%s%s", base, suffix[i]));
        else
            result = -1;
    }
    return result;
}

static int by_drill(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the reports that lie there, without .json; in order. */
static size_t list_reports(const char *directory, char *names[REPORTS_MAX])
{
    size_t count = 0;
    DIR *entries = opendir(directory);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t length = strlen(entry->d_name);
        if (length < 6 || strcmp(entry->d_name + length - 5, ".json") != 0 || count == REPORTS_MAX)
            continue;
        char *name = strndup(entry->d_name, length - 5);
        if (name)
            names[count++] = name;
    }
    if (entries)
        closedir(entries);
    qsort(names, count, sizeof *names, by_drill);
    return count;
}

static int write_index(const char *directory)
{
    char *names[REPORTS_MAX];
    size_t count = list_reports(directory, names);
    json_t *reports = json_array();
    for (size_t i = 0; i < count; i++) {
        char path[PATH_ROOM];
        snprintf(path, sizeof path, "%s/%s.json", directory, names[i]);
        json_t *report = json_load_file(path, 0, NULL);
        /* Other JSON may lie there too. */
        if (json_object_get(report, "drill"))
            json_array_append_new(reports,
                                  json_pack("{s:o, s:O}", "page", json_sprintf("%s.html", names[i]),
                                            "report", report));
        json_decref(report);
        free(names[i]);
    }
    FILE *file = create(directory, "index", ".html");
    if (file)
        drill_index(file, reports);
    json_decref(reports);
    return file ? finish(file, "index.html") : -1;
}

int output_write(const struct output *output, const struct evidence *evidence, unsigned arm,
                 json_t *report)
{
    const char *suffix = arm & ARM_NO_FAULT ? "-no-fault" : arm & ARM_CONTROL ? "-control" : "";
    char base[128], path[PATH_ROOM];
    if (!output->directory)
        return 0;
    if (mkdir(output->directory, 0755) < 0 && errno != EEXIST) {
        warn("--out %s", output->directory);
        return -1;
    }
    snprintf(base, sizeof base, "%s%s", evidence->spec->name, suffix);
    json_t *how = how_of(output, evidence->spec, arm, base);
    json_object_set_new(report, "how", how);
    int load = write_load(output, evidence, base, how);
    snprintf(path, sizeof path, "%s/%s.json", output->directory, base);
    if (json_dump_file(report, path, JSON_INDENT(1)) < 0) {
        warn("%s", path);
        return -1;
    }
    FILE *page = create(output->directory, base, ".html");
    if (!page)
        return -1;
    drill_page(page, report);
    return finish(page, base) < 0 || write_index(output->directory) < 0 ? -1 : load;
}
