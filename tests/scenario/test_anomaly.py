# SPDX-License-Identifier: MIT
"""anomaly against a real server: what is broken is found and named within seconds, what is steady is
left alone, and input that is none is named. `make anomaly-eval` runs the long version."""
import json
import os
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import NOISE, SANITIZED, Load, program, wait_for

FULL = bool(os.environ.get("ANOMALY_FULL"))
NOISE_OF_DELAY = 3 if SANITIZED else 1
CALM_S = 125
AT_ONCE = 9
OWN_RATE = ("09", "14")  # their breakers open by how many calls there are
ALONE = ("02", "15", "16")  # 500 requests a second; password hashing; five times the capacity


def anomaly(*words, timeout=60):
    return subprocess.run([program("anomaly"), *map(str, words)], capture_output=True, text=True,
                          timeout=timeout)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


class Watch:
    """anomaly on the metrics of a server, once a second, until it is asked to end."""

    def __init__(self, server, record, *words):
        self.record = str(record)
        self.url = f"http://127.0.0.1:{server.console_port}/metrics"
        self.process = subprocess.Popen(
            [program("anomaly"), "--json", "--for", "3600", "--record", self.record,
             *map(str, words), self.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self):
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, lines(out), err

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=5)


class Faults:
    """What is broken, when, and what should show it."""

    def __init__(self, path):
        self.path, self.all = str(path), []

    def during(self, name, act, shows, quiet=()):
        begin = time.time()
        act()
        self.all.append({"fault": name, "from": begin, "to": time.time(), "grace_s": 15,
                         "anomaly": [{"metric": m, "expected": True} for m in shows] +
                                    [{"metric": m, "expected": False} for m in quiet]})

    def write(self):
        with open(self.path, "w") as f:
            json.dump({"faults": self.all}, f)


@pytest.fixture
def watch(request):
    watches = []

    def make(*args):
        watches.append(Watch(*args))
        return watches[-1]
    yield make
    for w in watches:
        w.end()


def history(server, seconds):
    """What the console remembers; its percentiles are finer than those of /metrics."""
    return f"http://127.0.0.1:{server.console_port}/api/history.csv?from=-{int(seconds)}"


def judge(record, truth, *words):
    """The alarms of a source held against the truths; the summary line."""
    print(anomaly("--truth", truth, *words, record).stdout)
    done = anomaly("--json", "--truth", truth, *words, record)
    assert done.returncode == 0, done.stderr
    *_, summary = lines(done.stdout)
    assert summary["event"] == "summary"
    return summary


# ---- faults ----

def away(server, seconds):
    def act():
        path = os.path.join(server.data, "app.db")
        os.rename(path, path + ".away")
        time.sleep(seconds)
        os.rename(path + ".away", path)
    return act


USUAL = {"db_up": 1, "status_503_per_s": 0, "refused_share": 0, "deaths_per_s": 0,
         "workers_ready": 2}


def write_usual(path, rows=60):
    """A minute of a calm server: what else an outage would have to wait for."""
    first = int(time.time()) - rows - 30
    with open(path, "w") as f:
        f.write(f"time,{','.join(USUAL)}\n")
        for i in range(rows):
            f.write(f"{stamp(first + i)},{','.join(map(str, USUAL.values()))}\n")
    return path


def test_an_outage_is_found_within_seconds(make_server, watch, tmp_path):
    """What is usual is learnt beforehand; then the database goes away."""
    server = make_server()
    load = Load(server, rps=50, duration=30)
    words = ["--learn", write_usual(tmp_path / "usual.csv")]
    words += [word for metric in USUAL for word in ("--metric", metric)]
    w = watch(server, tmp_path / "h.csv", "--fail-on", *words)
    wait_for("the load", lambda: server.metric("http_requests_total", **{"class": "read"}) > 50,
             20 * NOISE)
    faults = Faults(tmp_path / "truth.json")
    faults.during("database away", away(server, 5), ["db_up", "status_503_per_s", "refused_share"],
                  ["deaths_per_s"])
    code, told, _ = w.finish()
    load.process.send_signal(signal.SIGINT)
    load.finish()
    assert code == 99, told
    assert "raised" in {line["event"] for line in told}  # told while it was going on
    faults.write()

    def kept():  # the console writes metrics.db every few seconds
        done = anomaly("--json", os.path.join(server.data, "metrics.db"))
        return done.returncode == 0 and lines(done.stdout)[-1]["to"] > stamp(time_of_end)
    time_of_end = time.time()
    wait_for("metrics.db to hold the outage", kept, 20 * NOISE, 0.5)
    for source in (w.record, history(server, 120), os.path.join(server.data, "metrics.db")):
        summary = judge(source, faults.path, *words)
        assert summary["recall"] == 1 and summary["false_alarms"] == 0, summary
        assert summary["worst_delay_s"] <= 5 * NOISE_OF_DELAY, summary


