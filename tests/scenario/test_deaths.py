# SPDX-License-Identifier: MIT
"""Death reports: one file for each death, of every thread, kept by the keeper."""
import json
import os
import signal
import stat
import time

import pytest

from conftest import NOISE, SANITIZED, Load, stop_process, wait_for


@pytest.fixture(autouse=True)
def crashes_end_as_without_sanitizers(monkeypatch):
    """Their runtime leaves SIGSEGV alone: it would report what is done here on purpose."""
    options = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv("ASAN_OPTIONS", ":".join(filter(None, [options, "handle_segv=0"])))


def directory(server):
    return os.path.join(server.data, "deaths")


def reports(server):
    """Parsed reports, oldest first."""
    found = []
    names = os.listdir(directory(server)) if os.path.isdir(directory(server)) else []
    for name in sorted(n for n in names if n.endswith(".json")):
        with open(os.path.join(directory(server), name)) as f:
            found.append(json.load(f))
    return found


def report_of(server, pid, limit_s=2 * NOISE):
    found = wait_for(f"the report on {pid}",
                     lambda: [r for r in reports(server) if r["pid"] == pid], limit_s)
    assert len(found) == 1
    return found[0]


def state_of(report):
    return next(l.split()[1] for l in report["proc"]["status"] if l.startswith("State:"))


def kill_and_wait(server, slot, number=signal.SIGKILL):
    """Kill the worker in a slot once it serves; returns its pid when another one serves."""
    old = wait_for("it to serve", lambda: (s := server.slots().get(slot)) and
                   s["state"] == "ready" and s, 10 * NOISE)
    os.kill(old["pid"], number)
    wait_for("the next", lambda: (s := server.slots().get(slot)) and s["state"] == "ready" and
             s["generation"] > old["generation"], 10 * NOISE)
    return old["pid"]


def test_a_crash_and_a_hang_are_reported(make_server):
    server = make_server(workers=2)
    load = Load(server, "--retry", "immediate", rps=40 if SANITIZED else 100, duration=60)
    wait_for("load", lambda: server.metric("http_requests_total", method="GET",
                                           route="/data/items/{id}") > 20, 20)
    slot, pid = next(iter(server.worker_pids().items()))
    os.kill(pid, signal.SIGSEGV)
    killed = time.monotonic()
    report = report_of(server, pid)
    took = time.monotonic() - killed
    print(f"reported {took:.2f} s after the kill")
    assert took < 2 * NOISE
    assert (report["kind"], report["slot"], report["generation"]) == ("worker", slot, 1)
    assert not report["asked"] and not report["hung"]
    assert report["class"] in ("signal", "core")
    assert report["manner"].startswith("killed by SIGSEGV")
    assert len(report["threads"]) == 64
    assert report["requests_lost"] == len([t for t in report["threads"] if t["in_request"]])
    for thread in report["threads"]:
        assert thread["stage_ms"] <= round(report["uptime_seconds"] * 1000)
    assert report["decision"].startswith("restarted")
    assert report["database"]["state"] == "up"
    assert report["proc"]["taken"] == "at reaping" and state_of(report) == "Z"
    died = [e for e in report["events"] if e["event"] == "worker_died"]
    assert died and died[-1]["pid"] == pid and len(report["events"]) <= 64

    stuck = next(p for s, p in server.worker_pids().items() if s != slot)
    stop_process(stuck)
    report = report_of(server, stuck, 5 * NOISE)
    assert report["class"] == "hung" and report["hung"]
    assert report["proc"]["taken"] == "before the kill" and state_of(report) == "T"
    assert report["proc"]["stat"].rsplit(")", 1)[1].split()[0] == "T"
    assert report["heartbeat_age_ms"] >= 500
    assert [e for e in report["events"] if e["event"] == "worker_hung" and e["pid"] == stuck]
    load.process.terminate()
    load.finish()

    assert stat.S_IMODE(os.stat(directory(server)).st_mode) == 0o700
    for name in os.listdir(directory(server)):
        assert stat.S_IMODE(os.stat(os.path.join(directory(server), name)).st_mode) == 0o600
    shown = server.ctl("deaths", "1").stdout
    assert "(hung)" in shown and "64 threads:" in shown and "T (stopped)" in shown, shown
    assert server.stop() == 0


def test_twenty_are_kept_and_a_dead_keeper_catches_up(make_server):
    server = make_server(workers=2)
    os.makedirs(directory(server), 0o700)
    for n in range(19):  # of runs before this one
        name = f"20200101T000000.{n:06d}Z-worker-0-{n + 1}.json"
        with open(os.path.join(directory(server), name), "w") as f:
            json.dump({"pid": -n, "class": "killed"}, f)
    killed = [kill_and_wait(server, 0) for _ in range(3)]
    wait_for("them to be written", lambda: [r["pid"] for r in reports(server)][-3:] == killed,
             2 * NOISE)
    assert len(reports(server)) == 20

    keeper = server.helper_pid("keeper")
    os.kill(keeper, signal.SIGSTOP)  # nobody writes until it is found hung or killed
    while_away = kill_and_wait(server, 1)
    assert while_away not in [r["pid"] for r in reports(server)]
    os.kill(keeper, signal.SIGKILL)
    wait_for("the next keeper to write",
             lambda: {while_away, keeper} <= {r["pid"] for r in reports(server)}, 5 * NOISE)
    pids = [r["pid"] for r in reports(server)]
    assert len(pids) == 20 and [p for p in pids if p > 0] == killed + [while_away, keeper]
    assert report_of(server, keeper)["kind"] == "keeper"

    assert server.stop() == 0
    listed = json.loads(server.ctl("deaths", "--json").stdout)["deaths"]  # the server is gone
    assert [d["pid"] for d in listed][:2] == [keeper, while_away]
    assert json.loads(server.ctl("deaths", "2", "--json").stdout)["pid"] == while_away
    assert json.loads(server.ctl("deaths", listed[0]["name"], "--json").stdout)["pid"] == keeper
    assert "worker 1" in server.ctl("deaths").stdout
    none = server.ctl("deaths", "21", check=False)
    assert none.returncode == 1 and "bulkheadctl deaths lists them" in none.stderr
    gone = server.ctl("-d", server.data + "-nowhere", "deaths", check=False)
    assert gone.returncode == 78 and "-d DATADIR" in gone.stderr


def test_an_asked_for_end_is_no_death(make_server):
    server = make_server(workers=2)
    server.ctl("reload", "--wait")
    assert server.stop() == 0
    assert "nobody has died" in server.ctl("deaths").stdout


def test_a_kill_from_outside_is_caused_by_nothing_we_know(make_server):
    server = make_server()
    for _ in range(2):  # also of one that took the place of another
        kill_and_wait(server, 0)
    died = [e for e in server.events() if e["event"] == "worker_died" and e["slot"] == 0]
    assert [e["cause_id"] for e in died] == [None, None], died
    again = [e for e in server.events() if e["event"] == "worker_restarted" and e["slot"] == 0]
    assert [e["cause_id"] for e in again] == [e["id"] for e in died]
