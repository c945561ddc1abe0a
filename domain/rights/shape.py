"""Whether a document from outside is what a JSON Schema says: a small and strict reader.

It knows the words that docs/portability.schema.json uses and refuses a schema with any other, so
it cannot pass over one. Tests hold it to what jsonschema says of the same documents. jsonschema
itself stays a tool of development: it brings five packages, one of them compiled, for a file that
an operator reads in now and then (docs/decisions/0018).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

Schema = Mapping[str, Any]
_Check = Callable[[Any, Any], bool]

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    # bool is an int to Python and another type to JSON.
    "integer": lambda value: type(value) is int,
    "null": lambda value: value is None,
}
_SAYS_NOTHING = frozenset({"$schema", "$id", "$defs", "title", "description"})


class Misshapen(Exception):
    """The document is not what the schema says; `where` is the place, and quotes no value."""

    def __init__(self, where: str, rule: str):
        super().__init__(f"{where}: {rule}")
        self.where = where
        self.rule = rule


def check(schema: Schema, document: Any) -> None:
    """Raise Misshapen at the first place where the document is not as the schema says."""
    _check(schema, schema, document, "the document")


def _check(root: Schema, schema: Schema, value: Any, where: str) -> None:
    for word, said in schema.items():
        if word in _SAYS_NOTHING:
            continue
        if word == "$ref":
            _check(root, _named(root, said), value, where)
        elif word == "anyOf":
            if not any(_fits(root, one, value, where) for one in said):
                raise Misshapen(where, word)
        elif word in _WITHIN:
            _WITHIN[word](root, schema, value, where)
        elif not _WORDS[word](said, value):  # KeyError: a word of the schema that we do not know
            raise Misshapen(where, word)


def _fits(root: Schema, schema: Schema, value: Any, where: str) -> bool:
    try:
        _check(root, schema, value, where)
    except Misshapen:
        return False
    return True


def _named(root: Schema, reference: str) -> Schema:
    found: Schema = root["$defs"][reference.removeprefix("#/$defs/")]
    return found


def _properties(root: Schema, schema: Schema, value: Any, where: str) -> None:
    if isinstance(value, dict):
        for name, one in schema["properties"].items():
            if name in value:
                _check(root, one, value[name], name)


def _closed(root: Schema, schema: Schema, value: Any, where: str) -> None:
    if isinstance(value, dict) and value.keys() - schema["properties"].keys():
        raise Misshapen(where, "additionalProperties")


def _items(root: Schema, schema: Schema, value: Any, where: str) -> None:
    if isinstance(value, list):
        for number, one in enumerate(value, 1):
            _check(root, schema["items"], one, f"{where} {number}")


def _is_date(said: str, value: Any) -> bool:
    try:
        return not isinstance(value, str) or date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


_WITHIN: Mapping[str, Callable[[Schema, Schema, Any, str], None]] = {
    "properties": _properties,
    "additionalProperties": _closed,  # the schemas only ever say `false`
    "items": _items,
}
_WORDS: Mapping[str, _Check] = {
    "type": lambda said, value: any(
        _TYPES[one](value) for one in ([said] if isinstance(said, str) else said)
    ),
    "const": lambda said, value: type(value) is type(said) and value == said,
    "enum": lambda said, value: isinstance(value, str) and value in said,
    "required": lambda said, value: not isinstance(value, dict) or value.keys() >= set(said),
    "minLength": lambda said, value: not isinstance(value, str) or len(value) >= said,
    "maxLength": lambda said, value: not isinstance(value, str) or len(value) <= said,
    "pattern": lambda said, value: not isinstance(value, str) or bool(re.search(said, value)),
    "format": _is_date,
    "minimum": lambda said, value: type(value) is not int or value >= said,
    "maximum": lambda said, value: type(value) is not int or value <= said,
    "maxItems": lambda said, value: not isinstance(value, list) or len(value) <= said,
}
