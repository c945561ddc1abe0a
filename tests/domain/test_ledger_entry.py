"""The format of an entry, byte for byte."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger.entry import MAX_BYTES, Entry, decode, new_id
from domain.ledger.errors import EntryTooLarge, MalformedEntry

# Written by hand from RFC 8785 and LEDGER.md, not by the program.
ID = "00112233445566778899aabbccddeeff"
TAG = "a" * 64
AT = "2026-11-22T12:00:00.000Z"
VECTOR = (
    b'{"at":"2026-11-22T12:00:00.000Z","data":{"purpose":"marketing","purpose_version":1},'
    b'"id":"00112233445566778899aabbccddeeff",'
    b'"tag":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",'
    b'"type":"consent.expired","v":1}'
)


def entry(**changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "id": ID,
        "at": datetime(2026, 11, 22, 12, tzinfo=UTC),
        "type": "consent.expired",
        "tag": TAG,
        "data": {"purpose_version": 1, "purpose": "marketing"},
    }
    return Entry(**{**fields, **changes})


def test_an_entry_is_these_bytes() -> None:
    """Others compute the same leaf hash: members sorted, no white space, version last."""
    assert entry().encode() == VECTOR


def test_decoding_gives_the_entry_back() -> None:
    """The stored bytes say all that was recorded."""
    assert decode(VECTOR) == entry()


def test_members_are_sorted_by_utf_16_and_text_is_not_normalised() -> None:
    """RFC 8785 3.2.3: U+1F600 sorts before U+FB33, and é in two characters stays two."""
    data = {"\ufb33": 1, "\U0001f600": 2, "e\u0301": '"\n'}
    written = entry(data=data).encode().split(b'"data":', 1)[1].split(b',"id"', 1)[0]
    assert written == '{"e\u0301":"\\"\\n","\U0001f600":2,"\ufb33":1}'.encode()


def test_time_is_utc_in_milliseconds() -> None:
    """What is finer than a millisecond is cut off, never rounded into the future."""
    zone = timezone(timedelta(hours=1))
    made = entry(at=datetime(2026, 11, 22, 13, 0, 0, 999_999, zone))
    assert b'"at":"2026-11-22T12:00:00.999Z"' in made.encode()
    assert decode(made.encode()) == made


@given(at=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_time_comes_back(at: datetime) -> None:
    """An entry equals its decoded copy, whatever the clock said."""
    made = entry(at=at)
    assert decode(made.encode()) == made


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ID.upper()},
        {"id": ID[:-1]},
        {"id": ID + "\n"},
        {"tag": "a" * 63},
        {"tag": "g" * 64},
        {"type": "consent"},
        {"type": "consent.given "},
        {"at": datetime(2026, 11, 22, 12)},  # noqa: DTZ001 - that is the point
        {"data": {"n": 2**53}},
        {"data": {"n": float("nan")}},
        {"data": {"text": "\ud800"}},
    ],
    ids=str,
)
def test_what_is_no_entry_is_not_made(changes: dict[str, Any]) -> None:
    """A wrong id, tag, type or time, and what JSON cannot carry exactly."""
    with pytest.raises(MalformedEntry):
        entry(**changes).encode()


def test_the_largest_entry_has_65535_bytes() -> None:
    """C2SP entry bundles count an entry's bytes with 16 bits."""
    room = MAX_BYTES - len(entry(data={"t": ""}).encode())
    largest = entry(data={"t": "x" * room}).encode()
    assert len(largest) == MAX_BYTES
    assert decode(largest).encode() == largest
    with pytest.raises(EntryTooLarge) as caught:
        entry(data={"t": "x" * (room + 1)}).encode()
    assert caught.value.size == MAX_BYTES + 1


