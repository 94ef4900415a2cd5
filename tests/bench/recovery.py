# SPDX-License-Identifier: MIT
"""How long each failure of docs/failure-map.md lasts: breaks one thing after the other in servers of
its own, with a read and a write every 10 ms on new connections, and prints what clients met.

  from, until  first and last request that failed, counted from the failure (or its end, see `what`)
  over         when the condition named in `over when` held, counted in the same way

`make recovery`, or recovery.py NAME ... for some of them. Figures, not bounds: those are in
tests/scenario.
"""
import http.client
import os
import shutil
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario"))
from conftest import Server, wait_for  # noqa: E402

PAUSE_S = 0.01


class Prober(threading.Thread):
    """One kind of request again and again; when each began, and how it ended."""

    def __init__(self, server, method, body=None):
        super().__init__(daemon=True)
        self.server, self.method, self.body = server, method, body
        self.port, self.token = server.port, server.token
        self.ended, self.met = False, []

    def run(self):
        while not self.ended:
            began = time.monotonic()
            try:
                status = self.server.request(self.method, "/data/items", self.body,
                                             timeout=5).status
            except (OSError, http.client.HTTPException) as problem:
                status = type(problem).__name__
            self.met.append((began, status))
            time.sleep(PAUSE_S)

    def failures(self, since):
        bad = [(at, status) for at, status in self.met if at >= since and status not in (200, 201)]
        return bad


class Case:
    """A server, its two probers, and the clock from the failure on."""

    def __init__(self, **kwargs):
        config = {"faults.enabled": "yes", **kwargs.pop("config", {})}
        self.server = Server(config=config, workers=kwargs.pop("workers", 4), **kwargs)
        self.server.start()
        self.server.login()
        self.probers = [Prober(self.server, "GET"), Prober(self.server, "POST", {"title": "x"})]
        for prober in self.probers:
            prober.start()
        time.sleep(0.5)
        self.over = None

    def break_it(self):
        self.began = self.zero = time.monotonic()

    def mended(self):
        self.zero = time.monotonic()

    def until(self, what, condition, limit_s=60):
        wait_for(what, condition, limit_s, 0.005)
        self.over = time.monotonic() - self.zero
        self.over_when = what

    def end(self, name):
        time.sleep(0.5)
        row = []
        for prober in self.probers:
            prober.ended = True
            prober.join()
            bad = prober.failures(self.began)
            kinds = sorted({str(status) for _, status in bad})
            row.append(f"{len(bad)} of {sum(at >= self.began for at, _ in prober.met)}" +
                       (f", {bad[0][0] - self.began:.3f} to {bad[-1][0] - self.zero:+.3f} s "
                        f"({' '.join(kinds)})" if bad else ""))
        print(f"{name}\n    over after {self.over:.3f} s: {self.over_when}\n"
              f"    reads failed  {row[0]}\n    writes failed {row[1]}", flush=True)
        self.server.stop()
        self.server.end()


def path(case, name):
    return os.path.join(case.server.data, name)


def ready(server, count):
    return len([s for s in server.slots().values() if s["state"] == "ready"]) == count


def replaced(case, slot, pid):
    return case.server.slots().get(slot, {}).get("pid") not in (None, pid) and \
        case.server.slots()[slot]["state"] == "ready"


def worker_killed(case):
    pid = case.server.worker_pids()[1]
    case.break_it()
    os.kill(pid, signal.SIGKILL)
    case.until("its slot serves again", lambda: replaced(case, 1, pid))


def all_workers_killed(case):
    pids = set(case.server.worker_pids().values())
    case.break_it()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    case.until("four new workers serve", lambda: ready(case.server, 4) and
               not pids & set(case.server.worker_pids().values()))


def worker_stopped(case):
    pid = case.server.worker_pids()[1]
    case.break_it()
    os.kill(pid, signal.SIGSTOP)
    case.until("its slot serves again", lambda: replaced(case, 1, pid))


def helper_killed(kind):
    def run(case):
        pid = case.server.helper_pid(kind)
        case.break_it()
        os.kill(pid, signal.SIGKILL)

        def back():
            try:
                return case.server.helper_pid(kind) not in (0, pid)
            except (OSError, http.client.HTTPException, ValueError):
                return False
        case.until(f"a new {kind} is there", back)
    return run


