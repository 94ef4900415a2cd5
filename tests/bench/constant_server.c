/* SPDX-License-Identifier: MIT */
/*
 * The least a server behind the front door can do: civetweb answers every request with the same
 * bytes, made beforehand, in one write. What a worker costs beyond this is our own code.
 * `constant_server ANSWER_FILE THREADS`; prints its port and serves until its input ends.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/http/front_door.h"

static struct slot_metrics numbers; /* the door counts here as in a worker */
static char answer[64 * 1024];
static size_t answer_length;

static int begin_request(struct mg_connection *connection)
{
    if (mg_write(connection, answer, answer_length) != (int)answer_length)
        mg_disable_connection_keep_alive(connection);
    return 200;
}

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    exit(2);
}

static void read_answer(const char *path)
{
    FILE *file = fopen(path, "r");
    must(file != NULL, path);
    answer_length = fread(answer, 1, sizeof answer, file);
    must(answer_length > 0 && answer_length < sizeof answer, "the answer's length");
    fclose(file);
}

/* A listener on a free port of loopback, which is printed. */
static int open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 1024) == 0 &&
             getsockname(fd, (struct sockaddr *)&address, &size) == 0,
         "listener");
    printf("%u\n", ntohs(address.sin_port));
    return fd;
}

int main(int argc, char **argv)
{
    must(argc == 3, "usage: constant_server ANSWER_FILE THREADS");
    read_answer(argv[1]);
    signal(SIGPIPE, SIG_IGN);
    int listener = open_listener();
    /* Everything as the worker has it, so that the difference is the worker's. */
    static const char *const options[] = {"decode_url", "no", NULL};
    const struct mg_callbacks callbacks = {.begin_request = begin_request};
    struct config config;
    config_defaults(&config);
    struct front_door_settings settings = {
        .listeners = &listener,
        .listener_count = 1,
        .threads = (unsigned)strtoul(argv[2], NULL, 10),
        .parked_limit = (unsigned)config.door_parked,
        .keepalive_timeout_s = (unsigned)config.keepalive_timeout_s,
        .keepalive_max_requests = UINT32_MAX, /* no connection ends within a round */
        .incomplete_timeout_ms = 5000,
        .first_byte_limit_bytes = 64 * 1024,
        .metrics = &numbers,
    };
    must(front_door_start(&settings, &callbacks, NULL, options) != NULL, "front_door_start");
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    _exit(0);
}
