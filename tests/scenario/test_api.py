# SPDX-License-Identifier: MIT
"""The API as its contract has it: each row of the table, who may see what, and what the log says."""
import calendar
import http.client
import json
import os
import re
import signal
import threading
import time
import uuid

import pytest

from conftest import Server, stop_process, wait_for
from wire import UUID7, Wire, add_users, assert_problem, head, login_as, post

USERS = ["other", "walker", "lister", "keys"]
NOWHERE = "/data/items/01890000-0000-7000-8000-000000000000"
OPERATIONS = [  # (method, path, token, body): what the contract's table offers
    ("GET", "/health", False, None), ("GET", "/health/live", False, None),
    ("GET", "/health/ready", False, None), ("GET", "/openapi.json", False, None),
    ("POST", "/auth/login", False, {"username": "nobody", "password": "x"}),
    ("POST", "/data/items", True, {"title": "t"}), ("GET", "/data/items", True, None),
    ("GET", NOWHERE, True, None), ("PUT", NOWHERE, True, {"title": "t"}),
    ("PATCH", NOWHERE, True, {"title": "t"}), ("DELETE", NOWHERE, True, None),
]


@pytest.fixture(scope="module")
def server():
    """Several workers, and accounts besides demo, made while nobody serves."""
    s = Server(workers=3)
    try:
        s.start()
        assert s.stop() == 0
        add_users(s, *USERS)
        s.start()
        s.login()
        yield s
        assert s.stop() == 0
        assert s.gone(5)
    finally:
        assert not s.end()


@pytest.fixture(scope="module")
def tokens(server):
    return {name: login_as(server, name) for name in USERS}


def create(server, title="a title", token=True, headers=None, **fields):
    answer = server.request("POST", "/data/items", {"title": title, **fields}, headers, token=token)
    assert answer.status == 201, answer
    return answer


def change(server, method, item, body=None, if_match=None, token=True):
    headers = {"If-Match": if_match} if if_match else {}
    return server.request(method, f"/data/items/{item['id']}", body, headers, token=token)


def titles(server, token):
    return [i["title"] for i in server.request("GET", "/data/items?limit=100", token=token).json["items"]]


# ---- login ------------------------------------------------------------------------------------

def test_login_gives_a_token_that_works(server):
    answer = server.request("POST", "/auth/login", server.demo(), token=False)
    assert answer.status == 200
    assert set(answer.json) == {"access_token", "token_type", "expires_in"}
    assert answer.json["token_type"] == "Bearer" and answer.json["expires_in"] == 900
    assert answer.headers["cache-control"] == "no-store"
    jwt = pytest.importorskip("jwt")
    assert jwt.get_unverified_header(answer.json["access_token"])["alg"] == "HS256"
    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert {"iss", "sub", "iat", "exp", "jti"} <= set(claims)
    assert claims["sub"] == "demo" and claims["exp"] - claims["iat"] == 900
    assert abs(claims["iat"] - time.time()) < 5
    assert server.request("GET", "/data/items", token=answer.json["access_token"]).status == 200


def test_a_wrong_login_does_not_say_what_was_wrong(server):
    wrong = server.request("POST", "/auth/login", {"username": "demo", "password": "x"}, token=False)
    unknown = server.request("POST", "/auth/login", {"username": "nil", "password": "x"}, token=False)
    problems = [assert_problem(a, 401, "unauthorized") for a in (wrong, unknown)]
    for p in problems:
        del p["instance"]
    assert problems[0] == problems[1]
    assert wrong.headers["www-authenticate"] == unknown.headers["www-authenticate"]


@pytest.mark.parametrize("method, path, body", [(m, p, b) for m, p, t, b in OPERATIONS if t])
def test_data_needs_a_token(server, method, path, body):
    assert_problem(server.request(method, path, body, token=False), 401, "unauthorized")


# ---- one item ---------------------------------------------------------------------------------

