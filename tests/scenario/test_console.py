# SPDX-License-Identifier: MIT
"""The console keeps to itself: it answers reads to names it knows, tells nobody's name, and is not
starved by those who say nothing."""
import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import time

import pytest

from conftest import NOISE, SANITIZED, wait_for
from test_faults import put_fault
from outage import move
from wire import Wire, add_users, assert_problem, head, login_as

PATHS = ("/metrics", "/health", "/api/state", "/api/events", "/api/events?since=0")


def ask(server, data, method="GET"):
    with Wire(server.console_port) as wire:
        wire.send(data)
        return wire.answer(method)


def local(method, path, *lines):
    return head(method, path, *lines, host="127.0.0.1")


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_a_body(server, path):
    with Wire(server.console_port) as wire:  # a body would be taken for the next answer
        wire.send(local("HEAD", path))
        first = wire.answer("HEAD")
        wire.send(local("GET", path))
        second = wire.answer()
    assert first.status == second.status == 200 and first.body == b"" and second.body
    assert int(first.headers["content-length"]) > 0
    assert set(first.headers) == set(second.headers)
    assert first.headers["content-type"] == second.headers["content-type"]
    assert first.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FROB"])
def test_it_only_reads(server, method):
    for path in (*PATHS, "/", "/nowhere"):
        answer = ask(server, local(method, path))
        assert_problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "GET, HEAD" and answer.headers["connection"] == "close"


@pytest.mark.skipif(SANITIZED, reason="their allocator aborts where malloc would return NULL")
def test_no_memory_is_called_so(make_server):
    """The board is readable, and nobody should look there."""
    server = make_server()
    slots = json.loads(server.ctl("workers", "--json").stdout)  # the console itself has used little yet
    console = next(s["pid"] for s in slots if s["kind"] == "console")
    soft, hard = resource.prlimit(console, resource.RLIMIT_DATA)
    resource.prlimit(console, resource.RLIMIT_DATA, (4096, hard))  # 0 would be none
    for path in ("/api/events", "/api/state"):  # a single large piece each
        assert_problem(ask(server, local("GET", path)), 503, "no-memory")
    resource.prlimit(console, resource.RLIMIT_DATA, (soft, hard))
    assert server.console("/api/events").status == 200


def test_it_answers_to_names_it_knows(make_server):
    server = make_server(config={"console.hosts": "ops.example.org"})
    for path in (*PATHS, "/", "/nowhere"):
        for host in ("evil.example", "127.0.0.1.evil.example", "ops.example.org.evil", "x"):
            assert_problem(ask(server, head("GET", path, host=host)), 421, "misdirected-request")
            assert ask(server, head("HEAD", path, host=host), "HEAD").status == 421
        for hosts in ((), ("localhost", "localhost")):
            lines = [f"Host: {h}" for h in hosts]
            assert_problem(ask(server, head("GET", path, *lines, host=None)), 400, "bad-host")
    for host in ("ops.example.org:8081", "localhost", "[::1]:1", "127.0.0.1"):
        assert ask(server, head("GET", "/metrics", host=host)).status == 200


def test_what_is_too_long_or_no_request(server):
    for size in (200, 2000, 8000):
        assert_problem(ask(server, local("GET", "/" + "a" * size)), 404, "not-found")
        assert ask(server, local("GET", "/metrics?" + "a" * size)).status == 200
    assert_problem(ask(server, local("GET", "/" + "a" * 20000)), 431, "too-many-headers")
    assert_problem(ask(server, local("GET", "/", *(f"x{i}: y" for i in range(70)))), 431,
                   "too-many-headers")
    for garbage in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n"):
        assert_problem(ask(server, garbage), 400, "malformed-request")
    for version in ("2.0", "x"):
        assert_problem(ask(server, head("GET", "/", host="127.0.0.1", version=version)), 505,
                       "http-version-not-supported")
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/metrics/", "/METRICS", "/%6",
                 "/api/state%00"):
        assert ask(server, local("GET", path)).status in (400, 404), path
    for query in ("since=x", "since=-1", "since=", "since=99999999999999999999"):
        assert_problem(ask(server, local("GET", "/api/events?" + query)), 400, "bad-query")
    assert server.metric("helper_deaths_total") == 0


