"""One room a stage: read files, call the core, write files, return a small record."""