def test_create_and_get(server):
    made = create(server, "Ein Titel ✓", body="line\n\"two\"")
    item = made.json
    assert set(item) == {"id", "title", "body", "version", "created_at", "updated_at"}
    assert UUID7.fullmatch(item["id"])
    assert (item["title"], item["body"], item["version"]) == ("Ein Titel ✓", "line\n\"two\"", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", item["created_at"])
    assert item["created_at"] == item["updated_at"]
    assert made.headers["location"] == f"/data/items/{item['id']}"
    assert re.fullmatch(r'"[^"]+"', made.headers["etag"])
    got = server.request("GET", made.headers["location"])
    assert got.status == 200 and got.json == item
    assert got.headers["etag"] == made.headers["etag"]
    assert got.headers["content-type"] == "application/json"
    assert "private" in got.headers["cache-control"]


def test_body_may_be_left_out(server):
    item = create(server, "only a title").json
    assert item["body"] is None
    assert server.request("GET", f"/data/items/{item['id']}").json["body"] is None


@pytest.mark.parametrize("title", ["x", "ü" * 200, "𝄞" * 200, "\x1f\x7f\u2028\"\\/"])
def test_titles_come_back_as_they_went(server, title):
    item = create(server, title).json
    assert item["title"] == title
    assert server.request("GET", f"/data/items/{item['id']}").json["title"] == title


def test_the_largest_body(server):
    def send(text):
        raw = json.dumps({"title": "large", "body": text}, ensure_ascii=False).encode()
        return server.request("POST", "/data/items", raw)
    for text in ("é" * 32768, "\x7f" * 65536, '"' * 65000):
        made = send(text)
        assert made.status == 201, made
        assert server.request("GET", made.headers["location"]).json["body"] == text
    item = create(server, "escaped", body="\x01" * 20000).json  # six times as long in the answer
    assert server.request("GET", f"/data/items/{item['id']}").json["body"] == "\x01" * 20000
    assert_problem(send("é" * 32768 + "x"), 422, "invalid-fields")


def id_time_us(item):
    """Method 3 of RFC 9562: the fraction of the millisecond is in rand_a."""
    number = uuid.UUID(item["id"]).int
    return (number >> 80) * 1000 + (number >> 64 & 0xFFF) * 1000 / 4096


def created_us(item):
    whole, fraction = item["created_at"].rstrip("Z").split(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000 + int(fraction.ljust(6, "0"))


def test_ids_tell_the_time_and_the_order(server):
    items = [create(server, f"n{i}").json for i in range(20)]
    ids = [i["id"] for i in items]
    assert ids == sorted(ids) and len(set(ids)) == 20
    # a random rand_a would be near by chance once in five
    near = [i for i in items if abs(id_time_us(i) - created_us(i)) < 100]
    assert len(near) >= 15, [(id_time_us(i), created_us(i)) for i in items]


@pytest.mark.parametrize("form, status", [
    ('{}', 304), ('W/{}', 304), ('"x", {}', 304), ('*', 304), ('"x"', 200), ('W/"x"', 200)])
def test_if_none_match(server, form, status):
    made = create(server)
    answer = server.request("GET", made.headers["location"],
                            headers={"If-None-Match": form.format(made.headers["etag"])})
    assert answer.status == status
    assert answer.headers["etag"] == made.headers["etag"]
    assert status != 304 or answer.body == b""


def test_put_replaces_everything(server):
    item = create(server, "old", body="text").json
    answer = change(server, "PUT", item, {"title": "new"})
    assert answer.status == 200
    now = answer.json
    assert (now["title"], now["body"], now["version"]) == ("new", None, 2)
    assert now["created_at"] == item["created_at"] and now["updated_at"] > item["updated_at"]
    assert server.request("GET", f"/data/items/{item['id']}").json == now
    assert_problem(change(server, "PUT", item, {"body": "no title"}), 422)


@pytest.mark.parametrize("patch, title, body", [
    ({"title": "new"}, "new", "text"), ({"body": "other"}, "old", "other"),
    ({"body": None}, "old", None), ({"title": "new", "body": None}, "new", None),
    ({}, "old", "text")])
@pytest.mark.parametrize("media", ["application/merge-patch+json", "application/json"])
def test_patch_merges(server, patch, title, body, media):
    item = create(server, "old", body="text").json
    answer = server.request("PATCH", f"/data/items/{item['id']}", patch, {"Content-Type": media})
    assert answer.status == 200, answer
    assert (answer.json["title"], answer.json["body"]) == (title, body)
    assert server.request("GET", f"/data/items/{item['id']}").json == answer.json


@pytest.mark.parametrize("patch", [
    {"title": None}, {"title": ""}, {"title": 3}, {"title": "x" * 201}, {"body": 1},
    {"id": "x"}, {"version": 7}, {"colour": "red"}])
def test_patch_refuses(server, patch):
    item = create(server, "old", body="text").json
    problem = assert_problem(change(server, "PATCH", item, patch), 422, "invalid-fields")
    assert problem["errors"] == [{"field": next(iter(patch)), "problem": problem["errors"][0]["problem"]}]
    assert server.request("GET", f"/data/items/{item['id']}").json == item


def test_delete(server):
    item = create(server).json
    answer = change(server, "DELETE", item)
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers
    for method, body in [("GET", None), ("DELETE", None), ("PUT", {"title": "t"}), ("PATCH", {})]:
        assert_problem(change(server, method, item, body), 404, "not-found")


CHANGES = [("PUT", {"title": "n"}), ("PATCH", {"title": "n"}), ("DELETE", None)]


@pytest.mark.parametrize("method, body", CHANGES)
def test_if_match(server, method, body):
    made = create(server)
    item, first = made.json, made.headers["etag"]
    second = change(server, "PATCH", item, {"title": "2"}).headers["etag"]
    assert first != second
    for stale in (first, f"W/{second}", f'{first}, "none"', f"{first}, W/{second}", '"none"'):
        assert_problem(change(server, method, item, body, stale), 412, "precondition-failed")
    assert server.request("GET", made.headers["location"]).json["title"] == "2"
    answer = change(server, method, item, body, f"{first}, {second}")
    assert answer.status == (204 if method == "DELETE" else 200), answer


@pytest.mark.parametrize("method, body", CHANGES)
@pytest.mark.parametrize("match", ["*", '"1"'])
def test_if_match_and_what_is_not_there(server, method, body, match):
    item = create(server).json
    assert change(server, method, item, body, match).status in (200, 204)
    assert_problem(server.request(method, NOWHERE, body, {"If-Match": match}), 404)


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("value", ["1", '"1', 'x"1"', '"1" "2"', ","])
def test_what_is_no_entity_tag(server, header, value):
    made = create(server)
    method = "GET" if header == "If-None-Match" else "DELETE"
    assert_problem(server.request(method, made.headers["location"], headers={header: value}), 400)
    assert server.request("GET", made.headers["location"]).status == 200


def test_one_of_many_concurrent_changes_wins(server):
    made = create(server, "start")
    answers, lock = [], threading.Lock()
    ready = threading.Barrier(8)

    def put(n):
        ready.wait(10)
        answer = change(server, "PUT", made.json, {"title": f"by {n}"}, made.headers["etag"])
        with lock:
            answers.append(answer)
    in_threads([lambda n=n: put(n) for n in range(8)])
    assert sorted(a.status for a in answers) == [200] + [412] * 7


def in_threads(calls):
    threads = [threading.Thread(target=c) for c in calls]
    for t in threads:
        t.start()
    for t in threads:
        t.join(20)
    assert not any(t.is_alive() for t in threads)


# ---- HEAD, OPTIONS, methods, prefix -----------------------------------------------------------

@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/openapi.json",
                                  "/data/items", "{item}", "/data/items?limit=0", "/nowhere",
                                  NOWHERE, "/data/items/none", "/auth/login"])
