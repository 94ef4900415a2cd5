# SPDX-License-Identifier: MIT
"""Hanging: who shows no life is found and replaced; who only waits is left alone."""
import os
import re
import shutil
import signal
import socket
import time

import pytest

from conftest import NOISE, SANITIZED, Load, program, wait_for


def test_a_stopped_worker_is_found_killed_and_replaced(make_server):
    server = make_server(workers=3)
    slot, pid = next(iter(server.worker_pids().items()))
    others = {p for p in server.worker_pids().values() if p != pid}
    load = Load(server, "--retry", "immediate", rps=100, duration=7)
    load.wait_seconds(1)
    os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()
    wait_for("it to be replaced", lambda: server.worker_pids().get(slot, pid) != pid, 3 * NOISE)
    found_s = time.monotonic() - stopped
    print(f"replaced {found_s:.2f} s after it was stopped")
    assert found_s < 3 * NOISE
    assert others <= set(server.worker_pids().values())
    load.finish().assert_nothing_lost()
    assert server.metric("worker_deaths_total", **{"class": "hung"}) == 1
    assert [e for e in server.events() if e["event"] == "worker_hung" and e["slot"] == slot]


def test_a_paused_supervisor_kills_nobody(make_server):
    server = make_server(workers=3)
    before = server.worker_pids()
    load = Load(server, "--retry", "none", rps=60, duration=10)
    load.wait_seconds(1)
    os.kill(server.process.pid, signal.SIGSTOP)
    time.sleep(5)  # the pause is the act
    os.kill(server.process.pid, signal.SIGCONT)
    def noticed():  # among others, should the machine stand still for a moment
        return [e for e in server.events() if e["event"] == "supervisor_paused"
                and float(re.search(r"for ([\d.]+) s", e["text"])[1]) >= 4]
    wait_for("the pause to be noticed", noticed, 5)
    outcome = load.finish()
    outcome.assert_nothing_lost()
    assert not outcome.attempts
    assert server.worker_pids() == before
    assert server.metric("worker_deaths_total") == 0


def test_a_client_that_stops_reading_keeps_its_worker_alive(make_server):
    server = make_server(workers=1)
    pid = server.worker_pids()[0]
    for i in range(100):
        assert server.request("POST", "/data/items", {"title": f"{i:03d}" + "é" * 190}).status == 201
    sockets = []
    request = (f"GET /data/items?limit=100 HTTP/1.1\r\nHost: x\r\n"
               f"Authorization: Bearer {server.token}\r\n\r\n").encode()
    for _ in range(8):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", server.port))
        s.sendall(request * 40)  # far more answers than the socket buffers hold
        sockets.append(s)
    end = time.monotonic() + 6
    while time.monotonic() < end:
        assert server.health()["workers"]["ready"] == 1
        time.sleep(0.1)
    assert server.worker_pids()[0] == pid
    assert server.metric("worker_deaths_total") == 0
    for s in sockets:
        s.close()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_worker_that_dies_at_its_start_is_quarantined(make_server, tmp_path):
    """Programs are found beside the supervisor: one directory with a worker that only crashes."""
    supervisor = programs_with(tmp_path, "worker", "#!/bin/sh\nexit 1\n")
    server = make_server(workers=2, start=False)
    server.words[0] = supervisor
    status = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    status.bind(str(tmp_path / "notify"))
    status.settimeout(5)
    server.start(wait=False, notify=str(tmp_path / "notify"))

    def quarantined():
        try:
            return server.state()["fleet"]["quarantined"] == 2
        except (OSError, KeyError, ValueError):
            return False
    wait_for("both slots to be quarantined", quarantined, 40 * NOISE)
    state = server.state()
    assert state["health"]["status"] == "failing"
    deaths = server.metric("worker_deaths_total", **{"class": "failed_to_start"})
    assert deaths == 12  # six each: five are forgiven, the sixth quarantines
    assert [e for e in server.events() if "died more than" in e["text"]]
    with status:
        while b"STATUS=0 of 2 workers ready, 2 quarantined; no_workers" not in status.recv(500):
            pass
    cpu, at = cpu_seconds(server.process.pid), time.monotonic()
    time.sleep(4)  # an interval to measure over
    share = (cpu_seconds(server.process.pid) - cpu) / (time.monotonic() - at)
    print(f"the supervisor uses {share:.2%} of a CPU")
    assert share < 0.01 * NOISE, share
    assert server.metric("worker_deaths_total", **{"class": "failed_to_start"}) == deaths
    assert server.stop() == 0


def test_an_idle_supervisor_uses_no_cpu(make_server):
    server = make_server(workers=4)
    cpu, at = cpu_seconds(server.process.pid), time.monotonic()
    time.sleep(4)  # an interval to measure over
    assert (cpu_seconds(server.process.pid) - cpu) / (time.monotonic() - at) < 0.01 * NOISE


def programs_with(tmp_path, name, script):
    """The real programs in one directory, but for one that is a script."""
    for each in ("supervisor", "worker", "sentinel", "console"):
        if each != name:
            os.symlink(program(each), tmp_path / each)
    (tmp_path / "supervisor").unlink(missing_ok=True)
    shutil.copy2(program("supervisor"), tmp_path / "supervisor")  # children lie beside it
    (tmp_path / name).write_text(script)
    (tmp_path / name).chmod(0o755)
    return str(tmp_path / "supervisor")


def test_a_sentinel_that_never_looks_fences_nobody(make_server, tmp_path):
    server = make_server(start=False)
    server.words[0] = programs_with(
        tmp_path, "sentinel",
        f'#!/bin/sh\ncase "$*" in *--setup*) exec {program("sentinel")} "$@";; esac\nexec sleep 60\n')
    server.start()
    server.login()
    assert server.health()["db"]["state"] == "unknown"
    assert server.request("POST", "/data/items", {"title": "nobody says no"}).status == 201


def test_short_freezes_of_everything_kill_nobody(make_server):
    """A machine that stands still for half a second: heartbeats are late by nobody's fault."""
    server = make_server(workers=2)
    before = server.worker_pids()
    load = Load(server, "--profile", "closed", "--mix", "read=0,write=100,list=0", "--connections",
                "8", duration=8)
    load.wait_seconds(1)
    everybody = server.pids()
    for _ in range(8):
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.45)  # the freeze is the act
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        time.sleep(0.1)
    load.process.terminate()
    load.process.communicate(timeout=60)
    assert server.worker_pids() == before
    assert server.metric("worker_deaths_total") == 0
