# SPDX-License-Identifier: MIT
"""How fast the load tester's closed loop is, as a ratio to wrk's within one run.

Both ask nginx for a constant of three bytes over as many keep-alive connections, in turns, so what
slows the machine slows both. loadtest does more for a request than wrk: it plans each, carries a
request number, notes latency by kind, phase and second, and reads the clock more often. A tester
that is slower than LIMIT of wrk would measure itself on a fast server.

Exit 1 when the median of the rounds' ratios is below LIMIT.
"""
import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario"))
from conftest import free_port, program  # noqa: E402

LIMIT = 0.7

CONFIGURATION = """
daemon off; master_process off; worker_processes 1;
pid {directory}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 60s; default_type text/plain;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }}
}}
"""


def start_nginx(directory):
    port = free_port()
    path = os.path.join(directory, "nginx.conf")
    with open(path, "w") as f:
        f.write(CONFIGURATION.format(directory=directory, port=port))
    process = subprocess.Popen(["nginx", "-p", directory, "-c", path, "-e", "stderr"])
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process, port
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("nginx does not answer") from None
            time.sleep(0.02)


def by_wrk(port, options):
    out = subprocess.run(["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s",
                          f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True,
                         timeout=options.seconds + 30).stdout
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])


def by_loadtest(port, options):
    done = subprocess.run(
        [program("loadtest"), "--url", f"http://127.0.0.1:{port}", "--get", "/", "--profile",
         "closed", "--connections", str(options.connections), "--duration", str(options.seconds),
         "--json"], capture_output=True, text=True, timeout=options.seconds + 30)
    summary = json.loads(done.stdout)
    assert done.returncode == 0 and summary["requests"]["failed"] == 0, summary
    return summary["requests"]["goodput_rps"]


def run(port, options):
    rows = []
    print(f"{options.rounds} rounds of {options.seconds} s each, {options.connections} connections"
          "\n\nround       wrk  loadtest  ratio", flush=True)
    for i in range(options.rounds):
        wrk, loadtest = by_wrk(port, options), by_loadtest(port, options)
        rows.append((wrk, loadtest, loadtest / wrk))
        print(f"{i + 1:5}  {wrk:8.0f}  {loadtest:8.0f}  {loadtest / wrk:5.2f}", flush=True)
    wrk, loadtest, ratio = (statistics.median(column) for column in zip(*rows))
    verdict = "above" if ratio >= LIMIT else "BELOW"
    print(f"\nMedians: wrk {wrk:.0f}/s, loadtest {loadtest:.0f}/s. The ratio is {ratio:.2f}: "
          f"{verdict} the limit of {LIMIT}.")
    return 0 if ratio >= LIMIT else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that nothing stays behind
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as directory:
        process, port = start_nginx(directory)
        try:
            return run(port, options)
        finally:
            process.terminate()
            process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
