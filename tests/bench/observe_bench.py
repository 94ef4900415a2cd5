# SPDX-License-Identifier: MIT
"""What observing costs: the server's CPU time for a request with observers and without.

One server under one fixed load (the baseline of the service, 300/s: reads, lists and writes). In
turns it is left alone and observed: once a second a browser's polls of every /api endpoint of the
console that there is, on a connection that stays, and a scrape of /metrics as Prometheus makes it.

Counted is the CPU time of every process of the server, kernel included, by the processes' own
clocks: supervisor, workers, sentinel and keeper on one side, the console on the other. All the
console does while it is observed counts as observing, what it does unasked too. Requests are counted
by the server and read from the shared region by bulkheadctl, which costs the server nothing.

Two figures, medians over the rounds. Judged is the CPU time of all processes over that of all but
the console, in the same seconds, so that the machine's moods cancel out: exit 1 above LIMIT. Beside
it the others' CPU time for a request, observed over left alone, in turns the one or the other first:
observing must not slow them. On a busy machine a round of it is 10 % off, so it fails only beyond
OTHERS_LIMIT.
"""
import argparse
import http.client
import json
import os
import signal
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario"))
from conftest import Load, Server, wait_for  # noqa: E402

LIMIT = 1.05
OTHERS_LIMIT = 1.15
SCRAPE = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
          "Accept-Encoding": "gzip"}
# As the dashboard asks: what is new since the second before.
POLLS = ("/api/state", "/api/events?since={event}", "/api/history?from=-2", "/api/components?from=-2",
         "/api/slo")


class Observers(threading.Thread):
    """A browser and a Prometheus, each once a second, until told to stop."""

    def __init__(self, server, seconds):
        super().__init__(daemon=True)
        self.server, self.seconds = server, seconds
        self.bytes, self.asked, self.missing, self.odd = 0, 0, set(), []

    def ask(self, connection, path, headers=None):
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        self.bytes += len(body)
        self.asked += 1
        if answer.status == 404:
            self.missing.add(path.split("?")[0])
        elif answer.status != 200:
            self.odd.append((path, answer.status, body[:200]))
        return body if answer.status == 200 else None

    def run(self):
        console = ("127.0.0.1", self.server.console_port)
        browser, prometheus = (http.client.HTTPConnection(*console, timeout=10) for _ in range(2))
        event, due = 0, time.monotonic()
        for _ in range(self.seconds):
            time.sleep(max(0, due - time.monotonic()))
            due += 1
            for path in POLLS:
                if path.split("?")[0] in self.missing:
                    continue
                body = self.ask(browser, path.format(event=event))
                if body and path.startswith("/api/events"):
                    event = json.loads(body)["last_id"]
            self.ask(prometheus, "/metrics", SCRAPE)
        browser.close()
        prometheus.close()
        time.sleep(max(0, due - time.monotonic()))


def cpu_s(pid):
    """CPU time of a process with all its threads: its clock, as clock_getcpuclockid(3) names it."""
    return time.clock_gettime(~pid << 3 | 2)


class Side:
    def __init__(self, server, pids, console):
        self.server, self.pids, self.console = server, pids, console
        self.rounds = {True: [], False: []}
        self.ratios, self.console_ms, self.answers, self.bytes = [], [], [], []
        self.missing = set()

    def requests(self):
        text = self.server.ctl("metrics").stdout
        return sum(float(l.rsplit(" ", 1)[1]) for l in text.splitlines()
                   if l.startswith("http_requests_total{"))

    def measure(self, observed, seconds):
        observers = Observers(self.server, seconds) if observed else None
        requests, cpu, console = self.requests(), sum(map(cpu_s, self.pids)), cpu_s(self.console)
        if observers:
            observers.start()
            observers.join()
            assert not observers.odd, observers.odd
            self.answers.append(observers.asked / seconds)
            self.bytes.append(observers.bytes / seconds)
            self.missing |= observers.missing
        else:
            time.sleep(seconds)
        cpu = sum(map(cpu_s, self.pids)) - cpu
        if observed:
            console = cpu_s(self.console) - console
            self.console_ms.append(console * 1000 / seconds)
            self.ratios.append((cpu + console) / cpu)
        self.rounds[observed].append(cpu * 1e6 / (self.requests() - requests))


def judge(side, options):
    rounds = list(zip(side.rounds[False], side.rounds[True], side.ratios))
    print("round      without the console         with it")
    print("       left alone    observed")
    for i, (alone, observed, ratio) in enumerate(rounds):
        print(f"{i + 1:5}  {alone:7.1f} µs  {observed:7.1f} µs  {ratio:.3f}x")
    ratio = statistics.median(side.ratios)
    others = statistics.median(b / a for a, b, _ in rounds)
    alone, observed = (statistics.median(side.rounds[k]) for k in (False, True))
    print(f"\nmedians: {alone:.1f} µs a request left alone, {observed:.1f} µs observed, at {options.rps}/s")
    print(f"the console takes {statistics.median(side.console_ms):.2f} ms of CPU a second for "
          f"{statistics.median(side.answers):.0f} answers of {statistics.median(side.bytes) / 1024:.0f} KiB"
          + (f" (not there: {', '.join(sorted(side.missing))})" if side.missing else ""))
    verdict = "within" if ratio <= LIMIT else "ABOVE"
    print(f"Observing makes a request cost {ratio:.3f} times what it costs alone: {verdict} the limit of "
          f"{LIMIT}.")
    verdict = "within" if others <= OTHERS_LIMIT else "ABOVE"
    print(f"The other processes need {others:.3f} times as much meanwhile: {verdict} the limit of "
          f"{OTHERS_LIMIT}.")
    return 0 if ratio <= LIMIT and others <= OTHERS_LIMIT else 1


def run(options, server):
    server.start()
    server.login()
    seconds = options.seconds
    load = Load(server, "--no-audit", rps=options.rps, duration=(2 * seconds + 1) * options.rounds + 10)
    try:
        wait_for("load", lambda: "http_requests_total{" in server.ctl("metrics").stdout, 10)
        time.sleep(2)
        console = server.helper_pid("console")
        side = Side(server, [p for p in server.pids() if p != console], console)
        side.measure(True, 1)  # warm
        side.rounds[True].clear()
        side.ratios.clear()
        for i in range(options.rounds):
            for observed in ((False, True) if i % 2 else (True, False)):
                side.measure(observed, seconds)
        assert load.running(), "the load ended before its time"
    finally:
        load.process.terminate()
        load.process.communicate(timeout=30)
    return judge(side, options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rps", type=int, default=300)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that nothing stays behind
    server = Server(workers=4, config={"log.requests": "none"})
    try:
        return run(options, server)
    finally:
        if server.process:
            server.stop()
        server.end()


if __name__ == "__main__":
    sys.exit(main())
