/* SPDX-License-Identifier: MIT */
/* deaths: the reports in DATADIR/deaths, as a list or one by one. It needs no server: only the
 * files, which the server's account and root can read. */
#include "tools/bulkheadctl/deaths.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/death_json.h"
#include "tools/bulkheadctl/commands.h"
#include "tools/bulkheadctl/server.h"

/* The reports there are, newest first. */
struct reports {
    char directory[PATH_MAX];
    struct dirent **entry;
    unsigned count;
};

static bool is_directory(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool try_place(char out[PATH_MAX], const char *data_dir, const char *below)
{
    if (!data_dir || !*data_dir)
        return false;
    size_t length = strcspn(data_dir, ":"); /* systemd may name several */
    snprintf(out, PATH_MAX, "%.*s%s/deaths", (int)(length < 3000 ? length : 3000), data_dir, below);
    return is_directory(out);
}

/* The data directory, as a running server says or as it is asked for. 0 or an exit code. */
static int find_directory(const struct invocation *invocation, char out[PATH_MAX])
{
    struct server server;
    char program[PATH_MAX - 32];
    if (invocation->data_dir) {
        try_place(out, invocation->data_dir, "");
        return 0;
    }
    if (invocation->socket) {
        int code = server_open(&server, invocation);
        if (!code)
            snprintf(out, PATH_MAX, "%.*s/deaths", (int)sizeof server.region->header.data_dir,
                     server.region->header.data_dir);
        return code;
    }
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    if (strrchr(program, '/'))
        *strrchr(program, '/') = '\0';
    if (try_place(out, getenv("STATE_DIRECTORY"), "") || try_place(out, "/var/lib/bulkhead", "") ||
        try_place(out, "./var", "") || try_place(out, program, "/../var"))
        return 0;
    return complain(invocation, EXIT_CONFIGURATION,
                    "no death reports in $STATE_DIRECTORY, /var/lib/bulkhead or ./var; say which "
                    "data directory with -d DATADIR");
}

static int is_report(const struct dirent *entry)
{
    return death_name_is_ours(entry->d_name);
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*b)->d_name, (*a)->d_name);
}

static int list_reports(const struct invocation *invocation, struct reports *reports)
{
    int code = find_directory(invocation, reports->directory);
    if (code)
        return code;
    int count = scandir(reports->directory, &reports->entry, is_report, newest_first);
    if (count < 0 && errno == ENOENT && invocation->data_dir && is_directory(invocation->data_dir))
        count = 0; /* a server to which nothing has happened */
    if (count < 0)
        return complain(invocation, EXIT_CONFIGURATION, "%s: %s; %s", reports->directory,
                        strerror(errno),
                        errno == EACCES ? "run it as the server's account or as root"
                                        : "say which data directory with -d DATADIR");
    reports->count = (unsigned)count;
    return 0;
}

static void path_of(const struct reports *reports, unsigned index, char out[PATH_MAX])
{
    int length = snprintf(out, PATH_MAX, "%s/", reports->directory);
    snprintf(out + length, (size_t)(PATH_MAX - length), "%s", reports->entry[index]->d_name);
}

/* ---- the list ------------------------------------------------------------------------------ */

static json_t *summary_of(const struct reports *reports, unsigned index)
{
    static const char *const keys[] = {"time",       "kind",  "slot",   "pid",
                                       "generation", "class", "manner", "requests_lost"};
    char path[PATH_MAX];
    path_of(reports, index, path);
    json_t *report = json_load_file(path, 0, NULL), *summary = json_object();
    json_object_set_new(summary, "name", json_string(reports->entry[index]->d_name));
    for (size_t i = 0; report && i < sizeof keys / sizeof keys[0]; i++)
        json_object_set(summary, keys[i], json_object_get(report, keys[i]));
    json_decref(report);
    return summary;
}

static void print_line(unsigned number, const json_t *summary)
{
    char who[64];
    if (!json_object_get(summary, "class")) {
        printf("%3u  %s: cannot be read\n", number, death_text(summary, "name"));
        return;
    }
    printf("%3u  %s  %-10s %7lld  %-15s %-34s %5lld\n", number, death_text(summary, "time"),
           death_who(summary, who, sizeof who), death_number(summary, "pid"),
           death_text(summary, "class"), death_text(summary, "manner"),
           death_number(summary, "requests_lost"));
}

static int print_list(const struct invocation *invocation, const struct reports *reports)
{
    json_t *all = json_array();
    if (!invocation->json && reports->count == 0)
        printf("nobody has died: there is no report in %s\n", reports->directory);
    else if (!invocation->json)
        printf("  N  %-27s  %-10s %7s  %-15s %-34s %5s\n", "TIME", "WHO", "PID", "CLASS", "MANNER",
               "LOST");
    for (unsigned i = 0; i < reports->count; i++) {
        json_t *summary = summary_of(reports, i);
        if (!invocation->json)
            print_line(i + 1, summary);
        json_array_append_new(all, summary);
    }
    if (invocation->json) {
        json_t *root = json_pack("{s:s, s:O}", "directory", reports->directory, "deaths", all);
        json_dumpf(root, stdout, JSON_COMPACT);
        puts("");
        json_decref(root);
    }
    json_decref(all);
    return EXIT_ASKED;
}

/* ---- one of them --------------------------------------------------------------------------- */

/* Its number in the list, or its name with or without .json. -1: none. */
static int find_report(const struct reports *reports, const char *wanted)
{
    char *end;
    long number = strtol(wanted, &end, 10);
    if (*wanted && *end == '\0')
        return number >= 1 && number <= (long)reports->count ? (int)number - 1 : -1;
    size_t length = strlen(wanted);
    for (unsigned i = 0; i < reports->count; i++) {
        const char *rest = reports->entry[i]->d_name + length;
        if (strncmp(reports->entry[i]->d_name, wanted, length) == 0 &&
            (*rest == '\0' || strcmp(rest, ".json") == 0))
            return (int)i;
    }
    return -1;
}

static int print_file(const struct invocation *invocation, const char *path)
{
    char piece[4096];
    size_t n;
    FILE *file = fopen(path, "re");
    if (!file)
        return complain(invocation, EXIT_REFUSED, "%s: %s", path, strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, file)) > 0)
        fwrite(piece, 1, n, stdout);
    fclose(file);
    return EXIT_ASKED;
}

static int print_one(const struct invocation *invocation, const struct reports *reports)
{
    char path[PATH_MAX];
    json_error_t error;
    int index = find_report(reports, invocation->operand);
    if (index < 0)
        return complain(invocation, EXIT_REFUSED,
                        "%s: there is no such report among the %u in %s; bulkheadctl deaths lists "
                        "them",
                        invocation->operand, reports->count, reports->directory);
    path_of(reports, (unsigned)index, path);
    if (invocation->json)
        return print_file(invocation, path);
    json_t *report = json_load_file(path, 0, &error);
    if (!report)
        return complain(invocation, EXIT_REFUSED, "%s: %s; it may have been pruned: try again",
                        path, error.text);
    death_show(stdout, report, invocation->colour);
    json_decref(report);
    return EXIT_ASKED;
}

int command_deaths(const struct invocation *invocation)
{
    struct reports reports = {.count = 0};
    int code = list_reports(invocation, &reports);
    if (!code)
        code = invocation->operand ? print_one(invocation, &reports)
                                   : print_list(invocation, &reports);
    for (unsigned i = 0; i < reports.count; i++)
        free(reports.entry[i]);
    free(reports.entry);
    return code;
}
