"""Tryage: a router that predicts each expert's loss from the prompt, and flags that trade loss for model size.

Claim: A router trained to predict every expert's loss from the prompt picks the best expert far more often than a
choice by the experts' descriptions does, and flags trade its loss for model size along a Pareto front.

Paper: Hari and Thomson 2023, arXiv 2308.11601; the best of 11 experts is picked for 50.9 % of prompts, by GPT-3.5 for
23.6 % and by Gorilla for 10.8 %.

Tested: Experts are language models of bytes (GRUs of 39 to 154 thousand parameters): one for each domain of text that
ships with the machine's packages (Python, C, Perl, manuals, German, changelogs, licences, fortunes), one of all code, a
small and a large one of everything, trained when the script runs, so numbers differ a little between machines. Their
true loss is measured in bits per byte on snippets of other files; quality is 1 − bits / 8, so that least loss is best
quality. Routers are fitted on four fifths of those files and asked about the rest, five times round, with a seed each,
and tryage's width and dropout are chosen within them. That came after a first quick run with fixed ones, which learnt
from 500 snippets: it picked no better than keywords and was behind ridge and knn. No full run has had fixed ones; the
other routers have their defaults. Choice by description is a keyword rule, written before any loss was seen.
The claim holds if tryage picks the least loss more often than that rule, and than the best single expert, by more than
five points in a hundred, and if the size flag, set on training files to half of the best single expert's mean size,
still has less mean loss than it; for each by an interval over files. It does not hold if one of them is shown false.

Not tested: The paper's masked language models, its library from Hugging Face and the Pile, and GPT-3.5 and Gorilla
as choosers; flags for recency, security, verbosity and readability, which such experts do not differ in.  Our router
reads the prompt with a frozen encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from claims import ROOT, Finding, Options, run
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tryage_experts import models, texts

from waypost.evaluation.bootstrap import interval
from waypost.evaluation.tune import candidates, tune
from waypost.objective import Objective
from waypost.outcomes import Outcomes
from waypost.routers import Tryage, make
from waypost.types import Floats, ModelCard, Prediction

ROUTERS = ("tryage", "ridge", "knn", "domain")
FOLDS = 5
MARGIN = 0.05
SMALLER = 0.5  # of the best single expert's size
SHOWN = 10  # points of the front that are listed
FLAGS = (*np.geomspace(0.002, 1, 40).tolist(), 2.0)
FIGURE = ROOT / "docs" / "figures" / "tryage-pareto.svg"

# What the descriptions of the experts would say, in the order in which it is looked for.
KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "perl": ("my $", "=cut", "=head", "sub ", "use strict", "=item"),
    "c": ("#include", "#define", "#ifdef", "#endif", "typedef", "struct ", "extern "),
    "python": ("def ", "self.", "import ", "elif ", "None"),
    "german": (" der ", " die ", " und ", " nicht ", " wird "),
    "manual": (".SH", ".PP", ".TP", "\\fB", ".B "),
    "changelog": ("urgency=", "Closes:", "* ", "upload", "debian/"),
    "licence": ("License", "Copyright", "WARRANT", "copyright", "Files:"),
    "fortunes": ("\n%\n", "\t\t-- "),
}


@dataclass(frozen=True)
class World:
    """The experts and what each lost on every snippet."""

    table: Outcomes
    files_N: NDArray[np.intp]
    parameters_M: Floats
    missing: Mapping[str, str]

    @property
    def loss_NM(self) -> Floats:
        """Bits per byte."""
        return models.BITS * (1 - self.table.quality_NM)

    @property
    def cards(self) -> dict[str, ModelCard]:
        """The experts, with their sizes."""
        sizes = zip(self.table.models, self.parameters_M, strict=True)
        return {name: ModelCard(name, parameters=size / 1e9, open=True, local=True) for name, size in sizes}


def world(quick: bool) -> World:
    """Read the texts, train the experts, and measure each on every snippet."""
    read = texts.texts(80 if quick else 250, 3_000_000)
    asked = [snippet.text for snippet in read.snippets]
    losses, seconds, sizes = [], [], []
    plan = models.plan(tuple(read.training))
    for name, (domains, hidden) in plan.items():
        expert = models.train(name, domains, hidden, read.training, steps=150 if quick else 800, seed=0)
        loss_N, each = models.bits_per_byte(expert, asked)
        losses.append(loss_N)
        seconds.append(np.full(len(asked), each))
        sizes.append(expert.parameters)
    table = Outcomes(
        ids=tuple(map(str, range(len(asked)))),
        prompts=tuple(asked),
        groups=tuple(snippet.domain for snippet in read.snippets),
        models=tuple(plan),
        quality_NM=np.clip(1 - np.column_stack(losses) / models.BITS, 0, 1),
        usd_NM=np.full((len(asked), len(plan)), np.nan),
        seconds_NM=np.column_stack(seconds),
        sources=tuple(snippet.file for snippet in read.snippets),
    )
    _, files_N = np.unique(table.sources, return_inverse=True)
    return World(table, files_N, np.array(sizes, dtype=np.float64), read.missing)


@dataclass(frozen=True)
class Choices:
    """Which expert each way of choosing takes for every snippet, (N,); the flag's way at each of its weights, (N, F).

    ``predicted_NM`` is what tryage expects to be lost, and ``small_N`` its choice with the flag set on training files.
    """

    ways: Mapping[str, NDArray[np.intp]]
    flagged_NF: NDArray[np.intp]
    small_N: NDArray[np.intp]
    predicted_NM: Floats


def choices(found: World) -> Choices:
    """Fit on four fifths of the files and choose for the rest, until every snippet was chosen for once."""
    table, cards, n = found.table, found.cards, len(found.table)
    fold_N = np.random.default_rng(0).permutation(found.files_N.max() + 1)[found.files_N] % FOLDS
    ways = {name: np.empty(n, dtype=np.intp) for name in (*ROUTERS, "best single")}
    flagged_NF, small_N = np.empty((n, len(FLAGS)), dtype=np.intp), np.empty(n, dtype=np.intp)
    predicted_NM = np.empty(table.quality_NM.shape)
    for fold in range(FOLDS):
        train, rows = table.select(fold_N != fold), np.flatnonzero(fold_N == fold)
        asked = [table.prompts[row] for row in rows]
        best = int(train.quality_NM.mean(axis=0).argmax())
        ways["best single"][rows] = best
        for name in ROUTERS:
            settings = chosen(train, found.files_N[fold_N != fold], fold) if name == "tryage" else {}
            router = make(name, **settings).fit(train)
            prediction = router.predict(asked)
            ways[name][rows] = Objective().choose_many(prediction, cards)
            if name == "tryage":
                predicted_NM[rows] = models.BITS * (1 - prediction.quality_NM)
                flagged_NF[rows] = flagged(prediction, cards)
                weight = halving(router.predict(train.prompts), found, best)
                small_N[rows] = Objective(flags={"smaller": weight}).choose_many(prediction, cards)
    ways["keywords"] = np.array([by_keyword(prompt, table.models) for prompt in table.prompts])
    return Choices(ways, flagged_NF, small_N, predicted_NM)


def chosen(train: Outcomes, files_N: NDArray[np.intp], seed: int) -> Mapping[str, Any]:
    """Tryage's settings that do best within the training files; the other routers choose their own when they fit."""
    tried = candidates(Tryage.grid, {"seed": seed})
    trials = tune(
        lambda settings: make("tryage", **settings), tried, train, objective=Objective(), clusters_N=files_N, folds=2
    )
    return trials[0].settings


