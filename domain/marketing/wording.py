"""What a newsletter says, from Markdown: as HTML for mail programs, as plain text, and what no
newsletter may have in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from urllib.parse import unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

# No HTML of its own: the text part could not say what it says.
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_TAGS = {
    *("h2", "h3", "h4", "p", "ul", "ol", "li", "a", "strong", "em", "code", "pre", "blockquote"),
    *("table", "thead", "tbody", "tr", "th", "td", "hr", "br"),
}
# Mail programs drop style sheets, so styles stand on the elements.
_LINK = "color: #1d5c4d"
_CELL = "padding: 4px 12px 4px 0; text-align: left; vertical-align: top"
_STYLES = {
    "h2": "margin: 24px 0 8px; font-size: 19px; line-height: 1.3",
    "h3": "margin: 20px 0 8px; font-size: 17px; line-height: 1.3",
    "h4": "margin: 16px 0 8px; font-size: 16px; line-height: 1.3",
    "a": _LINK,
    "ul": "padding-left: 20px",
    "ol": "padding-left: 20px",
    "blockquote": "margin: 16px 0; padding-left: 12px; border-left: 4px solid #e4ddd0",
    "hr": "margin: 24px 0; border: 0; border-top: 1px solid #e4ddd0",
    "th": _CELL,
    "td": _CELL,
}
# What is hung onto links so that somebody else can tell who followed them.
_TRACKS = re.compile(
    r"[?&;#](utm_\w+|mtm_\w+|pk_\w+|mc_[ce]id|gclid|fbclid|dclid|msclkid|_hs(enc|mi)|vero_id)\b",
    re.IGNORECASE,
)

# Makes an address on this site of a path.
Page = Callable[[str], str]


class Fault(StrEnum):
    """What a newsletter may not have in it."""

    # Fetching it tells who opened the mail, and when (ekomloven § 3-15).
    IMAGE = "image"
    # A link that tells another site who followed it, or from where.
    TRACKING = "tracking"
    # A link that leads nowhere from a mail.
    NOWHERE = "nowhere"


def faults(words: str) -> list[Fault]:
    """What is in these words that no newsletter may have."""
    tokens = [one for token in _MARKDOWN.parse(words) for one in token.children or ()]
    found = []
    if any(token.type == "image" for token in tokens):
        found.append(Fault.IMAGE)
    addresses = [_address(token) for token in tokens if token.type == "link_open"]
    # In plain words too: mail programs make links of them.
    if _TRACKS.search(unquote(to_text(words, str))):
        found.append(Fault.TRACKING)
    # No link is left of an address that cannot be read as one.
    whole = to_html(words, str).count("<a href=") == len(addresses)
    if not whole or not all(map(_leads, addresses)):
        found.append(Fault.NOWHERE)
    return found


def to_html(words: str, page: Page) -> str:
    """For a mail: without images, with headings below that of the mail, and with links to paths
    of this site made whole by `page`."""
    tokens = _MARKDOWN.parse(words)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 4)}"
        for link in token.children or ():
            if link.type == "link_open":
                link.attrs["href"] = _whole(link, page)
        token.children = [*_without_images(token.children or ())]
    return nh3.clean(
        _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}),
        tags=_TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        set_tag_attribute_values={tag: {"style": style} for tag, style in _STYLES.items()},
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )


def to_text(words: str, page: Page) -> str:
    """The same as plain text: paragraphs with empty lines between them, addresses in full."""
    plain = _Plain(page)
    for token in _MARKDOWN.parse(words):
        plain.take(token)
    return "".join(plain.said).lstrip("\n") + "\n"


class _Plain:
    """Plain text of blocks: what was `said` so far, each piece with the line ends before it."""

    def __init__(self, page: Page):
        self.said: list[str] = []
        self._page = page
        # Of each list that is open, the number of its next item; None for those with hyphens.
        self._numbers: list[int | None] = []
        self._mark, self._close = "", False
        self._cells: list[str] = []
        self._before = ""

    def take(self, token: Token) -> None:
        """One token after the other."""
        if token.type in ("bullet_list_open", "ordered_list_open"):
            self._numbers.append(int(token.attrs.get("start", 1)) if token.tag == "ol" else None)
            self._close = len(self._numbers) > 1
        elif token.type in ("bullet_list_close", "ordered_list_close"):
            self._numbers.pop()
        elif token.type == "list_item_open":
            self._item()
        elif token.type in ("table_open", "tr_close"):
            self.said.append("\n" + " | ".join(self._cells))
            self._cells = []
        elif token.type in ("hr", "fence", "code_block"):
            self._say("* * *" if token.type == "hr" else token.content.rstrip())
        elif token.type == "inline":
            self._inline(token)
        elif token.type == "paragraph_open":
            # Hidden where the items of a list stand close to each other.
            self._close = self._close and token.hidden
        self._before = token.type

    def _item(self) -> None:
        number = self._numbers[-1]
        self._mark = "- " if number is None else f"{number}. "
        self._numbers[-1] = None if number is None else number + 1

    def _inline(self, token: Token) -> None:
        line = _line(token, self._page)
        if self._before in ("th_open", "td_open"):
            self._cells.append(line)
        else:
            self._say(line)

    def _say(self, words: str) -> None:
        self.said.append(("\n" if self._close else "\n\n") + self._mark + words)
        self._mark, self._close = "", bool(self._numbers)


def _line(token: Token, page: Page) -> str:
    said: list[str] = []
    links: list[tuple[str, int]] = []
    for one in _without_images(token.children or ()):
        if one.type == "link_open":
            links.append((_whole(one, page), len(said)))
        elif one.type == "link_close":
            address, begun = links.pop()
            shown = "".join(said[begun:])
            bare = address.removeprefix("mailto:")
            said[begun:] = [bare if shown in (address, bare) else f"{shown} <{bare}>"]
        elif one.type == "softbreak":
            said.append(" ")
        else:
            said.append("\n" if one.type == "hardbreak" else one.content)
    return "".join(said)


def _without_images(children: Sequence[Token]) -> Iterator[Token]:
    """With the words that describe an image in its place."""
    for child in children:
        if child.type == "image":
            yield Token("text", "", 0, content=child.content)
        else:
            yield child


def _whole(link: Token, page: Page) -> str:
    address = _address(link)
    return page(address) if _ours(address) else address


def _address(link: Token) -> str:
    return str(link.attrs.get("href", ""))


def _ours(address: str) -> bool:
    return address.startswith("/") and not address.startswith("//")


def _leads(address: str) -> bool:
    """Whether it leads somewhere: to a path of this site, or to a whole address."""
    return _ours(address) or address.startswith(("https://", "http://", "mailto:"))
