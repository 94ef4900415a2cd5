# SPDX-License-Identifier: MIT
"""The console's page, looked at in a browser while the server under it is broken.

The tests of this file share one server and one page and run in order: what happened in one is seen
by the next (the pictures are taken with a kill, an outage and a fault in view).
"""
import os
import re
import signal
import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from conftest import VIEWS, bed

WITHIN_S = 3  # from what happens to where it is seen

CONTRAST = open(os.path.join(os.path.dirname(__file__), "contrast.js")).read()


# ---- before anything is broken ----

def meaning(page, expression):
    """An expression of the functions of meaning.js and format.js, evaluated in the page."""
    return page.driver.execute_async_script(f"""
      Promise.all([import('/meaning.js'), import('/format.js')])
        .then(([m, f]) => arguments[0]({expression})).catch((error) => arguments[0](String(error)));""")


@pytest.mark.parametrize("cell, level", (
    ("null", -1), ("[0, null, null]", -1), ("[10, 0, 99]", 0), ("[10, 0.099, 0]", 0),
    ("[10, 0.1, 0]", 1), ("[10, 0, 100]", 1), ("[10, 0.3, 5]", 2), ("[10, 0, 500]", 2),
    ("[10, 0.49, 1999]", 2), ("[10, 0.5, 5]", 3), ("[10, 0, 2000]", 3), ("[0, 1, null]", 3)))
def test_levels(page, cell, level):
    """10, 30 and 50 % errors, 100, 500 and 2000 ms; the worse of both counts."""
    assert meaning(page, f"m.cellLevel({cell})") == level


def test_flows(page):
    """in - out is the change of the level, whichever of them is counted."""
    counted_out = "[{atMs: 0, level: 2, out: 100}, {atMs: 2000, level: 12, out: 120}]"
    assert meaning(page, f"m.flows({counted_out})") == {"in": 15, "out": 10, "net": 5}
    counted_in = "[{atMs: 0, level: 12, in: 100}, {atMs: 2000, level: 2, in: 120}]"
    assert meaning(page, f"m.flows({counted_in})") == {"in": 10, "out": 15, "net": -5}
    assert meaning(page, "m.flows([{atMs: 0, level: 2, out: 1}])")["net"] is None
    assert meaning(page, "m.secondsToFull({level: 40, limit: 60}, 5)") == 4
    assert meaning(page, "m.secondsToFull({level: 40, limit: 60}, -5)") is None


def test_what_a_verdict_takes_away(page):
    def down(state):
        events = (f"[{{event: 'db_unavailable', atMs: 5, text: 'the database is {state}: x'}},"
                  "{event: 'db_recovered', atMs: 9, text: 'up again'}]")
        return meaning(page, f"[...m.downIntervals({events}, [], 20)]")
    assert down("slow") == []
    assert down("full") == [["db_write", [{"fromMs": 5, "toMs": 9}]]]
    assert {id for id, _ in down("moved")} == {"database", "db_read", "db_write"}


def test_a_slot_that_is_wanted_no_more_is_not_down(page):
    """No event says that nothing comes after a death: the slot's state does."""
    died = "[{event: 'worker_died', kind: 'worker', slot: 2, atMs: 5000}]"

    def down(state):
        since = "1970-01-01T00:00:09Z"
        slots = f"[{{kind: 'worker', slot: 2, state: '{state}', since: '{since}'}}]"
        return meaning(page, f"[...m.downIntervals({died}, {slots}, 20000)]")
    assert down("empty") == [["worker:2", [{"fromMs": 5000, "toMs": 9000}]]]
    assert down("backoff") == [["worker:2", [{"fromMs": 5000, "toMs": 20000}]]]


def test_every_tone_has_a_mark(page):
    """The server says how bad an event is; an unknown tone would be drawn as nothing."""
    script, style = (page.script(f"""const r = new XMLHttpRequest(); r.open('GET', '/{name}', false);
        r.send(); return r.responseText""") for name in ("timeline.js", "style.css"))
    names = open("common/labels.h").read().split("#define EVENT_TONE_LIST(X)")[1].split("\n\n")[0]
    tones = re.findall(r'X\(\w+, "(\w+)"\)', names)
    assert len(tones) == 5
    for tone in tones:
        assert f"\n  {tone}: 'M" in script and f".shape.{tone} " in style, tone
    assert {event["tone"] for event in page.server.events()} <= set(tones)


def test_numbers_are_read_easily(page):
    for expression, text in (("f.duration(59)", "59 s"), ("f.duration(184)", "3 min 4 s"),
                             ("f.duration(7200)", "2 h"), ("f.ms(0.44)", "0.4 ms"),
                             ("f.ms(1234)", "1.2 s"), ("f.ms(null)", "–"),
                             ("f.bytes(1536)", "1.5 KiB"), ("f.number(12345.6)", "12,346"),
                             ("f.percent(0.005)", "0.5 %")):
        assert meaning(page, expression) == text, expression


