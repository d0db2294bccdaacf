"""The OpenAI-compatible server: a bare ASGI app; ``settings`` is the only reader of YAML and environment."""
