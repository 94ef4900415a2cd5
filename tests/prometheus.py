# SPDX-License-Identifier: MIT
"""What etc/prometheus and etc/grafana promise, held against promtool and the list of metrics.

`prometheus.py write` makes the lab's rules and configuration from the real ones, and the unit tests
of both rule files from the scenarios below. `prometheus.py check` compares, then runs promtool:
configuration, rules, unit tests, and every expression of the dashboard. Every alert must fire in one
scenario and be silent in another; every name must be a metric, every runbook a heading.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

BUILD = os.environ.get("BUILD", "build")
HERE = "etc/prometheus/"
DASHBOARD = "etc/grafana/bulkhead.json"

# ---- the lab: 1/720 of every duration -------------------------------------------------------

LAB = 720  # 3 days become 6 minutes
SCRAPE_MS = 250  # of the lab, and between two evaluations
RANGE_MIN_MS = 4 * SCRAPE_MS  # a rate needs two samples at least, and forgives one that is late
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

LAB_RULES = f"""\
# SPDX-License-Identifier: MIT
# Made from rules.yml by `make docs`; do not edit. For the lab: everything happens {LAB} times sooner.
# A day is 2 minutes, so a burn that needs hours to show is seen while you watch. For scrapes and
# evaluations every {SCRAPE_MS} ms (prometheus-lab.yml).
#
# Rounded up: a window below {RANGE_MIN_MS} ms is {RANGE_MIN_MS} ms, because rate() needs samples: 5m would be 417 ms.
# A `for` below {SCRAPE_MS} ms is {SCRAPE_MS} ms, one more evaluation. All others are exact.

"""
LAB_CONFIG = f"""\
# SPDX-License-Identifier: MIT
# Made from prometheus.yml by `make docs`; do not edit. For the lab: rules-lab.yml, a day is 2 minutes.
#   prometheus --config.file=etc/prometheus/prometheus-lab.yml --storage.tsdb.path=/tmp/prometheus-lab

