# SPDX-License-Identifier: MIT
"""Faults that the supervisor must see from outside: a gate that is broken, a worker whose own
database calls fail. Both are made without the server's help, through /proc and limits."""
import glob
import os
import resource
import shlex
import shutil
import struct
import tempfile
import threading
import time
import uuid

import pytest

from conftest import NOISE, program, wait_for
from outage import all_items

PAGE = 4096
ROBUST_SHARED = 16 | 128  # bits of __kind in glibc's pthread_mutex_t, at offset 16 of 40 bytes


def scribble_over_gate(server):
    """0xff over the gate's page, which is found by its content: a robust mutex and nothing else."""
    pid = server.process.pid
    (path,) = [p for p in glob.glob(f"/proc/{pid}/fd/*") if os.readlink(p).startswith("/memfd:")]
    with open(path, "r+b", buffering=0) as region:
        content = region.read(os.fstat(region.fileno()).st_size)
        pages = [at for at in range(0, len(content), PAGE)
                 if struct.unpack_from("<I", content, at + 16)[0] == ROBUST_SHARED
                 and not any(content[at + 40:at + PAGE])]
        assert len(pages) == 1, pages
        region.seek(pages[0])
        assert region.write(b"\xff" * PAGE) == PAGE


class Writers:
    """Some who write all the time, each write repeated with its key until it is acknowledged."""

    def __init__(self, server, count=4):
        self.server, self.stop = server, threading.Event()
        self.acknowledged, self.odd = [], []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for t in self.threads:
            t.start()

    def write(self, title):
        answer = self.server.request("POST", "/data/items", {"title": title},
                                     {"Idempotency-Key": title})
        if answer.status == 201:
            self.acknowledged.append(title)
            return True
        if answer.status not in (503, 504):
            self.odd.append(answer)
        return False

    def run(self):
        while not self.stop.is_set():
            title, done = uuid.uuid4().hex, False
            while not done and not self.odd:
                try:
                    done = self.write(title)
                except OSError:
                    pass  # its worker died; another serves
                self.stop.wait(0.005 if done else 0.02)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(30)
            assert not t.is_alive()
        assert not self.odd, self.odd[:3]
        return self.acknowledged


def titles(server):
    return list(all_items(server).values())


def test_a_gate_written_over_is_made_anew(make_server):
    server = make_server(workers=3)
    writers = Writers(server)
    wait_for("writes", lambda: len(writers.acknowledged) > 50, 20)
    old = server.worker_pids()
    scribble_over_gate(server)
    began = time.monotonic()
    reset = wait_for("the gate to be made anew",
                     lambda: [e for e in server.events() if e["event"] == "gate_reset"], 5 * NOISE)
    seen = time.monotonic() - began
    before = len(writers.acknowledged)
    wait_for("writes to go on", lambda: len(writers.acknowledged) > before + 50, 5 * NOISE)
    took = time.monotonic() - began
    wait_for("the whole fleet", lambda: server.health()["workers"]["ready"] == 3, 5 * NOISE)
    wait_for("health", lambda: server.health()["status"] == "healthy", 5 * NOISE)
    print(f"seen after {seen:.1f} s, writes go on after {took:.1f} s: {reset[0]['text']}")
    assert len(reset) == 1 and "nobody has held the write gate" in reset[0]["text"]
    assert not set(old.values()) & set(server.worker_pids().values())
    died = [e for e in server.events() if e["event"] == "worker_died"]
    by_gate = [e for e in died if e["cause_id"] == reset[0]["id"]]
    # Who was in the gate when it was written over may have died of it; the rest of its users die now.
    assert {e["slot"] for e in by_gate} >= {65, 66} and len(by_gate) >= 4, died
    assert all("(gate)" in e["text"] for e in by_gate), by_gate
    assert server.metric("gate_resets_total") == 1
    assert server.metric("worker_deaths_total", **{"class": "gate"}) >= 2
    assert server.metric("helper_deaths_total", **{"class": "gate"}) == 2
    assert server.metric("workers", state="quarantined") == 0
    acknowledged, there = writers.end(), titles(server)
    assert len(set(there)) == len(there) and set(acknowledged) <= set(there)
    assert server.stop() == 0


@pytest.fixture
def programs():
    """The programs in a directory of their own, whose workers survive a limit on file sizes: a
    write beyond it then fails with EFBIG instead of ending the process."""
    directory = tempfile.mkdtemp(prefix="bulkhead-programs-")
    shutil.copy(program("supervisor"), directory)  # children are looked for beside the real file
    for name in ("sentinel", "console"):
        os.symlink(program(name), os.path.join(directory, name))
    worker = os.path.join(directory, "worker")
    with open(worker, "w") as f:
        f.write(f"#!/bin/sh\ntrap '' XFSZ\nexec {shlex.quote(program('worker'))} \"$@\"\n")
    os.chmod(worker, 0o755)
    yield directory
    shutil.rmtree(directory)


def limit_file_size(pid, size=resource.RLIM_INFINITY):
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def start_with(make_server, programs, workers):
    # Without breakers every worker goes on failing: its calls alone are the evidence.
    server = make_server(workers=workers, start=False, config={"breaker.window": "0"})
    server.words[0] = os.path.join(programs, "supervisor")
    server.start()
    server.login()
    return server