def test_head_is_get_without_content(server, path):
    path = path.format(item=create(server).headers["location"])
    authorization = f"Authorization: Bearer {server.token}"
    with Wire(server.port) as wire:
        for turn in range(2):  # the second answer shows where the first ended
            wire.send(head("HEAD", path, authorization))
            headed = wire.answer("HEAD")
            wire.send(head("GET", path, authorization))
            got = wire.answer()
            expected = 405 if path == "/auth/login" else got.status
            assert headed.status == expected and got.status == expected
            assert headed.headers["content-type"] == got.headers["content-type"]
            assert headed.headers["content-length"]
            assert got.headers.get("etag") == headed.headers.get("etag")


@pytest.mark.parametrize("path, allow", [
    ("/health", "GET HEAD"), ("/health/live", "GET HEAD"), ("/health/ready", "GET HEAD"),
    ("/openapi.json", "GET HEAD"), ("/auth/login", "POST"), ("/data/items", "GET HEAD POST"),
    (NOWHERE, "GET HEAD PUT PATCH DELETE")])
def test_options_and_other_methods_answer_allow(server, path, allow):
    expected = set(allow.split()) | {"OPTIONS"}
    options = server.request("OPTIONS", path, token=False)
    assert options.status in (200, 204) and options.body == b""
    assert set(options.headers["allow"].split(", ")) == expected
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - expected:
        answer = server.request(method, path, token=False)
        assert_problem(answer, 405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == expected


@pytest.mark.parametrize("method, path, token, body", OPERATIONS)
def test_v1_means_the_same(server, method, path, token, body):
    plain = server.request(method, path, body, token=token)
    prefixed = server.request(method, "/v1" + path, body, token=token)
    assert plain.status == prefixed.status
    assert plain.headers["content-type"] == prefixed.headers["content-type"]


def test_location_keeps_the_prefix(server):
    made = server.request("POST", "/v1/data/items", {"title": "prefixed"})
    assert made.headers["location"] == f"/v1/data/items/{made.json['id']}"
    assert server.request("GET", made.headers["location"]).json == made.json
    assert_problem(server.request("GET", "/v2/data/items"), 404)
    assert_problem(server.request("GET", "/v1/v1/data/items"), 404)


# ---- headers of every answer ------------------------------------------------------------------

ANSWERS = [("GET", "/health"), ("GET", "/data/items"), ("GET", "/nowhere"), ("DELETE", "/health"),
           ("GET", NOWHERE), ("OPTIONS", "/data/items"), ("HEAD", "/health"), ("GET", "/%zz")]


@pytest.mark.parametrize("method, path", ANSWERS)
@pytest.mark.parametrize("sent", ["a", "My-id_1.2", "x" * 64])
def test_a_good_request_id_is_echoed(server, method, path, sent):
    assert server.request(method, path, headers={"X-Request-Id": sent}).headers["x-request-id"] == sent


@pytest.mark.parametrize("method, path", ANSWERS)
@pytest.mark.parametrize("sent", [None, "", "x" * 65, "a b", "ä", 'a"b', "{}"])
def test_else_one_is_made(server, method, path, sent):
    headers = {} if sent is None else {"X-Request-Id": sent}
    made = [server.request(method, path, headers=headers).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1] and sent not in made
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", m) for m in made)


def test_keep_alive_is_advertised_and_close_is_honoured(server):
    kept = server.request("GET", "/health")
    assert kept.headers["connection"] == "keep-alive"
    assert re.fullmatch(r"timeout=10\b.*", kept.headers["keep-alive"])
    with Wire(server.port) as wire:
        wire.send(head("GET", "/health", "Connection: close"))
        assert wire.answer().headers["connection"] == "close"
        assert wire.is_closed()


def test_http_1_0_is_closed_unless_asked(server):
    with Wire(server.port) as wire:
        wire.send(head("GET", "/health", "Connection: keep-alive", version="1.0"))
        assert wire.answer().status == 200
        wire.send(head("GET", "/health", version="1.0"))
        assert wire.answer().headers["connection"] == "close"
        assert wire.is_closed()


def request_line(server, request_id):
    def find():
        return [l for l in server.log_lines("request") if l["request_id"] == request_id]
    return wait_for(f"the log line of {request_id}", find, 5)[0]


def test_traceparent_is_accepted_and_logged(server):
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = server.request("GET", "/data/items", headers={"traceparent": good})
    assert answer.status == 200
    assert request_line(server, answer.headers["x-request-id"])["traceparent"] == good
    bad = server.request("GET", "/data/items", headers={"traceparent": "00-" + "0" * 32 + "-x-01"})
    assert bad.status == 200  # it is the tracer's problem
    assert "traceparent" not in request_line(server, bad.headers["x-request-id"])


@pytest.mark.parametrize("value, good", [
    ("1000", True), ("60000", True), ("0", False), ("60001", False), ("-1", False), ("1.5", False),
    ("abc", False), ("", False), ("1e3", False), ("+5", False), ("99999999999999999999", False)])
@pytest.mark.parametrize("method, path", [("GET", "/data/items"), ("POST", "/data/items")])
def test_the_deadline_header(server, value, good, method, path):
    body = {"title": "in time"} if method == "POST" else None
    answer = server.request(method, path, body, {"X-Request-Timeout-Ms": value})
    if good:
        assert answer.status in (200, 201)
    else:
        assert_problem(answer, 400, "malformed-request")


def test_a_deadline_that_is_over_answers_504_and_does_nothing(server):
    title = "late " + uuid.uuid4().hex
    with Wire(server.port) as wire:
        whole = post("/data/items", {"title": title}, "X-Request-Timeout-Ms: 100",
                     token=server.token)
        wire.send(whole[:-1])
        time.sleep(0.3)  # the lateness is the act
        wire.send(whole[-1:])
        assert_problem(wire.answer(), 504, "deadline-exceeded")
    assert title not in titles(server, True)


# ---- the list ---------------------------------------------------------------------------------

def page(server, token, query=""):
    answer = server.request("GET", "/data/items" + query, token=token)
    assert answer.status == 200, answer
    assert set(answer.json) == {"items", "next_cursor"}
    return answer.json["items"], answer.json["next_cursor"]


def walk(server, token, limit, between=lambda: None):
    seen, cursor = [], None
    while True:
        items, cursor = page(server, token, f"?limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        seen += items
        if cursor is None:
            return seen
        assert len(items) == limit
        between()


def test_list_is_newest_first_and_without_body(server, tokens):
    token = tokens["lister"]
    assert page(server, token) == ([], None)
    made = [create(server, f"t{i}", token, body="b").json for i in range(25)]
    items, cursor = page(server, token)
    assert len(items) == 20 and isinstance(cursor, str)
    for shown, item in zip(items, reversed(made)):
        assert shown == {k: v for k, v in item.items() if k != "body"}
    rest, end = page(server, token, f"?cursor={cursor}")
    assert [i["title"] for i in rest] == ["t4", "t3", "t2", "t1", "t0"] and end is None
    for limit in (1, 5, 25, 100):
        assert [i["id"] for i in walk(server, token, limit)] == [i["id"] for i in reversed(made)]
    change(server, "PUT", made[0], {"title": "changed"}, token=token)
    assert page(server, token, "?limit=100")[0][-1]["title"] == "changed"


def test_a_walk_has_no_gaps_and_no_repeats_while_items_come(server, tokens):
    token = tokens["walker"]
    made = [create(server, f"old {i}", token).json["id"] for i in range(60)]
    stop, inserted = threading.Event(), []

    def insert():
        while not stop.is_set():
            inserted.append(create(server, "new", token).json["id"])
    writer = threading.Thread(target=insert)
    writer.start()
    try:
        for limit in (7, 1, 13):
            before = set(inserted)
            seen = [i["id"] for i in walk(server, token, limit)]
            assert len(seen) == len(set(seen))
            assert seen == sorted(seen, reverse=True)
            assert seen[-60:] == made[::-1]
            assert before <= set(seen)
    finally:
        stop.set()
        writer.join(20)
    assert len(inserted) > 5


def test_a_walk_survives_the_deletion_of_its_place(server, tokens):
    token = tokens["keys"]
    made = [create(server, f"d{i}", token).json for i in range(6)]
    items, cursor = page(server, token, "?limit=3")
    assert change(server, "DELETE", items[-1], token=token).status == 204
    rest, _ = page(server, token, f"?limit=3&cursor={cursor}")
    assert [i["id"] for i in rest] == [i["id"] for i in made[2::-1]]


@pytest.mark.parametrize("query", [
    "limit=0", "limit=101", "limit=-1", "limit=", "limit", "limit=1e1", "limit=five", "limit=1.0",
    "limit=+5", "limit=%30", "limit=5&limit=5", "cursor=", "cursor=x", "cursor=%00", "colour=red",
    "cursor=" + "g" * 32, "cursor=" + "0" * 5000, "%", "%zz=1", "=", "limit=5&&cursor", "limit=5;x"])
def test_a_bad_query(server, query):
    assert_problem(server.request("GET", "/data/items?" + query), 400, "malformed-request")


@pytest.mark.parametrize("query", ["limit=1", "limit=100", "li%6Dit=5", "", "limit=5&"])
def test_a_good_query(server, query):
    assert server.request("GET", "/data/items?" + query).status == 200


# ---- Idempotency-Key --------------------------------------------------------------------------

def keyed(server, key, title, token=True, **fields):
    return server.request("POST", "/data/items", {"title": title, **fields},
                          {"Idempotency-Key": key}, token=token)


def test_a_repeated_request_has_one_effect(server):
    key = uuid.uuid4().hex
    first = keyed(server, key, "once " + key)
    again = [keyed(server, k, "once " + key) for k in (key, f'"{key}"', key)]
    assert first.status == 201 and "idempotency-replayed" not in first.headers
    for a in again:
        assert a.status == 201 and a.headers["idempotency-replayed"] == "true"
        assert a.json == first.json
        assert a.headers["location"] == first.headers["location"]
        assert a.headers["etag"] == first.headers["etag"]
    assert titles(server, True).count("once " + key) == 1


def test_the_stored_answer_stays_when_the_item_changes(server):
    key = uuid.uuid4().hex
    first = keyed(server, key, "then")
    assert change(server, "PUT", first.json, {"title": "now"}).status == 200
    assert keyed(server, key, "then").json == first.json
    assert change(server, "DELETE", first.json).status == 204
    assert keyed(server, key, "then").json == first.json
    assert server.request("GET", first.headers["location"]).status == 404


def test_a_key_belongs_to_its_request(server):
    key = uuid.uuid4().hex
    assert keyed(server, key, "this").status == 201
    for answer in (keyed(server, key, "that"), keyed(server, key, "this", body="more")):
        assert_problem(answer, 422, "idempotency-key-reused")
    assert keyed(server, key, "this").status == 201


def test_a_key_belongs_to_its_user(server, tokens):
    key = uuid.uuid4().hex
    mine = keyed(server, key, "same")
    theirs = keyed(server, key, "same", token=tokens["other"])
    different = keyed(server, key, "different", token=tokens["keys"])
    for a in (theirs, different):
        assert a.status == 201 and "idempotency-replayed" not in a.headers
    assert len({mine.json["id"], theirs.json["id"], different.json["id"]}) == 3


def test_a_refused_request_does_not_use_its_key_up(server):
    key = uuid.uuid4().hex
    assert_problem(keyed(server, key, ""), 422, "invalid-fields")
    assert keyed(server, key, "good").status == 201


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "a b", 'a"b', '"a', "ä", '"a\\b"', "\t"])
def test_what_is_no_key(server, key):
    assert_problem(keyed(server, key.encode("latin-1"), "none"), 400)


