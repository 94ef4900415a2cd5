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
@pytest.mark.parametrize("unit", ["bulkhead.service", "bulkhead.socket"])
def test_the_units_name_what_is_installed(installed, unit):
    # Not its exit code: the units of systemd itself are missing below this root.
    done = subprocess.run(["systemd-analyze", "verify", f"--root={installed}", unit],
                          capture_output=True, text=True, timeout=20 * NOISE)
    for complaint in ("Unknown", "Failed to parse", "ignoring", "lib/bulkhead"):
        assert complaint not in done.stderr, done.stderr
    text = (installed / "usr/lib/systemd/system" / unit).read_text()
    assert "@PREFIX@" not in text
    for name in re.findall(r"(?:ExecStart=|file:)(\S+)", text):
        assert (installed / name[1:]).exists(), name
