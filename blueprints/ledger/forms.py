"""The form that takes a receipt."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as __
from werkzeug.datastructures import FileStorage
from wtforms import Field, FileField, TextAreaField

from forms import SiteForm


class ReceiptForm(SiteForm):
    """A receipt as a file, or its text. With both, the file counts."""

    receipt = FileField(
        __("The file with the receipt"), render_kw={"accept": "application/json,.json"}
    )
    text = TextAreaField(
        __("Or the text of the receipt"),
        render_kw={"rows": 6, "spellcheck": "false", "autocomplete": "off", "class": "mono"},
    )
    content: bytes = b""

    @property
    def given(self) -> Field:
        """The field that the receipt came by."""
        return self.text if self.text.data and not self.receipt.data else self.receipt

    def validate_receipt(self, field: Field) -> None:
        """Read what was given; one of the two must be."""
        # A form sent without its files has only their names in this place.
        if field.data and isinstance(field.data, FileStorage):
            self.content = field.data.read()
        elif self.text.data:
            # A receipt is one line: what stands around it came with the pasting.
            self.content = self.text.data.strip().encode()
        if not self.content:
            field.errors = [_("Choose a file, or paste the text of the receipt")]
