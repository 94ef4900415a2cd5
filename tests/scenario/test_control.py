# SPDX-License-Identifier: MIT
"""bulkheadctl against a real server."""
import json
import os
import signal
import subprocess

import pytest

from conftest import NOISE, program, wait_for


def test_status_workers_metrics_events(make_server):
    server = make_server()
    status = json.loads(server.ctl("status", "--json").stdout)
    assert status["health"]["status"] == "healthy" and status["fleet"]["ready"] == 2
    text = server.ctl("status").stdout
    assert "healthy" in text and "\033" not in text
    assert server.ctl("workers").stdout.count("ready") >= 2
    assert "http_requests_total" in server.ctl("metrics").stdout
    assert "worker_ready" in server.ctl("events").stdout


def test_restart_replaces_one_worker(make_server):
    server = make_server()
    before = set(server.worker_pids().values())
    server.ctl("restart", "0", "--wait")

    def replaced():
        now = set(server.worker_pids().values())
        return len(now) == 2 and len(now & before) == 1
    wait_for("one worker to be replaced", replaced, 20 * NOISE)
    assert server.health()["status"] == "healthy"


def test_drain_empties_a_slot_and_restart_fills_it(make_server):
    server = make_server()
    server.ctl("drain", "1")
    wait_for("slot 1 to be empty", lambda: 1 not in server.worker_pids(), 20 * NOISE)
    assert server.request("GET", "/data/items").status == 200
    server.ctl("restart", "1")
    wait_for("slot 1 to serve", lambda: server.health()["workers"]["ready"] == 2, 5 * NOISE)


def test_reload_takes_a_new_configuration(make_server, tmp_path):
    conf = tmp_path / "b.conf"
    conf.write_text("[keepalive]\ntimeout = 20\n")
    server = make_server("-c", str(conf))
    assert "timeout=15" in server.request("GET", "/health").headers["keep-alive"]
    conf.write_text("[keepalive]\ntimeout = 40\n")
    server.ctl("reload")
    wait_for("the new value", lambda: "timeout=35" in server.request("GET", "/health").headers.get(
        "keep-alive", ""), 40)
    conf.write_text("[keepalive]\ntimeout = nonsense\n")
    refused = server.ctl("reload", check=False)
    assert refused.returncode == 1 and "nonsense" in refused.stderr + refused.stdout
    assert server.health()["status"] == "healthy"


def test_refusals_have_reasons(make_server):
    server = make_server()
    for words, says in ((("restart", "9"), "0 to 2"), (("drain", "2"), "empty")):
        done = server.ctl(*words, check=False)
        assert done.returncode == 1 and says in done.stdout + done.stderr


def test_stop_and_no_server(make_server):
    server = make_server()
    server.ctl("stop")
    assert server.process.wait(20) == 0
    assert server.gone(1)
    done = server.ctl("status", check=False)
    assert done.returncode == 75


def test_wrong_words_exit_78():
    for words in (["frobnicate"], ["restart"], ["restart", "x"], ["--nope"]):
        done = subprocess.run([program("bulkheadctl"), *words], capture_output=True, text=True,
                              timeout=10)
        assert done.returncode == 78, (words, done.stderr)
    done = subprocess.run([program("bulkheadctl"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "restart" in done.stdout


# Options with a value, and the commands that take them.
OPTIONS = {("--wait",): "restart drain reload", ("--timeout", "5"): "restart drain reload stop history",
           ("--follow",): "events logs", ("--since", "1"): "events", ("--describe",): "metrics",
           ("--force",): "backup", ("--csv",): "history", ("--from", "-5"): "history",
           ("--to", "-1"): "history", ("--step", "1"): "history", ("--series", "db_up"): "history",
           ("--level", "error"): "logs", ("--event", "x"): "logs", ("--request", "x"): "logs",
           ("--interval", "1"): "top", ("-n", "1"): "top", ("--once",): "top"}
OPERANDS = {"restart": ["0"], "drain": ["0"], "backup": ["/nowhere/x"], "restore": ["/nowhere/x"]}
COMMANDS = ("status workers metrics events restart drain reload stop faults deaths history top logs"
            " backup restore").split()


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_other_commands_are_refused(command, tmp_path):
    """Without a server: what is taken fails otherwise, or needs none."""
    for option, takers in OPTIONS.items():
        done = subprocess.run([program("bulkheadctl"), "-d", str(tmp_path), command,
                               *OPERANDS.get(command, []), *option], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=10)
        refusal = f"{command} takes no {option[0]};"
        taken = command in takers.split()
        assert (refusal in done.stderr) != taken, (option, done)
        assert taken or done.returncode == 78, (option, done)


def test_the_socket_is_private(make_server):
    server = make_server()
    path = os.path.join(server.data, "run", "control.sock")
    assert os.stat(path).st_mode & 0o777 == 0o700 & ~0o077 or os.stat(path).st_mode & 0o077 == 0
    for name in ("app.db", "jwt.key", "demo.txt", "app.id"):
        assert os.stat(os.path.join(server.data, name)).st_mode & 0o077 == 0, name
