"""moto's KMS in the place of AWS: no network, and failures at its edge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws

from domain import kms


@contextmanager
def kms_of_moto(patch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of it, the same that our own code gets."""
    patch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    with mock_aws():
        kms.forget()
        yield kms.client()
    kms.forget()


def failing(error: Exception | tuple[int, str]) -> Callable[[], None]:
    """From now on KMS cannot be reached, or answers with a status and a code, until what is
    returned is called. Nothing is remembered of what it did before."""
    kms.forget()
    events = kms.client().meta.events

    def answer(request: Any, **_: Any) -> Any:
        if isinstance(error, Exception):
            raise error
        status, code = error
        body = f'{{"__type": "{code}", "message": "User: arn:aws:iam::1:user/ola"}}'.encode()
        made: Any = AWSResponse(request.url, status, {}, None)
        made._content = body
        return made

    events.register_first("before-send.kms.*", answer)
    return lambda: events.unregister("before-send.kms.*", answer)
