/* SPDX-License-Identifier: MIT */
#include "tools/drill/house.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/backoff.h"
#include "common/clock.h"
#include "tools/drill/process.h"

#define PREFIX     "bulkhead-drill-"
#define WORDS_MAX  (24 + 2 * SPEC_OVERRIDES)
#define MANY_FILES 64
#define PORT_FIRST 16384u
#define PORT_COUNT 16384u
#define PORT_TRIES 200

static const char *temporary(void)
{
    const char *directory = getenv("TMPDIR");
    return directory && *directory == '/' && strlen(directory) < HOUSE_PATH - 60 ? directory
                                                                                 : "/tmp";
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, MANY_FILES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void unmount(const char *directory)
{
    char data_dir[HOUSE_PATH * 4];
    snprintf(data_dir, sizeof data_dir, "%s/data", directory);
    umount2(data_dir, MNT_DETACH);
}

/* A drill that was killed could not tidy up: its pid is in the name, and nobody has it. */
static void remove_leftovers(void)
{
    DIR *directory = opendir(temporary());
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        char path[HOUSE_PATH * 3];
        struct stat status;
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
            continue;
        pid_t pid = (pid_t)strtol(entry->d_name + strlen(PREFIX), NULL, 10);
        snprintf(path, sizeof path, "%s/%s", temporary(), entry->d_name);
        if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH || lstat(path, &status) < 0 ||
            status.st_uid != geteuid() || !S_ISDIR(status.st_mode))
            continue;
        unmount(path);
        remove_tree(path);
    }
    if (directory)
        closedir(directory);
}

static int mount_tmpfs(struct house *house, unsigned mib, char *error, size_t size)
{
    char options[32];
    snprintf(options, sizeof options, "size=%uM,mode=0700", mib);
    if (mount("tmpfs", house->data_dir, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0) {
        snprintf(error, size,
                 "needs a file system of %u MiB, and mounting one failed: %s (run it "
                 "as root)",
                 mib, strerror(errno));
        return errno == EPERM || errno == EACCES ? 1 : -1;
    }
    house->mounted = true;
    return 0;
}

int house_open(struct house *house, const struct spec *spec, bool own, char *error, size_t size)
{
    *house = (struct house){.own = own};
    remove_leftovers();
    snprintf(house->directory, sizeof house->directory, "%s/" PREFIX "%d-XXXXXX", temporary(),
             (int)getpid());
    if (!mkdtemp(house->directory)) {
        snprintf(error, size, "%s: %s", house->directory, strerror(errno));
        house->directory[0] = '\0';
        return -1;
    }
    snprintf(house->log, sizeof house->log, "%s/supervisor.log", house->directory);
    if (!own)
        return 0;
    snprintf(house->data_dir, sizeof house->data_dir, "%s/data", house->directory);
    snprintf(house->socket, sizeof house->socket, "%s/run/control.sock", house->data_dir);
    if (mkdir(house->data_dir, 0700) < 0) {
        snprintf(error, size, "%s: %s", house->data_dir, strerror(errno));
        return -1;
    }
    return spec->server.tmpfs_mib ? mount_tmpfs(house, spec->server.tmpfs_mib, error, size) : 0;
}

static bool can_bind(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool bound = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return bound;
}

/* A port nobody has now; nor takes it a client that connects while the supervisor is dead, for it
 * lies below those that Linux gives to clients (from 32768 on). */
static int free_address(char *out, size_t size)
{
    uint64_t state = clock_now_ns() ^ ((uint64_t)getpid() << 40);
    for (int i = 0; i < PORT_TRIES; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + random_next(&state) % PORT_COUNT);
        if (!can_bind(port))
            continue;
        snprintf(out, size, "127.0.0.1:%u", port);
        return 0;
    }
    return -1;
}

/* The words that follow -o, kept where they stay. */
struct words {
    unsigned count;
    const char *word[WORDS_MAX];
    unsigned texts;
    char text[SPEC_OVERRIDES + 8][128];
};

static void add(struct words *words, const char *word)
{
    words->word[words->count++] = word;
}

static void add_override(struct words *words, const char *key, const char *value)
{
    char *text = words->text[words->texts++];
    snprintf(text, sizeof words->text[0], "%s=%s", key, value);
    add(words, "-o");
    add(words, text);
}

static void supervisor_words(struct words *words, const struct house *house,
                             const struct spec *spec, const char *path)
{
    static const char *const limits[] = {"ratelimit.login", "ratelimit.read", "ratelimit.write"};
    static char workers[12];
    snprintf(workers, sizeof workers, "%u", spec->server.workers);
    *words = (struct words){0};
    add(words, path);
    add(words, "--demo");
    add(words, "-n");
    add(words, workers);
    add(words, "-d");
    add(words, house->data_dir);
    add(words, "-l");
    add(words, house->address);
    add_override(words, "console.listen", house->console);
    add_override(words, "faults.enabled", spec->server.faults ? "yes" : "no");
    add_override(words, "log.requests", "none");
    /* One user stands for many: limits by user would be the drill's own fault. */
    for (unsigned i = 0; i < 3; i++)
        add_override(words, limits[i], "0");
    for (unsigned i = 0; i < spec->server.override_count; i++)
        add_override(words, spec->server.override[i].key, spec->server.override[i].value);
    add(words, NULL);
}

int house_start(struct house *house, const struct spec *spec, char *error, size_t size)
{
    static struct words words;
    char path[HOUSE_PATH * 2];
    process_sister("supervisor", path, sizeof path);
    if (!*house->address && (free_address(house->address, sizeof house->address) < 0 ||
                             free_address(house->console, sizeof house->console) < 0)) {
        snprintf(error, size, "no free port on 127.0.0.1: %s", strerror(errno));
        return -1;
    }
    supervisor_words(&words, house, spec, path);
    pid_t pid = process_start(&(struct process_setup){.words = words.word,
                                                      .output = house->log,
                                                      .death_signal = SIGTERM,
                                                      .descriptors = spec->server.descriptors});
    if (pid < 0) {
        snprintf(error, size, "%s: %s", path, strerror(-pid));
        return -1;
    }
    house->supervisor = pid;
    return 0;
}

int house_read_account(struct house *house, char *error, size_t size)
{
    char path[HOUSE_PATH * 3];
    snprintf(path, sizeof path, "%s/demo.txt", house->data_dir);
    FILE *file = fopen(path, "re");
    int fields =
        file ? fscanf(file, "username: %64s password: %64s", house->user, house->password) : 0;
    if (file)
        fclose(file);
    if (fields == 2)
        return 0;
    snprintf(error, size, "%s: no demo account there; start the server with --demo", path);
    return -1;
}

void house_last_line(const struct house *house, char *out, size_t size)
{
    char line[512];
    out[0] = '\0';
    FILE *file = fopen(house->log, "re");
    while (file && fgets(line, sizeof line, file))
        snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
    if (file)
        fclose(file);
}

void house_close(struct house *house)
{
    if (house->mounted)
        unmount(house->directory);
    if (*house->directory)
        remove_tree(house->directory);
    *house = (struct house){0};
}
