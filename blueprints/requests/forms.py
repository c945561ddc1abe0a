"""The forms that ask for one's data, or for its erasure."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as __
from wtforms import Field, PasswordField, RadioField, StringField
from wtforms.fields import SelectChoice
from wtforms.validators import Length, ValidationError

from domain.identity import emails
from domain.identity.errors import InvalidAddress
from domain.rights.requests import RequestKind
from forms import Required, SiteForm, stripped

_TOO_LONG = __("This is too long: %(max)d characters at most")


class KindForm(SiteForm):
    """What is asked for."""

    kind = RadioField(
        __("What do you want?"),
        choices=[
            SelectChoice(RequestKind.ACCESS.value, __("A copy of everything you keep about me")),
            SelectChoice(RequestKind.ERASURE.value, __("Erase my account and everything about me")),
        ],
        validate_choice=False,
    )

    def validate_kind(self, field: Field) -> None:
        """One of the two."""
        if field.data not in set(RequestKind):
            raise ValidationError(_("Choose what you want"))


class AddressForm(KindForm):
    """For anyone: the link goes to the address."""

    email = StringField(
        __("E-mail address"),
        [Required(__("Enter your e-mail address")), Length(max=254, message=_TOO_LONG)],
        filters=[stripped],
        render_kw={"autocomplete": "email", "type": "email", "inputmode": "email"},
    )

    def validate_email(self, field: Field) -> None:
        """Refuse what is no address."""
        try:
            emails.normalise(field.data)
        except InvalidAddress:
            raise ValidationError(
                _("This is not an e-mail address. It should look like name@example.com")
            ) from None


class SignedInForm(KindForm):
    """For who is signed in: the password shows that it is you (requirement 73)."""

    password = PasswordField(
        __("Your password"),
        [Required(__("Enter your password"))],
        render_kw={"autocomplete": "current-password"},
    )
