# SPDX-License-Identifier: MIT
"""The database goes away and comes back: everybody says so at once, nobody dies, nothing is lost."""
import os
import signal
import sqlite3
import time

from conftest import NOISE, SANITIZED, Load, Server, wait_for
from outage import (FILES, Writer, assert_all_are_there, assert_all_refuse, assert_says_so, is_outage,
                    move, processes, until_it_works)
from wire import add_users, assert_problem, login_as, signing_key

def test_app_db_is_moved_away_and_back(make_server):
    server = make_server(workers=3)
    writers = [Writer(server) for _ in range(4)]
    wait_for("writes", lambda: all(len(w.acknowledged) > 20 for w in writers), 20)
    before, errors = processes(server), server.metric("db_errors_total")
    moved = time.monotonic()
    move(server, "app.db")
    wait_for("refusals", lambda: all(w.refused for w in writers), 1 * NOISE)
    wait_for("all to know", lambda: server.health()["db"]["state"] == "moved", 1 * NOISE)
    print(f"known to all {time.monotonic() - moved:.3f} s after the move; each writer's first refusal",
          [f"{(w.refused[0][0] - moved) * 1000:.0f} ms" for w in writers])
    for w in writers:
        assert w.refused[0][0] - moved < 1 * NOISE
        assert len(w.unknown) <= 1
        is_outage(w.refused[0][1])
    counts = [len(w.acknowledged) for w in writers]
    assert_all_refuse(server)
    assert_says_so(server)
    wait_for("degraded workers", lambda: server.health()["workers"]["degraded"] == 3, 2 * NOISE)
    assert [len(w.acknowledged) for w in writers] == counts
    time.sleep(2)  # an outage that lasts: who loses patience with it?
    assert processes(server) == before
    assert server.metric("db_errors_total") > errors
    assert not os.path.exists(os.path.join(server.data, "app.db"))  # nobody made a new one
    lines = [l for l in server.log_lines("request")
             if l["status"] == 503 and l["route"] != "/health/ready"]
    assert len(lines) > 10 and all(l.get("db_unavailable") is True for l in lines)
    assert {l["reason"] for l in lines} <= {"database-unavailable", "write-outcome-unknown"}

    move(server, "app.db", back=True)
    until_it_works(server, time.monotonic(), 2 * NOISE)
    wait_for("writers to go on", lambda: all(len(w.acknowledged) > c + 5
                                             for w, c in zip(writers, counts)), 5)
    for w in writers:
        w.end()
        assert not w.odd, w.odd[:3]
    assert processes(server) == before
    assert server.metric("worker_restarts_total", reason="local_db_fault") == 0
    events = [e["event"] for e in server.events()]
    assert events.count("db_unavailable") == 1 and events.count("db_recovered") == 1
    assert not [l for l in server.log_lines("request") if l["status"] < 500 and "db_unavailable" in l]
    mine = [i["id"] for i in server.request("GET", "/data/items?limit=100").json["items"]
            if i["title"].startswith("back ")]
    for item in mine:
        assert server.request("DELETE", f"/data/items/{item}").status == 204
    assert_all_are_there(server, writers)
    assert server.stop() == 0


def test_an_outage_under_load_loses_nothing(make_server):
    server = make_server(workers=2)
    before = processes(server)
    load = Load(server, "--retry", "full-jitter", "--attempts", "8", rps=30 if SANITIZED else 150,
                duration=6)
    load.wait_seconds(1)
    for _ in range(2):
        move(server, *FILES)
        wait_for("the outage to be seen", lambda: server.health()["db"]["state"] == "moved", 1 * NOISE)
        move(server, *reversed(FILES), back=True)
        wait_for("recovery", lambda: server.health()["status"] == "healthy", 2 * NOISE)
    outcome = load.finish()
    outcome.assert_nothing_lost()
    assert set(outcome.attempts) <= {"http_503", "503"}, outcome.attempts
    assert processes(server) == before


def test_a_sidecar_that_is_replaced_is_noticed(make_server):
    """Writes to a log that nobody will read would be acknowledged and lost."""
    server = make_server(workers=2)
    server.request("POST", "/data/items", {"title": "before"})
    before = processes(server)
    began = time.monotonic()
    move(server, "app.db-wal")
    wait_for("a refusal", lambda: server.health()["degraded"], 1 * NOISE)
    assert time.monotonic() - began < 1 * NOISE
    is_outage(server.request("POST", "/data/items", {"title": "never"}))
    move(server, "app.db-wal", back=True)
    until_it_works(server, time.monotonic(), 2 * NOISE)
    titles = [i["title"] for i in server.request("GET", "/data/items").json["items"]]
    assert "before" in titles and "never" not in titles
    assert processes(server) == before


