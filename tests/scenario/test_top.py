# SPDX-License-Identifier: MIT
"""bulkheadctl top: fits any terminal, gives it back as it was, finds a server again, and is plain
text where there is no terminal."""
import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from conftest import NOISE, program, wait_for
from terminal import Terminal, frames

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


@pytest.fixture
def terminal():
    t = Terminal()
    yield t
    with contextlib.suppress(AttributeError, ProcessLookupError):
        t.process.kill()
        t.process.wait(5)
    t.close()


def start(terminal, server, *words, **more):
    process = terminal.run(program("bulkheadctl"), "-d", server.data, "top", "--interval", "0.1",
                           *words, **more)
    terminal.wait("a picture", frames)
    return process


def last(terminal):
    return frames(terminal.text())[-1]


def assert_fits(picture, width, height):
    assert len(picture) <= height and max(map(len, picture)) <= width, picture


def assert_given_back(terminal, code=0):
    assert terminal.process.wait(5 * NOISE) == code
    terminal.wait("the screen before", lambda t: t.rstrip().endswith(LEAVE))
    assert terminal.text().count(ENTER) == terminal.text().count(LEAVE)
    assert b"\x1b[?25h" in terminal.text().rsplit(b"\x1b[?25l", 1)[1]  # the cursor
    assert terminal.restored()


def test_it_shows_the_service_and_fits(terminal, server):
    process = start(terminal, server)
    assert not terminal.restored()
    picture = last(terminal)
    assert_fits(picture, 80, 24)
    assert picture[0].startswith("healthy  load "), picture
    text = "\n".join(picture)
    for wanted in ("p95 ms", "\ntotal ", "\ndb up ", "commits/s", f"127.0.0.1:{server.port}",
                   "\n0        ready", "\n1        ready", "worker_ready"):
        assert wanted in text, (wanted, text)
    assert b"\x1b[32m" in terminal.text()
    count = len(frames(terminal.text()))
    terminal.wait("it to go on", lambda t: len(frames(t)) >= count + 3)
    for width, height in ((40, 10), (200, 60), (1, 1), (80, 24)):
        before = len(terminal.text())
        terminal.resize(width, height, process)
        terminal.wait("a picture of that size", lambda t: len(frames(t[before:])) > 2)
        for picture in frames(terminal.text()[before:])[1:]:
            assert_fits(picture, width, height)
        if (width, height) == (40, 10):
            assert last(terminal)[0].startswith("healthy") and len(last(terminal)) == 10
    terminal.type(b"q")
    assert_given_back(terminal)


def test_a_new_size_is_drawn_at_once(terminal, server):
    process = start(terminal, server, "--interval", "30")
    for width, height in ((40, 10), (100, 30)):
        before = len(terminal.text())
        terminal.resize(width, height, process)
        terminal.wait("the new size", lambda t: frames(t[before:]))
        assert_fits(last(terminal), width, height)
    terminal.type(b"q")
    assert_given_back(terminal)


@pytest.mark.parametrize("end", ["q", "ctrl-c", "term", "hup"])
def test_whatever_ends_it_gives_the_terminal_back(terminal, server, end):
    process = start(terminal, server)
    assert ENTER in terminal.text() and not terminal.restored()
    if end in ("q", "ctrl-c"):
        terminal.type(b"q" if end == "q" else b"\x03")
    else:
        process.send_signal(signal.SIGTERM if end == "term" else signal.SIGHUP)
    assert_given_back(terminal)


def test_it_comes_back_after_a_stop(terminal, server):
    process = start(terminal, server)
    process.send_signal(signal.SIGTSTP)

    def state():
        with open(f"/proc/{process.pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    wait_for("it to stop", lambda: state() == "T", 5)
    terminal.wait("what it wrote last", lambda t: t.endswith(LEAVE))
    assert terminal.restored()
    process.send_signal(signal.SIGCONT)
    terminal.wait("its screen", lambda t: len(frames(t.rsplit(ENTER, 1)[1])) > 1 and
                  t.count(ENTER) == 2)
    terminal.type(b"q")
    assert_given_back(terminal)


def test_space_stops_the_clock(terminal, server):
    start(terminal, server)
    terminal.type(b" ")
    terminal.wait("the word for it", lambda t: "paused" in frames(t)[-1][0])
    time.sleep(0.5)  # five intervals: nothing may come
    count = len(frames(terminal.text()))
    time.sleep(0.5)
    assert len(frames(terminal.text())) == count
    terminal.type(b" ")
    terminal.wait("it to go on", lambda t: len(frames(t)) >= count + 3 and
                  "paused" not in frames(t)[-1][0])
    terminal.type(b"xQ")
    assert_given_back(terminal)


def test_no_colour_when_it_is_not_wanted(terminal, server):
    start(terminal, server, env={"NO_COLOR": "1"})
    terminal.type(b"q")
    assert_given_back(terminal)
    assert b"\x1b[32m" not in terminal.text() and b"\x1b[1m" not in terminal.text()


def test_it_finds_the_server_again(terminal, make_server):
    server = make_server(workers=1)
    start(terminal, server)
    assert server.stop() == 0
    terminal.wait("the server's end", lambda t: "no server answers" in frames(t)[-1][0])
    server.start()
    terminal.wait("the server", lambda t: frames(t)[-1][0].startswith("healthy"))
    pid = server.worker_pids()[0]
    os.kill(pid, signal.SIGKILL)
    terminal.wait("the death", lambda t: any("worker_died" in line for line in frames(t)[-1]))
    terminal.type(b"q")
    assert_given_back(terminal)


def test_without_a_terminal_it_is_plain_text(server):
    began = time.monotonic()
    done = server.ctl("top", "-n", "3", "--interval", "0.2")
    assert time.monotonic() - began > 0.4
    assert "\x1b" not in done.stdout and done.stdout.count("healthy  load") == 3
    assert server.ctl("top", "--once").stdout.count("healthy  load") == 1
    lines = server.ctl("top", "--json", "-n", "2", "--interval", "0.1").stdout.splitlines()
    assert len(lines) == 2
    for line in map(json.loads, lines):
        assert line["state"]["health"]["status"] == "healthy" and line["commits_per_s"] >= 0
        assert line["ts"].endswith("Z") and line["lock_wait_p95_ms"] >= 0


def test_commits_are_counted(server):
    process = subprocess.Popen([program("bulkheadctl"), "-d", server.data, "top", "--json",
                                "--interval", "0.2", "-n", "8"], stdout=subprocess.PIPE, text=True)
    while process.poll() is None:
        assert server.request("POST", "/data/items", {"title": "x"}).status == 201
    lines = [json.loads(line) for line in process.stdout]
    process.stdout.close()
    assert len(lines) == 8 and max(line["commits_per_s"] for line in lines) > 5


def test_a_reader_that_leaves_ends_it(server):
    process = subprocess.Popen([program("bulkheadctl"), "-d", server.data, "top", "--interval",
                                "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline().startswith(b"healthy")
    process.stdout.close()
    assert process.wait(5 * NOISE) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("words, says", [
    (("--interval", "0"), "--interval 0"), (("--interval", "x"), "--interval x"),
    (("--interval", "nan"), "nan"), (("-n", "0"), "-n 0"), (("-n", "-1"), "-n -1"),
    (("now",), "no argument")])
def test_wrong_words_exit_78(server, words, says):
    done = server.ctl("top", *words, check=False)
    assert done.returncode == 78 and says in done.stderr, done


def test_no_server_exits_75(tmp_path):
    done = subprocess.run([program("bulkheadctl"), "-d", str(tmp_path), "top"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 75 and "no server answers" in done.stderr
