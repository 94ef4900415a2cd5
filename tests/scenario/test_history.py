# SPDX-License-Identifier: MIT
"""What the console remembers: through kills of itself, and whatever becomes of metrics.db."""
import csv
import datetime
import http.client
import io
import os
import signal
import sqlite3
import time

from conftest import NOISE, SANITIZED, Load, stop_process, wait_for


def history(server, query=""):
    """The rows of /api/history as {time: {series: value}}."""
    answer = server.console("/api/history" + ("?" + query if query else ""))
    assert answer.status == 200, answer
    body = answer.json
    assert len(body["series"]) == len(body["units"])
    return {row[0]: dict(zip(body["series"], row[1:], strict=True)) for row in body["rows"]}


def newest(server):
    return max(history(server, "series=requests_per_s"), default=0)


def wait_rows(server, count, limit_s=None):
    """Wait for so many seconds more to be remembered; the time of the last one."""
    until = wait_for("the first row", lambda: newest(server), 10 * NOISE) + count
    wait_for(f"{count} more rows", lambda: newest(server) >= until, limit_s or count + 5 * NOISE)
    return until


def is_beyond(server, moment):
    """A condition: the console answers, and remembers what came later than a moment."""
    def beyond():
        try:
            return newest(server) > moment
        except (OSError, http.client.HTTPException, ValueError):
            return False
    return beyond


