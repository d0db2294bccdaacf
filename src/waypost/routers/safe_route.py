"""The head of a cascade that learns where asking another model would turn a wrong answer into a right one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from waypost.encoders import StaticEncoder
from waypost.errors import UnknownModel
from waypost.outcomes import Outcomes
from waypost.outcomes.perturb import KINDS, perturbed
from waypost.routers.parts.answers import Outlook, answer_features, answers_of, canonical
from waypost.routers.parts.bayes import Bayes, Schedule
from waypost.routers.parts.costs import Costs
from waypost.routers.parts.doubt import Doubt
from waypost.routers.parts.features import features
from waypost.routers.parts.linear import fit_heads
from waypost.routers.parts.targets import check_prompts, prediction, targets
from waypost.types import Answer, Encoder, Floats, Prediction


@dataclass
class SafeRoute:
    """Asks another model where that is likely to change the answer for the better.

    A model that is unsure is often wrong together with its larger sibling, and then asking that helps nobody.  So the
    head learns another label (Lee et al. 2025): t = 1 where the other model is right and the one that answered is
    wrong.  For each model that may have answered, a small Bayesian network looks at the prompt's vector and at
    facts of the answer, and gives the logit of t for every other model.  Positives are rare, so that in the loss both
    labels of a pair weigh the same; P(t = 1) > 1/2 of the network then means: likelier than usual for this pair.

    `revise` says it in units of quality.  The answer at hand is worth the usual share b of positives; another model is
    worth b plus P(t = 1 | prompt, answer) - b at the natural share.  Without a price a cascade thus goes on just where
    the network's P(t = 1) is above 1/2, which is the paper's rule, and a price raises that threshold.

    An answer is ``right`` from that quality on. ``units`` a layer, the ``prior``'s deviation, the weight ``kl`` of the
    divergence from it; ``paraphrases`` of each prompt; at most ``epochs`` of ``batch`` rows at the rate ``lr``.

    Raises:
        ValueError: a setting is out of range.
        BadTable: the table holds no answers, so there is nothing to look at.
        NotInstalled: torch is missing; it is needed to fit, not to predict.

    >>> from dataclasses import replace
    >>> from waypost.outcomes import example_table
    >>> rows = [replace(row, answer="Certainly." if row.quality else "Perhaps.") for row in example_table(90).rows()]
    >>> head = SafeRoute(units=8, paraphrases=1, epochs=20, lr=0.01).fit(Outcomes.from_rows(rows))
    >>> after = head.revise("What is 17 plus 26?", Answer("tiny", "Perhaps.")).answered
    >>> bool(after.quality_NM[0, after.models.index("maths-expert")] > after.quality_NM[0, after.models.index("tiny")])
    True

    Source: SafeRoute (Lee et al., ACL Findings 2025, arXiv 2502.12464), section 3, and its public code.  There are
    two guards there; for more models each pair has its own logit, and at two this is the paper's rule.  We look at a
    vector of the prompt and at the answer where the paper has the small guard's last hidden state, which no API gives;
    paraphrases are made by rule, not by a language model, and keep their prompt's answer and label; classes weigh
    alike in the loss, not in the sampler, which is the same on average; the rate is constant, and training stops
    when held-out prompts do not improve, where the paper runs 1,000 epochs.
    """

    when: ClassVar[str] = "after an answer"
    looks_at: ClassVar[str] = "prompt vector, answer"
    learns: ClassVar[str] = "supervised"
    needs: ClassVar[tuple[str, ...]] = ("train",)

    right: float = 0.5
    units: int = 512
    prior: float = 0.1
    kl: float = 0.01
    paraphrases: int = 7
    epochs: int = 1000
    batch: int = 512
    lr: float = 1e-3
    seed: int = 0
    encoder: Encoder = field(default_factory=StaticEncoder)
    models: tuple[str, ...] = field(default=(), init=False)
    trained_on: str = field(default="", init=False)
    center_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    scale_D: Floats = field(default_factory=lambda: np.empty(0), init=False)
    heads_DM: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32), init=False)
    bias_M: Floats = field(default_factory=lambda: np.empty(0), init=False)
    doubt: Doubt = field(default_factory=Doubt, init=False)
    costs: Costs = field(default_factory=Costs, init=False)
    networks: Bayes = field(default_factory=Bayes, init=False)
    usual_MM: Floats = field(default_factory=lambda: np.empty((0, 0)), init=False)

    def __post_init__(self) -> None:
        for name, least in (("units", 1), ("epochs", 1), ("batch", 1), ("paraphrases", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("prior", "lr", "right"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.kl >= 0 or self.right > 1:
            raise ValueError(f"kl must be at least 0 and right at most 1, got {self.kl} and {self.right}")

    def fit(self, outcomes: Outcomes) -> Self:
        """Fit what is expected before any answer, and one network for each model whose answers were kept."""
        table, known = canonical(outcomes), targets(outcomes)
        features_ND = features(self.encoder, table.prompts)
        dim, m = self.encoder.dim, len(table.models)
        heads = fit_heads(features_ND, known.values_NK[:, :m], known.weight_N, dim=dim, alpha=None)
        self.center_D, self.scale_D, self.heads_DM, self.bias_M = heads[:4]
        x_ND = (features_ND - self.center_D) / self.scale_D
        self.doubt = Doubt.fitted(x_ND, np.full((1, m), np.nan), known.weight_N)
        self.doubt.sigma_M = np.nan_to_num(heads.sigma_K, nan=0.5)
        self.costs = Costs.fitted(features_ND, known, dim=dim)
        right_NM = np.where(np.isnan(table.quality_NM), np.nan, table.quality_NM >= self.right)
        self.usual_MM = np.zeros((m, m))
        wordings = [(texts, self.encoder.encode(texts)) for texts in self._wordings(table.prompts)]
        networks = [self._network(i, table, right_NM, wordings) for i in range(m)]
        self.networks = Bayes.stacked(networks)
        self.models, self.trained_on = table.models, outcomes.fingerprint
        return self

    def _wordings(self, prompts: Sequence[str]) -> Iterator[Sequence[str]]:
        """The prompts, then each in other words; a wording more differs from the last in kind or in seed."""
        yield prompts
        rounds = ((kind, number) for number in range(self.paraphrases) for kind in reversed(tuple(KINDS)))
        for kind, number in islice(rounds, self.paraphrases):
            yield [new if new.strip() else old for new, old in
                   zip(perturbed(kind, prompts, self.seed + number), prompts, strict=True)]  # fmt: skip

    def _network(
        self, i: int, table: Outcomes, right_NM: Floats, wordings: Sequence[tuple[Sequence[str], NDArray[np.float32]]]
    ) -> Bayes:
        """The network for when model i has answered: the logit of t for every other model."""
        rows, answers = answers_of(table, table.models[i])
        better_NM = np.where(np.isnan(right_NM), np.nan, right_NM * (1 - right_NM[:, [i]]))[rows]
        known_NM = ~np.isnan(better_NM)
        weight_N1 = table.weight_N[rows, None] / max(table.weight_N[rows].mean(), 1e-12)
        share_NM = weight_N1 * known_NM
        ones_M, all_M = (share_NM * np.nan_to_num(better_NM)).sum(axis=0), share_NM.sum(axis=0)
        # As with one further row of either label, so that no share is 0 or 1.
        self.usual_MM[i] = (ones_M + 1) / (all_M + 2)
        each_NM = np.where(better_NM == 1, ones_M, all_M - ones_M)
        balanced_NM = share_NM * all_M / (2 * np.maximum(each_NM, 1e-12))
        balanced_NM[:, i] = 0  # a model changes nothing of its own answer
        times = len(wordings)
        x_ND = np.vstack([
            answer_features(self.encoder, [texts[n] for n in rows], vectors_ND[rows], answers)
            for texts, vectors_ND in wordings
        ])  # fmt: skip
        how = Schedule(self.units, self.prior, self.kl, self.epochs, self.batch, self.lr, self.seed)
        true_NM, weight_NM = (np.tile(part_NM, (times, 1)) for part_NM in (np.nan_to_num(better_NM), balanced_NM))
        return Bayes.fitted("safe_route", x_ND, true_NM, weight_NM, [table.prompts[n] for n in rows] * times, how)

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """What each model is expected to do before any answer."""
        check_prompts(self.models, prompts)
        features_ND = features(self.encoder, prompts)
        x_ND = (features_ND - self.center_D) / self.scale_D
        quality_NM = x_ND.astype(np.float32) @ self.heads_DM + self.bias_M
        return prediction(self.models, np.hstack([quality_NM, self.costs(features_ND)]), self.doubt(x_ND))

    def balanced(self, prompts: Sequence[str], answers: Sequence[Answer]) -> tuple[Floats, Floats]:
        """P(t = 1) of each model where both labels are alike frequent, the paper's score; its deviation; (N, M) each.

        Raises:
            UnknownModel: an answer is of a model that the head was not trained on.
        """
        check_prompts(self.models, prompts)
        logit_NM, variance_NM = np.zeros((2, len(prompts), len(self.models)))
        vectors_ND = self.encoder.encode(prompts)
        for name in dict.fromkeys(answer.model for answer in answers):
            if name not in self.models:
                raise UnknownModel(name, self.models)
            rows = [n for n, answer in enumerate(answers) if answer.model == name]
            texts, given = [prompts[n] for n in rows], [answers[n] for n in rows]
            x_ND = answer_features(self.encoder, texts, vectors_ND[rows], given)
            logit_NM[rows], variance_NM[rows] = self.networks(self.models.index(name), x_ND)
        better_NM = 1 / (1 + np.exp(-np.clip(logit_NM, -500, 500)))
        return better_NM, better_NM * (1 - better_NM) * np.sqrt(variance_NM)

    def revise(self, prompt: str, answer: Answer) -> Outlook:
        """What each model is worth now that one has answered; a model that would decline counts as wrong.

        Raises:
            UnknownModel: the answer is of a model that the head was not trained on.
        """
        better_NM, deviation_NM = self.balanced([prompt], [answer])
        i = self.models.index(answer.model)
        usual_M = self.usual_MM[i]
        odds_NM = better_NM * usual_M / (1 - usual_M)
        quality_NM = odds_NM / (odds_NM + 1 - better_NM)
        have = np.delete(usual_M, i).max()
        deviation_NM *= quality_NM * (1 - quality_NM) / np.maximum(better_NM * (1 - better_NM), 1e-300)
        quality_NM += have - usual_M
        quality_NM[0, i], deviation_NM[0, i] = have, 0
        values_NK = np.hstack([quality_NM, self.costs(features(self.encoder, [prompt]))])
        return Outlook(prediction(self.models, values_NK, deviation_NM), np.zeros((1, len(self.models))))

    @classmethod
    def examples(cls) -> list[dict[str, object]]:
        """Settings to try in `waypost.checks`."""
        return [{"units": 16, "paraphrases": 1, "epochs": 3}]
