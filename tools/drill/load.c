/* SPDX-License-Identifier: MIT */
#include "tools/drill/load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tools/drill/process.h"

#define WORDS_MAX 64
#define LINE_MAX_ 65536

struct words {
    unsigned count, texts;
    const char *word[WORDS_MAX];
    char text[16][HOUSE_PATH * 2];
    char more[200];
};

static void add(struct words *words, const char *word)
{
    if (words->count < WORDS_MAX - 1)
        words->word[words->count++] = word;
}

static void add_text(struct words *words, const char *flag, const char *text)
{
    if (!*text)
        return;
    char *copy = words->text[words->texts++];
    snprintf(copy, sizeof words->text[0], "%s", text);
    add(words, flag);
    add(words, copy);
}

static void add_number(struct words *words, const char *flag, double number)
{
    char text[32];
    snprintf(text, sizeof text, "%.10g", number);
    if (number > 0)
        add_text(words, flag, text);
}

static void load_words(struct words *words, const struct load *load, const struct house *house,
                       const struct spec_load *spec, double duration_s, const char *path)
{
    char url[96];
    snprintf(url, sizeof url, "http://%s", house->address);
    *words = (struct words){0};
    add(words, path);
    add_text(words, "--url", url);
    add_text(words, "--user", house->user);
    add(words, "--password-stdin");
    add_text(words, "--out", load->directory);
    add_number(words, "--duration", duration_s);
    add_text(words, "--profile", spec->profile);
    add_text(words, "--mix", spec->mix);
    add_text(words, "--arrivals", spec->arrivals);
    add_text(words, "--retry", spec->retry);
    add_number(words, "--rps", spec->rps);
    add_number(words, "--timeout", spec->timeout_s);
    add_number(words, "--attempts", spec->attempts);
    add_number(words, "--connections", spec->connections);
    add_number(words, "--users", spec->users);
    add_number(words, "--seed", spec->seed);
    if (spec->no_audit)
        add(words, "--no-audit");
    if (spec->allow_429)
        add(words, "--allow-429");
    snprintf(words->more, sizeof words->more, "%s", spec->more);
    char *rest = words->more;
    for (char *word; (word = strsep(&rest, " "));)
        if (*word)
            add(words, word);
    add(words, NULL);
}

int load_start(struct load *load, unsigned index, const struct house *house,
               const struct spec_load *spec, double duration_s, char *error, size_t size)
{
    static struct words words;
    char path[HOUSE_PATH * 2], input[80];
    *load = (struct load){.started = true};
    snprintf(load->directory, sizeof load->directory, "%s/load%u", house->directory, index);
    snprintf(load->output, sizeof load->output, "%s/load%u.txt", house->directory, index);
    process_sister("loadtest", path, sizeof path);
    load_words(&words, load, house, spec, duration_s, path);
    snprintf(input, sizeof input, "%s\n", house->password);
    pid_t pid = process_start(&(struct process_setup){
        .words = words.word, .input = input, .output = load->output, .death_signal = SIGKILL});
    if (pid < 0) {
        snprintf(error, size, "%s: %s", path, strerror(-pid));
        return -1;
    }
    load->pid = pid;
    return 0;
}

/* RFC 3339 in UTC, as loadtest writes it, to microseconds; 0 when it is none. */
static uint64_t parse_wall(const char *text)
{
    struct tm time = {0};
    const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &time) : NULL;
    if (!rest)
        return 0;
    double fraction = *rest == '.' ? strtod(rest, NULL) : 0;
    return (uint64_t)timegm(&time) * US_PER_S + (uint64_t)(fraction * 1e6 + 0.5);
}

static FILE *open_rows(const struct load *load)
{
    char path[HOUSE_PATH * 3];
    snprintf(path, sizeof path, "%s/seconds.ndjson", load->directory);
    return fopen(path, "re");
}

void load_tail(struct load *load)
{
    static char line[LINE_MAX_];
    FILE *rows = load->started ? open_rows(load) : NULL;
    if (!rows)
        return;
    fseek(rows, load->read_to, SEEK_SET);
    while (fgets(line, sizeof line, rows) && strchr(line, '\n')) {
        json_t *row = json_loads(line, 0, NULL);
        load->read_to = ftell(rows);
        if (!load->first_wall_us)
            load->first_wall_us = parse_wall(json_string_value(json_object_get(row, "wall")));
        load->ok = json_number_value(json_object_get(row, "ok"));
        load->failed += json_number_value(json_object_get(row, "failed"));
        json_decref(row);
    }
    fclose(rows);
}

static json_t *read_rows(const struct load *load)
{
    static char line[LINE_MAX_];
    json_t *all = json_array();
    FILE *rows = open_rows(load);
    while (rows && fgets(line, sizeof line, rows)) {
        json_t *row = json_loads(line, 0, NULL);
        if (row)
            json_array_append_new(all, row);
    }
    if (rows)
        fclose(rows);
    return all;
}

void load_keep_rows(const struct load *load, struct evidence *evidence)
{
    if (load->started && !evidence->rows)
        evidence->rows = read_rows(load);
}

/* All of a file, the caller's to free; NULL when there is none. */
static char *read_all(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    if (file && getdelim(&text, &size, '\0', file) < 0) {
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    return text;
}

bool load_collect(struct load *load, unsigned index, struct evidence *evidence)
{
    char path[HOUSE_PATH * 3], why[300];
    snprintf(path, sizeof path, "%s/summary.json", load->directory);
    evidence->summary[index] = json_load_file(path, 0, NULL);
    snprintf(path, sizeof path, "%s/report.html", load->directory);
    free(evidence->load_page[index]);
    evidence->load_page[index] = read_all(path);
    if (index == 0) {
        json_decref(evidence->rows);
        evidence->rows = read_rows(load);
    }
    if (WIFSIGNALED(load->status)) {
        evidence_trouble(evidence, "the load tester was ended by signal %d",
                         WTERMSIG(load->status));
        return false;
    }
    /* Its exit code repeats what the summary says (invalid, and the state of the audit). */
    if (evidence->summary[index])
        return true;
    process_last_line(load->output, why, sizeof why);
    evidence_trouble(evidence, "the load tester ended without a result (exit %d): %s",
                     WIFEXITED(load->status) ? WEXITSTATUS(load->status) : -1, why);
    return false;
}