def flagged(prediction: Prediction, cards: Mapping[str, ModelCard]) -> NDArray[np.intp]:
    """The choices at each weight of the size flag, (N, F)."""
    return np.column_stack([Objective(flags={"smaller": weight}).choose_many(prediction, cards) for weight in FLAGS])


def halving(prediction: Prediction, found: World, best: int) -> float:
    """The least weight of the flag at which the mean size of the choices is half of the best single expert's."""
    sizes_F = found.parameters_M[flagged(prediction, found.cards)].mean(axis=0)
    enough = np.flatnonzero(sizes_F <= SMALLER * found.parameters_M[best])
    return FLAGS[enough[0] if len(enough) else -1]


def by_keyword(prompt: str, names: Sequence[str]) -> int:
    """The expert of the domain of which most keywords stand in the prompt; the largest of all where none does."""
    experts = {name.split("-")[0]: m for m, name in enumerate(names)}  # the last of a domain is its largest
    hits = {domain: sum(word in prompt for word in words) for domain, words in KEYWORDS.items() if domain in experts}
    domain = max(hits, key=lambda name: hits[name])
    return experts[domain if hits[domain] else "all"]


def measure(options: Options) -> Finding:
    """Everything, on one thread."""
    import torch

    torch.set_num_threads(1)
    with threadpool_limits(1, "blas"):
        found = world(options.quick)
        made = choices(found)
    if not options.quick:
        draw(found, made)
    return finding(found, made)