def stamp(time_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_s))


# A disk is everybody's: one fsync that waits for another program's shows in every server at once.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()


def run_drill(name, out, seconds):
    """One drill with its calm; its report, or None when it cannot be carried out here."""
    words = [] if name[:2] in OWN_RATE else ["--rps", "100"]
    done = subprocess.run(
        [program("drill"), "run", name, "--calm", str(CALM_S), *words, "--out", out],
        capture_output=True, text=True, timeout=seconds, env={**os.environ, "TMPDIR": MEMORY})
    verdict, _, rest = done.stdout.partition("  ")
    with open(os.path.join(out, f"{name}.json")) as f:
        report = json.load(f)
    figures = [line for line in done.stdout.splitlines()
               if line.startswith(("  anomaly", "    MISSED", "    FALSE"))]
    print(f"{name:20} {verdict}", *(figures or [rest.splitlines()[0], done.stderr]), sep="\n  ",
          flush=True)
    return None if verdict == "SKIPPED" else report


def run_drills(out):
    """All of them, each with a server of its own. Those that take the whole machine come last and
    alone: a server beside them would be right to say that something changed."""
    names = sorted(n[:-5] for n in os.listdir("etc/drills") if n.endswith(".json"))
    alone = [n for n in names if n[:2] in ALONE]
    with ThreadPoolExecutor(AT_ONCE) as several:
        reports = list(several.map(lambda n: run_drill(n, out, 900),
                                   [n for n in names if n not in alone]))
    return [r for r in reports + [run_drill(n, out, 900) for n in alone] if r]


@pytest.mark.skipif(not FULL, reason="make anomaly-eval")
def test_drills_show_what_they_broke(tmp_path):
    out = os.environ.get("ANOMALY_OUT", str(tmp_path))
    os.makedirs(out, exist_ok=True)
    reports = run_drills(out)
    judged = {r["drill"]: r["detection"] for r in reports if "detection" in r}
    not_judged = [r["drill"] for r in reports if "detection" not in r]
    sums = {key: sum(d[key] for d in judged.values())
            for key in ("expected", "found", "true_alarms", "false_alarms", "calm_alarms",
                        "unjudged", "calm_s")}
    recall = sums["found"] / sums["expected"]
    precision = sums["true_alarms"] / (sums["true_alarms"] + sums["false_alarms"])
    worst = max(d["worst_delay_s"] for d in judged.values())
    print(f"{len(judged)} drills: recall {recall:.3f} ({sums['found']} of {sums['expected']}), "
          f"precision {precision:.3f} ({sums['false_alarms']} false alarms, {sums['unjudged']} not "
          f"judged), worst delay {worst:.1f} s, {sums['calm_alarms']} alarms in "
          f"{sums['calm_s']:.0f} s of calm in which one was possible; not judged: {not_judged or 'none'}")
    assert not not_judged, "a fault that was not shown to strike proves nothing: run these again"
    assert recall >= 0.95 and precision >= 0.9 and worst <= 5, judged


