/* SPDX-License-Identifier: MIT */
#include "supervisor/options.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/exit_codes.h"

static const char help[] =
    "supervisor: a prefork HTTP API server that contains failure\n"
    "\n"
    "usage: supervisor [-n WORKERS] [-l ADDRESS:PORT]... [-d DATADIR] [-c FILE]\n"
    "                  [-o key=value]... [-t] [--demo] [-v] [-h] [-V]\n"
    "\n"
    "  -n WORKERS       worker processes, 1-64 (default: one for each CPU)\n"
    "  -l ADDRESS:PORT  listen here; may be given several times; [::1]:8080 for IPv6\n"
    "                   (default: 127.0.0.1:8080, or the sockets systemd passes)\n"
    "  -d DATADIR       data directory: app.db, jwt.key, lock\n"
    "                   (default: $STATE_DIRECTORY, else ./var)\n"
    "  -c FILE          configuration file; etc/bulkhead.conf shows every key\n"
    "  -o key=value     set one key; wins over the file\n"
    "  -t               test configuration, directory and database, then exit;\n"
    "                   with -v print every effective value and where it came from\n"
    "  --demo           make a user `demo` with a random password and print it\n"
    "  -v               log at level debug\n"
    "  -h, -V           this text; the version\n"
    "\n"
    "signals: TERM, INT stop when all is answered; QUIT stops at once; HUP replaces the\n"
    "         workers one by one with new ones (new program, new configuration)\n"
    "exit:    0 asked to stop; 78 a flag, key or value is wrong; 75 port, directory, database\n"
    "         or limits (may pass); 70 a bug\n"
    "\n"
    "try:     supervisor -n 4 --demo\n"
    "         bulkheadctl status\n"
    "         kill -9 $(pgrep -o -x worker)\n";

struct reading {
    struct options *options;
    struct config config;
    char *error;
    size_t error_size;
    bool failed;
    bool listen_from_flags; /* -l replaces what the file says */
    int line;
};

static int set(struct reading *reading, const char *key, const char *value, const char *origin)
{
    char why[256];
    if (config_set(&reading->config, key, value, why, sizeof why) < 0) {
        snprintf(reading->error, reading->error_size, "%s: %s", origin, why);
        reading->failed = true;
        return -1;
    }
    int index = config_find(key);
    if (index >= 0)
        snprintf(reading->options->origin[index], sizeof reading->options->origin[index], "%s",
                 origin);
    return 0;
}

struct source {
    FILE *file;
    struct reading *reading;
};

/* inih counts no lines for its handler in Debian's build: the reader below does. */
static char *read_line(char *text, int size, void *stream)
{
    struct source *source = stream;
    char *line = fgets(text, size, source->file);
    if (line && (strchr(line, '\n') || feof(source->file)))
        source->reading->line++;
    return line;
}

static int take_pair(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (reading->failed)
        return 1;
    char key[128], origin[192];
    snprintf(key, sizeof key, "%s%s%s", section, section[0] ? "." : "", name);
    snprintf(origin, sizeof origin, "%.150s:%d", reading->options->file, reading->line);
    if (reading->listen_from_flags && strcmp(key, "listen") == 0)
        return 1;
    set(reading, key, value, origin);
    return 1;
}

static int read_file(struct reading *reading)
{
    const char *name = reading->options->file;
    struct source source = {fopen(name, "re"), reading};
    if (!source.file) {
        snprintf(reading->error, reading->error_size, "-c %s: %s", name, strerror(errno));
        return -1;
    }
    int bad_line = ini_parse_stream(read_line, &source, take_pair, reading);
    fclose(source.file);
    if (!reading->failed && bad_line > 0) {
        snprintf(reading->error, reading->error_size,
                 "%s:%d: neither a [section], a key = value nor a comment", name, bad_line);
        reading->failed = true;
    }
    return reading->failed ? -1 : 0;
}

static int take_override(struct reading *reading, const char *text)
{
    const char *equals = strchr(text, '=');
    char key[64];
    if (!equals || equals == text || (size_t)(equals - text) >= sizeof key) {
        snprintf(reading->error, reading->error_size, "-o %s: want key=value", text);
        reading->failed = true;
        return -1;
    }
    snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
    return set(reading, key, equals + 1, "-o");
}

