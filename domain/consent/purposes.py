"""Purposes: the single source of what is processed, why, on which basis and for how long.

`content/purposes.toml` feeds the forms, the notice, the permission check and the export
(GDPR art. 5(1)(b), 6, 30). Each purpose has exactly one lawful basis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from domain.consent.errors import ContentError, UnknownPurpose
from domain.consent.operator import (
    Operator,
    Processor,
    build,
    in_each_language,
    load_operator,
    load_processors,
    read_toml,
)
from domain.dates import add_months, months_later


class Basis(StrEnum):
    """The lawful bases that the site uses (GDPR art. 6(1))."""

    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    LEGITIMATE_INTEREST = "legitimate_interest"
    CONSENT = "consent"


@dataclass(frozen=True)
class RetentionRule:
    """How long something stays: until so long `after` something happened. `after` is a word of
    ours that domain/rights/due.py knows; a rule without a time lasts until the erasure of the
    person. So many days before the end as `warn_days` says, the person is told."""

    id: str
    after: str
    days: int = 0
    months: int = 0
    warn_days: int = 0

    @property
    def limited(self) -> bool:
        """Whether time alone ends it."""
        return bool(self.days or self.months)

    @property
    def span(self) -> timedelta:
        """A rule in days as a length of time."""
        return timedelta(days=self.days)

    def end(self, day: date) -> date:
        """The last day that it may stay, of what happened on `day`; days as they are in Norway."""
        return add_months(day, self.months) + self.span

    def until(self, at: datetime) -> datetime:
        """When it has to go, of what happened at this time."""
        return months_later(at, self.months) + self.span


@dataclass(frozen=True)
class PurposeText:
    """A purpose in one language. `label` and `wording` are what a person agrees to."""

    name: str
    purpose: str
    data: str
    basis: str
    retention: str
    mandatory: str
    label: str = ""
    wording: str = ""


@dataclass(frozen=True)
class Purpose:
    """One purpose. A consent to it counts only for the same `version`.

    `rules` are ids of the retention rules for what is kept for it. `since` is the day of the first
    notice that speaks of it; older notices are not made to.
    `validity_months` is how long a yes lasts. `age_limited` purposes ask for the marketing
    age, `confirmed_address` ones for an address that its owner has confirmed.
    """

    id: str
    version: int
    basis: Basis
    article: str
    fields: tuple[str, ...]
    recipients: tuple[str, ...]
    rules: tuple[str, ...]
    text: Mapping[str, PurposeText]
    since: date | None = None
    validity_months: int = 0
    age_limited: bool = False
    confirmed_address: bool = False

    @property
    def optional(self) -> bool:
        """Whether the person chooses: consent is the basis."""
        return self.basis is Basis.CONSENT

    @property
    def restrictable(self) -> bool:
        """Whether a restriction stops it (GDPR art. 18(2)). What the person came for and what
        the law demands goes on."""
        return self.basis in (Basis.CONSENT, Basis.LEGITIMATE_INTEREST)


@dataclass(frozen=True)
class SurfaceText:
    """The words around the choices on one surface, in one language."""

    heading: str
    introduction: str
    button: str
    notice: str


@dataclass(frozen=True)
class Surface:
    """A place where consent is asked for. `layout` names the template that shows it."""

    id: str
    layout: int
    text: Mapping[str, SurfaceText]


@dataclass(frozen=True)
class PurposeRegister:
    """Everything in `content/` that a decision depends on. `numbers` are those that its words
    speak of."""

    purposes: Mapping[str, Purpose]
    surfaces: Mapping[str, Surface]
    operator: Operator
    processors: tuple[Processor, ...]
    retention: Mapping[str, RetentionRule]
    marketing_age: int = 15
    numbers: Mapping[str, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Purpose]:
        return iter(self.purposes.values())

    def told_on(self, day: date) -> list[Purpose]:
        """The purposes that a notice of this day speaks of."""
        return [purpose for purpose in self if purpose.since is None or purpose.since <= day]

    def optional(self) -> list[Purpose]:
        """The purposes that people decide about."""
        return [purpose for purpose in self if purpose.optional]

    def consent_purpose(self, purpose_id: str) -> Purpose:
        """The consent purpose with this id; raise UnknownPurpose for any other id."""
        purpose = self.purposes.get(purpose_id)
        if purpose is None or not purpose.optional:
            raise UnknownPurpose(purpose_id)
        return purpose

    def for_field(self, name: str) -> list[Purpose]:
        """The purposes that a form field is collected for."""
        return [purpose for purpose in self if name in purpose.fields]

    def old_enough(self, purpose: Purpose, declared_age: int | None) -> bool:
        """Whether the declared age is enough for this purpose."""
        return not purpose.age_limited or (declared_age or 0) >= self.marketing_age


def purposes(session: Session) -> PurposeRegister:
    """The register that this session's database was opened with."""
    register: PurposeRegister = session.info["purposes"]
    return register


