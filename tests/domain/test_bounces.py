"""Mails that came back: which of them say that an address fails for good."""

from __future__ import annotations

import json
import random
import time
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from domain.identity import accounts, signed_links
from domain.identity.signed_links import LinkKind
from domain.keys import Keyring, keyring
from domain.marketing import bounces, tokens
from domain.marketing.bounces import Failure
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON

LATER = NOON + timedelta(days=1)


def report(
    returned: str,
    *,
    to: str = KARI.email,
    status: str = "5.1.1",
    action: str = "failed",
    kind: str = "message/rfc822",
) -> bytes:
    """A delivery report as Postfix writes it, of a mail with these headers."""
    return f"""\
Return-Path: <>
From: MAILER-DAEMON@mx.kunde.example (Mail Delivery System)
To: tips@nytt.lillemini.example
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b/mx"

This is a MIME-encapsulated message.

--b/mx
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b/mx
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.kunde.example
Arrival-Date: Sun, 22 Nov 2026 12:00:00 +0000 (UTC)

Final-Recipient: rfc822; {to}
Original-Recipient: rfc822;<{to}>
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 {status} <{to}>: Recipient address rejected

--b/mx
Content-Type: {kind}

{returned}
Subject: Nye tips

Hei!
--b/mx--
""".encode()


def newsletter(ring: Keyring, who: UUID, at: datetime = NOON) -> str:
    """The headers of one."""
    link = f"https://samtykke.test/unsubscribe/{tokens.make(ring, who, at)}"
    return (
        "Message-ID: <n@nytt.lillemini.example>\n"
        f"List-Unsubscribe: <{link}>,\n <mailto:av@lillemini.example>"
    )


def undeliverable(session: Session, who: UUID) -> str | None:
    """The status that stands at the account; checks that the time stands there with it."""
    account = accounts.of_subject(session, who)
    assert account
    assert (account.undeliverable_at is None) == (account.undeliverable_status is None)
    return account.undeliverable_status


def noted(session: Session, raw: bytes, *, at: datetime = LATER) -> list[bool]:
    """What came of each recipient of a report."""
    return [bounces.note(session, one, at=at) for one in bounces.failures(raw)]


@pytest.mark.parametrize(
    "kind", ["message/rfc822", "text/rfc822-headers", "message/rfc822-headers"]
)
def test_a_newsletter_that_came_back_marks_its_address(session: Session, kind: str) -> None:
    """By the token in the mail that is returned, whole or its header only. Once."""
    kari, ola = opened(session).subject_id, opened(session, OLA).subject_id
    raw = report(newsletter(keyring(session), kari), to=KARI.email.upper(), kind=kind)
    assert noted(session, raw) == [True]
    assert noted(session, report(newsletter(keyring(session), kari), status="5.1.2")) == [True]
    assert (undeliverable(session, kari), undeliverable(session, ola)) == ("5.1.1", None)


def test_what_proves_nothing_marks_nobody(session: Session) -> None:
    """A report that anybody can write; one of a mail to somebody else, to an address that they
    have no more, or of years ago; one that the mail is late; and one of a full mailbox."""
    ring, kari, ola = (
        keyring(session),
        opened(session).subject_id,
        opened(session, OLA).subject_id,
    )
    mine = newsletter(ring, kari)
    for raw in (
        report("Message-ID: <made-up@nytt.lillemini.example>"),
        report(f"List-Unsubscribe: <https://samtykke.test/unsubscribe/{'A' * 64}>"),
        report(newsletter(ring, ola)),
        report(mine, to="kari.gammel@firma.example"),
        report(newsletter(ring, kari, NOON - timedelta(days=31))),
        report(mine, action="delayed", status="4.4.1"),
        report(mine, action="delivered", status="2.0.0"),
        report(mine, status="5.2.2"),
        report(mine, status="5.7.1"),
        report(mine, status=""),
        report(mine).replace(b"multipart/report", b"multipart/mixed"),
    ):
        assert not any(noted(session, raw)), raw.decode()
    assert (undeliverable(session, kari), undeliverable(session, ola)) == (None, None)


@pytest.mark.parametrize(
    ("status", "final"),
    [
        *((one, True) for one in ("5.1.1", "5.1.10", "5.2.1", "5.0.0", "5.4.4", "5.4.1")),
        *((one, False) for one in ("4.1.1", "5.2.2", "5.7.26", "5.3.4", "5.1.8", "5.1", "x", "")),
    ],
)
def test_only_what_says_that_the_address_is_no_good_is_final(status: str, final: bool) -> None:
    """RFC 3463: neither a full mailbox, nor what the server thinks of us or of the mail."""
    assert bounces.final(status) is final


