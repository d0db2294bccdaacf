"""Do a small language model's hidden states tell more of the models' differences than the static vector does?

RouterDC's training questions, so many a file, are read by SmolLM2-135M-Instruct (its GGUF file in the user's cache):
the mean of the last layer's states over a question's tokens, and the last token's.  Longer questions are cut in the
middle to 300 characters; the static vector and the surface (``static``) are of all of it, as routers take them.

Within a file, which is a domain of its own, five folds are left out in turn, near duplicates together.  ``difficulty``
is the share of the variance of the models' mean score on a question that ridge regression explains, ``contrasts`` that
of the models' differences from this mean, each about the other folds' means; the latter are turned into principal
directions, as the hierarchical router does.  Penalties, directions and shrinkage are chosen on the other four folds.
``free`` and ``priced`` are the gains over routing by those means (`hierarchical.py` says of what) when the differences
that were predicted are added, each direction by its left-out slope less none or two standard errors.  The interval is
from resampling the questions.  In ``joined``, a check that differences are found where there are some, all files are
one and nobody says which file a question is of.

    python benchmarks/hidden_states.py --data FOLDER      # appends to results/hidden_states.jsonl: twenty minutes
    python benchmarks/hidden_states.py --data FOLDER --states STATES    # keeps the states there for the next run
"""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import rows
from hierarchical import Table, earned
from waypost.encoders import StaticEncoder
from waypost.encoders.language_model import FILE
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.outcomes import Outcomes, readers
from waypost.outcomes.leaks import clusters
from waypost.routers.parts.features import features
from waypost.routers.parts.folded import Folded, folds_of
from waypost.routers.parts.kinds import Scale
from waypost.types import Floats

FILES = ("arc_challenge_train.json", "gsm8k-train.json", "mmlu_train.json")
WAYS: Mapping[str, tuple[str, ...]] = {
    "static": ("static",),
    "mean": ("mean",),
    "last": ("last",),
    "static, mean": ("static", "mean"),
    "static, last": ("static", "last"),
}
EVIDENCE = (0.0, 2.0)
LONGEST = 300
ALPHAS = tuple(10.0 ** np.arange(-1, 4.6, 0.5))


class Reader:
    """Last-layer states of texts, pooled in one way; what was read is kept in a folder if there is one."""

    def __init__(self, pooling: str, folder: Path | None) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(Path.home() / ".cache" / "waypost" / FILE)
        params.n_ctx = params.n_batch = params.n_ubatch = 2048  # a text is read in one go
        params.n_parallel = params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.verbosity, params.cache_ram_mib = -1, 0
        params.warmup = params.endpoint_slots = params.ui = False
        params.embedding = True
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")
        params.api_keys = [secrets.token_urlsafe(32)]
        self.server: Any = xllamacpp.Server(params)
        self.path = folder and folder / f"states-{pooling}.npz"
        self.known: dict[str, NDArray[np.float32]] = {}
        if self.path and self.path.exists():
            kept = np.load(self.path)
            self.known = dict(zip(kept["texts"].tolist(), kept["states"], strict=True))
        self.tokens, self.seconds = 0, 0.0

    def read(self, texts: Sequence[str]) -> Floats:
        """The states, (N, 576)."""
        cuts = [cut(text) for text in texts]
        for text in dict.fromkeys(cuts):
            if text not in self.known:
                started = perf_counter()
                reply = self.server.handle_embeddings({"input": text, "embd_normalize": -1})
                self.seconds += perf_counter() - started
                self.tokens += reply["usage"]["prompt_tokens"]
                self.known[text] = np.array(reply["data"][0]["embedding"], dtype=np.float32)
        if self.path and self.tokens:
            np.savez(self.path, texts=np.array(list(self.known)), states=np.array(list(self.known.values())))
        return np.array([self.known[text] for text in cuts], dtype=np.float64)


def cut(text: str) -> str:
    """A long text's two ends, as `LanguageModel` cuts it."""
    text = " ".join(text.split())
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} {text[-half:]}"


