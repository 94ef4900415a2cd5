/* SPDX-License-Identifier: MIT */
/* The store's answers, one call at a time: items, keys, the fence, epochs, permits, deadlines. */
#include "tests/unit/store_bed.h"

/* A write in this thread; frees the answer. */
static enum store_result run(struct write *write)
{
    struct store_cost cost;
    enum store_result result = store_write(write, in_ms(3000), &cost);
    assert_true((write->answer != NULL) ==
                ((result == STORE_OK || result == STORE_REPLAYED) && write->kind != WRITE_DELETE));
    free(write->answer);
    write->answer = NULL;
    return result;
}

static struct write change(enum write_kind kind, int64_t user_id, const char *id)
{
    struct write write = {.kind = kind, .user_id = user_id};
    snprintf(write.id, sizeof write.id, "%s", id);
    return write;
}

static void set_title(struct write *write, const char *title)
{
    write->has_title = true;
    write->title = title;
    write->title_length = strlen(title);
}

static struct item get(int64_t user_id, const char *id)
{
    struct item item;
    struct store_cost cost;
    assert_int_equal(store_get(user_id, id, in_ms(1000), &item, &cost), STORE_OK);
    return item;
}

static enum store_result look(int64_t user_id, const char *id)
{
    struct item item;
    struct store_cost cost;
    enum store_result result = store_get(user_id, id, in_ms(1000), &item, &cost);
    item_free(&item);
    return result;
}

static void an_item_lives(void **unused)
{
    (void)unused;
    struct store_cost cost;
    struct write write = bed_create(ALICE, "Title \"1\"", "Body");
    assert_int_equal(store_write(&write, in_ms(3000), &cost), STORE_OK);
    assert_int_equal(write.status, 201);
    assert_int_equal(write.version, 1);
    assert_true(uuid_valid(write.id));
    assert_int_equal(cost.error, DB_CODE_OK);
    struct item item = get(ALICE, write.id);
    char json[400];
    assert_int_equal(item_json(&item, true, json, sizeof json), write.answer_length);
    assert_string_equal(json, write.answer);
    assert_non_null(strstr(json, "\"title\":\"Title \\\"1\\\"\",\"body\":\"Body\",\"version\":1"));
    assert_int_equal(item_json(&item, true, json, 20), 0);
    free(write.answer);
    item_free(&item);

    struct write patch = change(WRITE_PATCH, ALICE, write.id);
    set_title(&patch, "two");
    assert_int_equal(run(&patch), STORE_OK);
    assert_int_equal(patch.status, 200);
    assert_int_equal(patch.version, 2);
    item = get(ALICE, write.id);
    assert_string_equal(item.title, "two");
    assert_string_equal(item.body, "Body");
    assert_true(item.updated_us >= item.created_us);
    item_free(&item);

    patch = change(WRITE_PATCH, ALICE, write.id);
    patch.has_body = true; /* to none */
    assert_int_equal(run(&patch), STORE_OK);
    item = get(ALICE, write.id);
    assert_null(item.body);
    assert_int_equal(item.version, 3);
    item_free(&item);

    struct write delete = change(WRITE_DELETE, ALICE, write.id);
    assert_int_equal(run(&delete), STORE_OK);
    assert_int_equal(delete.status, 204);
    assert_int_equal(run(&delete), STORE_NOT_FOUND);
    assert_int_equal(look(ALICE, write.id), STORE_NOT_FOUND);
}

static void a_put_replaces_all(void **unused)
{
    (void)unused;
    struct write write = bed_create(ALICE, "one", "body");
    bed_must_create(&write);
    struct write put = change(WRITE_PUT, ALICE, write.id);
    set_title(&put, "two");
    assert_int_equal(run(&put), STORE_OK);
    struct item item = get(ALICE, write.id);
    assert_string_equal(item.title, "two");
    assert_null(item.body);
    item_free(&item);
}

static void long_texts_come_back(void **unused)
{
    (void)unused;
    char *body = malloc(ITEM_BODY_MAX_BYTES + 1);
    assert_non_null(body);
    memset(body, 1, ITEM_BODY_MAX_BYTES); /* six characters each in JSON */
    body[ITEM_BODY_MAX_BYTES] = '\0';
    struct write write = bed_create(ALICE, "long", body);
    struct store_cost cost;
    assert_int_equal(store_write(&write, in_ms(3000), &cost), STORE_OK);
    assert_true(write.answer_length > 6 * ITEM_BODY_MAX_BYTES);
    free(write.answer);
    struct item item = get(ALICE, write.id);
    assert_int_equal(item.body_length, ITEM_BODY_MAX_BYTES);
    assert_memory_equal(item.body, body, ITEM_BODY_MAX_BYTES);
    item_free(&item);
    free(body);
}

