# SPDX-License-Identifier: MIT
"""A real supervisor on free ports in a directory of its own, for scenarios that break it.

Scenarios act (kill, stop, move) and then wait on a condition with a limit; they never sleep and
hope. Every process of a server carries a mark in its environment, so what is left is found and
ended by pid, and a test that leaves one fails.
"""
import atexit
import contextlib
import functools
import http.client
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import pytest

import demo_data

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
# Bounds of behaviour are asserted with a factor for noise; sanitizers slow everything further.
SANITIZED = "sanitize" in BUILD
NOISE = 2 * (3 if SANITIZED else 1)


# What judges figures is no business of a sanitized build, whose figures are its own: `make check` leaves
# these out of it, `make check-sanitize SANITIZE_ALL=1` runs them too.
OF_FIGURES = ["test_accounting.py", "test_anomaly.py", "test_drills.py", "test_loadtest.py",
              "test_prometheus.py", "test_resources.py"]
collect_ignore = OF_FIGURES if SANITIZED and not os.environ.get("SANITIZE_ALL") else []
# Files run side by side: the longest begin first, so that none of them ends alone, and those that use
# a whole processor (overload, loadtest) not beside each other.
LONGEST = ["test_overload.py" if SANITIZED else "test_prometheus.py", "test_loadtest.py", "test_outages.py",
           "test_faults_db.py", "test_hang.py", "test_drills.py", "test_history.py", "test_kill.py",
           "test_database.py", "test_guard.py", "test_faults.py", "test_overload.py", "test_door.py",
           "test_anomaly.py"]


def pytest_collection_modifyitems(items):
    rank = {name: n for n, name in reversed(list(enumerate(LONGEST)))}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def wait_for(what, condition, limit_s, pause_s=0.01):
    """Poll condition() until it is true; its value is returned. Fails after limit_s."""
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {limit_s} s in vain for: {what}")
        time.sleep(pause_s)


# Ports below those that Linux gives to clients (from 32768 on): a client cannot take the one of a
# server that is dead for a moment. Each process that runs tests begins elsewhere and takes the next.
ports = itertools.count(random.randrange(16384))


def free_port():
    for n in itertools.islice(ports, 200):
        port = 16384 + n % 16384
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    pytest.fail("no free port among 200")


def stop_process(pid):
    """SIGSTOP, and wait until every thread has stopped: until then it still works."""
    def stopped():
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] != "T":
                    return False
        return True
    os.kill(pid, signal.SIGSTOP)
    wait_for(f"{pid} to stop", stopped, 5, 0.001)


