# SPDX-License-Identifier: MIT
"""Rate limits and the retry budget over HTTP: who asks too often is told so, and nobody else is."""
import http.client
import os
import re
import signal
import time

from conftest import NOISE, wait_for
from wire import assert_problem, forge, parts_of, signing_key

HERE, THERE = "198.51.100.1", "203.0.113.9"
LOGIN_LIMITS = {"ratelimit.login": 1, "ratelimit.login_burst": 3, "trusted_proxies": "127.0.0.1"}


def log_in(server, name, password, address=None):
    headers = {"X-Forwarded-For": address} if address else {}
    return server.request("POST", "/auth/login", {"username": name, "password": password},
                          headers=headers, token=False, timeout=30)


def assert_limited(answer, policy, quota, window_s, least_s=1):
    """429 with everything a client needs to know."""
    assert_problem(answer, 429, "rate-limited")
    wait_s = int(answer.headers["retry-after"])
    assert least_s <= wait_s <= window_s
    assert 0 < answer.json["retry_after_ms"] <= wait_s * 1000
    assert answer.headers["ratelimit-policy"] == f'"{policy}";q={quota};w={window_s}'
    left = re.fullmatch(rf'"{policy}";r=0;t=(\d+)', answer.headers["ratelimit"])
    assert left and wait_s <= int(left[1]) <= window_s


def test_a_flood_of_logins_is_limited_by_name_and_address(make_server):
    server = make_server(start=False, config=LOGIN_LIMITS)
    server.start()
    demo = server.demo()
    name, password = demo["username"], demo["password"]
    for left in (2, 1, 0):
        answer = log_in(server, name, "wrong", HERE)
        assert answer.status == 401, answer
        assert answer.headers["ratelimit-policy"] == '"login";q=3;w=180'
        assert answer.headers["ratelimit"].startswith(f'"login";r={left};t=')
    for _ in range(20):  # the flood: refused before anything is hashed
        assert_limited(log_in(server, name, "wrong", HERE), "login", 3, 180, least_s=20)
    assert server.metric("ratelimit_decisions_total", policy="login", result="allowed") == 3
    assert server.metric("ratelimit_decisions_total", policy="login", result="limited") == 20
    assert server.metric("logins_total", result="denied") == 3
    # Neither the right password helps, nor an address the client itself put in front.
    assert log_in(server, name, password, HERE).status == 429
    assert log_in(server, name, password, f"{THERE}, {HERE}").status == 429
    # The right user from elsewhere, and somebody else from here, are not affected.
    assert log_in(server, name, password, THERE).status == 200
    assert log_in(server, "somebody", "wrong", HERE).status == 401

    # The buckets outlive the workers.
    before = server.worker_pids()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_for("new workers", lambda: len(now := server.worker_pids()) == len(before)
             and not set(now.values()) & set(before.values()), 5 * NOISE)
    server.wait_ready()
    assert log_in(server, name, password, HERE).status == 429
    assert server.metric("ratelimit_decisions_total", policy="login", result="limited") == 23


def test_failures_of_a_name_are_limited_whatever_the_address(make_server):
    server = make_server(start=False, config={**LOGIN_LIMITS, "ratelimit.login_burst": 1})
    server.start()
    demo = server.demo()
    # A /64 is one client, the next one is another. What succeeds is no failure.
    assert log_in(server, demo["username"], demo["password"], "2001:db8::1").status == 200
    assert log_in(server, demo["username"], demo["password"], "2001:db8::2").status == 429
    began, failures = time.monotonic(), 0
    while (answer := log_in(server, demo["username"], "wrong",
                            f"2001:db8:0:{failures + 1}::1")).status == 401:
        failures += 1
        assert failures < 40
    # Ten, and what came back meanwhile: one in six seconds, for hashing takes its time.
    assert 10 <= failures <= 10 + (time.monotonic() - began) / 6
    answer = log_in(server, demo["username"], demo["password"], THERE)
    assert_limited(answer, "login_failures", 10, 60)
    assert server.metric("ratelimit_decisions_total", policy="login_failures",
                         result="limited") == 2
    assert log_in(server, "somebody", "wrong", THERE).status == 401


