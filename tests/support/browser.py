"""A person at a browser without scripts: gets pages, fills in forms, sends what the page holds.

CSRF tokens and what was shown are read from the page, never made up, so a form that lacks them
fails here as it would for a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

Filled = Mapping[str, str | bool | None]
_REDIRECTS = 5
# No form stands in another.
_FORM = re.compile(r"<form\b.*?</form>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """An answer, and the address it came from after redirects."""

    url: str
    response: TestResponse

    @property
    def status(self) -> int:
        """The status code."""
        return self.response.status_code

    @property
    def headers(self) -> Headers:
        """The headers."""
        return self.response.headers

    @property
    def path(self) -> str:
        """The path and query of the address."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    @cached_property
    def html(self) -> str:
        """The page as sent."""
        return self.response.get_data(as_text=True)

    @cached_property
    def soup(self) -> BeautifulSoup:
        """The page as a tree."""
        return BeautifulSoup(self.html, "html.parser")

    @cached_property
    def text(self) -> str:
        """The words of the page, with single spaces."""
        return " ".join(self.soup.get_text(" ").split())

    def forms(self) -> list[Tag]:
        """The forms that post."""
        return [
            form
            for form in self.soup.find_all("form")
            if str(form.get("method", "get")).lower() == "post"
        ]

    @cached_property
    def _forms(self) -> list[Tag]:
        """The same, each read by itself, in half the time: for what is filled in alone."""
        if "soup" in self.__dict__:
            return self.forms()
        forms = [BeautifulSoup(text, "html.parser").form for text in _FORM.findall(self.html)]
        return [one for one in forms if one and str(one.get("method")).lower() == "post"]

    def form(self, filled: Filled, action: str | None = None) -> Tag:
        """The form a person would fill in so: it has every field, and posts to `action`."""
        names = set(filled)
        for form in self._forms:
            inside = {str(field["name"]) for field in form.select("[name]")}
            posts_to = urlsplit(urljoin(self.url, str(form.get("action") or ""))).path
            if names <= inside and (action is None or posts_to == urlsplit(action).path):
                return form
        where = f" that posts to {action}" if action else ""
        raise AssertionError(f"{self.path} has no form with {sorted(names)}{where}")


class Browser:
    """One visitor: keeps cookies, follows redirects within the site."""

    def __init__(
        self, app: Flask, base_url: str, *, address: str = "127.0.0.1", locale: str = "nb"
    ):
        self._client = app.test_client()
        self._base_url = base_url
        self._address = address
        self._locale = locale

    def get(self, url: str, *, method: str = "GET", follow: bool = True, **headers: str) -> Page:
        """Open an address of the site: a path, or a whole one as it stands in a mail."""
        return self._open(url, method=method, follow=follow, headers=headers)

    def post(
        self, url: str, filled: Filled | None = None, *, page: Page | None = None, **headers: str
    ) -> Page:
        """Open `url`, fill in its form, send it, and follow where it leads.

        A text fills a field, True ticks a box, False or None leaves it out. What the page holds
        already (tokens, earlier answers) is sent along. With `page`, that page's form is used,
        as when a person sends an old page.
        """
        page = page or self.get(url)
        filled = filled or {}
        forms = [form for form in page._forms if _posts_to(page, form) == urlsplit(page.url).path]
        form = page.form(filled, page.url if forms else None)
        return self.submit(page, form, filled, **headers)

    def press(self, page: Page, action: str, filled: Filled | None = None) -> Page:
        """Send the form of `page` that posts to `action`."""
        return self.submit(page, page.form(filled or {}, action), filled or {})

    def submit(self, page: Page, form: Tag, filled: Filled, **headers: str) -> Page:
        """Send this form of this page, with `button="refuse"` by the button of this value."""
        data = _values(form)
        for name, value in filled.items():
            if value is None or value is False:
                data.pop(name, None)
            else:
                data[name] = [_ticked(form, name) if value is True else str(value)]
        if button := _button(form, headers.pop("button", None)):
            data[str(button["name"])] = [str(button.get("value", ""))]
        target = urljoin(page.url, str(form.get("action") or page.url))
        # As every browser says of a page of the same site.
        sent = {"Sec-Fetch-Site": "same-origin", "Referer": page.url, **headers}
        return self._open(target, method="POST", data=data, headers=sent)

    def send(self, url: str, data: Mapping[str, str], **headers: str) -> Page:
        """Post exactly this, as a program would, and follow nothing."""
        fields = {name: [value] for name, value in data.items()}
        return self._open(url, method="POST", data=fields, follow=False, headers=headers)

    def cookie(self, name: str) -> str | None:
        """The value of a cookie that the site set."""
        found = self._client.get_cookie(name, domain=urlsplit(self._base_url).hostname or "")
        return found.value if found else None

    def forget(self, name: str) -> None:
        """Delete a cookie, as its owner may."""
        self._client.delete_cookie(name, domain=urlsplit(self._base_url).hostname or "")

    def keep(self, name: str, value: str) -> None:
        """Put a cookie there, as from a copy of another day."""
        self._client.set_cookie(name, value, domain=urlsplit(self._base_url).hostname or "")

    def _open(
        self,
        url: str,
        *,
        method: str,
        headers: Mapping[str, str],
        data: dict[str, list[str]] | None = None,
        follow: bool = True,
    ) -> Page:
        for _ in range(_REDIRECTS):
            url = urljoin(f"{self._base_url}/", url)
            assert url.startswith(self._base_url), f"{url} is not on this site"
            response = self._client.open(
                url[len(self._base_url) :] or "/",
                method=method,
                base_url=self._base_url,
                data=data,
                headers={"Accept-Language": self._locale, **_named(headers)},
                environ_overrides={"REMOTE_ADDR": self._address},
                buffered=True,  # to its end, as by a server: what is done after an answer is done
            )
            page = Page(url, response)
            if not follow or response.status_code not in {301, 302, 303, 307, 308}:
                return page
            assert response.status_code not in {307, 308} or method != "POST"
            url, method, data = urljoin(url, response.headers["Location"]), "GET", None
        raise AssertionError(f"{url} redirects for ever")


def _button(form: Tag, value: str | None) -> Tag | None:
    """The button of this value, which goes along; None where none was named."""
    return form.select_one(f'button[name][value="{value}"]') if value else None


def _posts_to(page: Page, form: Tag) -> str:
    return urlsplit(urljoin(page.url, str(form.get("action") or page.url))).path


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _values(form: Tag) -> dict[str, list[str]]:
    """What a browser would send of a form that nobody touched, but for its buttons."""
    data: dict[str, list[str]] = {}
    for field in form.select("input[name]:not([disabled]), textarea[name], select[name]"):
        name, kind = str(field["name"]), str(field.get("type", "text")).lower()
        if kind in {"submit", "button", "image", "reset", "file"}:
            continue
        if kind in {"checkbox", "radio"} and not field.has_attr("checked"):
            continue
        data.setdefault(name, []).append(_value(field, kind))
    return data


def _value(field: Tag, kind: str) -> str:
    if field.name == "textarea":
        return field.get_text()
    if field.name == "select":
        chosen = field.select_one("option[selected]") or field.select_one("option")
        return str(chosen.get("value", chosen.get_text())) if chosen else ""
    return str(field.get("value", "on" if kind in {"checkbox", "radio"} else ""))


def _ticked(form: Tag, name: str) -> str:
    box = form.select_one(f'input[type="checkbox"][name="{name}"]')
    assert box, f"there is no box {name} to tick"
    return str(box.get("value", "on"))
