"""What the notice of 24 November 2026 promises is what the site does: its numbers are the
register's, and it speaks of everything that the rights, and the use of consent, brought."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from blueprints.site import cookies
from domain.consent import renewing
from domain.consent.purposes import PurposeRegister, RetentionRule
from domain.identity.signed_links import FOLLOWED
from domain.locales import LOCALES
from domain.rights.inventory import INVENTORY
from tests.domain.consenting import CONTENT

FOLDER = CONTENT / "notices" / "privacy" / "2026-11-24"
TEXTS = {locale: (FOLDER / f"{locale}.md").read_text("utf-8") for locale in LOCALES}
# Small numbers are written out.
SPELLED = {
    "nb": {3: "tre", 5: "fem", 6: "seks", 7: "sju"},
    "nn": {3: "tre", 5: "fem", 6: "seks", 7: "sju"},
    "en": {3: "three", 5: "five", 6: "six", 7: "seven"},
}
# How long something stays by each rule, in the words of the notice in nb, nn and en.
SAID: dict[str, tuple[str, str, str]] = {
    "customer": (
        "senest {months} måneder etter at det ble avsluttet",
        "seinast {months} månader etter at det blei avslutta",
        "no later than {months} months after it ended",
    ),
    "unconfirmed": (
        "ikke blir bekreftet:** {days} dager",
        "ikkje blir stadfesta:** {days} dagar",
        "is not confirmed:** {days} days",
    ),
    "messages": ("slettes etter {days} dager", "sletta etter {days} dagar", "after {days} days"),
    "attempts": (
        "logge inn og få e-post:** høyst {hours} timer",
        "logge inn og få e-post:** høgst {hours} timar",
        "to be sent e-mail:** at most {hours} hours",
    ),
    "links": (
        "{days} dager etter at de har sluttet å virke",
        "{days} dagar etter at dei har slutta å verke",
        "{days} days after they stopped working",
    ),
    "accounting": (
        "i {years} år etter utgangen av regnskapsåret",
        "i {years} år etter utgangen av rekneskapsåret",
        "for {years} years after the end of the financial year",
    ),
    "case_texts": (
        "høyst {months} måneder etter at saken er avsluttet",
        "høgst {months} månader etter at saka er avslutta",
        "at most {months} months after the case is closed",
    ),
    "correspondents": (
        "{months} måneder etter at den siste saken din er avsluttet",
        "{months} månader etter at den siste saka di er avslutta",
        "{months} months after your last case was closed",
    ),
    "cases": ("slettes etter {years} år", "sletta etter {years} år", "after {years} years"),
    "exports": (
        "til du har hentet dem, og høyst {hours} timer",
        "til du har henta dei, og høgst {hours} timar",
        "until you have fetched them, and at most {hours} hours",
    ),
    "deliveries": (
        "slettes {days} dager etter at utsendingen er ferdig",
        "sletta {days} dagar etter at utsendinga er ferdig",
        "deleted {days} days after the sending is finished",
    ),
    "usage": (
        "hver registrering slettes etter {months} måneder",
        "kvar registrering blir sletta etter {months} månader",
        "each record is deleted after {months} months",
    ),
    "visitors": (
        "kjennetegnet ditt i høyst {months} måneder",
        "kjenneteiknet ditt i høgst {months} månader",
        "your mark for at most {months} months",
    ),
}
WARNED = ("e-post {} dager før", "e-post {} dagar før", "by e-mail {} days before")
ASKED = ("{} dager før et ja", "{} dagar før eit ja", "{} days before a yes on the account")
# How long a yes lasts, on an account and in a browser.
LASTS = (
    "{} måneder og et ja i en nettleser i {}",
    "{} månader og eit ja i ein nettlesar i {}",
    "{} months and a yes in a browser for {}",
)
FOLLOWING = ("varer i {} dager", "varer i {} dagar", "lasts for {} days")
# What the rights and the use of consent brought, by words that carry it in each language.
BROUGHT = {
    "the page": ("/account/privacy",) * 3,
    "asking without an account": ("/requests/new",) * 3,
    "extension": ("forlenges med to måneder", "forlengd med to månader", "extended by two months"),
    "its reason": ("med grunnen", "med grunnen", "with the reason"),
    "refusal": ("får du vite hvorfor", "får du vite kvifor", "you are told why"),
    "complaint": ("hvordan du klager", "korleis du klagar", "how to complain"),
    "following a case": ("følge saken", "følgje saka", "follow the case"),
    "fetched once": ("hentes én gang", "hentast éin gong", "fetched once"),
    "grace": ("«Slett nå»", "«Slett no»", "“Erase now”"),
    "holds": ("rettskrav, slettes resten", "rettskrav, blir resten", "legal claim, the rest"),
    "books": ("beholder salgsdokumentet", "tek vare på salsdokumentet", "keep the sales document"),
    "backups": ("Sikkerhetskopier", "Tryggingskopiar", "Backups"),
    "the journal": ("uten navn på noen", "utan namn på nokon", "names nobody"),
    "restriction": ("med én knapp", "med éin knapp", "with one button"),
    "marketing": ("stanser vi alltid", "stansar me alltid", "always stop"),
    "JSON and CSV": ("JSON og CSV", "JSON og CSV", "JSON and CSV"),
    "told recipients": ("(artikkel 19)", "(artikkel 19)", "(Article 19)"),
    "receipts": ("kvitteringer fra", "kvitteringar frå", "receipts from"),
    "public fingerprints": ("[offentlige]", "[offentlege]", "[public]"),
    "the footer": ("Nederst i e-postene", "Nedst i e-postane", "At the foot of our e-mails"),
    "no IP addresses": ("IP-adresser lagres ikke", "IP-adresser blir ikkje", "are not kept"),
    "the subscription": ("abonnementet er over", "abonnementet er over", "subscription is over"),
    "no identity document": ("legitimasjon", "legitimasjon", "identity document"),
    "one click": ("melder deg av med ett trykk", "melder deg av med eitt trykk", "with one press"),
    "no tracking": ("om du har åpnet det", "om du har opna det", "whether you have opened it"),
    "bounces": ("og feilkoden", "og feilkoden", "and the error code"),
    "pseudonyms": ("et pseudonym", "eit pseudonym", "a pseudonym"),
    "a key of the month": ("en ny hver måned", "ein ny kvar månad", "a new one each month"),
    "small groups": ("færre enn fem", "færre enn fem", "fewer than five"),
    "visitors": ("kvitteringen din", "kvitteringa di", "your receipt"),
    "the signal": ("`Sec-GPC: 1`",) * 3,
    "the account counts": ("gjelder valget på", "gjeld valet på", "choice on the account counts"),
    "expiry": ("og sender ingenting", "og sender ingenting", "and send nothing"),
    "a new version": ("det gamle ja-et lenger", "det gamle ja-et lenger", "the old yes does not"),
    "the ledger of campaigns": ("ikke til hvem", "ikkje til kven", "not to whom"),
    "the visitor's page": ("(/consent)",) * 3,
}


def numbers(rule: RetentionRule, locale: str) -> dict[str, str]:
    """What a rule says, as the notice writes numbers."""
    counted = {"days": rule.days, "months": rule.months}
    counted |= {"hours": rule.days * 24, "years": rule.months // 12}
    return {name: SPELLED[locale].get(one, str(one)) for name, one in counted.items()}


@pytest.mark.requirement(3, 51)
@pytest.mark.parametrize(("place", "locale"), list(enumerate(LOCALES)))
def test_its_numbers_are_those_of_the_register(
    register: PurposeRegister, place: int, locale: str
) -> None:
    """Rule by rule; and the days of the warning and of the link to a case."""
    text = TEXTS[locale]
    timed = {rule.id for rule in register.retention.values() if rule.limited}
    assert set(SAID) == timed, "a new rule is told of"
    for name, said in SAID.items():
        assert said[place].format(**numbers(register.retention[name], locale)) in text
    assert WARNED[place].format(register.retention["customer"].warn_days) in text
    assert FOLLOWING[place].format(FOLLOWED.days) in text
    assert ASKED[place].format(renewing.BEFORE.days) in text
    assert register.numbers["renewal_days"] == renewing.BEFORE.days
    lasts = register.purposes["analytics"].validity_months
    assert lasts == register.purposes["marketing"].validity_months
    assert LASTS[place].format(lasts, register.surfaces["visitor"].validity_months) in text


@pytest.mark.requirement(3, 54, 62, 63)
@pytest.mark.parametrize(("place", "locale"), list(enumerate(LOCALES)))
def test_it_speaks_of_everything_that_was_brought(place: int, locale: str) -> None:
    """The same in each language, section by section."""
    assert [what for what, words in BROUGHT.items() if words[place] not in TEXTS[locale]] == []
    shape = [line.split(" ")[0] for line in TEXTS[locale].splitlines() if line[:1] in ("#", "-")]
    assert shape == [
        line.split(" ")[0] for line in TEXTS["nb"].splitlines() if line[:1] in ("#", "-")
    ]


@pytest.mark.requirement(3, 30)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_it_names_every_cookie_of_the_register(app: Flask) -> None:
    """And none that there is not. A site without HTTPS has the names without their prefix."""
    with app.test_request_context():
        told = {one.name for one in cookies.inventory()}
    for text in TEXTS.values():
        assert set(re.findall(r"^- `(?:__Host-)?([^`]+)`", text, re.MULTILINE)) == told


@pytest.mark.requirement(51)
def test_what_security_keeps_is_gone_in_the_time_that_its_words_say(
    register: PurposeRegister,
) -> None:
    """At most 24 hours: links stay for a week, so they are kept for other purposes."""
    security = register.purposes["security"]
    assert "24" in security.text["en"].retention
    for rule in security.rules:
        assert (register.retention[rule].days, register.retention[rule].months) == (1, 0)
    (links,) = [one for one in INVENTORY if one.name == "links"]
    assert links.purposes == ("account", "rights")