def test_reads_and_writes_are_limited_by_user(make_server):
    server = make_server(config={"ratelimit.read": 1, "ratelimit.read_burst": 4,
                                 "ratelimit.write": 1, "ratelimit.write_burst": 2})
    header, claims = parts_of(server.token)
    other = forge(signing_key(server), {**claims, "sub": "another", "uid": 4711}, header)

    def write():
        return server.request("POST", "/data/items", {"title": "one of two"})

    def read(token=True):
        return server.request("GET", "/data/items", token=token)

    answers = [write() for _ in range(20)]
    assert answers[0].status == answers[1].status == 201
    assert answers[0].headers["ratelimit-policy"] == '"write";q=2;w=2'
    assert answers[0].headers["ratelimit"] == '"write";r=1;t=1'
    limited = [a for a in answers if a.status == 429]
    assert len(limited) >= 20 - 2 - 3 * NOISE  # one more a second
    assert_limited(limited[0], "write", 2, 2)
    # What was refused had no effect, and reads have a limit of their own.
    page = read()
    assert len(page.json["items"]) == 20 - len(limited)
    assert page.headers["ratelimit-policy"] == '"read";q=4;w=4'
    reads = [read() for _ in range(20)]
    limited = [a for a in reads if a.status == 429]
    assert [a.status for a in reads[:3]] == [200] * 3 and len(limited) >= 20 - 3 - 3 * NOISE
    assert_limited(limited[0], "read", 4, 4)
    # Another user is unaffected; and who waits is served again.
    assert read(token=other).headers["ratelimit"] == '"read";r=3;t=1'
    wait_for("a read after the wait", lambda: read().status == 200, 4, 0.2)
    # A token that is not good charges nobody: it is refused before.
    assert "ratelimit" not in read(token="none.of.ours").headers
    assert server.metric("ratelimit_decisions_total", policy="write", result="limited") >= 10
    assert server.metric("ratelimit_decisions_total", result="passed_full") == 0


def test_0_is_no_limit(make_server):
    server = make_server(config={f"ratelimit.{what}": 0 for what in ("login", "read", "write")})
    for _ in range(10):
        answer = server.request("GET", "/data/items")
        assert answer.status == 200 and "ratelimit" not in answer.headers
    answer = server.request("POST", "/data/items", {"title": "free"})
    assert answer.status == 201 and "ratelimit-policy" not in answer.headers
    assert log_in(server, "somebody", "wrong").status == 401
    assert server.metric("ratelimit_decisions_total") == 0


def attempts(server, count, attempt):
    """Reads on one connection, as this attempt; their answers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        return [server.request("GET", "/data/items?limit=1", connection=connection,
                               headers={"X-Retry-Attempt": str(attempt)}) for _ in range(count)]
    finally:
        connection.close()


def test_retries_beyond_the_budget_are_refused_first(make_server):
    server = make_server(workers=1)
    assert all(a.status == 200 for a in attempts(server, 299, 0))  # 300 with the login
    retries = attempts(server, 100, 1)
    refused = [a for a in retries if a.status == 503]
    assert [a.status for a in retries[:60]] == [200] * 60 and len(refused) == 40
    for answer in refused:
        assert_problem(answer, 503, "retry-budget")
        assert 2 <= int(answer.headers["retry-after"]) <= 6
    assert len({a.headers["retry-after"] for a in refused}) > 2  # spread
    assert all(a.status == 200 for a in attempts(server, 10, 0))  # first attempts go on
    assert server.metric("bulkhead_rejected_total", **{"class": "read",
                                                       "reason": "retry_budget"}) == 40
    assert server.metric("http_attempts_total", attempt="1") == 100


def test_without_shedding_there_is_no_retry_budget(make_server):
    server = make_server(workers=1, config={"overload.shed": "off"})
    assert all(a.status == 200 for a in attempts(server, 100, 1))
