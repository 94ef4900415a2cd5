# SPDX-License-Identifier: MIT
"""The log: every lifecycle event under its name, every field of a request, a form for people that no
client can turn against them, and `bulkheadctl logs`, which makes that form of the other."""
import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import pytest

from conftest import NOISE, program, stop_process, wait_for
from outage import move
from terminal import Terminal, plain
from test_breaker import READS_FAIL, breakers, open_it, read_until
from test_faults import put_fault
from wire import Wire, head

# What scripts and people look for in the log.
LIFECYCLE = {
    "worker_started", "worker_ready", "worker_died", "worker_hung", "worker_restarted",
    "worker_quarantined", "worker_degraded", "worker_recovered", "db_unavailable", "db_recovered",
    "breaker_open", "breaker_half_open", "breaker_closed", "route_quarantined", "drain", "reload",
    "fault_start", "fault_end", "last_resort_began", "last_resort_ended", "supervisor_started"}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def crashes_end_as_without_sanitizers(monkeypatch):
    """Their runtime leaves SIGSEGV alone: it would report what is done here on purpose."""
    options = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv("ASAN_OPTIONS", ":".join(filter(None, [options, "handle_segv=0"])))


def event_names():
    text = open("common/labels.h").read()
    rows = re.search(r"#define EVENT_LIST\(X\)(.*?)\n\n", text, re.S)[1]
    return set(re.findall(r'X\(\w+, "(\w+)", \w+\)', rows))


def assert_line_is_whole(line):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["ts"]), line
    assert line["level"] in ("debug", "info", "warning", "error"), line
    assert re.fullmatch(r"[a-z_]+", line["event"]) and isinstance(line["msg"], str), line
    assert isinstance(line["pid"], int) and line["pid"] > 0, line
    assert line["proc"] in ("supervisor", "worker", "sentinel", "keeper", "console", "setup"), line
    assert isinstance(line.get("slot"), int) == (line["proc"] != "supervisor"), line
    if line["event"] == "request":
        assert set(line) >= {"request_id", "method", "route", "status", "duration_us", "queue_us",
                             "db_us"}, line
        assert ("reason" in line) == (line["status"] >= 400), line
    if line["proc"] == "supervisor" and "child_slot" in line:
        assert line["kind"] in ("worker", "sentinel", "keeper", "console", "setup"), line
        assert isinstance(line["event_id"], int) and isinstance(line["child_pid"], int), line


def all_serve(server, count=2):
    def ready():
        try:
            return server.health()["workers"]["ready"] == count
        except OSError:
            return False
    wait_for("all to serve", ready, 15 * NOISE)


def logged(server, *names):
    wait_for(f"{names} in the log", lambda: set(names) <= {l["event"] for l in server.log_lines()},
             15 * NOISE)


