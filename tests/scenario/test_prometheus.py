# SPDX-License-Identifier: MIT
"""A real Prometheus watches a server whose workers are killed once a second.

It reads OpenMetrics as it asks for it, with the lab's rules (a day is two minutes). Counters never
go back, the console always answers, and an outage of the database raises its alerts and ends them.
"""
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

from conftest import NOISE, SANITIZED, Load, free_port, wait_for

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "etc", "prometheus")
SECONDS = 10 if SANITIZED else 60  # of kills, one a second
RATE = 50 if SANITIZED else 100    # requests a second: it is the kills that are tested here


class Prometheus:
    """Debian's prometheus with the lab's configuration, in a directory of its own."""

    def __init__(self, target):
        self.directory = tempfile.mkdtemp(prefix="bulkhead-prometheus-")
        self.port = free_port()
        with open(os.path.join(HERE, "prometheus-lab.yml")) as f:
            config = f.read()
        assert "127.0.0.1:8081" in config
        shutil.copy(os.path.join(HERE, "rules-lab.yml"), self.directory)
        path = os.path.join(self.directory, "prometheus.yml")
        with open(path, "w") as f:
            f.write(config.replace("127.0.0.1:8081", target))
        self.log = open(os.path.join(self.directory, "log"), "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={path}",
             f"--storage.tsdb.path={os.path.join(self.directory, 'data')}",
             f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def get(self, path, **query):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            c.request("GET", path + "?" + urllib.parse.urlencode(query, doseq=True))
            r = c.getresponse()
            body = r.read()
            assert r.status == 200, (path, query, body[:500])
            return json.loads(body)["data"] if path.startswith("/api/") else body
        finally:
            c.close()

    def ready(self):
        assert self.process.poll() is None, self.log_text()
        try:
            return self.get("/-/ready")
        except (OSError, AssertionError):
            return None

    def query(self, expression):
        """The labels and value of each result, now."""
        return [(r["metric"], float(r["value"][1]))
                for r in self.get("/api/v1/query", query=expression)["result"]]

    def firing(self):
        return {a["labels"]["alertname"]: a for a in self.get("/api/v1/alerts")["alerts"]
                if a["state"] == "firing"}

    def log_text(self):
        with open(self.log.name, errors="replace") as f:
            return f.read()

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.log.close()
        shutil.rmtree(self.directory)


def promtool_is_content(server):
    text = server.console("/metrics").body
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b""), done


def test_promtool_would_complain():
    """Else its silence above would prove nothing."""
    done = subprocess.run(["promtool", "check", "metrics"], capture_output=True, text=True,
                          input="# TYPE wait_milliseconds counter\nwait_milliseconds 1\n")
    assert done.returncode != 0 and "_total" in done.stderr + done.stdout


