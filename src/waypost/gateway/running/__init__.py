"""A gateway that runs: readiness, a changed config, several processes."""