def test_its_problems_carry_the_trace(server):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    answer = ask(server, local("GET", "/nowhere", f"traceparent: {trace}", "X-Request-Id: mine"))
    problem = assert_problem(answer, 404, "not-found")
    assert problem["traceparent"] == trace == answer.headers["traceparent"]
    assert problem["instance"] == "mine"
    answer = ask(server, local("GET", "/nowhere", "traceparent: 00-x", "X-Request-Id: a b"))
    assert "traceparent" not in answer.headers and "traceparent" not in answer.json
    assert answer.json["instance"] != "a b"


def test_a_thousand_idle_connections_starve_nobody(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    idle = []
    try:
        for n in range(1000):
            s = socket.create_connection(("127.0.0.1", server.console_port), timeout=10)
            if n % 3 == 1:
                s.sendall(local("GET", "/health"))  # served once, then kept alive and idle
            if n % 3 == 2:
                s.sendall(b"GET /metrics HTT")
            idle.append(s)
        longest = 0
        for _ in range(20):
            began = time.monotonic()
            assert server.console("/metrics").status == 200
            assert server.health()["status"] == "healthy"
            longest = max(longest, time.monotonic() - began)
        print(f"longest scrape beside 1000 idle connections: {longest * 1000:.0f} ms")
        assert longest < 0.5 * NOISE
    finally:
        for s in idle:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_of_a_user_is_told(make_server):
    """Whatever happens to a user's requests: the console, its events and the death reports tell of
    routes and numbers, never of names, tokens or content."""
    server = make_server(config={"faults.enabled": "yes", "breaker.open": 1})
    secrets = ["zaphod.b@heart-of-gold", "improbable-title", "wrong-password-42"]
    assert server.stop() == 0
    add_users(server, secrets[0])
    server.start()
    server.token = login_as(server, secrets[0])
    secrets += [server.token.rsplit(".", 1)[1], server.demo()["password"]]
    body = {"title": secrets[1]}

    def everything():
        for words in (("POST", "/data/items", body), ("GET", "/data/items"),
                      ("GET", "/data/items/" + secrets[1]), ("GET", "/" + secrets[0]),
                      ("POST", "/data/items", {"tittle": secrets[1]})):
            with contextlib.suppress(OSError, http.client.HTTPException):
                server.request(*words, headers={"Idempotency-Key": secrets[1]}, timeout=5)

    def log_in_wrongly():
        with contextlib.suppress(OSError, http.client.HTTPException):
            server.request("POST", "/auth/login",
                           {"username": secrets[0], "password": secrets[2]}, timeout=5)
    everything()
    log_in_wrongly()
    for fault in (("crash", "route=POST:/data/items", "point=request", "target=any"),
                  ("crash", "point=in_commit", "target=any"),
                  ("error", "class=read", "duration=300ms")):
        put_fault(server, *fault)
        for _ in range(12):
            everything()
        server.ctl("faults", "clear", "all", check=False)
    put_fault(server, "db", "effect=ioerr", "op=begin", "target=worker:1")
    wait_for("a breaker to open", lambda: everything() or "breaker_open" in
             {e["event"] for e in server.events()}, 10 * NOISE)
    server.ctl("faults", "clear", "all")
    move(server, "app.db")
    wait_for("the verdict", lambda: server.health()["db"]["state"] == "moved", 5 * NOISE)
    everything()
    log_in_wrongly()
    move(server, "app.db", back=True)
    for pid in server.worker_pids().values():
        os.kill(pid, signal.SIGKILL)
    wait_for("recovery", lambda: server.health()["workers"]["ready"] == 2, 10 * NOISE)
    everything()
    kinds = {e["event"] for e in server.events()}
    assert {"worker_died", "db_unavailable", "fault_start", "breaker_open"} <= kinds, sorted(kinds)
    told = {path: server.console(path).body.decode() for path in PATHS}
    told["events"] = server.ctl("events", "--json").stdout
    told["top"] = server.ctl("top", "--once").stdout
    directory = os.path.join(server.data, "deaths")
    for name in os.listdir(directory):
        with open(os.path.join(directory, name)) as f:
            told[name] = f.read()
    assert len(told) > len(PATHS) + 2
    for where, text in told.items():
        for secret in secrets:
            assert secret not in text, (where, secret)