@pytest.mark.parametrize("filler", ["x", "~", ";", "'"])
def test_the_longest_key(server, filler):
    key = uuid.uuid4().hex + filler * 223
    assert keyed(server, key, "long").status == 201
    assert keyed(server, f'"{key}"', "long").headers["idempotency-replayed"] == "true"


def test_concurrent_requests_with_one_key_make_one_item(server):
    for _ in range(3):
        key, answers, served = uuid.uuid4().hex, [], set()
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
                       for _ in range(12)]
        for c in connections:  # one after another, so that they are spread over the workers
            assert server.request("GET", "/health/live", connection=c).status == 200
        ready = threading.Barrier(len(connections))

        def send(connection):
            ready.wait(10)
            answers.append(server.request("POST", "/data/items", {"title": key},
                                          {"Idempotency-Key": key}, connection=connection))
        in_threads([lambda c=c: send(c) for c in connections])
        for c in connections:
            c.close()
        assert [a.status for a in answers] == [201] * 12
        assert len({a.json["id"] for a in answers}) == 1
        assert sum("idempotency-replayed" not in a.headers for a in answers) == 1
        assert titles(server, True).count(key) == 1
        wait_for("the log lines", lambda: served.update(
            l["slot"] for l in server.log_lines("request")
            if l["request_id"] in {a.headers["x-request-id"] for a in answers}) or len(served) > 1, 5)