static void what_is_not_ones_own_is_not_there(void **unused)
{
    (void)unused;
    struct write write = bed_create(ALICE, "hers", NULL);
    bed_must_create(&write);
    assert_int_equal(look(BOB, write.id), STORE_NOT_FOUND);
    for (enum write_kind kind = WRITE_PUT; kind <= WRITE_DELETE; kind++) {
        struct write theft = change(kind, BOB, write.id);
        set_title(&theft, "his");
        assert_int_equal(run(&theft), STORE_NOT_FOUND);
    }
    struct item item = get(ALICE, write.id);
    assert_string_equal(item.title, "hers");
    assert_int_equal(item.version, 1);
    item_free(&item);
    struct write nobody = bed_create(77, "an account that was deleted", NULL);
    assert_int_equal(run(&nobody), STORE_NOT_FOUND);
    assert_int_equal(bed_ask("SELECT count(*) FROM items WHERE user_id = 77"), 0);
}

static void a_version_that_does_not_match_changes_nothing(void **unused)
{
    (void)unused;
    struct write write = bed_create(ALICE, "one", NULL);
    bed_must_create(&write);
    for (enum write_kind kind = WRITE_PUT; kind <= WRITE_DELETE; kind++) {
        struct write late = change(kind, ALICE, write.id);
        set_title(&late, "two");
        late.if_match_version = 2;
        assert_int_equal(run(&late), STORE_VERSION_MISMATCH);
    }
    assert_int_equal(bed_ask("SELECT count(*) FROM items WHERE title = 'one' AND version = 1"), 1);
    struct write put = change(WRITE_PUT, ALICE, write.id);
    set_title(&put, "two");
    put.if_match_version = 1;
    assert_int_equal(run(&put), STORE_OK);
    assert_int_equal(run(&put), STORE_VERSION_MISMATCH);
}

static void a_key_makes_one_item(void **unused)
{
    (void)unused;
    struct store_cost cost;
    struct write first = bed_create(ALICE, "once", "body");
    first.idempotency_key = "key-1";
    first.request_hash[0] = 7;
    struct write again = first, other = first, bobs = first;
    other.request_hash[0] = 8;
    bobs.user_id = BOB;
    assert_int_equal(store_write(&first, in_ms(3000), &cost), STORE_OK);
    assert_int_equal(store_write(&again, in_ms(3000), &cost), STORE_REPLAYED);
    assert_int_equal(again.status, 201);
    assert_int_equal(again.version, 1);
    assert_string_equal(again.id, first.id);
    assert_string_equal(again.answer, first.answer);
    assert_int_equal(again.answer_length, first.answer_length);
    assert_int_equal(run(&other), STORE_KEY_REUSED);
    assert_int_equal(run(&bobs), STORE_OK);
    assert_int_equal(bed_ask("SELECT count(*) FROM items"), 2);
    free(first.answer);

    /* The answer stays what it was when the item is long gone. */
    struct write delete = change(WRITE_DELETE, ALICE, first.id);
    assert_int_equal(run(&delete), STORE_OK);
    free(again.answer);
    assert_int_equal(run(&again), STORE_REPLAYED);
}

static void pages_follow_each_other(void **unused)
{
    (void)unused;
    char title[20], before[UUID_TEXT_SIZE] = "", next[UUID_TEXT_SIZE], *json;
    size_t length;
    struct store_cost cost;
    assert_int_equal(store_list(ALICE, NULL, 10, in_ms(1000), &json, &length, next, &cost),
                     STORE_OK);
    assert_string_equal(json, "[]");
    assert_string_equal(next, "");
    free(json);
    for (int i = 0; i < 25; i++) {
        snprintf(title, sizeof title, "t%02d", i);
        struct write write = bed_create(ALICE, title, "a body that no list shows");
        bed_must_create(&write);
    }
    int seen = 25;
    do {
        assert_int_equal(store_list(ALICE, before[0] ? before : NULL, 10, in_ms(1000), &json,
                                    &length, next, &cost),
                         STORE_OK);
        assert_int_equal(strlen(json), length);
        assert_null(strstr(json, "body"));
        for (const char *at = json; (at = strstr(at, "\"title\":\"t")); at++)
            assert_int_equal(atoi(at + 10), --seen);
        memcpy(before, next, sizeof before);
        free(json);
    } while (next[0]);
    assert_int_equal(seen, 0);
    assert_int_equal(store_list(BOB, NULL, 10, in_ms(1000), &json, &length, next, &cost), STORE_OK);
    assert_string_equal(json, "[]");
    free(json);
}