def program(name):
    return os.path.join(BUILD, name)


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {k.lower(): v for k, v in headers}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Server:
    """One supervisor and what it started. `fresh`: it makes its database itself (demo_data.py)."""

    def __init__(self, *args, workers=2, demo=True, data=None, config=None, fresh=False):
        self.mark = "BULKHEAD_TEST=" + uuid.uuid4().hex
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="bulkhead-")
        if demo and self.own_data and not fresh:
            demo_data.put(template(), self.data)
        self.port, self.console_port = free_port(), free_port()
        self.log_path = os.path.join(tempfile.gettempdir(), self.mark[14:] + ".log")
        self.words = [program("supervisor"), "-n", str(workers), "-d", self.data,
                      "-l", f"127.0.0.1:{self.port}",
                      "-o", f"console.listen=127.0.0.1:{self.console_port}"]
        if demo:
            self.words.append("--demo")
        # Tests log in, read and write as fast as they can; test_limits.py shows what limits do. A password
        # is hashed at nice 10: beside other tests that takes long, and only tests of time look at it.
        config = {**{f"ratelimit.{what}": 0 for what in ("login", "read", "write")},
                  "deadline.auth": 20000, **(config or {})}
        for key, value in config.items():
            self.words += ["-o", f"{key}={value}"]
        self.words += args
        self.workers = workers
        self.process = None
        self.token = None
        self.reports = []  # what sanitizers and CHECK() said, once it has ended

    # ---- life ----

    def start(self, wait=True, notify=None):
        environment = dict(os.environ)
        name, value = self.mark.split("=")
        environment[name] = value
        environment.pop("NOTIFY_SOCKET", None)
        if notify:
            environment["NOTIFY_SOCKET"] = notify
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.words, stdout=self.log, stderr=self.log,
                                        stdin=subprocess.DEVNULL, env=environment)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, limit_s=10 * NOISE):
        def ready():
            if self.process.poll() is not None:
                pytest.fail(f"supervisor exited with {self.process.returncode}\n{self.log_text()}")
            try:
                # Children of a supervisor killed just now may still answer for it.
                if self.state()["supervisor_pid"] != self.process.pid:
                    return False
                workers = self.health()["workers"]
            except (OSError, http.client.HTTPException, ValueError, KeyError):
                return False
            return workers["ready"] + workers["degraded"] >= self.workers
        wait_for("the server to be ready", ready, limit_s)

    def stop(self, limit_s=20 * NOISE):
        """Ask it to stop; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit_s)

    def end(self):
        """Whatever happened: no process, no file stays."""
        left = []
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(5)
                self.gone(10)  # its children end by themselves
            left = self.pids()
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.log.close()
        self.reports = [l for l in (self.log_text().splitlines() if self.process else [])
                        if "Sanitizer" in l or "runtime error:" in l or "this cannot be:" in l]
        if self.own_data:
            shutil.rmtree(self.data, ignore_errors=True)
        if os.path.exists(self.log_path):
            os.unlink(self.log_path)
        return left

    # ---- processes ----

    def pids(self):
        """Every living process of this server, the supervisor included."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/environ", "rb") as f:
                    if self.mark.encode() not in f.read().split(b"\0"):
                        continue
                with open(f"/proc/{entry}/stat") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] != "Z":
                        found.append(int(entry))
            except OSError:
                continue
        return found

    def gone(self, limit_s):
        """Wait until no process is left; True when that happened in time."""
        end = time.monotonic() + limit_s
        while self.pids():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def state(self):
        return json.loads(self.console("/api/state").body)

    def slots(self):
        """Worker slots with a process: slot -> state of /api/state."""
        return {s["slot"]: s for s in self.state()["slots"]
                if s.get("kind", "worker") == "worker" and s["pid"]}

    def worker_pids(self):
        return {slot: s["pid"] for slot, s in self.slots().items()}

    def helper_pid(self, kind):
        return next(s["pid"] for s in self.state()["slots"] if s["kind"] == kind)

    # ---- HTTP ----

    def request(self, method, path, body=None, headers=None, token=True, port=None, timeout=10,
                connection=None):
        own = connection is None
        c = connection or http.client.HTTPConnection("127.0.0.1", port or self.port,
                                                     timeout=timeout)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        if token is True and self.token:
            headers.setdefault("Authorization", "Bearer " + self.token)
        elif isinstance(token, str):
            headers["Authorization"] = "Bearer " + token
        try:
            c.request(method, path, body, headers)
            r = c.getresponse()
            return Answer(r.status, r.getheaders(), r.read())
        finally:
            if own:
                c.close()

    def console(self, path):
        return self.request("GET", path, token=False, port=self.console_port)

    def health(self):
        return json.loads(self.request("GET", "/health", token=False, timeout=5).body)

    def demo(self):
        with open(os.path.join(self.data, "demo.txt")) as f:
            return dict(line.strip().split(": ", 1) for line in f)

    def login(self):
        demo = self.demo()
        for _ in range(3):  # the hashing thread is nice 10: a busy machine may starve it
            answer = self.request("POST", "/auth/login",
                                  {"username": demo["username"], "password": demo["password"]},
                                  token=False, timeout=30)
            if answer.status not in (503, 504):
                break
            time.sleep(1)
        assert answer.status == 200, answer
        self.token = answer.json["access_token"]
        return self.token

    def metrics(self):
        return parse_metrics(self.console("/metrics").body.decode())

    def metric(self, name, **labels):
        """Sum of the samples of a metric whose labels include these."""
        return sum(value for (n, l), value in self.metrics().items()
                   if n == name and set(labels.items()) <= set(l))

    def events(self):
        """All events still in the ring, oldest first."""
        events, since = [], 0
        while True:
            page = json.loads(self.console(f"/api/events?since={since}").body)["events"]
            if not page:
                return events
            events += page
            since = page[-1]["id"]

    def log_text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def log_lines(self, event=None):
        lines = []
        for line in self.log_text().splitlines():
            if line.startswith("{"):
                lines.append(json.loads(line))
        return [l for l in lines if event is None or l["event"] == event]

    def ctl(self, *words, check=True):
        done = subprocess.run([program("bulkheadctl"), "-d", self.data, *words],
                              capture_output=True, text=True, timeout=60)
        if check:
            assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done

    def loadtest(self, *words, rps=300, duration=10, timeout=None):
        """Run loadtest against this server with --json; returns (exit code, summary)."""
        return Load(self, *words, rps=rps, duration=duration).finish(timeout)