# ---- ownership --------------------------------------------------------------------------------

def test_somebody_elses_item_is_not_there(server, tokens):
    secret = create(server, "mine alone", body="secret").json
    missing = {"id": NOWHERE.rsplit("/", 1)[1]}
    for method, body in [("GET", None), ("HEAD", None), *CHANGES]:
        theirs = change(server, method, secret, body, token=tokens["other"])
        nobodys = change(server, method, missing, body, token=tokens["other"])
        assert theirs.status == nobodys.status == 404
        if method != "HEAD":
            same = [assert_problem(a, 404, "not-found") for a in (theirs, nobodys)]
            assert same[0]["detail"] == same[1]["detail"]
    for if_match in ('"1"', "*"):
        assert_problem(change(server, "DELETE", secret, None, if_match, tokens["other"]), 404)
    assert "mine alone" not in titles(server, tokens["other"])
    assert server.request("GET", f"/data/items/{secret['id']}").json == secret


def test_a_cursor_shows_nobody_elses_items(server, tokens):
    create(server, "before")
    create(server, "after")
    _, cursor = page(server, True, "?limit=1")
    ids = {i["id"] for i in page(server, True, "?limit=100")[0]}
    theirs, _ = page(server, tokens["other"], f"?limit=100&cursor={cursor}")
    assert not ids & {i["id"] for i in theirs}


