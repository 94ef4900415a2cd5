/* SPDX-License-Identifier: MIT */
/*
 * The shared region: a sealed memfd the supervisor makes once and every child inherits.
 *
 * Contract
 *   - Each part starts on a page and has one writer, named beside it (gate and buckets: one at a
 *     time, by lock or compare-and-swap). Everybody else has it read-only or not at all: a stray
 * write ends the stray, not its neighbour's numbers. (This guards against bugs, not against a
 * hostile child: it holds the descriptor.)
 *   - No pointers, only offsets fixed at compile time. REGION_LAYOUT changes with any of them.
 *   - A single number is a relaxed 64-bit atomic. A group that must agree lies behind a change
 *     counter (struct change): its one writer makes it odd, writes, makes it even; readers retry.
 *   - A slot's counters belong to the position, not to the process: the next process in it goes on
 *     adding, nothing is zeroed, so no counter ever goes back.
 *   - The supervisor decides from its own memory. What it reads here it copies, bounds and checks.
 */
#ifndef BULKHEAD_REGION_H
#define BULKHEAD_REGION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/breaker.h"
#include "common/config.h"
#include "common/fault_table.h"
#include "common/gcra.h"
#include "common/labels.h"
#include "common/metrics.h"

#define REGION_MAGIC  UINT64_C(0x3164616568686b62) /* "bkhhead1" */
#define REGION_LAYOUT 4u
#define REGION_PAGE   4096

/* Slots: the workers' first, then one for each helper. */
enum helper { HELPER_SENTINEL, HELPER_KEEPER, HELPER_CONSOLE, HELPER_SETUP, HELPER_COUNT };
#define SLOTS_MAX         (WORKER_SLOTS_MAX + HELPER_COUNT)
#define HELPER_SLOT(kind) ((unsigned)WORKER_SLOTS_MAX + (unsigned)(kind))

#define LISTENERS_MAX 8
#define CELLS_MAX     144 /* request threads (at most 128) and a few of our own */
#define OUTBOX_SIZE   64
#define EVENTS_SIZE   1024
#define TEXT_MAX      160

/* ---- groups that must agree -------------------------------------------------------------- */

struct change {
    _Atomic uint64_t count; /* odd while its writer is writing */
};

/* Publish size bytes (a multiple of 8, 8-aligned) as one change. One writer only. */
void change_publish(struct change *change, void *shared, const void *private_copy, size_t size);

/* Copy a group out without ever waiting. False when the writer was in the way: the copy is not
 * usable, look again later. For the supervisor, whose writers may be stopped or dead. */
bool change_try(const struct change *change, void *private_copy, const void *shared, size_t size);

/* The same for those who may wait: gives the writer up to 50 ms to get on. */
bool change_read(const struct change *change, void *private_copy, const void *shared, size_t size);

/* ---- header: the supervisor, once -------------------------------------------------------- */

struct region_header {
    uint64_t magic;
    uint32_t layout;
    uint32_t header_size, slot_size, board_size; /* a child of another build refuses to start */
    uint64_t region_size;
    uint64_t boot_id[2];     /* random: this run of the supervisor */
    uint64_t hash_secret[2]; /* of the rate limits: nobody can choose names that collide */
    int32_t supervisor_pid;
    uint32_t listener_count;
    uint64_t started_wall_us;
    uint64_t started_ns;
    char version[32];
    char data_dir[256]; /* absolute */
    char runtime_dir[256];
};

/* ---- identity of the database, as stat(2) and table meta tell it -------------------------- */

enum db_file { DB_FILE_MAIN, DB_FILE_WAL, DB_FILE_SHM, DB_FILE_COUNT };

struct db_identity {
    uint64_t device[DB_FILE_COUNT]; /* 0, 0: no such file */
    uint64_t inode[DB_FILE_COUNT];
    char app_id[40]; /* the random id set-up wrote into table meta and DATADIR/app.id */
};

/* ---- board: the supervisor --------------------------------------------------------------- */

struct board_slot {
    uint32_t state; /* enum slot_state */
    uint32_t generation;
    int32_t pid;
    uint32_t last_death; /* enum death_class of the process before this one */
    uint32_t restarts;
    uint32_t heartbeat_age_ms;
    uint64_t since_wall_us; /* in this state */
    uint64_t started_wall_us;
};

struct board_class {
    double requests_per_s; /* over the last 10 s, as are the others */
    double errors_per_s;   /* unexplained 5xx: 500, 504, lost */
    double refused_per_s;
    double p50_ms, p95_ms, p99_ms;
};

struct board_listener {
    char name[112];
    uint32_t queue_depth, queue_max;
    uint64_t drops;
};

