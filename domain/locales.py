"""The languages of the site. Bokmål first: it is what a reader gets who asks for none."""

from __future__ import annotations

LOCALES = {"nb": "Bokmål", "nn": "Nynorsk", "en": "English"}
DEFAULT = "nb"