@pytest.mark.skipif(not FULL, reason="make anomaly-eval")
def test_ten_steady_minutes_raise_nothing(make_server, watch, tmp_path):
    server = make_server(workers=4)
    load = Load(server, rps=50, duration=620)
    w = watch(server, tmp_path / "h.csv", "--fail-on")
    time.sleep(605)
    code, told, err = w.finish()
    remembered = anomaly("--json", "--fail-on", history(server, 600))  # before the load's audit
    load.process.send_signal(signal.SIGINT)
    load.finish().assert_nothing_lost()
    for line in [line for line in told if line["event"] != "raised"] + lines(remembered.stdout):
        print(line)
    assert told[-1]["rows"] >= 580, (told[-1], err)
    assert code == 0 and remembered.returncode == 0, (code, remembered)


# ---- sources ----

def write_series(path, values, name="value"):
    with open(path, "w") as f:
        f.write(f"time,{name}\n")
        for i, v in enumerate(values):
            f.write(f"{stamp(1700000000 + i)},{v}\n")
    return path


def test_an_alarm_is_an_exit_code_only_when_asked(tmp_path):
    path = write_series(tmp_path / "h.csv", [20 + i % 3 for i in range(90)] + [400] * 10, "p95_ms")
    assert anomaly(path).returncode == 0
    done = anomaly("--fail-on", "--json", path)
    assert done.returncode == 99
    alarm, summary = lines(done.stdout)
    assert alarm["metric"] == "p95_ms" and alarm["at"] == stamp(1700000092), alarm
    assert alarm["value"] == 400 and 19 < alarm["expected"] < 100 and alarm["under_way"] is True
    assert summary["alarms"] == 1 and summary["rows"] == 100 and summary["step_s"] == 1
    calm = write_series(tmp_path / "calm.csv", [20 + i % 3 for i in range(100)], "p95_ms")
    assert anomaly("--fail-on", calm).returncode == 0


def test_what_a_truth_names_is_looked_at(tmp_path):
    path, truth = tmp_path / "h.csv", tmp_path / "truth.json"
    with open(path, "w") as f:
        f.write("time,db_up,restarts_per_s\n")
        for i in range(60):
            f.write(f"{1700000000 + i},1,{int(i == 50)}\n")
    fault = {"fault": "kill", "from": 1700000050, "to": 1700000050,
             "anomaly": [{"metric": "restarts_per_s", "expected": True}]}
    truth.write_text(json.dumps({"faults": [fault]}))
    assert lines(anomaly("--json", path).stdout)[-1]["alarms"] == 0  # it is not a usual one
    for words in ([], ["--metric", "db_up"]):
        assert lines(anomaly("--json", "--truth", truth, *words, path).stdout)[-1]["recall"] == 1


@pytest.mark.parametrize("expected", [True, False])
def test_a_truth_of_a_metric_that_is_not_there_is_an_error(tmp_path, expected):
    """It would be missed, or quiet, whatever was broken."""
    path, truth = write_series(tmp_path / "h.csv", [1] * 60, "db_up"), tmp_path / "truth.json"
    truth.write_text(json.dumps({"faults": [
        {"fault": "kill", "from": 1700000050, "to": 1700000050,
         "anomaly": [{"metric": "deaths_per_s", "expected": expected}]}]}))
    for words in ([], ["--metric", "db_up"]):
        done = anomaly("--truth", truth, *words, path)
        assert done.returncode == 78 and done.stdout == "", done
        assert done.stderr == (f"anomaly: {truth}, kill: metric deaths_per_s: {path} has none of "
                               "this name; there are: db_up\n")


def test_the_benchmark_takes_a_gap_for_no_detection(tmp_path):
    """An empty first cell, one in between, one in the window: the spike beside it is found."""
    values = [20 + i % 7 for i in range(1000)]
    values[800:806] = [""] + [900] * 5
    values[0] = values[500] = ""
    (tmp_path / "data/own").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    write_series(tmp_path / "data/own/a.csv", values)
    (tmp_path / "labels/combined_windows.json").write_text(json.dumps(
        {"own/a.csv": [[stamp(1700000795), stamp(1700000815)]]}))
    done = anomaly("--nab", tmp_path)
    assert done.returncode == 0 and done.stderr == "", done
    rows = [line.split() for line in done.stdout.splitlines()[1:-1]]
    assert [row[0] for row in rows] == ["batch"] * 3 + ["gaussian"] * 3, done.stdout
    for row in rows:  # found, and nothing besides: also not the gaps
        assert row[5:] == ["1/1", "0"] and float(row[2]) > 70, done.stdout


