# SPDX-License-Identifier: MIT
"""A route that kills workers is taken out of service, and nothing else is."""
import ctypes
import json
import os
import signal
import socket

import pytest

from conftest import NOISE, wait_for

libc = ctypes.CDLL(None, use_errno=True)
BODY_BYTES = 100_000  # the door admits it when 64 KiB are there; a thread waits for the rest


@pytest.fixture(autouse=True)
def crashes_end_as_without_sanitizers(monkeypatch):
    """Their runtime leaves SIGSEGV alone: it would report what is done here on purpose."""
    options = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv("ASAN_OPTIONS", ":".join(filter(None, [options, "handle_segv=0"])))


def started_request(server, method, path):
    """A connection whose request is in a thread's hands, which waits for the end of its body."""
    s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    s.sendall((f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               f"Authorization: Bearer {server.token}\r\n"
               f"Content-Length: {BODY_BYTES}\r\n\r\n").encode() + b" " * 70_000)
    return s


def request_threads(pid):
    """Request threads of a worker: tid -> times it has slept."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm") as f:
            if f.read().strip() != "civetweb-worker":
                continue
        with open(f"/proc/{pid}/task/{tid}/status") as f:
            found[int(tid)] = next(line for line in f if line.startswith("voluntary_ctxt"))
    return found


def settled_threads(pid):
    """The same, when none of them is about to sleep after a request before."""
    seen = []

    def same_twice():
        seen.append(request_threads(pid))
        return len(seen) > 1 and seen[-1] == seen[-2]
    wait_for("threads to sleep", same_twice, 5 * NOISE, 0.05)
    return seen[-1]


def woken_since(pid, before):
    return [tid for tid, slept in request_threads(pid).items() if before.get(tid) != slept]


def in_stage(server, stage):
    return sum(s.get("threads", {}).get(stage, 0) for s in server.state()["slots"])


def take(server, pid, method, path):
    """Start a request; returns its socket and the thread that has it, the one that woke up."""
    before, reading = settled_threads(pid), in_stage(server, "read_body")
    s = started_request(server, method, path)
    wait_for("a thread to have it", lambda: in_stage(server, "read_body") == reading + 1, 5 * NOISE)
    woken = wait_for("it to sleep", lambda: woken_since(pid, before), 5 * NOISE)
    assert len(woken) == 1, woken
    return s, woken[0]


def serving(server):
    """The worker of a fleet of one, once it serves."""
    def ready():
        try:
            return [s for s in server.slots().values() if s["state"] == "ready"]
        except OSError:
            return None
    return wait_for("a worker to serve", ready, 10 * NOISE)[0]


def crash_in(server, method, path, beside):
    """SIGSEGV to the thread that has a request of this route, while another route is in flight."""
    worker = serving(server)
    other, _ = take(server, worker["pid"], *beside)
    s, tid = take(server, worker["pid"], method, path)
    assert libc.tgkill(worker["pid"], tid, signal.SIGSEGV) == 0
    wait_for("it to die", lambda: serving(server)["generation"] > worker["generation"], 10 * NOISE)
    s.close()
    other.close()
    return worker["pid"]


def events(server, name):
    return [e for e in server.events() if e["event"] == name]


def report_of(server, pid):
    listed = json.loads(server.ctl("deaths", "--json").stdout)["deaths"]
    names = [d["name"] for d in listed if d["pid"] == pid]
    return names and json.loads(server.ctl("deaths", names[0], "--json").stdout)


def post(server):
    return server.request("POST", "/data/items", {"title": "one"})


def shut(server):
    return server.metric("route_quarantined", method="POST", route="/data/items")


def test_a_route_that_kills_is_shut_tried_and_released(make_server):
    server = make_server(workers=1, config={"route.quarantine": 3, "restart.max_deaths": 2,
                                            "deadline.write": 20000, "deadline.read": 20000})
    item = post(server).json["id"]
    beside = ("PUT", f"/data/items/{item}")
    pids = [crash_in(server, "POST", "/data/items", beside) for _ in range(3)]

    refused = post(server)
    assert refused.status == 503, refused
    assert refused.json["type"] == "/problems/route-quarantined"
    assert int(refused.headers["retry-after"]) >= 1
    assert shut(server) == 1
    assert server.metric("route_quarantined") == 1  # no other
    assert server.request("GET", f"/data/items/{item}").status == 200
    assert server.request("PUT", f"/data/items/{item}", {"title": "two"}).status == 200
    assert server.login() and server.health()["workers"]["ready"] == 1
    assert server.metric("bulkhead_rejected_total", reason="route_quarantined",
                         **{"class": "write"}) >= 1
    said, = events(server, "route_quarantined")
    died = [e for e in events(server, "worker_died") if e["pid"] in pids]
    assert len(died) == 3 and said["cause_id"] == died[-1]["id"]
    report = wait_for("the report", lambda: report_of(server, pids[-1]), 2 * NOISE)
    assert report["blamed_route"] == "POST /data/items"
    fatal, = [t for t in report["threads"] if t.get("fatal")]
    assert fatal["route"] == "/data/items" and report["requests_lost"] == 2
    assert report["decision"].startswith("restarted at once; not charged")

    # The slot is not charged with them: a third death of its own would quarantine it.
    worker = serving(server)
    os.kill(worker["pid"], signal.SIGSEGV)
    wait_for("another", lambda: serving(server)["generation"] > worker["generation"], 10 * NOISE)

    # The trial: one request is let through, and kills again.
    def held():
        return server.metric("http_requests_total", method="POST", route="/data/items", code="503")
    worker = serving(server)
    wait_for("a trial", lambda: try_crash(server, worker["pid"]), 10 * NOISE, 0.1)
    wait_for("it to die", lambda: serving(server)["generation"] > worker["generation"], 10 * NOISE)
    again = wait_for("it to be shut again", lambda: events(server, "route_quarantined")[1:], 5)
    assert "6 s, then" in again[0]["text"]  # twice as long
    assert post(server).status == 503
    report = wait_for("the report", lambda: report_of(server, worker["pid"]), 2 * NOISE)
    assert report["decision"].startswith("restarted at once; not charged")

    # The next trial is answered, nobody else is until a second has passed.
    before = held()
    wait_for("the next trial", lambda: post(server).status == 201, 12 * NOISE, 0.1)
    assert held() > before
    assert post(server).status == 503
    wait_for("the release", lambda: events(server, "route_released"), 3 * NOISE)
    assert post(server).status == 201 and shut(server) == 0
    assert not events(server, "worker_quarantined")
    assert server.stop() == 0


def try_crash(server, pid):
    """Ask before sending a body: 503 while the route is shut; who may go on is the trial, and its
    thread is crashed."""
    before = settled_threads(pid)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall((f"POST /data/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   f"Authorization: Bearer {server.token}\r\nExpect: 100-continue\r\n"
                   f"Content-Length: {BODY_BYTES}\r\n\r\n").encode())
        if b" 100 " not in s.recv(100):
            return False
        woken = wait_for("its thread to sleep", lambda: woken_since(pid, before), 5 * NOISE)
        assert len(woken) == 1, woken
        return libc.tgkill(pid, woken[0], signal.SIGSEGV) == 0


def test_deaths_by_several_routes_blame_none(make_server):
    """A signal to the process and not to a thread, with two routes in flight."""
    server = make_server(workers=1, config={"deadline.write": 20000})
    item = post(server).json["id"]
    for _ in range(3):
        worker = serving(server)
        sockets = [take(server, worker["pid"], *what)[0] for what in
                   (("POST", "/data/items"), ("PUT", f"/data/items/{item}"))]
        os.kill(worker["pid"], signal.SIGSEGV)
        wait_for("it to die", lambda: serving(server)["generation"] > worker["generation"],
                 10 * NOISE)
        for s in sockets:
            s.close()
    assert post(server).status == 201
    assert server.metric("route_quarantined") == 0 and not events(server, "route_quarantined")
    assert server.stop() == 0


def test_a_route_with_a_fault_is_shut(make_server):
    server = make_server(workers=2, config={"faults.enabled": "yes"})
    server.ctl("faults", "set", "crash", "point=request", "route=POST:/auth/login", "target=all",
               "signal=SEGV", "repeat=yes")

    def refused():
        try:
            answer = server.request("POST", "/auth/login", server.demo(), token=False)
            return answer.status == 503 and "route-quarantined" in answer.json["type"]
        except OSError:
            return False
    wait_for("the route to be shut", refused, 10 * NOISE)
    # The workers that died of it may still wait for their restart; the last resort says so.
    wait_for("the others to be served", lambda: server.request("GET", "/data/items").status == 200,
             2 * NOISE)
    assert [e for e in events(server, "route_quarantined") if "/auth/login" in e["text"]]
