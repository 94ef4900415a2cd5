# SPDX-License-Identifier: MIT
"""Every way the files of the database can be broken under writers: one row of the table in
docs/operations.md each. The right cause in time, the promised answers, nobody restarted, recovery
by itself where the cause can end, and no loss but the one the table admits."""
import contextlib
import os
import shutil
import sqlite3
import time

import pytest

from conftest import NOISE, wait_for
from outage import (FILES, Writer, all_items, assert_all_are_there, assert_all_refuse,
                    assert_says_so, lost, move, processes, until_it_works)


# OUTAGE_LONG=1 holds foreign locks for as long as the table in docs/operations.md says.
LONG = bool(os.environ.get("OUTAGE_LONG"))


class Outage:
    """A server with writers, something that is done to it, and what must be seen."""

    def __init__(self, make_server, **kwargs):
        self.server = make_server(workers=3, **kwargs)
        self.writers = [Writer(self.server) for _ in range(4)]
        wait_for("writes", lambda: all(len(w.acknowledged) > 10 for w in self.writers), 20)
        self.before = processes(self.server)

    def path(self, name="app.db"):
        return os.path.join(self.server.data, name)

    def begins(self):
        self.began = time.monotonic()

    def is_seen_as(self, state, limit_s):
        wait_for(f"the verdict {state}", lambda: self.server.health()["db"]["state"] == state,
                 limit_s + 3)
        took = time.monotonic() - self.began
        print(f"{state} after {took:.3f} s")
        assert took < limit_s, took

    def is_fenced(self, state):
        """All is refused, everybody says why, and nobody is restarted for it."""
        self.is_seen_as(state, 0.5 * NOISE)
        self.fenced = time.monotonic()
        assert_all_refuse(self.server)
        assert_says_so(self.server, state)
        assert processes(self.server) == self.before

    def recovers(self):
        until_it_works(self.server, time.monotonic(), 2 * NOISE)
        counts = [len(w.acknowledged) for w in self.writers]
        wait_for("writers to go on", lambda: all(len(w.acknowledged) > c + 3
                                                 for w, c in zip(self.writers, counts)), 5)
        assert processes(self.server) == self.before

    def ends(self):
        for w in self.writers:
            w.end()
            assert not w.broken
        self.there = all_items(self.server)
        titles = list(self.there.values())
        assert len(set(titles)) == len(titles)
        assert self.server.stop() == 0
        with sqlite3.connect(self.path()) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()

    def loses_nothing(self):
        self.ends()
        assert not lost(self.there, self.writers)

    def event(self, words):
        return [e for e in self.server.events() if words in e["text"]]


def copy_of(outage, target, sidecars=False):
    """An older state of the database, as a careful operator copies it (one transaction) or a
    careless one (the files as they lie there)."""
    if sidecars:
        for name in FILES:
            shutil.copy2(outage.path(name), target + name[len("app.db"):])
        return
    with sqlite3.connect(f"file:{outage.path()}?mode=ro", uri=True) as source:
        source.execute(f"VACUUM INTO '{target}'")
    source.close()


def test_replaced_by_an_older_copy(make_server):
    outage = Outage(make_server)
    copied = time.monotonic()
    copy_of(outage, outage.path("copy"))
    time.sleep(0.5)  # writes the copy does not have
    outage.begins()
    os.rename(outage.path("copy"), outage.path())
    wait_for("the fence", lambda: any(t > outage.began for w in outage.writers
                                      for t, _ in w.refused), 0.5 * NOISE)
    wait_for("the end of it", lambda: outage.event("the database is up again"), 2 * NOISE)
    print(f"in service again {time.monotonic() - outage.began:.2f} s after the file was replaced")
    outage.recovers()
    assert outage.event("every handle is closed and opened anew")
    aside = [n for n in os.listdir(outage.server.data) if ".orphan-" in n]
    assert sorted(n.split(".orphan-")[0] for n in aside) == ["app.db-shm", "app.db-wal"]
    outage.ends()
    fenced = min(t for w in outage.writers for t, _ in w.refused if t > outage.began)
    times = lost(outage.there, outage.writers)
    print(f"{len(times)} lost of {sum(len(w.times) for w in outage.writers)}, all between copy and fence")
    assert all(copied - 0.1 < t < fenced + 0.1 for t in times)  # the time a response takes


