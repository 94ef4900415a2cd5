# SPDX-License-Identifier: MIT
"""The fault bench against real servers: each kind does what it says, to whom it says, and no more."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import socket
import time

import pytest
from conftest import NOISE, wait_for
from wire import assert_problem

ON = {"faults.enabled": "yes"}


@pytest.fixture
def bench(make_server):
    def make(**kwargs):
        config = {**ON, **kwargs.pop("config", {})}
        return make_server(config=config, **kwargs)
    return make


def put_fault(server, *words):
    """Set a fault; its id."""
    answer = json.loads(server.ctl("faults", "set", *words, "--json").stdout)
    return int(answer["message"].split()[1])


def fault(server, number):
    table = json.loads(server.ctl("faults", "--json").stdout)
    return next(f for f in table if f["id"] == number)


def hits(server, kind):
    return server.metric("fault_hits_total", kind=kind)


def speak(server, data):
    """Bytes on the control socket; what came back."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(os.path.join(server.data, "run", "control.sock"))
        s.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # more was sent than is read
            while piece := s.recv(65536):
                answer += piece
        return answer


def all_ready(server, workers=2):
    return server.health()["workers"]["ready"] == workers


# ---- off ----

def test_without_the_key_nothing_can_be_set_and_nothing_is_hit(make_server):
    server = make_server()
    done = server.ctl("faults", "set", "crash", check=False)
    assert done.returncode == 1 and "faults.enabled" in done.stderr
    assert b"faults.enabled" in speak(server, b"faults set db effect=down\n")
    assert b"faults.enabled" in speak(server, b"faults beat\n")
    for _ in range(50):
        assert server.request("POST", "/data/items", {"title": "x"}).status == 201
    assert server.metric("fault_hits_total") == 0 and server.metric("fault_active") == 0
    assert server.metric("worker_deaths_total") == 0
    assert not [e for e in server.events() if e["event"].startswith("fault")]


def test_a_reload_enables_all_kinds_but_db(make_server, tmp_path):
    """It replaces workers alone: the sentinel would go on to call a broken database healthy."""
    conf = tmp_path / "b.conf"
    conf.write_text("[faults]\nenabled = no\n")
    server = make_server("-c", str(conf), workers=1)
    conf.write_text("[faults]\nenabled = yes\n")
    server.ctl("reload")
    wait_for("the reload to end", lambda: [e for e in server.events() if e["event"] == "reload"
                                           and "all replaced" in e["text"]], 20 * NOISE)
    refused = server.ctl("faults", "set", "db", "effect=full", check=False)
    assert refused.returncode == 1 and "start the server with" in refused.stderr, refused
    assert server.request("POST", "/data/items", {"title": "x"}).status == 201
    put_fault(server, "error", "class=read")
    assert server.request("GET", "/data/items").status == 500


def test_mistakes_are_named_and_garbage_does_no_harm(bench):
    server = bench()
    done = server.ctl("faults", "set", "crash", "signal=HUP", check=False)
    assert done.returncode == 2 and "signal=HUP" in done.stderr and "SEGV" in done.stderr
    done = server.ctl("faults", "set", "error", "duration=1s", "duration=2s", check=False)
    assert done.returncode == 2 and "duration" in done.stderr and "once" in done.stderr
    done = server.ctl("faults", "clear", "x", check=False)
    assert done.returncode == 2 and "x" in done.stderr
    done = server.ctl("faults", "clear", "77", check=False)
    assert done.returncode == 1 and "77" in done.stderr
    assert "effect=down|slow" in server.ctl("faults", "--help").stdout
    text = server.ctl("faults", "--help").stdout
    said = server.ctl("faults", "set", "explode", check=False).stderr
    for kind in said.split("known: ")[1].strip().split(", "):
        keys = server.ctl("faults", "set", kind, "nothing=1", check=False).stderr
        for word in [kind, *keys.split("known: ")[1].strip().split(", ")]:
            assert re.search(rf"\b{word}\b", text), f"--help does not tell of {word}"
    server.ctl("faults", "set", "crash", "target=worker:0", "point=in_commit")
    wait_for("whom it is aimed at", lambda: "aimed at worker 0\n" in server.ctl("faults").stdout, 2)
    server.ctl("faults", "clear")
    for garbage in (b"faults\n", b"faults \n", b"faults set\n", b"faults set \n", b"faults clear \n",
                    b"faults clear -1\n", b"faults clear 99999999999999999999\n",
                    b"faults set \xff\xfe\x01=%n%s\n", b"faults set " + b"a" * 600 + b"\n",
                    b"faults set crash " + b"per_second=1 " * 38 + b"\n"):
        speak(server, garbage)
    assert server.process.poll() is None
    assert server.health()["status"] == "healthy"