def test_every_lifecycle_event_is_logged_under_its_name(make_server, tmp_path):
    conf = tmp_path / "b.conf"
    conf.write_text("[restart]\nmax_deaths = 100\n")
    server = make_server("-c", str(conf), config={"faults.enabled": "yes", "breaker.open": 1})
    number = put_fault(server, *READS_FAIL)
    open_it(server)
    server.ctl("faults", "clear", str(number))
    read_until(server, "it to close", lambda: breakers(server)[1] == "closed", 5 * NOISE)
    stop_process(server.worker_pids()[0])
    logged(server, "worker_hung", "worker_died", "worker_restarted")
    all_serve(server)
    move(server, "app.db")
    logged(server, "db_unavailable", "worker_degraded")
    for method, path in (("GET", "/data/items"), ("POST", "/data/items")):
        body = {"title": "x"} if method == "POST" else None
        assert server.request(method, path, body).status == 503
    assert server.request("GET", "/health/ready").status == 503
    move(server, "app.db", back=True)
    logged(server, "db_recovered", "worker_recovered")
    all_serve(server)
    number = put_fault(server, "crash", "signal=SEGV", "target=all", "point=request", "repeat=yes",
                       "route=DELETE:/data/items/{id}")
    end = time.monotonic() + 15 * NOISE
    while not server.log_lines("route_quarantined") and time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the worker dies of it
            server.request("DELETE", "/data/items/x", timeout=5)
    server.ctl("faults", "clear", str(number))
    all_serve(server)
    conf.write_text("[restart]\nmax_deaths = 1\n")
    server.ctl("reload", "--wait")
    put_fault(server, "crash", "signal=SEGV", "target=all", "repeat=yes", "per_second=10")
    logged(server, "worker_quarantined", "last_resort_began")
    server.ctl("faults", "clear", "all")
    for slot in ("0", "1"):  # one of them may have come back by itself
        server.ctl("restart", slot, check=False)
    logged(server, "last_resort_ended")
    assert server.stop() == 0

    lines = server.log_lines()
    seen = {l["event"] for l in lines}
    assert LIFECYCLE <= seen, LIFECYCLE - seen
    assert LIFECYCLE <= event_names()
    for line in lines:
        assert_line_is_whole(line)
    outage = [l for l in lines if l["event"] == "request" and l.get("db_unavailable")]
    ready = [l for l in lines if l.get("route") == "/health/ready" and l["status"] == 503]
    assert ready and {l["reason"] for l in ready} == {"not_ready"}, ready
    assert {l["method"] for l in outage} >= {"GET", "POST"}, outage
    assert [l for l in lines if l["event"] == "db_unavailable"][0]["db_unavailable"] is True
    assert {"worker", "supervisor"} <= {l["proc"] for l in lines}


def test_every_field_of_a_request(server):
    def line_of(request_id):
        return wait_for(f"the line of {request_id}", lambda: next(
            (l for l in server.log_lines("request") if l["request_id"] == request_id), None), 5)
    server.request("POST", "/data/items", {"title": "x"}, {
        "X-Request-Id": "log-1", "X-Retry-Attempt": "2", "traceparent": TRACE})
    line = line_of("log-1")
    assert_line_is_whole(line)
    assert (line["method"], line["route"], line["status"]) == ("POST", "/data/items", 201)
    assert line["user"] == "demo" and line["attempt"] == 2 and line["traceparent"] == TRACE
    assert 0 < line["db_us"] <= line["duration_us"] and line["queue_us"] >= 0
    assert line["msg"] == "POST /data/items 201" and "reason" not in line
    failures = [("GET", "/nowhere", None, {}, "not-found"),
                ("PUT", "/data/items", None, {}, "method-not-allowed"),
                ("GET", "/data/items?limit=x", None, {}, "malformed-request"),
                ("POST", "/data/items", {"tittle": "x"}, {}, "invalid-fields"),
                ("POST", "/data/items", "{", {}, "malformed-json"),
                ("GET", "/data/items", None, {"Authorization": "Bearer x"}, "unauthorized"),
                ("POST", "/data/items", "x", {"Content-Type": "text/x"}, "unsupported-media-type")]
    for n, (method, path, body, headers, reason) in enumerate(failures):
        answer = server.request(method, path, body, {"X-Request-Id": f"bad-{n}",
                                                     "traceparent": TRACE, **headers})
        assert answer.json["traceparent"] == TRACE == answer.headers["traceparent"], answer
        line = line_of(f"bad-{n}")
        assert_line_is_whole(line)
        assert line["reason"] == reason and line["traceparent"] == TRACE, line


# ---- on a terminal ----

HOSTILE = [b"\x9b31mX / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x1b[2J / HTTP/1.1\r\nHost: x\r\n\r\n",
           b"GET /\x1b]0;x\x07 HTTP/1.1\r\nHost: x\r\n\r\n",
           b"GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: \x1b[2J\r\n\r\n",
           "G\u202eT / HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
           b"GET / HTTP/1.1\r\nHost: x\r\ntraceparent: \xc2\x9b31m\r\n\r\n"]


