# SPDX-License-Identifier: MIT
"""The soak: processes are killed at random moments under load, and every acknowledged write is
there exactly once, with its exact bytes.

Kills of the keeper and of everybody are aimed at a checkpoint; with eight writers at full speed
the others meet transactions and commits often enough, and the obituaries count them.

SOAK_KILLS, SOAK_SECONDS (at least this long) and SOAK_SEED set its size; the seed is printed. The
same seed gives the same kills and payloads, not the same interleaving.
"""
import collections
import http.client
import json
import os
import random
import signal
import sqlite3
import struct
import threading
import time

from conftest import NOISE, SANITIZED, counters_only_grow, wait_for

KILLS = int(os.environ.get("SOAK_KILLS", 24 if SANITIZED else 60))
SECONDS = float(os.environ.get("SOAK_SECONDS", 0))
SEED = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(1 << 32)))
WRITERS, READERS, WORKERS = 8, 2, 4
GIVE_UP_S = 30 * NOISE   # a write that nobody acknowledged for so long failed the test
PAUSE_S = 0.22           # between two kills, on average
PROGRESS_S = 5
# What a run kills, in twentieths; shuffled by the seed.
VICTIMS = (["worker"] * 11 + ["keeper"] * 3 + ["sentinel"] * 2 + ["all workers"] * 2
           + ["supervisor"] + ["everybody"])
FILES = {"app.db", "app.db-wal", "app.db-shm", "app.id", "jwt.key", "demo.txt", "lock", "run",
         "deaths", "metrics.db", "metrics.db-journal"}


