"""Telling languages apart by their words."""

from __future__ import annotations

import re

from bs4 import BeautifulSoup

from tests.support.browser import Page

NORWEGIAN = ("nb", "nn")
ENGLISH = frozenset(
    "the your and with you this that of we is are not have from was our what which when it".split()
)
# Each list: words and endings that only the other Norwegian has. What both have is in neither.
BOKMAL = (
    "ikke jeg vi dere deres hva hvor hvordan hvorfor hvem hvilke hvilken hvilket hver "
    "hvert hvis noe noen fra uten mens bare ble en et være gjøre gjør selv måneder nå også samme "
    "se velg velge valg valgene annen annet mye navn navnet adressen e-postadressen lenken siden "
    "tjenesten nettstedet lagrer sletter endrer skriver bekreft bekreftet slettet "
    "trenger informasjonskapsler databehandlere åpne åpen derfor begynner forespørsel"
).split()
BOKMAL_ENDINGS = re.compile(r"(else[nr]?|elsene|(?<!sj)het|heten|heter|hetene|inger|ingene)$")
NYNORSK = (
    "ikkje eg me dykk dykkar kva kor korleis kvifor kven kvar kvart dersom noko nokon nokre frå "
    "utan medan berre blei vart dei ein eit eitt éin éitt vere gjere gjer sjølv månader no òg same "
    "sjå vel velje vala anna mykje namn namnet adressa e-postadressa lenka sida tenesta nettstaden "
    "lagrar slettar endrar stadfest stadfesta sletta treng informasjonskapslar databehandlarar "
    "opne open difor byrjar førespurnad"
).split()
NYNORSK_ENDINGS = re.compile(r"(ingar|ingane|(?<=.{3})heit|heiter|heita|heitene|leg|leik)$")
# Words with such an ending that belong to the language all the same.
BOTH = frozenset({"helse", "else", "het", "finger"})
WORD = re.compile(r"[\w-]+")


def strange(words: str, locale: str) -> list[str]:
    """The words that a reader of this language would stumble over."""
    found = [one.lower().strip("-_") for one in WORD.findall(words)]
    return sorted({one for one in found if _is_strange(one, locale)} - BOTH)


def _is_strange(word: str, locale: str) -> bool:
    if word in ENGLISH:
        return locale in NORWEGIAN
    if locale == "nn":
        return word in BOKMAL or bool(BOKMAL_ENDINGS.search(word))
    return locale == "nb" and (word in NYNORSK or bool(NYNORSK_ENDINGS.search(word)))


def spoken(html: str) -> tuple[str, str]:
    """The language of a document and the words that are in it, with those only heard."""
    soup = BeautifulSoup(html, "html.parser")
    assert soup.html is not None
    locale = str(soup.html["lang"])
    for part in soup.select(f'[lang]:not(html):not([lang="{locale}"]), code, style, .mono'):
        part.decompose()
    heard = [
        str(part[name]) for name in ("aria-label", "title") for part in soup.select(f"[{name}]")
    ]
    return locale, " ".join([soup.get_text(" "), *heard])


def assert_spoken(page: Page, locale: str) -> None:
    """The whole page is in this language, and says so."""
    said, words = spoken(page.html)
    assert said == locale, page.path
    assert strange(words, locale) == [], page.path
