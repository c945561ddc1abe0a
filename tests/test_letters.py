"""The mails: complete, in the reader's language, and silent about who opened them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from bs4 import BeautifulSoup
from sqlalchemy import select

import letters
import settings as site_settings
from database import Database
from domain.consent.operator import Operator, load_operator
from domain.consent.purposes import PurposeRegister
from domain.delivery.errors import UnknownKind
from domain.delivery.outbox import LAST_MAILS
from domain.keys import Keyring
from domain.ledger import receipts, standing
from domain.ledger.append import append_anonymous
from domain.ledger.log import Log
from domain.ledger.models import LedgerLeaf
from domain.ledger.notes import SignerKey
from domain.locales import LOCALES
from tests.support import NOON, logs
from tests.support.databases import SqliteTemplate
from tests.support.office import (
    BASE,
    FOLLOWING,
    KINDS,
    OWN_TERMS,
    WITH_LINK,
    WITH_RECEIPTS,
    Office,
    application,
    part,
)

HELD = {"holding": "account", "until": "2027-05-01"}


@pytest.fixture(scope="module")
def operator() -> Operator:
    return load_operator(site_settings.ROOT / "content")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """The log that the letters tell of."""
    return Log((SignerKey.make("lillemini.example/consent"),), tmp_path_factory.mktemp("log") / "h")


@pytest.fixture(scope="module")
def ledger(log: Log, register: PurposeRegister) -> Iterator[Database]:
    """Three entries about nobody, and their checkpoint."""
    url = SqliteTemplate(log.high_water.parent).copy(log.high_water.parent).owner
    database = Database(url, info={"log": log, "purposes": register}, owner=True)
    with database.transaction() as session:
        logs.fill(session, 3)
    yield database
    database.close()


# As Flask has it, and as the site sets it: neither may eat a line of a letter.
@pytest.fixture(scope="module", params=[False, True], ids=["untrimmed", "trimmed"])
def office(
    request: pytest.FixtureRequest,
    operator: Operator,
    keys: Keyring,
    log: Log,
    ledger: Database,
) -> Office:
    app = application(operator, keys, log, ledger, trimmed=request.param)
    with ledger.reading() as session:
        entries = list(session.scalars(select(LedgerLeaf.entry_id)))[:2]
    return Office(app, NOON, entries)


def test_every_letter_has_its_three_templates() -> None:
    """And there is no template that nobody sends."""
    folder = site_settings.ROOT / "templates" / "email"
    assert {one.name for one in folder.iterdir() if one.is_dir()} == set(letters.LETTERS)
    for name in letters.LETTERS:
        files = {one.name for one in (folder / name).iterdir()}
        assert files == {"subject.txt", "body.txt", "body.html"}


@pytest.mark.requirement(38, 42)
@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", letters.LETTERS)
def test_every_letter_says_who_writes_why_and_where_to_turn(
    office: Office, operator: Operator, name: str, locale: str
) -> None:
    """Sender identity, contact, notice and reason, in text and in HTML; no answers from robots."""
    mail = office.write(name, locale)
    assert mail["From"] == "Lillemini <hei@lillemini.example>"
    assert mail["To"] == "kari@example.no"
    assert mail["Reply-To"] == operator.email
    assert mail["Message-ID"] == "<1@lillemini.example>"
    assert mail["Date"].datetime == office.at
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Content-Language"] == locale
    kind = "multipart/mixed" if name in WITH_RECEIPTS else "multipart/alternative"
    assert mail.get_content_type() == kind
    page = BeautifulSoup(part(mail, "html"), "html.parser")
    assert page.html is not None
    assert page.html["lang"] == locale
    for words in (part(mail, "plain"), page.decode()):
        assert operator.legal_name in words
        assert operator.address.city in words
        assert operator.email in words
        assert f"{BASE}/notices/privacy?lang={locale}" in words
    reason = part(mail, "plain").split("\n--\n")[1].splitlines()[0]
    assert len(reason) > 20
    assert reason in page.get_text()


@pytest.mark.requirement(43)
@pytest.mark.parametrize("name", letters.LETTERS)
def test_no_letter_tells_anybody_that_it_was_read(office: Office, name: str) -> None:
    """Nothing is fetched when it is opened, and links lead to this site and nowhere else."""
    html = part(office.write(name), "html")
    page = BeautifulSoup(html, "html.parser")
    assert page.select("[src], [background], link, script, style, object, iframe, form") == []
    assert "url(" not in html
    for link in page.select("a[href]"):
        address = urlsplit(str(link["href"]))
        assert address.scheme == "mailto" or f"{address.scheme}://{address.netloc}" == BASE
    assert set(re.findall(r"https?://[^/\s]+", part(office.write(name), "plain"))) == {BASE}


@pytest.mark.parametrize("name", letters.LETTERS)
def test_text_and_html_say_the_same(office: Office, name: str) -> None:
    """Each paragraph of the text stands in the HTML."""
    mail = office.write(name)
    shown = " ".join(BeautifulSoup(part(mail, "html"), "html.parser").get_text(" ").split())
    plain = part(mail, "plain").split("\n--\n")[0]
    assert "\n\n\n" not in plain
    for paragraph in plain.split("\n\n"):
        for line in paragraph.splitlines():
            words, _, address = line.removeprefix("- ").partition(": http")
            assert words in shown or address


@pytest.mark.requirement(80)
@pytest.mark.parametrize("name", letters.LETTERS)
def test_subjects_are_for_anybody_to_see(office: Office, name: str) -> None:
    """They stand on lock screens and in the logs of mail servers."""
    subject = office.write(name)["Subject"]
    assert subject
    for private in ("Kari", "kari", "R7-4F2K", "t0ken"):
        assert private not in subject


@pytest.mark.requirement(67, 69)
@pytest.mark.parametrize("name", WITH_LINK)
def test_a_link_is_shown_whole_with_its_terms(office: Office, name: str) -> None:
    """How long it lives, that it works once, and that opening it does nothing."""
    mail = office.write(name)
    plain = part(mail, "plain")
    (link,) = [line for line in plain.splitlines() if "t0ken" in line]
    path = {"reset": "/password/reset/"}.get(name, "/confirm/")
    path = "/requests/verify/" if name in KINDS else path
    assert link == f"{BASE}{path}t0ken.signed-Here?lang=en"
    assert "works once, and for 45 minutes" in plain
    assert "nothing happens unless you press the button" in plain
    page = BeautifulSoup(part(mail, "html"), "html.parser")
    shown = [one.get_text() for one in page.select(f'a[href="{link}"]')]
    assert len(shown) == 2
    assert link in shown


@pytest.mark.requirement(67)
@pytest.mark.parametrize("name", FOLLOWING)
def test_a_link_to_follow_a_case_has_terms_of_its_own(office: Office, name: str) -> None:
    """It shows and does nothing, and works for longer: no letter may say that it is used up."""
    mail = office.write(name)
    plain = part(mail, "plain")
    assert f"\n{BASE}/requests/verify/t0ken.signed-Here?lang=en\n" in plain
    assert "changes nothing. It works for 14 days" in plain
    assert "works once" not in plain
    assert "See the case" in part(mail, "html")


@pytest.mark.requirement(54, 63)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_refusal_says_why_and_where_to_complain(office: Office, locale: str) -> None:
    """The law's reason and the operator's words as they were written; Datatilsynet; a court."""
    written = "Vi har sett på det.\n<b>Ikke fet</b> & det er alt."
    mail = office.write("request_refused", locale, reason="excessive", written=written)
    plain, html = part(mail, "plain"), part(mail, "html")
    assert written in plain
    assert written in BeautifulSoup(html, "html.parser").get_text()
    assert "<b>" not in html
    for words in (plain, html):
        assert "Datatilsynet (www.datatilsynet.no/" in words
    if locale == "en":
        assert "The request is excessive." in plain
        assert "court" in plain


def test_the_operator_reads_references_and_days(office: Office) -> None:
    """What is due, what is overdue, and what waits for the person; nobody's name or address."""
    cases = [
        {"reference": "BBBB-2222", "kind": "enquiry", "due_on": "2026-11-20", "overdue": True},
        {"reference": "CCCC-3333", "kind": "access", "due_on": "2026-11-25", "overdue": False},
    ]
    cases[1]["waits_for_person"] = True
    plain = part(office.write("case_due", cases=cases), "plain")
    assert "- BBBB-2222: A question, overdue since 20 November 2026\n" in plain
    due = "- CCCC-3333: A request for access, due on 25 November 2026."
    assert f"{due} The person has a step left to take\n" in plain
    opened = part(office.write("case_opened", kind="objection", about_purpose="security"), "plain")
    assert "An objection: Security" in opened
    assert "flask requests show R7-4F2K --purpose answering" in opened


