# SPDX-License-Identifier: MIT
"""A worker whose descriptors or memory run out: named before it happens, served as long as it can
be, never a crash, and over when the fault is."""
import concurrent.futures
import http.client
import re
import resource
import socket

import pytest
from conftest import NOISE, SANITIZED, wait_for
from test_faults import bench, fault, hits, put_fault  # noqa: F401 (a fixture)
from test_hang import cpu_seconds


def told(server, event):
    return [e for e in server.events() if e["event"] == event]


def connected(server):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    assert server.request("GET", "/data/items", connection=c).status == 200
    return c


def bytes_resident(server, slot=0):
    return server.metric("process_resident_memory_bytes", slot=str(slot))


def test_descriptors_that_run_out_are_named_and_cost_only_new_connections(bench):
    server = bench(workers=1)
    pid = server.worker_pids()[0]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (300, 300))
    assert server.request("POST", "/data/items", {"title": "x"}).status == 201
    old = connected(server)
    wait_for("the gauges", lambda: server.metric("process_max_fds", slot="0") == 300, 3 * NOISE)
    number = put_fault(server, "resource", "of=fds", "percent=100", "ramp=12s", "target=worker:0")
    low = wait_for("it to be named", lambda: told(server, "resource_low"), 15 * NOISE)[0]
    print(low["text"])
    share = int(re.fullmatch(r"descriptors: \d+ of 300 are open, (\d+) %", low["text"])[1])
    assert 70 <= share < (80 if NOISE == 2 else 100)
    begun = next(e for e in server.events() if e["event"] == "fault_start")
    assert low["cause_id"] == begun["id"] and low["slot"] == 0
    wait_for("the last one", lambda: server.metric("process_open_fds", slot="0") == 300, 15 * NOISE)

    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as late:
        # the kernel takes it; nobody accepts
        late.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        for n in range(50):
            assert server.request("GET", "/data/items", connection=old).status == 200
            assert server.request("POST", "/data/items", {"title": f"{n}"},
                                  connection=old).status == 201
        late.settimeout(1)
        cpu = cpu_seconds(pid)
        with pytest.raises(TimeoutError):
            late.recv(1)
        assert cpu_seconds(pid) - cpu < 0.2 * NOISE, "it waits, and does not ask without end"
        assert fault(server, number)["state"] == "active"
        server.ctl("faults", "clear")
        late.settimeout(1 * NOISE)
        assert late.recv(12) == b"HTTP/1.1 200", "it waited, and is served when there is room"
    wait_for("the all-clear", lambda: told(server, "resource_ok"), 3 * NOISE)
    old.close()
    assert len(told(server, "resource_low")) == 1
    assert server.worker_pids() == {0: pid} and server.metric("worker_deaths_total") == 0
    assert hits(server, "resource") > 20


def test_memory_that_grows_is_named_and_given_back(bench):
    server = bench()
    pids = server.worker_pids()
    before = wait_for("the gauge", lambda: bytes_resident(server, 1), 3 * NOISE)
    put_fault(server, "resource", "of=memory", "mib=256", "target=worker:1")
    low = wait_for("it to be named", lambda: told(server, "resource_low"), 5 * NOISE)[0]
    print(low["text"])
    assert low["slot"] == 1 and "MiB are resident" in low["text"]
    wait_for("all of it", lambda: bytes_resident(server, 1) >= before + (250 << 20), 5 * NOISE)
    for n in range(20):
        assert server.request("POST", "/data/items", {"title": f"{n}"}).status == 201
    server.ctl("faults", "clear")
    wait_for("the all-clear", lambda: told(server, "resource_ok"), 5 * NOISE)
    assert bytes_resident(server, 1) < before + (64 << 20)
    assert server.worker_pids() == pids and server.metric("worker_deaths_total") == 0


@pytest.mark.skipif(SANITIZED, reason="a sanitizer maps terabytes: no limit on addresses fits")
def test_memory_that_is_refused_costs_requests_and_no_process(bench):
    """Of two workers one gets no more memory: every allocation may fail, SQLite's, the door's, the
    parser's. It refuses, and does not draw to itself what the other one would serve."""
    server = bench()
    pids = server.worker_pids()
    item = server.request("POST", "/data/items", {"title": "x", "body": "b" * 60000}).json["id"]
    with open(f"/proc/{pids[0]}/status") as f:
        now = dict(line.split(":") for line in f)
    ever = resource.RLIM_INFINITY
    mapped, data = (int(now[k].split()[0]) << 10 for k in ("VmSize", "VmData"))
    resource.prlimit(pids[0], resource.RLIMIT_AS, (mapped + (40 << 20), ever))
    resource.prlimit(pids[0], resource.RLIMIT_DATA, (data, ever))  # what malloc has reserved, too
    put_fault(server, "resource", "of=memory", "mib=256", "target=worker:0")
    low = wait_for("it to be named", lambda: told(server, "resource_low"), 5 * NOISE)[0]
    print(low["text"])
    assert "RLIMIT_AS" in low["text"] and low["slot"] == 0

    def ask(n):
        try:
            if n % 2:
                return server.request("GET", f"/data/items/{item}", timeout=5).status
            return server.request("POST", "/data/items", {"title": f"{n}", "body": "b" * 65000},
                                  timeout=5).status
        except (OSError, http.client.HTTPException) as problem:
            return type(problem).__name__
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(400)))
    print({a: answers.count(a) for a in answers})
    assert {a for a in answers if isinstance(a, int)} <= {200, 201, 500, 503, 504}, answers
    served = answers.count(200) + answers.count(201)
    assert served > 0.8 * len(answers), "the other worker serves"
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        resource.prlimit(pids[0], limit, (ever, ever))
    server.ctl("faults", "clear")
    wait_for("all to be served", lambda: {ask(n) for n in range(20)} == {200, 201}, 5 * NOISE, 0.1)
    assert server.worker_pids() == pids and server.metric("worker_deaths_total") == 0
