"""How private synthetic users are."""
