/* SPDX-License-Identifier: MIT */
/* A broken gate is told from a busy and from an idle one; it is made anew only when the last of its
 * users is dead; and whoever may not be started meanwhile is not. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/db/gate.h"
#include "supervisor/gate_watch.h"
#include "supervisor/reconcile.h"
#include "supervisor/supervisor.h"

#define TICK (100 * NS_PER_MS)

/* ---- the decision ------------------------------------------------------------------------- */

/* One letter a tick of 100 ms: w somebody waits, h held, b both, . nobody, c as w with a commit,
 * P as w after a pause of 10 s. */
static unsigned ticks_until_reset(const char *story, bool repeat)
{
    struct gate_watch watch = {0};
    uint64_t now_ns = 1000 * NS_PER_S, commits = 7;
    size_t length = strlen(story);
    for (unsigned tick = 0; tick < 200 && (repeat || tick < length); tick++) {
        char c = story[tick % length];
        now_ns += c == 'P' ? 10 * NS_PER_S : TICK;
        commits += c == 'c';
        struct gate_sight sight = {
            .waiting = strchr("wbcP", c) ? 2 : 0, .held = c == 'h' || c == 'b', .commits = commits};
        if (gate_watch_look(&watch, &sight, now_ns))
            return tick + 1;
    }
    return 0;
}

static void only_a_gate_that_nobody_can_have_is_broken(void **unused)
{
    (void)unused;
    static const struct {
        const char *story;
        bool repeat;
        unsigned least, most; /* ticks; 0 never */
    } table[] = {
        {".", true, 0, 0},
        {"w", true, 20, 23},
        {"h", true, 0, 0},
        {"b", true, 0, 0},
        {"c", true, 0, 0},
        {"wwwwwwwwwwwwwwwwwwb", true, 0, 0},       /* 1.8 s, then somebody had it */
        {"wwwwwwwwwwwwwwwwwwc", true, 0, 0},       /* or committed unseen */
        {"wwwwwwwwwwwwwwwwwww......", true, 0, 0}, /* or all gave up: nobody wants it */
        {"w....", true, 20, 26},                   /* they give up at deadlines and come again */
        {"w....", true, 20, 26},
        {"w.......", true, 0, 0},
        {"....................w", true, 0, 0},
        {"wP", false, 0, 0}, /* the supervisor was stopped: it saw two ticks, no more */
        {"wPPPPP", false, 0, 0},
        {"hhhhhhhhhhhhhhhhhhhhhhhhwwwwwwwwwwwwwwwwwwwww", false, 44, 45},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        unsigned got = ticks_until_reset(table[i].story, table[i].repeat);
        if (got < table[i].least || got > table[i].most)
            fail_msg("%s: %u ticks, not %u to %u", table[i].story, got, table[i].least,
                     table[i].most);
    }
}

/* ---- the whole, with real processes -------------------------------------------------------- */

#define WORKERS 3
#define KEEPER  HELPER_SLOT(HELPER_KEEPER)
#define CONSOLE HELPER_SLOT(HELPER_CONSOLE)

static struct supervisor self;
static uint64_t now_ns;

static void start_in(unsigned index)
{
    struct slot_record *record = &self.slots[index];
    record->pid = fork();
    if (record->pid == 0)
        for (;;)
            pause();
    record->generation = 1;
    record->wanted = record->served = true;
    record->state = SLOT_READY;
    record->spawned_ns = now_ns;
    struct slot *slot = region_slot(self.region, index);
    atomic_store(&slot->generation, 1);
    atomic_store(&slot->phase, PHASE_READY);
    atomic_store(&slot->gate_stage, GATE_NONE);
}

static int begin(void **unused)
{
    (void)unused;
    memset(&self, 0, sizeof self);
    config_defaults(&self.config);
    if ((self.region_fd = region_create(&self.region)) < 0)
        return -1;
    gate_init(&self.region->gate);
    now_ns = clock_now_ns();
    self.pid = getpid();
    self.config.workers = WORKERS;
    self.config.hang_timeout_s = 60;
    self.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < CONTROL_CLIENTS_MAX; i++)
        self.control.client[i].fd = -1;
    snprintf(self.program_dir, sizeof self.program_dir, "/nowhere"); /* the next ones end at once */
    reconcile_init(&self);
    self.life = LIFE_SERVING;
    self.announced = true;
    self.next_aggregate_ns = UINT64_MAX;
    for (unsigned i = 0; i < WORKERS; i++)
        start_in(i);
    start_in(KEEPER);
    start_in(CONSOLE);
    return 0;
}

