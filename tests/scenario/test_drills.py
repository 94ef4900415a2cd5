# SPDX-License-Identifier: MIT
"""The drill runner: what is wrong is said before anything starts, a real drill passes and tells why,
one that cannot prove its fault does not pass, and whenever it is interrupted it leaves nothing."""
import contextlib
import html
import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import NOISE, SANITIZED, program, wait_for

FAST = {"phases": {"warm_up_s": 1, "before_s": 1, "after_s": 1}}
KILL = {
    "title": "one kill", "teaches": "for the test", **FAST, "server": {"workers": 2},
    "load": {"rps": 100},
    "method": [{"at_s": 0, "act": "kill", "target": "any"}],
    "hypothesis": [{"probe": "load.errors.attempts.refused", "op": "==", "limit": 0}],
    "expect": {"lost_acked": 0, "integrity": True, "detect_s": 0.5, "detect_by": "worker_died"},
    "proof": "worker_deaths_total{class=killed} == 1",
}
if SANITIZED:  # hashing a password takes several times as long
    KILL["server"]["overrides"] = {"deadline.auth": 20000}


class Drill:
    """A drill under way in a TMPDIR of its own; every process it starts carries a mark."""

    def __init__(self, tmp_path, *words, tmp=None):
        self.tmp = tmp or tempfile.mkdtemp(prefix="drill-test-")
        self.mark = "BULKHEAD_TEST=" + uuid.uuid4().hex
        self.process = subprocess.Popen(
            [program("drill"), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, cwd=tmp_path,
            env={**os.environ, "TMPDIR": self.tmp, "BULKHEAD_TEST": self.mark.split("=")[1]})

    def pids(self):
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/environ", "rb") as f:
                    if self.mark.encode() in f.read().split(b"\0"):
                        found.append(int(entry))
            except OSError:
                continue
        return found

    def house(self):
        found = [n for n in os.listdir(self.tmp) if n.startswith("bulkhead-drill-")]
        return os.path.join(self.tmp, found[0]) if found else None

    def finish(self, limit_s=90):
        out, err = self.process.communicate(timeout=limit_s)
        return self.process.returncode, out, err

    def assert_nothing_left(self):
        assert self.pids() == []
        assert os.listdir(self.tmp) == []

    def end(self):
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        subprocess.run(["rm", "-rf", self.tmp], check=True)


RUNS = {
    "passes": ("run", {"50-test": {}}),
    "supervisor": ("run", {"55-supervisor": dict(
        method=[{"at_s": 0, "act": "kill", "target": "supervisor"},
                {"at_s": 0.5, "act": "start_supervisor"}],
        hypothesis=[{"probe": "http_requests_total{class=read}", "op": ">=", "limit": 100,
                     "during": "all"}],
        expect={"lost_acked": 0, "recover_s": 1},
        proof="drill.orphans_gone_s > 0 and step.2.worker_ready_s > 0")}),
    "wrong": ("run", {
        "52-wrong": dict(hypothesis=[{"probe": "worker_deaths_total", "op": "==", "limit": 0}]),
        "53-unproven": dict(method=[])}),
    "prove": ("prove", {"50-test": {}, "54-empty": dict(proof="1 == 1", expect={})}),
}
LANES = [["passes", "supervisor"], ["wrong"], ["prove"]]


class Told:
    def __init__(self, directory, name):
        command, files = RUNS[name]
        self.out_dir = directory / "out"
        d = Drill(directory, command, *[write(directory, f"{n}.json", **more)
                                        for n, more in files.items()], "--out", str(self.out_dir))
        try:
            self.code, self.out, self.err = d.finish(60 * NOISE)
            d.assert_nothing_left()
        finally:
            d.end()

    def report(self, name):
        return json.loads((self.out_dir / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Whole drills, whose time is mostly waiting: side by side."""
    def run(lane):
        return {name: Told(tmp_path_factory.mktemp(name), name) for name in lane}
    with ThreadPoolExecutor(1 if SANITIZED else len(LANES)) as pool:
        return {k: v for lane in pool.map(run, LANES) for k, v in lane.items()}


@pytest.fixture
def drill(tmp_path):
    started = []

    def start(*words, tmp=None):
        started.append(Drill(tmp_path, *words, tmp=tmp))
        return started[-1]
    yield start
    for d in started:
        d.end()


def write(tmp_path, name="50-test.json", **more):
    path = tmp_path / name
    path.write_text(json.dumps({**KILL, **more}, indent=1))
    return str(path)


def test_all_drills_are_good_and_listed():
    done = subprocess.run([program("drill"), "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ drill files are good\n", done.stdout)
    listed = subprocess.run([program("drill"), "list"], capture_output=True, text=True).stdout
    files = [n[:-5] for n in os.listdir("etc/drills") if n.endswith(".json")]
    assert all(re.search(rf"^{re.escape(n)} ", listed, re.M) for n in files), listed


def test_a_bad_file_stops_all_before_anything_starts(drill, tmp_path):
    good = write(tmp_path)
    bad = write(tmp_path, "51-bad.json", method=[{"at_s": 0, "fault": "crash signal=HUP"}])
    d = drill("run", good, bad)
    code, out, err = d.finish(10)
    assert code == 2 and out == ""
    assert re.fullmatch(r".*51-bad\.json:\d+: method\[0\]\.fault: signal=HUP: not allowed; allowed: "
                        r"KILL, SEGV, ABRT\n", err), err
    d.assert_nothing_left()


def test_the_short_form_of_a_control_is_checked_too(tmp_path):
    def kill(slot):
        return [{"at_s": 0, "act": "kill", "target": f"worker:{slot}"}]
    bad = write(tmp_path, method=kill(0), short={"method": kill(1)},
                control={"server": {"workers": 1}})
    done = subprocess.run([program("drill"), "check", bad], capture_output=True, text=True)
    assert done.returncode == 2 and "there is no worker 1; allowed: 0 to 0" in done.stderr, done


def test_a_report_that_cannot_be_written_is_no_success(drill, tmp_path):
    (tmp_path / "out").write_text("a file, and no directory")
    d = drill("run", write(tmp_path), "--out", str(tmp_path / "out" / "deeper"))
    code, out, err = d.finish(60 * NOISE)
    assert code == 2 and out.startswith("PASS  50-test") and "Not a directory" in err, out + err
    d.assert_nothing_left()


@pytest.mark.parametrize("words, code, says", [
    (["run"], 78, "say which drill"),
    (["rum", "all"], 78, "rum: no such command; allowed: run, list, check, prove, walk"),
    (["run", "99"], 78, "99: no such drill"),
    (["run", "03", "--fast"], 78, "only walk has it"),
    (["walk", "03"], 78, "walk: takes no FILE"),
    (["check", "none.json"], 2, "none.json: No such file"),
    ([], 78, "say what to do"),
    (["run", "08", "--calm", "125"], 78, "--calm: for run alone, with --out DIR"),
    (["run", "08", "--calm", "5", "--out", "x"], 78, "--calm: 5 is not a number from 31 to 3000"),
    (["run", "08", "--rps", "50"], 78, "--rps: only with --calm"),
])
def test_a_wrong_command_line_is_named(words, code, says):
    done = subprocess.run([program("drill"), *words], capture_output=True, text=True)
    assert done.returncode == code and says in done.stderr, done


def test_a_drill_passes_and_tells_all(told):
    run = told["passes"]
    assert run.code == 0, run.out + run.err
    assert run.out.startswith("PASS  50-test  one kill: all ")
    report = run.report("50-test")
    assert report["verdict"]["result"] == "PASS" and report["proof"]["holds"]
    assert {"degraded_s", "verdict_s", "breaker_s", "event_s"} <= set(report["detect"])
    assert report["detect"]["event_s"] < 0.5 * NOISE and report["audit"]["lost"] == 0
    events = {e["id"]: e for e in report["timeline"] if e["from"] == "server"}
    died = next(e for e in events.values() if e["event"] == "worker_died")
    again = next(e for e in events.values() if e["event"] == "worker_restarted")
    assert again["cause_id"] == died["id"]
    assert report["bands"] == [{"from_s": 0.0, "to_s": 0.0, "text": "SIGKILL to one worker"}]
    kill = next(e for e in report["timeline"] if e["from"] == "drill")
    assert "SIGKILL to worker" in kill["text"] and abs(kill["t_s"]) < 0.5
    assert sum(s["ok"] for s in report["series"]["load"]) > 200
    assert len(report["series"]["server"]) >= 4 and len(report["series"]["health"]) >= 4
    page = (run.out_dir / "50-test.html").read_text()
    assert all(html.escape(line["probe"]) in page for line in report["hypothesis"])
    assert "PASS: the server behaved" in page and 'href="50-test-load.html"' in page
    assert (run.out_dir / "50-test-load.html").read_text().startswith("<!doctype html>")
    index = (run.out_dir / "index.html").read_text()
    assert "1 passed, 0 deviated, 0 without a verdict" in index and 'href="50-test.html"' in index


def test_what_does_not_hold_deviates_and_what_is_not_proven_is_invalid(told):
    run = told["wrong"]
    assert run.code == 2, run.out + run.err
    assert "DEVIATED  52-wrong" in run.out and "worker_deaths_total: 1, asserted == 0" in run.out
    assert "INVALID  53-unproven" in run.out and "0 == 1 does not hold" in run.out
    assert run.out.rstrip().splitlines()[-2].startswith("52-wrong ")  # the table


def test_prove_takes_the_fault_away(told):
    run = told["prove"]
    assert run.code == 1, run.out + run.err
    table = [re.split("  +", line)[:4] for line in run.out.rstrip().splitlines()[-2:]]
    assert table == [["50-test", "no fault", "proven", "INVALID"],
                     ["54-empty", "no fault", "NOT PROVEN", "PASS"]], run.out
    assert run.report("50-test-no-fault")["verdict"]["result"] == "INVALID"


def test_a_new_supervisor_is_counted_on_and_the_watch_ends_with_the_recovery(told):
    run = told["supervisor"]
    assert run.code == 0, run.out + run.err
    report = run.report("55-supervisor")
    supervisors = [e for e in report["timeline"] if e["event"] == "worker_ready" and e["slot"] == 0]
    assert len(supervisors) == 2, supervisors  # events of both regions
    watched_s = report["phases"]["after_s"] - report["phases"]["clear_s"]
    assert 2 <= watched_s <= max(2.5, report["recover_s"] + 0.5)  # it may be 3


LONG = {"method": [{"at_s": 0, "act": "stop", "target": "worker:0"},
                   {"at_s": 0.2, "fault": "slow delay=20ms duration=60s"},
                   {"at_s": 0.5, "act": "db_move"}, {"at_s": 60, "act": "db_restore"}]}


def server_is_up(d):
    return d.house() and os.path.exists(os.path.join(d.house(), "data/run/control.sock"))


def load_runs(d):
    return d.house() and os.path.exists(os.path.join(d.house(), "load0/seconds.ndjson"))


def database_is_moved(d):
    return d.house() and os.path.exists(os.path.join(d.house(), "data/drill-away/app.db"))


@pytest.mark.parametrize("moment, number", [
    (server_is_up, signal.SIGTERM), (load_runs, signal.SIGINT),
    (database_is_moved, signal.SIGHUP)])
def test_whenever_it_is_interrupted_it_leaves_nothing(drill, tmp_path, moment, number):
    d = drill("run", write(tmp_path, **LONG), "--out", str(tmp_path / "out"))
    wait_for(moment.__name__, lambda: moment(d), 30 * NOISE, 0.002)
    d.process.send_signal(number)
    code, out, err = d.finish(30 * NOISE)
    assert code == 3 and "INTERRUPTED  50-test" in out, (code, out, err)
    d.assert_nothing_left()
    page = (tmp_path / "out" / "50-test.html").read_text()
    assert "INTERRUPTED: somebody ended it" in page and "load.errors.attempts.refused" in page


def test_when_it_is_killed_its_children_end_and_the_next_one_tidies(drill, tmp_path):
    d = drill("run", write(tmp_path, **LONG))
    wait_for("the database to be moved", lambda: database_is_moved(d), 30 * NOISE, 0.002)
    d.process.kill()
    d.process.wait(5)
    wait_for("its children to end", lambda: d.pids() == [], 15 * NOISE)
    left = d.house()
    assert left
    after = drill("run", write(tmp_path, name="51-next.json"), tmp=d.tmp)
    wait_for("what was left to be removed", lambda: not os.path.exists(left), 10 * NOISE)
    after.process.send_signal(signal.SIGINT)
    assert after.finish(30 * NOISE)[0] == 3
    after.assert_nothing_left()


def test_attached_it_gives_the_server_back_as_it_was(drill, tmp_path, make_server):
    server = make_server(workers=2, config={"faults.enabled": "yes"})
    d = drill("run", write(tmp_path, **LONG), "--attach",
              os.path.join(server.data, "run/control.sock"))
    away = os.path.join(server.data, "drill-away/app.db")
    wait_for("the database to be moved", lambda: os.path.exists(away), 30 * NOISE, 0.002)
    assert server.metric("fault_active") == 1
    d.process.send_signal(signal.SIGINT)
    code, out, err = d.finish(30 * NOISE)
    assert code == 3, out + err
    d.assert_nothing_left()
    assert server.metric("fault_active") == 0 and not os.path.exists(away)
    wait_for("the server to be healthy", lambda: server.health()["status"] == "healthy", 5 * NOISE)
    assert server.process.poll() is None


def test_attached_it_says_what_it_could_not_roll_back(drill, tmp_path, make_server):
    server = make_server(workers=2, config={"faults.enabled": "yes"})
    d = drill("run", write(tmp_path, **LONG), "--attach",
              os.path.join(server.data, "run/control.sock"))
    away = os.path.join(server.data, "drill-away")
    wait_for("the database to be moved", lambda: os.path.exists(os.path.join(away, "app.db-shm")),
             30 * NOISE, 0.002)
    os.rename(away, away + "-elsewhere")
    d.process.send_signal(signal.SIGINT)
    code, out, err = d.finish(30 * NOISE)
    assert code == 3 and "interrupted; not rolled back: the way back: " in out, out + err
    assert "everything was rolled back" not in out
    assert server.metric("fault_active") == 0


def parent_and_program(pid):
    with open(f"/proc/{pid}/stat") as stat:
        name, rest = re.fullmatch(r"\d+ \((.*)\) \S (.*)\n", stat.read()).groups()
    return int(rest.split()[0]), name


def test_a_server_that_ends_as_one_that_failed_is_named(drill, tmp_path):
    d = drill("run", write(tmp_path))
    wait_for("the load to run", lambda: load_runs(d), 30 * NOISE, 0.002)
    (pid,) = [p for p in d.pids() if parent_and_program(p) == (d.process.pid, "supervisor")]

    def is_told_to_end():
        with open(f"/proc/{pid}/status") as f:
            pending = int(re.search(r"^ShdPnd:\s+(\w+)", f.read(), re.M)[1], 16)
        return pending >> (signal.SIGTERM - 1) & 1
    os.kill(pid, signal.SIGSTOP)
    d.process.send_signal(signal.SIGINT)
    wait_for("the supervisor to be told to end", is_told_to_end, 30 * NOISE, 0.002)
    os.kill(pid, signal.SIGKILL)
    code, out, err = d.finish(30 * NOISE)
    assert code == 3 and "told to end, the supervisor ended with signal 9" in out, out + err
    d.assert_nothing_left()


def test_attached_it_refuses_what_needs_a_server_of_its_own(drill, tmp_path, make_server):
    server = make_server(workers=2)
    for step, says in (({"at_s": 0, "act": "kill", "target": "supervisor"}, "not with --attach"),
                       ({"at_s": 0, "fault": "crash"}, "start it with -o faults.enabled=yes")):
        code, out, err = drill("run", write(tmp_path, method=[step]), "--attach",
                               os.path.join(server.data, "run/control.sock")).finish(20)
        assert code == 2 and says in out, out + err
    assert server.process.poll() is None


def test_the_walk_tells_what_it_breaks_and_loses_nothing(drill):
    began = time.monotonic()
    d = drill("walk", "--fast")
    code, out, err = d.finish(60 * NOISE)
    assert code == 0 and err == "", out + err
    assert time.monotonic() - began < 60 * NOISE
    d.assert_nothing_left()
    assert [int(n) for n in re.findall(r"^(\d)\. ", out, re.M)] == [1, 2, 3, 4, 5], out
    killed, started = re.search(r"kill -9 (\d+) +worker 0.*?started pid (\d+) in its place, "
                                r"generation 2: ready \d+ ms", out, re.S).groups()
    assert killed != started
    assert 1.5 < float(re.search(r"after ([\d.]+) s it was judged hung", out)[1]) < 3 * NOISE
    assert "4 deaths; the first new worker served after" in out
    assert "the fourth after" in out and "Its children saw that they were orphans, and ended" in out
    assert "let none of its own serve before" in out and "/health says degraded." in out
    assert "of the writes that were refused, 0 had an effect all the same" in out
    told = re.search(r"Up again \d+ ms after the file was back\. Workers that died for it: 0\..*?"
                     r"(\d+) told to come back \(503\), 0 connections refused", out, re.S)
    assert told and int(told[1]) > 100, out
    acked, *bad = re.search(r"audit complete: (\d+) acknowledged writes, (\d+) lost, (\d+) "
                            r"duplicate, (\d+) corrupt", out).groups()
    assert int(acked) > 200 and bad == ["0", "0", "0"], out
    assert "look yourself:  ctl events" in out and "\033" not in out


def api(address, path, token=None, method="GET", body=None):
    request = urllib.request.Request(f"http://{address}{path}", body, method=method)
    if token:
        request.add_header("Authorization", "Bearer " + token)
    if body:
        request.add_header("Content-Type", "application/json")
    for last in (False, False, False, False, True):  # its worker may be the one that is killed
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read()
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException):
            if last:
                raise


def test_the_walk_fails_when_an_acknowledged_write_is_gone(drill):
    d = drill("walk", "--fast")
    address = None
    for line in d.process.stdout:
        address = address or (re.search(r"http://([\d.:]+)", line) or [None, None])[1]
        if line.startswith("2. "):
            break
    with open(os.path.join(d.house(), "data/demo.txt")) as f:
        name, password = re.search(r"username: (\S+)\s+password: (\S+)", f.read()).groups()
    login = api(address, "/auth/login", method="POST",
                body=json.dumps({"username": name, "password": password}).encode())
    token = re.search(rb'"([^"]{40,})"', login)[1].decode()
    item = json.loads(api(address, "/data/items?limit=1", token))["items"][0]["id"]
    api(address, f"/data/items/{item}", token, "DELETE")
    code, out, err = d.finish(60 * NOISE)
    assert code == 1 and re.search(r"acknowledged writes, 1 lost", out), out + err
    assert out.rstrip().endswith("Writes were lost, or damaged.")
    d.assert_nothing_left()


def test_an_interrupted_walk_leaves_nothing(drill):
    d = drill("walk", "--fast")
    wait_for("the database to be moved", lambda: database_is_moved(d), 60 * NOISE, 0.002)
    d.process.send_signal(signal.SIGINT)
    code, out, err = d.finish(30 * NOISE)
    assert code == 3 and "Interrupted. Everything was ended and removed." in out, out + err
    d.assert_nothing_left()


def test_a_walk_interrupted_in_a_step_says_nothing_of_it(drill):
    d = drill("walk", "--fast")
    told = []
    for line in d.process.stdout:
        told.append(line)
        if "in the middle of its work" in line:
            break
    d.process.send_signal(signal.SIGINT)
    code, out, err = d.finish(30 * NOISE)
    assert told and code == 3, out + err
    for word in ("Clients:", "Nobody was refused", "look yourself", "It started pid"):
        assert word not in out, out
    d.assert_nothing_left()
