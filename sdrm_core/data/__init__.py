"""Read the interaction log, give each user a role, and build the sparse user-item matrix."""
