# SPDX-License-Identifier: MIT
"""A real browser on the console's page of a real server.

Chromium without a window, with a directory of its own; it talks to loopback alone and is ended
with the test. `page` is both: the server under load and the browser that looks at it.
"""
import importlib.util
import os
import shutil
import sys
import tempfile
import time

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

SCENARIO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario")
sys.path.append(SCENARIO)  # what its conftest.py imports
_spec = importlib.util.spec_from_file_location("scenario_bed", os.path.join(SCENARIO, "conftest.py"))
bed = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bed)

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--hide-scrollbars", "--force-prefers-reduced-motion")
VIEWS = ("overview", "series", "workers", "heatmap", "timeline", "stocks")


class Page:
    def __init__(self, server):
        self.server = server
        self.url = f"http://127.0.0.1:{server.console_port}/"
        self.home = tempfile.mkdtemp(prefix="bulkhead-browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in (*FLAGS, f"--user-data-dir={self.home}/profile"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = Service(shutil.which("chromedriver"), log_output=f"{self.home}/driver.log")
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(20)
        self.size(1280)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.home, ignore_errors=True)

    def size(self, width, height=900):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})

    def open(self):
        self.driver.get(self.url)
        bed.wait_for("the first numbers", lambda: self.text("#figures dd"), 5 * bed.NOISE, 0.05)

    def go(self, view):
        self.script("location.hash = arguments[0]", view)
        bed.wait_for(view, lambda: self.script(
            "return document.getElementById(arguments[0]).checkVisibility()", view), 2, 0.02)

    def theme(self, name):
        """Press the button until it says so, as a person would."""
        button = self.find("#theme")
        for _ in range(3):
            if button.text == f"Theme: {name}":
                return
            button.click()
        pytest.fail(f"no theme {name}")

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """What a person reads there now, "" when there is no such thing."""
        return self.script("const n = document.querySelector(arguments[0]);"
                           "return n && n.checkVisibility() ? n.innerText : ''", selector)

    def shows(self, selector, *words, within_s=3):
        """Wait until the visible text there has all these words; the seconds it took."""
        start = time.monotonic()
        seen = ["nothing"]

        def there():
            seen[0] = self.text(selector)
            return all(word.lower() in seen[0].lower() for word in words)
        end = start + within_s * bed.NOISE
        while not there():
            if time.monotonic() > end:
                pytest.fail(f"{selector} does not say {words} within {within_s} s: {seen[0]!r}")
            time.sleep(0.05)
        return time.monotonic() - start

    def complaints(self):
        """Errors in the browser's log since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] == "SEVERE"]

    def shoot(self, name):
        """The whole view as a picture, kept as build output."""
        folder = os.path.join(bed.BUILD, "browser")
        os.makedirs(folder, exist_ok=True)
        width, height = self.script("return [innerWidth, document.documentElement.scrollHeight]")
        self.size(width, min(height, 4000))
        # Two frames: what is drawn for the new size is there after the second.
        self.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        self.driver.save_screenshot(os.path.join(folder, f"{name}.png"))
        self.size(width)


@pytest.fixture(scope="module")
def page():
    # Texts that hold the directory's name would be seen as markup if they were taken for any.
    data = tempfile.mkdtemp(prefix="bulkhead-<b>-")
    server = bed.Server(workers=3, data=data, config={"faults.enabled": "yes", "log.requests": "errors"})
    browser = load = None
    try:
        server.start()
        load = bed.Load(server, "--retry", "immediate", rps=100, duration=600)
        browser = Page(server)
        browser.open()
        yield browser
    finally:
        if browser:
            browser.close()
        if load:
            load.process.kill()
            load.process.communicate()
        left = server.end()
        shutil.rmtree(data, ignore_errors=True)
        assert not left
        assert not server.reports, server.reports
