"""The rules of the site. Nothing here knows Flask."""