"""


def milliseconds(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|[smhd])", duration).groups()
    return int(number) * UNITS_MS[unit]


def text_of(ms):
    for unit in ("d", "h", "m", "s"):
        if ms % UNITS_MS[unit] == 0:
            return f"{ms // UNITS_MS[unit]}{unit}"
    return f"{ms}ms"


def in_lab(duration, least):
    return text_of(max(round(milliseconds(duration) / LAB), least))


def lab_rules(rules):
    """The rules with ranges, window labels and `for` made shorter; nothing else has a duration."""
    body = rules[rules.index("groups:"):]
    for pattern, least in ((r"(?<=\[)\w+(?=\])", RANGE_MIN_MS), (r'(?<=window=")\w+(?=")', RANGE_MIN_MS),
                           (r"(?<=window: )\w+(?=\})", RANGE_MIN_MS), (r"(?<=  for: )\w+", SCRAPE_MS)):
        body = re.sub(pattern, lambda m: in_lab(m[0], least), body)
    return LAB_RULES + body


def lab_config(config):
    body = config[config.index("global:"):]
    body = re.sub(r"(scrape|evaluation)_(interval|timeout): \w+", rf"\1_\2: {SCRAPE_MS}ms", body)
    return LAB_CONFIG + body.replace("rules.yml", "rules-lab.yml")


# ---- unit tests: the same scenarios in both scales -------------------------------------------

JOB = 'job="bulkhead",instance="i"'
ERROR_BURNS = ["BulkheadErrorsBurn14.4x", "BulkheadErrorsBurn6x", "BulkheadErrorsBurn3x",
               "BulkheadErrorsBurn1x"]
LATENCY_BURNS = ["BulkheadLatencyBurn6x", "BulkheadLatencyBurn3x", "BulkheadLatencyBurn1.5x",
                 "BulkheadLatencyBurn1x"]


class Scale:
    """A sample every step, as rare as the shortest window allows; an evaluation every so many."""

    def __init__(self, rules, step, evaluate, divisor):
        self.rules, self.step, self.evaluate, self.divisor = rules, step, evaluate, divisor
        self.step_ms = milliseconds(step)

    def steps(self, duration):
        return round(milliseconds(duration) / self.divisor / self.step_ms)


SCALES = {"rules.yml": Scale("rules.yml", "5m", "1h", 1),
          "rules-lab.yml": Scale("rules-lab.yml", "1s", "5s", LAB)}


def requests(bad=0.0, slow=0.0, code="503", lost=0.0):
    """Per step 1000 requests; the shares of them that failed, were slow, were lost."""
    return {
        f'http_requests_total{{{JOB},class="read",method="GET",route="/data/items",code="200"}}':
            1000 * (1 - bad),
        f'http_requests_total{{{JOB},class="write",method="POST",route="/data/items",code="{code}"}}':
            1000 * bad,
        f'http_requests_total{{{JOB},class="health",method="GET",route="/health",code="503"}}': 5000,
        f'requests_lost_total{{{JOB}}}': 1000 * lost,
        f'http_request_duration_seconds_count{{{JOB},class="read"}}': 1000,
        f'http_request_duration_seconds_bucket{{{JOB},class="read",le="0.2"}}': 1000 * (1 - slow),
        f'http_request_duration_seconds_count{{{JOB},class="health"}}': 5000,
    }


def well():
    """(series, value or growth per step): a fleet that is well."""
    return {
        **requests(),
        f"up{{{JOB}}}": "=1",
        f'workers{{{JOB},state="ready"}}': "=4",
        f'workers{{{JOB},state="degraded"}}': "=0",
        f'workers{{{JOB},state="starting"}}': "=0",
        f'db_state{{{JOB},state="up"}}': "=1",
        f'db_state{{{JOB},state="slow"}}': "=0",
        f'db_state{{{JOB},state="moved"}}': "=0",
        f'worker_state{{{JOB},slot="2",state="quarantined"}}': "=0",
        f'worker_deaths_total{{{JOB},class="signal"}}': 0,
        f'worker_deaths_total{{{JOB},class="clean"}}': 5,
        f'route_quarantined{{{JOB},method="GET",route="/data/items"}}': "=0",
        f'listen_drops_total{{{JOB},listener="127.0.0.1:8080"}}': 0,
        f"db_wal_bytes{{{JOB}}}": "=4000000",
        f"log_dropped_total{{{JOB}}}": 0,
        f"region_corrupt_total{{{JOB}}}": 0,
        f'fault_active{{{JOB},kind="slow"}}': "=0",
    }


def other(**change):
    """well(), but for the series whose names and labels begin as the keys of `change`."""
    return {**well(), **change}


def series(name, labels=""):
    return f"{name}{{{JOB}{',' + labels if labels else ''}}}"


# (what, series, for how long, further stretches [(series, how long)], the alerts that fire at its end)
def scenarios():
    yield "all is well", well(), "3d", [], []
    for bad, firing in ((0.005, 0), (0.012, 1), (0.04, 2), (0.08, 3), (0.2, 4)):
        yield (f"{bad:.1%} of requests fail", {**well(), **requests(bad=bad)}, "3d", [],
               ERROR_BURNS[4 - firing:])
    for slow, firing in ((0.04, 0), (0.06, 1), (0.1, 2), (0.2, 3), (0.4, 4)):
        yield (f"{slow:.0%} of requests are slow", {**well(), **requests(slow=slow)}, "3d", [],
               LATENCY_BURNS[4 - firing:])
    yield "a fifth is lost", {**well(), **requests(lost=0.25)}, "3d", [], ERROR_BURNS
    yield "a fifth is limited: that is no error", {**well(), **requests(bad=0.2, code="429")}, "3d", [], []
    yield ("an hour of errors, then none: the short windows end it", {**well(), **requests(bad=0.3)}, "1h",
           [(well(), "3h")], ["BulkheadErrorsBurn1x"])
    yield ("no requests at all", {k: v if isinstance(v, str) else 0 for k, v in well().items()}, "1d", [], [])
    for alert, change in (
            ("BulkheadUnreachable", {series("up"): "=0"}),
            ("BulkheadNoWorker", {series("workers", 'state="ready"'): "=0",
                                  series("workers", 'state="starting"'): "=4"}),
            ("BulkheadDatabaseNotUp", {series("db_state", 'state="up"'): "=0",
                                       series("db_state", 'state="moved"'): "=1"}),
            ("BulkheadDatabaseSlow", {series("db_state", 'state="up"'): "=0",
                                      series("db_state", 'state="slow"'): "=1"}),
            ("BulkheadWorkerQuarantined", {series("worker_state", 'slot="2",state="quarantined"'): "=1"}),
            ("BulkheadWorkersFlapping", {series("worker_deaths_total", 'class="signal"'): 8}),
            ("BulkheadRouteQuarantined",
             {series("route_quarantined", 'method="GET",route="/data/items"'): "=1"}),
            ("BulkheadListenDrops", {series("listen_drops_total", 'listener="127.0.0.1:8080"'): 3}),
            ("BulkheadWalNearCeiling", {series("db_wal_bytes"): "=60000000"}),
            ("BulkheadLogDrops", {series("log_dropped_total"): 3}),
            ("BulkheadRegionCorrupt", {series("region_corrupt_total"): 1}),
            ("BulkheadFaultActive", {series("fault_active", 'kind="slow"'): "=1"})):
        assert set(change) <= set(well()), change
        yield f"{alert}: its cause", other(**change), "3h", [], [alert]


def values(stretches):
    """promtool's notation for one series: [(value or growth, steps)]."""
    out, at = [], 0
    for i, (what, steps) in enumerate(stretches):
        more = steps if i + 1 == len(stretches) else steps - 1  # "ax2" are three samples
        if isinstance(what, str):
            out.append(f"{what[1:]}x{more}")
        else:
            out.append(f"{at:.0f}+{what:.0f}x{more}")
            at += what * steps
    return " ".join(out)


