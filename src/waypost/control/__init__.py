"""What is decided for many requests at once: which models are kept in memory."""
