"""E-mail addresses: one spelling for each."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from domain.identity.errors import InvalidAddress


def normalise(text: str) -> str:
    """The one spelling of an address; raise InvalidAddress if mail cannot be sent to it.

    The part before the @ is folded too. RFC 5321 lets a server tell Kari@ from kari@, but no
    provider in use does, and telephones write the first letter large: unfolded, a person could
    not sign in with what they typed last week, and could get two accounts.

    A domain with æ, ø or å becomes its ASCII form, which every mail server takes; before the @
    only ASCII is taken, because mail to anything else cannot be relied on (SMTPUTF8).
    Domains are not looked up. `.test` and `.example` are taken: development and tests use them.
    """
    try:
        found = validate_email(
            text.strip(),
            allow_smtputf8=False,
            check_deliverability=False,
            strict=True,  # also what is too long for a mail server
            test_environment=True,
        )
    except EmailNotValidError:
        # `from None`: the library's message quotes the address.
        raise InvalidAddress from None
    return (found.ascii_email or found.normalized).casefold()
