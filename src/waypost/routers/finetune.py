"""A sentence encoder of the hub, fine-tuned so that a prompt's vector tells which models answer it well."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from waypost.encoders.hub import HubEncoder, fetched, torch_model
from waypost.errors import BadInput
from waypost.outcomes import Outcomes
from waypost.routers.parts.contrast import START, Dual, kinds
from waypost.routers.parts.targets import targets
from waypost.routers.parts.training import HELD, hold_out, torch_or_sentence, train

if TYPE_CHECKING:
    from torch import LongTensor, Tensor

_FACTS = ("tokenizer.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")


def finetune(
    encoder: HubEncoder,
    outcomes: Outcomes,
    folder: str | Path,
    *,
    layers: int = 1,
    tokens: int = 128,
    lr: float = 5e-5,
    epochs: int = 3,
    batch: int = 64,
    clusters: int = 5,
    sample_sample: float = 1.0,
    temperature: float = 1.0,
    seed: int = 0,
) -> HubEncoder:
    """Fine-tune an encoder on a table by RouterDC's two losses, and save it in a folder of the hub's form.

    Any router can then be given it, as ``hub:folder``.  Trained are the last ``layers`` of the network, and one vector
    per model, which is thrown away: the router on top learns its own.  A prompt's vector is the mean of its tokens'
    states, of at most ``tokens`` tokens; padding never counts.  Every prompt of a batch is encoded with one of its own
    kind and three of others (``clusters`` and ``sample_sample`` as in ``dual_contrastive``; with ``sample_sample`` 0
    it is alone, and a fit takes a fifth of the time).  The descent stops when held-out prompts gain nothing more.

    The table should be the training part only: what is fine-tuned has seen its outcomes.

    Raises:
        NotInstalled: torch or transformers is missing, or the encoder's files are.
        BadInput: the encoder pools in another way, has no such layers, or its files hold no weights for torch.
        ValueError: a setting is not above 0.

    Source: Chen et al. 2024, arXiv 2409.19886, whose constants are the defaults.  It fine-tunes the whole of
    mDeBERTa-v3-base and takes the first token's state; here the last layer of any encoder, as a CPU allows.
    """
    for name, value in {"layers": layers, "tokens": tokens, "lr": lr, "epochs": epochs, "batch": batch}.items():
        if value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")
    torch = torch_or_sentence("dual_contrastive")
    table = targets(outcomes)
    m = len(table.models)
    model = torch_model(encoder.where)
    if encoder.pooling != "mean":
        raise BadInput(f"'{encoder.name}' pools by '{encoder.pooling}'; only a mean of states is fine-tuned")
    trained = _last(model, layers, encoder.name)
    ids = [_ids(encoder.tokens(prompt), tokens) for prompt in table.prompts]
    start = np.random.default_rng(seed).normal(0, START, (m, encoder.dim))
    models = torch.tensor(start, dtype=torch.float32, requires_grad=True)
    held_N = hold_out(table.prompts, HELD, seed)
    dual = Dual.of(
        table.values_NK[:, :m], table.weight_N / table.weight_N.mean(),
        kinds(encoder.encode(table.prompts).astype(np.float64), table.groups, clusters, seed), held_N,
        top_k=3, last_k=3, temperature=temperature, sample_sample=sample_sample,
    )  # fmt: skip

    def places(rows: LongTensor) -> Tensor:
        once, place = torch.unique(rows, return_inverse=True)
        vectors = torch.cat([_vectors(model, [ids[n] for n in some.tolist()]) for some in once.split(batch)])
        found: Tensor = vectors[place]
        return found

    def loss(rows: LongTensor) -> Tensor:
        return dual(places, models, rows)

    train(
        [*trained, models], loss, table.prompts, held_N=held_N,
        seed=seed, epochs=epochs, batch=batch, lr=lr, patience=3, module=model,
    )  # fmt: skip
    return _saved(model.eval(), encoder, Path(folder))


def _ids(ids: list[int], most: int) -> list[int]:
    """At most so many tokens, from the start and the end; the special ones around them stay."""
    return ids if len(ids) <= most else ids[: most // 2] + ids[len(ids) - (most - most // 2) :]


def _vectors(model: Any, ids: list[list[int]]) -> Tensor:
    """Unit vectors of a batch, masked so that the padding of short prompts changes nothing."""
    import torch

    longest = max(1, *map(len, ids)) if len(ids) > 1 else max(1, len(ids[0]))
    ids_BT = torch.zeros((len(ids), longest), dtype=torch.long)
    mask_BT = torch.zeros((len(ids), longest), dtype=torch.long)
    for row, one in enumerate(ids):
        ids_BT[row, : len(one)] = torch.tensor(one, dtype=torch.long)
        mask_BT[row, : max(1, len(one))] = 1  # a prompt without any token is one of padding
    states_BTD = model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    sums_BD = (states_BTD * mask_BT[:, :, None]).sum(dim=1)
    return torch.nn.functional.normalize(sums_BD, dim=1)


def _last(model: Any, layers: int, name: str) -> list[Tensor]:
    """The parameters of the last layers; all others are frozen."""
    stack = getattr(getattr(model, "encoder", None), "layer", None)
    if stack is None or layers > len(stack):
        found = f"it has {len(stack)}" if stack is not None else "where BERT's kin keeps them there are none"
        raise BadInput(f"'{name}' has no {layers} layers that can be trained; {found}")
    model.requires_grad_(False)
    last = stack[len(stack) - layers :]
    last.requires_grad_(True)
    return list(last.parameters())


def _saved(model: Any, encoder: HubEncoder, folder: Path) -> HubEncoder:
    """The network, and what the encoder's folder says of itself."""
    model.save_pretrained(folder)
    source = fetched(encoder.where)
    for file in _FACTS:
        if (source / file).is_file():
            shutil.copyfile(source / file, folder / file)
    return HubEncoder(f"hub:{folder}")


__all__ = ["finetune"]
