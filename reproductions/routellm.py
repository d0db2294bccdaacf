"""RouteLLM: routers learnt from preferences against a coin, between GPT-4 and Mixtral on MMLU.

Claim: A router that learns from preferences halves the calls of the strong model at 95 % of its quality, and is better
than a coin at every budget (APGR above 0.5).

Paper: Ong et al. 2024, arXiv 2406.18665.  On MT-Bench, trained on Chatbot Arena's votes and a judge's labels: matrix
factorisation APGR 0.802, CPT(50) 13.4 %, CPT(80) 31.3 %; random 0.500.

Tested: On RouteLLM's outcomes of Mixtral and GPT-4 on MMLU (right or wrong), routers are trained on some of the
questions and measured on others: 70 to 30 by question, near duplicates on one side; and, stricter, by subject, so that
no subject of the test was seen.  Settings are chosen on a quarter held out of the training questions, by APGR.  The
score of a question is the strong model's probability to win, or of other routers its lead in expected quality.  Each
number is a mean over splits; its interval is of one split, questions resampled (subjects, where those were split), and
turned round (2·found − resampled).  The claim holds if, for each of the three routers that learn all they know from
the preferences (similarity, factors, encoder) and both splits, the interval of APGR
lies above 0.5 and that of the share of GPT-4 at 95 % of its quality below 0.5; it does not if one of these intervals
lies wholly on the other side.  preference_judge, which asks a language model of 135 M parameters, reads 400 questions
and is measured on those of them that are test questions.  Thresholds are calibrated as `waypost calibrate` does it, on
half of the test questions, to send them 20 and 50 % to GPT-4; the share that it gets of the other half is shown.

Not tested: MT-Bench, GSM8K, Arena's votes, the paper's encoders and its judge, so its numbers are not comparable: these
routers learnt from MMLU's own outcomes, the paper's from votes on chats and a little of MMLU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from claims import Finding, Options, run
from routerbench import limited
from threadpoolctl import threadpool_limits

from waypost import embedded
from waypost.evaluation.bootstrap import percentiles
from waypost.evaluation.calibrate import Send, calibrate
from waypost.evaluation.measures import routellm as measures
from waypost.evaluation.tune import candidates
from waypost.outcomes import Outcomes, readers
from waypost.outcomes.leaks import clusters
from waypost.routers import ROUTERS, make
from waypost.types import Floats

LEARNT = ("preference_similarity", "preference_factors", "preference_encoder")
JUDGE = "preference_judge"
OTHERS = ("knn", "ridge", "domain", "random")
NUMBERS = ("APGR", "CPT(50)", "CPT(80)", "share at 95 %")
READ = 400  # questions that the judge reads
TRAINED = 3000
KEPT = 0.95
ASKED = (0.2, 0.5)


@dataclass(frozen=True)
class Split:
    """Training and test questions; ``drawn_N`` numbers what is resampled together in the test."""

    name: str
    seed: int
    train: Outcomes
    test: Outcomes
    drawn_N: Floats


def splits(table: Outcomes, cluster_N: Floats, seeds: range) -> Iterator[Split]:
    """By question, then by subject."""
    _, subject_N = np.unique(np.array(table.groups), return_inverse=True)
    both = {"by question": cluster_N, "by subject": subject_N}
    for name, number_N in both.items():
        places = {id: int(number_N[n]) for n, id in enumerate(table.ids)}
        for seed in seeds:
            if name == "by question":
                train, test = table.split(0.7, seed, number_N)
            else:
                # A question that is also asked in a subject of the other side is left out of the test.
                held = np.random.default_rng(seed).permutation(subject_N.max() + 1)[: round(0.3 * subject_N.max())]
                test_N = np.isin(subject_N, held)
                train = table.select(~test_N)
                test = table.select(test_N & ~np.isin(cluster_N, cluster_N[~test_N]))
            train = train.select(np.random.default_rng(seed).permutation(len(train))[:TRAINED])
            yield Split(name, seed, train, test, np.array([places[id] for id in test.ids]))


def score(router: Any, table: Outcomes) -> Floats:
    """How much each question speaks for the strong model, the second of the table."""
    if hasattr(router, "beats"):
        return np.asarray(router.beats(table.prompts)[:, 1, 0])
    quality_NM = router.predict(table.prompts).quality_NM
    return np.asarray(quality_NM[:, 1] - quality_NM[:, 0])


def numbers(score_N: Floats, table: Outcomes, rows: Any = slice(None)) -> list[float]:
    """APGR, CPT(50), CPT(80) and the strong model's share at 95 % of its quality."""
    curve = measures.thresholds(score_N[rows], *table.quality_NM[rows].T)
    points = curve.share_P, curve.quality_P
    needed = float(measures.pgr(KEPT * curve.strong, curve.weak, curve.strong))
    return [measures.apgr(*points), *(measures.cpt(target, *points) for target in (0.5, 0.8, max(needed, 0.0)))]