# ---- health, openapi, log ---------------------------------------------------------------------

def test_health(server):
    answer = server.request("GET", "/health", token=False)
    assert answer.status == 200 and answer.headers["cache-control"] == "no-store"
    health = answer.json
    assert set(health) == {"status", "degraded", "reason", "load", "db", "workers",
                           "uptime_seconds", "version"}
    assert (health["status"], health["degraded"], health["reason"]) == ("healthy", False, None)
    assert health["load"] in ("normal", "stressed", "saturated")
    assert health["db"]["state"] == "up" and health["db"]["since"].endswith("Z")
    assert health["workers"] == {"configured": 3, "ready": 3, "degraded": 0, "restarting": 0,
                                 "quarantined": 0}
    assert isinstance(health["uptime_seconds"], int) and health["version"]
    assert server.request("GET", "/health/live", token=False).status == 200
    assert server.request("GET", "/health/ready", token=False).status == 200
    assert server.request("GET", "/health?probe=1", token=False).status == 200
    assert set(server.console("/health").json) == set(health)


def test_a_probe_is_answered_however_long_it_waited(make_server):
    """It may have come before anybody could answer: that is no reason to call the service late."""
    slow = make_server(workers=1, config={"hang.timeout": 30})
    pid = slow.worker_pids()[0]
    with Wire(slow.port) as probe, Wire(slow.port) as data:
        stop_process(pid)
        try:
            probe.send(head("GET", "/health"))
            data.send(head("GET", "/data/items", f"Authorization: Bearer {slow.token}",
                           "X-Request-Timeout-Ms: 500"))
            time.sleep(1.3)  # the pause is the act: longer than a probe may take
        finally:
            os.kill(pid, signal.SIGCONT)
        assert probe.answer().json["status"] in ("healthy", "degraded")
        assert_problem(data.answer(), 504, "deadline-exceeded")
    assert slow.worker_pids()[0] == pid


