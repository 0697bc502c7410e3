"""The arms of a comparison: everything that can make synthetic users, behind one signature."""
