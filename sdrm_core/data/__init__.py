"""Sources, readers, roles and the sparse user-item matrix."""