def test_a_worker_whose_own_writes_fail_is_replaced(make_server, programs):
    server = start_with(make_server, programs, 3)
    writers = Writers(server, 6)
    wait_for("writes", lambda: len(writers.acknowledged) > 50, 20)
    old = server.worker_pids()
    limit_file_size(old[1], 0)
    began = time.monotonic()
    accused = wait_for("the accusation",
                       lambda: [e for e in server.events() if e["event"] == "worker_accused"],
                       15 * NOISE)
    took = time.monotonic() - began
    print(f"accused after {took:.1f} s: {accused[0]['text']}")
    wait_for("its successor", lambda: server.worker_pids().get(1, old[1]) != old[1], 5 * NOISE)
    wait_for("health", lambda: server.health()["workers"]["ready"] == 3, 5 * NOISE)
    assert [(e["slot"], e["pid"]) for e in accused] == [(1, old[1])]
    assert "calls failed in 5 s" in accused[0]["text"] and "ioerr" in accused[0]["text"]
    assert "the sentinel and 2 others see no fault" in accused[0]["text"]
    died = [e for e in server.events() if e["event"] == "worker_died"]
    assert len(died) == 1 and "(local_db_fault)" in died[0]["text"], died
    assert died[0]["cause_id"] == accused[0]["id"]
    now = server.worker_pids()
    assert (now[0], now[2]) == (old[0], old[2])
    assert server.metric("worker_deaths_total", **{"class": "local_db_fault"}) == 1
    assert server.metric("db_up") == 1
    acknowledged, there = writers.end(), titles(server)
    assert len(set(there)) == len(there) and set(acknowledged) <= set(there)
    assert server.stop() == 0


def test_when_everybodys_writes_fail_nobody_is_to_blame(make_server, programs):
    server = start_with(make_server, programs, 3)
    writers = Writers(server, 6)
    wait_for("writes", lambda: len(writers.acknowledged) > 50, 20)
    old = server.worker_pids()
    for pid in old.values():
        limit_file_size(pid, 0)

    def failed():
        return server.metric("db_errors_total", op="commit", code="ioerr")
    # The sentinel's own writes go well all the time: the others' fate alone must tell.
    end = time.monotonic() + 9
    wait_for("nine seconds of failures", lambda: failed() > 60 and time.monotonic() > end, 60)
    for pid in old.values():
        limit_file_size(pid)
    before = len(writers.acknowledged)
    wait_for("writes to go on", lambda: len(writers.acknowledged) > before + 50, 10 * NOISE)
    assert server.worker_pids() == old
    assert not [e for e in server.events() if e["event"] in ("worker_accused", "worker_died")]
    writers.end()
    assert server.stop() == 0


def test_a_worker_that_lost_its_descriptors_is_replaced(make_server):
    """Every further call of its database fails or never returns; the others' do not."""
    server = make_server(workers=3, config={"faults.enabled": "yes"})
    writers = Writers(server, 6)
    wait_for("writes", lambda: len(writers.acknowledged) > 100, 20)
    old = server.worker_pids()
    server.ctl("faults", "set", "close_fds", "target=worker:1")
    began = time.monotonic()
    wait_for("it to be found out",
             lambda: server.metric("worker_deaths_total", **{"class": "local_db_fault"}), 10 * NOISE)
    print(f"replaced after {time.monotonic() - began:.1f} s")
    wait_for("a new one", lambda: server.health()["workers"]["ready"] == 3, 5 * NOISE)
    before = len(writers.acknowledged)
    wait_for("writes to go on", lambda: len(writers.acknowledged) > before + 50, 5 * NOISE)
    pids = server.worker_pids()
    assert pids[1] != old[1] and {i: pids[i] for i in (0, 2)} == {i: old[i] for i in (0, 2)}
    assert server.metric("worker_deaths_total") == 1
    (died,) = [e for e in server.events() if e["event"] == "worker_died"]
    print(died["text"])
    acknowledged, there = writers.end(), titles(server)
    assert len(set(there)) == len(there) and set(acknowledged) <= set(there)


def test_a_stopped_worker_in_the_gate_holds_nobody_up_for_long(make_server):
    server = make_server(workers=3, config={"faults.enabled": "yes"})
    writers = Writers(server)
    wait_for("writes", lambda: len(writers.acknowledged) > 50, 20)
    old = server.worker_pids()
    server.ctl("faults", "set", "hang", "mode=stop", "point=in_transaction", "target=worker:2")
    wait_for("the stop", lambda: server.metric("fault_hits_total", kind="hang"), 10)
    began, before = time.monotonic(), len(writers.acknowledged)
    wait_for("writes to go on", lambda: len(writers.acknowledged) > before + 8, 5 * NOISE)
    took = time.monotonic() - began
    print(f"writes went on {took:.2f} s after the holder of the gate was stopped")
    assert took < 1.5 * NOISE
    (hung,) = [e for e in server.events() if e["event"] == "worker_hung"]
    assert hung["slot"] == 2 and "while holding the gate" in hung["text"]
    assert hung["pid"] == old[2]
    wait_for("a new one", lambda: server.worker_pids().get(2, old[2]) != old[2], 5 * NOISE)
    assert {i: server.worker_pids()[i] for i in (0, 1)} == {i: old[i] for i in (0, 1)}
    acknowledged, there = writers.end(), titles(server)
    assert len(set(there)) == len(there) and set(acknowledged) <= set(there)
