"""Whom a request is sent to: the router and its trade-off on real traffic, and what it learns from that."""
