"""The outbox: nothing leaves before the commit."""
