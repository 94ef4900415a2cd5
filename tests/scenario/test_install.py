# SPDX-License-Identifier: MIT
"""What `make install` leaves serves without the source."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, NOISE, SANITIZED, free_port, wait_for

pytestmark = pytest.mark.skipif(SANITIZED, reason="install is the plain build's")
SOURCE = os.path.join(os.path.dirname(__file__), "..", "..")


@pytest.fixture
def installed(tmp_path):
    root = tmp_path / "root"
    subprocess.run(["make", "-s", "install", f"BUILD={BUILD}", f"DESTDIR={root}", "PREFIX=/usr"],
                   cwd=SOURCE, check=True, timeout=120)
    return root


def run(root, name, *words):
    return subprocess.run([root / "usr/bin" / name, *words], capture_output=True, text=True,
                          timeout=20 * NOISE)


def test_serves_is_asked_and_knows_its_drills(installed, tmp_path):
    data = str(tmp_path / "data")
    server = subprocess.Popen(
        [installed / "usr/lib/bulkhead/supervisor", "-n", "1", "-d", data,
         "-c", installed / "etc/bulkhead/bulkhead.conf", "-l", f"127.0.0.1:{free_port()}",
         "-o", f"console.listen=127.0.0.1:{free_port()}"], stderr=subprocess.DEVNULL)
    try:
        wait_for("healthy", lambda: run(installed, "bulkheadctl", "-d", data, "status").returncode == 0,
                 10 * NOISE)
    finally:
        server.terminate()
    assert server.wait(10 * NOISE) == 0
    assert "03-kill-one" in run(installed, "bulkhead-drill", "list").stdout
    for name in ("bulkhead-anomaly", "bulkhead-loadtest"):
        assert run(installed, name, "--help").returncode == 0


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_prometheus_takes_what_is_installed(installed):
    done = subprocess.run(["promtool", "check", "config",
                           installed / "usr/share/bulkhead/prometheus/prometheus.yml"],
                          capture_output=True, text=True, timeout=20 * NOISE)
    assert done.returncode == 0, done


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_the_units_are_in_order(installed, tmp_path):
    names = ("bulkhead.service", "bulkhead.socket")
    for name in names:
        text = (installed / "usr/lib/systemd/system" / name).read_text()
        for path in re.findall(r"(?:ExecStart=|file:)(\S+)", text):
            assert (installed / path[1:]).exists(), path
        (tmp_path / name).write_text(text.replace("/usr/lib/bulkhead", f"{installed}/usr/lib/bulkhead"))
    done = subprocess.run(["systemd-analyze", "verify", *(tmp_path / name for name in names)],
                          capture_output=True, text=True, timeout=20 * NOISE)
    complaints = [line for line in done.stderr.splitlines() if "bulkhead" in line]
    assert done.returncode == 0 and not complaints, done.stderr
