"""The rating page in a real browser: keys, clicks, undo, phones, darkness."""

import csv
import os
import shutil

import pytest

from jiaa.serve.album import open_album
from jiaa.serve.server import Server
from jiaa.serve.session import Session

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium: JIAA_BROWSER, one on the path, or Playwright's own."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("JIAA_BROWSER") or next(
        filter(None, map(shutil.which, NAMES)), None
    )
    with playwright.sync_playwright() as run:
        path = found or run.chromium.executable_path
        if not os.path.exists(path):
            pytest.skip("no Chromium; install one, or name it by JIAA_BROWSER")
        # Chromium's sandbox does not start for root, as in most containers.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = run.chromium.launch(executable_path=path, args=options)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, prior, tiny_world, tmp_path):
    """The page of a new session; whatever goes wrong in it fails the test."""
    album = open_album(tiny_world / "images", most=6)
    content = prior.encode(album.paths)
    session = Session(prior, album, content, ratings=tmp_path / "ratings.csv")
    with Server(session).in_background() as server:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        opened, wrong = context.new_page(), []
        opened.on("console", lambda said: wrong.append(said.text))
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("requestfailed", lambda request: wrong.append(request.url))
        opened.on("request", lambda request: _own(request.url, server, wrong))
        opened.goto(server.url)
        opened.wait_for_selector("#ranking li")
        opened.ratings = tmp_path / "ratings.csv"
        yield opened
        opened.wait_for_load_state("networkidle")
        context.close()
    assert not wrong


def _own(url, server, wrong):
    if not url.startswith(f"http://127.0.0.1:{server.port}/"):
        wrong.append(f"asked elsewhere: {url}")


def act(page, what):
    """Does something, and waits until the page has answered."""
    before = page.inner_text("#progress")
    what()
    page.wait_for_function(
        "old => document.getElementById('progress').textContent !== old", arg=before
    )
    return page.inner_text("#progress")


def ratings(page):
    with page.ratings.open(newline="") as file:
        return [(row["image"], row["score"]) for row in csv.DictReader(file)]


def test_keys_rate_skip_and_undo(page):
    first = page.inner_text("#name")
    assert act(page, lambda: page.keyboard.press("4")).startswith("1 of 6")
    assert ratings(page) == [(first, "4")]
    second = page.inner_text("#name")
    assert second != first
    assert "1 skipped" in act(page, lambda: page.keyboard.press("s"))
    assert "skipped" not in act(page, lambda: page.keyboard.press("u"))
    assert page.inner_text("#name") == second
    assert act(page, lambda: page.keyboard.press("Backspace")).startswith("0 of 6")
    assert page.inner_text("#name") == first
    assert ratings(page) == []
    page.keyboard.press("7")  # off the scale: nothing happens
    page.keyboard.press("Control+1")
    assert page.inner_text("#progress").startswith("0 of 6")


def test_clicks_rate_until_all_is_done_and_undo_comes_back(page):
    for number in range(1, 7):
        stars = page.get_by_role("button", name="5 stars of 5")
        assert act(page, stars.click).startswith(f"{number} of 6")
    assert page.is_visible("#done")
    assert not page.is_visible("#asking")
    act(page, page.locator("#undo-last").click)
    assert page.is_visible("#asking")
    assert len(ratings(page)) == 5


def test_tab_and_enter_are_enough(page):
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    act(page, lambda: page.keyboard.press("Enter"))
    assert [stars for _, stars in ratings(page)] == ["2"]
    assert page.evaluate("document.activeElement.ariaLabel") == "2 stars of 5"


def test_it_says_why_it_asks_and_how_the_ranking_moved(page):
    assert "would settle" in page.inner_text("#why")
    assert page.locator("#like img").count() == 3
    assert "people in general" in page.inner_text("#moved")
    act(page, lambda: page.keyboard.press("1"))
    act(page, lambda: page.keyboard.press("5"))
    assert "learned in" in page.inner_text("#moved")
    assert page.locator("#ranking li").count() == 6
    scores = [
        float(text.split()[0]) for text in page.locator(".score").all_inner_texts()
    ]
    assert scores == sorted(scores, reverse=True)
    assert "you: 5" in page.inner_text("#ranking")


def test_a_reload_shows_the_same(page):
    act(page, lambda: page.keyboard.press("3"))
    before = page.inner_text("main")
    # Pictures that are still on their way would count as requests that failed.
    page.wait_for_load_state("networkidle")
    page.reload()
    page.wait_for_selector("#ranking li")
    assert page.inner_text("main") == before


def test_a_phone_shows_question_and_buttons_without_scrolling(page):
    for width in (320, 390):
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_load_state("networkidle")
        inner = page.evaluate("document.documentElement.scrollWidth")
        assert inner <= width
        for button in page.locator("#asking button").all():
            box = button.bounding_box()
            assert box["height"] >= 44
            assert box["y"] + box["height"] <= 700


def brightness(page, selector, what):
    colour = page.evaluate(
        "([s, w]) => getComputedStyle(document.querySelector(s))[w]", [selector, what]
    )
    return sum(map(int, colour.strip("rgb()").split(","))) / 3


def test_dark_mode_is_dark_and_readable(page):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        back, fore = (brightness(page, "body", x) for x in ("backgroundColor", "color"))
        assert (back < fore) == (scheme == "dark")
        assert abs(back - fore) > 180


def test_a_server_that_is_gone_is_told(browser, prior, tiny_world, tmp_path):
    album = open_album(tiny_world / "images", most=6)
    session = Session(
        prior, album, prior.encode(album.paths), ratings=tmp_path / "ratings.csv"
    )
    context = browser.new_context()
    opened = context.new_page()
    with Server(session).in_background() as server:
        opened.goto(server.url)
        opened.wait_for_selector("#ranking li")
    opened.keyboard.press("3")
    opened.wait_for_selector("#error")
    assert "start `jiaa rate` again" in opened.inner_text("#error")
    context.close()