def test_page_and_what_else_is_there(page):
    server = page.server
    answer = server.console("/")
    assert answer.status == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-cache"
    for path, kind in (("/app.js", "text/javascript"), ("/style.css", "text/css"),
                       ("/icon.svg", "image/svg+xml"), ("/dygraph.min.js", "text/javascript")):
        found = server.console(path)
        assert found.status == 200 and found.headers["content-type"].startswith(kind), path
        etag = found.headers["etag"]
        again = server.request("GET", path, token=False, port=server.console_port,
                               headers={"If-None-Match": etag})
        assert (again.status, again.body) == (304, b""), path
        head = server.request("HEAD", path, token=False, port=server.console_port)
        assert (head.status, head.body) == (200, b""), path
        assert int(head.headers["content-length"]) == len(found.body)
    missing = server.console("/nothing")
    assert missing.status == 404 and "/api/state" in missing.json["detail"]


def test_keyboard_reaches_every_view(page):
    page.open()
    seen = []
    while len(seen) <= len(VIEWS):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.driver.switch_to.active_element
        if focused.tag_name == "body":
            break  # the end of the page
        assert page.script(
            "return getComputedStyle(document.activeElement).outlineStyle") != "none", \
            f"focus is not seen on {focused.get_attribute('outerHTML')}"
        if focused.get_attribute("hash"):
            seen.append(focused.get_attribute("hash")[1:])
    assert seen[0] == "main", "the first stop is the link that skips the navigation"
    seen = seen[1:]
    assert seen == list(VIEWS)
    for view in VIEWS:
        page.script("document.querySelector(`.tabs a[href='#${arguments[0]}']`).focus()", view)
        page.driver.switch_to.active_element.send_keys(Keys.ENTER)
        bed.wait_for(view, lambda v=view: page.script(
            "return document.activeElement.id") == f"{v}-title", 2, 0.02)
        visible = page.script("return [...document.querySelectorAll('.view')]"
                              ".filter((v) => v.checkVisibility()).map((v) => v.id)")
        assert visible == [view]
        assert page.script(
            "return document.querySelector('.tabs [aria-current=page]').hash") == "#" + view


def test_every_view_has_data(page):
    page.go("overview")
    page.shows("#figures", "/s")
    page.shows("#classes", "read", "write", "total", "ms")
    page.shows("#slo", "availability", "latency", "of the budget left")
    page.go("series")
    page.shows("[data-chart=traffic] .legend", "served")
    served = bed.wait_for("a rate in the chart of traffic", lambda: next(
        (float(n.replace(",", "")) for n in [page.text("[data-chart=traffic] .legend strong")]
         if n and n[0].isdigit() and float(n.replace(",", "")) > 0), None), 5 * bed.NOISE, 0.1)
    assert served > 10, "the load is 100 a second"
    for chart in ("traffic", "latency", "errors", "refusals", "listen", "door", "waits", "wal"):
        assert page.script("return document.querySelectorAll(arguments[0]).length",
                           f"[data-chart={chart}] canvas") > 0, chart
    page.go("heatmap")
    page.shows("#heat tbody", "worker 0", "worker 1", "worker 2", "database", "healthy")
    page.go("timeline")
    page.shows(".event-list", "worker ready", "because of worker started")
    page.go("stocks")
    page.shows("#tanks", "listen queue", "door", "write queue", "write-ahead log", "of 64 MiB")


def test_cells_and_charts_are_read_by_keyboard(page):
    page.go("heatmap")
    canvas = page.find("#heat canvas")
    canvas.send_keys(Keys.ARROW_LEFT)
    first = page.text("#heat-reading")
    canvas.send_keys(Keys.ARROW_DOWN)
    second = page.text("#heat-reading")
    assert ":" in first and ":" in second and first.split(",")[0] != second.split(",")[0]
    page.go("series")
    plot = page.find("[data-chart=traffic] .plot")
    newest = page.text("[data-chart=wal] .legend .when")
    for _ in range(5):
        plot.send_keys(Keys.ARROW_LEFT)
    assert page.text("[data-chart=wal] .legend .when") < newest, "all charts share one cursor"
    plot.send_keys(Keys.ESCAPE)
    page.find("[data-chart=traffic] summary").click()
    page.shows("[data-chart=traffic] table.data", "served", "refused")
    page.find("[data-chart=traffic] summary").click()


# ---- broken ----

