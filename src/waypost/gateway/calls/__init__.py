"""The calls that are made: in order, again when that is safe, and not at all where a provider is down."""
