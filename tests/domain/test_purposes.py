"""`purposes.toml`: one basis each, whole in three languages, and errors that say where."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from domain.consent import purposes
from domain.consent.errors import ContentError, UnknownPurpose
from domain.consent.purposes import Basis, Purpose, PurposeRegister, Surface
from domain.locales import LOCALES
from tests.domain.consenting import CONTENT

ARTICLES = {
    Basis.CONSENT: "6(1)(a)",
    Basis.CONTRACT: "6(1)(b)",
    Basis.LEGAL_OBLIGATION: "6(1)(c)",
    Basis.LEGITIMATE_INTEREST: "6(1)(f)",
}
# Words that say nothing, promise, press or reward (requirements 8, 18; EDPB 03/2022).
VAGUE = re.compile(
    r"""forbedre\w*\ opplevelsen | betre\ opplevinga | improve\ (your|the)\ experience
    | (brukere|user\ e|kundeo)\w*opplevelse | tilpass\w*\ opplevelse | personali[sz]ed\ experience
    | skreddersyd\w* | skreddarsydd\w* | tailored | relevan(t|te|ce)\b
    | blant\ annet | mellom\ anna | among\ other\ things | et\ cetera | osv\. | etc\.
    | gå\ glipp | miss\ out | eksklusiv\w* | exclusive
    | dessverre | dverre | unfortunately | anbefal\w* | tilrår\w* | recommend\w*
    | bare\ i\ dag | berre\ i\ dag | only\ today | rabatt\w* | discount\w*
    | premie\w* | prizes?\b | gift\b
    | partner\w* | tredjepart\w* | third\ part\w*""",
    re.IGNORECASE | re.VERBOSE,
)


def versions(register: PurposeRegister) -> list[Purpose]:
    """Every purpose in every version: older words are still read, in notices and in histories."""
    return [one for several in register.versions.values() for one in several]


@pytest.mark.requirement(1)
def test_each_purpose_has_one_basis_data_recipients_and_retention(
    register: PurposeRegister,
) -> None:
    """Everything that GDPR art. 5 and 6 ask of a purpose, in each language."""
    processors = {processor.id for processor in register.processors}
    ids = ["account", "bookkeeping", "security", "support", "rights"]
    ids += ["marketing", "analytics"]
    assert list(register.purposes) == ids
    for purpose in versions(register):
        assert purpose.article == ARTICLES[purpose.basis]
        assert purpose.version >= 1
        assert purpose.recipients
        assert set(purpose.recipients) <= processors
        assert set(purpose.text) == set(LOCALES)
        for locale, text in purpose.text.items():
            for key in ("name", "purpose", "data", "basis", "retention", "mandatory"):
                assert getattr(text, key).strip(), f"{purpose.id} [{locale}] {key}"


@pytest.mark.requirement(2, 12)
def test_what_is_kept_since_24_november_is_named_from_that_day_on(
    register: PurposeRegister,
) -> None:
    """Who is counted so that nobody guesses and nobody fills the ledger; what stands on an account.
    Neither rests on consent, so no yes lapses by it."""
    said = {
        ("security", "purpose"): ("fylle samtykkeloggen", "fylle samtykkeloggen", "fill the"),
        ("security", "data"): ("uten konto", "utan konto", "without an account"),
        ("account", "data"): ("feilkoden", "feilkoden", "the error code"),
    }
    for day, told in ((date(2026, 11, 23), False), (date(2026, 11, 24), True)):
        there = register.on(day).purposes
        for (name, part), words in said.items():
            assert not there[name].optional
            for locale, some in zip(LOCALES, words, strict=True):
                assert (some in getattr(there[name].text[locale], part)) is told, (name, locale)


@pytest.mark.requirement(1, 12)
def test_only_consent_asks_and_it_asks_with_everything_to_decide_by(
    register: PurposeRegister,
) -> None:
    """The wording names controller, data, duration, and how to withdraw, beside the box; what
    rests on another basis has no box."""
    withdraw = {"nb": "Endre valgene dine", "nn": "Endre vala dine", "en": "Change your choices"}
    assert [purpose.id for purpose in register.optional()] == ["marketing", "analytics"]
    for purpose in versions(register):
        for locale, text in purpose.text.items():
            assert bool(text.label) is bool(text.wording) is purpose.optional
            if purpose.optional:
                assert register.operator.legal_name in text.wording
                assert register.operator.email in text.wording
                assert str(purpose.validity_months) in text.wording
                assert withdraw[locale] in text.wording


@pytest.mark.requirement(8, 18)
def test_no_word_is_vague_pressing_or_tempting(register: PurposeRegister) -> None:
    """In purposes and around the choices, in three languages."""
    things: list[Purpose | Surface] = [*versions(register), *register.surfaces.values()]
    texts = {
        f"{thing.id} {number} [{locale}] {key}": str(value)
        for number, thing in enumerate(things)
        for locale, text in thing.text.items()
        for key, value in vars(text).items()
    }
    assert len(texts) == 10 * 3 * 8 + 5 * 3 * 8
    assert {where: found[0] for where, text in texts.items() if (found := VAGUE.search(text))} == {}


@pytest.mark.requirement(8)
@pytest.mark.parametrize("path", sorted((CONTENT / "notices").glob("*/2026-*/*.md")))
def test_the_notices_in_force_are_not_vague_either(path: Path) -> None:
    """The 2018 version is what it was."""
    assert not VAGUE.search(path.read_text("utf-8"))


def test_the_lint_knows_what_it_looks_for() -> None:
    """A lint that finds nothing in the worst sentence finds nothing anywhere."""
    for text in (
        "For å forbedre opplevelsen din",
        "We use it to improve your experience",
        "Ikke gå glipp av tilbud",
        "skreddersydde nyheter",
        "nyheiter og meir, mellom anna tips",
    ):
        assert VAGUE.search(text), text


def test_fields_lead_to_their_purposes(register: PurposeRegister) -> None:
    """A field may serve several purposes, and one that nobody declared serves none."""
    assert [one.id for one in register.for_field("phone")] == ["support"]
    assert {one.id for one in register.for_field("email")} >= {"account", "marketing"}
    assert register.for_field("shoe_size") == []


def test_only_consent_purposes_can_be_decided(register: PurposeRegister) -> None:
    """Neither one with another basis nor one that does not exist."""
    assert register.consent_purpose("marketing").optional
    for other in ("account", "profiling", ""):
        with pytest.raises(UnknownPurpose):
            register.consent_purpose(other)


@pytest.mark.parametrize(
    ("declared", "limit", "enough"),
    [(15, 15, True), (14, 15, False), (13, 15, False), (None, 15, False), (15, 16, False)],
)
@pytest.mark.requirement(9)
def test_age_counts_for_marketing_alone(declared: int | None, limit: int, enough: bool) -> None:
    """Who has not said how old they are is not old enough; analytics has no limit."""
    register = purposes.load(CONTENT, marketing_age=limit)
    assert register.old_enough(register.purposes["marketing"], declared) is enough
    assert register.old_enough(register.purposes["analytics"], declared)


def _without(pattern: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, "", text, count=1, flags=re.MULTILINE | re.DOTALL)


def _with(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


WRONG: list[tuple[str, Callable[[str], str], str]] = [
    ("purposes", _with('basis = "contract"', 'basis = "curiosity"'), "account.*basis"),
    ("purposes", _without(r'^basis = "contract"$'), "account.*basis"),
    ("purposes", _without(r'^article = "6\(1\)\(b\)"$'), "account.*article"),
    ("purposes", _with("version = 1", "version = 1\ncolour = 3"), "account.*colour"),
    ("purposes", _without(r"^\[purpose\.nn\].*?(?=^\[purpose\.en\])"), "account.*nn"),
    ("purposes", _without(r"^retention = .*?$"), r"account \[nb\].*retention"),
    ("purposes", _with("validity_months = 24", "validity_months = 0"), "marketing.*validity"),
    ("purposes", _without(r"^label = .*?$"), r"marketing.*label"),
    ("purposes", _with('recipients = ["aws"]', 'recipients = ["wix"]'), "account.*wix"),
    ("purposes", _with('id = "bookkeeping"', 'id = "account"'), "account.*twice"),
    ("purposes", _with('id = "account"', ""), r"purpose.*id is missing"),
    ("purposes", _with("version = 2", "version = 1"), "account.*twice"),
    ("purposes", _without(r"^since = 2026-11-24$"), "account.*twice"),
    ("purposes", _with("since = 2026-11-24", 'since = "soon"'), "account.*since is a day"),
    ("purposes", _with("version = 1", 'version = "1"'), "account.*version"),
    ("purposes", _with("version = 1", "version = 0"), "account.*version"),
    ("purposes", _with('heading = "To valg', 'headline = "To valg'), "register.*headline"),
    ("purposes", _with('id = "preferences"', ""), r"surface.*id"),
    ("purposes", _with("[[purpose]]", "[[purpose"), "purposes.toml"),
    ("operator", _without(r"^legal_name = .*?$"), "legal_name"),
    ("operator", _without(r"^tagline = .*?$"), "tagline"),
    ("processors", _without(r"^transfer = .*?$"), "aws.*transfer"),
    ("processors", _without(r"^does = .*?$"), r"aws.*does"),
    ("processors", _without(r"^\[processor\.nn\].*?(?=^\[processor\.en\])"), "aws.*nn"),
]


@pytest.mark.requirement(1)
@pytest.mark.parametrize(("name", "spoil", "says"), WRONG)
def test_an_error_in_the_content_names_the_file_and_the_key(
    tmp_path: Path, name: str, spoil: Callable[[str], str], says: str
) -> None:
    """The operator is told where to look, and the site does not start half right."""
    content = tmp_path / "content"
    shutil.copytree(CONTENT, content)
    path = content / f"{name}.toml"
    before = path.read_text("utf-8")
    after = spoil(before)
    assert after != before
    path.write_text(after, "utf-8")
    with pytest.raises(ContentError, match=says) as error:
        purposes.load(content)
    assert str(path) in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Also when there is nothing at all."""
    with pytest.raises(ContentError, match=r"purposes\.toml"):
        purposes.load(tmp_path)


@pytest.mark.requirement(44)
def test_nothing_is_marketed_by_telephone_or_post(register: PurposeRegister) -> None:
    """So there is nothing to wash against Reservasjonsregisteret: no purpose that rests on consent
    has a telephone number or a postal address among its data."""
    asked = {field for purpose in register.optional() for field in purpose.fields}
    assert "email" in asked
    assert not asked & {"phone", "address", "postal_code", "city"}