def test_openapi_is_true_to_the_code(server):
    answer = server.request("GET", "/openapi.json", token=False)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    document = answer.json
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert {"title", "version"} <= set(document["info"])
    offered = {(m, p) for p, item in document["paths"].items() for m in item if m != "parameters"}
    for method, path in offered:
        path = path.replace("{id}", create(server).json["id"])
        body = {"title": "t"} if method in ("post", "put", "patch") else None
        assert server.request(method.upper(), path, body).status not in (404, 405), (method, path)
    for path in document["paths"]:  # and every method the server knows is offered
        options = server.request("OPTIONS", path.replace("{id}", NOWHERE.rsplit("/", 1)[1]))
        known = set(options.headers["allow"].lower().split(", ")) - {"head", "options"}
        assert known == {m for m, p in offered if p == path}
    source = open("common/labels.h").read()
    router = set(re.findall(r'X\(\w+, \w+, "(GET|POST|PUT|PATCH|DELETE)", "(/[^"]+)"\)', source))
    assert {(m.lower(), p) for m, p in router} == offered
    assert set(re.findall(r'\{"(/[^"]+)", "', open("common/router.c").read())) <= set(document["paths"])


def references(node):
    if isinstance(node, dict):
        yield from [node["$ref"]] if "$ref" in node else []
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_openapi_is_whole(server):
    document = server.request("GET", "/openapi.json", token=False).json
    for reference in set(references(document)):
        node = document
        for word in reference.removeprefix("#/").split("/"):
            node = node[word]
    ids = [o["operationId"] for item in document["paths"].values()
           for m, o in item.items() if m != "parameters"]
    assert len(ids) == len(set(ids))
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                assert [s for s in operation["responses"] if s[0] in "23"], (path, method)


