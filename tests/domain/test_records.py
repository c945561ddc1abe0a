"""Kantara receipts and ISO/IEC TS 27560 records: complete, and of what held then."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from sqlalchemy.orm import Session

from domain.consent import decisions, records
from domain.consent.records import Ground, Sayings
from domain.dates import months_later
from domain.ledger.entry import Entry
from domain.subjects import service as subjects
from tests.domain.consenting import changed, decide, publish, served, somebody
from tests.support import NOON
from tests.support.kantara import ISO_27560, KANTARA

SAYINGS = Sayings(
    policy_url="https://samtykke.test/notices/privacy/versions/2026-11-22",
    collection="a form",
    withdrawal="under preferences",
    termination="at the latest in two years",
    no_phone="no telephone",
    today="contact data is today's",
    elsewhere="see the notice of that time",
    changed="the purpose has changed",
)


def valid(document: dict[str, Any] | None, schema: dict[str, Any]) -> dict[str, Any]:
    """The document, which its schema has nothing against."""
    jsonschema.Draft6Validator.check_schema(schema)
    problems = [one.message for one in jsonschema.Draft6Validator(schema).iter_errors(document)]
    assert problems == []
    assert document is not None
    return document


def ground(session: Session, who: UUID, type: str) -> Ground:
    """What the newest entry of a type rests on."""
    return of(session, who, [one for one in subjects.entries(session, who) if one.type == type][-1])


def of(session: Session, who: UUID, entry: Entry) -> Ground:
    """What an entry rests on."""
    found = records.ground(session, who, entry, at=NOON)
    assert found is not None
    return found


@pytest.fixture
def who(session: Session) -> UUID:
    """Somebody who said yes to one and no to the other, in nynorsk."""
    publish(session)
    who = somebody(session)
    decide(session, who, shown=served(session, who, locale="nn"), marketing=True)
    return who


@pytest.mark.requirement(48)
def test_a_consent_that_was_given_has_a_kantara_receipt(session: Session, who: UUID) -> None:
    """Every member that the specification asks for; the person is a tag."""
    found = ground(session, who, "consent.given")
    document = valid(records.kantara(found, SAYINGS), KANTARA)
    assert document["consentTimestamp"] == int(NOON.timestamp())
    assert document["piiPrincipalId"] == found.entry.tag
    assert document["consentReceiptID"] == found.entry.id
    assert document["language"] == "nn"
    assert (document["sensitive"], document["spiCat"]) == (False, [])
    (controller,) = document["piiControllers"]
    assert controller["piiController"] == "Lillemini AS"
    assert controller["address"]["addressCountry"] == document["jurisdiction"] == "NO"
    assert controller["phone"] == "no telephone"
    ((purpose,),) = [service["purposes"] for service in document["services"]]
    assert purpose["purpose"] == "Nyheitsbrev på e-post"
    assert "stadfesta e-postadresse" in purpose["piiCategory"][0]
    assert purpose["thirdPartyDisclosure"] is False


@pytest.mark.requirement(48)
def test_the_operators_telephone_is_named_where_there_is_one(session: Session, who: UUID) -> None:
    """Where there is none the receipt says so, rather than naming a number that nobody answers."""
    found = ground(session, who, "consent.given")
    called = replace(found, operator=replace(found.operator, phone="+47 73 00 00 00"))
    document = valid(records.kantara(called, SAYINGS), KANTARA)
    assert document["piiControllers"][0]["phone"] == "+47 73 00 00 00"


def _withdraw(session: Session, who: UUID) -> None:
    decide(session, who, marketing=False)


def _expire(session: Session, who: UUID) -> None:
    decisions.expire_due(session, at=months_later(NOON, 24))


def _invalidate(session: Session, who: UUID) -> None:
    decisions.invalidate(session, who, "marketing", "unlawful_wording", at=NOON)


def _renew(session: Session, who: UUID) -> None:
    _invalidate(session, who)
    decide(session, who, marketing=True)


@pytest.mark.requirement(46, 47)
@pytest.mark.parametrize(
    ("then", "state", "duration", "locale"),
    [
        (None, "given", "P24M", "nn"),
        (None, "refused", "P0D", "nn"),
        (_renew, "renewed", "P24M", "nb"),
        (_withdraw, "withdrawn", "P0D", "nb"),
        (_expire, "expired", "P0D", "nn"),
        (_invalidate, "invalidated", "P0D", "nn"),
    ],
)
def test_a_decision_in_every_state_has_a_record(
    session: Session, who: UUID, then: Any, state: str, duration: str, locale: str
) -> None:
    """With every mandatory field. What ended by itself rests on what was shown at its beginning,
    and is the controller's event; only a consent is a consent receipt."""
    if then:
        then(session, who)
    found = ground(session, who, f"consent.{state}")
    document = valid(records.iso_27560(found, SAYINGS), ISO_27560)
    (event,) = document["event"]
    by_itself = state in ("expired", "invalidated")
    assert (event["event_state"], event["validity_duration"]) == (state, duration)
    assert event["entity_id"] == ("controller" if by_itself else found.entry.tag)
    assert document["pii_processing"]["language"] == locale
    assert event["event_type"] == {"expired": "expiry", "invalidated": "invalidation"}.get(
        state, "explicit"
    )
    assert document["remarks"] == [SAYINGS.today]
    (purpose,) = document["pii_processing"]["purposes"]
    parties = {one["party_id"]: one for one in document["party_identification"]}
    assert {*purpose["pii_controllers"], *purpose["recipient_third_parties"]} <= parties.keys()
    assert purpose["authority_party"] in parties
    assert parties["controller"]["party_name"] == "Lillemini AS"
    receipt = records.kantara(found, SAYINGS)
    assert (receipt is not None) == (state in ("given", "renewed"))


