/* SPDX-License-Identifier: MIT */
/* The lives this program can lead; main.c chooses one by its first flag. */
#ifndef BULKHEAD_SENTINEL_MODES_H
#define BULKHEAD_SENTINEL_MODES_H

/* Look at app.db four times a second and publish what is seen (tick.c). */
int sentinel_run(int argc, char **argv);

/* Empty the write-ahead log, purge what is old, make backups (keeper.c). */
int keeper_run(int argc, char **argv);

/* Create what a data directory needs, once, before any worker (setup.c). */
int setup_run(int argc, char **argv);

/* Say what would keep a data directory from being served; changes nothing (check.c). */
int check_run(int argc, char **argv);

/* Put a backup in the place of a stopped server's database (restore_run.c, restore.h). */
int restore_run(int argc, char **argv);

#endif