def supervisor_killed(case):
    old = case.server
    case.break_it()
    old.process.kill()
    old.process.wait(5)
    case.mended()  # from here on a service manager would start it anew
    case.server.start(wait=False)
    case.until("a new supervisor's four workers serve",
               lambda: quiet(lambda: case.server.state()["supervisor_pid"] ==
                             case.server.process.pid and ready(case.server, 4)))


def quiet(condition):
    try:
        return condition()
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False


def database_moved(case):
    case.break_it()
    os.rename(path(case, "app.db"), path(case, "away"))
    wait_for("the verdict", lambda: case.server.health()["db"]["state"] == "moved", 10)
    print(f"(database_moved: /health says so after {time.monotonic() - case.began:.3f} s)")
    time.sleep(2)
    os.rename(path(case, "away"), path(case, "app.db"))
    case.mended()
    case.until("/health says up", lambda: case.server.health()["db"]["state"] == "up")


def log_deleted(case):
    case.break_it()
    os.unlink(path(case, "app.db-wal"))
    wait_for("the verdict", lambda: case.server.health()["db"]["state"] == "replaced", 10, 0.002)
    case.until("/health says up", lambda: case.server.health()["db"]["state"] == "up")


def gate_written_over(case):
    case.break_it()
    case.server.ctl("faults", "set", "scribble", "into=gate", "target=worker:0")
    wait_for("it to be found", lambda: [e for e in case.server.events()
                                        if e["event"] == "gate_reset"], 20)
    case.until("all workers serve", lambda: ready(case.server, 4))


def key_deleted(case):
    """Running workers have it in memory; one that starts has none."""
    shutil.copy(path(case, "jwt.key"), path(case, "key.away"))
    os.unlink(path(case, "jwt.key"))
    pid = case.server.worker_pids()[1]
    case.break_it()
    os.kill(pid, signal.SIGKILL)
    wait_for("it to fail", lambda: case.server.metric("worker_deaths_total",
                                                      **{"class": "failed_to_start"}) >= 2, 20)
    os.rename(path(case, "key.away"), path(case, "jwt.key"))
    case.mended()
    case.until("the slot serves again", lambda: replaced(case, 1, pid))


def small_file_deleted(name):
    """Nothing should be seen of it for a second, the health included."""
    def run(case):
        case.break_it()
        os.unlink(path(case, name))
        time.sleep(1)
        case.until("/health says healthy", lambda: case.server.health()["status"] == "healthy")
    return run


def disk_full(case):
    case.break_it()
    number = case.server.ctl("faults", "set", "db", "effect=full").stdout.split()[1]
    wait_for("the verdict", lambda: case.server.health()["db"]["state"] == "full", 10, 0.002)
    print(f"(disk_full: /health says so after {time.monotonic() - case.began:.3f} s)")
    case.server.ctl("faults", "clear", number)
    case.mended()
    case.until("/health says up", lambda: case.server.health()["db"]["state"] == "up")


CASES = {
    "worker killed": worker_killed,
    "all workers killed": all_workers_killed,
    "worker stopped": worker_stopped,
    "sentinel killed": helper_killed("sentinel"),
    "keeper killed": helper_killed("keeper"),
    "console killed": helper_killed("console"),
    "supervisor killed": supervisor_killed,
    "app.db moved away for 2 s": database_moved,
    "app.db-wal deleted": log_deleted,
    "disk full": disk_full,
    "gate written over": gate_written_over,
    "jwt.key deleted, a worker killed": key_deleted,
    "app.id deleted": small_file_deleted("app.id"),
    "lock deleted": small_file_deleted("lock"),
    "control.sock deleted": small_file_deleted("run/control.sock"),
}


def main(names):
    for name, run in CASES.items():
        if names and not any(word in name for word in names):
            continue
        case = Case()
        try:
            run(case)
        finally:
            if case.over is None:
                case.over, case.over_when = float("nan"), "it was not over"
            case.end(name)


if __name__ == "__main__":
    main(sys.argv[1:])
