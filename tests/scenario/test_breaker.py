# SPDX-License-Identifier: MIT
"""The circuit breaker: a worker whose own calls fail refuses without calling, the others serve; it
tries again by itself, its successor goes on with it, and the verdict on the database overrules it."""
import contextlib
import os
import re
import signal
import time

from conftest import NOISE, wait_for
from test_faults import bench, put_fault  # noqa: F401 (bench is a fixture)

READS_FAIL = ("db", "effect=ioerr", "op=begin", "target=worker:1")


def breakers(server, dependency="db_read"):
    """Slot -> state of its breaker, of the workers that live."""
    return {slot: s["breakers"][dependency]["state"] for slot, s in server.slots().items()
            if s.get("breakers") and s["breakers"][dependency]}


def read(server):
    return server.request("GET", "/data/items")


def read_until(server, what, condition, limit_s, killed=False):
    """Go on reading, a new connection each time, until the condition holds; the answers. killed: a
    worker may be, with one of these reads in its hands."""
    answers = []

    def step():
        with contextlib.suppress(*[ConnectionError] if killed else []):
            answers.append(read(server))
        return condition()
    wait_for(what, step, limit_s, 0.002)
    return answers


def kinds(answers):
    found = {}
    for a in answers:
        kind = a.status if a.status == 200 else a.json["type"]
        found[kind] = found.get(kind, 0) + 1
    return found


def transitions(server, reason, **labels):
    return server.metric("circuit_breaker_transitions_total", reason=reason, **labels)


def events(server, slot=1):
    return [e for e in server.events() if e["event"].startswith("breaker_") and e["slot"] == slot]


def shown(server):
    """What status says of breakers: nothing of those that are closed."""
    return server.ctl("status").stdout.partition("Circuit breakers that are not closed\n")[2]


def open_it(server):
    read_until(server, "worker 1's breaker to open", lambda: breakers(server)[1] == "open",
               5 * NOISE)


def test_one_worker_refuses_and_the_others_serve(bench):
    server = bench(workers=3, config={"breaker.open": "3"})
    old = server.worker_pids()
    number = put_fault(server, *READS_FAIL)
    began = time.monotonic()
    open_it(server)
    opened = time.monotonic() - began
    assert breakers(server) == {0: "closed", 1: "open", 2: "closed"}
    assert breakers(server, "db_write") == {0: "closed", 1: "closed", 2: "closed"}
    errors = server.metric("db_errors_total", op="read", code="ioerr")
    answers = [read(server) for _ in range(90)]
    found, refused = kinds(answers), [a for a in answers if a.status != 200]
    assert set(found) == {200, "/problems/circuit-open"} and found[200] > len(refused), found
    for answer in refused:
        assert answer.json["dependency"] == "db_read", answer
        assert 0 < answer.json["retry_after_ms"] <= 4300
        assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert server.metric("db_errors_total", op="read", code="ioerr") == errors  # nobody asked
    assert server.metric("bulkhead_rejected_total", reason="circuit_open") == len(refused)
    assert server.metric("circuit_breaker_state", dep="db_read", slot="1") == 1
    assert server.health()["status"] == "healthy" and server.health()["db"]["state"] == "up"
    wait_for("a probe to fail", lambda: read(server) and transitions(server, "probe_failed") > 0,
             5 * NOISE)
    server.ctl("faults", "clear", str(number))
    began = time.monotonic()
    read_until(server, "it to close", lambda: breakers(server)[1] == "closed", 5 * NOISE)
    print(f"open after {opened:.2f} s, {found}; closed {time.monotonic() - began:.2f} s after")
    wait_for("the end of the ramp", lambda: {read(server).status for _ in range(40)} == {200},
             3 * NOISE)
    assert server.worker_pids() == old and server.metric("worker_deaths_total") == 0
    told = [e["event"] for e in events(server)]
    assert told[:2] == ["breaker_open", "breaker_half_open"] and told[-1] == "breaker_closed", told
    assert not events(server, 0) and not events(server, 2)
    assert {l["child_slot"] for l in server.log_lines("breaker_open")} == {1}


