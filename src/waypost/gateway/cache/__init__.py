"""Answers that were given before: to the same request, or to one that says the same."""
