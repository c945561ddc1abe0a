"""Front page, tips, notices, processors, cookies, contact, health and well-known addresses."""

from blueprints.site import notices, operations, tips
from blueprints.site.views import bp

__all__ = ["bp", "notices", "operations", "tips"]
