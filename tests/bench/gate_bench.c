/* SPDX-License-Identifier: MIT */
/*
 * Turns at the gate: 8 processes with 8 threads each write as 64 users through the store, and
 * beside it 64 connections do the same through SQLite's own busy handler. A table for each.
 * Exit 1 when a process at the gate commits less than half or more than twice the mean, or a write
 * takes 0.5 s. `gate_bench [seconds] [directory]`; the database is made in the directory (TMPDIR,
 * /tmp) and deleted again.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/db/gate.h"
#include "common/db/schema.h"
#include "worker/store.h"

#define PROCESSES   8
#define THREADS     8
#define LONGEST_NS  (500 * NS_PER_MS)
#define DEADLINE_NS (10 * NS_PER_S)
#define TITLE       "a title"
#define BODY        "some body text of a note, as long as notes are"

/* One process's numbers, in memory all share. */
struct tally {
    _Atomic uint64_t writes, failed, longest_ns;
};

struct bench {
    char data_dir[200];
    struct region *region;
    struct tally *tally;
    uint64_t end_ns;
    double seconds;
};

struct writer {
    struct bench *bench;
    struct tally *tally;
    int64_t user_id;
    bool (*write)(struct writer *);
    sqlite3 *db; /* of the busy handler's arm */
};

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    exit(2);
}

static void make_database(const struct bench *bench)
{
    struct db_paths paths;
    struct db_error error;
    sqlite3 *db;
    db_paths_set(&paths, bench->data_dir);
    must(db_open(&paths, DB_CREATOR, DURABILITY_FULL, NULL, &db, &error) == 0 &&
             schema_create(db, "00000000-0000-7000-8000-000000000000", &error) == 0,
         error.text);
    for (int user = 1; user <= PROCESSES * THREADS; user++) {
        char sql[120];
        snprintf(sql, sizeof sql, "INSERT INTO users VALUES(%d, 'user%d', '', 0)", user, user);
        must(db_exec(db, sql) == 0, "users");
    }
    db_close(db);
}

static void delete_database(const struct bench *bench)
{
    static const char *const names[] = {"app.db", "app.db-wal", "app.db-shm"};
    char path[240];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", bench->data_dir, names[i]);
        unlink(path);
    }
}

/* ---- the two ways to write ---------------------------------------------------------------- */

static bool write_through_store(struct writer *writer)
{
    struct store_cost cost;
    struct write write = {.kind = WRITE_CREATE,
                          .user_id = writer->user_id,
                          .has_title = true,
                          .title = TITLE,
                          .title_length = sizeof TITLE - 1,
                          .has_body = true,
                          .body = BODY,
                          .body_length = sizeof BODY - 1};
    enum store_result result = store_write(&write, clock_now_ns() + DEADLINE_NS, &cost);
    free(write.answer);
    return result == STORE_OK;
}

static bool write_with_busy_handler(struct writer *writer)
{
    char id[UUID_TEXT_SIZE], sql[400];
    uuid7_make(id);
    snprintf(sql, sizeof sql,
             "INSERT INTO items(user_id, id, title, version, created_us, updated_us, body)"
             " VALUES(%lld, '%s', '" TITLE "', 1, 0, 0, '" BODY "')",
             (long long)writer->user_id, id);
    if (db_exec(writer->db, "BEGIN IMMEDIATE"))
        return false;
    if (db_exec(writer->db, sql) == 0 && db_exec(writer->db, "COMMIT") == 0)
        return true;
    db_exec(writer->db, "ROLLBACK");
    return false;
}

/* ---- processes and threads ---------------------------------------------------------------- */

static void *write_until_the_end(void *argument)
{
    struct writer *writer = argument;
    struct bench *bench = writer->bench;
    for (;;) {
        uint64_t start_ns = clock_now_ns();
        if (start_ns >= bench->end_ns)
            return NULL;
        bool written = writer->write(writer);
        uint64_t took_ns = clock_now_ns() - start_ns;
        atomic_fetch_add(written ? &writer->tally->writes : &writer->tally->failed, 1);
        uint64_t longest_ns = atomic_load(&writer->tally->longest_ns);
        while (took_ns > longest_ns &&
               !atomic_compare_exchange_weak(&writer->tally->longest_ns, &longest_ns, took_ns))
            ;
    }
}

