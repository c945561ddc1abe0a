"""Data subject requests: by signed link for anyone, and from the account."""

from flask import Blueprint

bp = Blueprint("requests", __name__)

from blueprints.requests import asking, cases, privacy, rectifying, verifying  # noqa: E402 - on bp

__all__ = ["asking", "bp", "cases", "privacy", "rectifying", "verifying"]
