# SPDX-License-Identifier: MIT
"""A program on a pseudo-terminal: what it wrote, the size it is told, and how it left the terminal."""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

from conftest import NOISE, wait_for

CSI = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A pty and what has come out of it so far."""

    def __init__(self, width=80, height=24):
        self.master, self.slave = pty.openpty()
        self.output, self.lock = b"", threading.Lock()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.slave)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                return
            if not piece:
                return
            with self.lock:
                self.output += piece

    def resize(self, width, height, process=None):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        if process:  # the kernel tells the terminal's foreground group; ours has no session
            process.send_signal(signal.SIGWINCH)

    def run(self, *words, env=None, **streams):
        """Start a program with the terminal as its stdin, stdout and stderr, unless said."""
        streams = {**dict.fromkeys(("stdin", "stdout", "stderr"), self.slave), **streams}
        environment = {**os.environ, "TERM": "xterm", **(env or {})}
        if not (env or {}).get("NO_COLOR"):
            environment.pop("NO_COLOR", None)
        self.process = subprocess.Popen(words, env=environment, start_new_session=True,
                                        preexec_fn=self.take if "stdin" not in streams or
                                        streams["stdin"] == self.slave else None, **streams)
        return self.process

    def take(self):
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def type(self, keys):
        os.write(self.master, keys)

    def text(self):
        with self.lock:
            return self.output

    def wait(self, what, condition, limit_s=5 * NOISE):
        return wait_for(what, lambda: condition(self.text()), limit_s)

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        os.close(self.slave)
        os.close(self.master)


def plain(data):
    """Without sequences of the terminal."""
    return CSI.sub(b"", data)


def frames(data):
    """The pictures of a full-screen program, each as its lines without sequences."""
    pictures = data.split(b"\x1b[H")[1:]
    # The terminal itself makes \r\n of each newline, also of one that has its \r already.
    return [re.split(r"\r+\n", plain(p.split(b"\x1b[J")[0]).decode()) for p in pictures
            if b"\x1b[J" in p]