static void a_page_ends_in_time(void **unused)
{
    (void)unused;
    char title[ITEM_TITLE_MAX_BYTES + 1], next[UUID_TEXT_SIZE], *json;
    size_t length;
    struct store_cost cost;
    memset(title, 2, sizeof title - 1);
    title[sizeof title - 1] = '\0';
    for (int i = 0; i < 60; i++) {
        struct write write = bed_create(ALICE, title, NULL);
        bed_must_create(&write);
    }
    assert_int_equal(store_list(ALICE, NULL, 100, in_ms(1000), &json, &length, next, &cost),
                     STORE_OK);
    assert_true(length > 250 * 1024 && length <= 256 * 1024);
    assert_true(json[length - 1] == ']' && next[0] != '\0');
    free(json);
    assert_int_equal(store_list(ALICE, next, 100, in_ms(1000), &json, &length, next, &cost),
                     STORE_OK);
    assert_string_equal(next, "");
    free(json);
}

static void accounts_are_found(void **unused)
{
    (void)unused;
    char hash[200];
    int64_t user_id = 0;
    struct store_cost cost;
    assert_int_equal(store_find_user("bob", in_ms(1000), &user_id, hash, sizeof hash, &cost),
                     STORE_OK);
    assert_int_equal(user_id, BOB);
    assert_string_equal(hash, "$scrypt$b");
    assert_int_equal(store_find_user("eve", in_ms(1000), &user_id, hash, sizeof hash, &cost),
                     STORE_NOT_FOUND);
    assert_int_equal(store_find_user("bob", in_ms(1000), &user_id, hash, 3, &cost),
                     STORE_UNAVAILABLE);
    assert_int_equal(store_probe(&cost), DB_CODE_OK);
}

static void the_fence_refuses_without_asking(void **unused)
{
    (void)unused;
    static const struct {
        enum db_state state;
        enum store_result result;
    } states[] = {{DB_STATE_FULL, STORE_DISK_FULL},
                  {DB_STATE_READ_ONLY, STORE_READ_ONLY},
                  {DB_STATE_LOCKED, STORE_LOCKED},
                  {DB_STATE_MOVED, STORE_UNAVAILABLE},
                  {DB_STATE_UNKNOWN, STORE_UNAVAILABLE}};
    struct board_words *words = &bed.region->board.words;
    struct store_cost cost;
    struct write kept = bed_create(ALICE, "kept", NULL);
    bed_must_create(&kept);
    atomic_store(&words->db_writable, 0);
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct write write = bed_create(ALICE, "refused", NULL);
        atomic_store(&words->db_state, (uint32_t)states[i].state);
        assert_int_equal(store_write(&write, in_ms(1000), &cost), states[i].result);
        assert_int_equal(cost.error, DB_CODE_UNAVAILABLE);
        assert_int_equal(look(ALICE, kept.id), STORE_OK);
    }
    assert_int_equal(bed_metrics()->refused[CLASS_WRITE][REFUSAL_DATABASE], 5);
    assert_int_equal(bed_metrics()->db_errors[DB_OP_WRITE][DB_CODE_UNAVAILABLE], 5);
    atomic_store(&words->db_readable, 0);
    assert_int_equal(look(ALICE, kept.id), STORE_UNAVAILABLE);
    assert_int_equal(store_probe(&cost), DB_CODE_UNAVAILABLE);
    assert_int_equal(bed_metrics()->refused[CLASS_READ][REFUSAL_DATABASE], 1);
    assert_int_equal(bed_ask("SELECT count(*) FROM items"), 1);
}

