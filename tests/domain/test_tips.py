"""What the operator writes is read or refused with a reason; the tools reckon as they say."""

from __future__ import annotations

import re
import shutil
from datetime import date, time
from pathlib import Path

import pytest

from domain.consent.errors import ContentError
from domain.locales import LOCALES
from domain.tips import clothes, mornings
from domain.tips.clothes import Wear, Weather
from domain.tips.library import Library, Tool, load
from domain.tips.mornings import Step
from settings import ROOT

CONTENT = ROOT / "content"
TODAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def library() -> Library:
    """The tips of `content/`."""
    return load(CONTENT)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A copy to break."""
    shutil.copytree(CONTENT / "tips", tmp_path / "tips")
    shutil.copy(CONTENT / "topics.toml", tmp_path)
    return tmp_path


def test_there_is_something_to_read(library: Library) -> None:
    """At least eight short tips and two tools, each in every language, about more than one thing.
    What a tip links to is there."""
    shown = library.on(TODAY)
    assert len([tip for tip in shown if not tip.tool]) >= 8
    assert {tip.tool for tip in shown if tip.tool} == set(Tool)
    assert len({tip.topic.id for tip in shown}) >= 4
    for tip in shown:
        assert set(tip.text) == set(LOCALES)
        for text in tip.text.values():
            assert 150 <= len(text.words.split()) <= 300, tip.slug
            for slug in re.findall(r"\]\(/tips/([^)#?]*)", text.words):
                assert library.find(slug, on=TODAY), slug
        assert len({text.words for text in tip.text.values()}) == len(LOCALES)


def test_a_tip_is_shown_from_its_day_on(library: Library) -> None:
    """Neither in the list nor at its address before."""
    tip = max(library.tips, key=lambda one: one.published)
    eve = date.fromordinal(tip.published.toordinal() - 1)
    assert library.find(tip.slug, on=eve) is None
    assert tip not in library.on(eve)
    assert library.find(tip.slug, on=tip.published) is tip
    assert library.newest(3, on=tip.published)[0] is tip


def test_the_way_to_the_next_leads_past_every_tip_and_back(library: Library) -> None:
    """Whoever follows it sees each once; who is alone leads nowhere."""
    first = here = library.on(TODAY)[0]
    seen = []
    while here not in seen:
        seen.append(here)
        following = library.after(here, on=TODAY)
        assert following
        here = following
    assert (seen, here) == (library.on(TODAY), first)
    assert Library((first,)).after(first, on=TODAY) is None


def test_an_operator_without_tips_has_none(tmp_path: Path) -> None:
    """The folder may be missing."""
    assert load(tmp_path).tips == ()


ONE = "rainy-days"
GOOD = "---\ntitle: A\nsummary: B\ntopic: home\npublished: 2026-10-30\n---\nWords.\n"


@pytest.mark.parametrize(
    ("name", "written", "says"),
    [
        (f"{ONE}.nn.md", None, "missing: a tip is there in every language"),
        (f"{ONE}.nn.md", GOOD.replace("title: A\n", ""), "title is missing"),
        (f"{ONE}.nn.md", GOOD.replace("title: A", "title:"), "this line says nothing"),
        (f"{ONE}.nn.md", GOOD.replace("title: A", "author: A"), "this line says nothing"),
        (f"{ONE}.nn.md", GOOD.replace("title: A", "title: A\ntitle: B"), "this line says nothing"),
        (f"{ONE}.nn.md", GOOD.replace("home", "meals"), "topic is not the same"),
        (f"{ONE}.nn.md", GOOD.replace("10-30", "10-31"), "published is not the same"),
        (f"{ONE}.nn.md", GOOD.replace("Words", "# Words"), "the only heading"),
        (f"{ONE}.nn.md", GOOD.replace("Words.", " "), "there are no words"),
        (f"{ONE}.nn.md", "Words.\n", "begins with its fields"),
        (f"{ONE}.nn.md", b"\xff\xfe", "utf-8"),
        (f"{ONE}.md", GOOD, "<slug>.<language>.md"),
        (f"{ONE}.sv.md", GOOD, "<slug>.<language>.md"),
        ("Rainy_days.nb.md", GOOD, "<slug>.<language>.md"),
        ("x" * 61 + ".nb.md", GOOD, "<slug>.<language>.md"),
        ("every", GOOD.replace("home", "nothing"), "no topic nothing"),
        ("every", GOOD.replace("2026-10-30", "Friday"), "published is a date"),
        ("every", GOOD.replace("topic", "tool: x\ntopic"), "there is no tool x"),
    ],
)
def test_what_is_wrong_with_a_tip_is_said_with_its_file(
    content: Path, name: str, written: str | bytes | None, says: str
) -> None:
    """The site does not start on half a tip; the operator is told what to put right."""
    names = [f"{ONE}.{locale}.md" for locale in LOCALES] if name == "every" else [name]
    for one in names:
        path = content / "tips" / one
        if written is None:
            path.unlink()
        else:
            path.write_bytes(written if isinstance(written, bytes) else written.encode())
    with pytest.raises(ContentError, match=re.escape(says)) as raised:
        load(content)
    assert Path(names[0]).name.partition(".")[0] in str(raised.value)


def test_a_topic_has_a_name_in_every_language(content: Path) -> None:
    """As everything that readers see."""
    path = content / "topics.toml"
    path.write_text(path.read_text("utf-8").replace('nn.name = "Barnehage"\n', ""), "utf-8")
    with pytest.raises(ContentError, match="kindergarten: no text in nn"):
        load(content)


# --- Clothes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "counted_as", "worn", "ends"),
    [
        ("24 dry", 24, "shorts", "sun_hat sandals"),
        ("20 rain", 20, "shorts rain_suit", "wellies"),
        ("15 dry", 15, "thin jacket", "trainers"),
        ("15 dry wind", 12, "thin jumper shell", "thin_hat trainers"),
        ("9 rain", 9, "thin_wool fleece rain_suit", "hat waterproof_mittens warm_wellies"),
        ("4 dry", 4, "thin_wool fleece shell", "hat thin_mittens trainers"),
        ("4 dry still", -1, "thin_wool fleece winter_suit", "hat warm_mittens winter_boots"),
        (
            *("0 rain", 0, "thin_wool fleece winter_suit rain_suit"),
            "hat waterproof_mittens warm_wellies",
        ),
        (
            *("-2 snow wind still", -10, "warm_wool thick_wool winter_suit"),
            "hat neck warm_mittens winter_boots",
        ),
        (
            *("-11 dry", -11, "warm_wool thick_wool fleece winter_suit"),
            "balaclava two_mittens winter_boots",
        ),
    ],
)
def test_clothes_follow_the_weather(day: str, counted_as: int, worn: str, ends: str) -> None:
    """Each by hand: wind counts as three degrees, sitting still as five."""
    temperature, weather, *more = day.split()
    found = clothes.outfit(
        int(temperature), Weather(weather), wind="wind" in more, still="still" in more
    )
    assert found.counted_as == counted_as
    assert [one.value for one in (*found.inner, *found.middle, *found.outer)] == worn.split()
    assert [one.value for one in found.ends] == ends.split()


def test_nobody_is_sent_out_without_something_on_the_feet() -> None:
    """At any temperature and in any weather, with wind and without; and nobody in the rain
    without something against it."""
    feet = {Wear.SANDALS, Wear.TRAINERS, Wear.WELLIES, Wear.WARM_WELLIES, Wear.WINTER_BOOTS}
    for temperature in range(clothes.COLDEST, clothes.WARMEST + 1):
        for weather in Weather:
            for wind, still in ((False, False), (True, False), (False, True), (True, True)):
                found = clothes.outfit(temperature, weather, wind=wind, still=still)
                assert found.inner
                assert len(feet & set(found.ends)) == 1
                if weather is Weather.RAIN:
                    assert found.outer[-1] is Wear.RAIN_SUIT
                    assert not {Wear.SANDALS, Wear.TRAINERS, Wear.SUN_HAT} & set(found.ends)


# --- Mornings ---------------------------------------------------------------------------------


def test_a_morning_is_counted_back_from_the_door() -> None:
    """By hand: 90 minutes before half past seven."""
    lines = mornings.plan(time(7, 30), mornings.USUAL)
    assert [(line.at.isoformat("minutes"), line.step.value) for line in lines] == [
        ("06:00", "wake"),
        ("06:15", "breakfast"),
        ("06:35", "wash"),
        ("06:45", "dress"),
        ("07:00", "pack"),
        ("07:05", "outdoors"),
        ("07:20", "spare"),
    ]


def test_what_takes_no_time_is_left_out_and_midnight_is_no_end() -> None:
    """Who leaves for the night train begins the evening before."""
    lines = mornings.plan(time(0, 20), {Step.DRESS: 30, Step.PACK: 0})
    assert [(line.at, line.step, line.minutes) for line in lines] == [
        (time(23, 50), Step.DRESS, 30)
    ]
    assert mornings.plan(time(7, 30), {}) == []