def test_replaced_by_an_older_copy_with_its_sidecars(make_server):
    outage = Outage(make_server)
    # An honest copy of three files needs a moment without writers.
    for w in outage.writers:
        w.end()
    copied = time.monotonic()
    copy_of(outage, outage.path("copy.db"), sidecars=True)
    outage.writers += [Writer(outage.server) for _ in range(2)]
    wait_for("more writes", lambda: len(outage.writers[-1].acknowledged) > 20, 10)
    outage.begins()
    for suffix in ("-shm", "-wal", ""):
        os.rename(outage.path("copy.db") + suffix, outage.path() + suffix)
    wait_for("the fence", lambda: any(t > outage.began for w in outage.writers
                                      for t, _ in w.refused), 0.5 * NOISE)
    wait_for("the end of it", lambda: outage.event("the database is up again"), 2 * NOISE)
    outage.writers = outage.writers[:4] + outage.writers[4:]
    until_it_works(outage.server, time.monotonic(), 2 * NOISE)
    assert processes(outage.server) == outage.before
    for w in outage.writers:
        w.end()
    outage.ends()
    fenced = min(t for w in outage.writers for t, _ in w.refused if t > outage.began)
    times = lost(outage.there, outage.writers)
    assert all(copied < t < fenced + 0.1 for t in times)
    # what the copy's -wal held is there
    assert not lost(outage.there, outage.writers[:4])


