"""How fast are neighbours found among 20,000 and a million known prompts, and what does an index change?

Prompts are half those of the project's own generators, half passages of Python's standard library, which resemble each
other less. What ten models do with them follows a law: a chance by the kind of prompt, or by the part of the library. A
row about a library says how long it builds (on all cores), how long one look-up of ``k`` takes (one core, median),
which share of the ``k`` nearest it finds, and its size; those of HNSW have 16 links and look at 64 candidates at least,
those of IVF look into 24 cells, or 32 of a million rows. A row about a router says how long one prediction takes,
encoder included, for prompts of up to 500 characters, and what the index changes against looking through all: the
expected quality, the choice, and the quality that the law gives to the choices.

    python benchmarks/neighbours.py                   # both sizes: minutes; appends to results/neighbours.jsonl
    python benchmarks/neighbours.py --rows 20000 --library faiss-hnsw,usearch-hnsw    # the others, beside them
    python benchmarks/neighbours.py --quick           # seconds; only prints
"""

from __future__ import annotations

import argparse
import json
import os
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import rows
from waypost.embedded.prompts import generate
from waypost.encoders import StaticEncoder
from waypost.outcomes import Outcomes
from waypost.routers import make, save
from waypost.routers.parts.neighbours import Neighbours
from waypost.types import Prediction

MODELS = tuple(f"model-{m}" for m in range(10))
KS = (40, 100, 320)
ASKED = 400
Vectors = np.ndarray[Any, np.dtype[np.float32]]
Search = Callable[[Vectors, int], Any]  # a query's nearest rows


