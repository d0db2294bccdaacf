"""MoDEM: a classifier of domains, and one fixed expert for each.

Claim: The domain of a prompt is told with an accuracy of about 97 % on prompts like those of training and about 81 % on
others, and giving each domain to its own expert answers better than the best single model does.

Paper: Simonds et al. 2024, arXiv 2410.07490: five domains (mathematics, health, science, coding, other), told by
DeBERTa-v3-large of 304 million weights; 87.7 on MMLU where the best single model has 86.0.

Tested: Accuracy: the domain router's classifier, on MiniLM and on the static encoder, on 6,000 questions of RouteLLM's
MMLU, whose 57 subjects are put into the paper's five domains; at home on held-out questions of the same subjects, away
on one whole subject of each domain that training has not seen; also with all domains weighing the same, since more than
half of the questions are "other".  Quality: RouterDC's six sets, scores of seven models, as the domains; each goes to
the model that is best in it on training questions (the paper's hard rule), at home on held-out questions, and away on
each set that training has not seen.  The best single model is chosen on training as well.  Five seeds; intervals over
seeds and questions.  It holds if the whole interval of the accuracy on MiniLM lies above 94 % at home and above 71 %
away (three and ten points below the paper's), and that of the gain at home above 0; it does not if one lies wholly on
the other side.

Not tested: DeBERTa, the paper's five experts of up to 72 billion weights, and its own sets of training prompts.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from claims import Finding, Options, run
from threadpoolctl import threadpool_limits

from waypost import embedded
from waypost.encoders import named
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.outcomes import Outcomes, readers
from waypost.routers import Domain
from waypost.types import Encoder, Floats

# The subjects of MMLU by the paper's domains; every other subject is "other".
DOMAINS = {
    "mathematics": "abstract_algebra college_mathematics elementary_mathematics high_school_mathematics "
    "high_school_statistics",
    "health": "anatomy clinical_knowledge college_medicine human_aging medical_genetics nutrition "
    "professional_medicine virology",
    "science": "astronomy college_biology college_chemistry college_physics conceptual_physics electrical_engineering "
    "high_school_biology high_school_chemistry high_school_physics",
    "coding": "college_computer_science computer_security high_school_computer_science machine_learning",
}
BARS = {"at home": 0.94, "away": 0.71}


def measure(options: Options) -> Finding:
    with threadpool_limits(1):
        seeds = list(range(2 if options.quick else 5))
        values: dict[str, float] = {}
        bounds: dict[str, list[float]] = {}
        resamples = 300 if options.quick else 2000

        def keep(name: str, columns: Sequence[Sequence[Floats]]) -> None:
            """The mean over seeds, and over the sets of each, of a mean over questions, with its interval."""
            values[name] = round(float(np.mean([column.mean() for sets in columns for column in sets])), 4)
            drawn_B1 = np.concatenate([
                np.mean([resample(column[:, None], resamples=resamples, seed=s) for column in sets], axis=0)
                for s, sets in enumerate(columns)
            ])  # fmt: skip
            bounds[name] = [round(float(x), 4) for x in percentiles(drawn_B1)[0]]

        folder = options.folder("routellm_mmlu")
        if folder:
            subjects = questions(folder, 1500 if options.quick else 6000)
            for name, place in product(("minilm", "static-256"), BARS):
                told = [accuracy(subjects, seed, place, named(name)) for seed in seeds]
                keep(f"accuracy, {place}, {name}", [[right_N] for right_N, _ in told])
                keep(f"accuracy, {place}, {name}, domains alike", [[alike(*one)] for one in told])
        parts = tables(options.folder("routerdc"), 300 if options.quick else 1500)
        for place in BARS:
            played = [[earned(train, test) for train, test in split(parts, place, seed)] for seed in seeds]
            for way in played[0][0]:
                keep(f"{way}, {place}", [[one[way] for one in sets] for sets in played])
            keep(f"gain, {place}", [[one["domain's expert"] - one["best single"] for one in sets] for sets in played])
        return finding(values, bounds, seeds, whole=folder is not None and options.folder("routerdc") is not None)


def questions(folder: Path, most: int) -> Mapping[str, list[str]]:
    """So many of MMLU's questions, by subject."""
    found = []
    for path in sorted(folder.glob("mmlu_*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            found += [(path.stem.removeprefix("mmlu_"), row["prompt"]) for row in csv.DictReader(file)]
    subjects: dict[str, list[str]] = {subject: [] for subject, _ in found}
    for n in np.random.default_rng(0).permutation(len(found))[:most].tolist():
        subjects[found[n][0]].append(found[n][1])
    return subjects


def domain_of(subject: str) -> str:
    return next((name for name, subjects in DOMAINS.items() if subject in subjects.split()), "other")


def accuracy(subjects: Mapping[str, list[str]], seed: int, place: str, encoder: Encoder) -> tuple[Floats, list[str]]:
    """Whether the domain of each test question is told, and which it is."""
    rng = np.random.default_rng(seed)
    names = list(subjects)
    away = {rng.choice([name for name in names if domain_of(name) == domain]) for domain in (*DOMAINS, "other")}
    pairs = [(text, domain_of(name)) for name in names if name not in away for text in subjects[name]]
    order = rng.permutation(len(pairs))
    cut = round(0.7 * len(order))
    train, rest = [pairs[n] for n in order[:cut]], [pairs[n] for n in order[cut:]]
    test = rest if place == "at home" else [(text, domain_of(name)) for name in sorted(away) for text in subjects[name]]
    seen = {text for text, _ in train}
    test = [pair for pair in test if pair[0] not in seen]
    texts, domains = zip(*train, strict=True)
    told = Domain(encoder=encoder).fit(labelled(texts, domains)).domain([text for text, _ in test])
    true = [domain for _, domain in test]
    return np.array([float(a == b) for a, b in zip(told, true, strict=True)]), true


def alike(right_N: Floats, true: Sequence[str]) -> Floats:
    """The same with weights, so that every domain counts alike in the mean."""
    share_N = np.array([true.count(domain) / len(true) for domain in true])
    return right_N / (len(set(true)) * share_N)


def labelled(texts: Sequence[str], domains: Sequence[str]) -> Outcomes:
    """Prompts with their domains as a table of outcomes, which says nothing of its two models."""
    alike_NM = np.zeros((len(texts), 2))
    ids = tuple(map(str, range(len(texts))))
    return Outcomes(ids=ids, prompts=tuple(texts), groups=tuple(domains), models=("a", "b"), quality_NM=alike_NM,
                    usd_NM=alike_NM, seconds_NM=alike_NM)  # fmt: skip


def tables(folder: Path | None, most: int) -> list[Outcomes]:
    """RouterDC's sets, at most so many questions of each; or the shipped table, set by set."""
    if folder is None:
        shipped = readers.read("waypost", [Path(embedded.__file__).with_name("outcomes.parquet")])[0]
        parts = [shipped.select(np.array(shipped.groups) == name) for name in sorted(set(shipped.groups))]
    else:
        parts = readers.read("routerdc", sorted(folder.glob("*.json")))
    return [part.select(np.random.default_rng(0).permutation(len(part))[:most]) for part in parts]


def split(parts: Sequence[Outcomes], place: str, seed: int) -> Iterator[tuple[Outcomes, Outcomes]]:
    """Training and test: questions of the same sets, or one set against all others."""
    if place == "at home":
        yield Outcomes.concat(list(parts)).split(seed=seed)
        return
    rng = np.random.default_rng(seed)
    for out, test in enumerate(parts):
        rest = Outcomes.concat([part for n, part in enumerate(parts) if n != out])
        yield rest.select(rng.permutation(len(rest))[: round(0.7 * len(rest))]), test


def earned(train: Outcomes, test: Outcomes) -> dict[str, Floats]:
    """What each way of choosing earns on each test question."""
    router = Domain().fit(train)
    m, rows = len(train.models), np.arange(len(test))
    expert_G = router.means_GM.argmax(axis=1)
    share_NG = router.probabilities(test.prompts)
    best = int(np.nanmean(train.quality_NM, axis=0).argmax())
    chosen = {
        "domain's expert": expert_G[share_NG.argmax(axis=1)],
        "domains mixed": (share_NG @ router.means_GM).argmax(axis=1),
        "best single": np.full(len(test), best),
        "random": np.random.default_rng(0).integers(m, size=len(test)),
        "oracle": np.nan_to_num(test.quality_NM, nan=-1).argmax(axis=1),
    }
    if set(test.groups) <= set(router.domains):
        true_N = np.array([router.domains.index(name) for name in test.groups])
        chosen["expert of the true domain"] = expert_G[true_N]
    found = {way: np.nan_to_num(test.quality_NM[rows, column_N]) for way, column_N in chosen.items()}
    if "expert of the true domain" in chosen:
        found["set told"] = (share_NG.argmax(axis=1) == true_N).astype(float)
    return found


def finding(values: dict[str, float], bounds: dict[str, list[float]], seeds: list[int], whole: bool) -> Finding:
    """What the numbers say."""
    ways = ("random", "oracle", "best single")
    baselines = {name: values.pop(name) for name in list(values) if name.startswith(ways)}
    low, high = bounds["gain, at home"]
    text = f"At home the expert of the domain earns {values['gain, at home']:+.3f} ({low:+.3f} to {high:+.3f}) over " \
           f"the best single model; on a set unseen in training {values['gain, away']:+.3f}"  # fmt: skip
    if not whole:
        return Finding(
            values, None, f"On the shipped table, whose groups are the domains: {text}.", baselines, bounds, seeds
        )
    sides = [True if low > 0 else False if high < 0 else None]
    for place, bar in BARS.items():
        low, high = bounds[f"accuracy, {place}, minilm"]
        sides.append(True if low > bar else False if high < bar else None)
    told = ", ".join(f"{values[f'accuracy, {place}, minilm']:.1%} {place}" for place in BARS)
    holds = False if False in sides else None if None in sides else True
    return Finding(values, holds, f"On MiniLM the domain is told in {told}. {text}.", baselines, bounds, seeds)


if __name__ == "__main__":
    run(__doc__, measure, system="MoDEM", routers=("domain",))