static const char short_options[] = ":n:l:d:c:o:tvhV";
static const struct option long_options[] = {{"demo", no_argument, NULL, 'D'},
                                             {"help", no_argument, NULL, 'h'},
                                             {"version", no_argument, NULL, 'V'},
                                             {NULL, 0, NULL, 0}};

/* First pass: the words that say how to read the others. */
static int scan_flags(struct reading *reading)
{
    struct options *options = reading->options;
    int flag;
    optind = 0;
    opterr = 0;
    while ((flag = getopt_long(options->argc, options->argv, short_options, long_options, NULL)) !=
           -1) {
        const char *word = options->argv[optind > 0 ? optind - 1 : 0];
        if (flag == 'h') {
            fputs(help, stdout);
            exit(EXIT_ASKED);
        }
        if (flag == 'V') {
            printf("supervisor %s\n", VERSION);
            exit(EXIT_ASKED);
        }
        options->file = flag == 'c' ? optarg : options->file;
        options->test |= flag == 't';
        options->demo |= flag == 'D';
        options->verbose |= flag == 'v';
        reading->listen_from_flags |= flag == 'l';
        if (flag == '?' || flag == ':') {
            snprintf(reading->error, reading->error_size, "%s \"%s\" (supervisor -h lists all)",
                     flag == '?' ? "unknown flag" : "no value after", word);
            return -1;
        }
    }
    if (optind < options->argc) {
        snprintf(reading->error, reading->error_size, "unexpected word \"%s\"",
                 options->argv[optind]);
        return -1;
    }
    return 0;
}

/* Second pass: values that win over the file. `overrides` says whether -o or the others. */
static int apply_flags(struct reading *reading, bool overrides)
{
    struct options *options = reading->options;
    int flag, error = 0;
    optind = 0;
    while (!error && (flag = getopt_long(options->argc, options->argv, short_options, long_options,
                                         NULL)) != -1) {
        if (overrides && flag == 'o')
            error = take_override(reading, optarg);
        else if (!overrides && flag == 'n')
            error = set(reading, "workers", optarg, "-n");
        else if (!overrides && flag == 'l')
            error = set(reading, "listen", optarg, "-l");
        else if (!overrides && flag == 'd')
            error = set(reading, "data_dir", optarg, "-d");
        else if (!overrides && flag == 'v')
            error = set(reading, "log.level", "debug", "-v");
    }
    return error;
}

static int read_all(struct options *options, struct config *config, char *error, size_t error_size)
{
    struct reading reading = {.options = options, .error = error, .error_size = error_size};
    CHECK(config_keys_count <= OPTIONS_KEYS_MAX);
    config_defaults(&reading.config);
    for (size_t i = 0; i < config_keys_count; i++)
        snprintf(options->origin[i], sizeof options->origin[i], "default");
    if (scan_flags(&reading) < 0 || (options->file && read_file(&reading) < 0) ||
        apply_flags(&reading, false) < 0 || apply_flags(&reading, true) < 0)
        return -1;
    if (reading.config.workers == 0) {
        if (strcmp(options->origin[config_find("workers")], "-n") == 0) {
            snprintf(error, error_size, "-n 0: want 1 to %d workers", WORKERS_MAX);
            return -1;
        }
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        reading.config.workers = cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : (uint64_t)cpus;
    }
    if (config_check(&reading.config, error, error_size) < 0)
        return -1;
    *config = reading.config;
    return 0;
}

void options_read(struct options *options, struct config *config, int argc, char **argv)
{
    char error[512];
    *options = (struct options){.argc = argc, .argv = argv};
    if (read_all(options, config, error, sizeof error) < 0) {
        fprintf(stderr, "supervisor: %s\n", error);
        exit(EXIT_CONFIGURATION);
    }
}

int options_read_again(struct options *options, struct config *config, char *error,
                       size_t error_size)
{
    struct options fresh = {.argc = options->argc, .argv = options->argv};
    if (read_all(&fresh, config, error, error_size) < 0)
        return -1;
    *options = fresh;
    return 0;
}

void options_print(const struct options *options, const struct config *config)
{
    for (size_t i = 0; i < config_keys_count; i++) {
        char value[300];
        config_value(config, i, value, sizeof value);
        printf("%-24s = %-20s %-12s # %s\n", config_keys[i].key, value,
               config_keys[i].unit ? config_keys[i].unit : "", options->origin[i]);
    }
    for (uint64_t i = 0; i < config->listen_count; i++)
        printf("%-24s = %s\n", "listen", config->listen[i]);
}
