# SPDX-License-Identifier: MIT
"""What scenarios of a broken database share: moving its files, writers who remember what was
acknowledged and when, what an outage must look like, and the audit after it."""
import http.client
import os
import threading
import time

from conftest import wait_for
from wire import assert_problem

FILES = ("app.db", "app.db-wal", "app.db-shm")


def move(server, *names, back=False):
    """Move files of the data directory away, or back; the main file first, as mv of app.db* would."""
    away = os.path.join(server.data, "away")
    os.makedirs(away, exist_ok=True)
    source, target = (away, server.data) if back else (server.data, away)
    for name in names:
        if os.path.exists(os.path.join(source, name)):
            os.rename(os.path.join(source, name), os.path.join(target, name))


def processes(server):
    return {(s["kind"], s["slot"]): (s["pid"], s["generation"]) for s in server.state()["slots"]
            if s["pid"]}


def is_outage(answer):
    problem = assert_problem(answer, 503, "database-unavailable")
    assert problem["reason"] == "db_unavailable"
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    return True


class Writer:
    """Creates items all the time and remembers which were acknowledged, and when."""

    def __init__(self, server, pause_s=0.003):
        self.server, self.acknowledged, self.refused = server, {}, []
        self.times = {}  # item id -> when its 201 came
        self.broken = 0  # requests without an answer
        self.unknown, self.odd = [], []  # titles whose commit was under way; what nothing explains
        self.pause_s, self.since, self.stop = pause_s, time.monotonic(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        c, n = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10), 0
        while not self.stop.wait(self.pause_s):
            n += 1
            title = f"{id(self)}-{n}"
            try:
                answer = self.server.request("POST", "/data/items", {"title": title}, connection=c)
            except (OSError, http.client.HTTPException):  # its worker died, or the server ends
                self.broken += 1
                self.unknown.append(title)
                c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
                continue
            if answer.status == 201:
                self.acknowledged[answer.json["id"]] = title
                self.times[answer.json["id"]] = time.monotonic()
            elif answer.status == 503 and answer.json["type"].endswith("/write-outcome-unknown"):
                self.unknown.append(title)
            elif answer.status in (503, 504):
                self.refused.append((time.monotonic(), answer))
            else:
                self.odd.append(answer)

    def kinds(self):
        """The kinds of problem it was refused with."""
        return {a.json["type"].rsplit("/", 1)[-1] for _, a in self.refused}

    def end(self):
        self.stop.set()
        self.thread.join(15)
        assert not self.thread.is_alive()
        assert not self.odd, self.odd[:3]


def page_of_items(server, cursor):
    answer = server.request("GET", f"/data/items?limit=100{cursor}")
    assert answer.status in (200, 503), answer  # an audit waits for those who are still careful
    return answer.json if answer.status == 200 else None


def all_items(server):
    """{id: title} of every item of the demo user."""
    there, cursor = {}, ""
    while cursor is not None:
        page = wait_for("a page of items", lambda: page_of_items(server, cursor), 10)
        there.update((i["id"], i["title"]) for i in page["items"])
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    return there


def lost(there, writers):
    """When each acknowledged write that is not there was acknowledged."""
    return [w.times[k] for w in writers for k, title in w.acknowledged.items()
            if there.get(k) != title]


def assert_all_are_there(server, writers):
    there = all_items(server)
    acknowledged = {k: v for w in writers for k, v in w.acknowledged.items()}
    assert acknowledged and not lost(there, writers)
    # and nothing that was refused with "nothing was changed" happened all the same
    unknown = {t for w in writers for t in w.unknown}
    assert len(set(there.values())) == len(there)
    assert set(there.values()) - set(acknowledged.values()) <= unknown


def assert_all_refuse(server):
    """Every data endpoint, on every worker, by reads and writes and logins."""
    item = "/data/items/01890000-0000-7000-8000-000000000000"
    for _ in range(4):
        for method, path, body in [("GET", "/data/items", None), ("GET", item, None),
                                   ("POST", "/data/items", {"title": "t"}), ("PUT", item, {"title": "t"}),
                                   ("PATCH", item, {}), ("DELETE", item, None),
                                   ("POST", "/auth/login", server.demo())]:
            is_outage(server.request(method, path, body))
    assert server.request("GET", "/data/items", token="x.y.z").status == 401
    assert server.request("GET", "/openapi.json").status == 200
    assert server.request("GET", "/health/live").status == 200


def assert_says_so(server, state="moved"):
    for health in (server.health(), server.console("/health").json):
        assert (health["status"], health["degraded"]) == ("degraded", True)
        assert health["reason"] == "db_unavailable"
        assert health["db"]["state"] == state
    assert server.metric("db_up") == 0
    assert server.metric("db_state", state=state) == 1
    assert server.request("GET", "/health/ready").status == 503


def until_it_works(server, began, limit_s):
    def works():
        return (server.request("GET", "/data/items?limit=1").status == 200 and
                server.health()["status"] == "healthy" and
                server.health()["workers"]["ready"] == server.workers and
                server.request("POST", "/data/items", {"title": f"back {time.time_ns()}"}).status == 201)
    wait_for("everything to work again", works, limit_s + 5)
    took = time.monotonic() - began
    print(f"all is well {took:.2f} s after the cause ended")
    assert took < limit_s, took