/* Descriptors of this process that are app.db or a sidecar. */
static unsigned open_files(void)
{
    unsigned count = 0;
    char path[300], target[400];
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        count += strncmp(target, bed.dir, strlen(bed.dir)) == 0;
    }
    closedir(dir);
    return count;
}

static void an_epoch_closes_every_handle(void **unused)
{
    (void)unused;
    struct board_words *words = &bed.region->board.words;
    struct store_cost cost;
    struct write write = bed_create(ALICE, "before", NULL);
    bed_must_create(&write);
    assert_int_equal(look(ALICE, write.id), STORE_OK);
    assert_int_equal(store_probe(&cost), DB_CODE_OK);
    assert_true(open_files() > 0);
    store_tick();
    assert_true(open_files() > 0);

    atomic_store(&words->db_readable, 0);
    atomic_store(&words->db_writable, 0);
    atomic_store(&words->db_epoch, 2);
    assert_int_equal(bed.child.slot->epoch_closed, 1);
    store_tick();
    assert_int_equal(bed.child.slot->epoch_closed, 2);
    assert_int_equal(open_files(), 0);

    atomic_store(&words->db_readable, 1);
    atomic_store(&words->db_writable, 1);
    assert_int_equal(look(ALICE, write.id), STORE_OK);
    bed_must_create(&write);
    /* Without a tick in between: a connection of the older epoch is not used. */
    atomic_store(&words->db_epoch, 3);
    uint64_t opened = bed_metrics()->db_query_duration[DB_OP_OPEN].sum;
    assert_int_equal(look(ALICE, write.id), STORE_OK);
    assert_true(bed_metrics()->db_query_duration[DB_OP_OPEN].sum > opened);
}

/* Make a login's query endless. */
static void slow_users(void)
{
    bed_exec("PRAGMA foreign_keys = off; DROP TABLE users; CREATE VIEW users(id, name, password) AS"
             " WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
             " SELECT n, 'u' || n, '' FROM r");
}

struct login {
    pthread_t thread;
    uint64_t deadline_ms, took_ns;
    enum store_result result;
    struct store_cost cost;
};

static void *login_run(void *argument)
{
    struct login *login = argument;
    char hash[100];
    int64_t user_id;
    uint64_t start_ns = clock_now_ns(), deadline_ns = start_ns + login->deadline_ms * NS_PER_MS;
    login->result =
        store_find_user("alice", deadline_ns, &user_id, hash, sizeof hash, &login->cost);
    login->took_ns = clock_now_ns() - start_ns;
    return NULL;
}

static void login_start(struct login *login, uint64_t deadline_ms)
{
    login->deadline_ms = deadline_ms;
    assert_int_equal(pthread_create(&login->thread, NULL, login_run, login), 0);
}

static void a_read_ends_by_its_deadline(void **unused)
{
    (void)unused;
    slow_users();
    struct login login;
    login_start(&login, 100);
    pthread_join(login.thread, NULL);
    assert_int_equal(login.result, STORE_DEADLINE);
    assert_int_equal(login.cost.error, DB_CODE_INTERRUPT);
    assert_true(login.took_ns >= 100 * NS_PER_MS && login.took_ns < 2 * NS_PER_S);
    assert_int_equal(bed_metrics()->db_errors[DB_OP_READ][DB_CODE_INTERRUPT], 1);
    struct item item;
    struct store_cost cost;
    assert_int_equal(store_get(ALICE, "x", clock_now_ns(), &item, &cost), STORE_DEADLINE);
}

static void an_epoch_ends_a_read_under_way(void **unused)
{
    (void)unused;
    struct login login;
    slow_users();
    login_start(&login, 5000);
    bed_sleep_ms(50);
    atomic_store(&bed.region->board.words.db_readable, 0);
    atomic_store(&bed.region->board.words.db_epoch, 2);
    for (int i = 0; i < 100 && bed.child.slot->epoch_closed != 2; i++) {
        store_tick();
        bed_sleep_ms(10);
    }
    assert_int_equal(bed.child.slot->epoch_closed, 2);
    assert_int_equal(open_files(), 0);
    pthread_join(login.thread, NULL);
    assert_int_equal(login.result, STORE_UNAVAILABLE);
    assert_true(login.took_ns < 2 * NS_PER_S);
}

