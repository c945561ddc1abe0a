"""Markdown to safe HTML."""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"typographer": False}).enable("table")
_TAGS = {
    *("h1", "h2", "h3", "p", "ul", "ol", "li", "a", "strong", "em", "code", "blockquote"),
    *("table", "thead", "tbody", "tr", "th", "td", "hr", "br"),
}


def to_html(text: str) -> str:
    """Render; keep only the tags a document needs, and http, https, mailto and site links."""
    return nh3.clean(
        _MARKDOWN.render(text),
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noreferrer",
    )