enum health_status { HEALTH_HEALTHY, HEALTH_DEGRADED, HEALTH_FAILING };
enum load_level { LOAD_NORMAL, LOAD_STRESSED, LOAD_SATURATED };

struct board {
    uint64_t published_ns;
    uint32_t status; /* enum health_status */
    uint32_t load;   /* enum load_level */
    char reason[40]; /* "" when healthy */
    /* verdict on the database */
    uint32_t db_state; /* enum db_state */
    uint32_t db_padding;
    uint64_t db_since_wall_us;
    uint64_t wal_bytes;
    char db_evidence[TEXT_MAX];
    struct db_identity identity;        /* the files in use; inode 0: to be found */
    struct db_identity identity_before; /* those let go of while they are to be found anew */
    /* the fleet; the successor slot of a reload is not counted */
    uint32_t configured, ready, degraded, restarting, quarantined, draining;
    uint32_t worker_slots; /* slots in use: configured + 1 */
    uint32_t listener_count;
    struct board_slot slot[SLOTS_MAX];
    struct board_class class[CLASS_COUNT];
    struct board_class total;
    double cpu_percent; /* of all CPUs, by the fleet, over the last second */
    struct board_listener listener[LISTENERS_MAX];
    struct board_metrics metrics;
};

/* What a slot's process is asked to do; SIGTERM says that it changed. */
enum slot_order {
    ORDER_RUN,
    ORDER_DRAIN, /* a successor is ready: take all the time keep-alive clients need */
    ORDER_STOP,  /* the whole service stops */
};

/* Words read on every request: too hot for a copy of the whole board. */
struct board_words {
    _Atomic uint32_t db_state;              /* enum db_state */
    _Atomic uint32_t db_readable;           /* 0: refuse reads without calling the database */
    _Atomic uint32_t db_writable;           /* 0: refuse writes */
    _Atomic uint32_t db_wal_full;           /* 1: because the log is at its ceiling, not the disk */
    _Atomic uint32_t db_closing;            /* 1: handles are let go of, nobody opens one */
    _Atomic uint32_t health;                /* enum health_status */
    _Atomic uint64_t db_epoch;              /* changes when every handle must be opened anew */
    _Atomic uint64_t backup_request;        /* number of the newest one; 0 none */
    _Atomic uint32_t order[SLOTS_MAX];      /* enum slot_order */
    _Atomic uint32_t last_death[SLOTS_MAX]; /* enum death_class of the process before this one */
    _Atomic uint64_t route[ENDPOINT_COUNT]; /* route_word(); 0: open */
    _Atomic uint64_t route_until_ns[ENDPOINT_COUNT]; /* when a shut route gets its trial */
};

struct board_part {
    struct board_words words;
    struct change change;
    _Alignas(64) struct board board;
};

/* The configuration in force; a child copies it when it starts. */
struct config_part {
    struct change change;
    _Alignas(64) struct config config;
};

/* ---- watch: the sentinel ----------------------------------------------------------------- */

enum identity_verdict {
    IDENTITY_UNKNOWN,
    IDENTITY_SAME,
    IDENTITY_MISSING,  /* no app.db where one belongs */
    IDENTITY_REPLACED, /* another file, or one with another id */
    IDENTITY_SIDECAR,  /* -wal or -shm is not the one in use */
    IDENTITY_HIDDEN,   /* the system does not let us look: permissions, I/O */
};

/* Where a look is. A sentinel that stays in one of these tells of the disk by its silence. */
enum probe_step {
    PROBE_RESTING, /* between looks, or waiting for the gate */
    PROBE_FILES,
    PROBE_OPEN,
    PROBE_READ,
    PROBE_WRITE,
};

struct watch {
    uint64_t tick;                             /* number of this look */
    uint64_t tick_ns;                          /* when it ended */
    uint32_t identity;                         /* enum identity_verdict */
    uint32_t open_code, read_code, write_code; /* enum db_code, DB_CODE_OK when it worked */
    uint32_t write_skipped;                    /* the gate was busy and somebody committed lately */
    uint32_t padding;
    uint64_t read_us, write_us; /* in SQLite, without the wait for the gate */
    uint64_t wal_bytes;
    uint64_t free_bytes, room_bytes; /* of the file system; 0, 0: not known */
    struct db_identity seen;
    char evidence[TEXT_MAX];
};

struct watch_part {
    _Atomic uint32_t step; /* enum probe_step, of the look under way */
    _Atomic uint64_t step_since_ns;
    struct change change;
    _Alignas(64) struct watch watch;
};

/* ---- backup: the keeper ------------------------------------------------------------------ */

enum backup_result { BACKUP_NONE, BACKUP_RUNNING, BACKUP_DONE, BACKUP_FAILED };

