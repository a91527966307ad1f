"""Just enough of a W3C WebDriver client to drive headless Chromium from the standard library."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def missing() -> str | None:
    """Why there is no browser to test with, or None."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    found = {"chromium": chromium, "chromedriver": shutil.which("chromedriver")}
    lacking = [name for name, path in found.items() if not path]
    if lacking:
        return f"no {' and no '.join(lacking)} on this machine (Debian: apt install chromium chromium-driver)"
    return None


class Browser:
    """A headless Chromium with a fresh profile. ``close`` ends it and its driver."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 900) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._base = f"http://127.0.0.1:{port}"
        self._driver = subprocess.Popen(
            [str(shutil.which("chromedriver")), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._session = ""
        try:
            self._wait_for_driver()
            arguments = [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio",
                "--autoplay-policy=no-user-gesture-required", f"--window-size={width},{height}",
                f"--user-data-dir={profile}",
            ]  # fmt: skip
            options = {"args": arguments, "binary": shutil.which("chromium") or shutil.which("chromium-browser")}
            logs = {"browser": "ALL", "performance": "ALL"}
            wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
            made = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}}, timeout=120)
            self._session = f"/session/{made['sessionId']}"
        except BaseException:
            self.close()
            raise

    def _wait_for_driver(self) -> None:
        for _ in range(300):
            try:
                if self._send("GET", "/status")["ready"]:
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.1)
        raise TimeoutError("chromedriver does not answer")

    def _send(self, method: str, path: str, body: Any = None, timeout: float = 60) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + self._session + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, url: str) -> None:
        """Load a page."""
        self._send("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of a JavaScript function returns."""
        return self._send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(f"return Boolean({condition})"):
                return
            time.sleep(0.05)
        raise TimeoutError(f"never true: {condition}")

    def click(self, selector: str) -> None:
        """On the middle of the first element that a CSS selector finds."""
        found = self._send("POST", "/element", {"using": "css selector", "value": selector})
        self._send("POST", f"/element/{found[_ELEMENT]}/click", {})

    def screenshot(self, path: Path) -> None:
        """A PNG of the window."""
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def resize(self, width: int, height: int) -> None:
        """Of the window."""
        self._send("POST", "/window/rect", {"width": width, "height": height})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """New entries of a log, "browser" or "performance"."""
        return self._send("POST", "/se/log", {"type": kind})

    def close(self) -> None:
        """End browser and driver."""
        try:
            if self._session:
                self._send("DELETE", "", timeout=20)
        except (urllib.error.URLError, ConnectionError, TimeoutError, RuntimeError):
            pass
        finally:
            self._driver.terminate()
            self._driver.wait(20)
