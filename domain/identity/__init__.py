"""Accounts, passwords, signed links and the vault of personal data."""