/* The backup under way or, when there is none, the last one. */
struct backup_report {
    uint64_t request; /* the newest request it answers: its snapshot is younger than that one */
    uint64_t pages_done, pages_total;
    uint64_t bytes, took_ms; /* DONE */
    uint32_t result;         /* enum backup_result */
    int32_t pid;             /* of the keeper that says this */
    int32_t fd;              /* DONE: a descriptor of that process, read-only; -1 none */
    uint32_t padding;
    char name[64];       /* in DATADIR/backup */
    char text[TEXT_MAX]; /* FAILED: why */
};

struct backup_part {
    struct change change;
    _Alignas(64) struct backup_report report;
};

/* ---- slots: the child in each ------------------------------------------------------------ */

enum child_phase { PHASE_STARTING, PHASE_READY, PHASE_DEGRADED, PHASE_DRAINING };

/* One thread that serves requests; written by that thread alone. */
struct thread_cell {
    _Alignas(64) _Atomic uint32_t stage; /* enum stage */
    _Atomic uint32_t endpoint;           /* enum endpoint */
    _Atomic uint64_t since_ns;           /* in this stage */
    _Atomic uint64_t deadline_ns;        /* of the request; 0 none */
    _Atomic uint32_t in_request;         /* 1 from its first byte to the end of its response */
};

struct outbox_event {
    uint64_t wall_us;
    uint32_t type; /* enum event_type */
    uint32_t padding;
    char text[TEXT_MAX];
};

/* A circuit breaker of a worker; the next process in the slot goes on with it. */
struct breaker_part {
    struct change change;
    _Alignas(64) struct breaker_public breaker;
};

enum gate_stage { GATE_NONE, GATE_WAITING, GATE_HOLDING, GATE_IN_COMMIT };

struct slot {
    _Atomic uint32_t generation;
    _Atomic int32_t pid;
    _Atomic uint32_t phase; /* enum child_phase */
    _Atomic uint32_t gate_stage;
    _Atomic uint64_t gate_since_ns; /* in this stage; a holder: since its last step */
    _Atomic uint64_t heartbeat_ns;
    _Atomic uint64_t open_requests;   /* complete, at the door or in a thread, not yet counted */
    _Atomic uint64_t epoch_closed;    /* last db_epoch this process let go of */
    _Atomic uint64_t reports_written; /* keeper: id of the last death report that is a file */
    _Atomic uint32_t crashed_cell;    /* index + 1 of the thread a fatal signal hit; 0 none known */
    _Atomic uint64_t route_trial[ENDPOINT_COUNT]; /* route_trial_taken(), route_trial_answered() */
    char last_words[256];                         /* why it gives up; written just before exit */
    _Atomic uint64_t outbox_head;                 /* events ever put in */
    struct outbox_event outbox[OUTBOX_SIZE];
    struct fault_mark fault_mark[FAULTS_MAX]; /* which faults have struck here; outlives a crash */
    struct breaker_part breaker[DEPENDENCY_COUNT];
    struct thread_cell cell[CELLS_MAX];
    struct slot_metrics metrics;
};

struct slot_part {
    _Alignas(REGION_PAGE) struct slot slot;
};

/* ---- gate: whoever writes to app.db ------------------------------------------------------ */

struct gate {
    pthread_mutex_t mutex; /* robust, process-shared (common/db/gate.c) */
};

/* ---- buckets: the workers ---------------------------------------------------------------- */

struct buckets_part {
    struct gcra_table table; /* changed by compare-and-swap alone: many writers, no lock */
};

/* ---- events: the supervisor -------------------------------------------------------------- */

struct event {
    uint64_t id; /* 1, 2, 3 …; 0 is none */
    uint64_t cause_id;
    uint64_t wall_us;
    uint32_t type; /* enum event_type */
    int32_t slot;  /* -1 none */
    int32_t pid;
    uint32_t generation;
    char text[TEXT_MAX];
};

struct event_entry {
    struct change change;
    struct event event;
};

struct events {
    _Atomic uint64_t last_id;
    struct event_entry entry[EVENTS_SIZE]; /* event id lies at id % EVENTS_SIZE */
};

/* ---- faults: the supervisor -------------------------------------------------------------- */

struct faults_part {
    _Atomic uint64_t
        active; /* 0: none is active, and nobody looks further; else changes with them */
    _Atomic uint32_t active_of_kind[FAULT_KIND_COUNT];
    struct change change;
    _Alignas(64) struct fault_table table;
};

/* ---- deaths: the supervisor -------------------------------------------------------------- */

#define DEATHS_SIZE      8
#define DEATH_EVENTS     64
#define PROC_STATUS_SIZE 2048
#define PROC_STAT_SIZE   512
#define NO_DEADLINE      INT64_MIN
#define NO_CELL          UINT32_MAX

