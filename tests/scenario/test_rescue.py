# SPDX-License-Identifier: MIT
"""What an outage does when something else goes wrong with it: a helper is dead, slow or stopped, the
service is ending, the sentinel is silent."""
import os
import signal
import sqlite3
import time

from conftest import NOISE, wait_for
from outage import Writer, all_items, lost, processes, until_it_works

ON = {"faults.enabled": "yes"}


def writing(make_server, count=4, **kwargs):
    server = make_server(workers=3, **kwargs)
    writers = [Writer(server) for _ in range(count)]
    wait_for("writes", lambda: all(len(w.acknowledged) > 20 for w in writers), 20)
    return server, writers


def served_again(server, writers):
    wait_for("the end of it", lambda: any("up again" in e["text"] for e in server.events()),
             6 * NOISE)
    until_it_works(server, time.monotonic(), 2 * NOISE)
    for w in writers:
        w.end()
    assert not lost(all_items(server), writers)


def test_a_lost_log_is_saved_without_the_keeper(make_server):
    server, writers = writing(make_server)
    os.kill(server.helper_pid("keeper"), signal.SIGKILL)
    os.unlink(os.path.join(server.data, "app.db-wal"))
    served_again(server, writers)


def test_a_lost_log_is_saved_by_a_keeper_that_needs_its_time(make_server):
    server, writers = writing(make_server, config={**ON, "wal.soft": 16})
    before = processes(server)
    server.ctl("faults", "set", "db", "effect=slow", "op=sync", "delay=1500ms", "target=keeper")
    server.ctl("faults", "set", "db", "effect=slow", "op=sync", "delay=1500ms", "target=sentinel")
    os.unlink(os.path.join(server.data, "app.db-wal"))
    wait_for("it to be saved", lambda: any("content was saved" in e["text"] for e in server.events()),
             10 * NOISE)
    server.ctl("faults", "clear", "all")
    served_again(server, writers)
    assert processes(server) == before


def test_a_lost_log_is_saved_when_the_service_stops(make_server):
    server, writers = writing(make_server)
    os.unlink(os.path.join(server.data, "app.db-wal"))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    for w in writers:
        w.stop.set()
    server.start()
    server.login()
    assert not lost(all_items(server), writers)


def test_a_foreign_database_is_not_served_on_a_silent_sentinel(make_server):
    """Silence lifts the fence from a database that was known to be well, from no other."""
    server = make_server(workers=2)
    assert server.stop() == 0
    with sqlite3.connect(os.path.join(server.data, "app.db")) as db:
        db.execute("UPDATE meta SET value = 'somebody-elses' WHERE key = 'app_id'")
    db.close()
    server.start()
    wait_for("the verdict", lambda: server.health()["db"]["state"] == "replaced", 2 * NOISE)
    sentinel = server.helper_pid("sentinel")
    os.kill(sentinel, signal.SIGSTOP)
    try:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            for method, body in (("POST", {"title": "never"}), ("GET", None)):
                assert server.request(method, "/data/items", body).status == 503
            time.sleep(0.02)
    finally:
        os.kill(sentinel, signal.SIGCONT)


def test_a_keeper_stopped_in_the_gate_is_replaced(make_server):
    server, writers = writing(make_server, config=ON)
    server.ctl("faults", "set", "hang", "mode=stop", "target=keeper", "point=in_checkpoint")
    wait_for("the stop", lambda: server.metric("fault_hits_total", kind="hang"), 30 * NOISE)
    began, count = time.monotonic(), sum(len(w.acknowledged) for w in writers)
    wait_for("writes to go on",
             lambda: sum(len(w.acknowledged) for w in writers) > count + 20, 5 * NOISE)
    print(f"writes went on {time.monotonic() - began:.1f} s after the keeper was stopped")
    served = [e for e in server.events() if "stopped by a signal" in e["text"]]
    assert served, server.events()[-5:]
    for w in writers:
        w.end()
    assert not lost(all_items(server), writers)


def test_a_worker_whose_fsync_fails_again_is_replaced(make_server):
    server, writers = writing(make_server, count=8, config=ON)
    old = server.worker_pids()
    server.ctl("faults", "set", "db", "effect=ioerr", "op=sync", "target=worker:1", "duration=60s")
    wait_for("it to be replaced", lambda: server.worker_pids().get(1, old[1]) != old[1], 12 * NOISE)
    assert {i: server.worker_pids()[i] for i in (0, 2)} == {i: old[i] for i in (0, 2)}
    assert server.metric("worker_deaths_total", **{"class": "local_db_fault"}) >= 1
    server.ctl("faults", "clear", "all")
    served_again(server, writers)


def test_a_drain_during_the_workers_own_read(make_server):
    server = make_server(workers=2, config=ON)
    old = server.worker_pids()
    server.ctl("faults", "set", "db", "effect=slow", "op=begin", "delay=3s", "target=worker:0")
    server.ctl("faults", "set", "db", "effect=full", "duration=1s")
    wait_for("the outage", lambda: server.health()["db"]["state"] == "full", 2 * NOISE)
    wait_for("its end", lambda: server.health()["db"]["state"] == "up", 4 * NOISE)
    server.ctl("drain", "0")
    wait_for("its end", lambda: server.worker_pids().get(0) != old[0], 10 * NOISE)
    ended = [e for e in server.events() if e.get("slot") == 0 and e["event"].startswith("worker_")][-1]
    assert ended["event"] == "worker_stopped" and "(clean)" in ended["text"], ended
