"""What the sentence encoders share: tokens in, the tokens' last states out, one unit vector a text.

One text at a time goes through the network.  On a CPU a batch gains less than a tenth, and alone a text needs no
padding, so that its vector cannot depend on what else was asked: not through a mask that is missing, nor through the
scale that int8 networks choose for a whole batch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput, NotInstalled

if TYPE_CHECKING:
    from tokenizers import Tokenizer

States = Callable[[NDArray[np.int64]], NDArray[np.float32]]
POOLINGS = ("mean", "cls", "max", "lasttoken")
_THREADS = 2
_MAX_CHARS = 4000
_KEPT = 20_000  # vectors that are remembered: 30 MB of 384 numbers each


class Sentences:
    """A sentence model in memory.

    ``states`` turns token ids (T,) into the network's last states (T, D); ``longest`` is the number of tokens that it
    was trained for. A longer text is cut in the middle: the task mostly stands at the start or at the end. Vectors are
    remembered, since a table is encoded again by every router that is fitted on it.
    """

    def __init__(
        self, tokenizer: Tokenizer, states: States, *, dim: int, longest: int, pooling: str = "mean", prefix: str = ""
    ) -> None:
        if pooling not in POOLINGS:
            raise BadInput(f"no pooling '{pooling}' of token states; there is {', '.join(POOLINGS)}")
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer, self.states, self.dim, self.pooling, self.prefix = tokenizer, states, dim, pooling, prefix
        around = tokenizer.encode("a")
        first = around.special_tokens_mask.index(0)
        last = len(around.ids) - around.special_tokens_mask[::-1].index(0)
        self.before, self.after = around.ids[:first], around.ids[last:]
        self.longest = longest
        self._vectors: dict[bytes, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, dim); a text without any token gets the zero vector."""
        out_ND = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row_D, text in zip(out_ND, texts, strict=True):
            # Half a surrogate pair is no text, neither for the hash nor for the tokenizer.
            text = _cut(text).encode(errors="replace").decode()
            key = blake2b(text.encode(), digest_size=16).digest()
            known_D = self._vectors.get(key)
            if known_D is None:
                if len(self._vectors) >= _KEPT:
                    self._vectors.clear()
                known_D = self._vectors[key] = self._vector(text)
            row_D[:] = known_D
        return out_ND

    def tokens(self, text: str) -> list[int]:
        """The ids that the network sees, special tokens around them; none for a text without any token."""
        ids = self.tokenizer.encode(self.prefix + _cut(text), add_special_tokens=False).ids
        if not ids:
            return []
        room = self.longest - len(self.before) - len(self.after)
        if len(ids) > room:
            ids = ids[: room // 2] + ids[len(ids) - (room - room // 2) :]
        return [*self.before, *ids, *self.after]

    def _vector(self, text: str) -> NDArray[np.float32]:
        ids = self.tokens(text) if text.strip() else []
        if not ids:
            return np.zeros(self.dim, dtype=np.float32)
        states_TD = self.states(np.array(ids, dtype=np.int64))
        if self.pooling == "mean":
            vector_D = states_TD.mean(axis=0)
        elif self.pooling == "max":
            vector_D = states_TD.max(axis=0)
        else:
            vector_D = states_TD[0 if self.pooling == "cls" else -1]
        return np.asarray(vector_D / max(float(np.linalg.norm(vector_D)), 1e-12), dtype=np.float32)


def _cut(text: str) -> str:
    """The start and the end of a text that is too long to be tokenized for every request."""
    half = _MAX_CHARS // 2
    return text if len(text) <= _MAX_CHARS else f"{text[:half]} {text[-half:]}"


def onnx_states(path: Path) -> States:
    """The last states of an ONNX file that takes token ids, by onnxruntime on at most two threads.

    Raises:
        NotInstalled: onnxruntime is missing.
        BadInput: the file's inputs or outputs are not those of a sentence encoder.
    """
    ort = needed("onnxruntime", "pip install 'waypost[encoders]'")
    options = ort.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.inter_op_num_threads = 1
    # Threads that wait for the next request must not spin: the machine serves other things.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {item.name for item in session.get_inputs()}
    outputs = [item.name for item in session.get_outputs() if len(item.shape) == 3]
    if unknown := inputs - {"input_ids", "attention_mask", "token_type_ids"}:
        raise BadInput(f"{path} asks for {', '.join(sorted(unknown))}; a sentence encoder takes token ids and a mask")
    if not outputs:
        raise BadInput(f"{path} gives no states of tokens (batch, tokens, numbers); export the encoder without pooling")

    def states(ids_T: NDArray[np.int64]) -> NDArray[np.float32]:
        ids_1T = ids_T[None]
        fed = {"input_ids": ids_1T, "attention_mask": np.ones_like(ids_1T), "token_type_ids": np.zeros_like(ids_1T)}
        (found_1TD,) = session.run(outputs[:1], {name: fed[name] for name in inputs})
        return np.asarray(found_1TD[0], dtype=np.float32)

    return states


def needed(module: str, command: str) -> Any:
    """A module of an extra.

    Raises:
        NotInstalled: with the command that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotInstalled(f"this encoder needs {module}, which cannot be imported ({error}); {command}") from error
