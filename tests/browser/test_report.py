"""The page of ``vedit evaluate --report`` in a real browser: it plays in step, wipes, escapes and stays at home."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from .conftest import NAME, PROMPT

pytestmark = pytest.mark.browser
VIDEOS = "[...document.querySelectorAll('video')]"
TIMES = f"return {VIDEOS}.map(video => video.currentTime)"


@pytest.fixture
def page(browser, report):
    browser.log("browser")
    browser.log("performance")
    browser.open(report.as_uri())
    browser.wait("document.documentElement.dataset.ready === 'yes'")
    browser.wait(f"{VIDEOS}.every(video => video.readyState >= 2)")
    return browser


def cursor(browser, metric: str = "psnr") -> float:
    return float(browser.run(f"return document.querySelector('[data-metric={metric}] .cursor').getAttribute('x1')"))


def settle(browser) -> None:
    browser.wait(f"{VIDEOS}.every(video => !video.seeking)")


def test_every_video_is_played_by_the_browser(page):
    assert (
        page.run(f"return {VIDEOS}.map(video => [video.videoWidth, video.videoHeight, video.error])")
        == [[160, 96, None]] * 3
    )
    assert page.run(f"return {VIDEOS}[0].duration") == pytest.approx(1.22, abs=0.03)


def test_nothing_is_fetched_but_the_reports_own_files(page, report):
    page.click("#play")
    page.wait(f"{VIDEOS}[0].currentTime > 0.1")
    page.click("#play")
    asked = []
    for entry in page.log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    assert any(url.endswith("source.mp4") for url in asked)
    home = report.parent.as_uri() + "/"
    assert [url for url in asked if not url.startswith((home, "data:"))] == []
    assert [entry["message"] for entry in page.log("browser") if entry["level"] == "SEVERE"] == []


def test_all_play_in_step(page):
    page.run("document.getElementById('loop').checked = true")
    page.click("#play")
    page.wait(f"{VIDEOS}[0].currentTime > 0.2")
    assert page.run(f"return {VIDEOS}.map(video => video.paused)") == [False] * 3
    page.click("#play")
    assert page.run(f"return {VIDEOS}.map(video => video.paused)") == [True] * 3
    settle(page)
    page.wait(f"Math.max(...{VIDEOS}.map(v => Math.abs(v.currentTime - {VIDEOS}[0].currentTime))) < 0.005")


def test_steps_are_frames_and_all_take_them(page):
    for _ in range(3):
        page.click("#forth")
    settle(page)
    assert page.run(TIMES) == pytest.approx([0.121] * 3, abs=1e-6)
    page.click("#back")
    settle(page)
    assert page.run(TIMES) == pytest.approx([0.081] * 3, abs=1e-6)
    assert "frame 2 of 30" in page.run("return document.getElementById('clock').textContent")


def test_uneven_frame_times_are_kept(page):
    set_time(page, 0.8)
    page.click("#forth")
    settle(page)
    assert page.run(TIMES) == pytest.approx([0.861] * 3, abs=1e-6)


def set_time(page, seconds: float) -> None:
    page.run(
        "const bar = document.getElementById('seek'); bar.value = arguments[0]; bar.dispatchEvent(new Event('input'))",
        seconds,
    )
    settle(page)


def test_the_cursor_and_the_figures_follow_the_player(page):
    lines = page.run("return JSON.parse(document.getElementById('data').textContent).plots[0].lines")
    start = cursor(page)
    set_time(page, 0.6)
    middle = cursor(page)
    assert middle > start
    assert cursor(page, "warp_error") == middle
    shown = page.run(
        "return [...document.querySelectorAll('[data-metric=psnr] output')].map(o => Number(o.textContent))"
    )
    assert shown == pytest.approx([line["values"][15] for line in lines], rel=1e-3)
    set_time(page, 0)
    assert cursor(page) == start


def test_a_click_on_a_plot_goes_there(page):
    page.click("[data-metric=ssim] svg")  # its middle
    settle(page)
    assert page.run(TIMES)[0] == pytest.approx(0.56, abs=0.06)
    assert len(set(page.run(TIMES))) == 1


def test_the_wipe(page):
    page.click("#wipe")
    shown = f"return {VIDEOS}.map(video => video.offsetParent !== null)"
    assert page.run(shown) == [True, True, False]
    clip = f"return getComputedStyle({VIDEOS}[1]).clipPath"
    assert page.run(clip) == "inset(0px 0px 0px 50%)"
    page.run("const w = document.getElementById('wiper'); w.value = 20; w.dispatchEvent(new Event('input'))")
    assert page.run(clip) == "inset(0px 0px 0px 20%)"
    boxes = [page.run(f"return Object.values({VIDEOS}[{n}].getBoundingClientRect().toJSON())") for n in (0, 1)]
    assert boxes[0] == pytest.approx(boxes[1], abs=0.5)
    page.run("const c = document.getElementById('chosen'); c.value = 2; c.dispatchEvent(new Event('change'))")
    assert page.run(shown) == [True, False, True]
    page.click("#beside")
    assert page.run(shown) == [True] * 3


def test_names_and_texts_are_text(page):
    assert page.run("return document.title").endswith(NAME)
    assert page.run("return document.querySelectorAll('img[src=x], figure b, h1 b').length") == 0
    assert page.run("return document.querySelectorAll('script').length") == 2
    text = page.run("return document.body.innerText")
    assert PROMPT in text
    assert NAME in text
    assert PROMPT in json.loads(page.run("return document.querySelector('pre').textContent"))["job"]["prompt"]


def test_the_sheets_are_there(page):
    page.wait("[...document.images].every(image => image.complete)")
    assert all(width > 100 for width in page.run("return [...document.images].map(image => image.naturalWidth)"))


def test_it_fits_a_narrow_window(page):
    page.resize(420, 800)
    try:
        assert page.run("return document.documentElement.scrollWidth <= window.innerWidth + 1")
    finally:
        page.resize(1280, 900)


def test_the_folder_may_move(browser, report, tmp_path):
    moved = Path(shutil.copytree(report.parent, tmp_path / "else where"))
    browser.open((moved / "index.html").as_uri())
    browser.wait(f"{VIDEOS}.length === 3 && {VIDEOS}.every(video => video.readyState >= 2)")


def test_screenshot(page, tmp_path):
    """For people: ``VEDIT_SCREENSHOTS=DIR make test-browser`` keeps it."""
    folder = Path(os.environ.get("VEDIT_SCREENSHOTS", tmp_path))
    set_time(page, 0.6)
    time.sleep(0.3)
    page.screenshot(folder / "report.png")
    assert (folder / "report.png").stat().st_size > 10_000