def run_on_terminal(server, terminal, **environment):
    name, value = server.mark.split("=")
    server.log = open(server.log_path, "ab")
    server.process = terminal.run(*server.words, env={name: value, **environment},
                                  stdin=subprocess.DEVNULL, stdout=server.log)
    server.wait_ready()
    for data in HOSTILE:
        with Wire(server.port) as wire:
            wire.send(data)
            wire.answer()
    with Wire(server.port) as wire:
        wire.send(head("GET", "/nowhere", "X-Request-Id: the-last-one"))
        wire.answer()
    terminal.wait("the last line", lambda t: b"the-last-one" in t)
    assert server.stop() == 0
    return terminal.text()


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_gets_lines_for_people_and_nothing_to_obey(make_server, colour):
    # Clients do not get that far: their bytes are refused before. A directory's name does.
    data = tempfile.mkdtemp(prefix="b\x1b[2J\u202e")
    terminal, server = Terminal(), make_server(start=False, workers=1, data=data)
    try:
        text = run_on_terminal(server, terminal, **({} if colour else {"NO_COLOR": "1"}))
    finally:
        terminal.close()
        shutil.rmtree(data)
    assert b"/b\\x1b[2J\\u202e" in text
    allowed = (b"\x1b[0m", b"\x1b[2m", b"\x1b[31m", b"\x1b[33m") if colour else ()
    bare = text
    for sequence in allowed:
        bare = bare.replace(sequence, b"")
    assert (b"\x1b[2m" in text) == colour
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae", bare), bare
    assert bare.decode("utf-8")  # and no byte of 8 bits alone
    lines = [l for l in bare.decode().split("\r\n") if l]
    shown = [l for l in lines if re.match(r"\d\d:\d\d:\d\d\.\d{3} (supervisor|worker 0 |keeper)", l)]
    assert len(shown) > 5 and any("worker_ready" in l for l in shown)
    assert any("GET unmatched 404" in l and "reason=not-found" in l and
               "request_id=the-last-one" in l for l in lines), lines
    assert not any(l.startswith("{") for l in lines)


# ---- bulkheadctl logs ----

LINE = {"ts": "2026-01-31T23:59:58.123456Z", "level": "warning", "event": "request",
        "msg": "GET /x 503", "proc": "worker", "pid": 7, "slot": 2, "request_id": "r-1",
        "status": 503, "db_unavailable": True}


def logs(data, *words, code=0):
    if isinstance(data, list):
        data = "".join(json.dumps(l) + "\n" if isinstance(l, dict) else l for l in data).encode()
    done = subprocess.run([program("bulkheadctl"), "logs", *words], input=data,
                          capture_output=True, timeout=60)
    assert done.returncode == code, done
    return done.stdout if code == 0 else done.stderr


def test_logs_makes_lines_for_people():
    assert logs([LINE]) == (b"23:59:58.123 worker 2   request            GET /x 503  "
                            b"request_id=r-1  status=503  db_unavailable=true\n")
    odd = {**LINE, "msg": "a\x1b[2Jb\nc", "proc": "keeper", "slot": 66, "x": [1, {"y": None}],
           "level": "loud", "é": "ü\u202e"}
    assert logs([odd]).decode() == (
        "23:59:58.123 keeper     request            a\\x1b[2Jb\\nc  request_id=r-1  status=503  "
        "db_unavailable=true  x=[1,{\"y\":null}]  é=ü\\u202e\n")
    assert logs(b"") == b""


