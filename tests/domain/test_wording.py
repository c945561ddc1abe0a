"""What a newsletter says, from Markdown to a mail's two parts."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup

from domain.marketing.wording import Fault, faults, to_html, to_text

WRITTEN = """# Høst

Les *om* [**grøt**](/tips/grot) og <https://a.example/b?x=1&y=2>,
eller skriv til <kari@example.no>.\\
Ny linje.

- en
- to
  - under

3. tre
4. fire

> sitat

| a | b |
|---|---|
| c | d |

<b>ikke fet</b>
"""
PLAIN = """Høst

Les om grøt <https://samtykke.example/tips/grot?lang=nb> og https://a.example/b?x=1&y=2, \
eller skriv til kari@example.no.
Ny linje.

- en
- to
- under

3. tre
4. fire

sitat

a | b
c | d

<b>ikke fet</b>
"""


def page(path: str) -> str:
    return f"https://samtykke.example{path}?lang=nb"


def test_the_text_has_every_word_and_every_address() -> None:
    """Markdown's marks are gone, and what looks like HTML is what somebody wrote."""
    assert to_text(WRITTEN, page) == PLAIN


def test_the_html_has_the_same_words_in_the_same_order() -> None:
    """Headings stand below that of the mail, and links lead where the text says."""
    shown = BeautifulSoup(to_html(WRITTEN, page), "html.parser")
    addresses = [str(link["href"]) for link in shown.select("a")]
    assert addresses == [
        "https://samtykke.example/tips/grot?lang=nb",
        "https://a.example/b?x=1&y=2",
        "mailto:kari@example.no",
    ]
    words = PLAIN.replace("<https://samtykke.example/tips/grot?lang=nb>", "")
    for mark in ("- ", "3. ", "4. ", "| "):
        words = words.replace(mark, "")
    assert " ".join(shown.get_text(" ").replace(" ,", ",").split()).replace(
        "no .", "no."
    ) == " ".join(words.split())
    assert [one.name for one in shown.select("h1, h2, h3")] == ["h2"]
    assert shown.select("b") == []


@pytest.mark.requirement(43)
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("Se ![grøt](https://a.example/x.png) her", [Fault.IMAGE]),
        ("Se [![grøt](/x.png)](/tips/grot)", [Fault.IMAGE]),
        ("[a](https://a.example/?utm_source=brev)", [Fault.TRACKING]),
        ("[a](https://a.example/?x=1&fbclid=)", [Fault.TRACKING]),
        ("Se https://a.example/#x=1;UTM_Source=brev", [Fault.TRACKING]),
        ("`a.example?q=https%3A//b.example/%3Fgclid=1`", [Fault.TRACKING]),
        ("[a](tips/grot) [b](//a.example/)", [Fault.NOWHERE]),
        ("[a](https://a℀b.example/)", [Fault.NOWHERE]),
        ("[a](https://[a.example/)", [Fault.NOWHERE]),
        ("![x](y) [a](b?mc_eid=1)", [Fault.IMAGE, Fault.TRACKING, Fault.NOWHERE]),
        ("[a](https://a.example/?source=utm_x) [b](/tips) <a@b.example>", []),
        ("`![x](y)` <img src=x>", []),
    ],
)
def test_what_no_newsletter_may_have_is_found(words: str, found: list[Fault]) -> None:
    """Images, links that tell who followed them, and links that lead nowhere from a mail."""
    assert faults(words) == found
    # Whatever was let through by mistake: nothing is fetched when the mail is opened.
    page_of = BeautifulSoup(to_html(words, page), "html.parser")
    assert page_of.select("img, [src], [background]") == []