def tuned(name: str, split: Split) -> Any:
    """A router with the settings that did best on a quarter of the training questions, fitted on all of them."""
    train, held = split.train.split(0.75, split.seed + 77, clusters(split.train.prompts))
    tried = candidates(ROUTERS[name].grid, {}) if name in LEARNT else [{}]
    best = max(tried, key=lambda s: numbers(score(make(name, **s).fit(train), held), held)[0]) if tried[1:] else {}
    return make(name, **best).fit(split.train)


def resampled(score_N: Floats, table: Outcomes, drawn_N: Floats, resamples: int, seed: int) -> Floats:
    """The numbers in each resample of what is drawn together, (B, 4)."""
    rng = np.random.default_rng(seed)
    _, place_N = np.unique(drawn_N, return_inverse=True)
    count = place_N.max() + 1
    found = []
    for _ in range(resamples):
        times_C = np.bincount(rng.integers(0, count, count), minlength=count)
        found.append(numbers(score_N, table, np.repeat(np.arange(len(table)), times_C[place_N])))
    return np.array(found)


@dataclass
class Collected:
    """What was found on each split, and its resamples turned round, by the name of the number."""

    found: dict[str, list[float]]
    turned: dict[str, list[float]]

    def add(self, name: str, values: list[float], resampled_BK: Floats) -> None:
        """One router on one split."""
        for number, value, resampled_B in zip(NUMBERS, values, resampled_BK.T, strict=True):
            self.found.setdefault(f"{name}: {number}", []).append(value)
            self.turned.setdefault(f"{name}: {number}", []).extend(2 * value - resampled_B)

    def means(self) -> dict[str, float]:
        """Over splits."""
        return {name: round(float(np.mean(values)), 4) for name, values in self.found.items()}

    def bounds(self) -> dict[str, list[float]]:
        """95 % of the resamples of all splits."""
        return {
            name: [round(bound, 4) for bound in percentiles(np.array(values)[:, None])[0].tolist()]
            for name, values in self.turned.items()
        }


