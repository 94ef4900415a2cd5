# SPDX-License-Identifier: MIT
"""Bad input: each row is refused with the right problem, and the worker that met it lives on.

Where the bytes leave any doubt where the next request begins, the connection must be closed: what
was smuggled in behind must never be answered.
"""
import hashlib
import json
import os
import random
import statistics
import time

import pytest

from conftest import SANITIZED, Server
from wire import (Wire, assert_problem, base64url, forge, head, parts_of, post, signing_key)

MiB = 1 << 20
SMUGGLED = head("GET", "/health/live")
JSON = "Content-Type: application/json"


@pytest.fixture(scope="module")
def server():
    s = Server(workers=2, fresh=True)  # a password takes its time
    try:
        s.start()
        s.login()
        s.fleet = {slot: x["generation"] for slot, x in s.slots().items()}
        yield s
        assert s.stop() == 0
        assert s.gone(5)
    finally:
        assert not s.end()


@pytest.fixture(autouse=True)
def the_workers_live_on(server):
    yield
    assert {slot: x["generation"] for slot, x in server.slots().items()} == server.fleet
    answer = server.request("GET", "/health", token=False)
    assert answer.status == 200 and answer.json["workers"]["ready"] == 2


def exchange(server, data, method="GET", closed=True):
    """Send bytes; one answer, and then the end of the connection if it must be closed."""
    with Wire(server.port) as wire:
        wire.send(data)
        answer = wire.answer(method)
        if closed:
            assert answer.headers["connection"] == "close"
            assert wire.is_closed(), f"more came after {answer}: {wire.ahead!r}"
        else:
            wire.send(SMUGGLED)
            assert wire.answer().status == 200, "the connection did not go on"
        return answer


# ---- framing ----------------------------------------------------------------------------------

