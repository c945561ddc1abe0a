"""The mailbox of a developer's machine."""

from blueprints.development.views import bp

__all__ = ["bp"]
