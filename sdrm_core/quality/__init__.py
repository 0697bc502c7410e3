"""How useful and how faithful synthetic users are."""