BODY = json.dumps({"title": "framed"})
FRAMING = [  # (name, bytes, status)
    ("no request at all", b"hello\r\n\r\n", 400),
    ("only a method", b"GET\r\n\r\n", 400),
    ("no version", b"GET /health\r\n\r\n", 400),
    ("no path", b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("a third word", b"GET /health x HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("a path without slash", head("GET", "health"), 400),
    ("a lower-case version", b"GET /health http/1.1\r\nHost: x\r\n\r\n", 400),
    ("version 2.0", head("GET", "/health", version="2.0"), 505),
    ("version 1.2", head("GET", "/health", version="1.2"), 505),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n", 400),
    ("NUL in the request line", b"GET /hea\0lth HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("NUL in a header", head("GET", "/health", "X: a\0b"), 400),
    ("control in a header", head("GET", "/health", "X: a\x01b"), 400),
    ("no Host", head("GET", "/health", host=None), 400),
    ("two Hosts", head("GET", "/health", "Host: y"), 400),
    ("a space before the colon", head("GET", "/health", "X-A : b"), 400),
    ("a tab before the colon", head("GET", "/health", "X-A\t: b"), 400),
    ("a header without colon", head("GET", "/health", "X-A"), 400),
    ("a header without name", head("GET", "/health", ": b"), 400),
    ("a folded header", head("GET", "/health", "X-A: b", " c"), 400),
    ("a folded first header", b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    ("bare LF", b"GET /health HTTP/1.1\nHost: x\n\n", 400),
    ("bare LF in one line", b"GET /health HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n", 400),
    ("bare LF in the last line", b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\n\r\n", 400),
    ("bare LF in the request line", b"GET /health HTTP/1.1\nHost: x\r\n\r\n", 400),
    ("a length behind a bare LF", b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\n"
     b"Content-Length: %d\r\n\r\n" % len(SMUGGLED), 400),
    ("a folded first length", b"POST /data/items HTTP/1.1\r\n Content-Length: 3\r\nHost: x\r\n\r\n", 400),
    ("bytes that are not ASCII", head("GET", "/ü"), 400),
    ("bare CR in one line", b"GET /health HTTP/1.1\r\nHost: x\rX-A: b\r\n\r\n", 400),
    ("%00 in the path", head("GET", "/data/items/%00"), 400),
    ("half an escape", head("GET", "/health%4"), 400),
    ("no escape", head("GET", "/health%zz"), 400),
    ("80 headers", head("GET", "/health", *[f"X-{i}: {i}" for i in range(80)]), 431),
    ("64 headers, one smuggling", head("POST", "/data/items", *[f"X-{i}: 1" for i in range(64)],
                                       "Content-Length: 5") + b"abcde", 431),
    ("a header of 16 KiB", head("GET", "/health", "X: " + "x" * 16384), 431),
    ("16 KiB of headers", head("GET", "/health", *[f"X-{i}: " + "x" * 900 for i in range(20)]), 431),
    ("a long path", head("GET", "/" + "x" * 9000), 414),
    ("a long query", head("GET", "/data/items?cursor=" + "x" * 9000), 414),
    ("two Content-Lengths", post("/data/items", BODY.encode(), f"Content-Length: {len(BODY)}"), 400),
    ("differing Content-Lengths", post("/data/items", BODY.encode(), "Content-Length: 3"), 400),
    ("a list of Content-Lengths", head("POST", "/data/items", JSON, "Content-Length: 3, 3"), 400),
    ("Content-Length +5", head("POST", "/data/items", JSON, "Content-Length: +5") + b"abcde", 400),
    ("Content-Length -5", head("POST", "/data/items", JSON, "Content-Length: -5") + b"abcde", 400),
    ("Content-Length 5x", head("POST", "/data/items", JSON, "Content-Length: 5x") + b"abcde", 400),
    ("Content-Length 0x5", head("POST", "/data/items", JSON, "Content-Length: 0x5") + b"abcde", 400),
    ("Content-Length 5 5", head("POST", "/data/items", JSON, "Content-Length: 5 5") + b"abcde", 400),
    ("Content-Length 1e1", head("POST", "/data/items", JSON, "Content-Length: 1e1"), 400),
    ("no Content-Length value", head("POST", "/data/items", JSON, "Content-Length:"), 400),
    ("a spaced Content-Length", head("POST", "/data/items", JSON, "Content-Length : 5") + b"abcde", 400),
    ("a folded Content-Length", head("POST", "/data/items", JSON, "Content-Length:", " 5") + b"abcde", 400),
    ("a bad length on a GET", head("GET", "/health", "Content-Length: x"), 400),
    ("chunked", head("POST", "/data/items", JSON, "Transfer-Encoding: chunked") + b"0\r\n\r\n", 501),
    ("chunked on a GET", head("GET", "/health", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 501),
    ("Chunked", head("POST", "/data/items", JSON, "tRANSFER-eNCODING: Chunked") + b"0\r\n\r\n", 501),
    ("gzip, chunked", head("POST", "/data/items", JSON, "Transfer-Encoding: gzip, chunked"), 501),
    ("identity", head("POST", "/data/items", JSON, "Transfer-Encoding: identity"), 501),
    ("xchunked", head("POST", "/data/items", JSON, "Transfer-Encoding: xchunked"), 501),
    ("no Transfer-Encoding value", head("POST", "/data/items", JSON, "Transfer-Encoding:"), 501),
    ("TE and CL", head("POST", "/data/items", JSON, "Content-Length: 5",
                       "Transfer-Encoding: chunked") + b"0\r\n\r\n", 501),
    ("CL behind TE", head("POST", "/data/items", JSON, "Transfer-Encoding: chunked",
                          "Content-Length: 5") + b"0\r\n\r\n", 501),
    ("a spaced TE", head("POST", "/data/items", JSON, "Transfer-Encoding : chunked",
                         "Content-Length: 5") + b"0\r\n\r\n", (400, 501)),
    ("two Authorizations", head("GET", "/data/items", "Authorization: Bearer a",
                                "Authorization: Bearer b"), 400),
    ("two Idempotency-Keys", post("/data/items", BODY.encode(), "Idempotency-Key: a",
                                  "Idempotency-Key: b"), 400),
]


@pytest.mark.parametrize("data, status", [row[1:] for row in FRAMING], ids=[r[0] for r in FRAMING])
def test_framing_errors_close_and_answer_nothing_behind(server, data, status):
    answer = exchange(server, data + SMUGGLED)
    if isinstance(status, tuple):
        assert answer.status in status
        status = answer.status
    assert_problem(answer, status)


@pytest.mark.parametrize("data, status", [row[1:] for row in FRAMING], ids=[r[0] for r in FRAMING])
def test_framing_errors_are_the_same_in_pieces(server, data, status):
    """Nothing may depend on how TCP cuts the stream."""
    data += SMUGGLED
    piece = len(data) // 9
    with Wire(server.port) as wire:
        for at in range(0, len(data), piece):
            wire.send(data[at:at + piece])
            time.sleep(0.002)
        assert wire.answer().status in (status if isinstance(status, tuple) else (status,))
        assert wire.is_closed()


@pytest.mark.parametrize("target", ["http://127.0.0.1:80/health", "http://example.org/", "*"])
def test_a_target_that_is_no_path_is_refused(server, target):
    """civetweb would close without a word: the door answers."""
    with Wire(server.port) as wire:
        wire.send(head("GET", "/health"))  # refused by the thread that keeps the connection …
        assert wire.answer().status == 200
        wire.send(head("GET", target))
        assert wire.answer().status == 400
    with Wire(server.port) as wire:  # … and by the door
        wire.send(head("OPTIONS", target))
        assert wire.answer().status == 400


@pytest.mark.parametrize("size", [17000, 40000, 300000])
def test_a_request_line_without_end(server, size):
    """The refusal may come before all is sent: the client reads it all the same."""
    with Wire(server.port) as wire:
        wire.send(b"GET /" + b"x" * size)
        answer = wire.answer()
        assert answer.status in (414, 431)
        assert_problem(answer, answer.status)
        assert wire.is_closed()


# ---- bodies -----------------------------------------------------------------------------------

def create(body, *lines):
    return lambda server: post("/data/items", body, *lines, token=server.token)


def fields(**members):
    return create(json.dumps(members).encode())


BODIES = [  # (name, bytes of a POST, status, slug)
    ("no JSON", create(b"title"), 400, "malformed-json"),
    ("empty", create(b""), 400, "malformed-json"),
    ("truncated", create(b'{"title": "x'), 400, "malformed-json"),
    ("truncated at the end", create(b'{"title": "x"'), 400, "malformed-json"),
    ("more behind it", create(b'{"title": "x"}{}'), 400, "malformed-json"),
    ("a trailing comma", create(b'{"title": "x",}'), 400, "malformed-json"),
    ("single quotes", create(b"{'title': 'x'}"), 400, "malformed-json"),
    ("a comment", create(b'{"title": "x"} // y'), 400, "malformed-json"),
    ("NaN", create(b'{"title": NaN}'), 400, "malformed-json"),
    ("a byte order mark", create(b'\xef\xbb\xbf{"title": "x"}'), 400, "malformed-json"),
    ("UTF-16", create('{"title": "x"}'.encode("utf-16")), 400, "malformed-json"),
    ("bad UTF-8", create(b'{"title": "\xff"}'), 400, "malformed-json"),
    ("overlong UTF-8", create(b'{"title": "\xc0\xaf"}'), 400, "malformed-json"),
    ("truncated UTF-8", create(b'{"title": "\xe2\x82"}'), 400, "malformed-json"),
    ("a surrogate in UTF-8", create(b'{"title": "\xed\xa0\x80"}'), 400, "malformed-json"),
    ("half a surrogate pair", create(rb'{"title": "\ud800"}'), 400, "malformed-json"),
    ("\\u0000 in a value", create(rb'{"title": "a\u0000b"}'), 400, "malformed-json"),
    ("\\u0000 in a name", create(rb'{"ti\u0000tle": "a"}'), 400, "malformed-json"),
    ("a NUL", create(b'{"title": "a\0b"}'), 400, "malformed-json"),
    ("a NUL at the end", create(b'{"title": "a"}\0'), 400, "malformed-json"),
    ("a control character", create(b'{"title": "a\nb"}'), 400, "malformed-json"),
    ("duplicate names", create(b'{"title": "a", "title": "b"}'), 400, "malformed-json"),
    ("nested deeply", create(b'{"title":' + b"[" * 5000 + b"]" * 5000 + b"}"), 400, "malformed-json"),
    ("nested objects", create(b'{"title":' * 9000), 400, "malformed-json"),
    ("a number too large", create(b'{"title": ' + b"9" * 400 + b"}"), 400, "malformed-json"),
    ("a float too large", create(b'{"title": 1e999}'), 400, "malformed-json"),
    ("an array", create(b"[]"), 422, "invalid-fields"),
    ("a string", create(b'"x"'), 422, "invalid-fields"),
    ("null", create(b"null"), 422, "invalid-fields"),
    ("no title", fields(), 422, "invalid-fields"),
    ("title null", fields(title=None), 422, "invalid-fields"),
    ("title a number", fields(title=1), 422, "invalid-fields"),
    ("title empty", fields(title=""), 422, "invalid-fields"),
    ("title too long", fields(title="ü" * 201), 422, "invalid-fields"),
    ("body an array", fields(title="t", body=[]), 422, "invalid-fields"),
    ("body an object", fields(title="t", body={}), 422, "invalid-fields"),
    ("body true", fields(title="t", body=True), 422, "invalid-fields"),
    ("body too long", create(b'{"title":"t","body":"' + b"x" * 65537 + b'"}'), 422, "invalid-fields"),
    ("an unknown field", fields(title="t", colour="red"), 422, "invalid-fields"),
    ("an id", fields(title="t", id="01890000-0000-7000-8000-000000000000"), 422, "invalid-fields"),
    ("a version", fields(title="t", version=1), 422, "invalid-fields"),
    ("an empty name", create(b'{"title": "t", "": 1}'), 422, "invalid-fields"),
    ("1000 unknown fields", fields(title="t", **{f"f{i}": i for i in range(1000)}), 422, "invalid-fields"),
    ("a long unknown name", create(b'{"title":"t","' + "ü".encode() * 30000 + b'":1}'), 422, "invalid-fields"),
]


@pytest.mark.parametrize("data, status, slug", [r[1:] for r in BODIES], ids=[r[0] for r in BODIES])
def test_bad_bodies_keep_the_connection(server, data, status, slug):
    before = server.request("GET", "/data/items?limit=1").json["items"][:1]
    problem = assert_problem(exchange(server, data(server), closed=False), status, slug)
    if status == 422:
        assert problem["errors"]
        assert all(set(e) == {"field", "problem"} and e["problem"] for e in problem["errors"])
    assert server.request("GET", "/data/items?limit=1").json["items"][:1] == before


def test_all_wrong_fields_are_listed(server):
    answer = server.request("POST", "/data/items", {"title": 1, "body": 2, "x": 3})
    problem = assert_problem(answer, 422, "invalid-fields")
    assert sorted(e["field"] for e in problem["errors"]) == ["body", "title", "x"]


@pytest.mark.parametrize("over, status", [(0, 422), (1, 413)])
def test_128_kib_and_a_byte(server, over, status):
    body = b'{"title":"t","body":"' + b"x" * (128 * 1024 - 23 + over) + b'"}'
    assert len(body) == 128 * 1024 + over
    answer = exchange(server, post("/data/items", body, token=server.token), closed=status == 413)
    assert_problem(answer, status)


@pytest.mark.parametrize("size", [128 * 1024 + 1, MiB, 10 * MiB])
def test_a_413_is_readable_by_a_client_that_sends_everything_first(server, size):
    with Wire(server.port, timeout=20) as wire:
        wire.send(post("/data/items", b"x" * size, token=server.token))
        assert_problem(wire.answer(), 413, "content-too-large")
        assert wire.is_closed(5)


@pytest.mark.parametrize("length", ["1048576", "99999999999999", "9" * 30])
def test_a_413_comes_before_the_body(server, length):
    lines = (JSON, f"Content-Length: {length}", f"Authorization: Bearer {server.token}")
    assert_problem(exchange(server, head("POST", "/data/items", *lines)), 413, "content-too-large")


TYPES = [("POST", None, 415), ("POST", "text/plain", 415), ("POST", "application/xml", 415),
         ("POST", "application/jsonx", 415), ("POST", "application/json; charset=latin-1", 415),
         ("POST", "application/merge-patch+json", 415), ("POST", "", 415),
         ("POST", "application/x-www-form-urlencoded", 415),
         ("POST", "application/json; charset=utf-8", 201), ("POST", "Application/JSON", 201),
         ("POST", 'application/json;charset="UTF-8"', 201)]


@pytest.mark.parametrize("method, media, status", TYPES)
def test_content_types(server, method, media, status):
    lines = [f"Content-Type: {media}"] if media is not None else []
    lines += [f"Content-Length: {len(BODY)}", f"Authorization: Bearer {server.token}"]
    data = head(method, "/data/items", *lines) + BODY.encode()
    answer = exchange(server, data, closed=False)
    assert answer.status == status
    assert status == 201 or assert_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("method, path", [("POST", "/data/items"), ("POST", "/auth/login"),
                                          ("PUT", "/data/items/x"), ("PATCH", "/data/items/x")])
def test_a_missing_content_length(server, method, path):
    data = head(method, path, JSON, f"Authorization: Bearer {server.token}")
    with Wire(server.port) as wire:
        wire.send(data)
        assert_problem(wire.answer(), 411, "length-required")


@pytest.mark.parametrize("path, status", [("/health", 200), ("/data/items", 200), ("/nowhere", 404),
                                          ("/data/items?limit=0", 400)])
def test_a_get_with_a_body(server, path, status):
    data = head("GET", path, f"Content-Length: {len(SMUGGLED)}",
                f"Authorization: Bearer {server.token}") + SMUGGLED
    assert exchange(server, data, closed=False).status == status


# ---- Expect -----------------------------------------------------------------------------------

def expecting(server, what="100-continue", path="/data/items", token=None, length=None):
    return head("POST", path, JSON, f"Content-Length: {len(BODY) if length is None else length}",
                f"Expect: {what}", f"Authorization: Bearer {token or server.token}")


@pytest.mark.parametrize("word", ["100-continue", "100-Continue"])
def test_expect_100_is_honoured(server, word):
    with Wire(server.port) as wire:
        wire.send(expecting(server, word))
        assert wire.answer().status == 100
        wire.send(BODY.encode())
        assert wire.answer().status == 201
        wire.send(SMUGGLED)
        assert wire.answer().status == 200


@pytest.mark.parametrize("change, status", [({"path": "/nowhere"}, 404), ({"token": "x"}, 401),
                                            ({"length": 10 * MiB}, 413), ({"what": "nonsense"}, 417),
                                            ({"what": "100-continue, x"}, 417)])
def test_a_refusal_comes_instead_of_100(server, change, status):
    """The body is not sent now, so the connection cannot go on."""
    assert_problem(exchange(server, expecting(server, **change)), status)


def test_expect_with_the_body_at_once(server):
    with Wire(server.port) as wire:
        wire.send(expecting(server) + BODY.encode() + SMUGGLED)
        answer = wire.answer()
        assert answer.status in (100, 201)
        if answer.status == 100:
            assert wire.answer().status == 201
        assert wire.answer().status == 200


# ---- methods and paths ------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["BREW", "get", "PROPFIND", "CONNECT", "X" * 300, "G\xebT", "G@T"])
@pytest.mark.parametrize("path", ["/health", "/data/items", "/nowhere"])
def test_unknown_methods(server, method, path):
    with Wire(server.port) as wire:
        wire.send(head(method, path))
        answer = wire.answer()
        allowed = (400, 404, 405, 501) if path == "/nowhere" else (400, 405, 501)
        assert answer.status in allowed, answer
        assert_problem(answer, answer.status)


@pytest.mark.parametrize("path", ["/", "/nowhere", "/data", "/data/", "/data/items/", "/data/items/a/b",
                                  "//data/items", "/data//items", "/data/./items", "/data/../health",
                                  "/data%2Fitems", "/health/", "/Health", "/health;x", "/v1", "/v1/",
                                  "/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd", "/favicon.ico",
                                  "/data/items/" + "x" * 4000, "/metrics", "/%C3%A4"])
def test_unknown_paths(server, path):
    answer = exchange(server, head("GET", path, f"Authorization: Bearer {server.token}"), closed=False)
    assert_problem(answer, 404, "not-found")


@pytest.mark.parametrize("item", ["x", "1", "-1", "0" * 36, "01890000-0000-7000-8000-00000000000",
                                  "01890000-0000-7000-8000-0000000000000", "' OR 1=1 --".replace(" ", "%20"),
                                  "01890000000070008000000000000000", "%C3%A4", "*", "null"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_ids_that_are_none(server, item, method):
    assert_problem(server.request(method, f"/data/items/{item}"), 404, "not-found")


@pytest.mark.parametrize("path", ["/openapi.json?x=1", "/auth/login?x=1", "/data/items/x?y=z"])
def test_a_query_where_there_is_none(server, path):
    method = "POST" if "login" in path else "GET"
    answer = server.request(method, path, {"username": "a", "password": "b"} if method == "POST" else None)
    assert answer.status in (200, 400, 401, 404) and "login" not in path or answer.status == 400


# ---- tokens -----------------------------------------------------------------------------------

def altered(server, **changes):
    _, claims = parts_of(server.token)
    for name, value in changes.items():
        if value is None:
            claims.pop(name, None)
        else:
            claims[name] = value
    return forge(signing_key(server), claims)


def tampered(server, part):
    """The same token with one bit of a part changed."""
    parts = server.token.split(".")
    middle = len(parts[part]) // 2
    letter = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + letter + parts[part][middle + 1:]
    return ".".join(parts)


def other_user(server):
    header, claims = parts_of(server.token)
    return ".".join([base64url(json.dumps(header).encode()),
                     base64url(json.dumps({**claims, "sub": "root", "uid": 2}).encode()),
                     server.token.split(".")[2]])


def with_algorithm(server, name, digest):
    return forge(signing_key(server), parts_of(server.token)[1], {"alg": name, "typ": "JWT"}, digest)


def unsigned(server, name):
    header = base64url(json.dumps({"alg": name, "typ": "JWT"}).encode())
    return f"{header}.{server.token.split('.')[1]}."


def raw_claims(server, claims):
    return forge(signing_key(server), claims)


NOW = time.time()
TOKENS = [  # (name, token)
    ("alg none", lambda s: unsigned(s, "none")),
    ("alg nOnE", lambda s: unsigned(s, "nOnE")),
    ("alg HS256 without signature", lambda s: unsigned(s, "HS256")),
    ("alg none with our signature", lambda s: with_algorithm(s, "none", hashlib.sha256)),
    ("HS384", lambda s: with_algorithm(s, "HS384", hashlib.sha384)),
    ("HS512", lambda s: with_algorithm(s, "HS512", hashlib.sha512)),
    ("HS384 in name alone", lambda s: with_algorithm(s, "HS384", hashlib.sha256)),
    ("RS256 in name alone", lambda s: with_algorithm(s, "RS256", hashlib.sha256)),
    ("no alg", lambda s: forge(signing_key(s), parts_of(s.token)[1], {"typ": "JWT"})),
    ("tampered header", lambda s: tampered(s, 0)),
    ("tampered payload", lambda s: tampered(s, 1)),
    ("tampered signature", lambda s: tampered(s, 2)),
    ("another user's claims", other_user),
    ("a shorter signature", lambda s: s.token[:-1]),
    ("a longer signature", lambda s: s.token + "A"),
    ("a padded signature", lambda s: s.token + "="),
    ("a foreign key", lambda s: forge(os.urandom(32), parts_of(s.token)[1])),
    ("an empty key", lambda s: forge(b"", parts_of(s.token)[1])),
    ("the key's text", lambda s: forge(signing_key(s).hex().encode(), parts_of(s.token)[1])),
    ("expired", lambda s: altered(s, exp=int(NOW) - 10)),
    ("expiring now", lambda s: altered(s, exp=int(time.time()))),
    ("exp 0", lambda s: altered(s, exp=0)),
    ("exp negative", lambda s: altered(s, exp=-1)),
    ("exp a text", lambda s: altered(s, exp="9999999999")),
    ("no exp", lambda s: altered(s, exp=None)),
    ("nbf in the future", lambda s: altered(s, nbf=int(NOW) + 600)),
    ("nbf a text", lambda s: altered(s, nbf="0")),
    ("another iss", lambda s: altered(s, iss="somebody")),
    ("iss a list", lambda s: altered(s, iss=["bulkhead"])),
    ("no iss", lambda s: altered(s, iss=None)),
    ("no sub", lambda s: altered(s, sub=None)),
    ("an empty sub", lambda s: altered(s, sub="")),
    ("sub a number", lambda s: altered(s, sub=1)),
    ("no user", lambda s: altered(s, uid=None)),
    ("user 0", lambda s: altered(s, uid=0)),
    ("user a text", lambda s: altered(s, uid="1")),
    ("no claims", lambda s: raw_claims(s, {})),
    ("claims a list", lambda s: raw_claims(s, [])),
    ("claims no JSON", lambda s: raw_claims(s, b"\xff\xfe")),
    ("claims nested deeply", lambda s: raw_claims(s, b'{"a":' * 500)),
    ("empty parts", lambda s: ".."),
    ("one part", lambda s: "abc"),
    ("four parts", lambda s: s.token + ".abc"),
    ("no base64", lambda s: "a b.c!d.e?f"),
    ("garbage", lambda s: "\xff\xfe\x80" * 20),
    ("nothing", lambda s: ""),
    ("spaces", lambda s: "   "),
    ("8 KiB", lambda s: "a" * 8000 + ".b.c"),
    ("two tokens", lambda s: f"{s.token}, {s.token}"),
]


def with_authorization(server, value):
    data = head("GET", "/data/items", f"Authorization: {value}", "Connection: close")
    with Wire(server.port) as wire:
        wire.send(data)
        return wire.answer()


@pytest.mark.parametrize("token", [row[1] for row in TOKENS], ids=[row[0] for row in TOKENS])
def test_bad_tokens(server, token):
    answer = with_authorization(server, "Bearer " + token(server))
    assert_problem(answer, 401, "unauthorized")


def test_a_token_made_by_hand_is_good(server):
    """So that the rows above are refused for what they say, not for how they were made."""
    assert with_authorization(server, "Bearer " + altered(server)).status == 200
    assert with_authorization(server, "Bearer " + altered(server, nbf=int(NOW) - 5)).status == 200
    assert with_authorization(server, "bearer " + server.token).status == 200
    jwt = pytest.importorskip("jwt")
    claims = jwt.decode(server.token, signing_key(server), algorithms=["HS256"], issuer="bulkhead")
    token = jwt.encode(claims, signing_key(server), algorithm="HS256")
    assert with_authorization(server, "Bearer " + token).status == 200


def test_a_token_expires_although_it_was_good_before(server):
    token = altered(server, exp=int(time.time()) + 2)
    seen = set()
    end = time.monotonic() + 5
    while time.monotonic() < end and 401 not in seen:
        seen.add(with_authorization(server, "Bearer " + token).status)
    assert seen == {200, 401}


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic ZGVtbzpkZW1v", "Token x", "Bearerx",
                                   "bearer:x"])
def test_no_bearer(server, value):
    assert_problem(with_authorization(server, value), 401, "unauthorized")


# ---- logins -----------------------------------------------------------------------------------

def login(server, username, password):
    return server.request("POST", "/auth/login", {"username": username, "password": password}, token=False)


def worked_s(server):
    """The processor time that the workers have used."""
    total = 0
    for pid in server.worker_pids().values():
        with open(f"/proc/{pid}/stat") as f:
            total += sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
    return total / os.sysconf("SC_CLK_TCK")


IMPOSSIBLE = [("demo", ""), ("demo", "x" * 1025), ("demo", "x" * 60000), ("", "x"), ("u" * 65, "x"),
              ("demo ", "x"), (" demo", "x"), ("dämo", "x"), ("a b", "x"), ("demo\n", "x"),
              ("' OR 1=1 --", "x"), ("../../etc", "x"), ("\U0001f600", "x")]


@pytest.mark.parametrize("username, password", IMPOSSIBLE)
def test_impossible_logins_are_401(server, username, password):
    assert_problem(login(server, username, password), 401, "unauthorized")


def test_all_refused_logins_do_the_same_work(server):
    """Nothing may be learnt from the time whether there is such an account. The work is what is
    compared: what else the machine does adds to the time, as it likes."""
    kinds = {"wrong": ("demo", "wrong"), "unknown": ("nobody", "wrong"), "empty": ("demo", ""),
             "long": ("demo", "x" * 1025), "odd": ("' OR 1=1 --", "wrong")}
    work = {kind: [] for kind in kinds}
    for _ in range(3):
        for kind, (username, password) in kinds.items():
            before = worked_s(server)
            assert_problem(login(server, username, password), 401, "unauthorized")
            work[kind].append(worked_s(server) - before)
    median = {kind: statistics.median(times) for kind, times in work.items()}
    print(f"\nprocessor time of refused logins, in s: {median}")
    for kind in kinds:
        assert 0.5 < median[kind] / median["wrong"] < 2, median


@pytest.mark.parametrize("body, status", [
    ({"username": "demo"}, 422), ({"password": "x"}, 422), ({}, 422), ([], 422),
    ({"username": 1, "password": "x"}, 422), ({"username": "demo", "password": None}, 422),
    ({"username": "demo", "password": "x", "more": 1}, 422)])
def test_logins_with_wrong_fields(server, body, status):
    assert_problem(server.request("POST", "/auth/login", body, token=False), status, "invalid-fields")


# ---- at random --------------------------------------------------------------------------------

def test_random_damage(server):
    """One request, some bytes of it changed: any answer is good that is one."""
    dice = random.Random(20260101)
    whole = post("/data/items", {"title": "t"}, token=server.token)
    length = whole.index(b"Content-Length")  # a larger one is only waited for
    places = [i for i in range(len(whole)) if not length <= i < length + 20]
    for _ in range(40 if SANITIZED else 200):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 3)):
            damaged[dice.choice(places)] = dice.randrange(256)
        with Wire(server.port) as wire:
            wire.send(bytes(damaged) + b"\r\n\r\n" + b" " * 40)
            answer = wire.answer()
            assert answer.status in (201, 501, 505) or 400 <= answer.status < 500, (damaged, answer)
            assert answer.status == 201 or assert_problem(answer, answer.status)
