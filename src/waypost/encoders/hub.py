"""Any sentence encoder of the Hugging Face hub, or of a folder of that form.

Whatever states the form is read as sentence-transformers reads it: ``config.json`` (size), ``tokenizer.json``,
``sentence_bert_config.json`` (longest text), ``1_Pooling/config.json``, and the default prompt.  The network itself
is ``onnx/model.onnx`` by onnxruntime where the repository has it, else ``model.safetensors`` by transformers and torch.
Code of a repository is never run, and nothing is unpickled.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from waypost.encoders._sentences import Sentences, States, needed, onnx_states
from waypost.errors import BadInput, NotInstalled

PREFIX = "hub:"
_FACTS = ("*.json", "*/config.json")
_ONNX = ("onnx/model.onnx", "model.onnx")
_WEIGHTS = ("*.safetensors",)
_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean",  # the same once it has unit length
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}
_LOADING = threading.Lock()


class HubEncoder:
    """The encoder of a repository (``hub:owner/name``, ``hub:owner/name@revision``) or of a folder (``hub:./folder``).

    A repository is downloaded once, when the first text is encoded, and kept where the hub's client keeps its files.
    Without a revision it is the newest one: give one where a saved router must find the same vectors years later.
    A relative folder is looked for from where the process was started.

    >>> HubEncoder("hub:intfloat/e5-small-v2").name
    'hub:intfloat/e5-small-v2'
    """

    def __init__(self, name: str) -> None:
        self.name = name if name.startswith(PREFIX) else PREFIX + name
        self.where = self.name.removeprefix(PREFIX)
        if not self.where:
            raise BadInput("'hub:' needs a name: hub:owner/name, or hub:./folder")

    @cached_property
    def dim(self) -> int:
        """How many numbers a vector has; looks into the repository."""
        return self._sentences().dim

    @property
    def pooling(self) -> str:
        """How one vector is made of the states of all tokens."""
        return self._sentences().pooling

    def tokens(self, text: str) -> list[int]:
        """The ids of a text, special tokens around them, no more than the network was made for."""
        return self._sentences().tokens(text)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, dim); a text without any token gets the zero vector.

        Raises:
            NotInstalled: the repository cannot be reached and was never downloaded, or a package is missing.
            BadInput: it holds no sentence encoder that can be read.
        """
        return self._sentences().encode(texts)

    def _sentences(self) -> Sentences:
        with _LOADING:
            return _loaded(self.where)


@lru_cache(maxsize=4)
def _loaded(where: str) -> Sentences:
    from tokenizers import Tokenizer

    folder = fetched(where, (*_FACTS, *_ONNX))
    config = _json(folder / "config.json")
    if not (folder / "tokenizer.json").is_file() or "hidden_size" not in config:
        raise BadInput(f"{where} is no sentence encoder: it needs a config.json with a hidden_size, and tokenizer.json")
    modules = _json(folder / "modules.json")
    if any("Dense" in str(module.get("type")) for module in modules):
        raise BadInput(f"{where} has a dense layer after its pooling, which is not read; take an encoder without one")
    said = _json(folder / "config_sentence_transformers.json")
    prompts, default = said.get("prompts") or {}, said.get("default_prompt_name")
    onnx = next((folder / name for name in _ONNX if (folder / name).is_file()), None)
    return Sentences(
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        onnx_states(onnx) if onnx else _torch_states(where),
        dim=int(config["hidden_size"]),
        longest=_longest(config, _json(folder / "sentence_bert_config.json")),
        pooling=_pooling(where, _json(folder / "1_Pooling" / "config.json")),
        prefix=str(prompts.get(default) or ""),
    )


def _longest(config: Mapping[str, Any], said: Mapping[str, Any]) -> int:
    """How many tokens the network may be given: what was said, and no more than it has positions for."""
    positions = int(config.get("max_position_embeddings") or 512)
    if "roberta" in str(config.get("model_type")):
        positions -= int(config.get("pad_token_id") or 0) + 1  # the first ones of RoBERTa's kin belong to padding
    return min(int(said.get("max_seq_length") or 512), positions)


def _pooling(where: str, said: Mapping[str, Any]) -> str:
    modes = [_POOLINGS.get(key, key) for key, on in said.items() if key.startswith("pooling_mode_") and on]
    if len(modes) > 1:
        raise BadInput(f"{where} puts {len(modes)} poolings side by side, which is not read; take one with one")
    return modes[0] if modes else str(said.get("pooling_mode") or "mean")


def fetched(where: str, wanted: Sequence[str] = (*_FACTS, *_WEIGHTS)) -> Path:
    """The folder of a repository, with the wanted files that it has.

    Raises:
        NotInstalled: the repository cannot be reached and was never downloaded, or the folder is not there.
    """
    if where.startswith((".", "/", "~")) or Path(where).is_dir():
        folder = Path(where).expanduser()
        if not folder.is_dir():
            raise NotInstalled(f"there is no folder {folder} that 'hub:{where}' could be read from")
        return folder
    hub = needed("huggingface_hub", "pip install huggingface_hub")
    repository, _, revision = where.partition("@")
    try:
        return Path(hub.snapshot_download(repository, revision=revision or None, allow_patterns=list(wanted)))
    except (OSError, ValueError) as error:  # all of the hub's own errors are one of them
        reason = str(error).strip().split("\n")[0]
        raise NotInstalled(
            f"the encoder 'hub:{where}' is not on this machine and cannot be downloaded ({reason}); check the name and "
            "the connection, or give the folder of a copy: hub:./folder"
        ) from error


def torch_model(where: str) -> Any:
    """The network of ``model.safetensors`` by transformers and torch, to be asked and not trained.

    Raises:
        NotInstalled: the files, torch or transformers are missing.
        BadInput: transformers cannot read it.
    """
    folder = fetched(where)
    if not any(folder.glob("*.safetensors")):
        raise BadInput(f"{where} holds neither {' nor '.join(_ONNX)} nor model.safetensors; nothing else is read")
    needed("torch", "pip install 'waypost[train]'")
    transformers = needed("transformers", "pip install 'waypost[train]'")
    transformers.utils.logging.disable_progress_bar()
    try:
        return transformers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    except (OSError, ValueError) as error:
        raise BadInput(f"{where} cannot be read by transformers: {error}") from error


def _torch_states(where: str) -> States:
    model, torch = torch_model(where), needed("torch", "pip install 'waypost[train]'")

    def states(ids_T: NDArray[np.int64]) -> NDArray[np.float32]:
        ids_1T = torch.from_numpy(ids_T[None])
        with torch.inference_mode():
            found_1TD = model(input_ids=ids_1T, attention_mask=torch.ones_like(ids_1T)).last_hidden_state
        return np.asarray(found_1TD[0].float().numpy(), dtype=np.float32)

    return states


def _json(path: Path) -> Any:
    """What a file of facts says; nothing where there is none.

    Raises:
        BadInput: it is not JSON.
    """
    try:
        return orjson.loads(path.read_bytes()) if path.is_file() else {}
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{path} is not JSON: {error}") from error
