"""The story of a night, in order. Knows Prefect and the tasks; no tensors, no frames, no expectations."""