def body_of(name):
    """Mostly a line, sometimes pages of it; the name alone tells the bytes."""
    r = random.Random(name)
    size = r.choice([0, 40, 40, 40, 200, 200, 900, 900] + ([20000] if r.random() < 0.1 else []))
    return r.randbytes(size // 2).hex()


class Client(threading.Thread):
    """One keep-alive connection, opened anew whenever it broke."""

    def __init__(self, soak, index):
        super().__init__(daemon=True)
        self.soak, self.index, self.connection = soak, index, None
        self.random = random.Random(f"{SEED}-{type(self).__name__}-{index}")

    def ask(self, method, path, body=None, headers=None):
        """The answer, or None when there was none; what broke is counted."""
        server = self.soak.server
        if not self.connection:
            self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        try:
            answer = server.request(method, path, body, headers, connection=self.connection)
        except (OSError, http.client.HTTPException) as e:
            self.soak.broken[type(e).__name__] += 1
            self.connection.close()
            self.connection = None
            if isinstance(e, ConnectionRefusedError):
                time.sleep(0.02)  # nobody listens: the supervisor is being started
            return None
        if answer.headers.get("connection") == "close":
            self.connection.close()
            self.connection = None
        if answer.status != 200 and answer.status != 201:
            self.soak.refused[answer.status, answer.json["type"].rsplit("/", 1)[-1]] += 1
        return answer


class Writer(Client):
    """Repeats each write with its Idempotency-Key until it is acknowledged."""

    def run(self):
        try:
            n = 0
            while not self.soak.over.is_set():
                n += 1
                self.write(f"{SEED:x}-{self.index}-{n}")
        except Exception as e:  # a thread's failure must fail the test
            self.soak.odd.append(f"writer {self.index}: {e!r}")

    def write(self, name):
        soak, give_up = self.soak, time.monotonic() + GIVE_UP_S
        item = {"title": name, "body": body_of(name)}
        payload = json.dumps(item)
        for attempt in range(100000):
            answer = self.ask("POST", "/data/items", payload, {"Idempotency-Key": name})
            if answer and answer.status == 201:
                got = answer.json
                if (got["title"], got["body"]) != (item["title"], item["body"]):
                    soak.odd.append(f"acknowledged with other content: {name} {got}"[:400])
                soak.acknowledged[name] = got["id"]
                soak.recent.append(name)
                soak.repeated += attempt > 0
                return
            if answer and answer.status == 401:
                soak.renew_token()
            elif answer and answer.status not in (503, 504):
                soak.odd.append(f"{name}: {answer}")
                break
            if time.monotonic() > give_up:
                soak.odd.append(f"{name} was not acknowledged within {GIVE_UP_S} s: {answer}")
                break
            if answer:
                time.sleep(0.01)
        soak.in_doubt.add(name)


class Reader(Client):
    """Reads acknowledged items back while everything dies."""

    def run(self):
        try:
            while not self.soak.over.is_set():
                if self.soak.recent:
                    self.read(self.random.choice(self.soak.recent))
                time.sleep(0.002)
        except Exception as e:
            self.soak.odd.append(f"reader {self.index}: {e!r}")

    def read(self, name):
        answer = self.ask("GET", "/data/items/" + self.soak.acknowledged[name])
        if not answer or answer.status in (503, 504):
            return
        if answer.status == 401:
            self.soak.renew_token()
        elif answer.status != 200 or answer.json["body"] != body_of(name):
            self.soak.odd.append(f"read of acknowledged {name}: {answer}")
        self.soak.reads += 1


class Soak:
    """Load, kills and what was seen of both."""

    def __init__(self, server):
        self.server, self.over = server, threading.Event()
        self.random = random.Random(SEED)
        self.acknowledged, self.in_doubt, self.odd = {}, set(), []
        self.recent = collections.deque(maxlen=2000)
        self.reads = self.repeated = self.torn = 0
        self.broken, self.refused = collections.Counter(), collections.Counter()
        self.kills, self.aimed = collections.Counter(), 0
        self.seen, self.sums = {}, collections.Counter()
        self.lock, self.deck = threading.Lock(), []
        self.clients = ([Writer(self, i) for i in range(WRITERS)]
                        + [Reader(self, i) for i in range(READERS)])

    def renew_token(self):
        with self.lock:
            self.server.login()

    # ---- victims ----

    def children(self):
        """What the supervisor started: kind -> pids, by /proc and not by what anybody claims."""
        kinds = collections.defaultdict(list)
        for pid in self.server.pids():
            try:
                with open(f"/proc/{pid}/cmdline") as f:
                    words = f.read().split("\0")
            except OSError:
                continue
            kinds["keeper" if "--keeper" in words else os.path.basename(words[0])].append(pid)
        return kinds

    def kill(self, pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def wait_for_checkpoint(self):
        """Until app.db changes: only a checkpoint writes to it, so one is under way."""
        path = os.path.join(self.server.data, "app.db")
        before, end = os.stat(path).st_mtime_ns, time.monotonic() + 1
        while time.monotonic() < end:
            if os.stat(path).st_mtime_ns != before:
                if self.random.random() < 0.5:  # the copying of pages, or the fsync after it
                    time.sleep(self.random.random() * 0.002)
                self.aimed += 1
                return

    def look_at_header(self):
        """With everybody dead: does the main file say that it has more pages than it has?"""
        path = os.path.join(self.server.data, "app.db")
        with open(path, "rb") as f:
            size, pages = struct.unpack(">16xH10xI", f.read(32))
            self.torn += pages * size > os.fstat(f.fileno()).st_size

    def ready_worker(self):
        """A worker that serves: a kill before its first answer would count as its own failure."""
        ready = [s["pid"] for s in self.server.slots().values() if s["state"] == "ready"]
        return [self.random.choice(ready)] if ready else []

    def strike(self, victim):
        server = self.server
        if victim == "worker":
            self.kill(self.ready_worker())
        elif victim == "all workers":
            self.kill(self.children()["worker"])
        elif victim == "sentinel":
            self.kill(self.children()[victim])
        elif victim == "keeper":
            pids = self.children()[victim]
            self.wait_for_checkpoint()
            self.kill(pids)
        else:
            self.note_metrics(last=True)
            if victim == "everybody":
                pids = self.children()["keeper"] + server.pids()
                self.wait_for_checkpoint()
                self.kill(pids)
                while pids := server.pids():  # one may just have been forked
                    self.kill(pids)
                self.look_at_header()
            server.process.kill()
            server.process.wait()
            server.log.close()
            server.start(wait=False)
            server.wait_ready(30 * NOISE)
        self.kills[victim] += 1

    def run_kills(self):
        began = said = time.monotonic()
        while self.kills.total() < KILLS or time.monotonic() - began < SECONDS:
            if not self.deck:
                self.deck = VICTIMS[:]
                self.random.shuffle(self.deck)
            time.sleep(self.random.random() * 2 * PAUSE_S)
            self.note_metrics()
            self.strike(self.deck.pop())
            assert not self.odd, self.odd[:5]
            if time.monotonic() - said > PROGRESS_S:
                said = time.monotonic()
                self.say(said - began)
        return time.monotonic() - began

    # ---- figures ----

    def say(self, seconds):
        print(f"{seconds:6.0f} s  {self.kills.total():5} of {KILLS} kills  "
              f"{len(self.acknowledged):7} acknowledged  "
              f"{len(self.acknowledged) / seconds:6.0f}/s  {self.reads} reads", flush=True)

    def note_metrics(self, last=False):
        """Counters only grow within one supervisor's life; sums go over all lives."""
        try:
            now = self.server.metrics()
        except (OSError, http.client.HTTPException):
            return
        if self.seen and (back := counters_only_grow(self.seen, now)):
            self.odd.append(f"counters fell: {back[:5]}")
        quarantined = now.get(("workers", frozenset({("state", "quarantined")})), 0)
        if quarantined:
            self.odd.append(f"{quarantined:.0f} workers in quarantine")
        self.seen = {} if last else now
        if last:
            for (name, _), value in now.items():
                if name in ("gate_owner_died_total", "requests_lost_total",
                            "worker_deaths_total", "gate_resets_total"):
                    self.sums[name] += int(value)

    def stages_of_the_dead(self):
        """How many threads died where, from the obituaries."""
        stages = collections.Counter()
        for line in self.server.log_lines("worker_died"):
            for part in line["msg"].split("lost: ")[1:]:
                for lost in part.split(", "):
                    words = lost.split()
                    if len(words) >= 5 and words[2] == "in" and words[4].startswith("×"):
                        count = words[4][1:].rstrip(":;")
                        stages[words[3]] += int(count) if count.isdigit() else 1
        return stages


def read_back(server, soak):
    """Everything by the list, a sample of bodies by their ids."""
    listed, cursor = collections.Counter(), ""
    while cursor is not None:
        page = server.request("GET", f"/data/items?limit=100{cursor}").json
        listed.update((i["title"], i["id"]) for i in page["items"])
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    acknowledged = soak.acknowledged.items()
    lost = [n for n in acknowledged if not listed[n]]
    titles = collections.Counter(title for title, _ in listed.elements())
    duplicate = [t for t, n in titles.items() if n > 1]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    corrupt = []
    for name, item in random.sample(sorted(acknowledged), min(1000, len(acknowledged))):
        answer = server.request("GET", "/data/items/" + item, connection=connection)
        if answer.status != 200 or answer.json["body"] != body_of(name):
            corrupt.append((name, answer))
    connection.close()
    print(f"by the API: {len(titles)} items, LOST {len(lost)}, DUPLICATE {len(duplicate)}, "
          f"CORRUPT {len(corrupt)}")
    assert not lost and not duplicate and not corrupt, (lost[:3], duplicate[:3], corrupt[:3])


def audit_file(data, soak):
    """The stopped server's file, by sqlite3 itself."""
    db = sqlite3.connect(os.path.join(data, "app.db"))
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert not db.execute("PRAGMA foreign_key_check").fetchall()
    rows = db.execute("SELECT title, id, body FROM items").fetchall()
    keys = dict(db.execute("SELECT key, item_id FROM idempotency"))
    db.close()
    there = {title: (item, body) for title, item, body in rows}
    lost = [n for n, item in soak.acknowledged.items() if there.get(n, ("",))[0] != item]
    corrupt = [n for n, (_, body) in there.items() if body != body_of(n)]
    surplus = there.keys() - soak.acknowledged.keys() - soak.in_doubt
    print(f"by the file: {len(rows)} items, LOST {len(lost)}, DUPLICATE {len(rows) - len(there)}, "
          f"CORRUPT {len(corrupt)}, surplus {len(surplus)}, integrity ok")
    assert not lost and not corrupt and len(rows) == len(there), (lost[:3], corrupt[:3])
    assert not surplus, sorted(surplus)[:5]
    assert keys == {title: item for title, (item, _) in there.items()}


def test_soak(make_server):
    print(f"\nSOAK_SEED={SEED} SOAK_KILLS={KILLS}", flush=True)
    server = make_server(workers=WORKERS, config={"wal.soft": 1, "log.requests": "none"})
    soak = Soak(server)
    for client in soak.clients:
        client.start()
    wait_for("the load to begin", lambda: len(soak.acknowledged) > 20 or soak.odd, 20)
    seconds = soak.run_kills()
    soak.over.set()
    for client in soak.clients:
        client.join(GIVE_UP_S + 15)
        assert not client.is_alive()
    soak.say(seconds)
    wait_for("the whole fleet to serve", lambda: server.health()["workers"]["ready"] == WORKERS,
             10 * NOISE)
    soak.note_metrics(last=True)
    print(f"kills {dict(soak.kills)}; {soak.aimed} aimed at a checkpoint, {soak.torn} left app.db "
          f"shorter than its header says; threads died in {dict(soak.stages_of_the_dead())}")
    print(f"counters over all lives {dict(soak.sums)}; {soak.repeated} writes needed repeating; "
          f"broken {dict(soak.broken)}; refused {dict(soak.refused)}")
    assert not soak.odd, soak.odd[:5]
    assert soak.sums["worker_deaths_total"] >= soak.kills["worker"] * 0.8
    assert soak.sums["gate_resets_total"] == 0
    for event in ("worker_quarantined", "worker_accused", "gate_reset"):
        assert not server.log_lines(event)
    server.login()
    read_back(server, soak)
    assert server.stop() == 0
    assert server.gone(2)
    assert set(os.listdir(server.data)) <= FILES, os.listdir(server.data)
    assert os.listdir(os.path.join(server.data, "run")) == []
    audit_file(server.data, soak)