def rows_of(path):
    """Times of the one-second rows in metrics.db."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        return [t for t, in db.execute("SELECT t FROM metrics_events WHERE step = 1 ORDER BY t")]
    finally:
        db.close()


def rows_or_none(path):
    try:
        return rows_of(path)
    except sqlite3.Error:
        return []


def notes(server):
    return [e["text"] for e in server.events() if e["event"] == "note" and "history" in e["text"]]


def test_every_second_is_remembered_and_told_in_three_ways(make_server):
    server = make_server()
    wait_rows(server, 1)
    outcome = Load(server, rps=100, duration=4).finish()
    last = wait_rows(server, 2)
    rows = history(server)
    times = sorted(rows)
    assert times == list(range(times[0], times[-1] + 1)), "no second is missing"
    # What was counted is what was answered: rates are of measured time, not of whole seconds.
    answered = sum(r["auth_requests_per_s"] + r["read_requests_per_s"] + r["write_requests_per_s"]
                   for t, r in rows.items() if t <= last)
    counted = sum(server.metric("http_requests_total", **{"class": c}) for c in
                  ("auth", "read", "write"))
    assert 0 < outcome.sent <= counted
    assert abs(answered - counted) <= 0.05 * NOISE * counted + 5, (answered, counted)
    busy = [r for r in rows.values() if r["requests_per_s"] > 50]
    assert busy and all(0 < r["p50_ms"] <= r["p95_ms"] <= r["p99_ms"] for r in busy)
    assert all(r["db_up"] == 1 for r in busy)
    assert rows[last]["error_share"] is None, "nobody asked, so there is no share"

    # The same as CSV, over HTTP and by bulkheadctl.
    query = f"from={times[0]}&to={last}"
    text = server.console("/api/history.csv?" + query).body.decode()
    table = list(csv.DictReader(io.StringIO(text)))
    assert list(table[0])[1:] == list(rows[last])
    for line in table:
        t = int(datetime.datetime.strptime(line.pop("time"), "%Y-%m-%dT%H:%M:%SZ")
                .replace(tzinfo=datetime.timezone.utc).timestamp())
        assert {k: float(v) if v else None for k, v in line.items()} == rows[t]
    assert len(table) == last - times[0] + 1
    assert server.ctl("history", "--csv", "--from", str(times[0]), "--to",
                      str(last)).stdout == text
    shown = server.ctl("history", "--step", "1", "--from", "-5").stdout.splitlines()
    assert shown[0].split()[:2] == ["time", "requests_per_s"] and len(shown) >= 5
    server.stop()


def test_questions_are_bounded(server):
    wait_rows(server, 1)
    for query, parameter in [("from=x", "from"), ("to=1e5", "to"), ("step=5", "step"),
                             ("series=requests_per_s,nope", "series"), ("from=-1&to=-2", "from"),
                             ("from=1790000000000", "from"), ("color=red", "color")]:
        for path in ("/api/history", "/api/history.csv"):
            answer = server.console(f"{path}?{query}")
            assert answer.status == 400, (query, answer)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json["detail"].startswith(parameter + ":"), answer
    assert server.console("/api/components?step=1").status == 400
    assert server.console("/api/slo?from=1").status == 400
    body = server.console("/api/history?from=0&to=99999999999&step=10&series=db_up").json
    assert body["to"] - body["from"] < 86400 and body["step"] == 10
    for path in ("/api/history", "/api/history.csv", "/api/components", "/api/slo"):
        head = server.request("HEAD", path, token=False, port=server.console_port)
        assert head.status == 200 and head.body == b"", (path, head)
    done = server.ctl("history", "--series", "nope", check=False)
    assert done.returncode == 78 and "--series" in done.stderr


def test_a_killed_console_remembers(make_server):
    server = make_server()
    load = Load(server, rps=50, duration=120)  # until it is told to end: its audit is no load of 50
    load.wait_seconds(1)
    wait_rows(server, 4)
    path = os.path.join(server.data, "metrics.db")
    kept = max(wait_for("rows in metrics.db", lambda: rows_or_none(path), 10 * NOISE))
    before = history(server)
    spent = server.console("/api/slo").json["slos"][0]["total"]
    killed = time.time()
    os.kill(server.helper_pid("console"), signal.SIGKILL)

    wait_for("the console to go on", is_beyond(server, killed + 1), 10 * NOISE)
    after = history(server)
    for t in before:
        if t <= kept:
            assert after[t] == before[t], "what was written is there"
    assert any(t > killed for t in after)
    gone = [t for t in range(min(after), max(after)) if t not in after]
    assert len(gone) <= 4 * NOISE, f"a kill costs seconds: {gone}"
    assert server.console("/api/slo").json["slos"][0]["total"] >= spent * 0.5, \
        "the objectives go on where they were"

    # A gap is a gap: seconds in which nobody looked have no row, and no spike follows them.
    console = server.helper_pid("console")
    begin = newest(server)
    stop_process(console)
    wait_for("3.5 s to pass", lambda: time.time() > begin + 3.5, 10)
    os.kill(console, signal.SIGCONT)
    wait_for("the console to go on", is_beyond(server, begin + 4), 10 * NOISE)
    after = history(server)
    assert begin + 2 not in after and begin + 3 not in after
    assert all(r["requests_per_s"] < 50 * 2 * NOISE for t, r in after.items() if t > begin), \
        {t - begin: r["requests_per_s"] for t, r in after.items()}
    load.process.terminate()
    load.finish().assert_nothing_lost()

    # The same over a stop of the whole service: its last seconds are written at the end.
    last, after = newest(server), history(server)
    assert server.stop() == 0
    assert rows_of(path)[-1] >= last
    server.start()
    wait_for("the past to be read", lambda: last in history(server), 10 * NOISE)
    assert {t: r for t, r in history(server).items() if t in after} == after
    server.stop()


def test_whatever_becomes_of_the_file(make_server):
    server = make_server()
    path = os.path.join(server.data, "metrics.db")
    first = wait_rows(server, 3)
    wait_for("rows in metrics.db", lambda: rows_or_none(path), 10 * NOISE)

    os.unlink(path)  # all that memory holds is written again
    wait_for("the file to be made anew", lambda: first in rows_or_none(path), 10 * NOISE)
    assert any("taken away" in n for n in notes(server)), notes(server)

    with open(path, "r+b") as f:
        f.write(b"no database any more" * 300)
    wait_for("the damaged file to be replaced", lambda: first in rows_or_none(path), 10 * NOISE)
    assert os.path.exists(path + ".aside")
    wait_for("a word on it", lambda: any(".aside" in n for n in notes(server)), 5 * NOISE)

    # A foreign lock: history goes on, answers come, the cause is told, and it is caught up with.
    other = sqlite3.connect(path, isolation_level=None)
    wait_for("the lock", lambda: locks(other), 10 * NOISE)
    begin = newest(server)
    wait_for("a word on the lock", lambda: any("locked" in n for n in notes(server)), 10 * NOISE)
    start = time.monotonic()
    assert newest(server) > begin
    assert time.monotonic() - start < 1 * NOISE
    assert server.console("/metrics").status == 200
    other.execute("COMMIT")
    other.close()
    end = newest(server)
    wait_for("what was missed", lambda: end in rows_or_none(path), 10 * NOISE)
    written = rows_of(path)
    assert [t for t in written if t >= first] == list(range(first, written[-1] + 1))
    wait_for("a word on that", lambda: any("again" in n for n in notes(server)), 5 * NOISE)
    rows = history(server)
    assert sorted(rows) == list(range(min(rows), max(rows) + 1)), "memory missed nothing"
    assert not [e for e in server.events() if e["event"] == "worker_died"]
    server.stop()


def locks(db):
    try:
        db.execute("BEGIN EXCLUSIVE")
        return True
    except sqlite3.Error:
        return False


def test_an_outage_is_seen_in_history_components_and_objectives(make_server):
    server = make_server()
    away = os.path.join(server.data, "app.away")
    load = Load(server, rps=100, duration=9)
    load.wait_seconds(1)
    wait_rows(server, 3)
    os.rename(os.path.join(server.data, "app.db"), away)
    begin = time.time()

    def slo():
        return server.console("/api/slo").json["slos"][0]
    wait_for("the fast alert", lambda: slo()["alerts"][0]["firing"], 10 * NOISE)
    assert slo()["budget_left"] < 0
    wait_rows(server, 2)
    os.rename(away, os.path.join(server.data, "app.db"))
    end = time.time()
    wait_for("the database to be up", lambda: server.health()["db"]["state"] == "up", 10 * NOISE)
    load.finish()
    wait_rows(server, 2)
    wait_for("the fast alert to end", lambda: not slo()["alerts"][0]["firing"], 15 * NOISE)
    rows = history(server)
    during = [r for t, r in rows.items() if begin + 1 <= t <= end]
    assert during
    assert any(r["refused_database_per_s"] > 0 and r["status_503_per_s"] > 0 for r in during)
    assert any(r["db_up"] == 0 for r in during)
    assert any(r["workers_degraded"] > 0 for r in during)
    before = [r for t, r in rows.items() if t < begin]
    assert all(r["refused_database_per_s"] == 0 and r["db_up"] == 1 for r in before), before
    assert SANITIZED or all(r["status_503_per_s"] == 0 for r in before), before  # it may be overloaded
    assert rows[max(rows)]["db_up"] == 1

    parts = server.console("/api/components").json
    names = [c["id"] for c in parts["components"]]
    assert names[:8] == ["listener", "door", "auth", "read", "write", "db_read", "db_write",
                         "database"] and names[8:11] == ["worker:0", "worker:1", "worker:2"]
    assert all(len(row["cells"]) == len(names) for row in parts["rows"])
    database = names.index("database")
    bad = {row["t"] for row in parts["rows"] if row["cells"][database][1] == 1}
    assert bad & {t for t, r in rows.items() if r["db_up"] == 0}
    assert all(row["cells"][names.index("worker:2")] is None for row in parts["rows"]), "the spare"
    server.stop()
