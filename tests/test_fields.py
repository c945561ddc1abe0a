"""Every field that a person fills in belongs to a purpose, or is shown to be no data of theirs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from flask import Flask
from wtforms import Form

import blueprints
from domain.consent.purposes import PurposeRegister
from domain.locales import LOCALES
from forms import ConsentForm, SiteForm
from tests.support.browser import Browser

# Fields that collect nothing for a purpose in the register, each with the reason.
NO_DATA = {
    "csrf_token": "made by the site, to know its own forms",
    "presentation": "made by the site: what was shown",
    "terms": "the agreement itself; which version was accepted is the site's own date",
    "kind": "what a request is about: it runs on the law (GDPR art. 12), not on a purpose",
    "locale": "which language the person reads: part of the account (purpose account, its text)",
    "receipt": "a file to check: it is read, and nothing of it is kept",
    "text": "the same, pasted",
    "seen": "made by the site: what of a newsletter was shown",
    **dict.fromkeys(
        (f"{part}_{locale}" for part in ("subject", "words") for locale in LOCALES),
        "a newsletter, which staff write: about nobody",
    ),
    "current": "the password again, to show that it is them; it is compared and not kept",
}


def _forms() -> Iterator[type[Form]]:
    """Every form of every blueprint."""
    for package in pkgutil.walk_packages(blueprints.__path__, "blueprints."):
        module = importlib.import_module(package.name)
        for thing in vars(module).values():
            if isinstance(thing, type) and issubclass(thing, SiteForm):
                yield thing


FORMS = sorted({form for form in _forms() if form not in (SiteForm, ConsentForm)}, key=repr)


def test_forms_are_found() -> None:
    """A test over no forms would hold nothing."""
    names = {form.__name__ for form in FORMS}
    assert names >= {"RegisterForm", "ProfileForm", "SignInForm", "ObjectionForm", "EnquiryForm"}


@pytest.mark.requirement(1)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.__module__}.{form.__name__}")
def test_every_field_has_a_purpose(app: Flask, register: PurposeRegister, form: type[Form]) -> None:
    """A field that `purposes.toml` does not name is not asked for."""
    with app.test_request_context():
        fields = [field.name for field in form()]
    assert fields
    astray = [name for name in fields if not register.for_field(name) and name not in NO_DATA]
    assert astray == []


def test_the_reasons_are_needed(app: Flask, register: PurposeRegister) -> None:
    """The list of exceptions holds nothing that no form has, and nothing that has a purpose."""
    with app.test_request_context():
        fields = {field.name for form in FORMS for field in form()}
    assert set(NO_DATA) <= fields
    assert [name for name in NO_DATA if register.for_field(name)] == []


@pytest.mark.requirement(1)
def test_what_the_register_names_is_asked_for(app: Flask, register: PurposeRegister) -> None:
    """A purpose names no field that no form has."""
    with app.test_request_context():
        fields = {field.name for form in FORMS for field in form()}
    named = {name for purpose in register for name in purpose.fields}
    assert named <= fields


@pytest.mark.requirement(1, 87)
def test_the_registration_form_tells_what_each_field_is_for(
    client: Browser, register: PurposeRegister
) -> None:
    """Beside each field stand the names of its purposes, from the register."""
    page = client.get("/register?lang=en")
    for name in ("name", "email", "password", "phone", "address", "postal_code", "city"):
        field = page.soup.select_one(f'input[name="{name}"]')
        assert field
        described = str(field["aria-describedby"]).split()
        told = " ".join(page.soup.select_one(f"#{one}").get_text() for one in described)  # type: ignore[union-attr]
        for purpose in register.for_field(name):
            assert purpose.text["en"].name in told


@pytest.mark.requirement(55)
def test_no_form_asks_for_more_identity_than_it_needs(app: Flask) -> None:
    """No file but a receipt, which names nobody; no national identity number, no reason."""
    with app.test_request_context():
        kinds = {(field.name, field.type) for form in FORMS for field in form()}
    assert [name for name, kind in kinds if "File" in kind] == ["receipt"]
    assert not {name for name, _ in kinds} & {"reason", "ssn", "identity", "birthday", "birth_date"}