def test_kill_is_seen(page):
    slot, pid = sorted(page.server.worker_pids().items())[1]
    tile = f"[data-slot='{slot}']"
    page.go("workers")
    page.shows(tile, str(pid), "ready")
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    page.shows(tile, "killed by SIGKILL", within_s=WITHIN_S)
    page.shows(f"{tile} [data-fact=restarts]", "1", within_s=WITHIN_S)
    assert page.text(f"{tile} [data-fact=pid]") != str(pid)
    page.go("heatmap")
    page.shows(f"[data-component='worker:{slot}']", "down", within_s=WITHIN_S)
    page.go("timeline")
    page.shows(".event-list", "worker died", f"worker {slot}", "killed by SIGKILL",
               within_s=WITHIN_S)
    took = time.monotonic() - killed
    assert page.script("return document.querySelectorAll("
                       "'.lanes [data-event=worker_died]').length") == 1
    assert took < WITHIN_S * bed.NOISE, f"tile, heat map and timeline took {took:.1f} s"
    # Restarted, because it died: an arrow leads there.
    page.shows(".event-list", "worker restarted", "because of worker died")
    assert page.script("return document.querySelectorAll('.lanes .arrow').length") > 0
    print(f"\na kill is seen in tile, heat map and timeline after {took:.2f} s")


def test_fault_is_seen(page):
    page.server.ctl("faults", "set", "slow", "class=read", "delay=150ms", "duration=30s")
    page.go("overview")
    page.shows("#faults", "slow", "ends in", "delay=150ms", within_s=WITHIN_S)
    page.go("series")
    page.shows("#marks", "slow", "to now", within_s=WITHIN_S)


def test_outage_is_seen(page):
    page.go("workers")
    os.rename(f"{page.server.data}/app.db", f"{page.server.data}/app.away")
    moved = time.monotonic()
    page.shows("#tiles", "degraded", within_s=WITHIN_S)
    page.go("heatmap")
    page.shows("[data-component=database]", "down", within_s=WITHIN_S)
    page.go("timeline")
    page.shows(".event-list", "db unavailable", "the database is moved", "bulkhead-<b>-",
               within_s=WITHIN_S)
    took = time.monotonic() - moved
    assert took < WITHIN_S * bed.NOISE, f"tiles, heat map and timeline took {took:.1f} s"
    page.go("overview")
    page.shows("#hero", "degraded", "the database cannot be used", within_s=WITHIN_S)
    page.shows("#wrong", "Database moved", "reads and writes are refused", within_s=WITHIN_S)
    page.shows("#classes", "read")
    page.go("series")
    page.shows("#marks", "database moved", "to now", within_s=WITHIN_S)
    print(f"\nan outage is seen in tiles, heat map and timeline after {took:.2f} s")


# ---- while it is broken: is it readable? ----

@pytest.mark.parametrize("width", (1280, 390))
@pytest.mark.parametrize("theme", ("light", "dark"))
def test_readable(page, width, theme):
    """Contrast of all visible text, nothing beyond the right edge; a picture of each view."""
    page.size(width)
    page.theme(theme)
    low, wide = {}, {}
    page.go("series")
    page.driver.find_element(By.XPATH, "//section[@id='series']//button[text()='1 min']").click()
    for view in VIEWS:
        page.go(view)
        bed.wait_for(f"{view} to be drawn at {width}", lambda: page.script(
            "return document.documentElement.clientWidth") == width, 2, 0.02)
        found = page.script(CONTRAST)
        assert found["texts"] > 10, f"{view}: nothing was measured"
        low.update({f"{view}: {what}": ratio for what, ratio in found["low"]})
        for box in ("document.documentElement", "document.querySelector('.tabs ul')"):
            most = page.script(f"return {box}.scrollWidth - {box}.clientWidth")
            if most > 0:
                wide[f"{view}, {box}"] = most
        page.shoot(f"{view}-{width}-{theme}")
    page.size(1280)
    assert not low, f"contrast under 4.5: {low}"
    assert not wide, f"scrolls sideways: {wide}"


def test_data_is_never_markup(page):
    """The directory is called bulkhead-<b>-… and stands in the footer, in evidence and events."""
    assert "bulkhead-<b>-" in page.text("#footer")
    for view in ("overview", "timeline"):
        page.go(view)
        assert "bulkhead-<b>-" in page.text(f"#{view}"), view
    assert page.script("return document.querySelectorAll('b').length") == 0