def test_another_database_is_not_served(make_server):
    """A file of the same schema is still somebody else's."""
    server, other = make_server(workers=2), make_server(workers=1)
    server.request("POST", "/data/items", {"title": "ours"})
    assert other.stop() == 0
    before = processes(server)
    move(server, *FILES)
    for name in FILES:
        if os.path.exists(os.path.join(other.data, name)):
            os.rename(os.path.join(other.data, name), os.path.join(server.data, name))
    wait_for("the verdict", lambda: server.health()["db"]["state"] == "replaced", 2 * NOISE)
    assert_all_refuse(server)
    for name in FILES:
        if os.path.exists(os.path.join(server.data, name)):
            os.unlink(os.path.join(server.data, name))
    move(server, *FILES, back=True)
    until_it_works(server, time.monotonic(), 2 * NOISE)
    titles = [i["title"] for i in server.request("GET", "/data/items").json["items"]]
    assert "ours" in titles
    assert processes(server) == before


def test_started_while_the_database_is_away(make_server):
    server = make_server(workers=2)
    server.request("POST", "/data/items", {"title": "kept"})
    assert server.stop() == 0
    assert os.path.exists(os.path.join(server.data, "app.id"))
    move(server, *FILES)
    server.start()
    wait_for("the verdict", lambda: server.health()["db"]["state"] == "moved", 2 * NOISE)
    assert_says_so(server)
    assert_all_refuse(server)
    assert not [n for n in os.listdir(server.data) if n.startswith("app.db")]
    before = processes(server)
    move(server, *FILES, back=True)
    until_it_works(server, time.monotonic(), 2 * NOISE)
    titles = [i["title"] for i in server.request("GET", "/data/items").json["items"]]
    assert "kept" in titles
    assert processes(server) == before


def test_keys_are_rotated_with_a_reload(make_server):
    server = make_server(workers=2)
    old, path = signing_key(server), os.path.join(server.data, "jwt.key")
    new = os.urandom(32)
    with open(path + ".new", "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(f"{new.hex()}\n{old.hex()}\n")
    os.rename(path + ".new", path)

    def reloads():
        return len([e for e in server.events()
                    if e["event"] == "reload" and e["text"].startswith("all replaced")])
    server.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: reloads() == 1, 20 * NOISE)
    first = server.token
    assert server.request("GET", "/data/items").status == 200  # the old token
    server.login()
    for token in (first, server.token):
        for _ in range(4):  # whichever worker
            assert server.request("GET", "/data/items", token=token).status == 200
    with open(path, "w") as f:
        f.write(f"{new.hex()}\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for("the second reload", lambda: reloads() == 2, 20 * NOISE)
    assert_problem(server.request("GET", "/data/items", token=first), 401)
    assert server.request("GET", "/data/items").status == 200


def test_the_log_stays_small_under_writes(make_server):
    server = make_server(workers=2)
    rate = 40 if SANITIZED else 200
    load = Load(server, "--mix", "write=100", "--no-audit", rps=rate, duration=10)
    sizes = []
    while load.running():
        sizes.append(server.metric("db_wal_bytes"))
        time.sleep(0.1)
    outcome = load.finish()
    assert not outcome.attempts, outcome.attempts
    written = server.metric("http_requests_total", code="201")
    assert written > rate * 8
    assert server.metric("db_commits_total") > written / 8
    print("largest", max(sizes), "last", sizes[-1], "commits", server.metric("db_commits_total"))
    assert 0 < max(sizes) < 8 << 20, max(sizes)
    on_disk = os.path.getsize(os.path.join(server.data, "app.db-wal"))
    assert on_disk < 8 << 20


def test_an_account_that_is_deleted_is_gone():
    """Its token lives on for minutes: it may see nothing and make nothing."""
    server = Server(workers=1)
    try:
        server.start()
        assert server.stop() == 0
        add_users(server, "leaver")
        server.start()
        token = login_as(server, "leaver")
        assert server.request("POST", "/data/items", {"title": "t"}, token=token).status == 201
        assert server.stop() == 0
        with sqlite3.connect(os.path.join(server.data, "app.db")) as db:
            db.execute("PRAGMA foreign_keys = ON")
            db.execute("DELETE FROM users WHERE name = 'leaver'")
        db.close()
        server.start()
        answer = server.request("GET", "/data/items", token=token)
        assert answer.status == 401 or answer.json["items"] == []
        assert_problem(server.request("POST", "/data/items", {"title": "t"}, token=token), 401)
        assert server.stop() == 0
    finally:
        assert not server.end()
