"""Opening an account with linked consent capture, signing in, and the account's pages."""

from flask import Blueprint

bp = Blueprint("accounts", __name__)

from blueprints.accounts import (  # noqa: E402 - the views register themselves on bp
    account,
    confirmation,
    passwords,
    register,
    sign_in,
    subscription,
)

__all__ = ["account", "bp", "confirmation", "passwords", "register", "sign_in", "subscription"]
