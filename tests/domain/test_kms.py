"""Keys that AWS KMS holds, against moto's KMS: no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoRegionError, ReadTimeoutError

from domain import kms
from domain.keys import (
    KeyRefused,
    Keyring,
    KeyServiceAway,
    KeyServiceError,
    SecretError,
    UnknownEpoch,
    WrongSeal,
)
from domain.kms import KmsKey
from tests.support.aws import failing, kms_of_moto

HERE, THERE = b"subject:0123456789abcdef", b"subject:fedcba9876543210"
Asks = Callable[[], Any]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto's KMS, the same that our own code gets."""
    with kms_of_moto(monkeypatch) as client:
        yield client


@pytest.fixture
def key(aws: Any) -> KmsKey:
    """A key that KMS holds."""
    return KmsKey(aws.create_key()["KeyMetadata"]["Arn"])


def ring(**epochs: bytes | KmsKey) -> Keyring:
    return Keyring({int(name[1:]): key for name, key in epochs.items()}, bytes(32), "s" * 40)


@pytest.mark.requirement(82)
@pytest.mark.parametrize("size", [0, 32, 100_000])
def test_a_value_of_any_size_comes_back(key: KmsKey, size: int) -> None:
    """More than the 4 kB that KMS itself would take; by another process too."""
    plaintext = bytes(size)
    sealed = ring(e3=key).seal(plaintext, HERE)
    assert sealed[:2] == b"\0\3"
    kms.forget()
    assert ring(e3=key).unseal(sealed, HERE) == plaintext


@pytest.mark.requirement(82)
@pytest.mark.parametrize("remembered", [True, False])
def test_a_value_opens_in_its_own_place_only(key: KmsKey, remembered: bool) -> None:
    """KMS itself refuses the context of another person; a data key that is remembered is
    remembered for its own place."""
    sealed = ring(e1=key).seal(b"Kari", HERE)
    lengths = range(len(sealed)) if remembered else (0, 3, 4, 40, 100, len(sealed) - 1)
    for damaged, context in ((sealed, THERE), *((sealed[:n], HERE) for n in lengths)):
        if not remembered:
            kms.forget()
        with pytest.raises((WrongSeal, UnknownEpoch)):
            ring(e1=key).unseal(damaged, context)


def test_another_key_of_kms_opens_nothing(aws: Any, key: KmsKey) -> None:
    """Even of the same account."""
    other = KmsKey(aws.create_key()["KeyMetadata"]["KeyId"])
    sealed = ring(e1=key).seal(b"Kari", HERE)
    with pytest.raises(SecretError):
        ring(e1=other).unseal(sealed, HERE)


def test_the_context_is_bound_and_names_nobody(aws: Any, key: KmsKey) -> None:
    """It is the same for the same place alone. CloudTrail keeps it: no id is in it."""
    asked: list[dict[str, Any]] = []
    events = aws.meta.events
    events.register("provide-client-params.kms.*", lambda params, **_: asked.append(params))
    ring(e1=key).seal(b"Kari", HERE)
    ring(e1=key).seal(b"Kari", HERE)
    ring(e1=key).seal(b"Kari", THERE)
    first, second, other = (one["EncryptionContext"] for one in asked)
    assert first == second != other
    assert first["samtykke"] == "subject"
    assert HERE[8:].decode() not in str(first)
    assert HERE[8:].hex() not in str(first)


def test_kms_is_not_asked_twice_within_a_minute(
    aws: Any, key: KmsKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page opens the same key several times. After the minute it is asked again, and no more
    than a few are remembered."""
    asked: list[str] = []
    aws.meta.events.register("before-call.kms", lambda model, **_: asked.append(model.name))
    one, at = ring(e1=key), 1000.0
    monkeypatch.setattr("domain.kms.monotonic", lambda: at)
    sealed = one.seal(b"Kari", HERE)
    one.unseal(sealed, HERE)
    assert asked == ["GenerateDataKey"]
    at += kms.REMEMBERED_SECONDS
    assert one.unseal(sealed, HERE) == b"Kari"
    assert asked == ["GenerateDataKey", "Decrypt"]
    monkeypatch.setattr(kms, "REMEMBERED_MOST", 2)
    for number in range(3):
        one.seal(b"Ola", f"subject:{number}".encode())
    one.unseal(sealed, HERE)
    assert asked[-1] == "Decrypt"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ((400, "AccessDeniedException"), KeyRefused),
        ((400, "DisabledException"), KeyRefused),
        ((400, "KMSInvalidStateException"), KeyRefused),
        ((400, "NotFoundException"), KeyRefused),
        ((400, "UnrecognizedClientException"), KeyRefused),
        (NoRegionError(), KeyRefused),
        ((400, "ThrottlingException"), KeyServiceAway),
        ((500, "KMSInternalException"), KeyServiceAway),
        ((503, "Whatever"), KeyServiceAway),
        (ReadTimeoutError(endpoint_url="https://kms"), KeyServiceAway),
        (EndpointConnectionError(endpoint_url="https://kms"), KeyServiceAway),
    ],
    ids=str,
)
def test_what_kms_says_becomes_an_error_of_ours(
    key: KmsKey, error: Any, raised: type[KeyServiceError]
) -> None:
    """Refused until the operator acts, or away for a moment; no words of theirs, and nothing of
    what was sealed."""
    sealed = ring(e1=key).seal(b"Kari", HERE)
    failing(error)
    asks: list[Asks] = [
        lambda: ring(e1=key).unseal(sealed, HERE),
        lambda: ring(e1=key).seal(b"K", HERE),
    ]
    for ask in asks:
        with pytest.raises(raised) as caught:
            ask()
        assert type(caught.value) is raised
        assert key.name in str(caught.value)
        assert "iam" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_without_kms_nothing_of_it_is_loaded() -> None:
    """boto3 takes more memory than the rest of the worker has to spare."""
    import subprocess
    import sys

    from settings import ROOT

    program = "import app, sys; print(*{'boto3', 'botocore'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