def one_test(scale, name, first, how_long, further, firing):
    stretches = [(first, scale.steps(how_long))] + [(s, scale.steps(d)) for s, d in further]
    total = sum(n for _, n in stretches)
    out = f"  - name: {json.dumps(name)}\n    interval: {scale.step}\n    input_series:\n"
    for key in first:
        out += f"      - series: {quoted(key)}\n        values: {quoted(values([(s[key], n) for s, n in stretches]))}\n"
    out += ("    promql_expr_test:\n"
            "      - expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n"
            f"        eval_time: {text_of(total * scale.step_ms)}\n")
    if firing:
        out += "        exp_samples:\n"
        for alert in sorted(firing):
            out += f"          - {{labels: '{{alertname=\"{alert}\"}}', value: 1}}\n"
    else:
        out += "        exp_samples: []\n"
    return out


def quoted(text):
    assert "'" not in text
    return f"'{text}'"


def unit_tests(scale):
    out = f"""\
# SPDX-License-Identifier: MIT
# Made by `make docs` from the scenarios in tests/prometheus.py; do not edit.
#   promtool test rules etc/prometheus/tests/{scale.rules}
# Each lists every alert that fires at its end: all others are silent.

rule_files: [../{scale.rules}]
evaluation_interval: {scale.evaluate}
group_eval_order: [bulkhead-slo, bulkhead-slo-alerts, bulkhead-symptoms]

tests:
"""
    return out + "\n".join(one_test(scale, *s) for s in scenarios())


# ---- checking ---------------------------------------------------------------------------------

def read(path):
    with open(path) as f:
        return f.read()


def documents():
    """Path -> what it must be."""
    return {
        HERE + "rules-lab.yml": lab_rules(read(HERE + "rules.yml")),
        HERE + "prometheus-lab.yml": lab_config(read(HERE + "prometheus.yml")),
        **{f"{HERE}tests/{name}": unit_tests(scale) for name, scale in SCALES.items()},
    }


def promtool(*words):
    done = subprocess.run(["promtool", *words], capture_output=True, text=True)
    return None if done.returncode == 0 else f"promtool {' '.join(words)}:\n{done.stdout}{done.stderr}"


def metric_names():
    """Every name a query may use: what bulkhead serves, and what Prometheus adds."""
    listed = json.loads(subprocess.run([f"{BUILD}/bulkheadctl", "metrics", "--describe", "--json"],
                                       check=True, capture_output=True, text=True).stdout)
    names = {"up", "ALERTS", "bulkhead:slo_bad:ratio"}
    for metric in listed:
        if metric["type"] == "histogram":
            names |= {metric["name"] + suffix for suffix in ("_bucket", "_sum", "_count")}
        else:
            names.add(metric["name"])
    return names


WORDS = {"sum", "by", "rate", "increase", "max", "min", "avg", "count", "or", "and", "on", "ignoring", "without",
         "histogram_quantile", "clamp_min", "clamp_max", "label_replace", "vector", "topk", "time",
         "group_left", "group_right", "unless", "changes", "bool", "offset", "irate", "max_over_time"}


