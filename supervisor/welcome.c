/* SPDX-License-Identifier: MIT */
#include "supervisor/welcome.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/exit_codes.h"
#include "supervisor/supervisor.h"

/* "username: demo" and "password: …" of DATADIR/demo.txt. 0, or -1 when it is not there. */
static int read_demo(const struct supervisor *supervisor, char user[65], char password[65])
{
    char path[300];
    snprintf(path, sizeof path, "%s/demo.txt", supervisor->place.data_dir);
    FILE *file = fopen(path, "re");
    int fields = file ? fscanf(file, "username: %64s password: %64s", user, password) : 0;
    if (file)
        fclose(file);
    return fields == 2 ? 0 : -1;
}

void welcome(const struct supervisor *supervisor)
{
    char user[65], password[65];
    const char *address = supervisor->listeners.public[0].name;
    /* stdout and stderr may be one file, and the log appends: so must this. */
    struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (!isatty(STDOUT_FILENO) && !freopen("/proc/self/fd/1", "ae", stdout))
        return;
    if (poll(&room, 1, 0) != 1)
        return; /* nobody reads: a greeting is not worth waiting for */
    for (unsigned i = 0; i < supervisor->listeners.public_count; i++)
        printf("serving  http://%s\n", supervisor->listeners.public[i].name);
    if (supervisor->listeners.console.fd >= 0)
        printf("console  http://%s/\n", supervisor->listeners.console.name);
    if (supervisor->options.demo && read_demo(supervisor, user, password) == 0) {
        printf("login    %s / %s   (kept in %s/demo.txt)\n\ntry\n", user, password,
               supervisor->place.data_dir);
        printf("  curl -s http://%s/health\n", address);
        printf("  TOKEN=$(curl -s http://%s/auth/login -H 'Content-Type: application/json' "
               "-d '{\"username\":\"%s\",\"password\":\"%s\"}' | cut -d'\"' -f4)\n",
               address, user, password);
        printf("  curl -s http://%s/data/items -H \"Authorization: Bearer $TOKEN\" "
               "-H 'Content-Type: application/json' -d '{\"title\":\"first\"}'\n",
               address);
    }
    fflush(stdout);
}

void welcome_setup_failed(struct supervisor *supervisor, const struct slot_record *setup)
{
    const struct slot *slot = region_slot(supervisor->region, setup->index);
    char words[256];
    memcpy(words, slot->last_words, sizeof words - 1);
    words[sizeof words - 1] = '\0';
    for (char *c = words; *c; c++)
        *c = *c >= ' ' && *c <= '~' ? *c : '?';
    fprintf(stderr, "supervisor: %s\n",
            words[0] ? words : "set-up ended without saying why; nothing was started");
    bool exited = setup->wait_code == CLD_EXITED;
    if (setup->wait_code == 0) /* not even forked: too many processes, no memory */
        fprintf(stderr, "supervisor: cannot fork: %s\n", strerror(-setup->wait_status));
    if (exited && setup->wait_status == EXIT_CONFIGURATION)
        supervisor->exit_code = EXIT_CONFIGURATION;
    else if (exited && setup->wait_status != EXIT_TEMPORARY)
        supervisor->exit_code = EXIT_BUG;
    else
        supervisor->exit_code = EXIT_TEMPORARY;
}
