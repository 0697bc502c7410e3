"""The comparison of generators (arms) by judges and seeds."""