static int end(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        if (self.slots[i].pid > 0) {
            kill(self.slots[i].pid, SIGKILL);
            waitpid(self.slots[i].pid, NULL, 0);
        }
    munmap(self.region, sizeof *self.region);
    close(self.region_fd);
    close(self.epoll_fd);
    return 0;
}

/* A pass of the supervisor 100 ms later; hearts beat. */
static void pass(void)
{
    now_ns += TICK;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        atomic_store(&region_slot(self.region, i)->heartbeat_ns, now_ns);
    reconcile(&self, now_ns);
}

static unsigned resets(void)
{
    return (unsigned)self.board.metrics.gate_resets[0][0];
}

static void pass_until_reset(void)
{
    for (int i = 0; i < 30 && !resets(); i++)
        pass();
    assert_int_equal(resets(), 1);
    assert_true(self.gate_reset.active);
}

/* Passes until every killed child is buried; the kernel takes its time. */
static void pass_until_done(void)
{
    for (int i = 0; i < 400 && self.gate_reset.active; i++) {
        usleep(5000);
        pass();
    }
    assert_false(self.gate_reset.active);
}

static void wait_in(unsigned index, int expected)
{
    struct slot *slot = region_slot(self.region, index);
    assert_int_equal(gate_lock(&self.region->gate, slot, clock_now_ns() + 50 * NS_PER_MS),
                     expected);
    assert_int_equal(slot->gate_stage, GATE_WAITING);
}

static void assert_all_begin_again(void)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(self.slots[i].last_death, DEATH_GATE);
        assert_int_equal(self.slots[i].record.total, 0); /* nobody is charged */
        assert_int_equal(self.slots[i].generation, 2);
    }
    assert_int_equal(self.slots[KEEPER].last_death, DEATH_GATE);
    assert_int_equal(self.slots[KEEPER].generation, 2);
    assert_int_equal(self.slots[CONSOLE].generation, 1);
    assert_int_equal(self.slots[CONSOLE].state, SLOT_READY);
    assert_int_equal(self.board.metrics.worker_deaths[DEATH_GATE][0], WORKERS);
    struct slot *slot = region_slot(self.region, 0);
    assert_int_equal(gate_lock(&self.region->gate, slot, clock_now_ns() + NS_PER_S), 0);
    gate_unlock(&self.region->gate, slot);
}

static void a_page_of_garbage_is_made_anew(void **unused)
{
    (void)unused;
    memset(&self.region->gate, 0xff, sizeof self.region->gate);
    wait_in(1, -EINVAL);
    pass_until_reset();
    pass_until_done();
    assert_all_begin_again();
    assert_int_equal(resets(), 1);
}

static void a_mutex_given_up_is_made_anew(void **unused)
{
    (void)unused;
    struct gate *gate = &self.region->gate;
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&gate->mutex);
        _exit(0); /* dies with it */
    }
    waitpid(pid, NULL, 0);
    assert_int_equal(pthread_mutex_lock(&gate->mutex), EOWNERDEAD);
    pthread_mutex_unlock(&gate->mutex); /* without pthread_mutex_consistent */
    wait_in(0, -ENOTRECOVERABLE);
    pass_until_reset();
    pass_until_done();
    assert_all_begin_again();
}

