# SPDX-License-Identifier: MIT
"""HTTP byte by byte, for what http.client is too polite to send, and users and tokens made by hand."""
import base64
import hashlib
import hmac
import json
import os
import re
import socket
import sqlite3
import time

from conftest import Answer

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Wire:
    """One connection; what was received ahead of the answer that is read stays in `ahead`."""

    def __init__(self, port, timeout=10, receive_buffer=None):
        self.socket = socket.socket()
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(("127.0.0.1", port))
        self.ahead = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        got = self.socket.recv(65536)
        if not got:
            raise EOFError(f"the server closed after {self.ahead[:200]!r}")
        self.ahead += got

    def answer(self, method="GET"):
        """The next answer, read by the framing rules for this method's answers."""
        while b"\r\n\r\n" not in self.ahead:
            self._more()
        head, self.ahead = self.ahead.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.1 (\d{3}) .+", first)
        assert found, f"no status line: {first!r}"
        headers = [tuple(line.split(": ", 1)) for line in lines]
        answer = Answer(int(found[1]), headers, b"")
        length = int(answer.headers.get("content-length", 0))
        if method == "HEAD" or answer.status in (100, 204, 304):
            length = 0
        while len(self.ahead) < length:
            self._more()
        answer.body, self.ahead = self.ahead[:length], self.ahead[length:]
        return answer

    def is_closed(self, limit_s=3):
        """Nothing comes but the end, in time."""
        if self.ahead:
            return False
        self.socket.settimeout(limit_s)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


def head(method, target, *lines, host="x", version="1.1"):
    """A request head; lines are raw header lines."""
    lines = ([f"Host: {host}"] if host else []) + list(lines)
    return "".join(f"{line}\r\n" for line in [f"{method} {target} HTTP/{version}", *lines, ""]
                   ).encode("latin-1")


def post(target, body, *lines, token=None):
    """A whole JSON POST."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if token:
        lines += (f"Authorization: Bearer {token}",)
    return head("POST", target, "Content-Type: application/json",
                f"Content-Length: {len(body)}", *lines) + body


def assert_problem(answer, status, slug=None):
    """RFC 9457 as the contract wants it, on every refusal."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json", answer.headers
    problem = answer.json
    for member in ("type", "title", "status", "detail", "instance"):
        assert problem.get(member), f"{member} is missing: {problem}"
    assert problem["status"] == status
    assert problem["type"].startswith("/problems/")
    assert problem["instance"] == answer.headers["x-request-id"], (problem, answer.headers)
    assert slug is None or problem["type"] == "/problems/" + slug, problem
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer"), answer.headers
    if status == 405:
        assert answer.headers["allow"]
    if status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1 and problem["retry_after_ms"] > 0
    return problem


# ---- accounts and tokens -----------------------------------------------------------------------

def add_users(server, *names):
    """Accounts with demo's password. The server must be stopped: it owns its files."""
    assert server.process is None or server.process.poll() is not None
    with sqlite3.connect(os.path.join(server.data, "app.db")) as db:
        for name in names:
            db.execute("INSERT INTO users(name, password, created_us)"
                       " SELECT ?, password, ? FROM users WHERE name = ?",
                       (name, time.time_ns() // 1000, server.demo()["username"]))
    db.close()


def login_as(server, name):
    answer = server.request("POST", "/auth/login",
                            {"username": name, "password": server.demo()["password"]}, token=False)
    assert answer.status == 200, answer
    return answer.json["access_token"]


def signing_key(server, line=0):
    with open(os.path.join(server.data, "jwt.key")) as f:
        return bytes.fromhex(f.read().splitlines()[line])


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parts_of(token):
    """Header and claims of a token."""
    return [json.loads(base64.urlsafe_b64decode(p + "==")) for p in token.split(".")[:2]]


def forge(key, claims, header=None, digest=hashlib.sha256):
    """A token by hand; claims may be raw bytes."""
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    words = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in (header, claims)]
    text = ".".join(base64url(w) for w in words)
    return f"{text}.{base64url(hmac.new(key, text.encode(), digest).digest())}"