def swap(old: bytes, new: bytes) -> bytes:
    assert old in VECTOR
    return VECTOR.replace(old, new, 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        VECTOR + b"\n",
        b" " + VECTOR,
        b"\xef\xbb\xbf" + VECTOR,
        VECTOR.decode().encode("utf-16"),
        VECTOR[:-1],
        swap(b'"v":1', b'"v":2'),
        swap(b'"v":1', b'"v":true'),
        swap(b'"v":1', b'"v":1.0'),
        swap(b'"v":1', b'"v":1,"v":1'),
        swap(b'"v":1', b'"v":1,"w":1'),
        swap(b',"v":1', b""),
        swap(b'"type":"consent.expired"', b'"type":["consent.expired"]'),
        swap(b'"data":{"purpose":"marketing","purpose_version":1}', b'"data":[]'),
        swap(b'"purpose_version":1', b'"purpose_version":1e0'),
        swap(b'"purpose_version":1', b'"purpose_version":NaN'),
        swap(b'"purpose_version":1', b'"purpose_version":9007199254740993'),
        swap(b'"purpose_version":1', b'"purpose_version":' + b"9" * 5000),
        swap(b'"purpose":"marketing","purpose_version":1', b'"purpose_version":1,"purpose":"a"'),
        swap(b"marketing", b"\\u006darketing"),
        swap(b"marketing", b"\xff"),
        swap(b"marketing", b"\\ud800"),
        swap(b".000Z", b"Z"),
        swap(b".000Z", b".000+00:00"),
        swap(b".000Z", b".0000Z"),
        swap(b"2026-11-22T", b"2026-02-30T"),
        swap(b"2026-11-22T", b"2026-11-22 "),
        swap(b"2026-11-22T12:00:00", b"2026-11-22T24:00:00"),
        swap(b"0011", b"001"),
        swap(b'"data":{', b'"data":{"a":' + b"[" * 60_000 + b",{"),
        b"[" * MAX_BYTES,
        b'"' + b"x" * MAX_BYTES + b'"',
    ],
    ids=lambda content: repr(content[:60]),
)
def test_no_other_bytes_are_an_entry(content: bytes) -> None:
    """One fact has one spelling, and so one hash: every other one is refused."""
    with pytest.raises(MalformedEntry):
        decode(content)


@given(position=st.integers(0, len(VECTOR) - 1), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_another_entry(position: int, value: int) -> None:
    """No change of bytes goes unseen by decoding alone, but into what is an entry as well."""
    changed = VECTOR[:position] + bytes([value]) + VECTOR[position + 1 :]
    try:
        found = decode(changed)
    except MalformedEntry:
        return
    assert found.encode() == changed
    assert (found == entry()) == (changed == VECTOR)


def test_ids_do_not_repeat() -> None:
    """128 random bits, hex."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(dataclasses.replace(entry(), id=one) for one in ids)


_NAMES = st.text(max_size=6) | st.sampled_from(["a", "b", "aa", "\u20ac", "\ufb33", "\U0001f600"])
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**53 - 1, 2**53, -(2**53) + 1, -(2**53), 1.0, 1e21, -0.0])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(data=st.dictionaries(_NAMES, _JSON, max_size=4))
def test_the_quick_way_writes_what_rfc8785_writes(data: dict[str, Any]) -> None:
    """Whatever JSON it is: every character, every number, every order of names, or no entry."""
    fields: dict[str, Any] = {
        "at": "2026-11-22T12:00:00.000Z",
        "id": ID,
        "tag": TAG,
        "type": "a.b",
        "v": 1,
    }
    try:
        expected = rfc8785.dumps({**fields, "data": data})
    except ValueError:
        with pytest.raises(MalformedEntry):
            entry(type="a.b", data=data).encode()
        return
    assert entry(type="a.b", data=data).encode() == expected


@pytest.mark.parametrize(
    "data",
    [
        {"text": "".join(map(chr, range(0x80))) + "\u2028\u2029\ud7ff\ue000\U0010ffff"},
        {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3},  # UTF-16 puts the second first
        {"whole": 2**53 - 1, "lowest": -(2**53) + 1, "true": True, "none": None},
        {"deep": {"b": {"a": [], "A": {}}, "a": ""}},
    ],
)
def test_where_the_two_ways_could_differ_they_do_not(data: dict[str, Any]) -> None:
    """Control characters, names beyond ASCII, the largest numbers, nesting."""
    fields: dict[str, Any] = {
        "at": "2026-11-22T12:00:00.000Z",
        "id": ID,
        "tag": TAG,
        "type": "a.b",
        "v": 1,
    }
    assert entry(type="a.b", data=data).encode() == rfc8785.dumps({**fields, "data": data})
