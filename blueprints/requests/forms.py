"""The forms that ask for what the law gives a right to.

One form takes any kind: who is not signed in gives the address that the link goes to with it.
Each kind has a form of its own with whatever it needs besides.
"""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as __
from wtforms import Field, RadioField, StringField, TextAreaField
from wtforms.fields import SelectChoice
from wtforms.validators import ValidationError

from domain.consent.purposes import Basis, Purpose, PurposeRegister
from domain.rights.cases import MOST_CHARACTERS
from domain.rights.requests import RequestKind
from extensions import database, locale
from forms import (
    EmailMixin,
    EmptyForm,
    PersonForm,
    Required,
    SiteForm,
    email_field,
    longest,
    own_password_field,
    stripped,
)

MARKETING = "marketing"
# Asked for by who is signed in, these are given away or destroyed at once: the password again
# (requirement 73). The others are no harm, and nothing may stand in their way.
PROVED = frozenset({RequestKind.ACCESS, RequestKind.PORTABILITY, RequestKind.ERASURE})


def words_field(label: Any) -> TextAreaField:
    """What a person writes in a case."""
    return TextAreaField(
        label, [longest(MOST_CHARACTERS)], filters=[stripped], render_kw={"rows": 6}
    )


# --- What is asked for ------------------------------------------------------------------------


class KindForm(SiteForm):
    """What is asked for."""

    kind = RadioField(
        __("What do you want?"),
        choices=[
            SelectChoice(RequestKind.ACCESS.value, __("A copy of everything you keep about me")),
            SelectChoice(
                RequestKind.PORTABILITY.value, __("A file that I can take to another service")
            ),
            SelectChoice(RequestKind.RECTIFICATION.value, __("Correct something about me")),
            SelectChoice(RequestKind.ERASURE.value, __("Erase my account and everything about me")),
            SelectChoice(RequestKind.RESTRICTION.value, __("Restrict what you do with my data")),
            SelectChoice(RequestKind.OBJECTION.value, __("Object to something you use it for")),
            SelectChoice(RequestKind.ENQUIRY.value, __("Ask you something about my privacy")),
        ],
        validate_choice=False,
    )

    def validate_kind(self, field: Field) -> None:
        """One of them."""
        if field.data not in set(RequestKind):
            raise ValidationError(_("Choose what you want"))


class AddressForm(EmailMixin, KindForm):
    """For anyone: the link goes to the address."""

    email = email_field()


# --- One kind ---------------------------------------------------------------------------------


class PasswordForm(SiteForm):
    """For who is signed in: the password shows that it is you."""

    password = own_password_field()


class LinkForm(EmailMixin, SiteForm):
    """For anyone: the link shows that it is you."""

    email = email_field()


class ObjectionForm(SiteForm):
    """An objection: to what, and why where the law asks for it (GDPR art. 21)."""

    about = RadioField(__("What do you object to?"), validate_choice=False)
    words = words_field(__("Your reasons"))

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.about.choices = [
            SelectChoice(purpose.id, purpose.text[locale()].name) for purpose in objectionable()
        ]

    def validate_about(self, field: Field) -> None:
        """One of the purposes that can be objected to."""
        if field.data not in {choice.value for choice in field.choices}:
            raise ValidationError(_("Choose what you object to"))

    def validate_words(self, field: Field) -> None:
        """Art. 21(1): on grounds relating to the person's situation. Art. 21(2), marketing:
        no grounds, ever."""
        if not field.data and self.about.data != MARKETING and not self.about.errors:
            raise ValidationError(
                _("Say briefly why. You need no reason to object to the newsletter")
            )


class ObjectionByLinkForm(EmailMixin, ObjectionForm):
    """The same from who is not signed in."""

    email = email_field()


class EnquiryForm(SiteForm):
    """A question. It becomes a case."""

    words = TextAreaField(
        __("Your question"),
        [Required(__("Write what you want to ask")), longest(MOST_CHARACTERS)],
        filters=[stripped],
        render_kw={"rows": 8},
    )


class EnquiryByMailForm(EmailMixin, EnquiryForm):
    """The same from who is not signed in."""

    email = email_field()


def form_of(kind: RequestKind, *, signed_in: bool) -> type[SiteForm]:
    """The form that asks for this."""
    if kind is RequestKind.OBJECTION:
        return ObjectionForm if signed_in else ObjectionByLinkForm
    if kind is RequestKind.ENQUIRY:
        return EnquiryForm if signed_in else EnquiryByMailForm
    if not signed_in:
        return LinkForm
    return PasswordForm if kind in PROVED else EmptyForm


def objectionable() -> list[Purpose]:
    """What can be objected to: marketing, and what rests on a legitimate interest."""
    register: PurposeRegister = database().info["purposes"]
    return [
        one for one in register if one.id == MARKETING or one.basis is Basis.LEGITIMATE_INTEREST
    ]


# --- Later ------------------------------------------------------------------------------------


class FollowForm(EmailMixin, SiteForm):
    """A case, by its reference and the address that it is about."""

    reference = StringField(
        __("Reference"),
        [Required(__("Enter the reference, for example ABCD-2345")), longest(16)],
        filters=[stripped],
        render_kw={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "characters"},
    )
    email = email_field()


class CorrectionForm(PersonForm):
    """The details, for who came by a link. The address stays: it is what the link proves."""


class WordsForm(SiteForm):
    """Something more in a case."""

    words = TextAreaField(
        __("Write to us"),
        [Required(__("Write what you want to say")), longest(MOST_CHARACTERS)],
        filters=[stripped],
        render_kw={"rows": 6},
    )