def ses(bounce: str, **one: str) -> dict[str, object]:
    """A bounce as Amazon SES tells of it."""
    recipients = [{"emailAddress": KARI.email, **one}]
    return {
        "notificationType": "Bounce",
        "bounce": {"bounceType": bounce, "bouncedRecipients": recipients},
        "mail": {"messageId": "0100"},
    }


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (ses("Permanent", action="failed", status="5.1.1"), "5.1.1"),
        (ses("Permanent"), "5.0.0"),
        ({"Type": "Notification", "Message": json.dumps(ses("Permanent"))}, "5.0.0"),
        ({"recipient": KARI.email, "status": "5.1.2"}, "5.1.2"),
        (ses("Transient", status="5.1.1"), None),
        (ses("Permanent", status="5.7.1"), None),
        ({"notificationType": "Complaint", "complaint": {}}, None),
        ({"recipient": "ingen@firma.example", "status": "5.1.1"}, None),
        *(([], None), ("x", None), ({"recipient": KARI.email}, None), ({"Message": "{"}, None)),
        ({"notificationType": "Bounce", "bounce": {"bouncedRecipients": [7]}}, None),
    ],
)
def test_a_mail_service_tells_it_in_json(
    session: Session, said: object, status: str | None
) -> None:
    """Amazon SES, with or without SNS around it, or one of two plain words."""
    kari = opened(session).subject_id
    for one in bounces.told(json.dumps(said)):
        bounces.note(session, one, at=LATER)
    assert undeliverable(session, kari) == status


@pytest.mark.parametrize("kind", [LinkKind.RESET, LinkKind.ACCESS, LinkKind.CONFIRM])
def test_a_link_from_that_mailbox_takes_it_back(session: Session, kind: LinkKind) -> None:
    """Following it shows that mail arrives; being sent it, or looking at it, does not."""
    account = opened(session)
    kari, hour = account.subject_id, timedelta(hours=1)
    assert accounts.mark_undeliverable(session, kari, "5.1.1", at=NOON)
    assert not accounts.mark_undeliverable(session, kari, "5.2.1", at=LATER)
    assert account.undeliverable_at == NOON
    token = signed_links.issue(session, kind, kari, stamp=account.stamp, lifetime=hour, at=NOON)
    signed_links.look(session, kind, token, at=NOON)
    assert undeliverable(session, kari) == "5.1.1"
    signed_links.consume(session, kind, token, at=NOON)
    assert undeliverable(session, kari) is None
    assert account.undeliverable_at is None


@pytest.mark.parametrize(
    ("subject", "asks"),
    [
        *(("unsubscribe {}", True), ("Unsubscribe   {} ", True), ("RE: UNSUBSCRIBE {}", True)),
        *(("unsubscribe\n {}", True), ("=?utf-8?q?unsubscribe_{}?=", True)),
        *(("unsubscribe", False), ("{}", False), ("unsubscribe {}A", False)),
        *(("=?utf-8?b?////?=", False), ("=?x-unknown?q?unsubscribe_{}?=", False)),
    ],
)
def test_a_mail_unsubscribes_by_its_subject(
    session: Session, keys: Keyring, subject: str, asks: bool
) -> None:
    """As mail programs fold, encode and spell it; the token alone says whose."""
    who = opened(session).subject_id
    token = tokens.make(keys, who, NOON)
    spelled = token.replace("_", "=5F") if "?q?" in subject else token
    raw = f"From: somebody@else.example\nSubject: {subject.format(spelled)}\n\nHei\n".encode()
    asked = bounces.unsubscribing(keys, raw)
    assert (asked is not None) == asks
    assert asked is None or (asked.subject_id, asked.made_at) == (who, NOON)


def test_no_mail_breaks_the_reading(keys: Keyring) -> None:
    """A thousand reports with bytes changed, cut and doubled, and mails that are none."""
    chance = random.Random(5)
    whole = report(newsletter(keys, UUID(int=7)))
    for _ in range(1000):
        raw = bytearray(whole)
        for _ in range(chance.randrange(1, 12)):
            place = chance.randrange(len(raw))
            if chance.random() < 0.5:
                raw[place] = chance.randrange(256)
            else:
                raw[place : place + chance.randrange(200)] = raw[: chance.randrange(60)]
        for failure in bounces.failures(bytes(raw)):
            assert "@" not in repr(failure)
        bounces.unsubscribing(keys, bytes(raw))
    deep = b"Content-Type: multipart/report; boundary=b\n\n--b\n" * 3000
    assert bounces.failures(deep) == []
    # Of each of these a megabyte took the parser minutes.
    for odd in (b'Content-Type: multipart/report; x="' + b";" * 1000_000,
                b"Content-Type: multipart/report; boundary=b\n\n" + b"--b\n\n\n" * 150_000,
                b"Subject: " + b"=?utf-8?q?a?= " * 70_000):  # fmt: skip
        begun = time.process_time()
        assert bounces.failures(odd) == []
        assert bounces.unsubscribing(keys, odd) is None
        assert time.process_time() - begun < 30
    for other in (
        b"",
        b"\n",
        b"\xff\x00" * 50,
        b"Subject\n\n",
        b"Content-Type: multipart/report\n\n",
    ):
        assert bounces.failures(other) == []
        assert bounces.unsubscribing(keys, other) is None
    assert "@" not in repr(Failure((KARI.email,), "5.1.1"))