@pytest.mark.requirement(62)
def test_a_letter_that_warns_says_until_when_it_can_be_stopped(office: Office) -> None:
    """And not that it may be ignored: doing nothing lets it happen."""
    for kind in ("plain", "html"):
        waiting = part(office.write("erasure_waiting"), kind)
        assert "24 December 2026 at 13:00" in waiting
        assert f"{BASE}/requests/verify/t0ken.signed-Here?lang=en" in waiting
        assert "If you do nothing, it is deleted" in waiting
        assert "ignore" not in waiting


@pytest.mark.requirement(75)
def test_the_last_letter_says_what_stays_and_until_when(office: Office) -> None:
    """Under a hold, and in the books; and that it goes by itself."""
    for kind in ("plain", "html"):
        last = part(office.write("erasure_done", kept=[HELD], accounting="2031-12-31"), kind)
        assert "Your account: name, addresses, phone, password and language: 1 May 2027" in last
        assert "deleted by itself, and you need not ask again" in last
        assert "until 31 December 2031" in last
        assert "leads us to what stays" in last


@pytest.mark.requirement(75)
@pytest.mark.parametrize("name", ["erasure_done", "account_ended"])
def test_the_last_letter_is_true_of_the_books(office: Office, name: str) -> None:
    """Invoices have a name on them: with some, where nobody could look, and with none."""
    for kind in ("plain", "html"):
        some = part(office.write(name, accounting="2031-12-31", accounting_known=True), kind)
        assert "with the name and the address of the buyer, stay until 31 December 2031" in some
        unknown = part(office.write(name, accounting=None, accounting_known=False), kind)
        assert "If you have bought something, its invoice stays, with the name" in unknown
        none = part(office.write(name, accounting=None, accounting_known=True), kind)
        assert "nvoice" not in none
        for one in (some, unknown, none):
            assert "What else stays does not say who you are: the entries" in one