def measure(options: Options) -> Finding:
    """Every router on every split."""
    folder = options.folder("routellm_mmlu")
    table = two_models(folder)
    if options.quick:
        table = table.select(np.random.default_rng(0).permutation(len(table))[:3000])
    cluster_N = clusters(table.prompts)
    seeds = range(1 if options.quick else 3)
    resamples = 100 if options.quick else 200
    read = frozenset(
        np.array(table.ids)[np.random.default_rng(1).permutation(len(table))[: READ // (1 + 3 * options.quick)]]
    )
    collected, shares = Collected({}, {}), {}
    for split in splits(table, cluster_N, seeds):
        for name in (*LEARNT, *OTHERS):
            router = tuned(name, split)
            score_N = score(router, split.test)
            collected.add(
                f"{split.name}: {name}", numbers(score_N, split.test),
                resampled(score_N, split.test, split.drawn_N, resamples, split.seed),
            )  # fmt: skip
            if name in LEARNT:
                for asked in ASKED:
                    share = calibrate(router, split.test, Send(table.models[1], asked), resamples=200, seed=split.seed)
                    shares.setdefault(f"{split.name}: {name}: sent where {asked:.0%} was asked", []).append(
                        share.reached.measured.value
                    )
        lead_N = np.subtract(*split.test.quality_NM.T[::-1])
        collected.found.setdefault(f"{split.name}: oracle: APGR", []).append(numbers(lead_N, split.test)[0])
        judged(split, read, collected, resamples)
    values, bounds = collected.means(), collected.bounds()
    sent = {name: round(float(np.mean(each)), 4) for name, each in shares.items()}
    others = {name: value for name, value in values.items() if name.split(": ")[1] in (*OTHERS, "oracle")}
    measured = {name: value for name, value in values.items() if name not in others} | sent
    return Finding(measured, *judgement(values, bounds, sent, folder is not None), others, bounds, list(seeds))


def judged(split: Split, read: frozenset[str], collected: Collected, resamples: int) -> None:
    """The judge, on the few questions that it reads."""
    train, test = (part.select([id in read for id in part.ids]) for part in (split.train, split.test))
    drawn_N = np.array([n for n, id in zip(split.drawn_N, split.test.ids, strict=True) if id in read])
    for calibrated in (True, False):
        score_N = score(make(JUDGE, calibrated=calibrated).fit(train), test)
        name = f"{split.name}: {JUDGE}{'' if calibrated else ' uncalibrated'}"
        collected.add(name, numbers(score_N, test), resampled(score_N, test, drawn_N, resamples, split.seed))


def judgement(
    values: Mapping[str, float], bounds: Mapping[str, list[float]], sent: Mapping[str, float], whole: bool
) -> tuple[bool | None, str]:
    """Whether the claim holds, and what was seen."""
    cases = [f"{split}: {name}" for split in ("by question", "by subject") for name in LEARNT]
    better = [bounds[f"{case}: APGR"][0] > 0.5 for case in cases]
    halved = [bounds[f"{case}: share at 95 %"][1] < 0.5 for case in cases]
    worse = [bounds[f"{case}: APGR"][1] < 0.5 or bounds[f"{case}: share at 95 %"][0] > 0.5 for case in cases]
    holds = False if any(worse) else True if all(better) and all(halved) else None
    off = max(abs(value - float(name.rsplit("where ")[-1].split("%")[0]) / 100) for name, value in sent.items())

    def shown(split: str, number: str) -> str:
        return ", ".join(f"{name} {values[f'{split}: {name}: {number}']:.2f}" for name in (*LEARNT, *OTHERS))

    apgr, share = (
        "; ".join(shown(f"by {what}", number) for what in ("question", "subject")) for number in NUMBERS[::3]
    )
    said = (
        f"Better than a coin in {sum(better)} of {len(cases)} cases, at most half the calls at 95 % of quality in "
        f"{sum(halved)}. APGR by question, then by subject: {apgr}. The strong model's share at 95 % of "
        f"its quality: {share}. A share that was asked for was met to {off:.3f}."
    )
    return (holds, said) if whole else (None, f"Its outcomes are needed to test it; on the shipped table: {said}")


def two_models(folder: Path | None) -> Outcomes:
    """Mixtral and GPT-4, weak and strong; or of the shipped table the cheapest and the best model."""
    if folder is not None:
        parts = [part for path in sorted(folder.glob("*.csv")) for part in readers.read("routellm", [path])]
        table = Outcomes.concat(parts)
    else:
        shipped = Path(embedded.__file__).with_name("outcomes.parquet")
        table = readers.read("waypost", [shipped])[0]
    means = table.means()
    strong = max(means, key=lambda name: means[name][0])
    weak = min((name for name in means if name != strong), key=lambda name: (means[name][1], means[name][0]))
    table = table.only((weak, strong))
    return table.select(~np.isnan(table.quality_NM).any(axis=1))


if __name__ == "__main__":
    with threadpool_limits(1):
        run(__doc__, limited(measure), system="RouteLLM: routers from preferences", routers=(*LEARNT, JUDGE))