# ---- processes ----

@pytest.mark.parametrize("point", ["now", "request", "in_transaction", "in_commit", "after_commit"])
def test_a_crash_at_each_point_loses_no_acknowledged_write(bench, point):
    """Writers go on while workers crash under them: what was acknowledged is there, and only the
    processes the fault was meant for died."""
    server = bench()
    acked, end = [], time.monotonic() + 30

    def write(n):
        wrote = 0
        while not done and time.monotonic() < end:
            title = f"{point}-{n}-{wrote}"
            wrote += 1
            try:
                answer = server.request("POST", "/data/items", {"title": title}, timeout=10)
            except (OSError, http.client.HTTPException):  # its worker died
                continue
            if answer.status == 201:
                acked.append((answer.json["id"], title))
    done = []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, n) for n in range(4)]
        wait_for("writes", lambda: len(acked) > 20, 20)
        # KILL is taken for an operator's: it is never charged, and the worker is back at once.
        number = put_fault(server, "crash", "target=all", f"point={point}")
        wait_for("both to be struck", lambda: fault(server, number)["end"] == "struck", 10 * NOISE)
        before = len(acked)
        wait_for("writes after it", lambda: len(acked) > before + 20, 20)
        done.append(True)
        for w in writers:
            w.result()
    assert hits(server, "crash") == 2
    assert server.metric("worker_deaths_total") == 2, "the next generations were not meant"
    lost = [t for i, t in acked if server.request("GET", f"/data/items/{i}").status != 200]
    print(f"{point}: {len(acked)} acknowledged writes, {len(lost)} lost")
    assert not lost
    deaths = [e for e in server.events() if e["event"] == "worker_died"]
    begun = next(e for e in server.events() if e["event"] == "fault_start")
    assert [e["cause_id"] for e in deaths] == [begun["id"]] * 2, deaths


def test_a_stopped_worker_is_replaced_and_named(bench):
    server = bench()
    old = server.worker_pids()
    put_fault(server, "hang", "target=worker:1", "mode=stop")
    wait_for("a new worker 1", lambda: server.worker_pids().get(1, old[1]) != old[1], 4 * NOISE)
    assert server.worker_pids()[0] == old[0]
    assert server.metric("worker_deaths_total", **{"class": "hung"}) == 1
    assert hits(server, "hang") == 1


def test_a_scribbler_ends_itself_and_not_its_neighbour(bench):
    server = bench()
    for _ in range(30):
        server.request("GET", "/data/items")
    old = server.worker_pids()
    before = server.metrics()
    put_fault(server, "scribble", "target=worker:1")  # over the numbers of worker 0
    wait_for("its end", lambda: server.metric("worker_deaths_total") == 1, 5 * NOISE)
    wait_for("a new one", lambda: all_ready(server), 5 * NOISE)
    after = server.metrics()
    assert server.worker_pids()[0] == old[0] and server.worker_pids()[1] != old[1]
    assert server.metric("worker_deaths_total", **{"class": "clean"}) == 0
    accepts = ("accepts_total", frozenset({("slot", "0")}))
    assert before[accepts] <= after[accepts] < before[accepts] + 1000
    assert server.metric("region_corrupt_total") == 0
    assert server.metric("fault_hits_total", kind="scribble") == 1


def test_the_keeper_crashes_in_a_checkpoint(bench):
    server = bench(config={"wal.soft": "1"})
    pid = server.helper_pid("keeper")
    number = put_fault(server, "crash", "point=in_checkpoint")
    body = "b" * 60000

    def struck():
        server.request("POST", "/data/items", {"title": "big", "body": body})
        return fault(server, number)["end"] == "struck"
    wait_for("a checkpoint", struck, 20 * NOISE)
    wait_for("a new keeper", lambda: server.helper_pid("keeper") != pid, 5 * NOISE)
    wait_for("writes", lambda: server.request("POST", "/data/items", {"title": "x"}).status == 201,
             5 * NOISE)
    assert server.metric("helper_deaths_total") == 1


