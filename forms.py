"""What all forms share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from flask import g, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as __
from flask_wtf import FlaskForm
from markupsafe import Markup, escape
from wtforms import BooleanField, Field, Form, HiddenField, PasswordField, StringField
from wtforms.validators import Length, Optional, StopValidation, ValidationError

from domain.identity import emails, phones
from domain.identity.accounts import Person
from domain.identity.errors import InvalidAddress, InvalidPhone
from extensions import clock, day, now


class SiteForm(FlaskForm):
    """A form that says in its reader's language when it was open for too long.

    A view that is marked `keeps_typed` gets here with a bad token, and shows the form again
    with everything that was typed. So does one that was tried too often (app.py).
    """

    class Meta(FlaskForm.Meta):
        """WTForms' own words are replaced by ours, so it needs no translations of its own."""

        locales = ()

        def get_translations(self, form: Form) -> None:
            """None: every message comes from the site's catalogue."""

    def validate(self, extra_validators: Any = None) -> bool:
        """Validate; a missing or old token is explained above the form, and so is that it was
        sent too often: then nothing else is looked at."""
        retry_at = g.get("retry_at")
        if retry_at is not None:
            self.form_errors.append(too_often(retry_at))
            return False
        valid: bool = super().validate(extra_validators)
        if self.csrf_token.errors:
            self.form_errors.append(
                _("This page had been open for too long. Nothing was sent. Please try once more.")
            )
        return valid


def too_often(retry_at: datetime) -> Markup:
    """That something was sent too often, and when it may be sent."""
    at = Markup('<time datetime="{}">{}</time>').format(retry_at.isoformat(), clock(retry_at))
    if retry_at - now() < timedelta(hours=12):
        when = escape(_("You can try again at %(time)s.")) % {"time": at}
    else:
        words = escape(_("You can try again on %(day)s at %(time)s."))
        when = words % {"day": day(retry_at), "time": at}
    return Markup("{} {}").format(_("That was often, and nothing was sent this time."), when)


def sent_from_here() -> bool:
    """Whether this POST came with a good CSRF token: app.py has looked."""
    return bool(g.get("csrf_valid", False))


class EmptyForm(SiteForm):
    """A form that is one button: only the token against forgery."""


class Required:
    """The field must be filled in; says what to do, not what is wrong."""

    field_flags = {"required": True}  # noqa: RUF012 - WTForms' own protocol

    def __init__(self, message: Any):
        self.message = message

    def __call__(self, form: Form, field: Field) -> None:
        """Stop with the message if there is nothing but blanks."""
        if not field.data or (isinstance(field.data, str) and not field.data.strip()):
            field.errors = []
            raise StopValidation(str(self.message))


class ConsentForm(SiteForm):
    """A form that asks for consent: it carries the token of what it shows."""

    presentation = HiddenField()

    @classmethod
    def showing(cls, content: Mapping[str, Any], **values: Any) -> Self:
        """The form with a box for each purpose of a presentation, unticked unless `values`
        say that the person's yes is in force."""
        boxes = {
            f"consent-{purpose['id']}": BooleanField(purpose["label"])
            for purpose in content["purposes"]
        }
        made: Self = type(cls.__name__, (cls,), boxes)(**values)
        return made

    @staticmethod
    def sent() -> tuple[str | None, dict[str, bool]]:
        """The token of what was shown and what was ticked by purpose, as they were sent: what a
        form made of this request would say, without making one."""
        ticked = {
            name.removeprefix("consent-"): value not in BooleanField.false_values
            for name, value in request.form.items()
            if name.startswith("consent-")
        }
        return request.form.get("presentation"), ticked

    def choices(self) -> dict[str, bool]:
        """What was ticked, by purpose."""
        return {field.name.removeprefix("consent-"): bool(field.data) for field in self.consents()}

    def consents(self) -> list[Field]:
        """The boxes."""
        return [field for field in self if field.name.startswith("consent-")]

    def was_stale(self) -> None:
        """Empty the boxes and say why: other words are shown now than were answered."""
        for field in self.consents():
            field.data = False
        self.form_errors.append(stale())


def stale() -> str:
    """That other words are shown now than were answered."""
    return str(
        _(
            "The choices have changed since this page was opened, or it was open for too "
            "long. Nothing was recorded. Please read them and choose again."
        )
    )


def stripped(text: str | None) -> str | None:
    """The text without blanks around it; None stays None."""
    return text.strip() if text is not None else None


def longest(characters: int) -> Length:
    """At most so many characters."""
    return Length(max=characters, message=__("This is too long: %(max)d characters at most"))


def email_field() -> StringField:
    """An e-mail address that must be given; `EmailMixin` checks it."""
    return StringField(
        __("E-mail address"),
        [Required(__("Enter your e-mail address")), longest(254)],
        filters=[stripped],
        render_kw={"autocomplete": "email", "type": "email", "inputmode": "email"},
    )


class EmailMixin:
    """An e-mail address that mail can be sent to."""

    def validate_email(self, field: Field) -> None:
        """Refuse what is no address."""
        try:
            emails.normalise(field.data)
        except InvalidAddress:
            raise ValidationError(
                _("This is not an e-mail address. It should look like name@example.com")
            ) from None


def own_password_field() -> PasswordField:
    """The password of who is there already: it shows that it is you."""
    return PasswordField(
        __("Your password"),
        [Required(__("Enter your password"))],
        render_kw={"autocomplete": "current-password"},
    )


class PasswordProofForm(SiteForm):
    """One's own password, and a button."""

    password = own_password_field()


class PersonForm(SiteForm):
    """What a person can tell about themselves, and correct. What each field is for stands in
    `purposes.toml`."""

    name = StringField(
        __("Name"),
        [Required(__("Enter your name")), longest(200)],
        filters=[stripped],
        render_kw={"autocomplete": "name"},
    )
    phone = StringField(
        __("Phone"),
        [Optional(), longest(40)],
        filters=[stripped],
        render_kw={"autocomplete": "tel", "type": "tel", "inputmode": "tel"},
    )
    address = StringField(
        __("Street address"),
        [Optional(), longest(200)],
        filters=[stripped],
        render_kw={"autocomplete": "street-address"},
    )
    postal_code = StringField(
        __("Postal code"),
        [Optional(), longest(12)],
        filters=[stripped],
        render_kw={"autocomplete": "postal-code"},
    )
    city = StringField(
        __("City"),
        [Optional(), longest(100)],
        filters=[stripped],
        render_kw={"autocomplete": "address-level2"},
    )

    def validate_phone(self, field: Field) -> None:
        """Refuse what is no telephone number; keep it as E.164."""
        if field.data:
            try:
                phones.normalise(field.data)
            except InvalidPhone:
                raise ValidationError(
                    _("This is not a phone number. Abroad it starts with + and the country")
                ) from None

    def validate_postal_code(self, field: Field) -> None:
        """Letters, digits, spaces and hyphens are in postal codes everywhere."""
        if field.data and not all(one.isalnum() or one in " -" for one in field.data):
            raise ValidationError(_("This is not a postal code"))

    def person(self, email: str) -> Person:
        """What was filled in, with this address."""
        return Person(
            name=self.name.data,
            email=email,
            phone=phones.normalise(self.phone.data) if self.phone.data else None,
            address=self.address.data or None,
            postal_code=self.postal_code.data or None,
            city=self.city.data or None,
        )