enum proc_when { PROC_NOT_READ, PROC_BEFORE_KILL, PROC_AT_REAPING };

/* What procfs said of a process: text of the kernel and the process's own name, made printable. */
struct proc_text {
    uint32_t when; /* enum proc_when */
    uint32_t padding;
    char status[PROC_STATUS_SIZE];
    char stat[PROC_STAT_SIZE];
};

/* A request thread of the dead process; a number out of range is the list's count, "?". */
struct death_thread {
    uint32_t cell;
    uint32_t stage;    /* enum stage */
    uint32_t endpoint; /* enum endpoint */
    uint32_t in_request;
    uint64_t stage_ms; /* in this stage */
    int64_t left_ms;   /* until its deadline, negative beyond it; NO_DEADLINE */
};

/* A slot at or in the gate. */
struct death_gate {
    uint32_t slot;
    uint32_t stage; /* enum gate_stage */
    int32_t pid;
    uint32_t since_ms;
};

struct death_report {
    uint64_t id; /* 1, 2, 3 … of this run of the supervisor; 0 is none */
    uint64_t wall_us, uptime_ms;
    uint64_t heartbeat_age_ms; /* UINT64_MAX: it never beat */
    uint32_t slot;
    int32_t pid; /* 0: it could not be started */
    uint32_t generation;
    uint32_t class; /* enum death_class */
    uint32_t asked, hung;
    uint32_t requests_lost;
    uint32_t fatal_cell;      /* of the thread that crashed or is stuck; NO_CELL */
    uint32_t blamed_endpoint; /* enum endpoint; ENDPOINT_COUNT: none */
    uint32_t db_state;        /* enum db_state */
    uint32_t thread_count, gate_count, event_count, padding;
    char manner[64];
    char decision[TEXT_MAX]; /* what becomes of the slot */
    char last_words[256];
    char db_evidence[TEXT_MAX];
    struct proc_text proc;
    struct death_thread thread[CELLS_MAX];
    struct death_gate gate[SLOTS_MAX];
    struct event event[DEATH_EVENTS]; /* the last ones, oldest first */
};

struct death_entry {
    struct change change;
    struct death_report report;
};

struct deaths {
    _Atomic uint64_t last_id;
    struct death_entry entry[DEATHS_SIZE]; /* report id lies at id % DEATHS_SIZE */
};

/* ---- the whole --------------------------------------------------------------------------- */

struct region {
    _Alignas(REGION_PAGE) struct region_header header;
    _Alignas(REGION_PAGE) struct config_part config;
    _Alignas(REGION_PAGE) struct board_part board;
    _Alignas(REGION_PAGE) struct watch_part watch;
    _Alignas(REGION_PAGE) struct events events;
    _Alignas(REGION_PAGE) struct faults_part faults;
    _Alignas(REGION_PAGE) struct deaths deaths;
    _Alignas(REGION_PAGE) struct gate gate;
    _Alignas(REGION_PAGE) struct backup_part backup;
    _Alignas(REGION_PAGE) struct buckets_part buckets;
    _Alignas(REGION_PAGE) struct slot_part slots[SLOTS_MAX];
};

/* What a mapping may do beyond reading; a child's own slot is always writable to it. */
enum region_rights {
    REGION_WRITES_WATCH = 1u << 0,
    REGION_USES_GATE = 1u << 1,
    REGION_WRITES_BACKUP = 1u << 2,
    REGION_USES_BUCKETS = 1u << 3,
};

/* Make the region: a memfd, sized, sealed against resizing, mapped writable.
 * Returns the descriptor (close-on-exec) and sets *region; negative errno on failure. */
int region_create(struct region **region);

/* Map an inherited descriptor with the rights of one child. own_slot < 0: nothing is writable,
 * gate and buckets are not mapped (tools). -EPROTO when the region is of another build. */
int region_map(int fd, int own_slot, unsigned rights, struct region **region);

/* Copies of the board, the watch, the backup and one event. False when no consistent copy could be
 * had. */
bool region_read_board(const struct region *region, struct board *board);
bool region_read_watch(const struct region *region, struct watch *watch);
bool region_read_config(const struct region *region, struct config *config);
bool region_read_backup(const struct region *region, struct backup_report *report);
bool region_read_event(const struct region *region, uint64_t id, struct event *event);
bool region_read_faults(const struct region *region, struct fault_table *table);
bool region_read_death(const struct region *region, uint64_t id, struct death_report *report);

static inline struct slot *region_slot(struct region *region, unsigned index)
{
    return &region->slots[index].slot;
}

#endif