def test_replaced_by_a_foreign_database(make_server):
    outage = Outage(make_server)
    with sqlite3.connect(outage.path("foreign.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE items (id, user_id, title)")
    db.close()
    move(outage.server, *FILES)
    outage.begins()
    for name in os.listdir(outage.server.data):
        if name.startswith("foreign.db"):
            os.rename(outage.path(name), outage.path("app.db" + name[len("foreign.db"):]))
    outage.is_seen_as("replaced", 0.5 * NOISE)
    outage.is_fenced("replaced")
    time.sleep(1)
    outage.is_seen_as("replaced", 10)  # and it stays so
    assert "another" in outage.server.state()["db"]["evidence"]
    for name in FILES:
        if os.path.exists(outage.path(name)):
            os.unlink(outage.path(name))
    move(outage.server, *reversed(FILES), back=True)
    outage.recovers()
    outage.loses_nothing()


def test_deleted(make_server):
    outage = Outage(make_server)
    outage.begins()
    os.unlink(outage.path())
    outage.is_fenced("moved")
    assert "deleted" in outage.server.state()["db"]["evidence"]
    time.sleep(1)
    assert not os.path.exists(outage.path())  # nobody made a new one
    assert processes(outage.server) == outage.before
    for w in outage.writers:
        w.end()
    assert outage.server.stop() == 0


def test_truncated(make_server):
    outage = Outage(make_server)
    wait_for("a checkpointed file", lambda: os.path.getsize(outage.path()) > 65536, 20)
    outage.begins()
    os.truncate(outage.path(), 16384)
    outage.is_seen_as("corrupt", 1 * NOISE)
    assert_all_refuse(outage.server)
    time.sleep(1.5)  # handles are opened anew meanwhile: that must not make it well
    outage.is_seen_as("corrupt", 10)
    assert processes(outage.server) == outage.before
    for w in outage.writers:
        w.end()
    assert outage.server.stop() == 0


def test_header_overwritten_and_put_back(make_server):
    outage = Outage(make_server)
    outage.begins()
    fd = os.open(outage.path(), os.O_RDWR)  # of another process than the server's
    noise, headers = b"\xa5" * 100, []

    def is_seen():  # a checkpoint that comes in between writes the page anew: overwrite it again
        now = os.pread(fd, 100, 0)
        if now != noise:
            headers.append(now)
            os.pwrite(fd, noise, 0)
        return outage.server.health()["db"]["state"] == "corrupt"
    try:
        wait_for("the verdict corrupt", is_seen, 1 * NOISE)
    finally:
        print(f"header written {len(headers)} times; {outage.server.state()['db']}")
    assert_all_refuse(outage.server)
    assert os.pread(fd, 100, 0) == noise  # nobody writes behind the fence
    os.pwrite(fd, headers[-1], 0)
    os.close(fd)
    outage.recovers()
    outage.loses_nothing()


@pytest.mark.parametrize("name", ["app.db-wal", "app.db-shm"])
def test_a_sidecar_is_deleted(make_server, name):
    outage = Outage(make_server)
    outage.begins()
    os.unlink(outage.path(name))
    wait_for("the fence", lambda: any(w.refused for w in outage.writers), 0.5 * NOISE)
    wait_for("the end of it", lambda: outage.event("the database is up again"), 2 * NOISE)
    print(f"in service again {time.monotonic() - outage.began:.2f} s after {name} was deleted")
    outage.recovers()
    assert outage.event("its content was saved")
    outage.loses_nothing()


def test_directory_unreadable(make_server):
    if os.geteuid() != 0:
        pytest.skip("needs root, to give the directory to an account that obeys its mode")
    server = make_server(workers=3, start=False, fresh=True)
    os.chown(server.data, 65534, 65534)
    server.start()
    server.login()
    outage = Outage(lambda **_: server)
    outage.begins()
    os.chmod(server.data, 0)
    outage.is_seen_as("down", 1 * NOISE)
    assert "Permission denied" in server.state()["db"]["evidence"]
    assert_all_refuse(server)
    assert processes(server) == outage.before
    os.chmod(server.data, 0o700)
    outage.recovers()
    outage.loses_nothing()


def test_a_foreign_write_lock(make_server):
    outage = Outage(make_server)
    foreign = sqlite3.connect(outage.path(), isolation_level=None)
    foreign.execute("PRAGMA busy_timeout = 5000")
    outage.begins()
    foreign.execute("BEGIN IMMEDIATE")
    outage.began = time.monotonic()  # when it had the lock
    outage.is_seen_as("locked", 1 * NOISE)
    assert str(os.getpid()) in outage.server.state()["db"]["evidence"]
    until = time.monotonic() + (20 if LONG else 3)
    while time.monotonic() < until:
        assert outage.server.request("GET", "/data/items?limit=2").status == 200
        answer = outage.server.request("POST", "/data/items", {"title": "never"})
        assert answer.status == 503 and answer.json["type"] == "/problems/locked", answer
        assert "retry-after" in answer.headers
    assert processes(outage.server) == outage.before
    foreign.execute("ROLLBACK")
    foreign.close()
    outage.recovers()
    assert "never" not in all_items(outage.server).values()
    # A worker's own breaker may speak before the verdict does.
    assert all(w.kinds() <= {"locked", "deadline-exceeded", "circuit-open"} for w in outage.writers)
    outage.loses_nothing()


def test_a_foreign_reader_pins_the_log(make_server):
    outage = Outage(make_server, config={"wal.soft": 1, "wal.hard": 1, "wal.ceiling": 2})
    foreign = sqlite3.connect(outage.path(), isolation_level=None)
    foreign.execute("BEGIN")
    foreign.execute("SELECT count(*) FROM items").fetchone()
    outage.begins()
    body = "x" * 60000

    def is_full():
        outage.server.request("POST", "/data/items", {"title": "big", "body": body})
        return outage.server.health()["db"]["state"] == "full"
    wait_for("the ceiling", is_full, 20 * NOISE)
    answer = outage.server.request("POST", "/data/items", {"title": "never"})
    assert answer.status == 503 and answer.json["type"] == "/problems/wal-full", answer
    assert outage.server.request("GET", "/data/items?limit=2").status == 200
    if LONG:
        time.sleep(60)
    assert outage.server.metric("db_wal_bytes") < (4 << 20)  # the ceiling and a batch or two
    foreign.execute("ROLLBACK")
    foreign.close()
    outage.recovers()
    assert outage.server.metric("db_wal_bytes") < 2 << 20
    for w in outage.writers:
        w.end()
    assert_lost_none(outage)


def assert_lost_none(outage):
    there = all_items(outage.server)
    assert not lost(there, outage.writers)
    assert outage.server.stop() == 0


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=16m,mode=700 tmpfs {tmp_path}"):
        pytest.skip("needs the right to mount a small tmpfs")
    yield str(tmp_path)
    assert os.system(f"umount {tmp_path}") == 0


def test_a_full_disk(small_disk, make_server):
    outage = Outage(make_server, data=os.path.join(small_disk, "data"))
    outage.begins()
    fd = os.open(os.path.join(small_disk, "filler"), os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(fd, b"\0" * 65536):
            pass
    os.close(fd)
    outage.is_seen_as("full", 1 * NOISE)
    answer = outage.server.request("POST", "/data/items", {"title": "never"})
    assert answer.status == 503 and answer.json["type"] == "/problems/storage-full", answer
    assert outage.server.request("GET", "/data/items?limit=2").status == 200
    assert processes(outage.server) == outage.before
    os.unlink(os.path.join(small_disk, "filler"))
    outage.recovers()
    assert "never" not in all_items(outage.server).values()
    outage.loses_nothing()


@pytest.fixture
def ext4_disk(tmp_path):
    """A real file system that the kernel can be told to find broken."""
    image, directory = str(tmp_path / "image"), str(tmp_path / "disk")
    os.mkdir(directory)
    with open(image, "wb") as f:
        f.truncate(32 << 20)
    if (os.geteuid() != 0 or os.system(f"mkfs.ext4 -q {image}")
            or os.system(f"mount -o loop {image} {directory}")):
        pytest.skip("needs the right to mount an ext4 image")
    yield image, directory
    assert os.system(f"umount {directory}") == 0


def test_the_kernel_makes_the_disk_read_only(ext4_disk, make_server):
    image, disk = ext4_disk
    outage = Outage(make_server, data=os.path.join(disk, "data"))
    outage.begins()
    assert os.system(f"mount -o remount,abort {disk}") == 0
    aborted = time.monotonic()
    outage.is_seen_as("read_only", 1 * NOISE)
    for _ in range(20):
        assert outage.server.request("GET", "/data/items?limit=2").status == 200
    answer = outage.server.request("POST", "/data/items", {"title": "never"})
    assert answer.status == 503 and answer.json["type"] == "/problems/read-only", answer
    assert processes(outage.server) == outage.before
    for w in outage.writers:
        w.end()
    assert outage.server.stop() == 0
    # The operator's part: stopped, repaired, started.
    assert os.system(f"umount {disk} && e2fsck -p {image} >/dev/null; mount -o loop {image} {disk}") == 0
    outage.server.start()
    outage.server.login()
    # While the kernel gives up its journal an fsync may still say that all is well: what was
    # acknowledged within that call is lost by the disk. Before and after it there is no loss.
    times = lost(all_items(outage.server), outage.writers)
    print([f"{t - outage.began:.3f}" for t in times], f"aborted after {aborted - outage.began:.3f}")
    assert all(outage.began < t < aborted + 0.1 for t in times)  # a response needs its time
    assert outage.server.stop() == 0


def break_it(outage, *words):
    outage.server.ctl("faults", "set", "db", *words, "duration=60s")
    outage.begins()


def mend(outage):
    outage.server.ctl("faults", "clear", "all")


def with_faults(make_server, **config):
    return Outage(make_server, config={"faults.enabled": "yes", **config})


def test_read_only_and_back(make_server):
    outage = with_faults(make_server)
    break_it(outage, "effect=readonly")
    outage.is_seen_as("read_only", 1 * NOISE)
    answer = outage.server.request("POST", "/data/items", {"title": "never"})
    assert answer.status == 503 and answer.json["type"] == "/problems/read-only", answer
    assert outage.server.request("GET", "/data/items?limit=2").status == 200
    assert processes(outage.server) == outage.before
    mend(outage)
    outage.recovers()
    outage.loses_nothing()


def test_slow_fsync(make_server):
    outage = with_faults(make_server)
    break_it(outage, "effect=slow", "op=sync", "delay=2s")
    outage.is_seen_as("slow", 1 * NOISE)
    until = time.monotonic() + 5
    while time.monotonic() < until:
        began = time.monotonic()
        assert outage.server.request("GET", "/data/items?limit=2").status == 200
        assert time.monotonic() - began < 0.2 * NOISE
        time.sleep(0.05)
    assert processes(outage.server) == outage.before
    mend(outage)
    time.sleep(2)  # the fsync under way
    outage.recovers()
    assert {a.status for w in outage.writers for _, a in w.refused} <= {504, 503}
    outage.loses_nothing()


def test_a_disk_that_hangs(make_server):
    outage = with_faults(make_server)
    break_it(outage, "effect=hang", "op=read")
    outage.is_seen_as("down", 1 * NOISE)
    assert "hangs" in outage.server.state()["db"]["evidence"]
    for _ in range(5):  # refused at once, not after a deadline
        began = time.monotonic()
        answer = outage.server.request("GET", "/data/items?limit=2")
        assert answer.status == 503 and time.monotonic() - began < 0.1 * NOISE
        time.sleep(0.5)
    assert processes(outage.server) == outage.before
    mend(outage)
    outage.recovers()
    outage.loses_nothing()


def test_a_probe_that_hangs_alone_fences_nobody(make_server):
    outage = with_faults(make_server)
    break_it(outage, "effect=hang", "op=read", "target=sentinel")
    until, answers = time.monotonic() + 3, set()
    while time.monotonic() < until:
        answers.add(outage.server.request("GET", "/data/items?limit=2").status)
        time.sleep(0.02)
    assert answers == {200}
    assert outage.server.health()["db"]["state"] == "unknown"
    mend(outage)
    until_it_works(outage.server, time.monotonic(), 2 * NOISE)
    assert not any(w.refused for w in outage.writers)
    outage.loses_nothing()


def test_an_fsync_that_fails(make_server):
    """What it should have written may be gone from memory and disk alike: nobody builds on that."""
    outage = with_faults(make_server)
    break_it(outage, "effect=ioerr", "op=sync", "target=all")
    wait_for("handles to be opened anew", lambda: outage.event("an fsync failed"), 2 * NOISE)
    mend(outage)
    outage.recovers()
    assert outage.event("every handle is closed and opened anew")
    assert any(w.unknown for w in outage.writers)  # whose commit it was is told the truth
    outage.loses_nothing()