# ---- requests ----

def timed(server, path):
    start = time.monotonic()
    answer = server.request("GET", path)
    return answer.status, time.monotonic() - start


def test_slow_and_error_strike_their_class_and_route_alone(bench):
    server = bench()
    item = server.request("POST", "/data/items", {"title": "x"}).json["id"]
    put_fault(server, "slow", "class=read", "delay=200ms", "jitter=20ms")
    status, took = timed(server, f"/data/items/{item}")
    assert status == 200 and 0.2 <= took < 0.3 * NOISE
    put_fault(server, "slow", "route=GET:/data/items", "delay=100ms")
    status, took = timed(server, "/data/items")
    assert status == 200 and took >= 0.3, "delays add up"
    assert timed(server, "/health")[1] < 0.1 * NOISE
    server.ctl("faults", "clear")
    assert hits(server, "slow") == 3
    assert timed(server, "/data/items")[1] < 0.1 * NOISE

    for code in (500, 503, 504):
        number = put_fault(server, "error", "route=GET:/data/items", f"status={code}")
        answer = server.request("GET", "/data/items")
        assert answer.status == code and answer.json["type"] == "/problems/injected-fault"
        assert ("retry-after" in answer.headers) == (code == 503)
        assert server.request("GET", f"/data/items/{item}").status == 200
        server.ctl("faults", "clear", str(number))
    put_fault(server, "error", "class=read", "per_million=300000", "seed=5")
    statuses = [server.request("GET", "/data/items").status for _ in range(200)]
    share = statuses.count(500) / len(statuses)
    print(f"30 % asked for, {share:.0%} met")
    assert 0.15 < share < 0.45 and set(statuses) == {200, 500}
    server.ctl("faults", "clear", "all")
    assert [server.request("GET", "/data/items").status for _ in range(20)] == [200] * 20
    assert server.metric("fault_active") == 0


# ---- answers ----

def item_of(server, title="a title", body="some text"):
    return server.request("POST", "/data/items", {"title": title, "body": body}).json


def test_a_partial_answer_is_half_a_body_and_the_end(bench):
    server = bench()
    item = item_of(server)
    put_fault(server, "partial", "route=GET:/data/items/{id}")
    whole = len(json.dumps(item, separators=(",", ":"), ensure_ascii=False))
    for n in range(1, 6):
        c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        with contextlib.closing(c):
            c.request("GET", f"/data/items/{item['id']}",
                      headers={"Authorization": "Bearer " + server.token})
            answer = c.getresponse()
            assert answer.status == 200 and int(answer.getheader("Content-Length")) == whole
            with pytest.raises(http.client.IncompleteRead) as cut:
                answer.read()
            assert len(cut.value.partial) == whole // 2
        assert hits(server, "partial") == n
    assert server.request("GET", "/data/items").status == 200, "other routes are not meant"
    assert server.request("HEAD", f"/data/items/{item['id']}").status == 200  # nothing to cut
    server.ctl("faults", "clear")
    assert server.request("GET", f"/data/items/{item['id']}").json == item
    assert hits(server, "partial") == 5 and server.metric("worker_deaths_total") == 0


@pytest.mark.parametrize("point,done", [("request", False), ("answer", True)])
def test_an_omitted_answer_is_a_reset_and_its_key_tells_the_rest(bench, point, done):
    """A client that was not answered cannot know; with the same key its retry is safe either way,
    and the answer says whether the first one had been carried out."""
    server = bench()
    key = {"Idempotency-Key": "k-1"}
    put_fault(server, "omission", f"point={point}", "class=write")
    for _ in range(3):
        with pytest.raises(ConnectionResetError) as met:
            server.request("POST", "/data/items", {"title": "once"}, headers=key)
        assert met.type is ConnectionResetError, "a reset, not an orderly end"
    assert server.request("GET", "/data/items").status == 200
    assert len(server.request("GET", "/data/items").json["items"]) == done
    server.ctl("faults", "clear")
    answer = server.request("POST", "/data/items", {"title": "once"}, headers=key)
    assert answer.status == 201
    assert answer.headers.get("idempotency-replayed") == ("true" if done else None)
    assert len(server.request("GET", "/data/items").json["items"]) == 1
    assert hits(server, "omission") == 3 and server.metric("worker_deaths_total") == 0


