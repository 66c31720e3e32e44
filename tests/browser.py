"""Headless Chromium for tests, driven through chromedriver by the W3C WebDriver protocol."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
CHROMEDRIVER = shutil.which("chromedriver") or ""

WITH_BROWSER = pytest.mark.skipif(not (CHROMIUM and CHROMEDRIVER), reason="needs chromium and chromedriver")

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's key of an element reference
KEYS = {"ArrowLeft": "\ue012", "ArrowRight": "\ue014", "PageUp": "\ue00e", "Home": "\ue011", "End": "\ue010", "f": "f"}
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,1000")
LEFT, RIGHT = 0, 2


class Browser:
    """One WebDriver session."""

    def __init__(self, port: int, profile: Path, arguments: tuple[str, ...] = ()) -> None:
        options = {"binary": CHROMIUM, "args": [*ARGUMENTS, *arguments, f"--user-data-dir={profile}"]}
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
        self.address = f"http://127.0.0.1:{port}/session"
        self.address += "/" + self.command("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self.command("POST", "/timeouts", {"script": 110_000, "pageLoad": 110_000})  # of a busy machine

    def command(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=verb)
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["value"]

    def go(self, address: str) -> None:
        self.command("POST", "/url", {"url": address})

    def choose_scheme(self, scheme: str) -> None:
        """The light or dark colour scheme, for the pages that are loaded next."""
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.command("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": media})

    def script(self, body: str, *arguments: Any) -> Any:
        return self.command("POST", "/execute/sync", {"script": body, "args": arguments})

    def wait(self, condition: str, otherwise: str, *arguments: Any) -> None:
        """Wait until a script returns something true."""
        deadline = time.monotonic() + 60
        while not self.script(condition, *arguments):
            assert time.monotonic() < deadline, otherwise
            time.sleep(0.05)

    def element(self, selector: str) -> str:
        found = self.command("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def click(self, selector: str, x: int = 0) -> None:
        """A mouse click ``x`` pixels to the right of an element's centre."""
        self.script("document.querySelector(arguments[0]).scrollIntoView({block: 'center'})", selector)
        self.drag(selector, (x, 0), (x, 0))

    def drag(self, selector: str, start: tuple[int, int], end: tuple[int, int], button: int = LEFT) -> None:
        """A button of the mouse pressed at one place and let go at another, in pixels from an element's centre."""
        origin = {ELEMENT: self.element(selector)}

        def move(to: tuple[int, int], duration: int) -> dict[str, Any]:
            return {"type": "pointerMove", "origin": origin, "x": to[0], "y": to[1], "duration": duration}

        moves: list[dict[str, Any]] = [move(start, 0), {"type": "pointerDown", "button": button}]
        if end != start:
            moves.append(move(end, 100))
        moves.append({"type": "pointerUp", "button": button})
        self.command("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": moves}]})

    def press(self, key: str) -> None:
        strokes = [{"type": "keyDown", "value": KEYS[key]}, {"type": "keyUp", "value": KEYS[key]}]
        self.command("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def choose(self, selector: str, label: str) -> None:
        """An entry of a list, by its text."""
        self.script(
            "const list = document.querySelector(arguments[0]);"
            "list.value = [...list.options].find(option => option.text === arguments[1]).value;"
            "list.dispatchEvent(new Event('change', {bubbles: true}))",
            selector,
            label,
        )

    def picture(self, selector: str) -> np.ndarray:
        """An element as it is on the screen, (rows, columns, 3) int."""
        from PIL import Image

        encoded = self.command("GET", f"/element/{self.element(selector)}/screenshot")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")).astype(int)

    def log(self, kind: str) -> list[Any]:
        """What was logged since the last call: ``browser`` is the console, ``performance`` events of the protocol."""
        return list(self.command("POST", "/se/log", {"type": kind}))

    def requests(self) -> list[str]:
        """The addresses that pages asked for since the last call, but for the browser's own and data."""
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if not address.startswith(("data:", "blob:", "chrome:"))]


@contextmanager
def browsing(profile: Path, arguments: tuple[str, ...] = ()) -> Iterator[Browser]:
    """A browser with a profile of its own; it is closed at the end."""
    driver = subprocess.Popen([CHROMEDRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert driver.stdout is not None
    try:
        started = next(
            (m for line in driver.stdout if (m := re.search(r"started successfully on port (\d+)", line))), None
        )
        assert started, "chromedriver did not start"
        session = Browser(int(started[1]), profile, arguments)
        yield session
        session.command("DELETE", "")
    finally:
        driver.terminate()
        driver.wait(timeout=120)
