"""Who runs the site and who helps: `content/operator.toml` and `content/processors.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from domain.consent.errors import ContentError
from domain.locales import LOCALES

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """A postal address; parts may be empty."""

    street: str
    postal_code: str
    city: str
    country: str


@dataclass(frozen=True)
class Authority:
    """The supervisory authority that complaints go to."""

    name: str
    url: str


@dataclass(frozen=True)
class OperatorText:
    """What the operator says of itself, in one language."""

    tagline: str
    service: str
    front_heading: str
    front_text: str


@dataclass(frozen=True)
class Operator:
    """The controller (GDPR art. 4(7)). `org_number` and `phone` may be empty."""

    legal_name: str
    brand: str
    org_number: str
    email: str
    country: str
    address: Address
    authority: Authority
    text: Mapping[str, OperatorText]
    phone: str = ""


@dataclass(frozen=True)
class Processor:
    """Who processes data for the operator (GDPR art. 28). `transfer` is empty within the EEA.

    `notify` is the e-mail address that is told of rectification, erasure and restriction (art.
    19); empty where these take effect there by themselves, because they host our database."""

    id: str
    name: str
    country: str
    region: str
    transfer: str
    does: Mapping[str, str]
    data: Mapping[str, str]
    notify: str = ""


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content; raise ContentError that names the file."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ContentError(f"{path}: {error}") from error


def build(kind: type[T], values: Mapping[str, Any], where: str, **more: Any) -> T:
    """Make a dataclass from a table; raise ContentError that names what is missing or unknown."""
    names = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    given = {key: value for key, value in values.items() if key not in LOCALES} | more
    if unknown := sorted(set(given) - names):
        raise ContentError(f"{where}: unknown {', '.join(unknown)}")
    try:
        return kind(**given)
    except TypeError as error:
        raise ContentError(f"{where}: {error}") from error


def in_each_language(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The tables nb, nn and en; raise ContentError when one is missing."""
    if missing := [locale for locale in LOCALES if locale not in values]:
        raise ContentError(f"{where}: no text in {', '.join(missing)}")
    return {locale: values[locale] for locale in LOCALES}


def load_operator(content: Path) -> Operator:
    """Read `operator.toml`. Raises ContentError."""
    path = content / "operator.toml"
    values = read_toml(path)
    texts = in_each_language(values, str(path))
    return build(
        Operator,
        values,
        str(path),
        address=build(Address, values.get("address", {}), f"{path} [address]"),
        authority=build(Authority, values.get("authority", {}), f"{path} [authority]"),
        text={
            locale: build(OperatorText, text, f"{path} [{locale}]")
            for locale, text in texts.items()
        },
    )


def load_processors(content: Path) -> tuple[Processor, ...]:
    """Read `processors.toml`. Raises ContentError."""
    path = content / "processors.toml"
    found = []
    for values in read_toml(path).get("processor", []):
        where = f"{path} {values.get('id', '?')}"
        texts = in_each_language(values, where)
        for locale, text in texts.items():
            if missing := [key for key in ("does", "data") if not text.get(key)]:
                raise ContentError(f"{where} [{locale}]: {', '.join(missing)} is missing")
        words = {
            key: {locale: text[key] for locale, text in texts.items()} for key in ("does", "data")
        }
        if values.get("notify") and "@" not in str(values["notify"]):
            raise ContentError(f"{where}: notify is an e-mail address, or left out")
        found.append(build(Processor, values, where, **words))
    return tuple(found)
