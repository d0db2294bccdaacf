"""A small language model as an encoder: how likely it finds each of a few labels for a text.

The model is a GGUF file that llama.cpp runs in this process (``xllamacpp``, the extra ``local``).  What stands before
the text (the question and the examples) is the same for every text and is kept by the engine, so a text costs its own
tokens: some 4 ms each on one core with SmolLM2-135M.  Texts that were read are remembered.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput, ModelFailed, NotInstalled
from waypost.types import Floats

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"  # what `waypost models add smollm2-135m` brings
DIFFICULTY = "How well would a small language model answer this? 5 is very well, 1 is not at all. Say the number only."
MARKS = ("1", "2", "3", "4", "5")
GRADED = (
    ("Say hello.", "5"),
    ("Prove that every even number above 2 is a sum of two primes.", "1"),
    ("What is the capital of France?", "5"),
    ("What is 3871 times 642?", "2"),
    ("Explain how rain forms.", "4"),
)

_LOADING = threading.Lock()
_WINDOW = 2048
_LONGEST = 300  # characters of a text: even of four bytes, each a token, they fit into the window
_REMEMBERED = 100_000  # texts, some 200 bytes each
_PUSH = 50.0  # added to the labels' logits, so that nothing else has a chance; what they are to each other stays
_MISSING = "the language model's file {} is missing; run `waypost models add smollm2-135m`, or give its path"
_INSTALL = "running GGUF files needs the xllamacpp package; run pip install 'waypost[local]'"


class LanguageModel:
    """The probabilities of ``labels`` as the next word after a question about the text.

    ``question`` says what is asked, ``shots`` are examples of texts and labels.  Labels are compared by their first
    tokens, which must differ.  ``path`` is the model's file, by default SmolLM2-135M in the user's cache.  Texts
    beyond ``max_chars`` are cut in the middle.  The vector is the square root of the probabilities, so its length is
    1 and the cosine of two texts is the Bhattacharyya coefficient of their labels.

    ``name`` is registered for the default settings; of others it ends in a hash of them and cannot be looked up, so a
    router that holds such an encoder can be told from another but not saved.

    Raises:
        ValueError: fewer than two labels, equal ones, or ``max_chars`` outside 2..300.
    """

    name = "smollm2-difficulty"

    def __init__(
        self,
        question: str = DIFFICULTY,
        labels: Sequence[str] = MARKS,
        shots: Sequence[tuple[str, str]] = GRADED,
        *,
        path: str | Path | None = None,
        max_chars: int = 200,
    ) -> None:
        if len(labels) < 2 or len(set(labels)) < len(labels) or not all(labels):
            raise ValueError(f"labels must be two or more words that differ, got {', '.join(labels) or 'none'}")
        if not 2 <= max_chars <= _LONGEST:
            raise ValueError(f"max_chars must be between 2 and {_LONGEST}, got {max_chars}")
        self.labels = tuple(labels)
        self.dim = len(labels)
        self.max_chars = max_chars
        self.path = Path(path) if path else _cached()
        turns = "".join(_turn("user", text) + _turn("assistant", label) for text, label in shots)
        self._before = f"{_turn('system', question)}{turns}<|im_start|>user\n"
        asked = (question, self.labels, tuple(map(tuple, shots)), max_chars)
        where = "" if self.path == _cached() else str(self.path)
        if where or asked != (DIFFICULTY, MARKS, GRADED, 200):
            self.name = f"smollm2-{blake2b(repr((asked, where)).encode(errors='replace'), digest_size=8).hexdigest()}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, labels); a text without any character gets the zero vector."""
        said_N1 = np.array([bool(text.strip()) for text in texts]).reshape(-1, 1)
        return np.asarray(np.sqrt(self.probabilities(texts)) * said_N1, dtype=np.float32)

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """The probability of each label for each text, (N, labels); each row sums to 1.

        Raises:
            NotInstalled: the package or the model's file is missing.
            BadInput: two labels begin with the same token.
            ModelFailed: llama.cpp refused.
        """
        if not texts:
            return np.empty((0, self.dim))
        with _LOADING:
            engine = _engine(self.path)
        return np.array([engine.read(self._before, self._cut(text), self.labels) for text in texts])

    def _cut(self, text: str) -> str:
        text = " ".join(text.encode(errors="replace").decode().split())
        if len(text) > self.max_chars:
            half = self.max_chars // 2
            text = f"{text[:half]} {text[-half:]}"
        return text


