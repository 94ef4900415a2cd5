# SPDX-License-Identifier: MIT
"""When no worker can serve, the console answers on the public listeners and says why; nobody is
refused a connection; and it steps back as soon as a worker serves."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import threading
import time

import pytest

from conftest import BUILD, NOISE, counters_only_grow, wait_for
from wire import Wire, assert_problem, head, post

PROGRAMS = ("supervisor", "sentinel", "worker", "console")


class Fleet:
    """A server run from a copy of the build directory, whose worker can be made one that ends at
    once, and whole again."""

    def __init__(self, server, directory):
        self.server, self.directory = server, directory
        for name in PROGRAMS:
            shutil.copy(os.path.join(BUILD, name), directory)
        server.words[0] = os.path.join(directory, "supervisor")
        self.worker, self.aside = (os.path.join(directory, n) for n in ("worker", "worker.good"))

    def spoil(self):
        os.rename(self.worker, self.aside)
        script = self.worker + ".new"
        with open(script, "w") as f:
            f.write("#!/bin/sh\nexit 1\n")
        os.chmod(script, 0o755)
        os.rename(script, self.worker)

    def mend(self):
        os.rename(self.aside, self.worker)

    def kill_all(self):
        for pid in self.server.worker_pids().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def fall(self):
        """No worker can start any more; returns the first answer of the last resort."""
        self.spoil()
        self.kill_all()
        return wait_for("the last resort", lambda: self.last_resort(), 5 * NOISE)

    def ask(self, method="GET", path="/data/items", body=None, **more):
        return self.server.request(method, path, body, **more)

    def last_resort(self):
        try:
            answer = self.ask()
        except (OSError, http.client.HTTPException):
            return None
        return answer if answer.status == 503 and "no-workers" in answer.body.decode() else None

    def serves(self):
        try:
            return self.ask().status == 200
        except (OSError, http.client.HTTPException):
            return False


@pytest.fixture
def make_fleet(make_server, tmp_path):
    def make(**kwargs):
        config = {"restart.max_deaths": 100, **kwargs.pop("config", {})}
        server = make_server(start=False, config=config, **kwargs)
        return Fleet(server, str(tmp_path))
    return make


@pytest.fixture
def fleet(make_fleet):
    f = make_fleet()
    f.server.start()
    f.server.login()
    return f


class Visitors:
    """Connect again and again, one request each, and note what became of it."""

    def __init__(self, server, count=2):
        self.server, self.end = server, threading.Event()
        self.refused, self.reset, self.answers, self.lock = 0, 0, [], threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.end.wait(0.002):
            began = time.monotonic()
            try:
                answer = self.server.request("GET", "/data/items?limit=1", timeout=20)
                with self.lock:
                    self.answers.append((began, time.monotonic() - began, answer))
            except ConnectionRefusedError:
                self.refused += 1
            except (OSError, http.client.HTTPException):  # its worker was killed under it
                self.reset += 1

    def stop(self):
        self.end.set()
        for t in self.threads:
            t.join(30)
        return self


def of_last_resort(answers):
    return [a for a in answers if a[2].status == 503 and b"no-workers" in a[2].body]


def began_and_ended(server):
    return [e["event"] for e in server.events() if e["event"].startswith("last_resort")]


def test_it_answers_names_the_cause_and_steps_back(fleet):
    server = fleet.server
    visitors = Visitors(server)
    fell = time.monotonic()
    first = fleet.fall()
    assert time.monotonic() - fell < 2 * NOISE
    problem = assert_problem(first, 503, "no-workers")
    assert "restarted" in problem["detail"] or "starting" in problem["detail"], problem
    assert problem["reason"] == "no_workers" and "failed_to_start" in problem["detail"]
    assert first.headers["connection"] == "close" and first.headers["cache-control"] == "no-store"
    assert 1 <= int(first.headers["retry-after"]) <= 3

    health = fleet.ask(path="/health")
    assert health.status == 200 and health.json["status"] == "failing", health
    assert health.json["reason"] == "no_workers" and health.json["workers"]["ready"] == 0
    assert set(health.json) == set(server.console("/health").json)
    assert fleet.ask(path="/health/live").status == 200
    ready = fleet.ask(path="/health/ready")
    assert ready.status == 503 and ready.json == {"status": "not_ready"}
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    login = fleet.ask("POST", "/auth/login", {"username": "x", "password": "y"},
                      headers={"traceparent": trace, "X-Request-Id": "my-own"})
    problem = assert_problem(login, 503, "no-workers")
    assert problem["traceparent"] == trace == login.headers["traceparent"]
    assert problem["instance"] == "my-own"

    fleet.mend()
    wait_for("a worker", fleet.serves, 7 * NOISE)  # the longest wait before a restart is 5 s
    wait_for("its end", lambda: began_and_ended(server)[-1:] == ["last_resort_ended"], 2 * NOISE)
    ended = time.monotonic()
    wait_for("answers after it", lambda: len([a for a in visitors.answers if a[0] > ended]) > 20,
             10 * NOISE)
    visitors.stop()
    assert visitors.refused == 0, "a connection was refused"
    assert of_last_resort(visitors.answers)
    assert not of_last_resort(a for a in visitors.answers if a[0] > ended)
    assert began_and_ended(server) == ["last_resort_began", "last_resort_ended"]
    began = next(e for e in server.events() if e["event"] == "last_resort_began")
    assert began["kind"] == "console" and "failed_to_start" in began["text"], began
    assert server.stop() == 0


def test_what_it_answers_is_counted_and_logged_once_a_second(fleet):
    server = fleet.server
    fleet.fall()
    before, lines = server.metrics(), server.log_lines("last_resort")
    for _ in range(30):
        assert fleet.ask("DELETE", "/data/items/x").status == 503
        assert fleet.ask(path="/health").status == 200
    began = time.monotonic()
    while time.monotonic() - began < 2.5:
        assert fleet.ask(path="/nowhere").status == 503
    after = server.metrics()
    assert not counters_only_grow(before, after)

    def grown(name, **labels):
        return sum(v - before.get(k, 0) for k, v in after.items()
                   if k[0] == name and set(labels.items()) <= set(k[1]))
    route = {"method": "DELETE", "route": "/data/items/{id}", "code": "503"}
    assert grown("http_requests_total", **route) == 30
    assert grown("http_requests_total", route="/health", code="200") == 30
    assert grown("bulkhead_rejected_total", reason="no_workers", **{"class": "write"}) == 30
    assert grown("http_requests_total") == grown("accepts_total", slot="console")
    assert grown("http_requests_total") == grown("http_request_duration_seconds_count")
    # whatever a client's requests met, the sum over slots tells of all of them
    wait_for("the last line", lambda: sum(l["answered"] for l in server.log_lines("last_resort"))
             >= grown("http_requests_total"), 3 * NOISE)
    assert 1 <= len(server.log_lines("last_resort")) - len(lines) <= (
        time.monotonic() - began) + 2
    assert not [l for l in server.log_lines("request") if l["proc"] == "console"]
    # and so do the rates on the board
    assert server.state()["classes"]["write"]["refused_per_s"] > 0


def test_killing_all_workers_at_once_is_waited_for(make_server):
    """The ordinary restart of a whole fleet: nobody refused, nobody told that there is no worker."""
    server = make_server(workers=3)
    visitors = Visitors(server, count=4)
    for _ in range(3):
        generations = {s: v["generation"] for s, v in server.slots().items()}
        wait_for("visitors", lambda: len(visitors.answers) > 10, 10)
        for pid in server.worker_pids().values():
            os.kill(pid, signal.SIGKILL)
        wait_for("the fleet to be back", lambda: all(
            v["state"] == "ready" and v["generation"] > generations[s]
            for s, v in server.slots().items()) and len(server.slots()) == 3, 10 * NOISE)
    time.sleep(0.2)  # those who came last are answered too
    visitors.stop()
    print(f"{len(visitors.answers)} answers, {visitors.reset} cut, longest "
          f"{max(a[1] for a in visitors.answers) * 1000:.0f} ms")
    assert visitors.refused == 0
    assert {a[2].status for a in visitors.answers} == {200} or server.log_lines("last_resort")
    # A machine so busy that the fleet was away for a second has the last resort rightly.
    away = [e for e in server.events() if e["event"] == "last_resort_began"]
    assert not away or max(a[1] for a in visitors.answers) > 0.9, away
    assert not of_last_resort(visitors.answers) or away


def test_more_clients_than_it_has_places_for_wait(fleet):
    fleet.fall()
    port, clients = fleet.server.port, []
    for _ in range(200):
        clients.append(Wire(port, timeout=20 * NOISE))
    for c in clients[:100]:  # whoever asks first is not who came first
        c.send(head("GET", "/health/live"))
    for c in reversed(clients[100:]):
        c.send(head("GET", "/data/items"))
    statuses = [c.answer().status for c in clients]
    assert statuses == [200] * 100 + [503] * 100
    assert all(c.is_closed() for c in clients)
    for c in clients:
        c.socket.close()


def test_clients_that_say_nothing_or_little_do_not_hold_it(fleet):
    fleet.fall()
    port = fleet.server.port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    began = time.monotonic()
    assert fleet.ask(path="/health").status == 200
    assert time.monotonic() - began < 2 * NOISE  # the first of them were let go after a second
    for s in silent:
        s.close()
    slow, ends = [Wire(port, timeout=20 * NOISE) for _ in range(64)], threading.Event()
    for c in slow:
        c.send(b"GET /health HTT")

    def dribble():
        while not ends.wait(0.5):
            for c in slow:
                with contextlib.suppress(OSError):
                    c.send(b"P")
    t = threading.Thread(target=dribble, daemon=True)
    t.start()
    began = time.monotonic()
    assert fleet.ask(path="/health", timeout=20 * NOISE).status == 200
    assert time.monotonic() - began < 2 * NOISE  # while others wait, a second is enough for a head
    ends.set()
    t.join()
    assert_problem(slow[0].answer(), 408, "request-timeout")
    for c in slow:
        c.socket.close()
    # the console's own clients did not notice: they have other places
    assert fleet.server.console("/metrics").status == 200


def test_a_body_is_read_so_that_the_answer_is(fleet):
    fleet.fall()
    port = fleet.server.port
    with Wire(port) as c:  # more than any buffer holds
        c.send(post("/data/items", b"x" * (4 << 20)))
        assert_problem(c.answer(), 503, "no-workers")
        assert c.is_closed()
    with Wire(port) as c:  # one that waits to be told to go on
        c.send(head("POST", "/data/items", "Content-Length: 1000", "Expect: 100-continue"))
        assert_problem(c.answer(), 503, "no-workers")
        c.send(b"x" * 1000)
        assert c.is_closed()
    with Wire(port) as c:  # one that never sends it
        c.send(head("POST", "/data/items", "Content-Length: 1000"))
        assert_problem(c.answer(), 503, "no-workers")
        assert c.is_closed(4 * NOISE)
    with Wire(port) as c:
        c.send(head("POST", "/data/items", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n")
        assert_problem(c.answer(), 503, "no-workers")
    with Wire(port) as c:
        c.send(b"GET /" + b"x" * 20000)
        assert_problem(c.answer(), 431, "too-many-headers")
    for garbage in (b"\x16\x03\x01\x02\x00\x01", b"\r\n\r\n", b"GET\r\n\r\n", b"\0" * 100,
                    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n"):
        with Wire(port) as c:
            c.send(garbage)
            assert_problem(c.answer(), 503, "no-workers")
    with Wire(port) as c:
        c.send(head("HEAD", "/health"))
        assert c.answer("HEAD").status == 200
        assert c.is_closed()
    assert fleet.server.metric("helper_deaths_total") == 0


def test_a_killed_console_goes_on_with_it(fleet):
    server = fleet.server
    fleet.fall()
    before, old = server.metrics(), server.helper_pid("console")
    os.kill(old, signal.SIGKILL)

    def answered():  # the listeners are the supervisor's: nobody is refused meanwhile
        try:
            return fleet.ask().status == 503
        except ConnectionRefusedError:
            raise
        except (OSError, http.client.HTTPException):
            return False
    wait_for("an answer", answered, 5 * NOISE)
    wait_for("the new console", lambda: server.helper_pid("console") != old, 5 * NOISE)
    assert not counters_only_grow(before, server.metrics())
    assert began_and_ended(server) == ["last_resort_began"] * 2
    fleet.mend()
    wait_for("a worker", fleet.serves, 7 * NOISE)


def test_a_fleet_in_quarantine_answers_at_once_and_until_it_is_released(make_fleet):
    fleet = make_fleet(config={"restart.max_deaths": 1})
    server = fleet.server
    server.start()
    server.login()
    fleet.spoil()
    fleet.kill_all()
    wait_for("quarantine", lambda: server.metric("workers", state="quarantined") == 2, 15 * NOISE)
    answer = wait_for("the last resort", fleet.last_resort, 2 * NOISE)
    assert "2 are quarantined" in answer.json["detail"], answer
    fleet.mend()
    assert fleet.last_resort()  # a mended program alone brings nobody back
    began = time.monotonic()
    server.ctl("restart", "0")
    wait_for("the worker in slot 0", fleet.serves, 2 * NOISE)
    print(f"served {(time.monotonic() - began) * 1000:.0f} ms after the restart")


def test_a_stop_is_not_answered_for(fleet):
    """The queue is left to the next service; and one that is stopped in a last resort stops."""
    fleet.fall()
    began = time.monotonic()
    assert fleet.server.stop() == 0
    assert time.monotonic() - began < 4 * NOISE
    assert fleet.server.gone(2)


def test_drained_workers_leave_it_to_the_last_resort(make_server):
    server = make_server(workers=1)
    server.ctl("drain", "0")

    def cause():
        try:
            answer = server.request("GET", "/data/items")
        except (OSError, http.client.HTTPException):
            return None
        return answer.status == 503 and answer.json["detail"]
    wait_for("the drained slot", lambda: "all were drained" in (cause() or ""), 20 * NOISE)
    server.ctl("restart", "0")
    wait_for("it again", lambda: server.request("GET", "/data/items").status == 200, 5 * NOISE)


def test_without_a_console_connections_wait_for_a_worker(make_fleet):
    fleet = make_fleet(config={"console.listen": ""}, workers=1)
    server = fleet.server
    server.start(wait=False)

    def healthy():
        try:
            return server.health()["workers"]["ready"] == 1
        except (OSError, http.client.HTTPException, ValueError):
            return False
    wait_for("the server", healthy, 10 * NOISE)
    state = json.loads(server.ctl("status", "--json").stdout)
    assert not [s for s in state["slots"] if s["kind"] == "console" and s["pid"]]
    fleet.spoil()
    os.kill(next(s["pid"] for s in state["slots"] if s["kind"] == "worker" and s["pid"]),
            signal.SIGKILL)
    answers = []
    t = threading.Thread(target=lambda: answers.append(
        server.request("GET", "/health", token=False, timeout=30)), daemon=True)
    t.start()
    t.join(2)
    assert not answers, "somebody answered"
    fleet.mend()
    t.join(10 * NOISE)
    assert [a.status for a in answers] == [200]
    assert server.stop() == 0