@pytest.mark.requirement(45)
def test_what_has_changed_since_is_not_told_as_if_it_had_held(session: Session, who: UUID) -> None:
    """The words are those that were shown; what only the register of that time said is told where
    it stands, and the document says that it is so."""
    marketing = session.info["purposes"].purposes["marketing"]
    text = {
        locale: replace(one, data="ALL NEW", retention="ALL NEW", name="ALL NEW", wording="ALL NEW")
        for locale, one in marketing.text.items()
    }
    before = ground(session, who, "consent.given")
    changed(session, "marketing", version=2, text=text, recipients=())
    found = ground(session, who, "consent.given")
    record = valid(records.iso_27560(found, SAYINGS), ISO_27560)
    receipt = valid(records.kantara(found, SAYINGS), KANTARA)
    assert "ALL NEW" not in str(record) + str(receipt)
    assert record["remarks"] == receipt["remarks"] == [SAYINGS.today, SAYINGS.changed]
    (purpose,) = record["pii_processing"]["purposes"]
    (was,) = records.iso_27560(before, SAYINGS)["pii_processing"]["purposes"]
    assert (purpose["purpose_version"], purpose["wording"]) == (1, was["wording"])
    assert purpose["pii_information"] == [{"pii_type": SAYINGS.elsewhere}]
    assert purpose["retention_period"] == SAYINGS.elsewhere
    assert purpose["recipient_third_parties"] == [SAYINGS.elsewhere]
    assert receipt["services"][0]["purposes"][0]["piiCategory"] == [SAYINGS.elsewhere]


@pytest.mark.requirement(45)
def test_another_notice_is_a_change_as_well(session: Session, who: UUID) -> None:
    """It may name other recipients for the same purpose. Before any was in force there is none."""
    (entry, *_) = subjects.entries(session, who)
    found = records.ground(session, who, entry, at=NOON - timedelta(days=20_000))
    assert found is not None
    assert found.held is None


@pytest.mark.requirement(45, 46)
def test_contact_data_is_todays_and_says_so(session: Session, who: UUID) -> None:
    """Who holds an old document needs to know whom to call now; what was decided is as it was."""
    found = ground(session, who, "consent.given")
    operator = replace(found.operator, brand="Nymini", phone="+47 73 00 00 00")
    for document in (
        records.kantara(replace(found, operator=operator), SAYINGS),
        records.iso_27560(replace(found, operator=operator), SAYINGS),
    ):
        assert document
        assert SAYINGS.today in document["remarks"]
    kantara = records.kantara(replace(found, operator=operator), SAYINGS)
    assert kantara
    assert kantara["services"][0]["service"] == "Nymini"
    assert kantara["piiControllers"][0]["phone"] == "+47 73 00 00 00"
    assert kantara["piiControllers"][0]["piiController"] == "Lillemini AS"


@pytest.mark.requirement(46)
def test_another_company_is_not_given_the_old_ones_address(session: Session, who: UUID) -> None:
    """Who asked then is told as it was shown: name, e-mail, country."""
    found = ground(session, who, "consent.given")
    other = replace(found.operator, legal_name="Storemaxi AS", email="x@storemaxi.example")
    document = records.kantara(replace(found, operator=other), SAYINGS)
    assert document
    (controller,) = document["piiControllers"]
    assert controller["piiController"] == "Lillemini AS"
    assert controller["email"] == "support@lillemini.com"
    assert controller["address"] == {"addressCountry": "NO"}


def test_what_is_no_decision_has_no_ground(session: Session, who: UUID) -> None:
    """An account is not consented to."""
    data = {"terms": "2026-11-22", "locale": "nb", "declared_age": 15}
    subjects.record(session, who, "account.opened", data, at=NOON)
    *_, opened = subjects.entries(session, who)
    assert records.ground(session, who, opened, at=NOON) is None
