/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's one context: everything it knows, in its own memory. The region shows copies of
 * it to others; no decision is ever read back from there.
 */
#ifndef BULKHEAD_SUPERVISOR_H
#define BULKHEAD_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/region.h"
#include "supervisor/aggregate.h"
#include "supervisor/blame.h"
#include "supervisor/control.h"
#include "supervisor/database.h"
#include "supervisor/faults.h"
#include "supervisor/gate_reset.h"
#include "supervisor/listeners.h"
#include "supervisor/options.h"
#include "supervisor/place.h"
#include "supervisor/restart_policy.h"
#include "supervisor/roster.h"
#include "supervisor/route_guard.h"

/* One place in the fleet and the process in it. */
struct slot_record {
    unsigned index;
    enum child_kind kind;
    bool wanted; /* a process should be here */
    enum slot_state state;
    uint32_t generation; /* counts the processes this slot has had */
    pid_t pid;           /* 0: none */
    int pid_fd;          /* -1: none */
    uint64_t spawned_ns;
    uint64_t since_ns; /* in this state */
    uint64_t since_wall_us, started_wall_us;
    uint64_t deadline_ns;       /* of the state: start, drain or kill overdue; wait over. 0 none */
    bool served;                /* this process was READY or DEGRADED */
    bool asked;                 /* its end was asked for: not a death to explain */
    bool kill_sent;             /* SIGKILL, after which only the kernel can be waiting */
    enum death_class killed_as; /* why we killed it; DEATH_CLEAN: we did not */
    enum death_class last_death;
    uint32_t restarts;
    uint32_t round;    /* the reload it was spawned in */
    uint64_t drain_ns; /* the limit this process was started with */
    bool has_faults;   /* faults.enabled was yes when it was started */
    bool exited;       /* reaped, not yet buried */
    int wait_code;     /* si_code and si_status of its end */
    int wait_status;
    enum restart_reason fill_reason; /* why the next process is spawned */
    uint64_t last_event_id;          /* what the next event about it is caused by */
    bool excused; /* a route was to blame for its last death, and is shut: not charged */
    uint64_t outbox_read;
    struct restart_record record;
    struct proc_text proc; /* of this process, once it was looked at */
    uint32_t stuck_cell;   /* the thread that made it hung, NO_CELL */
};

/* A rolling reload: slots of an older round are replaced one by one through the spare slot. */
struct reload {
    uint32_t round; /* the current one; slots of a lower round are old */
    bool active;
    bool again;    /* HUP came while one was under way */
    int successor; /* slot being started, -1 none */
    int retiring;  /* slot being drained, -1 none */
    int only_slot; /* replace just this one (operator's restart N), -1: all */
    uint64_t event_id;
    uint64_t started_ns;
};

enum stage_of_life { LIFE_SETTING_UP, LIFE_FIRST_LOOK, LIFE_SERVING, LIFE_STOPPING };

struct supervisor {
    struct options options;
    struct config config;
    struct place place;
    struct listeners listeners;
    struct region *region;
    int region_fd;
    int epoll_fd, signal_fd, doorbell_fd;
    struct control control;
    char program_dir[256];
    pid_t pid;

    enum stage_of_life life;
    uint64_t life_since_ns;
    bool killing_all; /* QUIT, or a second TERM */
    uint64_t killing_since_ns;
    int exit_code;
    bool announced;        /* READY=1 was sent */
    char status_text[128]; /* last STATUS= */

    struct slot_record slots[SLOTS_MAX];
    struct reload reload;
    struct fork_budget forks;
    uint64_t random_state;

    struct database_record database;

    struct faults faults;
    uint64_t faults_version; /* of the published table */
    struct gate_reset gate_reset;
    struct blame blame;

    struct route_guard routes[ENDPOINT_COUNT];
    uint64_t route_event_id[ENDPOINT_COUNT]; /* of the last death blamed on it */

    struct board board; /* what is published */
    struct aggregate aggregate;
    uint64_t next_tick_ns, next_aggregate_ns;
    uint64_t trust_heartbeats_ns; /* staleness before this time is our own fault */
    uint64_t stall_until_ns;      /* the whole fleet waits for the database, at least until then */
    uint64_t events;              /* last event id */
    uint64_t started_event_id;    /* the cause of everybody's first start */
    uint64_t deaths;              /* last death report's id */
    struct death_report report;   /* being written; id 0: none */
    uint64_t backup_requests;     /* number of the newest one */
    uint64_t oom_kills;           /* of the host, to tell an OOM kill from an operator's */
};

#endif
