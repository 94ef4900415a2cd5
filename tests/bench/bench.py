# SPDX-License-Identifier: MIT
"""What a keep-alive GET /data/items/{id} costs, as a ratio to the least such an answer can cost.

The yardstick is constant_server: the same library behind the same front door, with as many threads,
answering the very bytes of an item's answer in one write. Beside it run three servers with one
worker each: as it is configured by default, which logs every request (to a file); one that logs
none; and one that logs none and has no rate limit, no breaker and no shedding.
All get the same request, in turns within each round, so what slows the machine slows all of them.

CPU time is that of the process that answers, kernel included, by its own clock; the client's is not
counted. Servers and client share one processor: on two, most of what is measured is waking an idle
one, which costs from 0 to 15 us as the scheduler likes and says nothing of the server.

Judged is the median over the rounds without request lines, because the constant writes none either:
exit 1 above LIMIT, or when limits, breaker and shedding cost more than PROTECTION_LIMIT times a
request without them. What a line adds (made, and written to a file, one call each) is printed
beside it. Latency and requests a second are those of a closed loop that shares its processor: to look at,
not to judge.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario"))
from conftest import BUILD, Server  # noqa: E402

LIMIT = 1.7
PROTECTION_LIMIT = 1.15
# The limit is counted, but high enough for a closed loop.
ON = {"ratelimit.read": 100000, "ratelimit.read_burst": 1000000}
OFF = {"ratelimit.read": 0, "ratelimit.write": 0, "ratelimit.login": 0, "breaker.window": 0,
       "overload.shed": "off", "overload.order": "fifo"}
BODY = "Buy oat milk, two lemons and bread. " * 6  # about 200 bytes: a note
THREADS = 64  # worker.threads
CPU = max(os.sched_getaffinity(0))
CONNECTION_MOST = 1000000000  # requests on a connection: none ends within a round


def bench_program(name):
    return os.path.join(BUILD, "bench", name)


def raw_answer(port, request):
    """The bytes of an answer, head and all."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
        s.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += s.recv(65536)
        head, body = answer.split(b"\r\n\r\n", 1)
        length = next(int(l.split(b":")[1]) for l in head.split(b"\r\n")
                      if l.lower().startswith(b"content-length:"))
        while len(body) < length:
            body += s.recv(65536)
    assert head.startswith(b"HTTP/1.1 200 "), head
    return head + b"\r\n\r\n" + body


class Side:
    """A server under measurement: where it listens, which process answers, what it is asked."""

    def __init__(self, name, port, pid, request, directory):
        self.name, self.port, self.pid = name, port, pid
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {CPU})
        self.request = os.path.join(directory, f"request-{port}")
        with open(self.request, "wb") as f:
            f.write(request)
        self.rounds = []

    def measure(self, options):
        done = subprocess.run(
            [bench_program("get_client"), str(self.port), str(self.pid), str(options.connections),
             str(options.seconds), self.request],
            stdout=subprocess.PIPE, timeout=options.seconds + 30, check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {CPU}))
        self.rounds.append(json.loads(done.stdout))

    def median(self, key):
        return statistics.median(r[key] for r in self.rounds)


def start_worker(servers, log_requests, protection):
    """A server with one worker and an item. Returns it and the request for the item."""
    server = Server(workers=1, config={"log.requests": log_requests, **protection,
                                       "keepalive.max_requests": CONNECTION_MOST})
    servers.append(server)
    server.start()
    server.login()
    answer = server.request("POST", "/data/items", {"title": "Shopping", "body": BODY})
    assert answer.status == 201, answer
    return server, (f"GET /data/items/{answer.json['id']} HTTP/1.1\r\n"
                    f"Host: 127.0.0.1:{server.port}\r\nAccept: application/json\r\n"
                    f"Authorization: Bearer {server.token}\r\n\r\n").encode()


def start_constant(directory, answer):
    path = os.path.join(directory, "answer")
    with open(path, "wb") as f:
        f.write(answer)
    process = subprocess.Popen([bench_program("constant_server"), path, str(THREADS)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def worker_side(servers, name, log_requests, protection, directory):
    server, request = start_worker(servers, log_requests, protection)
    pid = next(iter(server.worker_pids().values()))
    answer = raw_answer(server.port, request)
    return Side(name, server.port, pid, request, directory), answer


def print_rounds(constant, sides):
    print("round  constant" + "".join(f"  {s.name:>23}" for s in sides))
    for i, base in enumerate(constant.rounds):
        cells = (f"{s.rounds[i]['cpu_us']:10.1f} µs  {ratio(s, constant, i):8.2f}x" for s in sides)
        print(f"{i + 1:5}  {base['cpu_us']:5.1f} µs" + "".join(f"  {c:>23}" for c in cells))
    print("\nmedians             CPU/request  requests/s  latency p50  latency p99")
    for s in [constant, *sides]:
        print(f"{s.name:18}  {s.median('cpu_us'):8.1f} µs  {s.median('rps'):10.0f}"
              f"  {s.median('p50_us'):8.0f} µs  {s.median('p99_us'):8.0f} µs")


def ratio(side, constant, i):
    return side.rounds[i]["cpu_us"] / constant.rounds[i]["cpu_us"]


def judge(sides, constant):
    print()
    for side in sides:
        side.ratio = statistics.median(ratio(side, constant, i)
                                       for i in range(len(constant.rounds)))
        print(f"{side.name}: median ratio {side.ratio:.2f}")
    logged, judged, bare = sides
    verdict = "within" if judged.ratio <= LIMIT else "ABOVE"
    print(f"A GET costs {judged.ratio:.2f} times a constant: {verdict} the limit of {LIMIT}. "
          f"Its line in the log makes it {logged.ratio:.2f} times.")
    protection = statistics.median(ratio(judged, bare, i) for i in range(len(bare.rounds)))
    verdict = "within" if protection <= PROTECTION_LIMIT else "ABOVE"
    print(f"Limits, breaker and shedding make it {protection:.2f} times what it is without them: "
          f"{verdict} the limit of {PROTECTION_LIMIT}.")
    return 0 if judged.ratio <= LIMIT and protection <= PROTECTION_LIMIT else 1


def run(options, servers, directory):
    sides, answers = zip(*(worker_side(servers, *side, directory)
                           for side in (("log.requests=all", "all", ON),
                                        ("log.requests=none", "none", ON),
                                        ("no protection", "none", OFF))))
    process, port = start_constant(directory, answers[0])
    try:
        with open(sides[0].request, "rb") as f:
            constant = Side("constant", port, process.pid, f.read(), directory)
        assert len(raw_answer(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")) == len(answers[0])
        print(f"{options.rounds} rounds of {options.seconds} s a side, {options.connections} "
              f"connections, an answer of {len(answers[0])} bytes\n", flush=True)
        for _ in range(options.rounds):
            for side in (constant, *sides):
                side.measure(options)
    finally:
        process.stdin.close()
        process.wait(10)
    print_rounds(constant, sides)
    return judge(sides, constant)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that nothing stays behind
    servers, directory = [], tempfile.mkdtemp(prefix="bulkhead-bench-")
    try:
        return run(options, servers, directory)
    finally:
        for server in servers:
            if server.process:
                server.stop()
            server.end()
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