def test_writes_whose_answer_is_lost_are_indeterminate_and_with_retries_replayed(bench):
    server = bench()
    put_fault(server, "omission", "route=POST:/data/items", "per_million=200000", "seed=3")
    alone = server.loadtest("--retry", "none", rps=100, duration=4)
    print(alone.audit)
    alone.assert_nothing_lost()
    assert alone.audit["indeterminate"] > 0
    before = server.metric("http_requests_total", route="/data/items", method="POST", code="201")
    again = server.loadtest("--retry", "full-jitter", "--attempts", "4", rps=100, duration=4)
    print(again.audit)
    again.assert_nothing_lost()
    done = server.metric("http_requests_total", route="/data/items", method="POST",
                         code="201") - before
    assert done > again.audit["acked"], "replays were answered too"
    assert again.audit["indeterminate"] < alone.audit["indeterminate"]
    assert hits(server, "omission") > 10


def test_a_wrong_answer_is_found_by_the_audit(bench):
    server = bench()
    item = item_of(server)
    put_fault(server, "wrong")
    seen = server.request("GET", f"/data/items/{item['id']}").json
    assert seen["id"] == item["id"] and seen != item
    wrong = [k for k in item if seen[k] != item[k]]
    assert wrong in (["title"], ["body"]), (item, seen)
    assert sum(a != b for a, b in zip(item[wrong[0]], seen[wrong[0]])) == 1
    assert server.request("GET", "/data/items").json["items"][0]["title"] == item["title"]
    assert server.request("GET", "/data/items/0197fbd2-0000-7000-8000-000000000000").status == 404
    load = server.loadtest(rps=60, duration=3)
    print(load.audit)
    assert load.audit["corrupt"] > 0 and load.audit["lost"] == 0
    assert load.code not in (0, 2), "an audit that finds something fails the run"
    server.ctl("faults", "clear")
    assert server.request("GET", f"/data/items/{item['id']}").json == item, "the database is right"


def test_no_worker_starts_while_starting_is_deadly(bench):
    """All workers down, without touching the program: each that starts dies before it serves."""
    server = bench(config={"restart.max_deaths": "100"})
    number = put_fault(server, "crash", "point=start")
    old = server.worker_pids()
    put_fault(server, "crash", "target=all", "signal=SEGV")
    wait_for("nobody to serve", lambda: not [s for s in server.slots().values()
                                             if s["state"] in ("ready", "degraded")], 5 * NOISE)
    wait_for("attempts", lambda: server.metric("worker_deaths_total",
                                               **{"class": "failed_to_start"}) >= 4, 10 * NOISE)
    assert fault(server, number)["state"] == "active"

    def refusal():  # an answer a process that crashes still owes may be cut; no connection is refused
        try:
            answer = server.request("GET", "/data/items", timeout=10 * NOISE)
        except ConnectionRefusedError:
            raise
        except (OSError, http.client.HTTPException):
            return None
        return answer if answer.status == 503 and b"no-workers" in answer.body else None
    answer = wait_for("an answer for the workers", refusal, 10 * NOISE)
    assert_problem(answer, 503, "no-workers")
    for _ in range(20):  # and so it stays, whichever attempt fails meanwhile
        assert_problem(server.request("GET", "/data/items"), 503, "no-workers")
    health = server.request("GET", "/health")
    assert health.status == 200 and health.json["status"] == "failing", health
    assert health.json["reason"] == "no_workers", health
    server.ctl("faults", "clear")
    # the waits between attempts have grown
    wait_for("both to serve again", lambda: len([s for s in server.slots().values()
                                                 if s["state"] == "ready"]) == 2, 15 * NOISE)
    assert not set(old.values()) & set(server.worker_pids().values())
    assert server.request("GET", "/data/items").status == 200


# ---- the dead man's switch ----

def test_who_stops_beating_has_its_faults_cleared(bench):
    server = bench()
    number = put_fault(server, "error", "class=read", "duration=600s")
    assert b'"ok":true' in speak(server, b"faults beat\n")
    beat = time.monotonic()
    assert server.request("GET", "/data/items").status == 500
    wait_for("the dead man's switch", lambda: fault(server, number)["state"] == "ended", 8 * NOISE)
    print(f"cleared {time.monotonic() - beat:.1f} s after the last beat")
    assert time.monotonic() - beat >= 4.9
    assert fault(server, number)["end"] == "no_heartbeat"
    assert server.request("GET", "/data/items").status == 200
