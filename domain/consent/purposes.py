"""Purposes: the single source of what is processed, why, on which basis and for how long.

`content/purposes.toml` feeds the forms, the notice, the permission check and the export
(GDPR art. 5(1)(b), 6, 30). Each purpose has exactly one lawful basis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
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
from domain.dates import add_months, local_day, months_later


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
    notice that speaks of it as it stands here; older notices are not made to. A later version
    comes into force on that day.
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
    """The words around the choices on one surface, in one language.

    `accept` and `refuse` are buttons that answer everything at once, and `necessary` tells what is
    stored without asking; they stand together or not at all. `purpose` has a `label` and a
    `wording` for purposes that this surface asks for in words of its own.
    """

    heading: str
    introduction: str
    button: str
    notice: str
    accept: str = ""
    refuse: str = ""
    necessary: str = ""
    purpose: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Surface:
    """A place where consent is asked for. `layout` names the template that shows it; `purposes`
    are those that it asks for, all that are optional where it names none. `validity_months`,
    where it is not 0, is how long a yes lasts that was said here."""

    id: str
    layout: int
    text: Mapping[str, SurfaceText]
    purposes: tuple[str, ...] = ()
    validity_months: int = 0


@dataclass(frozen=True)
class PurposeRegister:
    """Everything in `content/` that a decision depends on, as it is from the day `begins` until
    the day `ends`. `numbers` are those that its words speak of, `versions` are all that stand
    there of each purpose, the oldest first; `on` finds the register of another day."""

    purposes: Mapping[str, Purpose]
    surfaces: Mapping[str, Surface]
    operator: Operator
    processors: tuple[Processor, ...]
    retention: Mapping[str, RetentionRule]
    marketing_age: int = 15
    numbers: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, tuple[Purpose, ...]] = field(default_factory=dict)
    begins: date = date.min
    ends: date = date.max
    _other_days: dict[date, PurposeRegister] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __iter__(self) -> Iterator[Purpose]:
        return iter(self.purposes.values())

    def told_on(self, day: date) -> list[Purpose]:
        """The purposes that a notice of this day speaks of, in the words of that day."""
        return [one for one in self.on(day) if one.since is None or one.since <= day]

    def on(self, day: date) -> PurposeRegister:
        """The register as it is on this day: of each purpose the newest version whose day has
        come. The first version of a purpose is there from the beginning."""
        if self.begins <= day < self.ends:
            return self
        turns = [date.min, *self.turns(), date.max]
        begins = max(one for one in turns if one <= day)
        if begins not in self._other_days:
            self._other_days[begins] = replace(
                self,
                purposes={
                    name: _newest(purpose, self.versions.get(name, ()), begins)
                    for name, purpose in self.purposes.items()
                },
                begins=begins,
                ends=min(one for one in turns if one > begins),
            )
        return self._other_days[begins]

    def turns(self) -> list[date]:
        """The days on which another version of a purpose comes into force."""
        later = (one for versions in self.versions.values() for one in versions[1:])
        return sorted({one.since for one in later if one.since is not None})

    def optional(self) -> list[Purpose]:
        """The purposes that people decide about."""
        return [purpose for purpose in self if purpose.optional]

    def asked_on(self, surface: Surface) -> list[Purpose]:
        """The purposes that a surface asks for."""
        return [
            one for one in self.optional() if one.id in surface.purposes or not surface.purposes
        ]

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


def purposes(session: Session, at: datetime | None = None) -> PurposeRegister:
    """The register that this session's database was opened with; as it is at this time, where
    one is given."""
    register: PurposeRegister = session.info["purposes"]
    return register if at is None else register.on(local_day(at))


def take_up(info: MutableMapping[str, Any], *, at: datetime) -> None:
    """From now on a database's sessions have the register of this time. Whoever runs over
    midnight asks for it again and again; it costs nothing while the day has not come."""
    register: PurposeRegister = info["purposes"]
    today = register.on(local_day(at))
    if today is not register:
        info["purposes"] = today


def load(content: Path, *, marketing_age: int = 15, on: date | None = None) -> PurposeRegister:
    """Read `purposes.toml`, `operator.toml` and `processors.toml`, as they are on this day, or
    today. Raises ContentError."""
    path = content / "purposes.toml"
    document = read_toml(path)
    processors = load_processors(content)
    versions = _versions(document, path)
    found = {name: first for name, (first, *_) in versions.items()}
    every = [one for several in versions.values() for one in several]
    rules = {
        name: _rule(values, f"{path} {name}")
        for name, values in _named(document, "retention", path).items()
    }
    _check_retention(every, rules, path)
    known = {processor.id for processor in processors}
    for purpose in every:
        if unknown := sorted(set(purpose.recipients) - known):
            raise ContentError(f"{path} {purpose.id}: no processor {', '.join(unknown)}")
    surfaces = {
        name: _surface(values, found, f"{path} {name}")
        for name, values in _named(document, "surface", path).items()
    }
    register = PurposeRegister(
        purposes=found,
        surfaces=surfaces,
        operator=load_operator(content),
        processors=processors,
        retention=rules,
        marketing_age=marketing_age,
        numbers=document.get("numbers", {}),
        versions=versions,
        ends=date.min,
    )
    return register.on(on or local_day(datetime.now(UTC)))


def _newest(purpose: Purpose, versions: tuple[Purpose, ...], day: date) -> Purpose:
    """The version that is in force on this day; the purpose as it is, where it has one alone."""
    begun = [one for one in versions[1:] if one.since is not None and one.since <= day]
    return (*versions[:1], *begun)[-1] if len(versions) > 1 else purpose


def _versions(document: Mapping[str, Any], path: Path) -> dict[str, tuple[Purpose, ...]]:
    """Each purpose with its versions, in the order of the file."""
    found: dict[str, tuple[Purpose, ...]] = {}
    for values in document.get("purpose", []):
        name = _id(values, "purpose", path)
        purpose, before = _purpose(values, f"{path} {name}"), found.get(name, ())
        if before and not _follows(before[-1], purpose):
            raise ContentError(
                f"{path} {name}: what stands there twice has the same basis, and a greater version"
                " and a later since than before it"
            )
        found[name] = (*before, purpose)
    return found


def _follows(before: Purpose, after: Purpose) -> bool:
    """Whether one may be the next version of the other."""
    later = after.since is not None and after.since > (before.since or date.min)
    return later and after.version > before.version and after.basis is before.basis


def _named(document: Mapping[str, Any], kind: str, path: Path) -> dict[str, Any]:
    """The tables of one kind by their id, in the order of the file."""
    found: dict[str, Any] = {}
    for values in document.get(kind, []):
        name = _id(values, kind, path)
        if name in found:
            raise ContentError(f"{path} {name}: a {kind} of this id stands there twice")
        found[name] = values
    return found


def _id(values: Mapping[str, Any], kind: str, path: Path) -> str:
    name = values.get("id")
    if not isinstance(name, str) or not name:
        raise ContentError(f"{path} [[{kind}]]: id is missing")
    return name


def _rule(values: Mapping[str, Any], where: str) -> RetentionRule:
    rule = build(RetentionRule, values, where)
    numbers = (rule.days, rule.months, rule.warn_days)
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ContentError(f"{where}: days, months and warn_days are whole numbers, 0 or more")
    if not rule.after:
        raise ContentError(f"{where}: after says what the time is counted from")
    return rule


def _check_retention(
    found: Sequence[Purpose], rules: Mapping[str, RetentionRule], path: Path
) -> None:
    """Each purpose has a rule, and each rule a purpose (GDPR art. 5(1)(e))."""
    for purpose in found:
        if not purpose.rules:
            raise ContentError(f"{path} {purpose.id}: no retention rule")
        if unknown := sorted(set(purpose.rules) - set(rules)):
            raise ContentError(f"{path} {purpose.id}: no retention rule {', '.join(unknown)}")
    named = {rule for purpose in found for rule in purpose.rules}
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
    if purpose.since is not None and type(purpose.since) is not date:
        raise ContentError(f"{where}: since is a day")
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


def _surface(values: Mapping[str, Any], found: Mapping[str, Purpose], where: str) -> Surface:
    texts = in_each_language(values, where)
    words = {
        locale: build(SurfaceText, text, f"{where} [{locale}]") for locale, text in texts.items()
    }
    surface = build(Surface, values, where, text=words)
    named = {*surface.purposes, *(one for text in words.values() for one in text.purpose)}
    if wrong := sorted(one for one in named if one not in found or not found[one].optional):
        raise ContentError(f"{where}: no purpose that rests on consent: {', '.join(wrong)}")
    for locale, text in words.items():
        if len({bool(text.accept), bool(text.refuse), bool(text.necessary)}) > 1:
            raise ContentError(f"{where} [{locale}]: accept, refuse and necessary go together")
        if any({*one} != {"label", "wording"} for one in text.purpose.values()):
            raise ContentError(f"{where} [{locale}]: a purpose has a label and a wording here")
    return replace(surface, purposes=tuple(surface.purposes))