def names_in(expression):
    """The metric names of an expression: what is left without strings, selectors, ranges, words."""
    bare = re.sub(r'"(\\.|[^"\\])*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return {n for n in re.findall(r"[a-zA-Z_:][\w:]*", bare) if n not in WORDS}


def expressions(node, path=""):
    """(where, expression) of every query in a dashboard, annotations and variables too."""
    if isinstance(node, dict):
        if isinstance(node.get("expr"), str):
            yield path, node["expr"]
        if node.get("type") == "query" and isinstance(node.get("query"), str):
            label = re.fullmatch(r"label_values\((.*), *(\w+)\)", node["query"])
            yield path, label[1] if label else node["query"]
        for key, value in node.items():
            yield from expressions(value, f"{path}/{node.get('title', key) if key != 'expr' else key}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from expressions(value, f"{path}[{i}]")


def plain(expression):
    """Grafana's variables are filled in before Prometheus sees a query."""
    for variable, value in (("$__rate_interval", "1m"), ("$__interval", "15s"), ("$__range", "1h"),
                            ("$job", "bulkhead"), ("$instance", ".+")):
        expression = expression.replace(variable, value)
    return expression


def check_dashboard():
    with open(DASHBOARD) as f:
        dashboard = json.load(f)
    queries = [(where, plain(e)) for where, e in expressions(dashboard)]
    problems = [f"{DASHBOARD}: {where}: an unknown variable in {e}" for where, e in queries if "$" in e]
    if len(queries) < 20:
        problems.append(f"{DASHBOARD}: only {len(queries)} queries were found")
    known = metric_names()
    for where, e in queries:
        unknown = names_in(e) - known
        if unknown:
            problems.append(f"{DASHBOARD}: {where}: {sorted(unknown)} are no metrics")
    ids = [p.get("id") for p in dashboard["panels"]]
    if len(set(ids)) != len(ids):
        problems.append(f"{DASHBOARD}: panels share an id")
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as f:
        f.write("groups:\n  - name: dashboard\n    rules:\n")
        for i, (_, e) in enumerate(queries):
            f.write(f"      - record: panel:{i}\n        expr: {json.dumps(e)}\n")
        f.flush()
        problems.append(promtool("check", "rules", f.name))
    return problems, len(queries)


def check_rules():
    rules = read(HERE + "rules.yml")
    problems = []
    alerts = set(re.findall(r"- alert: (\S+)", rules))
    fired = [set(s[-1]) for s in scenarios()]
    problems += [f"no scenario makes {a} fire" for a in sorted(alerts - set().union(*fired))]
    problems += [f"{a} fires in every scenario" for a in sorted(set.intersection(*fired))]
    headings = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-")
                for h in re.findall(r"^#+ (.*)$", read("docs/operations.md"), re.M)}
    runbooks = re.findall(r'runbook: "docs/operations.md#(.*)"', rules)
    problems += [f"docs/operations.md has no heading for #{r}" for r in sorted(set(runbooks) - headings)]
    if not len(alerts) == len(runbooks) == rules.count("summary:") == rules.count("description:"):
        problems.append("an alert has no summary, description or runbook")
    known = metric_names()
    for block in re.findall(r"expr: \|-\n((?:          .*\n)+)", rules):
        problems += [f"rules.yml: {n} is no metric" for n in names_in(block) - known]
    return problems, len(alerts)


def check():
    problems = [f"{path} is not what the code says; run: make docs"
                for path, want in documents().items()
                if not os.path.exists(path) or read(path) != want]
    for name in SCALES:
        problems.append(promtool("test", "rules", f"{HERE}tests/{name}"))
    for name in ("prometheus.yml", "prometheus-lab.yml"):
        problems.append(promtool("check", "config", HERE + name))
    found, alerts = check_rules()
    more, queries = check_dashboard()
    problems = [p for p in problems + found + more if p]
    for p in problems:
        print(f"check-prometheus: {p}")
    if not problems:
        print(f"check-prometheus: {alerts} alerts in {len(list(scenarios()))} scenarios, real and lab, "
              f"and {queries} queries of the dashboard are in order")
    return bool(problems)


def write():
    for path, want in documents().items():
        with open(path, "w") as f:
            f.write(want)


if __name__ == "__main__":
    sys.exit(check() if sys.argv[1] == "check" else write())