def load(content: Path, *, marketing_age: int = 15) -> PurposeRegister:
    """Read `purposes.toml`, `operator.toml` and `processors.toml`. Raises ContentError."""
    path = content / "purposes.toml"
    document = read_toml(path)
    processors = load_processors(content)
    found = {
        name: _purpose(values, f"{path} {name}")
        for name, values in _named(document, "purpose", path).items()
    }
    rules = {
        name: _rule(values, f"{path} {name}")
        for name, values in _named(document, "retention", path).items()
    }
    _check_retention(found, rules, path)
    known = {processor.id for processor in processors}
    for purpose in found.values():
        if unknown := sorted(set(purpose.recipients) - known):
            raise ContentError(f"{path} {purpose.id}: no processor {', '.join(unknown)}")
    surfaces = {
        name: _surface(values, f"{path} {name}")
        for name, values in _named(document, "surface", path).items()
    }
    return PurposeRegister(
        purposes=found,
        surfaces=surfaces,
        operator=load_operator(content),
        processors=processors,
        retention=rules,
        marketing_age=marketing_age,
        numbers=document.get("numbers", {}),
    )


def _named(document: Mapping[str, Any], kind: str, path: Path) -> dict[str, Any]:
    """The tables of one kind by their id, in the order of the file."""
    found: dict[str, Any] = {}
    for values in document.get(kind, []):
        name = values.get("id")
        if not isinstance(name, str) or not name:
            raise ContentError(f"{path} [[{kind}]]: id is missing")
        if name in found:
            raise ContentError(f"{path} {name}: a {kind} of this id stands there twice")
        found[name] = values
    return found


def _rule(values: Mapping[str, Any], where: str) -> RetentionRule:
    rule = build(RetentionRule, values, where)
    numbers = (rule.days, rule.months, rule.warn_days)
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ContentError(f"{where}: days, months and warn_days are whole numbers, 0 or more")
    if not rule.after:
        raise ContentError(f"{where}: after says what the time is counted from")
    return rule


def _check_retention(
    found: Mapping[str, Purpose], rules: Mapping[str, RetentionRule], path: Path
) -> None:
    """Each purpose has a rule, and each rule a purpose (GDPR art. 5(1)(e))."""
    for purpose in found.values():
        if not purpose.rules:
            raise ContentError(f"{path} {purpose.id}: no retention rule")
        if unknown := sorted(set(purpose.rules) - set(rules)):
            raise ContentError(f"{path} {purpose.id}: no retention rule {', '.join(unknown)}")
    named = {rule for purpose in found.values() for rule in purpose.rules}
    if unnamed := sorted(set(rules) - named):
        raise ContentError(f"{path}: no purpose names the retention rule {', '.join(unnamed)}")


def _purpose(values: Mapping[str, Any], where: str) -> Purpose:
    texts = in_each_language(values, where)
    try:
        basis = Basis(values.get("basis", ""))
    except ValueError as error:
        raise ContentError(f"{where}: basis is one of {', '.join(Basis)}") from error
    purpose = build(
        Purpose,
        values,
        where,
        basis=basis,
        text={
            locale: build(PurposeText, text, f"{where} [{locale}]")
            for locale, text in texts.items()
        },
    )
    if type(purpose.version) is not int or purpose.version < 1:
        raise ContentError(f"{where}: version is a whole number from 1")
    if purpose.optional and not all(
        (purpose.validity_months, *(t.label and t.wording for t in purpose.text.values()))
    ):
        raise ContentError(f"{where}: consent takes label, wording and validity_months")
    return replace(
        purpose,
        fields=tuple(purpose.fields),
        recipients=tuple(purpose.recipients),
        rules=tuple(purpose.rules),
    )


def _surface(values: Mapping[str, Any], where: str) -> Surface:
    texts = in_each_language(values, where)
    words = {
        locale: build(SurfaceText, text, f"{where} [{locale}]") for locale, text in texts.items()
    }
    return build(Surface, values, where, text=words)
