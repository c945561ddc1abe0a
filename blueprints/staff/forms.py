"""What a newsletter is written with: a subject and words in each language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from flask_babel import gettext as _
from flask_babel import lazy_gettext as __
from wtforms import Field, HiddenField, StringField, TextAreaField
from wtforms.validators import Optional, ValidationError

from domain.locales import LOCALES
from domain.marketing.campaigns import SUBJECT_LENGTH, Text, mark
from domain.marketing.wording import Fault, faults
from forms import SiteForm, longest, stripped

# Three of these, in letters of two bytes, are no larger than a form may be.
WORDS_LENGTH = 10_000


class SeenForm(SiteForm):
    """A form about a newsletter that others may change meanwhile: it knows what it showed."""

    seen = HiddenField()


class _Written(SeenForm):
    @classmethod
    def of(cls, texts: Mapping[str, Text] | None = None) -> Self:
        """The form, with what is written already."""
        written: dict[str, str] = {}
        for locale, text in (texts or {}).items():
            written |= {f"subject_{locale}": text.subject, f"words_{locale}": text.words}
        return cls(data={**written, "seen": mark(texts or {})})

    def overtaken(self, texts: Mapping[str, Text]) -> None:
        """Say that somebody else changed it: sent again, the form replaces what they wrote."""
        self.seen.data = mark(texts)
        said = _("Somebody else changed the newsletter meanwhile. Look at it in another window.")
        self.form_errors.append(f"{said} {_('If you save once more, your words replace theirs.')}")

    def parts(self) -> dict[str, tuple[Field, Field]]:
        """The fields by language: the subject and the words."""
        return {locale: (self[f"subject_{locale}"], self[f"words_{locale}"]) for locale in LOCALES}

    def validate(self, extra_validators: Any = None) -> bool:
        """It may lack something, but not everything."""
        valid = super().validate(extra_validators)
        if valid and not self.texts():
            self.form_errors.append(_("Write something, in one language at least"))
            return False
        return valid

    def texts(self) -> dict[str, Text]:
        """What was written, in the languages in which anything was."""
        found = {
            locale: Text(subject.data or "", words.data or "")
            for locale, (subject, words) in self.parts().items()
        }
        return {locale: text for locale, text in found.items() if text.subject or text.words}


def _no_faults(form: SiteForm, field: Field) -> None:
    """No image and no link that tells of its reader (requirement 43)."""
    said = {
        Fault.IMAGE: _("Leave out the image: fetching it would tell who opened the e-mail"),
        Fault.TRACKING: _("A link has something in it that tells who followed it, such as utm_"),
        Fault.NOWHERE: _("A link must begin with https:// or, on this site, with /"),
    }
    if found := faults(field.data or ""):
        # The summary at the top has those of every language.
        spoken = LOCALES[field.name.rpartition("_")[2]]
        raise ValidationError(f"{spoken}: {'. '.join(said[one] for one in found)}")


def _fields() -> dict[str, Any]:
    made: dict[str, Any] = {}
    for locale in LOCALES:
        spoken = {"lang": locale}
        made[f"subject_{locale}"] = StringField(
            __("Subject"),
            [Optional(), longest(SUBJECT_LENGTH)],
            filters=[stripped],
            render_kw={**spoken, "autocomplete": "off"},
        )
        made[f"words_{locale}"] = TextAreaField(
            __("Words"),
            [Optional(), longest(WORDS_LENGTH), _no_faults],
            filters=[stripped],
            render_kw={**spoken, "rows": 14},
        )
    return made


NewsletterForm: type[_Written] = type("NewsletterForm", (_Written,), _fields())
