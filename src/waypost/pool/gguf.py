"""Any GGUF file, run in this process by llama.cpp (``xllamacpp``)."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from waypost.errors import BadInput, Declined, ModelFailed, NotInstalled, nearest
from waypost.pool.download import PACKAGES
from waypost.pool.templates import NATIVE, TEMPLATES, Template
from waypost.pool.written import Written
from waypost.types import Answer, Delta, ModelCard, Query

if TYPE_CHECKING:
    from xllamacpp import Server

Json = Mapping[str, Any]

_WINDOW = 2048
_MAX_TOKENS = 256
# With its own template SmolLM2 gets a system message that derails it; a base model knows no turns.
_KNOWN = {"smollm2-135m": "chatml", "gemma3-270m": "plain"}
_INSTALL = "running GGUF files needs the xllamacpp package; run pip install 'waypost[local]'"


class Gguf:
    """A model in a GGUF file; its window is the card's ``context``, or 2048 tokens.

    Greedy unless the request has a temperature, 256 new tokens unless it says more.  ``template`` is "chatml",
    "plain" (for base models) or "model" (the file's own); ``slots`` is how many answers are written at once,
    ``threads`` how many cores they share (by default half of them).
    The file is loaded at the first call, in a thread.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        path: Path,
        template: str | None = None,
        slots: int = 2,
        threads: int | None = None,
    ) -> None:
        if template is None:
            template = _KNOWN.get(card.name, NATIVE)
        if template != NATIVE and template not in TEMPLATES:
            names = [*TEMPLATES, NATIVE]
            raise BadInput(f"no template '{template}'; there are {', '.join(names)}.{nearest(template, names)}")
        # llama.cpp's threads wait for each other at every layer: one that shares its core with other work stalls all
        # (measured on two busy cores: 4 tokens a second with two threads, 120 with one), so half is left free.
        threads = max(1, (os.cpu_count() or 2) // 2) if threads is None else threads
        for name, value in (("slots", slots), ("threads", threads)):
            if value < 1:
                raise BadInput(f"'{name}' must be at least 1, got {value}")
        self.card = card
        self._path = Path(path)
        self._template = TEMPLATES.get(template)
        self._slots = slots
        self._cores = threads
        self._callers = ThreadPoolExecutor(slots, thread_name_prefix=f"gguf-{card.name}")
        self._loading = threading.Lock()
        self._server: Server | None = None
        self._closed = threading.Event()

    async def stream(self, query: Query) -> AsyncIterator[Delta | Answer]:
        """Yield a `Delta` a token, then the `Answer`; leaving early stops the model at its next token.

        Raises:
            Declined: the conversation does not fit into the model's window.
            ModelFailed: the package or the file is missing, or llama.cpp refused.
        """
        start = time.perf_counter()
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[Json | None] = asyncio.Queue()
        gone = threading.Event()

        def receive(chunk: Json) -> bool:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            return gone.is_set() or self._closed.is_set()  # True makes llama.cpp stop

        job = loop.run_in_executor(self._callers, self._generate, _request(query, self._template), receive)
        job.add_done_callback(lambda _: chunks.put_nowait(None))
        written = Written(trim=True)
        try:
            while (chunk := await chunks.get()) is not None:
                if error := chunk.get("error"):
                    _refuse(error)
                if text := written.take(chunk):
                    yield Delta(text)
            await job
        except NotInstalled as error:
            raise ModelFailed(str(error)) from error
        finally:
            gone.set()
            job.cancel()
        if not written.finish:
            raise ModelFailed(f"{self.card.name} was stopped before its answer was complete")
        yield written.answer(self.card, time.perf_counter() - start)

    async def complete(self, query: Query) -> Answer:
        """The whole answer; raises as `stream` does."""
        async for piece in self.stream(query):
            if isinstance(piece, Answer):
                return piece
        raise AssertionError("a stream ends with an Answer or an error")

    async def ready(self) -> str | None:
        """None, or the command that brings what is missing."""
        if importlib.util.find_spec("xllamacpp") is None:
            return _INSTALL
        return self._missing()

    async def close(self) -> None:
        """Stop what is being written and free the model."""
        self._closed.set()
        await asyncio.to_thread(self._callers.shutdown, cancel_futures=True)
        self._server = None

    def _missing(self) -> str | None:
        if self._path.is_file():
            return None
        if self.card.name in PACKAGES:
            return f"the model's file {self._path} is missing; run `waypost models add {self.card.name}`"
        return f"the model's file {self._path} is missing; check the path of '{self.card.name}'"

    def _generate(self, request: Json, receive: Any) -> None:
        """Runs in one of the model's threads; llama.cpp releases the GIL while it computes."""
        server = self._load()
        handle = server.handle_chat_completions if "messages" in request else server.handle_completions
        handle(dict(request), receive)

    def _load(self) -> Server:
        with self._loading:
            if self._server is None:
                if problem := self._missing():
                    raise NotInstalled(problem)
                self._server = _open(self._path, self.card.context or _WINDOW, self._slots, self._cores)
            return self._server


def _open(path: Path, window: int, slots: int, threads: int) -> Server:
    try:
        import xllamacpp
    except ImportError as error:
        raise NotInstalled(_INSTALL) from error
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = window * slots
    params.n_parallel = slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    params.warmup = False
    # The engine always opens a port on loopback, which nobody here uses: shut it to everyone else.
    params.api_keys = [secrets.token_urlsafe(32)]
    params.endpoint_slots = params.ui = False
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise ModelFailed(f"llama.cpp cannot load {path}: {error}; is it a GGUF file?") from error


def _request(query: Query, template: Template | None) -> Json:
    asked = query.parameters
    stop = asked.get("stop") or []
    request: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": asked.get("max_completion_tokens") or asked.get("max_tokens") or _MAX_TOKENS,
        "temperature": 0.0,
        "seed": 0,
        # A single turn has nothing to reuse, and a cold start makes its answer the same every time.
        "cache_prompt": len(query.messages) > 1,
    }
    for name in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"):
        if asked.get(name) is not None:
            request[name] = asked[name]
    stops = [stop] if isinstance(stop, str) else list(stop)
    if template is None:
        return request | {"messages": list(query.messages), "stop": stops, "logprobs": True, "top_logprobs": 1}
    return request | {"prompt": template.render(query.messages), "stop": [*template.stop, *stops], "logprobs": 1}


def _refuse(error: Json) -> NoReturn:
    if error.get("type") == "exceed_context_size_error":
        raise Declined(
            f"the conversation has {error['n_prompt_tokens']} tokens, the model reads at most {error['n_ctx']}"
        )
    raise ModelFailed(f"llama.cpp refused the request: {error.get('message')}", upstream=error.get("code"))
