"""The gallery is up to date, its pictures are right, and its page works in a browser."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from puzzles.difficulty import BANDS
from puzzles.generator import generate
from puzzles.scenario import BODDY, Size
from puzzles.viewer import gallery
from puzzles.viewer.gallery import example
from puzzles.viewer.picture import picture
from tests.in_process import run

ROOT = Path(__file__).parents[1]


def test_the_committed_gallery_is_what_the_command_writes(tmp_path):
    assert run(gallery.main, "--output", tmp_path).returncode == 0
    for name in ("GALLERY.md", "gallery/index.html", "gallery/deductions.jsonl", *(f"gallery/{name}.svg" for name in BANDS)):
        assert (ROOT / name).read_bytes() == (tmp_path / name).read_bytes(), f"{name} is out of date: run `make gallery`"
    (tmp_path / "file").touch()
    refused = run(gallery.main, "--output", tmp_path / "file")
    assert refused.returncode == 1
    assert "File exists" in refused.stderr


def test_the_picture_has_every_piece_in_its_room_at_every_time():
    night = generate(3, 0, Size(4, 3, 7, 5)).night
    s = night.setting
    svg = ElementTree.fromstring(picture(night))
    frames = svg.findall("{*}g")
    assert len(frames) == len(s.times)
    for time, frame in zip(s.times, frames, strict=True):
        texts = [text.text for text in frame.iter("{http://www.w3.org/2000/svg}text")]
        assert texts == [f"{time}: the murder" if time == night.time else time, *s.rooms, *s.pieces]
        corners = {}
        for rect, room in zip(frame.findall("{*}rect"), s.rooms, strict=True):
            x, y, width, height = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
            corners[room] = (x, y, x + width, y + height)
            assert (rect.get("class") == "scene") == (time == night.time and room == night.room)
        for tag, piece in zip(frame.findall("{*}g"), s.pieces, strict=True):
            x, y = map(float, tag.get("transform")[len("translate(") : -1].split())
            left, top, right, bottom = corners[night.place[piece, time]]
            assert left < x < right
            assert top < y < bottom - 19
            assert ("boddy" in tag.get("class")) == (piece == BODDY)
            assert ("guilty" in tag.get("class")) == (time == night.time and piece in (night.murderer, night.weapon))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs Chromium and its driver (Debian: chromium-driver)")
def test_the_page_works_in_chromium(tmp_path):
    from selenium import webdriver
    from selenium.webdriver.common.by import By

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1400,1200"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.get((ROOT / "gallery" / "index.html").as_uri())
        for k, name in enumerate(BANDS):
            case = example(name, 0)
            night, s = case.night, case.puzzle.setting
            browser.find_elements(By.CSS_SELECTOR, "nav button")[k].click()
            assert browser.find_element(By.ID, "about").text.lower().startswith(name)
            assert "These are the clues:" in browser.find_element(By.ID, "prompt").text
            tags = browser.find_elements(By.CSS_SELECTOR, "svg .tag")
            assert len(tags) == len(s.pieces)
            assert browser.find_element(By.CSS_SELECTOR, "svg").get_attribute("class") == "empty"
            assert not browser.find_element(By.ID, "on").is_enabled()
            browser.find_element(By.ID, "show").click()
            for i, time in enumerate(s.times):
                assert browser.find_element(By.ID, "now").text == time + (" †" if time == night.time else "")
                browser.execute_script("document.querySelectorAll('.tag').forEach(t => t.style.transition = 'none')")
                for tag, piece in zip(tags, s.pieces, strict=True):
                    room = browser.find_elements(By.CSS_SELECTOR, "svg .room, svg .scene")[
                        s.rooms.index(night.place[piece, time])
                    ]
                    assert room.rect["x"] < tag.rect["x"] < room.rect["x"] + room.rect["width"]
                    assert room.rect["y"] < tag.rect["y"] < room.rect["y"] + room.rect["height"]
                assert len(browser.find_elements(By.CSS_SELECTOR, ".scene")) == (time == night.time)
                if i < len(s.times) - 1:
                    browser.find_element(By.ID, "on").click()
            assert not browser.find_element(By.ID, "on").is_enabled()
            browser.find_element(By.ID, "back").click()
            assert browser.find_element(By.ID, "now").text.startswith(s.times[-2])
            answers = browser.find_elements(By.CSS_SELECTOR, "#answers td:last-child")
            assert {answer.text for answer in answers} == {"Reveal"}
            browser.find_element(By.CSS_SELECTOR, "#answers button").click()
            assert [answer.text for answer in answers][:2] == [next(iter(case.solution.values())), "Reveal"]
            browser.find_element(By.ID, "all").click()
            assert [answer.text for answer in answers] == list(case.solution.values())
            browser.save_screenshot(tmp_path / f"{name}.png")
        assert browser.get_log("browser") == []
    finally:
        browser.quit()