def finding(found: World, made: Choices) -> Finding:
    """Shares, losses and their intervals over files, and what they say."""
    loss_NM, rows = found.loss_NM, np.arange(len(found.table))
    least_N = loss_NM.argmin(axis=1)
    picked = {name: (way_N == least_N).astype(float) for name, way_N in made.ways.items()}
    lost = {name: loss_NM[rows, way_N] for name, way_N in made.ways.items()}
    single_N, small_N = lost["best single"], loss_NM[rows, made.small_N]
    error_N = np.abs(made.predicted_NM - loss_NM).mean(axis=1)
    values = {
        "tryage: picks the least loss": picked["tryage"],
        "tryage over keywords": picked["tryage"] - picked["keywords"],
        "tryage over best single": picked["tryage"] - picked["best single"],
        "tryage: bits per byte": lost["tryage"],
        "tryage: bits above the oracle": lost["tryage"] - loss_NM.min(axis=1),
        "tryage: mean error of a predicted loss": error_N,
        "half size: bits per byte": small_N,
        "half size less best single: bits per byte": small_N - single_N,
        "half size: thousand parameters": found.parameters_M[made.small_N] / 1e3,
    }
    others = [name for name in made.ways if name != "tryage"]
    baselines = {
        **{f"{name}: picks the least loss": picked[name] for name in others},
        **{f"{name}: bits per byte": lost[name] for name in others},
        "oracle: bits per byte": loss_NM.min(axis=1),
        "best single: thousand parameters": found.parameters_M[made.ways["best single"]] / 1e3,
    }
    measured, bounds = summed(values, found.files_N)
    base, base_bounds = summed(baselines, found.files_N)
    base["random: picks the least loss"] = round(1 / loss_NM.shape[1], 4)
    base["random: bits per byte"] = round(float(loss_NM.mean()), 4)
    size_F, bits_F = front(found, made)
    some = np.unique(np.linspace(0, len(size_F) - 1, SHOWN).round().astype(int))
    measured["front of the size flag: thousand parameters"] = [round(float(size), 1) for size in size_F[some]]
    measured["front of the size flag: bits per byte"] = [round(float(bits), 3) for bits in bits_F[some]]
    holds = judged(bounds)
    return Finding(measured, holds, said(measured, bounds, base, found), base, bounds | base_bounds, list(range(FOLDS)))


