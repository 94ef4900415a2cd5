# SPDX-License-Identifier: MIT
"""The front door: many connections, slow ones, greedy ones; whoever behaves is served meanwhile."""
import asyncio
import http.client
import os
import resource
import socket
import struct
import threading
import time

import pytest

from conftest import NOISE, SANITIZED, wait_for
from wire import Wire, assert_problem, head, post

IDLE, SLOW_HEADERS, SLOW_BODIES = (300, 100, 100) if SANITIZED else (2000, 600, 400)
FEW_THREADS = {"worker.threads": 48, "bulkhead.read": 8, "bulkhead.write": 8}
THREADED = 50  # of those have a body so large that a request thread reads it: fewer than threads
AT_A_THREAD = 100_000


@pytest.fixture(autouse=True, scope="module")
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 16384) if hard != resource.RLIM_INFINITY else 16384
    if wanted < 8192:
        pytest.skip(f"only {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def reset(connected):
    """End a connection with RST instead of FIN."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connected.close()


def settled(server):
    """Nothing is being handled any more, and nobody died of what was done. (How slow clients were
    counts in the latency, so the status may say degraded for ten seconds.)"""
    wait_for("all requests to end", lambda: server.metric("http_inflight_requests") == 0, 10 * NOISE)
    assert server.metric("worker_deaths_total") == 0
    assert server.health()["workers"]["ready"] == server.workers


# ---- spread -----------------------------------------------------------------------------------

def test_connections_spread_over_the_workers(make_server):
    server = make_server(workers=4)
    before = {slot: server.metric("accepts_total", slot=str(slot)) for slot in range(4)}
    connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=10) for _ in range(32)]
    for c in connections:
        assert server.request("GET", "/health/live", connection=c).status == 200
    accepted = [server.metric("accepts_total", slot=str(slot)) - before[slot] for slot in range(4)]
    for c in connections:
        c.close()
    print("accepted by each worker", accepted)
    assert sum(accepted) == 32
    assert all(4 <= n <= 12 for n in accepted), accepted


# ---- the slow and the idle --------------------------------------------------------------------
KEEPALIVE_S = 15  # keepalive.timeout


class Prober:
    """Asks /health over new and kept connections, and notes how long each answer took."""

    def __init__(self, server):
        self.server, self.took, self.wrong = server, [], []
        self.used = time.monotonic()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def ask(self, kept):
        """On a connection that was idle for longer than keepalive.timeout, the server's end of it and
        this request may cross (RFC 9112, section 9.3.1); then once more, on a new one."""
        idle_s = time.monotonic() - self.used
        try:
            return self.server.request("GET", "/health", token=False, connection=kept)
        except (OSError, http.client.HTTPException) as e:
            if not kept or idle_s < KEEPALIVE_S - 1:
                raise OSError(f"{'kept' if kept else 'new'} connection, used {idle_s:.3f} s ago: "
                              f"{e!r}, {self.server.metric('door_evicted_total'):.0f} evicted") from e
            kept.close()
            return self.server.request("GET", "/health", token=False, connection=kept)
        finally:
            if kept:
                self.used = time.monotonic()

    def run(self):
        kept = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        while not self.stop.wait(0.01):
            for connection in (kept, None):
                started = time.monotonic()
                try:
                    answer = self.ask(connection)
                    if answer.status != 200:
                        self.wrong.append(answer)
                except (OSError, http.client.HTTPException) as e:
                    self.wrong.append(repr(e))
                self.took.append(time.monotonic() - started)
        kept.close()

    def end(self):
        self.stop.set()
        self.thread.join(15)


class Slow:
    """Connections that send one byte a second until they are answered."""

    def __init__(self, port, count, begin, drop):
        self.sockets = {}
        for _ in range(count):
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(begin)
            s.setblocking(False)
            self.sockets[s] = b""
        self.drop, self.started = drop, time.monotonic()
        self.answers = []

    def step(self):
        """A byte more on each; what was answered is taken off."""
        for s in list(self.sockets):
            try:
                self.sockets[s] += s.recv(65536)
                self.answers.append((time.monotonic() - self.started, self.sockets[s]))
            except BlockingIOError:
                try:
                    s.send(self.drop)
                    continue
                except OSError:
                    self.answers.append((time.monotonic() - self.started, b""))
            except OSError:
                self.answers.append((time.monotonic() - self.started, b""))
            s.close()
            del self.sockets[s]

    def close(self):
        for s in self.sockets:
            s.close()


def slow_body(size, token):
    return head("POST", "/data/items", "Content-Type: application/json", f"Content-Length: {size}",
                f"Authorization: Bearer {token}") + b'{"title": "'


def test_health_answers_whatever_else_is_open(make_server):
    server = make_server(workers=2)
    pids = server.worker_pids()
    idle, slow, prober = [], [], Prober(server)
    try:
        idle += [socket.create_connection(("127.0.0.1", server.port)) for _ in range(IDLE)]
        slow = [Slow(server.port, SLOW_HEADERS, b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: ", b"a"),
                Slow(server.port, SLOW_BODIES - THREADED, slow_body(60_000, server.token), b"a"),
                Slow(server.port, THREADED, slow_body(AT_A_THREAD, server.token), b"a")]
        end = time.monotonic() + 12 * NOISE
        while any(s.sockets for s in slow) and time.monotonic() < end:
            for s in slow:
                s.step()
            time.sleep(1)
    finally:
        prober.end()
        for s in slow:
            s.close()
    assert not prober.wrong, prober.wrong[:5]
    assert len(prober.took) > 200
    print(f"/health {len(prober.took)} times, p99 {percentile(prober.took, 0.99) * 1000:.1f} ms, "
          f"slowest {max(prober.took) * 1000:.1f} ms")
    assert percentile(prober.took, 0.99) < 0.1 * NOISE, percentile(prober.took, 0.99)
    for kind, count in zip(slow, (SLOW_HEADERS, SLOW_BODIES - THREADED, THREADED)):
        assert len(kind.answers) == count, f"{len(kind.sockets)} slow ones are still being read"
        assert all(a.startswith(b"HTTP/1.1 408 ") for _, a in kind.answers), kind.answers[0]
        assert min(at for at, _ in kind.answers) > 3  # slow is not dead
    for s in idle:
        s.setblocking(False)
    assert sum(is_open(s) for s in idle) >= IDLE * 0.9  # idle connections cost nobody anything
    idle[0].settimeout(5)
    idle[0].sendall(head("GET", "/health/live"))
    assert idle[0].recv(100).startswith(b"HTTP/1.1 200 ")
    for s in idle:
        s.close()
    assert server.worker_pids() == pids
    settled(server)


def is_open(connected):
    try:
        return connected.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_what_takes_too_long_is_ended(make_server):
    """By the door for header and body, by a thread for a large body; each with a problem document.
    Who only keeps his connection open goes without a word, later than he was told."""
    server = make_server(workers=1, config={"keepalive.timeout": 6})
    with Wire(server.port) as used, Wire(server.port) as never:
        used.send(head("GET", "/health/live"))
        assert used.answer().headers["keep-alive"] == "timeout=1"
        started = time.monotonic()
        wires = [Wire(server.port, timeout=10 * NOISE) for _ in range(3)]
        begins = [b"GET /health HTTP/1.1\r\nHost: x\r\n", slow_body(5000, server.token),
                  slow_body(AT_A_THREAD, server.token)]
        for wire, begin in zip(wires, begins):
            wire.send(begin)
        answers = [wire.answer() for wire in wires]
        assert 4 < time.monotonic() - started < 6 * NOISE
        assert all(wire.is_closed() for wire in wires)
        assert used.is_closed(8 * NOISE) and never.is_closed(2)
        assert time.monotonic() - started > 5
    for wire, answer in zip(wires, answers):
        wire.socket.close()
        assert_problem(answer, 408, "request-timeout")


def test_more_connections_than_the_door_holds(make_server):
    """The one that has been idle longest makes room; who asks is answered."""
    server = make_server(workers=1, config={"door.parked": 64})
    wires = []
    try:
        for _ in range(300):
            wire = Wire(server.port)
            wires.append(wire)
            wire.send(head("GET", "/health/live"))
            assert wire.answer().status == 200
        assert server.metric("door_evicted_total") > 100
        wires[-1].send(head("GET", "/health/live"))
        assert wires[-1].answer().status == 200
    finally:
        for wire in wires:
            wire.socket.close()
    settled(server)


# ---- more clients than threads ----------------------------------------------------------------

async def ask(reader, writer, request):
    writer.write(request)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 204 "), answer


async def keep_asking(port, request, until, counts, waits, n):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while time.monotonic() < until:
            started = time.monotonic()
            await ask(reader, writer, request)
            waits.append(time.monotonic() - started)
            counts[n] += 1
    finally:
        writer.close()


def test_more_clients_than_threads_are_served_fairly(make_server):
    clients, seconds = (64, 3) if SANITIZED else (256, 4)
    server = make_server(workers=1, config={**FEW_THREADS, "log.requests": "none"})
    counts, waits = [0] * clients, []
    request = head("OPTIONS", "/data/items")  # needs a thread and no permit

    async def all_of_them():
        until = time.monotonic() + seconds
        await asyncio.gather(*[keep_asking(server.port, request, until, counts, waits, n)
                               for n in range(clients)])
    asyncio.run(asyncio.wait_for(all_of_them(), 30 * NOISE))
    print(min(counts), sorted(counts)[clients // 2], max(counts), percentile(waits, 0.99), max(waits))
    assert min(counts) > 0.25 * sorted(counts)[clients // 2], sorted(counts)[:10]
    assert max(waits) < 1 * NOISE
    assert server.metric("door_returned_total") > 0
    settled(server)


# ---- pipelining -------------------------------------------------------------------------------

def test_pipelined_requests_are_answered_in_order(make_server):
    server = make_server(workers=1)
    authorization = f"Authorization: Bearer {server.token}"
    requests, expected = b"", []
    for i in range(60):
        line = f"X-Request-Id: {i}"
        kind = i % 4
        if kind == 0:
            requests += head("GET", "/health/live", line)
        elif kind == 1:
            requests += post("/data/items", {"title": f"p{i}", "body": "x" * i * 50}, line,
                             token=server.token)
        elif kind == 2:
            requests += head("HEAD", "/data/items", line, authorization)
        else:
            requests += head("GET", "/nowhere", line)
        expected.append((str(i), ("GET", "POST", "HEAD", "GET")[kind], (200, 201, 200, 404)[kind]))
    for cut in (len(requests), 1460, 97):
        with Wire(server.port) as wire:
            sender = threading.Thread(target=lambda: [wire.send(requests[a:a + cut])
                                                      for a in range(0, len(requests), cut)])
            sender.start()
            for number, method, status in expected:
                answer = wire.answer(method)
                assert (answer.headers["x-request-id"], answer.status) == (number, status)
            sender.join(10)
    shown = server.request("GET", "/data/items?limit=100").json["items"]
    assert [i["title"] for i in shown][::-1] == [f"p{i}" for i in range(1, 60, 4)] * 3


def test_close_ends_a_pipeline(make_server):
    server = make_server(workers=1)
    with Wire(server.port) as wire:
        wire.send(head("GET", "/health/live") + head("GET", "/health/live", "Connection: close") +
                  head("GET", "/health/live"))
        assert wire.answer().headers["connection"] == "keep-alive"
        assert wire.answer().headers["connection"] == "close"
        assert wire.is_closed()


# ---- clients that go --------------------------------------------------------------------------

def test_clients_that_leave_in_the_middle(make_server):
    server = make_server(workers=2)
    pids = server.worker_pids()
    whole = post("/data/items", {"title": "gone", "body": "x" * 3000}, token=server.token)
    large = post("/data/items", {"title": "gone", "body": "x" * 60000 + "é" * 5000}, token=server.token)
    login = post("/auth/login", {"username": "demo", "password": "x"})
    parts = [b"", b"G", whole[:30], whole[:whole.index(b"\r\n\r\n") + 4], whole[:-1], whole,
             large[:-10], whole + whole[:50], login]
    for n in range(30 if SANITIZED else 90):
        with Wire(server.port) as wire:
            wire.send(parts[n % len(parts)])
            if n % 2:
                reset(wire.socket)
            elif n % 3 == 0:
                wire.socket.shutdown(socket.SHUT_WR)
    assert server.request("POST", "/data/items", {"title": "here"}).status == 201
    assert server.worker_pids() == pids
    settled(server)
    wait_for("the door to be empty", lambda: server.metric("door_parked") <= 2, 10)


def test_a_client_that_only_stops_sending_gets_its_answer(make_server):
    server = make_server(workers=1)
    with Wire(server.port) as wire:
        wire.send(post("/data/items", {"title": "half closed"}, token=server.token))
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.answer().status == 201
        assert wire.is_closed()


def test_unread_answers_hold_nobody_up(make_server):
    """Each reader has his time, then his connection is cut; nobody else waits for him."""
    server = make_server(workers=1)
    pids = server.worker_pids()
    item = server.request("POST", "/data/items", {"title": "large", "body": "x" * 60000})
    request = head("GET", item.headers["location"], f"Authorization: Bearer {server.token}")
    greedy = [Wire(server.port, receive_buffer=4096) for _ in range(12)]  # fewer than permits
    prober = Prober(server)
    try:
        for wire in greedy:
            wire.send(request * 100)  # far more than the socket buffers hold
        wait_for("all of them to wait for their readers",
                 lambda: server.metric("http_inflight_requests") == len(greedy) and
                 server.metric("bulkhead_inflight") == 0, 5 * NOISE)
        took = []
        for _ in range(20):
            started = time.monotonic()
            assert server.request("GET", "/data/items?limit=1").status == 200
            took.append(time.monotonic() - started)
        wait_for("the greedy to be cut", lambda: server.metric("http_inflight_requests") == 0,
                 15 * NOISE)
    finally:
        prober.end()
        for wire in greedy:
            wire.socket.close()
    assert not prober.wrong, prober.wrong[:3]
    assert percentile(prober.took, 0.99) < 0.1 * NOISE
    assert max(took) < 1 * NOISE
    assert server.worker_pids() == pids
    settled(server)


def test_no_descriptor_is_lost(make_server):
    server = make_server(workers=1)
    pid = server.worker_pids()[0]

    def descriptors():
        return len(os.listdir(f"/proc/{pid}/fd"))

    def visit():
        for n in range(50):
            with Wire(server.port) as wire:
                wire.send(head("GET", ("/health", "/data/items", "/nowhere", "/%00")[n % 4]))
                wire.answer()
    visit()
    before = descriptors()
    visit()
    wait_for("the connections to be closed", lambda: descriptors() <= before, 10)