def scaled(blocks: Mapping[str, Floats], way: str, train_N: NDArray[np.bool_]) -> Floats:
    """The features of a way of looking, to one measure that the training rows give, (N, D)."""
    scales = {"static": StaticEncoder().dim}  # its vector stays as it is, all else is standardized
    found = []
    for name in WAYS[way]:
        weight_n = np.ones(np.count_nonzero(train_N))
        found.append(Scale.fitted(blocks[name][train_N], weight_n, dim=scales.get(name, 0))(blocks[name]))
    return np.hstack(found)


def fitted(x_ND: Floats, target_NK: Floats, folded: Folded, train_N: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """What ridge adds to the training rows' means for every row (N, K), and the share to keep of it (2, K)."""
    target_nK = target_NK[train_N]
    alpha_K = np.asarray(ALPHAS)[folded.errors(target_nK, ALPHAS).argmin(axis=0)]
    unseen_nK, mean_nK = folded.unseen(target_nK, alpha_K)
    product_nK = unseen_nK * (target_nK - mean_nK)
    error_K = product_nK.std(axis=0) * np.sqrt(len(product_nK))
    slope_EK = (product_nK.sum(axis=0) - np.outer(EVIDENCE, error_K)) / np.maximum(
        np.square(unseen_nK).sum(axis=0), 1e-12
    )
    slopes_DK, _ = folded.heads(target_nK, alpha_K)
    return (x_ND - folded.whole.mean_D) @ slopes_DK, slope_EK.clip(0, 1)


def unseen(outcomes: Outcomes, fold_N: NDArray[np.intp], blocks: Mapping[str, Floats], way: str) -> Any:
    """For every question, by fits without its fold: what is needed for the two shares, and the expected qualities."""
    quality_NM = outcomes.quality_NM
    m = quality_NM.shape[1]
    shared_N1 = quality_NM.mean(axis=1, keepdims=True)
    own_NM = quality_NM - shared_N1
    squares_N4 = np.empty((len(quality_NM), 4))
    expected_ENM = np.empty((len(EVIDENCE) + 1, *quality_NM.shape))
    kept = []
    for fold in np.unique(fold_N):
        test_N, train_N = fold_N == fold, fold_N != fold
        x_ND = scaled(blocks, way, train_N)
        folded = Folded(x_ND[train_N], np.ones(np.count_nonzero(train_N)), fold_N[train_N])
        prior_M, lead_N1 = quality_NM[train_N].mean(axis=0), shared_N1 - shared_N1[train_N].mean()
        lead_NM = own_NM - own_NM[train_N].mean(axis=0)
        _, vectors_MM = np.linalg.eigh(lead_NM[train_N].T @ lead_NM[train_N])
        turn_MK = vectors_MM[:, :0:-1]  # all but the direction in which no difference lies
        added_N1, _ = fitted(x_ND, shared_N1, folded, train_N)
        turned_NK, kept_EK = fitted(x_ND, lead_NM @ turn_MK, folded, train_N)
        added_NM = turned_NK @ turn_MK.T
        for k, (lead, added) in enumerate(((lead_N1, added_N1), (lead_NM, added_NM))):
            squares_N4[test_N, 2 * k] = np.square(lead - added).sum(axis=1)[test_N]
            squares_N4[test_N, 2 * k + 1] = np.square(lead).sum(axis=1)[test_N]
        expected_ENM[0, test_N] = prior_M
        for e, kept_K in enumerate(kept_EK, start=1):
            expected_ENM[e, test_N] = (prior_M + (turned_NK * kept_K) @ turn_MK.T)[test_N]
        kept.append(kept_EK.sum(axis=1) / (m - 1))
    return squares_N4, expected_ENM, np.mean(kept, axis=0)


def measured(name: str, outcomes: Outcomes, blocks: Mapping[str, Floats], seed: int) -> Iterator[Any]:
    """For each way of looking at one file's questions what the row is about, its figures in each draw, what is kept."""
    first_N = clusters(outcomes.prompts)
    fold_N = folds_of([outcomes.prompts[n] for n in first_N], 5)
    table = Table(name, outcomes, np.zeros(len(outcomes), dtype=np.intp))
    static_BK: Floats | None = None
    for way in WAYS:
        squares_N4, expected_ENM, kept_E = unseen(outcomes, fold_N, blocks, way)
        prior_N2, *routed = (earned(table, expected_NM)[:, :2] for expected_NM in expected_ENM)
        values_NK = np.column_stack([squares_N4, *(routed_N2 - prior_N2 for routed_N2 in routed)])
        # The first draw is of all questions as they are.
        means_BK = np.vstack([values_NK.mean(axis=0), resample(values_NK, clusters_N=first_N, seed=seed)])
        shares_B2 = 1 - means_BK[:, 0:4:2] / means_BK[:, 1:4:2]
        static_BK = shares_B2 if static_BK is None else static_BK
        found_BK = np.hstack([shares_B2, shares_B2 - static_BK, means_BK[:, 4:]])
        yield {"file": name, "way": way, "n": len(outcomes)}, found_BK, kept_E.round(4).tolist()


def told(about: Mapping[str, Any], found_BK: Floats, kept: Sequence[float] | None) -> Mapping[str, Any]:
    """A row: each figure with its interval."""
    names = ["difficulty", "contrasts", "difficulty_over_static", "contrasts_over_static"]
    names += [f"{measure}_{evidence:.0f}" for evidence in EVIDENCE for measure in ("free", "priced")]
    bounds_K2 = percentiles(found_BK[1:])
    figures = {
        name: [round(float(x), 5) for x in (value, *bounds_2)]
        for name, value, bounds_2 in zip(names, found_BK[0], bounds_K2, strict=True)
    }
    return {**about, **figures, **({} if kept is None else {"kept": kept})}


def every(data: Path, count: int, folder: Path | None) -> Iterator[Mapping[str, Any]]:
    """Every row."""
    parts = readers.read("routerdc", [data / "routerdc" / file for file in FILES])
    chosen = [part.select(np.random.default_rng(0).permutation(len(part))[:count]) for part in parts]
    readings = {pooling: Reader(pooling, folder) for pooling in ("mean", "last")}
    blocks: list[dict[str, Floats]] = []
    for part in chosen:
        blocks.append({name: reader.read(part.prompts) for name, reader in readings.items()})
        blocks[-1]["static"] = features(StaticEncoder(), part.prompts)
    for pooling, reader in readings.items():
        if reader.tokens:
            milliseconds = round(1000 * reader.seconds / reader.tokens, 2)
            yield {"file": "all", "way": pooling, "tokens": reader.tokens, "milliseconds_a_token": milliseconds}
    drawn: dict[str, list[Floats]] = {way: [] for way in WAYS}
    for seed, (file, part, block) in enumerate(zip(FILES, chosen, blocks, strict=True)):
        for about, found_BK, kept in measured(file.split("train")[0].rstrip("_-"), part, block, seed):
            drawn[about["way"]].append(found_BK)
            yield told(about, found_BK, kept)
    for way, each in drawn.items():
        yield told({"file": "mean", "way": way, "n": sum(map(len, chosen))}, np.mean(each, axis=0), None)
    joined = {name: np.vstack([block[name] for block in blocks]) for name in blocks[0]}
    for about, found_BK, kept in measured("joined", Outcomes.concat(chosen), joined, 0):
        yield told(about, found_BK, kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of public data")
    parser.add_argument("--states", type=Path, help="a folder that keeps the states for the next run")
    parser.add_argument("--questions", type=int, default=400, help="how many of each file")
    parser.add_argument("--quick", action="store_true", help="only print")
    asked = parser.parse_args()
    with threadpool_limits(1):
        for row in every(asked.data, asked.questions, asked.states):
            print(json.dumps(row)) if asked.quick else rows.append("hidden_states", row)


if __name__ == "__main__":
    main()