@pytest.mark.requirement(51)
@pytest.mark.parametrize("name", ["account_ending", "account_ended"])
def test_who_goes_is_told_when_why_and_what_is_held(office: Office, name: str) -> None:
    """And of nothing that the site does not offer."""
    for kind in ("plain", "html"):
        held, free = part(office.write(name, kept=[HELD]), kind), part(office.write(name), kind)
        assert "22 December 2026" in free
        assert "tart a new" not in free
        assert ("1 May 2027" in held, "2027" in free) == (True, False)


@pytest.mark.parametrize("name", sorted({*letters.LETTERS} - {*WITH_LINK, *FOLLOWING, *OWN_TERMS}))
def test_no_other_letter_holds_a_token(office: Office, name: str) -> None:
    """Even where the payload has one."""
    assert "t0ken" not in office.write(name).as_string()


@pytest.mark.requirement(70)
def test_links_are_made_of_settings_only(office: Office) -> None:
    """A letter that is rendered during a request with a forged host does not know it."""
    with office.app.test_request_context("/", headers={"Host": "evil.example"}):
        assert "evil.example" not in office.write("reset").as_string()


@pytest.mark.requirement(54)
@pytest.mark.parametrize(
    ("locale", "day"), [("nb", "22. desember 2026"), ("nn", "22. desember 2026"), ("en", "2026")]
)
def test_a_request_has_its_reference_and_its_day(office: Office, locale: str, day: str) -> None:
    """The day as the reader's language writes it."""
    for name in (*KINDS, "request_received", "request_extended", "enquiry_received"):
        plain = part(office.write(name, locale), "plain")
        assert "R7-4F2K" in plain
        assert day in plain


@pytest.mark.requirement(34)
@pytest.mark.parametrize("locale", LOCALES)
def test_every_letter_names_the_newest_checkpoint(
    office: Office, ledger: Database, locale: str
) -> None:
    """Below the line, with where it is explained: whoever keeps the letter keeps that."""
    with ledger.reading() as session:
        newest = standing.newest(session)
    assert newest
    for name in letters.LETTERS:
        mail = office.write(name, locale)
        footer = part(mail, "plain").split("\n--\n")[1]
        shown = BeautifulSoup(part(mail, "html"), "html.parser").get_text(" ")
        for said in (footer, shown):
            assert newest.root in said
            assert f" {newest.size} " in said
        assert f"{BASE}/ledger?lang={locale}" in footer


