"""A report: findings computed once, a page to read and figures to print."""