static void nobody_starts_before_the_last_user_is_dead(void **unused)
{
    (void)unused;
    memset(&self.region->gate, 0xff, sizeof self.region->gate);
    wait_in(2, -EINVAL);
    struct slot_record *held = &self.slots[0], *punished = &self.slots[WORKERS];
    punished->state = SLOT_QUARANTINED;
    punished->wanted = true;
    punished->deadline_ns = now_ns + 22 * TICK; /* its time comes in the middle of it */
    pass_until_reset();
    /* One that the kernel does not let die: another process in its place shows the same. */
    pid_t real = held->pid, sleeper = fork();
    if (sleeper == 0)
        for (;;)
            pause();
    held->pid = sleeper;
    for (int i = 0; i < 20; i++) {
        usleep(2000);
        pass();
    }
    assert_true(self.gate_reset.active);
    assert_int_equal(*(unsigned char *)&self.region->gate, 0xff);
    for (unsigned i = 1; i < WORKERS; i++)
        assert_int_equal(self.slots[i].state, SLOT_DEAD);
    assert_int_equal(self.slots[KEEPER].state, SLOT_DEAD);
    assert_int_equal(punished->state, SLOT_QUARANTINED);
    char why[100];
    assert_false(reconcile_restart(&self, 1, why, sizeof why));
    assert_non_null(strstr(why, "gate"));
    kill(sleeper, SIGKILL);
    waitpid(real, NULL, 0);
    pass_until_done();
    assert_all_begin_again();
    pass();
    pass();
    assert_true(punished->generation > 0); /* its quarantine was over long ago */
}

static unsigned count_processes(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        count += self.slots[i].pid > 0;
    return count;
}

static void a_stop_in_the_middle_goes_on(void **unused)
{
    (void)unused;
    memset(&self.region->gate, 0xff, sizeof self.region->gate);
    wait_in(1, -EINVAL);
    pass_until_reset();
    reconcile_stop(&self, false);
    kill(self.slots[CONSOLE].pid, SIGKILL);
    for (int i = 0; i < 400 && count_processes() > 0; i++) {
        usleep(5000);
        pass();
    }
    for (unsigned i = 0; i < SLOTS_MAX; i++) {
        assert_int_equal(self.slots[i].pid, 0);
        assert_true(self.slots[i].generation < 2);
    }
}

/* A successor that starts and an old worker that drains are users like all; the reload goes on. */
static void a_reload_under_way_waits(void **unused)
{
    (void)unused;
    struct slot_record *successor = &self.slots[WORKERS], *old = &self.slots[0];
    start_in(WORKERS);
    atomic_store(&region_slot(self.region, WORKERS)->phase, PHASE_STARTING);
    successor->state = SLOT_STARTING;
    successor->served = false;
    successor->round = 1;
    self.reload = (struct reload){
        .round = 1, .active = true, .successor = WORKERS, .retiring = -1, .only_slot = -1};
    old->state = SLOT_DRAINING;
    old->wanted = false;
    memset(&self.region->gate, 0xff, sizeof self.region->gate);
    wait_in(1, -EINVAL);
    pass_until_reset();
    pass_until_done();
    assert_int_equal(successor->last_death, DEATH_GATE);
    assert_int_equal(successor->record.total, 0);
    assert_int_equal(successor->generation, 2);
    assert_int_equal(old->last_death, DEATH_GATE);
    assert_int_equal(old->state, SLOT_EMPTY);
    assert_true(self.reload.active);
    assert_int_equal(self.reload.successor, WORKERS);
}

static void a_gate_in_use_is_left_alone(void **unused)
{
    (void)unused;
    atomic_store(&region_slot(self.region, 0)->gate_stage, GATE_WAITING);
    atomic_store(&region_slot(self.region, KEEPER)->gate_stage, GATE_IN_COMMIT);
    for (int i = 0; i < 40; i++)
        pass();
    assert_int_equal(resets(), 0);
    /* Commits between the ticks; and a waiter that is a word of the process before. */
    atomic_store(&region_slot(self.region, KEEPER)->gate_stage, GATE_NONE);
    for (int i = 0; i < 40; i++) {
        counter_increment(&region_slot(self.region, 2)->metrics.db_commits[0][0]);
        pass();
    }
    assert_int_equal(resets(), 0);
    self.slots[0].generation++;
    for (int i = 0; i < 40; i++)
        pass();
    assert_int_equal(resets(), 0);
    self.slots[0].generation--;
    pass_until_reset();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_gate_that_nobody_can_have_is_broken),
        TEST(a_page_of_garbage_is_made_anew),
        TEST(a_mutex_given_up_is_made_anew),
        TEST(nobody_starts_before_the_last_user_is_dead),
        TEST(a_stop_in_the_middle_goes_on),
        TEST(a_reload_under_way_waits),
        TEST(a_gate_in_use_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
