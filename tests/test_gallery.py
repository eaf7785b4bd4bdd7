"""The gallery is up to date, its pictures are right, and its page works in a browser."""

import json
import re
import shutil
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

import pytest

from puzzles.difficulty import BANDS
from puzzles.generator import generate
from puzzles.scenario import BODDY, Size
from puzzles.viewer import gallery
from puzzles.viewer.gallery import examples, play
from puzzles.viewer.picture import picture
from tests.in_process import run

ROOT = Path(__file__).parents[1]


def puzzles_in(page):
    """The puzzles that a page holds, by band, and the page around them."""
    before, data, after = re.split(r"(?<=const bands = )(.*)(?=;\n)", page, maxsplit=1)
    return json.loads(data), (before, after)


def test_the_committed_gallery_is_what_the_command_writes(tmp_path):
    """Of the puzzles to play, only the first three of each band are made again."""
    assert run(gallery.main, "--output", tmp_path, "--count", "3").returncode == 0
    for name in ("GALLERY.md", "gallery/deductions.jsonl", *(f"gallery/{name}.svg" for name in BANDS)):
        assert (ROOT / name).read_bytes() == (tmp_path / name).read_bytes(), f"{name} is out of date: run `make gallery`"
    committed, around = puzzles_in((ROOT / "gallery" / "index.html").read_text())
    made, around_made = puzzles_in((tmp_path / "gallery" / "index.html").read_text())
    assert around == around_made, "gallery/index.html is out of date: run `make gallery`"
    assert {name: some[:3] for name, some in committed.items()} == made
    assert {name: len({puzzle["index"] for puzzle in some}) for name, some in committed.items()} == dict.fromkeys(BANDS, 100)
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


@pytest.fixture(params=[(1400, 1200), (390, 844)], ids=["desk", "phone"])
def browser(request):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1400,1200"):
        options.add_argument(argument)
    if request.param[0] < 500:  # windows are not that narrow
        width, height = request.param
        metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
        options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield browser
    browser.quit()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs Chromium and its driver (Debian: chromium-driver)")
def test_a_person_solves_a_puzzle_of_each_band(browser, tmp_path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    def find(css):
        return browser.find_elements(By.CSS_SELECTOR, css)

    def press(css, k=0):
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", find(css)[k])
        find(css)[k].click()

    page = (ROOT / "gallery" / "index.html").as_uri()
    for name in BANDS:
        case = next(islice(examples(name, 0), 1, None))
        puzzle, s, night = play(case), case.puzzle.setting, case.night
        browser.get("about:blank")
        browser.get(f"{page}#{name}-2")
        assert find("#title")[0].text.startswith(f"{name.capitalize()}, number 2 of 100")
        assert [li.text for li in find("#clues li")] == puzzle["clues"]
        width = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(width) == 0  # nothing sticks out
        press("#clues li")
        assert find("#clues li")[0].get_attribute("class") == "done"

        first = find("#notes button")[0]  # notes, by touch and by keyboard
        press("#notes button")
        press("#rooms td:nth-child(2) button", 1)
        press("#rooms form button", 1)
        assert (first.text, first == browser.switch_to.active_element) == (s.rooms[1], True)
        first.send_keys(Keys.SHIFT, "2")
        first.send_keys("1", Keys.ARROW_DOWN)
        browser.switch_to.active_element.send_keys("3", Keys.ARROW_RIGHT, "4", Keys.DELETE)
        cells = [cell.text for cell in find("#notes button")]
        assert (cells[0], cells[len(s.times)], set(cells[1 : len(s.times)])) == (s.rooms[0], s.rooms[2], {""})
        assert find("#notes button")[0].get_attribute("aria-label") == f"{s.pieces[0]}, {s.times[0]}: {s.rooms[0]}"

        selects = [Select(element) for element in find("#questions select")]
        wrong = next(option.text for option in selects[0].options[1:] if option.text != puzzle["questions"][0][1])
        for select, text in zip(selects, [wrong, *list(case.solution.values())[1:]], strict=True):
            select.select_by_visible_text(text)
        press("#check")
        count = len(selects)
        assert find("#verdict")[0].text == f"{count - 1} of {count} right."
        assert [row.get_attribute("class") for row in find("#questions tr")] == ["wrong"] + ["right"] * (count - 1)
        assert not find("#why")[0].is_displayed()
        selects[0].select_by_visible_text(case.solution["A"])
        press("#check")
        assert find("#verdict")[0].text == "Solved: every answer is right."

        for k, (sentence, because, clues, _) in enumerate(puzzle["proof"]):
            assert find("#proof li")[k].text == f"{sentence}, {because}."
            assert [i for i, li in enumerate(find("#clues li")) if "cited" in li.get_attribute("class")] == clues
            if k + 1 < len(puzzle["proof"]):
                press("#next")
        assert not find("#next")[0].is_enabled()
        assert find("#now")[0].text == f"{night.time} †"
        assert find("#plan .scene b")[0].text.endswith(night.room)
        assert {tag.text for tag in find("#plan .guilty")} == {night.murderer, night.weapon}
        while find("#earlier")[0].is_enabled():
            press("#earlier")
        for i, room in enumerate(s.rooms):
            there = {piece for piece in s.pieces if night.place[piece, s.times[0]] == room}
            assert {tag.text for tag in find("#plan > div")[i].find_elements(By.TAG_NAME, "span")} == there
        browser.save_screenshot(tmp_path / f"{name}.png")
        press(f"nav button[data-band={name}]")
        assert find("#title")[0].text.startswith(f"{name.capitalize()}, number ")
        press("#give")
        press("#all")
        assert not find("#next")[0].is_enabled()
    assert browser.get_log("browser") == []
