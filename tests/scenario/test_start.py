# SPDX-License-Identifier: MIT
"""Starting: what is wrong is named in one line, with the right exit code, and nothing stays."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from conftest import NOISE, Server, free_port, program, wait_for


def run(*words, timeout=30, env=None):
    return subprocess.run([program("supervisor"), *words], capture_output=True, text=True,
                          timeout=timeout, stdin=subprocess.DEVNULL, env=env)


@pytest.fixture
def data(tmp_path):
    return str(tmp_path / "data")


@pytest.mark.parametrize("words, says", [
    (["-n", "0"], "want 1 to 64"),
    (["-n", "65"], '"65"'),
    (["-n", "four"], '"four"'),
    (["--frobnicate"], "--frobnicate"),
    (["-x"], "-x"),
    (["stray"], "stray"),
    (["-o", "worker.threads"], "key=value"),
    (["-o", "worker.thread=4"], "worker.thread"),
    (["-o", "worker.threads=many"], "many"),
    (["-o", "durability=maybe"], "full|normal"),
    (["-o", "bulkhead.read=60"], "bulkhead.read"),
    (["-l", "nowhere"], "nowhere"),
    (["-l", "127.0.0.1:70000"], "127.0.0.1:70000"),
    (["-l", "example.org:80"], "numeric"),
    (["-c", "/nonexistent.conf"], "/nonexistent.conf"),
])
def test_wrong_words_exit_78(data, words, says):
    done = run("-d", data, *words)
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1 and says in done.stderr, done.stderr
    assert not os.path.exists(data)


@pytest.mark.parametrize("text, line, says", [
    ("[worker]\nthreads = 3\n", 2, "worker.threads"),
    ("\n[wörker]\nthreads = 3\n", 3, "unknown key"),
    ("; fine\nworkers = 2\nnonsense\n", 3, "nonsense"),
    ("[door]\nparked = 99999999\n", 2, "door.parked"),
])
def test_a_wrong_file_names_its_line(tmp_path, data, text, line, says):
    conf = tmp_path / "b.conf"
    conf.write_text(text)
    done = run("-d", data, "-c", str(conf))
    assert done.returncode == 78
    assert f"b.conf:{line}:" in done.stderr
    assert says in done.stderr or says == "nonsense"
    assert not os.path.exists(data)


def test_help_and_version():
    done = run("-h")
    assert done.returncode == 0 and "usage:" in done.stdout and "exit:" in done.stdout
    done = run("-V")
    assert done.returncode == 0 and done.stdout.startswith("supervisor ")


def test_a_busy_port_exits_75(data):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = run("-d", data, "-l", address)
    assert done.returncode == 75
    assert done.stderr.count("\n") == 1 and address in done.stderr and "in use" in done.stderr
    assert not os.path.exists(data)


def test_a_busy_console_port_exits_75(data):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = run("-d", data, "-l", f"127.0.0.1:{free_port()}", "-o", f"console.listen={address}")
    assert done.returncode == 75 and address in done.stderr
    assert not os.path.exists(data)


def test_a_directory_that_cannot_be_made_exits_75(tmp_path):
    (tmp_path / "file").write_text("")
    done = run("-d", str(tmp_path / "file" / "data"))
    assert done.returncode == 75
    assert done.stderr.count("\n") == 1 and str(tmp_path / "file") in done.stderr


def as_nobody(directory, *words):
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                           program("supervisor"), "-d", directory, *words],
                          capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_read_only_directory_exits_75():
    directory = tempfile.mkdtemp(prefix="bulkhead-", dir="/tmp")
    try:
        os.chmod(directory, 0o555)
        done = as_nobody(directory, "-l", f"127.0.0.1:{free_port()}")
        if "Permission denied" in done.stderr and "setpriv" in done.stderr:
            pytest.skip("the build cannot be read by another account")
        assert done.returncode == 75
        assert done.stderr.count("\n") == 1 and directory in done.stderr
        assert os.listdir(directory) == []
    finally:
        os.chmod(directory, 0o700)
        shutil.rmtree(directory)


def test_a_corrupt_database_exits_75_and_is_not_touched(make_server):
    server = make_server()
    assert server.stop() == 0
    path = os.path.join(server.data, "app.db")
    with open(path, "r+b") as f:
        f.write(b"this is no database any more")
    for sidecar in ("-wal", "-shm"):
        if os.path.exists(path + sidecar):
            os.unlink(path + sidecar)
    before = open(path, "rb").read()
    done = run("-d", server.data, "-l", f"127.0.0.1:{free_port()}",
               "-o", f"console.listen=127.0.0.1:{free_port()}")
    assert done.returncode == 75
    last = [l for l in done.stderr.splitlines() if l.startswith("supervisor: ")]
    assert len(last) == 1 and "app.db" in last[0], done.stderr
    assert open(path, "rb").read() == before
    assert not os.path.exists(path + "-wal")


def test_a_second_supervisor_exits_75_at_once(make_server):
    server = make_server()
    done = run("-d", server.data, "-l", f"127.0.0.1:{free_port()}", timeout=5 * NOISE)
    assert done.returncode == 75
    assert done.stderr.count("\n") == 1 and str(server.process.pid) in done.stderr
    assert server.health()["status"] == "healthy"


def test_test_mode_checks_and_leaves_nothing(data):
    done = run("-t", "-v", "-d", data)
    assert done.returncode == 0, done.stderr
    assert "worker.threads" in done.stdout and "# default" in done.stdout and "# -d" in done.stdout
    assert not os.path.exists(data)
    assert run("-t", "-d", data, "-o", "nope=1").returncode == 78


def test_the_shipped_configuration_is_valid_and_its_values_are_the_defaults(tmp_path, data):
    text = open("etc/bulkhead.conf").read()
    active = tmp_path / "all.conf"
    active.write_text("".join(l[1:] if l.startswith(";") and not l.startswith("; ") else l
                              for l in text.splitlines(True)))
    shipped = run("-t", "-v", "-d", data, "-c", "etc/bulkhead.conf")
    spelled = run("-t", "-v", "-d", data, "-c", str(active))
    assert shipped.returncode == 0 and spelled.returncode == 0, spelled.stderr

    def values(text):
        return [l.split("#")[0].strip() for l in text.splitlines()
                if "=" in l and not l.startswith("listen")]
    assert values(shipped.stdout) == values(spelled.stdout)


def test_the_first_event_is_the_start_and_the_cause_of_all_others(make_server):
    server = make_server(workers=2)
    first, *rest = server.events()
    assert (first["id"], first["event"], first["cause_id"]) == (1, "supervisor_started", None), first
    assert first["text"].startswith(f"pid {server.process.pid}, version ")
    started = [e for e in rest if e["event"] == "worker_started"]
    assert {e["slot"] for e in started} >= {0, 1} and {e["cause_id"] for e in started} == {1}, started
    ready = [e for e in rest if e["event"] == "worker_ready"]
    assert ready and {e["cause_id"] for e in ready} <= {e["id"] for e in started}, ready


def test_stopping_while_starting(make_server):
    server = make_server(start=False)
    server.start(wait=False)
    wait_for("it to begin", lambda: os.path.exists(os.path.join(server.data, "lock")), 5)
    assert server.stop() == 0
    assert server.gone(2)


def test_quit_stops_at_once(make_server):
    server = make_server()
    server.process.send_signal(signal.SIGQUIT)
    assert server.process.wait(3 * NOISE) == 0
    assert server.gone(1)


def test_socket_activation(tmp_path):
    """systemd-socket-activate hands over the listener; the first connection starts the server."""
    if not shutil.which("systemd-socket-activate"):
        pytest.skip("no systemd-socket-activate")
    port, server = free_port(), Server(workers=1)
    server.port = port
    words = [w for w in server.words if not w.startswith("127.0.0.1:") and w != "-l"]
    name, value = server.mark.split("=")
    server.log = open(server.log_path, "ab")
    server.process = subprocess.Popen(
        ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", f"-E{name}={value}", *words],
        stdout=server.log, stderr=server.log, env={**os.environ, name: value})
    try:
        def answers():
            try:
                return server.health()["workers"]["ready"] == 1
            except (OSError, ValueError):
                return False
        wait_for("the activated server to answer", answers, 10 * NOISE)
        assert server.stop() == 0
    finally:
        assert not server.end()


def test_notify_socket_hears_ready_status_and_stopping(make_server, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(10 * NOISE)
        server = make_server(start=False)
        server.start(notify=path)

        heard = []

        def hear(*texts):  # in whatever order
            while not all(any(t in h for h in heard) for t in texts):
                heard.append(s.recv(500))
        hear(b"READY=1", b"STATUS=2 of 2 workers ready")
        assert server.stop() == 0
        hear(b"STOPPING=1")


@pytest.mark.parametrize("what", ["replaced", "deleted"])
def test_without_its_lock_a_fleet_still_lets_no_second_one_in(make_server, what):
    server = make_server()
    lock = os.path.join(server.data, "lock")
    if what == "replaced":
        os.rename(lock, lock + ".old")  # then its supervisor is found at its socket
    else:
        os.unlink(lock)  # then its children are found, even where the socket is elsewhere
        os.unlink(os.path.join(server.data, "run", "control.sock"))
    other = run("-n", "1", "-d", server.data, "-l", f"127.0.0.1:{free_port()}",
                "-o", f"console.listen=127.0.0.1:{free_port()}", timeout=20)
    assert other.returncode == 75, other
    assert len(other.stderr.splitlines()) == 1, other.stderr
    found = server.process.pid if what == "replaced" else server.helper_pid("keeper")
    assert str(found) in other.stderr, (found, other.stderr)
    told = wait_for("the sentinel to notice", lambda: [
        e for e in server.events() if e["event"] == "note" and "lock" in e["text"]], 3 * NOISE)
    assert len(told) == 1, told
    assert server.request("GET", "/data/items").status == 200
