"""The OpenAI-compatible server: a bare ASGI application and what it is made of.

A request's way, in the order of the files that it passes:

::

    protocol    HTTP within limits; door: who is inside               running/   readiness, reload, several processes
    turn        one request and its answer; client: when it leaves; pushing: pieces to it
    app         paths, and where errors become answers
    serving     what every request goes through
      callers/  who asks, and how much they may
      ask       body and headers, by the API of apis/
      cache/    an answer that was given before
      choice/   whom to send it to
    exchange    from the decision to the last byte
      calls/    the calls: in order, again, or not at all
      reply     the answer, by the API of apis/
    seeing/     numbers, logs, the row of every decision              traces/    spans

``settings`` reads the config by ``sections/``; ``plan`` and ``build`` make the parts of it; ``server`` opens the door.
"""