def test_both_formats(server):
    plain = server.console("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert plain.headers["vary"] == "Accept"
    assert not plain.body.endswith(b"# EOF\n")
    openmetrics = server.request(
        "GET", "/metrics", token=False, port=server.console_port,
        headers={"Accept": "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5"})
    assert openmetrics.headers["content-type"] == \
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert openmetrics.headers["vary"] == "Accept"
    assert openmetrics.body.endswith(b"\n# EOF\n")
    assert b"# UNIT db_wal_bytes bytes\n" in openmetrics.body
    head = server.request("HEAD", "/metrics", token=False, port=server.console_port,
                          headers={"Accept": "text/plain;q=0.1, application/openmetrics-text"})
    assert head.headers["content-type"].startswith("application/openmetrics-text")
    assert head.body == b""


def kill_one_a_second(server, seconds):
    dice, killed, start = random.Random(11), 0, time.monotonic()
    for second in range(seconds):
        time.sleep(max(0, start + second - time.monotonic()))
        pids = list(server.worker_pids().values())
        if pids:
            try:
                os.kill(dice.choice(pids), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:  # died since: the next second has another
                pass
    return killed


def counters(prometheus):
    """Name patterns of every counter series, as Prometheus was told their types."""
    names = []
    for family, entries in prometheus.get("/api/v1/metadata").items():
        kind = entries[0]["type"]
        if kind == "counter":
            names.append(family if family.endswith("_total") else family + "_total")
        elif kind == "histogram":
            names += [family + suffix for suffix in ("_bucket", "_count", "_sum")]
    return names


def watch_kills(server, prometheus):
    load = Load(server, "--retry", "immediate", "--no-audit", rps=RATE, duration=SECONDS + 2)
    start = time.monotonic()
    killed = kill_one_a_second(server, SECONDS)
    promtool_is_content(server)
    load.finish()
    window = f"{int(time.monotonic() - start) + 2}s"
    samples = prometheus.query(f"count_over_time(up[{window}])")[0][1]
    always = prometheus.query(f"min_over_time(up[{window}])")[0][1]
    names = counters(prometheus)
    assert "http_requests_total" in names and "http_queue_seconds_bucket" in names, names
    resets = [r for name in names for r in prometheus.query(f"resets({name}[{window}])")]
    went_back = [r for r in resets if r[1] != 0]
    print(f"\n{killed} kills in {SECONDS} s, {samples:.0f} scrapes, up always {always:.0f}; "
          f"{len(resets)} counter series, {len(went_back)} went back; "
          f"{server.metric('requests_lost_total'):.0f} requests lost")
    assert killed >= 0.8 * SECONDS / (2 if SANITIZED else 1)
    assert always == 1
    assert samples > SECONDS  # four a second; a busy machine may miss some
    assert len(resets) > 300 and not went_back, went_back[:5]


def watch_outage(server, prometheus, tmp_path):
    database = os.path.join(server.data, "app.db")
    wait_for("the alerts of the kills to end", lambda: not prometheus.firing(), 20 * NOISE, 0.1)
    load = Load(server, "--no-audit", rps=RATE, duration=30 * NOISE, out=tmp_path)
    load.wait_seconds(1)
    moved = time.monotonic()
    os.rename(database, database + ".away")
    wanted = {"BulkheadDatabaseNotUp", "BulkheadErrorsBurn14.4x"}
    fired = wait_for("the alerts of the outage", lambda: wanted <= set(prometheus.firing())
                     and prometheus.firing(), 10 * NOISE, 0.1)
    raised_s = time.monotonic() - moved
    assert fired["BulkheadDatabaseNotUp"]["labels"]["state"] == "moved"
    for alert in fired.values():
        assert "error" not in alert["annotations"]["description"], alert
    os.rename(database + ".away", database)
    back = time.monotonic()
    wait_for("them to end", lambda: not wanted & set(prometheus.firing()), 20 * NOISE, 0.1)
    print(f"outage: {', '.join(sorted(fired))} after {raised_s:.1f} s; over {time.monotonic() - back:.1f} s "
          "after the database was back")
    load.process.terminate()
    load.finish()


def test_prometheus_watches_kills_and_an_outage(make_server, tmp_path):
    server = make_server(workers=3)
    prometheus = Prometheus(f"127.0.0.1:{server.console_port}")
    try:
        wait_for("prometheus", prometheus.ready, 30 * NOISE, 0.05)
        wait_for("the first scrape", lambda: prometheus.query("up == 1"), 10 * NOISE, 0.05)
        rules = [r for g in prometheus.get("/api/v1/rules")["groups"] for r in g["rules"]]
        assert len(rules) > 30
        watch_kills(server, prometheus)
        watch_outage(server, prometheus, tmp_path)
        rules = [r for g in prometheus.get("/api/v1/rules")["groups"] for r in g["rules"]]
        assert all(r["health"] == "ok" for r in rules), [r for r in rules if r["health"] != "ok"]
        target = prometheus.get("/api/v1/targets")["activeTargets"][0]
        assert target["health"] == "up" and not target["lastError"], target
    finally:
        prometheus.end()
