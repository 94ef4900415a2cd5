/* SPDX-License-Identifier: MIT */
#include "worker/hasher.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto/password.h"
#include "worker/client.h"
#include "worker/liveness.h"
#include "worker/permits.h"

#define NICE            10
#define WAITING_MOST    4
#define LONGEST_WAIT_NS (100 * NS_PER_MS)

/* Belongs to the caller and to the thread: a caller whose time is up leaves, the hash goes on.
 * Who lets go last frees it. */
struct job {
    STAILQ_ENTRY(job) link;
    unsigned owners;
    bool done, matches, has_hash;
    pthread_cond_t finished;
    size_t length;
    char password[PASSWORD_MAX_BYTES];
    char hash[PASSWORD_HASH_SIZE];
};

struct hasher {
    struct permits permits; /* one a thread, held from hand-over to the end of the hash */
    pthread_mutex_t mutex;  /* guards what follows, and the jobs */
    pthread_cond_t handed_over;
    STAILQ_HEAD(jobs, job) jobs; /* handed over; never more than threads */
};

/* The mutex is held. */
static void let_go(struct job *job)
{
    if (--job->owners > 0)
        return;
    pthread_cond_destroy(&job->finished);
    explicit_bzero(job, sizeof *job);
    free(job);
}

static void *hash_for_ever(void *argument)
{
    struct hasher *hasher = argument;
    setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
    pthread_mutex_lock(&hasher->mutex);
    for (;;) {
        while (STAILQ_EMPTY(&hasher->jobs))
            pthread_cond_wait(&hasher->handed_over, &hasher->mutex);
        struct job *job = STAILQ_FIRST(&hasher->jobs);
        STAILQ_REMOVE_HEAD(&hasher->jobs, link);
        pthread_mutex_unlock(&hasher->mutex);
        bool matches =
            password_matches(job->password, job->length, job->has_hash ? job->hash : NULL);
        pthread_mutex_lock(&hasher->mutex);
        job->matches = matches;
        job->done = true;
        pthread_cond_signal(&job->finished);
        let_go(job);
        permits_give(&hasher->permits);
    }
    return NULL;
}

struct hasher *hasher_start(struct slot_metrics *numbers, unsigned threads, bool shed)
{
    struct hasher *hasher = calloc(1, sizeof *hasher);
    if (!hasher)
        return NULL;
    permits_init(&hasher->permits, numbers, CLASS_AUTH, true, threads,
                 shed ? WAITING_MOST : PERMITS_NO_LIMIT, LONGEST_WAIT_NS);
    pthread_mutex_init(&hasher->mutex, NULL);
    pthread_cond_init(&hasher->handed_over, NULL);
    STAILQ_INIT(&hasher->jobs);
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        errno = pthread_create(&thread, NULL, hash_for_ever, hasher);
        if (errno != 0)
            return NULL; /* not freed: earlier threads have it */
        pthread_detach(thread);
    }
    return hasher;
}

static struct job *make_job(const char *password, size_t length, const char *hash)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->owners = 2;
    pthread_cond_init(&job->finished, NULL);
    job->length = length < sizeof job->password ? length : sizeof job->password;
    memcpy(job->password, password, job->length);
    job->has_hash = hash && strlen(hash) < sizeof job->hash;
    if (job->has_hash)
        memcpy(job->hash, hash, strlen(hash) + 1);
    return job;
}

static enum hasher_verdict run(struct hasher *hasher, struct job *job, uint64_t deadline_ns)
{
    struct timespec deadline = clock_timespec(deadline_ns);
    enum hasher_verdict verdict = HASHER_DEADLINE;
    int error = 0;
    pthread_mutex_lock(&hasher->mutex);
    STAILQ_INSERT_TAIL(&hasher->jobs, job, link);
    pthread_cond_signal(&hasher->handed_over);
    while (!job->done && error != ETIMEDOUT)
        error = pthread_cond_clockwait(&job->finished, &hasher->mutex, CLOCK_MONOTONIC, &deadline);
    if (job->done)
        verdict = job->matches ? HASHER_MATCHES : HASHER_DIFFERS;
    let_go(job);
    pthread_mutex_unlock(&hasher->mutex);
    return verdict;
}

enum hasher_verdict hasher_check(struct hasher *hasher, const char *password, size_t length,
                                 const char *hash, int client_fd, uint64_t deadline_ns)
{
    liveness_stage(STAGE_QUEUE);
    enum permit_result permit = permits_take(&hasher->permits, deadline_ns);
    if (permit != PERMIT_TAKEN)
        return permit == PERMIT_DEADLINE ? HASHER_DEADLINE : HASHER_REFUSED;
    if (clock_now_ns() >= deadline_ns) {
        permits_give(&hasher->permits);
        return HASHER_DEADLINE;
    }
    bool gone = client_is_gone(client_fd);
    struct job *job = gone ? NULL : make_job(password, length, hash);
    if (!job) {
        permits_give(&hasher->permits);
        return gone ? HASHER_CLIENT_GONE : HASHER_REFUSED;
    }
    liveness_stage(STAGE_HASH);
    return run(hasher, job, deadline_ns);
}