@functools.cache
def template():
    """A directory with a database that a server has made and closed."""
    directory = tempfile.mkdtemp(prefix="bulkhead-template-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    maker = Server(workers=1, data=directory)
    try:
        maker.start()
        assert maker.stop() == 0
    finally:
        assert not maker.end()
    demo_data.close(directory)
    return directory


class Load:
    """A loadtest under way, so that a scenario can break things meanwhile."""

    def __init__(self, server, *words, rps=300, duration=10, out=None):
        demo = server.demo()
        self.duration = duration
        self.own_out = None if out else tempfile.TemporaryDirectory(prefix="bulkhead-load-")
        self.out = out or self.own_out.name
        self.process = subprocess.Popen(
            [program("loadtest"), "--url", f"http://127.0.0.1:{server.port}", "--user",
             demo["username"], "--password-stdin", "--duration", str(duration), "--json",
             "--out", str(self.out),
             *([] if "closed" in words else ["--rps", str(rps)]), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.process.stdin.write(demo["password"] + "\n")
        self.process.stdin.flush()

    def running(self):
        return self.process.poll() is None

    def wait_seconds(self, count):
        """Wait until it has sent for so many seconds; before that it logs in and prepares."""
        def rows():
            try:
                with open(os.path.join(self.out, "seconds.ndjson")) as f:
                    return f.read().count("\n")
            except FileNotFoundError:
                return 0
        wait_for(f"{count} seconds of load", lambda: rows() >= count, count + 20 * NOISE)

    def finish(self, timeout=None):
        out, err = self.process.communicate(timeout=timeout or self.duration + 60)
        try:
            return Outcome(self.process.returncode, json.loads(out))
        except ValueError:
            pytest.fail(f"loadtest exited with {self.process.returncode}: {out}\n{err}")


class Outcome:
    """What a load met. A busy machine may make the tester itself late (exit 2, `dropped`): that
    says nothing of the server, so scenarios look at what the server did with what was sent."""

    def __init__(self, code, summary):
        self.code, self.summary = code, summary
        self.audit = summary["audit"]
        self.sent = summary["requests"]["sent"]
        self.attempts = {k: n for k, n in summary["errors"]["attempts"].items()
                         if n and k != "dropped"}
        self.requests = {k: n for k, n in summary["errors"]["requests"].items()
                         if n and k != "dropped"}

    def assert_nothing_lost(self):
        assert self.code in (0, 2, 3), (self.code, self.summary)  # 3: it was asked to end
        assert self.audit["state"] == "complete", self.audit
        assert self.audit["acked"] > 0
        assert [self.audit[k] for k in ("lost", "duplicate", "corrupt")] == [0, 0, 0], self.audit


def parse_metrics(text):
    """Prometheus text to {(name, frozenset of label pairs): value}."""
    samples = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        m = re.fullmatch(r'([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)', line)
        assert m, f"no sample line: {line!r}"
        labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m[2] or ""))
        samples[(m[1], labels)] = float(m[3])
    return samples


def counters_only_grow(before, after):
    """Names of counters that went back between two scrapes."""
    return [name for name, value in before.items()
            if (name[0].endswith(("_total", "_count", "_sum", "_bucket")))
            and after.get(name, 0) < value]


@pytest.fixture
def make_server():
    """Servers made by this are ended with the test, and nothing of them may be left."""
    servers = []

    def make(*args, start=True, **kwargs):
        server = Server(*args, **kwargs)
        servers.append(server)
        if start:
            server.start()
            if kwargs.get("demo", True):
                server.login()
        return server

    yield make
    left = [(s.mark, s.end()) for s in servers]
    assert not any(pids for _, pids in left), f"processes left behind: {left}"
    assert not any(s.reports for s in servers), [s.reports for s in servers]


@pytest.fixture(scope="module")
def server():
    """One server shared by the tests of a file that do not break it."""
    s = Server()
    try:
        s.start()
        s.login()
        yield s
        assert s.stop() == 0
        assert s.gone(5)
    finally:
        assert not s.end()
        assert not s.reports, s.reports