def test_a_plot_is_one_file_without_markup_of_others(tmp_path):
    path = write_series(tmp_path / "h.csv", [1] * 60 + [900] * 9, "<b>\"&")
    plot = tmp_path / "h.svg"
    assert anomaly("--plot", plot, path).returncode == 0
    text = plot.read_text()
    assert text.startswith("<svg") and text.endswith("</svg>\n") and "<b>" not in text
    import xml.dom.minidom
    assert len(xml.dom.minidom.parseString(text).getElementsByTagName("path")) == 1
    assert "alarm of" in text


def test_metrics_of_a_server_become_rates_and_percentiles(server, tmp_path):
    record = tmp_path / "h.csv"
    load = Load(server, rps=40, duration=6)
    done = anomaly("--json", "--for", 5, "--record", record,
                   f"http://127.0.0.1:{server.console_port}/metrics")
    load.finish()
    assert done.returncode == 0, done.stderr
    head, *rows = record.read_text().splitlines()
    table = [dict(zip(head.split(","), row.split(","))) for row in rows]
    assert len(table) >= 3, done.stderr
    # The load tester first makes items, as fast as it can: not every second is of 40 requests.
    usual = [row for row in table if 25 <= float(row["requests_per_s"]) <= 55]
    assert usual, [row["requests_per_s"] for row in table]
    assert 0 < float(usual[0]["p95_ms"]) < 5000 and float(usual[0]["errors_per_s"]) == 0
    assert float(usual[0]["workers_ready"]) == 2 and float(usual[0]["db_up"]) == 1
    assert "commit_batch_mean" not in head  # only what the text can say


@pytest.mark.parametrize("words, content, code, says", [
    (["absent.csv"], None, 78, "absent.csv: No such file"),
    (["."], None, 78, "Is a directory"),
    (["h.csv"], "", 78, "the file is empty"),
    (["h.csv"], "a,b\n1,2\n", 78, "begins with \"a\""),
    (["h.csv"], "time,a\n1,x\n", 78, "line 2, a: \"x\" is no number"),
    (["h.csv"], "time,a,b\n1,2,3\n2,4", 75, "cut short"),
    (["--metric", "c", "h.csv"], "time,a,b\n1,2,3\n", 78, "there are: a b"),
    (["h.db"], "SQLite format 3\0but not one", 78, "file is not a database"),
    (["--truth", "h.csv", "h.csv"], "time,a\n1,2\n", 78, "h.csv, line 1"),
    (["--learn", "h.csv", "h.csv"], "time,a\n1,x\n", 78, "line 2, a: \"x\" is no number"),
    (["--nab", "."], None, 78, "checkout of the Numenta Anomaly Benchmark"),
    (["--preset", "office", "h.csv"], None, 78, "neither lab nor batch"),
    (["--plot", "no/such/h.svg", "h.csv"], "time,a\n1,2\n", 75, "--plot no/such/h.svg"),
    ([], None, 78, "is expected"),
    (["http://127.0.0.1:1/metrics"], None, 75, "refused"),
    (["https://127.0.0.1/metrics"], None, 78, "no URL that can be read"),
])
def test_what_cannot_be_read_is_named(tmp_path, words, content, code, says):
    if content is not None:
        (tmp_path / words[-1]).write_text(content)
    done = subprocess.run([program("anomaly"), *words], capture_output=True, text=True, timeout=30,
                          cwd=tmp_path)
    assert done.returncode == code, (done.returncode, done.stderr)
    assert says in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_pages_that_are_no_metrics_are_named(server):
    base = f"http://127.0.0.1:{server.console_port}"
    done = anomaly("--for", 1, base + "/api/state")
    assert done.returncode == 78 and "Prometheus text format" in done.stderr, done.stderr
    done = anomaly("--for", 1, base + "/nowhere")
    assert done.returncode == 78 and "answer 404" in done.stderr, done.stderr
