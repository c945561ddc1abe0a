"""The forms of the account's pages. What each field is for stands in `purposes.toml`."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as __
from flask_login import current_user
from wtforms import (
    BooleanField,
    Field,
    PasswordField,
    RadioField,
    SelectField,
)
from wtforms.fields import SelectChoice
from wtforms.validators import ValidationError

from domain.identity.passwords import PasswordProblem, problem
from domain.locales import LOCALES
from extensions import settings
from forms import (
    ConsentForm,
    EmailMixin,
    PersonForm,
    Required,
    SiteForm,
    email_field,
    own_password_field,
)

UNDER_AGE = 0


def _whole_number(value: Any) -> int | None:
    return int(value) if value is not None and str(value).isdecimal() else None


class DetailsForm(PersonForm):
    """The same with the age, which an account takes."""

    age = RadioField(
        __("Your age"), coerce=_whole_number, validate_choice=False, invalid_value_message=""
    )

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        low, high = settings().registration_age, settings().marketing_age
        between = _("%(age)d to %(below)d years", age=low, below=high - 1)
        self.age.choices = [
            SelectChoice(high, _("%(age)d years or older", age=high)),
            *([SelectChoice(low, between)] if high > low else []),
            SelectChoice(UNDER_AGE, _("Under %(age)d years", age=low)),
        ]

    def validate_age(self, field: Field) -> None:
        """An account takes the age of registration (GDPR art. 8, personopplysningsloven § 5)."""
        if field.data not in {choice.value for choice in field.choices}:
            raise ValidationError(_("Say how old you are"))
        if field.data == UNDER_AGE:
            raise ValidationError(
                _(
                    "You must be %(age)d to have an account. Nothing you entered is kept",
                    age=settings().registration_age,
                )
            )


def check_password(field: Field, own: list[str | None]) -> None:
    """Raise ValidationError when the password is too easy (requirement 76)."""
    found = problem(field.data or "", own=own)
    messages = {
        PasswordProblem.TOO_SHORT: _("Use at least 8 characters; 15 or more is better"),
        PasswordProblem.TOO_LONG: _("Use at most 256 characters"),
        PasswordProblem.COMMON: _("Many people use this password, so it is quickly guessed"),
        PasswordProblem.PERSONAL: _("Do not use your name or e-mail address as the password"),
    }
    if found is not None:
        raise ValidationError(messages[found])


def new_password_field(label: Any) -> PasswordField:
    """A field for a new password; pasting and password managers are welcome."""
    return PasswordField(
        label,
        [Required(__("Choose a password"))],
        render_kw={"autocomplete": "new-password", "minlength": False},
    )


class RegisterForm(EmailMixin, DetailsForm, ConsentForm):
    """Everything on the registration form but the consents, which a presentation adds."""

    email = email_field()
    password = new_password_field(__("Password"))
    terms = BooleanField(
        __("I accept the terms of use"), [Required(__("Accept the terms to open an account"))]
    )

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        # The summary of errors lists the fields in the order in which the page has them.
        optional = ("phone", "address", "postal_code", "city")
        boxes = [field.short_name for field in self.consents()]
        for name in ("name", "email", "password", "age", *optional, *boxes, "terms"):
            self._fields[name] = self._fields.pop(name)

    def validate_password(self, field: Field) -> None:
        """Refuse an easy password."""
        check_password(field, [self.name.data, self.email.data])


class SignInForm(SiteForm):
    """E-mail address and password."""

    email = email_field()
    password = PasswordField(
        __("Password"),
        [Required(__("Enter your password"))],
        render_kw={"autocomplete": "current-password"},
    )


class AddressForm(EmailMixin, SiteForm):
    """An e-mail address to send a link to."""

    email = email_field()


class NewAddressForm(AddressForm):
    """A new address; the password shows that it is you (requirement 58)."""

    password = own_password_field()


class ResetForm(SiteForm):
    """A new password, by link."""

    password = new_password_field(__("New password"))

    def validate_password(self, field: Field) -> None:
        """Refuse an easy password."""
        check_password(field, [])


class ArrivalForm(ResetForm):
    """The first password of somebody who was brought here, and what an account takes."""

    terms = BooleanField(
        __("I accept the terms of use"), [Required(__("Accept the terms to open an account"))]
    )


class PasswordForm(SiteForm):
    """A new password, by the old one."""

    current = PasswordField(
        __("Current password"),
        [Required(__("Enter your current password"))],
        render_kw={"autocomplete": "current-password"},
    )
    password = new_password_field(__("New password"))

    def validate_password(self, field: Field) -> None:
        """Refuse an easy password."""
        check_password(field, [])


class ProfileForm(DetailsForm):
    """The details, and the language of mails."""

    locale = SelectField(
        __("Language of our e-mails"),
        choices=[SelectChoice(code, name) for code, name in LOCALES.items()],
    )


def signed_in() -> bool:
    """Whether somebody is signed in."""
    return bool(current_user.is_authenticated)