def test_a_worker_killed_during_its_probe_does_not_wedge_it(bench):
    server = bench(workers=2, config={"breaker.open": "1"})
    number = put_fault(server, *READS_FAIL)
    open_it(server)
    server.ctl("faults", "clear", str(number))
    number = put_fault(server, "db", "effect=slow", "op=begin", "delay=900ms", "target=worker:1")
    pid = server.worker_pids()[1]

    def probing():
        # Read with little patience: the probe itself is what takes long.
        try:
            server.request("GET", "/data/items", timeout=0.05)
        except OSError:
            pass
        return breakers(server).get(1) == "half_open"
    wait_for("a probe", probing, 10 * NOISE, 0.002)
    os.kill(pid, signal.SIGKILL)
    server.ctl("faults", "clear", str(number))
    wait_for("its successor", lambda: server.worker_pids().get(1, pid) != pid, 5 * NOISE)
    wait_for("health", lambda: server.health()["workers"]["ready"] == 2, 5 * NOISE)
    read_until(server, "it to close", lambda: breakers(server).get(1) == "closed", 8 * NOISE)
    assert transitions(server, "probe_succeeded", slot="1") == 1
    assert server.metric("worker_deaths_total", **{"class": "killed"}) == 1


def test_the_verdict_holds_and_releases_all(bench):
    server = bench(workers=2, config={"breaker.open": "300"})
    assert not shown(server)
    number = put_fault(server, *READS_FAIL)
    open_it(server)
    server.ctl("faults", "clear", str(number))
    assert re.search(r"worker 1 +db_read +open +for .*: next probe in (2[6-9]\d|3[0-3]\d)\.\d s",
                     shown(server)), shown(server)
    number = put_fault(server, "db", "effect=down")
    wait_for("all to be held", lambda: set(breakers(server).values()) == {"forced_open"},
             3 * NOISE)
    answer = read(server)
    assert answer.status == 503 and answer.json["type"] == "/problems/database-unavailable"
    assert shown(server).count("forced_open") >= 2, shown(server)
    server.ctl("faults", "clear", str(number))
    wait_for("the verdict", lambda: server.health()["db"]["state"] == "up", 5 * NOISE)
    began = time.monotonic()
    wait_for("the fence to be lifted", lambda: read(server).status == 200, 1 * NOISE, 0.001)
    assert {read(server).status for _ in range(50)} == {200}  # no ramp, no probe
    wait_for("all to be closed", lambda: set(breakers(server).values()) == {"closed"}, 1 * NOISE)
    print(f"all closed {time.monotonic() - began:.2f} s after the verdict")
    assert transitions(server, "released", dep="db_read") == 2
    wait_for("status to say nothing of them", lambda: not shown(server), 1 * NOISE)
    assert events(server)[-1]["event"] == "breaker_closed"
    assert not events(server, 0)  # the verdict's event says it for who was not open before


def test_a_worker_whose_breaker_stays_open_is_replaced(bench):
    server = bench(workers=3, config={"breaker.open": "4"})
    old = server.worker_pids()
    number = put_fault(server, *READS_FAIL)
    open_it(server)
    began = time.monotonic()

    def accused():
        return [e for e in server.events() if e["event"] == "worker_accused"]
    read_until(server, "the accusation", accused, 14 * NOISE, killed=True)
    took = time.monotonic() - began
    server.ctl("faults", "clear", str(number))
    print(f"accused after {took:.1f} s: {accused()[0]['text']}")
    assert 9.5 <= took
    assert "circuit breaker of db_read has been open for 10 s" in accused()[0]["text"]
    wait_for("its successor", lambda: server.worker_pids().get(1, old[1]) != old[1], 5 * NOISE)
    wait_for("health", lambda: server.health()["workers"]["ready"] == 3, 5 * NOISE)
    assert transitions(server, "local_db_fault", slot="1", dep="db_write") == 1
    read_until(server, "it to close", lambda: breakers(server).get(1) == "closed", 8 * NOISE)
    now = server.worker_pids()
    assert (now[0], now[2]) == (old[0], old[2])
    assert server.metric("worker_deaths_total", **{"class": "local_db_fault"}) == 1