@pytest.mark.requirement(34, 73, 75)
@pytest.mark.parametrize("name", letters.LETTERS)
def test_receipts_are_attached_where_something_was_recorded(
    office: Office, log: Log, name: str
) -> None:
    """Each named by its entry, and nothing else is attached to any letter."""
    files = {
        str(one.get_filename()): one.get_payload(decode=True)
        for one in office.write(name).iter_attachments()
    }
    expected = office.entries if name in WITH_RECEIPTS else []
    assert sorted(files) == sorted(f"receipt-{one[:8]}.json" for one in expected)
    for content in files.values():
        assert isinstance(content, bytes)
        assert receipts.check(content, [log.signers[0].verifier]).entry.id in expected


@pytest.mark.parametrize("name", WITH_RECEIPTS)
def test_without_its_receipts_a_letter_says_where_they_are(
    office: Office, ledger: Database, name: str
) -> None:
    """On the site; the last one gives their numbers, since nobody can sign in any more."""
    with ledger.transaction() as session:
        waiting = [append_anonymous(session, "consent.expired", logs.EXPIRED, at=office.at)]
    mail = office.write(name, entries=waiting)
    assert list(mail.iter_attachments()) == []
    number = "" if f"mail.{name}" in LAST_MAILS else f"{BASE}/preferences/receipts/"
    for kind in ("plain", "html"):
        assert f"{number}{waiting[0]}" in part(mail, kind)
        assert "Newsletter by e-mail: expired" in part(mail, kind)


def test_a_language_that_we_do_not_have_becomes_bokmal(office: Office) -> None:
    """A queued message outlives the setting it was posted under."""
    assert office.write("confirm", "sv")["Content-Language"] == "nb"


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Kåre O'Hara & co", "Hi Kåre O'Hara & co,"),
        ("  Kari\r\nNordmann ", "Hi Kari Nordmann,"),
        (None, "Hi,"),
        ("Win at https://evil.example", "Hi,"),
        ("evil.example has news", "Hi,"),
        ("Kari <b>", "Hi,"),
        ("call 99 88 77 66", "Hi,"),
        ("x" * 61, "Hi,"),
    ],
)
def test_a_name_that_could_be_an_advertisement_is_not_repeated(
    office: Office, name: str | None, greeting: str
) -> None:
    """Anybody can write to anybody by entering their address here; not what they like."""
    mail = office.write("confirm", name=name)
    assert part(mail, "plain").splitlines()[0] == greeting
    page = BeautifulSoup(part(mail, "html"), "html.parser")
    assert [one.get_text() for one in page.select("h1 + p")] == [greeting]


def test_domains_outside_ascii_reach_every_server(office: Office) -> None:
    """`straße` is not `strasse`: IDNA 2008, or the letter goes to somebody else."""
    assert office.write("confirm", to="kari@blåbær.no")["To"] == "kari@xn--blbr-roah.no"
    assert office.write("confirm", to="kari@straße.de")["To"] == "kari@xn--strae-oqa.de"
    assert office.write("confirm", to="kåre@example.no")["To"] == "kåre@example.no"


@pytest.mark.parametrize("to", ["kari@example.no\r\nBcc: ola@example.no", "a@x.no, b@y.no"])
def test_an_address_brings_no_header_and_no_second_recipient(office: Office, to: str) -> None:
    """Registration refuses such an address; this is the last door."""
    try:
        mail = office.write("confirm", to=to)
    except ValueError:
        return
    assert mail["Bcc"] is None
    assert len(mail["To"].addresses) == 1


def test_a_letter_that_nobody_wrote_is_an_error(office: Office) -> None:
    """Also one whose name leads elsewhere."""
    for name in ("unheard_of", "../base"):
        with pytest.raises(UnknownKind):
            office.write(name)


def test_the_mail_domain_is_the_senders(office: Office) -> None:
    """It stands on the right of each Message-ID."""
    assert letters.mail_domain(office.app.extensions["settings"]) == "lillemini.example"
