# SPDX-License-Identifier: MIT
"""Data directories with a demo user whose password is cheap to check.

Hashing a password costs 0.3 s of CPU, by design, and a server of a test does it twice: to make its
demo user and to log it in. Side by side that is half of what scenarios cost, and makes those of time
late. So one server makes a database, and others get copies: another id, another key, and a hash with
small parameters, which workers read from the hash itself. `Server(fresh=True)` has none of this."""
import base64
import hashlib
import os
import secrets
import shutil
import sqlite3
import uuid


def phc(password, log_n=8, r=8, p=1):
    """The hash in the form that common/crypto/password.h describes."""
    salt = os.urandom(16)
    key = hashlib.scrypt(password.encode(), salt=salt, n=1 << log_n, r=r, p=p, dklen=32)
    salt, key = (base64.b64encode(b).decode().rstrip("=") for b in (salt, key))
    return f"$scrypt$ln={log_n},r={r},p={p}${salt}${key}"


def private(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write(text)


def close(template):
    """What the server left in its log goes into app.db: that alone is copied."""
    db = sqlite3.connect(os.path.join(template, "app.db"))
    assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
    db.close()


def put(template, data):
    """A copy of the database in `template` becomes that of `data`, an empty directory."""
    for name in ("app.db", "demo.txt"):
        shutil.copy(os.path.join(template, name), os.path.join(data, name))
    with open(os.path.join(data, "demo.txt")) as f:
        demo = dict(line.strip().split(": ", 1) for line in f)
    app_id = str(uuid.uuid4())
    db = sqlite3.connect(os.path.join(data, "app.db"))
    with db:
        changed = db.execute("UPDATE meta SET value = ? WHERE key = 'app_id'", (app_id,)).rowcount
        changed += db.execute("UPDATE users SET password = ? WHERE name = ?",
                              (phc(demo["password"]), demo["username"])).rowcount
    db.close()
    assert changed == 2
    private(os.path.join(data, "app.id"), app_id + "\n")
    private(os.path.join(data, "jwt.key"), secrets.token_hex(32) + "\n")