def summed(values: Mapping[str, Floats], files_N: NDArray[np.intp]) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The mean of each number, and its interval over files."""
    bounds_K2 = interval(np.column_stack(list(values.values())), clusters_N=files_N)
    means = {name: round(float(value_N.mean()), 4) for name, value_N in values.items()}
    return means, {name: [round(float(b), 4) for b in pair] for name, pair in zip(values, bounds_K2, strict=True)}


def judged(bounds: Mapping[str, Sequence[float]]) -> bool | None:
    """True where all three parts are shown, False where one is shown false, None where neither can be told."""
    more = [bounds["tryage over keywords"], bounds["tryage over best single"]]
    low, high = bounds["half size less best single: bits per byte"]
    if any(pair[1] < MARGIN for pair in more) or low > 0:
        return False
    return True if all(pair[0] > MARGIN for pair in more) and high < 0 else None


def said(
    measured: Mapping[str, Any], bounds: Mapping[str, Sequence[float]], base: Mapping[str, Any], found: World
) -> str:
    """One sentence for the reader."""
    shares = {
        name: f"{base[f'{name}: picks the least loss']:.1%}" for name in (*ROUTERS[1:], "keywords", "best single")
    }
    low, high = bounds["tryage: picks the least loss"]
    lacking = "; ".join(f"no {domain} (from {package})" for domain, package in found.missing.items())
    return (
        f"Of {len(found.table.models)} experts tryage picks the one of least loss for "
        f"{measured['tryage: picks the least loss']:.1%} of snippets ({low:.1%} to {high:.1%}), keywords for "
        f"{shares['keywords']}, the best single for {shares['best single']}, ridge for {shares['ridge']}, knn for "
        f"{shares['knn']} and domain for {shares['domain']}; with the size flag it loses "
        f"{measured['half size: bits per byte']:.2f} bits per byte at {measured['half size: thousand parameters']:.0f} "
        f"thousand parameters, the best single {base['best single: bits per byte']:.2f} at "
        f"{base['best single: thousand parameters']:.0f}." + (f" This machine has {lacking}." if lacking else "")
    )


def front(found: World, made: Choices) -> tuple[Floats, Floats]:
    """Mean size in thousands and mean loss of the flag's choices, no flag first; points beaten in both are left out."""
    rows = np.arange(len(found.table))
    every = [made.ways["tryage"], *made.flagged_NF.T]
    size_F = np.array([found.parameters_M[way_N].mean() for way_N in every]) / 1e3
    bits_F = np.array([found.loss_NM[rows, way_N].mean() for way_N in every])
    beaten_F = [
        bool(((size_F <= s) & (bits_F <= b) & ((size_F < s) | (bits_F < b))).any())
        for s, b in zip(size_F, bits_F, strict=True)
    ]
    kept = np.flatnonzero(~np.array(beaten_F))
    _, first = np.unique(np.column_stack([size_F, bits_F])[kept], axis=0, return_index=True)
    kept = kept[np.sort(first)]
    return size_F[kept], bits_F[kept]


def draw(found: World, made: Choices) -> None:
    """The front, the single experts, and the other ways of choosing."""
    import matplotlib as mpl
    import matplotlib.figure

    with mpl.rc_context({"svg.hashsalt": "waypost", "font.size": 7, "legend.frameon": False}):
        figure = matplotlib.figure.Figure(figsize=(4.6, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(*front(found, made), "-o", ms=3, lw=1.1, color="#0072b2", label="tryage, size flag from 0 up")
        axes.plot(found.parameters_M / 1e3, found.loss_NM.mean(axis=0), "s", ms=3, color="#5f6670", label="one expert")
        rows = np.arange(len(found.table))
        for name, marker, colour in (("keywords", "^", "#d55e00"), ("domain", "D", "#008a64"), ("knn", "v", "#b3558f")):
            way_N = made.ways[name]
            point = found.parameters_M[way_N].mean() / 1e3, found.loss_NM[rows, way_N].mean()
            axes.plot(*point, marker, ms=4, color=colour, label=name)
        best_N = found.loss_NM.argmin(axis=1)
        oracle = found.parameters_M[best_N].mean() / 1e3, found.loss_NM.min(axis=1).mean()
        axes.plot(*oracle, "*", ms=6, color="black", label="oracle")
        axes.set_xlabel("mean size of the chosen expert, thousand parameters")
        axes.set_ylabel("mean loss, bits per byte")
        axes.grid(color="#dfe3e8", lw=0.4)
        figure.legend(loc="outside upper center", ncols=3, fontsize=6)
        figure.savefig(FIGURE, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    run(__doc__, measure, system="Tryage", routers=("tryage",))
