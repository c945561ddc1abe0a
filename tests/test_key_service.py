"""The site on a key that AWS KMS holds, and what people see while it is away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import time_machine

import settings as site_settings
from domain.delivery import leases
from domain.kms import KmsKey
from tests.support.aws import failing, kms_of_moto
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import INGRID, confirm, register, sign_in

REFUSED = (400, "DisabledException")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto's KMS."""
    with kms_of_moto(monkeypatch) as client:
        yield client


@pytest.fixture
def settings(settings: site_settings.Settings, aws: Any) -> site_settings.Settings:
    """A site whose only key-encryption key KMS holds."""
    arn = aws.create_key()["KeyMetadata"]["Arn"]
    return replace(settings, keys=replace(settings.keys, epochs={1: KmsKey(arn)}))


@pytest.mark.requirement(82)
@pytest.mark.usefixtures("aws")
def test_a_key_service_that_is_away_costs_nothing_but_time(
    client: Browser, mails: Mails, clock: time_machine.Traveller
) -> None:
    """A form is answered 503 and nothing is kept of it; a mail in the outbox waits and is not given
    up. When KMS is back, both go through."""
    back = failing(REFUSED)
    assert register(client).status == 503
    back()
    assert register(client).status == 200
    back = failing(REFUSED)
    assert mails.all() == []
    back()
    clock.shift(leases.BACKOFF[0])
    confirm(client, mails)
    assert INGRID.email in sign_in(client).text
