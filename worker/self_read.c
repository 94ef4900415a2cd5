/* SPDX-License-Identifier: MIT */
#include "worker/self_read.h"

#include <errno.h>
#include <pthread.h>

#include "common/clock.h"
#include "worker/store.h"

#define SHORT_WAIT_NS (50 * NS_PER_MS) /* half a heartbeat */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum { RESTING, ASKED, ANSWERED } state;
    enum db_code code;
} self = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *read_for_ever(void *unused)
{
    struct store_cost cost;
    pthread_mutex_lock(&self.mutex);
    for (;;) {
        while (self.state != ASKED)
            pthread_cond_wait(&self.changed, &self.mutex);
        pthread_mutex_unlock(&self.mutex);
        enum db_code code = store_probe(&cost);
        pthread_mutex_lock(&self.mutex);
        self.code = code;
        self.state = ANSWERED;
        pthread_cond_broadcast(&self.changed);
    }
    return unused;
}

int self_read_start(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, read_for_ever, NULL);
    if (error == 0)
        pthread_detach(thread);
    return -error;
}

bool self_read(enum db_code *code)
{
    struct timespec until = clock_timespec(clock_now_ns() + SHORT_WAIT_NS);
    int error = 0;
    pthread_mutex_lock(&self.mutex);
    if (self.state == RESTING) {
        self.state = ASKED;
        pthread_cond_broadcast(&self.changed);
    }
    while (self.state == ASKED && error != ETIMEDOUT)
        error = pthread_cond_clockwait(&self.changed, &self.mutex, CLOCK_MONOTONIC, &until);
    bool answered = self.state == ANSWERED;
    if (answered) {
        *code = self.code;
        self.state = RESTING;
    }
    pthread_mutex_unlock(&self.mutex);
    return answered;
}

bool self_read_rests(void)
{
    pthread_mutex_lock(&self.mutex);
    bool rests = self.state != ASKED;
    pthread_mutex_unlock(&self.mutex);
    return rests;
}