static void run_process(struct bench *bench, unsigned process, bool gate)
{
    struct child child = {.region = bench->region,
                          .slot = region_slot(bench->region, process),
                          .slot_index = process};
    struct writer writers[THREADS];
    pthread_t threads[THREADS];
    struct db_paths paths;
    config_defaults(&child.config);
    db_paths_set(&paths, bench->data_dir);
    must(!gate || store_start(&child) == 0, "store_start");
    for (unsigned i = 0; i < THREADS; i++) {
        struct db_error error;
        writers[i] = (struct writer){.bench = bench,
                                     .tally = &bench->tally[process],
                                     .user_id = process * THREADS + i + 1,
                                     .write = gate ? write_through_store : write_with_busy_handler};
        must(gate || db_open(&paths, DB_WRITER, DURABILITY_FULL, NULL, &writers[i].db, &error) == 0,
             "db_open");
        if (!gate)
            sqlite3_busy_timeout(writers[i].db, (int)(DEADLINE_NS / NS_PER_MS));
    }
    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_create(&threads[i], NULL, write_until_the_end, &writers[i]) == 0, "thread");
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    if (gate)
        store_stop();
    for (unsigned i = 0; i < THREADS; i++)
        db_close(writers[i].db);
}

static void run_fleet(struct bench *bench, bool gate)
{
    bench->end_ns = clock_now_ns() + (uint64_t)(bench->seconds * (double)NS_PER_S);
    memset(bench->tally, 0, sizeof *bench->tally * PROCESSES);
    for (unsigned i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        must(pid >= 0, "fork");
        if (pid == 0) {
            run_process(bench, i, gate);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        must(wait(&status) > 0 && status == 0, "a process of the bench failed");
    }
}

/* Commits of a process through the store; the busy handler's arm has one for each write. */
static uint64_t commits(const struct bench *bench, unsigned process)
{
    return atomic_load(&region_slot(bench->region, process)->metrics.db_commits[0][0]);
}

/* Print the table; true when every process had its turns. */
static bool report(const struct bench *bench, const char *title, bool gate)
{
    uint64_t total = 0, longest_ns = 0;
    bool fair = true;
    for (unsigned i = 0; i < PROCESSES; i++)
        total += bench->tally[i].writes;
    printf("%s\nprocess  writes/s  of the mean  commits/s  longest write  failed\n", title);
    for (unsigned i = 0; i < PROCESSES; i++) {
        const struct tally *tally = &bench->tally[i];
        double share = total == 0 ? 0 : (double)tally->writes * PROCESSES / (double)total;
        printf("%7u  %8.0f  %10.0f%%  %9.0f  %10.1f ms  %6llu\n", i,
               (double)tally->writes / bench->seconds, share * 100,
               (double)(gate ? commits(bench, i) : tally->writes) / bench->seconds,
               (double)tally->longest_ns / (double)NS_PER_MS, (unsigned long long)tally->failed);
        fair &= share >= 0.5 && share <= 2 && tally->failed == 0;
        if (tally->longest_ns > longest_ns)
            longest_ns = tally->longest_ns;
    }
    printf("    all  %8.0f  %32.1f ms\n\n", (double)total / bench->seconds,
           (double)longest_ns / (double)NS_PER_MS);
    return fair && longest_ns < LONGEST_NS;
}

int main(int argc, char **argv)
{
    const char *directory = argc > 2 ? argv[2] : getenv("TMPDIR");
    struct bench bench = {.seconds = argc > 1 ? atof(argv[1]) : 5};
    snprintf(bench.data_dir, sizeof bench.data_dir, "%s/gate_bench.XXXXXX",
             directory ? directory : "/tmp");
    must(mkdtemp(bench.data_dir) != NULL, "mkdtemp");
    must(region_create(&bench.region) >= 0, "region_create");
    bench.tally = mmap(NULL, sizeof *bench.tally * PROCESSES, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(bench.tally != MAP_FAILED, "mmap");
    snprintf(bench.region->header.data_dir, sizeof bench.region->header.data_dir, "%s",
             bench.data_dir);
    bench.region->board.words.db_readable = bench.region->board.words.db_writable = 1;
    gate_init(&bench.region->gate);

    make_database(&bench);
    run_fleet(&bench, true);
    bool fair = report(&bench, "Through the gate, writes that wait together share a commit", true);
    delete_database(&bench);
    make_database(&bench);
    run_fleet(&bench, false);
    report(&bench, "Through SQLite's busy handler, each write its own commit", false);
    delete_database(&bench);
    rmdir(bench.data_dir);
    puts(fair ? "The gate keeps its bound: half to twice the mean, no write as long as 0.5 s."
              : "THE GATE DOES NOT KEEP ITS BOUND: half to twice the mean, no write of 0.5 s.");
    return fair ? 0 : 1;
}
