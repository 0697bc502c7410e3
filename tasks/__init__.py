"""The stages of the pipeline. Each reads files, calls ``sdrm_core``, writes files and returns a small record."""
