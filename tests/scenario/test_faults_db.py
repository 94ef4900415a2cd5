# SPDX-License-Identifier: MIT
"""Faults of the database: what the service says of each, that it refuses no more than it must, and
that it is whole when the fault is over."""
import http.client
import sqlite3
import time

import pytest
from conftest import NOISE, Load, wait_for
from test_faults import bench, fault, hits, put_fault  # noqa: F401 (bench is a fixture)


def state(server):
    return server.health()["db"]["state"]


def assert_whole(server, titles):
    """Everything acknowledged is there, and the file is sound."""
    assert server.stop() == 0
    with sqlite3.connect(f"{server.data}/app.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stored = [t for (t,) in db.execute("SELECT title FROM items")]
    assert set(titles) <= set(stored) and len(stored) == len(set(stored))


@pytest.mark.parametrize("effect, says, read, slug", [
    ("full", "full", 200, "storage-full"),
    ("readonly", "read_only", 200, "read-only"),
    ("locked", "locked", 200, "locked"),
    ("down", "down", 503, "database-unavailable"),
])
def test_an_effect_on_all_is_seen_named_and_left_behind(bench, effect, says, read, slug):
    server = bench()
    acked = []

    def write():
        title = f"{effect}-{time.monotonic_ns()}"
        answer = server.request("POST", "/data/items", {"title": title})
        if answer.status == 201:
            acked.append(title)
        return answer
    assert write().status == 201
    pids = server.worker_pids()
    number = put_fault(server, "db", f"effect={effect}", "duration=60s")
    start = time.monotonic()
    wait_for(f"/health to say {says}", lambda: state(server) == says, 1 * NOISE)
    seen = time.monotonic() - start
    assert server.health()["degraded"] is True
    assert server.request("GET", "/data/items").status == read
    answer = write()
    assert answer.status == 503 and answer.json["type"] == f"/problems/{slug}", answer
    assert fault(server, number)["state"] == "active" and hits(server, "db") > 0
    server.ctl("faults", "clear", str(number))
    start = time.monotonic()
    wait_for("recovery", lambda: state(server) == "up" and write().status == 201, 2 * NOISE)
    print(f"{effect}: seen after {seen:.2f} s, over {time.monotonic() - start:.2f} s after it was "
          f"cleared, {hits(server, 'db'):.0f} calls hit")
    assert server.worker_pids() == pids and server.metric("worker_deaths_total") == 0
    begun = next(e for e in server.events() if e["event"] == "fault_start")
    down = next(e for e in server.events() if e["event"] == "db_unavailable")
    assert down["cause_id"] == begun["id"], (begun, down)
    assert_whole(server, acked)


def test_one_worker_alone_loses_its_descriptors(bench):
    """Its SQLite gets EBADF for every call, the others' is sound: they stay as they are, what was
    acknowledged is there, and the service is well when that worker has been replaced."""
    server = bench(workers=3)
    acked, answers = [], {}

    def write():
        title = f"write-{time.monotonic_ns()}"
        try:
            status = server.request("POST", "/data/items", {"title": title}).status
        except (OSError, http.client.HTTPException):
            status = "lost"
        answers[status] = answers.get(status, 0) + 1
        if status == 201:
            acked.append(title)
        return status
    old = server.worker_pids()
    number = put_fault(server, "close_fds", "target=worker:2")
    wait_for("the strike", lambda: fault(server, number)["end"] == "struck", 5 * NOISE)
    end = time.monotonic() + 6
    while time.monotonic() < end and server.worker_pids().get(2, old[2]) == old[2]:
        write()
    if server.worker_pids().get(2, old[2]) == old[2]:
        server.ctl("restart", "2", "--wait")  # it limps, but did not hold anybody up
    wait_for("health", lambda: server.health()["status"] == "healthy", 5 * NOISE)
    # its successor's breaker takes on more and more: the death was the database's (local_db_fault)
    wait_for("all to be served", lambda: [write() for _ in range(20)] == [201] * 20, 5 * NOISE)
    print(f"answers: {answers}")
    assert set(answers) <= {201, 503, "lost"} and answers.get("lost", 0) <= 1, answers
    pids = server.worker_pids()
    assert [pid for pid in pids.values() if pid in old.values()] == [old[0], old[1]]
    assert_whole(server, acked)


def test_a_spoilt_gate_is_named(bench):
    """Workers may write to the gate's page: a stray write there stops all writes, and is said."""
    server = bench()
    put_fault(server, "scribble", "into=gate")
    wait_for("the verdict", lambda: state(server) == "down", 1.5 * NOISE)
    down = next(e for e in server.events() if e["event"] == "db_unavailable")
    assert "gate is broken" in down["text"], down
    assert down["cause_id"] == next(e for e in server.events() if e["event"] == "fault_start")["id"]
    answer = server.request("POST", "/data/items", {"title": "x"})
    assert answer.status == 503 and answer.json["reason"] == "db_unavailable"
    assert server.metric("worker_deaths_total") == 0
    assert server.stop() == 0


def test_slow_reads_on_one_worker_are_its_own(bench):
    server = bench()
    put_fault(server, "db", "effect=slow", "op=begin", "delay=50ms", "target=worker:1")
    times = []
    for _ in range(24):
        start = time.monotonic()
        assert server.request("GET", "/data/items").status == 200
        times.append(time.monotonic() - start)
    slow = [t for t in times if t >= 0.05]
    print(f"{len(slow)} of {len(times)} reads were slow")
    assert 0 < len(slow) < len(times)
    assert state(server) == "up"


@pytest.mark.parametrize("workers, breaker", [(3, "30"), (2, "0")])
def test_reads_that_are_slow_for_all_workers_are_nobodys_fault(bench, workers, breaker):
    """The sentinel is spared, so the verdict stays up; every worker's threads go far beyond their
    deadlines. Restarting workers would not make the disk quicker."""
    server = bench(workers=workers, config={"deadline.read": "500", "breaker.window": breaker,
                                            "breaker.fast_window": "2" if breaker != "0" else "0"})
    old = server.worker_pids()
    load = Load(server, "--mix", "read=50,write=0,list=50", "--timeout", "1", "--connections", "900",
                "--no-audit", rps=100, duration=10)
    wait_for("load", lambda: server.metric("http_requests_total", code="200") > 100, 10 * NOISE)
    put_fault(server, "db", "effect=slow", "op=begin", "delay=2s", "target=all")
    wait_for("the stall to be told", lambda: [e for e in server.events()
                                              if e["event"] == "db_stalled"], 6 * NOISE)
    load.finish()  # some seconds more, in which the first ones used to be killed
    assert state(server) == "up"
    assert server.worker_pids() == old and server.metric("worker_deaths_total") == 0
    told = [e for e in server.events() if e["event"] == "db_stalled"]
    print([e["text"] for e in told])
    assert len(told) == 1 and "none is killed for it" in told[0]["text"]
    assert told[0]["cause_id"] == next(e for e in server.events() if e["event"] == "fault_start")["id"]
    server.ctl("faults", "clear", "all")
    wait_for("reads", lambda: server.request("GET", "/data/items").status == 200, 15 * NOISE)
    assert server.worker_pids() == old


def test_a_hanging_disk_hangs_until_it_is_cleared(bench):
    server = bench()
    put_fault(server, "db", "effect=hang", "op=sync")
    wait_for("the verdict to age", lambda: state(server) != "up", 4 * NOISE)
    start = time.monotonic()
    assert server.request("GET", "/data/items").status == 200
    assert time.monotonic() - start < 1 * NOISE
    server.ctl("faults", "clear")
    wait_for("writes", lambda: server.request("POST", "/data/items", {"title": "x"}).status == 201,
             3 * NOISE)
    wait_for("up", lambda: state(server) == "up", 3 * NOISE)


def test_torn_writes_lose_nothing_acknowledged(bench):
    server = bench()
    acked, failed = [], 0
    put_fault(server, "db", "effect=torn", "per_million=30000", "seed=9", "duration=20s")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        title = f"torn-{time.monotonic_ns()}"
        answer = server.request("POST", "/data/items", {"title": title, "body": "b" * 5000})
        if answer.status == 201:
            acked.append(title)
        else:
            failed += 1
            assert answer.status == 503, answer
    server.ctl("faults", "clear")
    print(f"{len(acked)} acknowledged, {failed} refused, {hits(server, 'db'):.0f} writes torn")
    assert acked and hits(server, "db") > 0
    wait_for("up", lambda: state(server) == "up", 3 * NOISE)
    assert_whole(server, acked)


def test_a_write_that_must_open_a_slow_database_is_no_hang(bench):
    """Opening begins several transactions: it ends 2 s and more beyond the write's deadline."""
    server = bench(config={"deadline.write": 500})
    pids = server.worker_pids()
    put_fault(server, "db", "effect=slow", "op=begin", "delay=900ms", "duration=10s")
    answer = server.request("POST", "/data/items", {"title": "late"}, timeout=15)
    assert answer.status in (503, 504), answer
    assert server.worker_pids() == pids and server.metric("worker_deaths_total") == 0
