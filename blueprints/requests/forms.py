"""The forms that ask for one's data, or for its erasure."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as __
from wtforms import Field, RadioField
from wtforms.fields import SelectChoice
from wtforms.validators import ValidationError

from domain.rights.requests import RequestKind
from forms import EmailMixin, SiteForm, email_field, own_password_field


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


class AddressForm(EmailMixin, KindForm):
    """For anyone: the link goes to the address."""

    email = email_field()


class SignedInForm(KindForm):
    """For who is signed in: the password shows that it is you (requirement 73)."""

    password = own_password_field()