def test_logs_passes_on_what_is_none_of_its_lines():
    for line in (b"plain text", b"\ttabs\tstay", b'{"ts":"x"}', b"[1,2]", b'{"ts":', b"{}", b"",
                 "Grüße".encode()):
        assert logs(line + b"\n") == line + b"\n"
        assert logs(line) == (line + b"\n" if line else b"")
        assert logs(line + b"\r\n") == line + b"\n"
    assert logs(b"\x1b[31mred\x00\xff\n") == b"\\x1b[31mred\\x00\\xff\n"
    assert logs(b'{"ts":"\xff","event":"x"}\n') == b'{"ts":"\\xff","event":"x"}\n'
    long = b"x" * (5 << 20)
    assert logs(long + b"\n") == long + b"\n"
    assert len(logs([{**LINE, "msg": "\x1b" * (1 << 20)}])) > 4 << 20


def test_logs_chooses():
    lines = [{**LINE, "level": "info", "event": "worker_ready", "request_id": "r-2"}, "words\n",
             LINE, {**LINE, "level": "error", "event": "worker_died"}]
    assert logs(lines).count(b"\n") == 4
    assert logs(lines, "--level", "warning").count(b"\n") == 3  # words of others may matter
    assert logs(lines, "--level", "error").splitlines()[0] == b"words"
    assert b"worker_died" in logs(lines, "--event", "worker_died")
    assert logs(lines, "--event", "worker_died").count(b"\n") == 1
    assert logs(lines, "--request", "r-1").count(b"\n") == 2
    assert logs(lines, "--request", "r-1", "--level", "error").count(b"\n") == 1
    chosen = logs(lines, "--event", "request", "--json")
    assert json.loads(chosen) == LINE
    assert b"--level loud" in logs(lines, "--level", "loud", code=78)
    assert b"no argument" in logs(lines, "FILE", code=78)


def test_logs_follows_and_ends_quietly():
    process = subprocess.Popen([program("bulkheadctl"), "logs", "--follow"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    os.set_blocking(process.stdout.fileno(), False)
    for n in range(3):  # each line comes while stdin is still open
        process.stdin.write(json.dumps({**LINE, "msg": f"line {n}"}).encode() + b"\n")
        process.stdin.flush()
        line = wait_for("the line", process.stdout.readline, 5 * NOISE)
        assert f"line {n}".encode() in line
    process.stdout.close()
    with pytest.raises(BrokenPipeError):
        while True:
            process.stdin.write(json.dumps(LINE).encode() + b"\n")
            process.stdin.flush()
    assert process.wait(5 * NOISE) == 0 and process.stderr.read() == b""
    process.stderr.close()


def test_logs_has_colours_on_a_terminal_alone():
    for environment, colour in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        terminal = Terminal()
        try:
            process = terminal.run(program("bulkheadctl"), "logs", env=environment,
                                   stdin=subprocess.PIPE)
            process.stdin.write(json.dumps(LINE).encode() + b"\n")
            process.stdin.close()
            assert process.wait(5 * NOISE) == 0
            terminal.wait("the line", lambda t: b"GET /x 503" in t and t.endswith(b"\n"))
            assert (b"\x1b[33m" in terminal.text()) == colour, environment
            assert plain(terminal.text()).strip() == logs([LINE]).strip()
        finally:
            terminal.close()


def test_logs_of_a_server_look_as_on_a_terminal(server):
    """The same line, once as the server's and once through logs: the same words."""
    server.request("GET", "/nowhere", headers={"X-Request-Id": "both-ways"})
    line = wait_for("the line", lambda: next(
        (l for l in server.log_lines("request") if l["request_id"] == "both-ways"), None), 5)
    text = logs([line]).decode()
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} worker \d   request            GET unmatched 404  "
        r"request_id=both-ways  method=GET  route=unmatched  status=404  duration_us=\d+  "
        r"queue_us=\d+  db_us=0  reason=not-found\n", text), text


@pytest.mark.parametrize("words", [["logs"], ["metrics", "--describe"]])
def test_what_could_not_be_written_is_an_error(words):
    with open("/dev/full", "w") as full:
        done = subprocess.run([program("bulkheadctl"), *words], input='{"ts":"2026-11-26T12:00:00Z"}\n',
                              stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == 75 and "could not be written: No space left" in done.stderr, done
