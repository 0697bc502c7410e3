"""The arms of a comparison: all generators of synthetic users, behind one interface."""
