"""What comes with Waypost: a pool, prompts, the outcomes table made with them, and the router fitted on it."""
