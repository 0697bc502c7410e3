"""The quality gates: what each expects, and how Great Expectations checks it."""