static void full_pools_refuse_and_keep_to_themselves(void **unused)
{
    (void)unused;
    struct login slow[2], waits;
    slow_users();
    login_start(&slow[0], 1000);
    login_start(&slow[1], 1000);
    bed_sleep_ms(200);
    login_start(&waits, 5000);
    pthread_join(waits.thread, NULL);
    assert_int_equal(waits.result, STORE_FULL_COMPARTMENT);
    assert_true(waits.took_ns >= 50 * NS_PER_MS && waits.took_ns < NS_PER_S);
    login_start(&waits, 20);
    pthread_join(waits.thread, NULL);
    assert_int_equal(waits.result, STORE_DEADLINE);
    assert_int_equal(look(ALICE, "x"), STORE_NOT_FOUND);
    pthread_join(slow[0].thread, NULL);
    pthread_join(slow[1].thread, NULL);
    assert_int_equal(bed_metrics()->refused[CLASS_AUTH][REFUSAL_WAITED], 1);
}

#define PATIENCE_MS 60000 /* of clients: longer than anything here waits */

static bool eight_wait(void)
{
    return atomic_load(&bed_metrics()->bulkhead_queued[CLASS_WRITE]) == 8;
}

/* Eight wait their 200 ms, one more comes. True when that one was refused while all of them still
 * waited: it did not wait itself. On a busy machine they may not come to wait at the same time. */
static bool one_too_many_does_not_wait(struct bed_call waiting[8])
{
    struct store_cost cost;
    struct write write = bed_create(ALICE, "one too many", NULL);
    for (unsigned i = 0; i < 8; i++)
        bed_call_start(&waiting[i], PATIENCE_MS);
    for (int i = 0; i < 300 && !eight_wait(); i++)
        bed_sleep_ms(1);
    bool at_once = false;
    if (eight_wait()) {
        assert_int_equal(store_write(&write, in_ms(PATIENCE_MS), &cost), STORE_FULL_COMPARTMENT);
        at_once = eight_wait();
    }
    bed_join(waiting, 8);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(waiting[i].result, STORE_FULL_COMPARTMENT);
        assert_true(waiting[i].took_ns >= 200 * NS_PER_MS && waiting[i].took_ns < NOISE * NS_PER_S);
    }
    return at_once;
}

static void writes_wait_for_a_permit_and_then_are_refused(void **unused)
{
    (void)unused;
    struct bed_call calls[16], waiting[8];
    char titles[24][8];
    for (unsigned i = 0; i < 24; i++) {
        snprintf(titles[i], sizeof titles[i], "w%u", i);
        (i < 16 ? &calls[i] : &waiting[i - 16])->write = bed_create(ALICE, titles[i], NULL);
    }
    bed_hold_gate();
    bed_queue(calls, 16, PATIENCE_MS);
    const _Atomic uint64_t *refused = bed_metrics()->refused[CLASS_WRITE];
    unsigned rounds = 1;
    while (!one_too_many_does_not_wait(waiting) && rounds < 10)
        rounds++;
    assert_true(rounds < 10);
    print_message("eight waited together in round %u\n", rounds);
    assert_true(refused[REFUSAL_FULL] >= 1);
    assert_in_range(refused[REFUSAL_FULL] + refused[REFUSAL_WAITED], 8 * rounds + 1, 9 * rounds);
    bed_release_gate();
    bed_join(calls, 16);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(calls[i].result, STORE_OK);
        free(calls[i].write.answer);
    }
    assert_int_equal(bed_metrics()->bulkhead_inflight[CLASS_WRITE], 0);
    assert_int_equal(bed_metrics()->bulkhead_queued[CLASS_WRITE], 0);
    assert_int_equal(bed_ask("SELECT count(*) FROM items"), 16);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, bed_setup, bed_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_item_lives),
        TEST(a_put_replaces_all),
        TEST(long_texts_come_back),
        TEST(what_is_not_ones_own_is_not_there),
        TEST(a_version_that_does_not_match_changes_nothing),
        TEST(a_key_makes_one_item),
        TEST(pages_follow_each_other),
        TEST(a_page_ends_in_time),
        TEST(accounts_are_found),
        TEST(the_fence_refuses_without_asking),
        TEST(an_epoch_closes_every_handle),
        TEST(a_read_ends_by_its_deadline),
        TEST(an_epoch_ends_a_read_under_way),
        TEST(full_pools_refuse_and_keep_to_themselves),
        TEST(writes_wait_for_a_permit_and_then_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