def passages(count: int, seed: int, most: int) -> tuple[list[str], list[str]]:
    """Pieces of Python's standard library, of 40 to ``most`` characters, and which hundredth of it each is from."""
    files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    text = "\n".join(file.read_text(errors="ignore") for file in files if "site-packages" not in file.parts)
    rng = np.random.default_rng(seed)
    starts, sizes = rng.integers(len(text) - most, size=count), rng.integers(40, most + 1, size=count)
    pieces = [text[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    return [piece if piece.strip() else "?" for piece in pieces], [f"{100 * start // len(text)}" for start in starts]


def chances(groups: Sequence[str]) -> Any:
    """The law: each model's chance of a right answer, (N, 10), by kind of prompt or by part of the library."""
    known = {group: np.random.default_rng(list(group.encode())).uniform(0.1, 0.9, len(MODELS)) for group in set(groups)}
    return np.array([known[group] for group in groups])


def prompts(count: int, seed: int, most: int) -> tuple[list[str], list[str]]:
    """Prompts and their groups: half our own, half passages."""
    own = generate(count // 2, seed=seed)
    texts, places = passages(count - len(own), seed, most)
    return [sample.prompt for sample in own] + texts, [sample.group for sample in own] + places


def table(count: int) -> Outcomes:
    """Outcomes by the law."""
    texts, groups = prompts(count, seed=0, most=240)
    rng = np.random.default_rng(0)
    chance_NM = chances(groups)
    right_NM = (rng.random(chance_NM.shape) < chance_NM).astype(float)
    usd_NM = rng.uniform(1e-5, 1e-3, chance_NM.shape)
    ids = tuple(map(str, range(count)))
    return Outcomes(ids, tuple(texts), tuple(groups), MODELS, right_NM, usd_NM, usd_NM * 1000)


def faiss_ivf(vectors_ND: Vectors) -> tuple[Search, int]:
    """Ours: cells of k-means, one byte a dimension."""
    found = Neighbours.fitted(vectors_ND)
    return lambda query_D, k: found.near(query_D[None], k)[0][0], found.index_B.nbytes


def faiss_hnsw(vectors_ND: Vectors) -> tuple[Search, int]:
    """A graph of small worlds, one byte a dimension."""
    import faiss

    kind, inner = faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexHNSWSQ(vectors_ND.shape[1], kind, 16, inner)
    index.hnsw.efConstruction = 64
    index.train(vectors_ND)
    index.add(vectors_ND)

    def search(query_D: Vectors, k: int) -> Any:
        index.hnsw.efSearch = max(64, k)
        return index.search(query_D[None], k)[1][0]

    return search, faiss.serialize_index(index).nbytes


def usearch_hnsw(vectors_ND: Vectors) -> tuple[Search, int]:
    """The same graph by another library, one byte a dimension."""
    from usearch.index import Index

    index = Index(ndim=vectors_ND.shape[1], metric="cos", dtype="i8", connectivity=16, expansion_add=64)
    index.expansion_search = 64
    index.add(np.arange(len(vectors_ND)), vectors_ND)
    return lambda query_D, k: index.search(query_D, k, threads=1).keys.astype(np.intp), len(index.save())


def exact(vectors_ND: Vectors) -> tuple[Search, int]:
    """All rows."""
    found = Neighbours(vectors_ND)
    return lambda query_D, k: found.near(query_D[None], k)[0][0], 0


LIBRARIES = {"exact": exact, "faiss-ivf": faiss_ivf, "faiss-hnsw": faiss_hnsw, "usearch-hnsw": usearch_hnsw}


def median_ms(call: Callable[[Any], Any], asked: Sequence[Any]) -> float:
    """The median time of a call, after some to warm up."""
    times = []
    for one in (*asked[:20], *asked):
        start = perf_counter()
        call(one)
        times.append((perf_counter() - start) * 1e3)
    return round(float(np.median(times[20:])), 4)


def library(name: str, vectors_ND: Vectors, asked_QD: Vectors, nearest_Qk: Any) -> dict[str, Any]:
    """The figures of one library."""
    start = perf_counter()
    search, size = LIBRARIES[name](vectors_ND)
    build = perf_counter() - start
    figures: dict[str, Any] = {"library": name, "build_s": round(build, 1), "index_MB": round(size / 1e6, 1)}
    with threadpool_limits(1):
        for k in KS:
            figures[f"p50_ms_k{k}"] = median_ms(lambda query_D, k=k: search(query_D, k), asked_QD)
            # As near as the k-th is near enough: of equally near ones any will do.
            found = []
            for query_D, near_k in zip(asked_QD, nearest_Qk, strict=True):
                least = vectors_ND[near_k[k - 1]] @ query_D - 1e-6
                found.append((vectors_ND[search(query_D, k)] @ query_D >= least).mean())
            figures[f"recall_k{k}"] = round(float(np.mean(found)), 4)
    return figures


def router(
    name: str, outcomes: Outcomes, asked: Sequence[str], groups: Sequence[str], k: int
) -> tuple[dict[str, Any], Any]:
    """The figures of one router, and the router."""
    start = perf_counter()
    made = make(name, k=k).fit(outcomes)
    fit = perf_counter() - start
    with TemporaryDirectory() as folder:
        save(made, folder)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    asked_QD = made.encoder.encode(asked)
    with threadpool_limits(1):
        p50 = median_ms(lambda prompt: made.predict([prompt]), asked)
        found, (near_Qk, _) = made.predict(asked), made.known.near(asked_QD, k)
        indexed = made.known.neighbours
        made.known.neighbours = replace(indexed, index_B=np.empty(0, np.uint8))
        every, (nearest_Qk, _) = made.predict(asked), made.known.near(asked_QD, k)
        made.known.neighbours = indexed
    chance_QM = chances(groups)
    one_QM, all_QM = (chance_QM[np.arange(len(asked)), best.quality_NM.argmax(axis=1)] for best in (found, every))
    recalls = [np.isin(near_k, nearest_k).mean() for near_k, nearest_k in zip(near_Qk, nearest_Qk, strict=True)]
    figures = {
        "router": name, "library": "faiss-ivf" if indexed.index_B.size else "exact", "k": k, "fit_s": round(fit, 1),
        "saved_MB": round(size / 1e6, 1), "index_MB": round(indexed.index_B.nbytes / 1e6, 1), "p50_ms": p50,
        "recall": round(float(np.mean(recalls)), 4),
        "mean_change": _changed(found, every), "typical_spread": round(float(every.spread_NM.mean()), 4),
        "choices_changed": round(float((one_QM != all_QM).mean()), 4),
        "quality": round(float(one_QM.mean()), 4), "quality_exact": round(float(all_QM.mean()), 4),
    }  # fmt: skip
    return figures, made


def _changed(one: Prediction, other: Prediction) -> float:
    return round(float(np.abs(one.quality_NM - other.quality_NM).mean()), 5)


def main() -> None:
    """Measure every router and library at every size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default="20000,1000000", help="default: %(default)s")
    parser.add_argument("--router", default="knn,carrot_knn", help="default: %(default)s")
    parser.add_argument("--library", default="exact,faiss-ivf", help=f"of {', '.join(LIBRARIES)}; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="6,000 rows, and no row is kept")
    given = parser.parse_args()
    encoder = StaticEncoder()
    asked, groups = prompts(ASKED, seed=1, most=500)
    # Our own are short: 500 characters by saying more of the same kind.
    own: dict[str, list[str]] = {}
    for sample in generate(20 * ASKED, seed=2):
        own.setdefault(sample.group, []).append(sample.prompt)
    asked[: ASKED // 2] = [
        " ".join([prompt, *own[group][:20]])[:500] for prompt, group in zip(asked[: ASKED // 2], groups, strict=False)
    ]
    for size in [6000] if given.quick else map(int, given.rows.split(",")):
        origin = {"rows": size, "models": len(MODELS), "asked": len(asked), "cores": os.cpu_count()}
        outcomes = table(size)
        for name in given.router.split(","):
            figures, made = router(name, outcomes, asked, groups, k=100 if name == "knn" else 128)
            _tell({**origin, **figures}, given.quick)
        if not given.library:
            continue
        vectors_ND = made.known.vectors_ND
        asked_QD = encoder.encode(asked)
        nearest_Qk, _ = Neighbours(vectors_ND).near(asked_QD, max(KS))
        for name in given.library.split(","):
            _tell({**origin, **library(name, vectors_ND, asked_QD, nearest_Qk)}, given.quick)


def _tell(figures: dict[str, Any], quick: bool) -> None:
    print(json.dumps(figures), flush=True) if quick else rows.append("neighbours", figures)


if __name__ == "__main__":
    main()
