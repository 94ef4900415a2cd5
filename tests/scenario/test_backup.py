# SPDX-License-Identifier: MIT
"""The keeper's jobs: the write-ahead log is emptied or the one in its way is named; backups."""
import json
import os
import signal
import sqlite3
import subprocess
import time

from conftest import NOISE, program, stop_process, wait_for
from test_database import Writer, move

BODY = "x" * 60000


def grow(server, mebibytes):
    for _ in range(mebibytes * 16):
        assert server.request("POST", "/data/items", {"title": "t", "body": BODY}).status == 201


def wal_bytes(server):
    return os.path.getsize(os.path.join(server.data, "app.db-wal"))


def test_who_pins_the_log_is_named(make_server):
    """Any program may read app.db, but one that never ends its transaction must be findable."""
    server = make_server(workers=1, config={"wal.soft": 1, "wal.hard": 2})
    reader = sqlite3.connect(os.path.join(server.data, "app.db"), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM items").fetchall()

    def named():
        return [e["text"] for e in server.events() if e["event"] == "wal_pinned"]
    grow(server, 3)
    assert wal_bytes(server) > 2 << 20
    wait_for("the reader to be named", named, 5 * NOISE)
    grow(server, 1)
    with open(f"/proc/{os.getpid()}/comm") as f:
        assert f"pid {os.getpid()} ({f.read().strip()})" in named()[0]
    busy = server.metric("db_query_duration_seconds_count", op="checkpoint")
    wait_for("more tries", lambda: server.metric("db_query_duration_seconds_count",
                                                 op="checkpoint") >= busy + 2, 5 * NOISE)
    assert len(named()) == 1
    assert server.health()["status"] == "healthy"
    reader.execute("COMMIT")
    began = time.monotonic()
    wait_for("the log to be emptied", lambda: wal_bytes(server) < 1 << 20, 3 * NOISE)
    print(f"emptied {time.monotonic() - began:.2f} s after the reader ended")
    reader.close()
    assert server.stop() == 0


def backups(server):
    try:
        return sorted(os.listdir(os.path.join(server.data, "backup")))
    except FileNotFoundError:
        return []


def ids_in(path):
    """The items of a backup, which must be one whole file that needs nothing beside it."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA journal_mode").fetchall() == [("delete",)]
        return {row[0] for row in db.execute("SELECT id FROM items")}
    finally:
        db.close()


def fatten(server, mebibytes):
    """Give a server that is not running a database that takes a while to copy."""
    with sqlite3.connect(os.path.join(server.data, "app.db")) as db:
        db.execute("PRAGMA synchronous = OFF")
        user = db.execute("SELECT id FROM users").fetchone()[0]
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                   " INSERT INTO items(user_id, id, title, version, created_us, updated_us, body)"
                   " SELECT ?, printf('fat-%06d', i), 't', 1, 0, 0, hex(randomblob(32000)) FROM n",
                   (mebibytes * 16, user))
    db.close()


class Asked:
    """bulkheadctl backup under way."""

    def __init__(self, server, path):
        self.process = subprocess.Popen([program("bulkheadctl"), "-d", server.data, "backup", path],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self, timeout=30):
        said, _ = self.process.communicate(timeout=timeout)
        return self.process.returncode, said


def test_a_backup_under_load_has_every_write_acknowledged_before(make_server, tmp_path):
    server = make_server(workers=2)
    writers = [Writer(server) for _ in range(4)]
    wait_for("writes", lambda: all(len(w.acknowledged) > 20 for w in writers), 20 * NOISE)
    for n in range(3):
        path = str(tmp_path / f"copy{n}.db")
        before = {i for w in writers for i in list(w.acknowledged)}
        done = server.ctl("backup", path)
        there = ids_in(path)
        print(len(before), "acknowledged before,", len(there), "in the copy:", done.stdout.strip())
        assert before <= there
        assert "checked" in done.stdout
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["copy0.db", "copy1.db", "copy2.db"]
    for w in writers:
        w.end()
        assert not w.odd and not w.refused
    directory = os.path.join(server.data, "backup")
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert len(backups(server)) == 3
    for name in backups(server):
        assert os.stat(os.path.join(directory, name)).st_mode & 0o777 == 0o600
        assert ids_in(os.path.join(directory, name))
    # an existing file is kept
    refused = server.ctl("backup", path, check=False)
    assert refused.returncode == 78 and "--force" in refused.stderr
    answer = json.loads(server.ctl("backup", path, "--force", "--json").stdout)
    assert answer["ok"] and len(ids_in(path)) >= sum(len(w.acknowledged) for w in writers)
    with open(tmp_path / "out.db", "wb") as out:
        subprocess.run([program("bulkheadctl"), "-d", server.data, "backup", "-"], stdout=out,
                       stderr=subprocess.DEVNULL, check=True, timeout=30)
    assert ids_in(str(tmp_path / "out.db")) == ids_in(path)
    assert server.health()["status"] == "healthy"
    assert server.stop() == 0


def test_backups_under_way_are_given_up_and_nothing_is_left(make_server, tmp_path):
    server = make_server(workers=1, start=False, config={"wal.soft": 1, "wal.hard": 1})
    server.start()
    assert server.stop() == 0
    fatten(server, 100)
    server.start()
    server.login()

    def unfinished():
        return [n for n in backups(server) if n.endswith(".new")]

    # two at once share one: the keeper is held up until both have asked
    keeper, parked = server.helper_pid("keeper"), 0
    stop_process(keeper)
    before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    two = [Asked(server, str(tmp_path / f"{n}.db")) for n in "ab"]

    def both_wait():  # two more descriptors, and not just for a moment
        nonlocal parked
        parked = parked + 1 if len(os.listdir(f"/proc/{server.process.pid}/fd")) == before + 2 else 0
        return parked > 20
    wait_for("both to have asked", both_wait, 10)
    os.kill(keeper, signal.SIGCONT)
    for asked in two:
        code, said = asked.end()
        assert code == 0, said
    assert len(backups(server)) == 1
    assert ids_in(str(tmp_path / "a.db")) == ids_in(str(tmp_path / "b.db"))

    # the keeper is killed
    keeper = server.helper_pid("keeper")
    asked = Asked(server, str(tmp_path / "killed.db"))
    wait_for("a copy under way", unfinished, 10, 0.001)
    os.kill(keeper, signal.SIGKILL)
    began = time.monotonic()
    code, said = asked.end()
    print(f"answered {time.monotonic() - began:.2f} s after the kill: {said.strip()}")
    assert code == 1 and "ask again" in said
    wait_for("a new keeper", lambda: server.helper_pid("keeper") != keeper, 5 * NOISE)
    assert not unfinished() and not os.path.exists(tmp_path / "killed.db")

    # the log grows too much meanwhile: the copy may not pin it for ever
    keeper = server.helper_pid("keeper")
    asked = Asked(server, str(tmp_path / "grown.db"))
    wait_for("a copy under way", unfinished, 10, 0.001)
    stop_process(keeper)
    grow(server, 2)
    os.kill(keeper, signal.SIGCONT)
    code, said = asked.end()
    assert code == 1 and "wal.hard" in said, said
    assert not unfinished()
    wait_for("the log to be emptied", lambda: wal_bytes(server) < 1 << 20, 3 * NOISE)

    # and one that is left alone succeeds; a stop in the middle is prompt
    code, said = Asked(server, str(tmp_path / "good.db")).end()
    assert code == 0, said
    assert len(ids_in(str(tmp_path / "good.db"))) >= 1600
    asked = Asked(server, str(tmp_path / "stopped.db"))
    wait_for("a copy under way", unfinished, 10, 0.001)
    assert server.stop() == 0
    code, said = asked.end()
    assert code in (0, 1, 75), said  # 0: the workers took longer to end than the copy did
    assert os.path.exists(tmp_path / "stopped.db") == (code == 0)
    assert not unfinished()
    events = [l["event"] for l in server.log_lines() if l["event"].startswith("backup")]
    assert events.count("backup_failed") >= 3


def test_who_waits_for_a_backup_is_told_that_the_server_stops(make_server, tmp_path):
    server = make_server(workers=1)
    stop_process(server.helper_pid("keeper"))
    before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    asked, parked = Asked(server, str(tmp_path / "copy.db")), 0

    def waits():  # one more descriptor, and not just for a moment
        nonlocal parked
        parked = parked + 1 if len(os.listdir(f"/proc/{server.process.pid}/fd")) > before else 0
        return parked > 20
    wait_for("it to have asked", waits, 10)
    server.process.send_signal(signal.SIGQUIT)  # nobody is waited for
    code, said = asked.end()
    assert code == 1 and "the server stops" in said, (code, said)
    server.process.wait(20)
    assert server.gone(2)


def test_scheduled_backups_are_made_and_pruned(make_server):
    server = make_server(workers=1, start=False, config={"backup.every": 1, "backup.keep": 3})
    directory = os.path.join(server.data, "backup")
    os.mkdir(directory, 0o700)
    old = [f"app-2020010{n}T000000Z.db" for n in range(1, 8)]
    for name in [*old, "app-20200101T000000Z.db.new", "mine.txt"]:
        open(os.path.join(directory, name), "w").close()
    server.start()
    wait_for("a backup", lambda: len(backups(server)) == 4, 10 * NOISE)
    assert backups(server)[:2] == old[-2:] and backups(server)[3] == "mine.txt"
    made = backups(server)[2]
    assert made > "app-2026" and ids_in(os.path.join(directory, made)) == set()
    time.sleep(1.5)  # the next one is due in a minute
    assert made in backups(server) and len(backups(server)) == 4
    assert [e["text"] for e in server.events() if e["event"] == "backup"][0].startswith(made)
    assert server.stop() == 0


def test_a_backup_just_made_is_there_however_many_and_whatever_the_clock_was(make_server, tmp_path):
    server = make_server(workers=1, start=False, config={"backup.every": 1, "backup.keep": 3})
    directory = os.path.join(server.data, "backup")
    os.mkdir(directory, 0o700)
    for n in range(1, 5):  # the clock was ahead when these were made
        open(os.path.join(directory, f"app-2099010{n}T000000Z.db"), "w").close()
    server.start()
    made = []
    for _ in range(5):
        said = server.ctl("backup", str(tmp_path / "copy.db"), "--force").stdout
        made.append(said.split("/")[-1].strip())
        assert made[-1] in backups(server), said
    assert made == sorted(set(made)), "names tell the order"
    assert backups(server) == made[-3:]
    assert server.stop() == 0


def test_no_backup_of_a_database_that_is_away(make_server, tmp_path):
    server = make_server(workers=1)
    move(server, "app.db")
    wait_for("the verdict", lambda: server.health()["db"]["state"] == "moved", 2 * NOISE)
    done = server.ctl("backup", str(tmp_path / "copy.db"), check=False)
    assert done.returncode == 1 and "moved" in done.stderr
    assert os.listdir(tmp_path) == [] and not [n for n in backups(server) if n.endswith("new")]
    move(server, "app.db", back=True)
    wait_for("recovery", lambda: server.health()["status"] == "healthy", 3 * NOISE)
    server.ctl("backup", str(tmp_path / "copy.db"))
    assert server.stop() == 0


def test_a_backup_is_restored(make_server, tmp_path):
    server = make_server(workers=1)
    path = str(tmp_path / "copy.db")

    def titles():
        return {i["title"] for i in server.request("GET", "/data/items").json["items"]}

    def restore(file):
        return server.ctl("restore", file, check=False)

    assert server.request("POST", "/data/items", {"title": "kept"}).status == 201
    server.ctl("backup", path)
    assert server.request("POST", "/data/items", {"title": "later"}).status == 201
    refused = restore(path)
    assert refused.returncode == 75 and str(server.process.pid) in refused.stderr, refused
    assert titles() == {"kept", "later"}
    assert server.stop() == 0

    (tmp_path / "garbage.db").write_bytes(os.urandom(8192))
    with sqlite3.connect(tmp_path / "foreign.db") as db:
        db.execute("CREATE TABLE t(x)")
    db.close()
    for name, why in (("garbage.db", "not a database"), ("foreign.db", "another program"),
                      ("absent.db", "No such file")):
        refused = restore(str(tmp_path / name))
        assert refused.returncode == 78 and why in refused.stderr, refused
    server.start()
    server.login()
    assert titles() == {"kept", "later"}
    assert server.stop() == 0

    done = json.loads(server.ctl("restore", path, "--json").stdout)
    assert done["ok"] and "to undo this" in done["message"]
    server.start()
    server.login()
    assert titles() == {"kept"}
    assert server.request("POST", "/data/items", {"title": "new"}).status == 201
    assert server.stop() == 0

    # and back, as it said
    assert restore(done["message"].split()[-1]).returncode == 0
    server.start()
    server.login()
    assert titles() == {"kept", "later"}
    assert server.health()["status"] == "healthy"
    assert server.stop() == 0
