# SPDX-License-Identifier: MIT
"""Killing: a dead worker is a blip. What was acknowledged is there; nobody is refused."""
import contextlib
import http.client
import random
import signal
import os
import threading
import time

from conftest import NOISE, SANITIZED, Load, counters_only_grow, wait_for

# The full bounds are measured by `make check` on the plain build; the sanitized one proves the
# same paths with less load.
SECONDS, RPS = (10, 60) if SANITIZED else (30, 300)


def kill_random_worker(server, seen):
    """kill -9 one serving worker; returns ms until its slot serves again."""
    slots = [s for s in server.slots().values() if s["state"] in ("ready", "degraded")]
    victim = random.choice(slots)
    os.kill(victim["pid"], signal.SIGKILL)
    started = time.monotonic()

    def back():
        slot = server.slots().get(victim["slot"])
        return slot and slot["generation"] > victim["generation"] and slot["state"] == "ready"
    wait_for(f"slot {victim['slot']} to serve again", back, 10)
    seen.append((victim["slot"], time.monotonic() - started))


def test_a_worker_killed_every_second_under_load(make_server):
    server = make_server(workers=4)
    load = Load(server, "--mix", "read=70,write=20,list=10", "--retry", "immediate",
                "--attempts", "5", rps=RPS, duration=SECONDS)
    before, back = server.metrics(), []
    load.wait_seconds(1)
    while load.running():
        kill_random_worker(server, back)
        now = server.metrics()
        assert not counters_only_grow(before, now)
        before = now
        time.sleep(max(0, 1 - back[-1][1]))
    outcome = load.finish()
    assert len(back) >= SECONDS * 0.7
    outcome.assert_nothing_lost()
    assert not outcome.requests  # retries with the Idempotency-Key bring every request home
    assert "refused" not in outcome.attempts and "unreachable" not in outcome.attempts
    # What failed at the first attempt was in the hands of a worker when it died: in its threads,
    # which the obituaries count, or at its door, where no more wait than a moment brings.
    broken, lost = sum(outcome.attempts.values()), server.metric("requests_lost_total")
    print(f"broken attempts {broken}, lost in threads {lost:.0f}, kills {len(back)}")
    assert broken <= lost + len(back)
    assert set(outcome.attempts) <= {"reset", "eof_before_response"}, outcome.attempts
    ready_ms = [float(e["text"].rsplit("after ", 1)[1].split()[0]) for e in server.events()
                if e["event"] == "worker_ready" and e["slot"] < 5 and e["generation"] > 1]
    print(f"ready again: median {sorted(ready_ms)[len(ready_ms) // 2]:.0f} ms, longest "
          f"{max(ready_ms):.0f} ms; audit {outcome.audit}; broken by cause {outcome.attempts}")
    assert len(ready_ms) >= len(back) * 0.9
    assert max(ready_ms) < 200 * NOISE and sorted(ready_ms)[len(ready_ms) // 2] < 200 * NOISE / 2
    assert server.metric("workers", state="quarantined") == 0
    assert not [e for e in server.events() if e["event"] == "worker_quarantined"]
    assert server.metric("worker_deaths_total", **{"class": "killed"}) >= len(back) * 0.9
    assert server.stop() == 0


def test_five_reloads_under_load_fail_nothing(make_server):
    server = make_server(workers=3 if SANITIZED else 4)
    old = set(server.worker_pids().values())
    load = Load(server, "--mix", "read=70,write=20,list=10", "--retry", "none",
                "--connections", "32", rps=RPS, duration=60)
    load.wait_seconds(1)

    def rounds():
        return len([e for e in server.events()
                    if e["event"] == "reload" and e["text"].startswith("all replaced")])
    for n in range(5):
        assert load.running(), "the load ended before the fifth reload"
        server.process.send_signal(signal.SIGHUP)
        wait_for(f"reload {n + 1}", lambda: rounds() == n + 1, 60)
    print([e["text"] for e in server.events() if e["text"].startswith("all replaced")])
    assert not old & set(server.pids())
    load.process.terminate()  # it ends what it has, then audits
    outcome = load.finish()
    outcome.assert_nothing_lost()
    assert not outcome.attempts, (outcome.attempts, [
        l for l in server.log_lines("request") if l["status"] >= 500][:3])
    assert server.metric("worker_deaths_total") == server.metric(
        "worker_deaths_total", **{"class": "clean"})
    assert server.stop() == 0


class Clients:
    """Keep-alive clients that note every request a server took and did not answer."""

    def __init__(self, server, count):
        self.server, self.stop = server, threading.Event()
        self.answered, self.unanswered, self.refused = 0, [], 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stop.is_set():
            c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
            served = 0
            try:
                while not self.stop.is_set():
                    a = self.server.request("GET", "/data/items?limit=1", connection=c)
                    served += 1
                    with self.lock:
                        self.answered += 1
                        if a.status != 200:
                            self.unanswered.append(a.status)
                    if a.headers.get("connection") == "close":
                        break
                    time.sleep(0.005)
            except ConnectionRefusedError:
                self.refused += 1
                if self.stop.wait(0.05):
                    break
            except (OSError, http.client.HTTPException) as e:
                if served:  # admitted before: the server had promised to listen
                    with self.lock:
                        self.unanswered.append(repr(e))
            finally:
                c.close()

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join(15)
        return self.answered, self.unanswered


def test_term_under_load_answers_everything(make_server):
    server = make_server(workers=3)
    clients = Clients(server, 24)
    wait_for("load", lambda: clients.answered > 200, 20)
    assert server.stop(20) == 0
    assert server.gone(1)
    wait_for("the port to be closed", lambda: clients.refused > 0, 5)
    answered, unanswered = clients.end()
    assert not unanswered, unanswered[:5]
    assert not os.path.exists(os.path.join(server.data, "run", "control.sock"))


def test_kill_of_the_supervisor(make_server):
    server = make_server(workers=3)
    clients = Clients(server, 12)
    wait_for("load", lambda: clients.answered > 100, 20)
    killed = time.monotonic()
    server.process.kill()
    server.process.wait()
    # Started again at once it waits for the orphans, then serves.
    server.start(wait=False)
    server.wait_ready(30)
    took = time.monotonic() - killed
    assert took < 5 * NOISE
    answered_at_return = clients.answered
    wait_for("clients to be served again", lambda: clients.answered > answered_at_return + 50, 10)
    _, unanswered = clients.end()
    assert not unanswered, unanswered[:5]
    assert server.stop() == 0


def test_orphans_end_within_five_seconds(make_server):
    server = make_server(workers=3)
    children = set(server.pids()) - {server.process.pid}
    assert len(children) >= 5
    server.process.kill()
    server.process.wait()
    killed = time.monotonic()
    assert server.gone(5 * NOISE), server.pids()
    print(f"orphans gone after {time.monotonic() - killed:.2f} s")


def test_all_workers_killed_at_once(make_server):
    server = make_server(workers=4)
    for pid in server.worker_pids().values():
        os.kill(pid, signal.SIGKILL)
    wait_for("the whole fleet to be back", lambda: server.health()["workers"]["ready"] == 4,
             2 * NOISE)
    assert server.request("GET", "/data/items").status == 200


def test_helpers_are_restarted(make_server):
    server = make_server()
    for kind in ("sentinel", "keeper", "console"):
        pid = server.helper_pid(kind)
        os.kill(pid, signal.SIGKILL)

        def back():
            try:
                return server.helper_pid(kind) != pid
            except (OSError, StopIteration):
                return False
        wait_for(f"a new {kind}", back, 5 * NOISE)
    assert server.health()["status"] == "healthy"
    assert server.request("POST", "/data/items", {"title": "still here"}).status == 201


def test_an_old_worker_that_dies_during_a_reload_leaves_no_surplus(make_server):
    server = make_server(workers=1)
    for n in range(3):  # the kill must fall between the signal and the successor's first answer
        (old,) = server.worker_pids().values()
        os.kill(server.process.pid, signal.SIGHUP)
        os.kill(old, signal.SIGKILL)

        def alone():
            ended = [e for e in server.events() if e["text"].startswith("all replaced")]
            pids = server.worker_pids().values()
            return (len(ended) == n + 1 and len(pids) == 1 and old not in pids
                    and server.health()["workers"]["ready"] == 1)
        wait_for("one new worker alone", alone, 20 * NOISE)
    server.ctl("restart", str(*server.worker_pids()), "--wait")


def test_an_ignored_sigchld_is_not_inherited(make_server):
    server = make_server(start=False)
    server.words = ["sh", "-c", 'trap "" CHLD; exec "$0" "$@"', *server.words]
    server.start()
    pid = server.worker_pids()[0]
    os.kill(pid, signal.SIGKILL)
    wait_for("it to be replaced", lambda: server.worker_pids().get(0, pid) != pid, 5 * NOISE)


def test_a_client_of_the_console_does_not_keep_its_port_from_a_new_supervisor(make_server):
    server = make_server()
    c = http.client.HTTPConnection("127.0.0.1", server.console_port, timeout=10)
    server.request("GET", "/health", token=False, connection=c)
    server.process.kill()
    server.process.wait()
    server.start()  # waits for the console too
    assert server.health()["status"] == "healthy"
    c.close()


def test_term_to_every_process_answers_everything(make_server):
    """As systemd stops the unit: everybody gets TERM at once, and knows what to do with it."""
    server = make_server(workers=3)
    clients = Clients(server, 12)
    wait_for("load", lambda: clients.answered > 100, 20)
    for pid in server.pids():
        with contextlib.suppress(ProcessLookupError):  # a child may be gone before its turn
            os.kill(pid, signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert server.gone(1)
    _, unanswered = clients.end()
    assert not unanswered, unanswered[:5]
