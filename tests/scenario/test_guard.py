# SPDX-License-Identifier: MIT
"""Faults that the supervisor must see from outside: a gate that is broken, a worker whose own
database calls fail. Both are made without the server's help, through /proc and limits."""
import glob
import os
import struct
import threading
import time
import uuid

from conftest import NOISE, wait_for

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
    found, cursor = [], ""
    while cursor is not None:
        page = server.request("GET", f"/data/items?limit=100{cursor}").json
        found += [i["title"] for i in page["items"]]
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    return found


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