def test_roles(page):
    """What a screen reader goes by, in every view."""
    page.theme("auto")
    for view in VIEWS:
        page.go(view)
        faults = page.script("""
          const seen = (s) => [...document.querySelectorAll(s)].filter((n) => n.checkVisibility());
          const named = (n) => n.ariaLabel || n.textContent.trim() || n.getAttribute('aria-labelledby');
          const wrong = [];
          if (seen('main').length !== 1 || seen('header').length !== 1 || seen('nav[aria-label]').length !== 1)
            wrong.push('landmarks');
          if (seen('h1').length !== 1) wrong.push(`${seen('h1').length} h1`);
          const levels = seen('h1, h2, h3').map((n) => Number(n.tagName[1]));
          levels.forEach((l, i) => { if (i && l > levels[i - 1] + 1) wrong.push(`h${levels[i - 1]} then h${l}`); });
          for (const n of seen('button, a, summary, #heat canvas, [role=img], [role=meter]'))
            if (!named(n)) wrong.push(`no name: ${n.outerHTML.slice(0, 80)}`);
          for (const n of document.querySelectorAll('img')) if (!n.hasAttribute('alt')) wrong.push('img without alt');
          for (const n of seen('th')) if (!n.scope) wrong.push('th without scope');
          for (const n of seen('svg')) if (n.ariaHidden !== 'true' && !n.ariaLabel) wrong.push('svg without name');
          if (!document.querySelector('[aria-live=polite]')) wrong.push('no live region');
          if (!document.documentElement.lang) wrong.push('no language');
          const ids = [...document.querySelectorAll('[id]')].map((n) => n.id);
          if (new Set(ids).size !== ids.length) wrong.push('an id twice');
          return wrong;""")
        assert not faults, f"{view}: {faults}"
    assert "degraded" in page.script(
        "return document.getElementById('announcer').textContent").lower(), "the outage was not said"
    # A chart and the map say in words what they show.
    page.go("series")
    assert "served" in page.find("[data-chart=traffic] .plot").get_attribute("aria-label")


# ---- and better again ----

def test_recovery_is_seen(page):
    os.rename(f"{page.server.data}/app.away", f"{page.server.data}/app.db")
    page.go("overview")
    page.shows("#hero", "healthy", within_s=WITHIN_S + 2)  # three good looks come first
    page.go("timeline")
    page.shows(".event-list", "db recovered", within_s=WITHIN_S)
    page.find(".filter summary").click()
    page.driver.find_element(By.XPATH, "//button[text()='None']").click()
    assert page.script("return document.querySelectorAll('.event-list li').length") == 0
    page.driver.find_element(By.XPATH, "//label[contains(., 'db recovered')]/input").click()
    assert page.script("return [...document.querySelectorAll('.event-list li')]"
                       ".map((n) => n.dataset.event)") == ["db_recovered"]
    page.driver.find_element(By.XPATH, "//button[text()='All']").click()


def test_nothing_from_elsewhere_and_no_error(page):
    """The whole run until now: one host, and nothing in the browser's log."""
    urls = page.script("return performance.getEntries().filter((e) => e.name.includes(':/'))"
                       ".map((e) => e.name)")
    assert len(urls) > 20
    assert [u for u in urls if not u.startswith(page.url)] == []
    assert page.complaints() == []


def test_draws_in_a_browser_without_map_group_by(page):
    page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument",
                                {"source": "delete Map.groupBy"})
    page.driver.refresh()
    assert page.script("return Map.groupBy === undefined")
    page.shows("#pill", "healthy", within_s=6)
    assert page.complaints() == []


def test_a_fault_of_the_page_is_not_told_as_one_of_the_console(page):
    page.script("Object.defineProperty(document.querySelector('#pill'), 'dataset', {configurable: true,"
                " get() { throw new TypeError('drawn badly'); }});"
                "Object.defineProperty(document.querySelector('#pill'), 'textContent', {configurable: true,"
                " get() { throw new TypeError('drawn badly'); }, set() { throw new TypeError('drawn badly'); }})")
    said = bed.wait_for("the browser to be told", page.complaints, 5 * bed.NOISE)
    assert "drawn badly" in said[0]
    assert page.script("return document.querySelector('#banner').hidden")
    page.driver.refresh()
    page.shows("#pill", "healthy", within_s=6)
    page.complaints()


def test_says_when_the_console_does_not_answer(page):
    page.go("overview")
    assert page.server.stop() == 0
    page.shows("#banner", "does not answer since", "Trying again", within_s=6)
    page.shows("#link-state", "no answer")
    page.shows("#pill", "unknown")
    page.shows("#hero", "not known")
    page.server.start()
    bed.wait_for("the page to recover by itself",
                 lambda: not page.find("#banner").is_displayed(), 12 * bed.NOISE, 0.1)
    page.shows("#hero", "healthy", within_s=5)
    page.go("timeline")  # the events of another run are not mixed with those of this one
    bed.wait_for("the new run's events alone", lambda: page.script(
        "return [...document.querySelectorAll('.event-list li')]"
        ".filter((n) => n.dataset.event === 'worker_died').length") == 0, 3 * bed.NOISE, 0.1)
