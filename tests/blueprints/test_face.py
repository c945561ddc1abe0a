"""The form macros and the stylesheet: what every page is made of."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask, render_template_string
from flask_babel import Babel
from wtforms import BooleanField, EmailField, Form, PasswordField, RadioField, StringField
from wtforms.validators import InputRequired, Optional

import settings as site_settings

PURPOSE = {"id": "marketing", "label": "Yes, write to me", "wording": "First.\nSecond <b>."}
SHEET = (site_settings.ROOT / "static" / "site.css").read_text("utf-8")


class Sample(Form):
    """A form with a field of each kind."""

    name = StringField("Name", [InputRequired("Enter your name")])
    email = EmailField(
        "E-mail", [InputRequired("Enter your e-mail")], render_kw={"autocomplete": "email"}
    )
    password = PasswordField("Password", [InputRequired("Choose a password")])
    phone = StringField("Phone", [Optional()])
    age = RadioField("Age", [InputRequired("Choose")], choices=["15", "13"])
    choice = BooleanField("x", id="consent-marketing", name="consent-marketing")
    terms = BooleanField("Terms", [InputRequired("Accept the terms")])


PAGE = """
{% import "macros/forms.html" as forms %}
{% import "presentations/layout_1.html" as layout %}
{{ forms.error_summary(form) }}
{{ forms.field(form.name, hint="As you like it.", purpose="To greet you.") }}
{{ forms.field(form.email) }}{{ forms.field(form.password) }}{{ forms.field(form.phone) }}
{{ forms.radios(form.age) }}{{ layout.consent(purpose, form.choice, False, "") }}
{{ forms.checkbox(form.terms) }}{{ forms.button("Go") }}
"""


@pytest.fixture
def plain() -> Iterator[Flask]:
    """Templates and languages, and nothing else."""
    app = Flask("plain", root_path=str(site_settings.ROOT))
    Babel(app)
    with app.test_request_context():
        yield app


def show(**posted: Any) -> BeautifulSoup:
    """The sample form, fresh or after it was sent with these values."""
    form = Sample(data=None)
    if posted:
        from werkzeug.datastructures import MultiDict

        form = Sample(MultiDict({"sent": "1", **posted}))
        form.validate()
    html = render_template_string(PAGE, form=form, purpose=PURPOSE)
    return BeautifulSoup(html, "html.parser")


def by_id(soup: BeautifulSoup, name: str) -> Tag:
    """The one element with this id."""
    (found,) = soup.find_all(id=name)
    assert isinstance(found, Tag)
    return found


@pytest.mark.requirement(10)
def test_a_fresh_form_has_nothing_ticked_and_no_errors(plain: Flask) -> None:
    """No consent is given before the person gives it."""
    soup = show()
    assert not soup.select("[checked]")
    assert not soup.select(".error, .summary, [aria-invalid]")


@pytest.mark.requirement(12, 87)
def test_a_consent_is_tied_to_its_label_and_whole_wording(plain: Flask) -> None:
    """A screen reader says the wording with the box, and the words are escaped."""
    soup = show()
    box = by_id(soup, "consent-marketing")
    assert (box["type"], box["name"]) == ("checkbox", "consent-marketing")
    label = soup.find("label", attrs={"for": "consent-marketing"})
    assert isinstance(label, Tag)
    assert label.get_text() == PURPOSE["label"]
    wording = by_id(soup, str(box["aria-describedby"]))
    assert [p.get_text() for p in wording.find_all("p")] == ["First.", "Second <b>."]


@pytest.mark.requirement(86)
def test_the_summary_has_the_same_words_as_the_fields_and_leads_to_them(plain: Flask) -> None:
    """It takes the focus without a script, and each link ends at a control."""
    soup = show(phone="22 22 22 22")
    summary = soup.select_one(".summary")
    assert summary
    assert summary.has_attr("autofocus")
    assert summary["tabindex"] == "-1"
    links = {str(a["href"])[1:]: a.get_text(strip=True) for a in summary.find_all("a")}
    assert set(links) == {"name", "email", "password", "age-0", "terms"}
    for name, words in links.items():
        assert by_id(soup, name).name == "input"
        assert by_id(soup, f"{name.removesuffix('-0')}-error").get_text() == words


@pytest.mark.requirement(87)
def test_a_wrong_field_is_described_by_hint_purpose_and_error(plain: Flask) -> None:
    """Everything said about a field is said with it, in the order it stands."""
    soup = show(phone="1")
    name = by_id(soup, "name")
    assert name["aria-invalid"] == "true"
    words = [by_id(soup, one).get_text() for one in str(name["aria-describedby"]).split()]
    assert words == ["As you like it.", "To greet you.", "Enter your name"]


@pytest.mark.requirement(87)
def test_required_and_optional_are_words(plain: Flask) -> None:
    """No asterisk to decipher; autocomplete tokens reach the page."""
    soup = show()
    tags = {
        str(label["for"]): tag.get_text()
        for label in soup.find_all("label")
        if (tag := label.find(class_="tag"))
    }
    assert tags == {
        **dict.fromkeys(("name", "email", "password", "terms"), "Required"),
        "phone": "Optional",
    }
    assert by_id(soup, "email")["autocomplete"] == "email"


def test_everything_typed_is_kept_but_the_password(plain: Flask) -> None:
    """A correction costs one field, and no password is sent back."""
    soup = show(name="Kari", password="correct horse battery", **{"consent-marketing": "y"})
    assert by_id(soup, "name")["value"] == "Kari"
    assert by_id(soup, "consent-marketing").has_attr("checked")
    assert not by_id(soup, "password").get("value")
    assert not by_id(soup, "password").has_attr("onpaste")


# --- The stylesheet ---------------------------------------------------------------------------


def _scheme(dark: bool) -> dict[str, str]:
    light, dark_block = re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", light))
    return colours | (dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", dark_block)) if dark else {})


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


GROUNDS = ("paper", "surface", "soft")
PAIRS = (
    *((front, ground, 4.5) for front in ("ink", "muted", "accent", "bad") for ground in GROUNDS),
    *((front, "pink", 4.5) for front in ("ink", "bad")),
    *(("on", ground, 4.5) for ground in ("accent", "deep")),
    ("ink", "line", 4.5),
    *((front, ground, 3.0) for front in ("edge", "focus") for ground in ("paper", "surface")),
)


def test_contrast_is_measured_as_wcag_does() -> None:
    """Known values: black on white is 21, and #767676 is the lightest grey that passes."""
    assert _contrast("#000", "#fff") == pytest.approx(21)
    assert _contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.requirement(88)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "ground", "least"), PAIRS)
def test_colours_have_the_contrast_they_need(
    front: str, ground: str, least: float, dark: bool
) -> None:
    """Text 4.5, borders of controls and the focus ring 3, in both schemes (WCAG 1.4.3, 1.4.11)."""
    colours = _scheme(dark)
    assert _contrast(colours[front], colours[ground]) >= least


@pytest.mark.requirement(19)
def test_the_stylesheet_is_small_and_loads_nothing() -> None:
    """One file, at most 8.5 KiB (the visitors' choice took the half), without fonts, images or
    other sheets."""
    assert len(SHEET.encode()) <= 8704
    assert len(gzip.compress(SHEET.encode())) <= 3072
    assert not re.search(r"url\(|@import|@font-face", SHEET)
