# SPDX-License-Identifier: MIT
"""The keeper's jobs: the write-ahead log is emptied or the one in its way is named; backups."""
import os
import sqlite3
import time

from conftest import NOISE, wait_for

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