def test_request_lines_have_the_contracts_fields(server):
    answer = server.request("GET", "/data/items?limit=1", headers={"X-Retry-Attempt": "2"})
    line = request_line(server, answer.headers["x-request-id"])
    assert {"ts", "level", "event", "msg", "proc", "pid", "slot", "request_id", "method", "route",
            "status", "duration_us", "queue_us", "db_us", "user", "attempt"} <= set(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["ts"])
    assert (line["method"], line["route"], line["status"]) == ("GET", "/data/items", 200)
    assert (line["proc"], line["level"], line["user"], line["attempt"]) == ("worker", "info", "demo", 2)
    assert line["pid"] == server.worker_pids()[line["slot"]]
    assert 0 <= line["db_us"] <= line["duration_us"]
    refused = server.request("GET", NOWHERE)
    line = request_line(server, refused.headers["x-request-id"])
    assert line["reason"] == "not-found" and line["route"] == "/data/items/{id}"


def test_no_password_and_no_token_gets_into_the_log(server, tokens):
    secrets = [server.demo()["password"], server.token, *tokens.values(), "wrong-pass-word-1",
               "wrong.token.sig-na-ture"]
    server.request("POST", "/auth/login", {"username": "demo", "password": secrets[-2]}, token=False)
    server.request("GET", "/data/items", token=secrets[-1])
    server.request("GET", f"/data/items?access_token={server.token}")
    server.request("GET", f"/{server.token}")
    server.request("POST", "/auth/login", b'{"password":"wrong-pass-word-1",,}', token=False)
    with Wire(server.port) as wire:
        wire.send(f"GET /health HTTP/1.1\r\nAuthorization : Bearer {server.token}\r\n\r\n".encode())
        wire.answer()
    with Wire(server.port) as wire:
        wire.send(f"Bearer {server.token}\r\n\r\n".encode())
        wire.answer()
    last = server.request("GET", "/health").headers["x-request-id"]
    request_line(server, last)
    # --demo prints its login on stdout; the log is the lines of JSON
    log = json.dumps(server.log_lines())
    for secret in secrets:
        proof = secret.rsplit(".", 1)[-1]  # a token's signature, or all of a password
        assert len(proof) > 2 and proof not in log, secret