def _cached() -> Path:
    return Path.home() / ".cache" / "waypost" / FILE


def _turn(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


@lru_cache(maxsize=2)
def _engine(path: Path) -> _Engine:
    return _Engine(path)


class _Engine:
    """One model in memory, with what it has read; one text at a time, whoever asks."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise NotInstalled(_MISSING.format(path))
        try:
            import xllamacpp
        except ImportError as error:
            raise NotInstalled(_INSTALL) from error
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel = _WINDOW, 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.verbosity = -1
        params.warmup = params.endpoint_slots = params.ui = False
        params.cache_ram_mib = 0
        # The engine always opens a port on loopback, which nobody here uses: shut it to everyone else.
        params.api_keys = [secrets.token_urlsafe(32)]
        try:
            self._server: Any = xllamacpp.Server(params)
        except RuntimeError as error:
            raise ModelFailed(f"llama.cpp cannot load {path}: {error}; is it a GGUF file?") from error
        self._turn = threading.Lock()
        self._known: OrderedDict[bytes, tuple[float, ...]] = OrderedDict()
        self._firsts: dict[tuple[str, ...], tuple[int, ...]] = {}

    def read(self, before: str, text: str, labels: tuple[str, ...]) -> tuple[float, ...]:
        """The probability of each label after the text."""
        # A text must not be able to end its turn and begin the assistant's.
        prompt = f"{before}{text.replace('<|', '< |')}<|im_end|>\n<|im_start|>assistant\n"
        key = blake2b("\0".join((prompt, *labels)).encode(), digest_size=16).digest()
        with self._turn:
            if key not in self._known:
                self._known[key] = self._ask(prompt, labels)
            self._known.move_to_end(key)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
            return self._known[key]

    def _ask(self, prompt: str, labels: tuple[str, ...]) -> tuple[float, ...]:
        if labels not in self._firsts:
            self._firsts[labels] = self._first_tokens(labels)
        firsts = self._firsts[labels]
        bias = [[token, _PUSH] for token in firsts]
        chance = {token["id"]: float(token["prob"]) for token in self._next(prompt, bias, len(labels))}
        found = [max(chance.get(token, 0.0), 1e-12) for token in firsts]
        return tuple(value / sum(found) for value in found)

    def _first_tokens(self, labels: tuple[str, ...]) -> tuple[int, ...]:
        """The token that each label begins with; only the first ones are pushed, since labels may end alike."""
        found: dict[int, str] = {}
        for label in labels:
            # A text as a bias pushes all its tokens to the front; the first is the longest that the label begins with.
            pushed = self._next("", [[label, _PUSH]], 8 + len(label))
            first = max((t for t in pushed if t["token"] and label.startswith(t["token"])), key=_length, default=None)
            if first is None or first["id"] in found:
                other = f" from {found[first['id']]!r}" if first else ""
                raise BadInput(
                    f"label {label!r} cannot be told{other} by its first token; take words that begin otherwise"
                )
            found[first["id"]] = label
        return tuple(found)

    def _next(self, prompt: str, bias: list[list[Any]], count: int) -> list[dict[str, Any]]:
        """The likeliest next tokens: each with its id, text and probability."""
        request = {
            "prompt": prompt or "\n", "max_tokens": 1, "seed": 0, "cache_prompt": True,
            # The distribution as it is, but for the push.
            "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "post_sampling_probs": True,
            "logit_bias": bias, "n_probs": count,
        }  # fmt: skip
        replies: list[dict[str, Any]] = []
        self._server.handle_completions(request, replies.append)
        try:
            tokens: list[dict[str, Any]] = replies[0]["choices"][0]["logprobs"]["content"][0]["top_probs"]
        except (LookupError, TypeError) as error:
            raise ModelFailed(f"llama.cpp refused the request: {replies[:1]}") from error
        return tokens


def _length(token: dict[str, Any]) -> int:
    return len(token["token"])
