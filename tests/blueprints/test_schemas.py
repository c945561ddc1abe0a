"""The schema of what a person takes along, for whoever reads such a file."""

from __future__ import annotations

import json

from domain.rights import portability
from tests.support.browser import Browser


def test_the_schema_is_served_as_what_it_is(client: Browser) -> None:
    """Byte for byte as it stands in the project, with a name that no address changes."""
    page = client.get("/schemas/portability-1.json")
    assert page.status == 200
    assert page.headers["Content-Type"] == "application/schema+json"
    assert page.response.data == portability.SCHEMA_FILE.read_bytes()
    assert json.loads(page.response.data)["$id"] == portability.VERSION
