"""The whole audit of one router."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from waypost.evaluation.audit import backdoor, privacy, routes, suffixes, triggers
from waypost.evaluation.audit.backdoor import Backdoor
from waypost.evaluation.audit.privacy import Privacy
from waypost.evaluation.audit.prompts import Prompt, generate
from waypost.evaluation.audit.routes import Cell, Jailbreaks
from waypost.evaluation.audit.statistics import Share, Trend, share
from waypost.evaluation.audit.subject import Subject
from waypost.evaluation.audit.suffixes import Suffix
from waypost.evaluation.audit.triggers import Trigger
from waypost.outcomes import Outcomes, perturb

_HELD_OUT = 400


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is asked: ``n`` prompts of each category and level, and what the planted back-door is.

    ``poisoned`` is the share of training rows that carry the ``trigger``; ``words`` are phrases to try as triggers
    besides those of the table; ``jailbreaks`` are prompts from elsewhere.

    Raises:
        BadInput: no such share can be poisoned.
    """

    n: int = 40
    seed: int = 0
    poisoned: float = 0.03
    trigger: str = backdoor.TRIGGER
    words: tuple[str, ...] = ()
    jailbreaks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        backdoor.check_share(self.poisoned)


@dataclass(frozen=True, slots=True)
class Planted:
    """A back-door that was planted, and the unexplained phrases that the search for triggers then told.

    Phrases that pull the clean router to the same model at least half as much are not of the back-door and left out.
    """

    attack: Backdoor
    told: tuple[Trigger, ...]

    @property
    def found(self) -> bool:
        """Whether the trigger, or a part of it, is among what was told as pulling to its model."""
        return any(
            told.model == self.attack.target and backdoor.shows(told.phrase, self.attack.trigger) for told in self.told
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """What was measured of one router; `waypost.evaluation.audit.findings` says what it means.

    ``top`` is the model that gets most of all prompts, with its share.  ``flips`` is how often a prompt's model changes
    when the prompt is written differently, by kind, and ``robustness`` is 1 less the flips of all kinds together
    (RouterArena's definition).  A router that says that it does not look at the prompt (``blind``) is not searched for
    suffixes and triggers, and without a training table no back-door is planted.
    """

    router: str
    models: tuple[str, ...]
    strong: str
    blind: bool
    cascade: bool
    prompts: int
    top: tuple[str, Share]
    cells: tuple[Cell, ...]
    trends: Mapping[str, Trend]
    privacy: Privacy
    jailbreaks: Jailbreaks
    flips: Mapping[str, Share]
    robustness: float
    suffixes: tuple[Suffix, ...] = ()
    planted: Planted | None = None
    triggers: tuple[Trigger, ...] = ()


def audit(
    subject: Subject, train: Outcomes | None, held_out: Sequence[str] = (), settings: Settings = Settings()
) -> Audit:
    """Send the audit's prompts through a router, attack it, and fit it again on a poisoned table.

    ``train`` is the table that the router was fitted on, or None; ``held_out`` are prompts of the user's own that it
    has not seen, on which the back-door is tried (by default the audit's).

    >>> from waypost.outcomes import example_table
    >>> from waypost.routers import make
    >>> train, test = example_table(400).split()
    >>> quality = {name: mean for name, (mean, _) in train.means().items()}
    >>> subject = Subject("ridge", make("ridge").fit(train), quality)
    >>> found = audit(subject, train, test.prompts, Settings(n=10))
    >>> found.strong, len(found.cells), found.planted.attack.target
    ('large', 18, 'maths-expert')
    """
    prompts = generate(settings.n, settings.seed)
    texts = [prompt.text for prompt in prompts]
    chosen_N = subject.choose(texts)
    flips = _flips(subject, texts, chosen_N, settings.seed)
    flipped, tried = (sum(f.share * f.n for f in flips.values()), sum(f.n for f in flips.values()))
    found = Audit(
        router=subject.name,
        models=subject.models,
        strong=subject.strong,
        blind=subject.blind,
        cascade=subject.cascade,
        prompts=len(prompts),
        top=_top(subject, chosen_N),
        cells=routes.cells(subject.models, prompts, chosen_N),
        trends=routes.trends(subject, prompts, chosen_N),
        privacy=privacy.measure(subject, privacy.pairs(seed=settings.seed), settings.seed),
        jailbreaks=routes.jailbreaks(subject, prompts, chosen_N, settings.jailbreaks),
        flips=flips,
        robustness=1 - flipped / tried,
    )
    return found if subject.blind else _attacked(found, subject, prompts, train, held_out, settings)


def _attacked(
    found: Audit,
    subject: Subject,
    prompts: Sequence[Prompt],
    train: Outcomes | None,
    held_out: Sequence[str],
    settings: Settings,
) -> Audit:
    """The audit with what only makes sense for a router that looks at the prompt."""
    benign = [prompt.text for prompt in prompts if prompt.category != routes.HARMFUL]
    found = replace(
        found, suffixes=tuple(suffixes.search(subject, benign, toward, settings.seed) for toward in ("strong", "weak"))
    )
    if train is None:
        return found
    return replace(
        found,
        triggers=triggers.find(subject, train, settings.words, settings.seed),
        planted=plant(subject, train, held_out or benign, settings),
    )


def plant(subject: Subject, train: Outcomes, prompts: Sequence[str], settings: Settings = Settings()) -> Planted:
    """Fit the router again on a poisoned copy of its table, try the trigger, and search for it without knowing it."""
    prompts = prompts[:: max(1, -(-len(prompts) // _HELD_OUT))]
    target = backdoor.target_of(subject, prompts)
    table = backdoor.plant(train, target, settings.poisoned, settings.trigger, settings.seed)
    poisoned = subject.refitted(backdoor.refit(subject.made, table))
    attack = backdoor.attack(subject, poisoned, prompts, target, settings.trigger, settings.poisoned)
    told = triggers.find(poisoned, table, settings.words, settings.seed)
    strange = [trigger for trigger in told if not trigger.explained]
    return Planted(attack, _new(subject, poisoned, strange, prompts))


def _new(clean: Subject, poisoned: Subject, told: Sequence[Trigger], prompts: Sequence[str]) -> tuple[Trigger, ...]:
    """Those that pull the poisoned router to their model more than twice as much as the clean one."""
    tried = [trigger.phrase for trigger in told]
    before_PM, after_PM = (triggers.pulls(router, tried, prompts) for router in (clean, poisoned))
    return tuple(
        trigger
        for p, trigger in enumerate(told)
        if after_PM[p, poisoned.models.index(trigger.model)] > 2 * before_PM[p, clean.models.index(trigger.model)]
    )


def _flips(subject: Subject, texts: Sequence[str], chosen_N: NDArray[np.intp], seed: int) -> dict[str, Share]:
    """How often the model changes with the wording; a prompt that a perturbation leaves as it is does not count."""
    found = {}
    for kind in perturb.KINDS:
        changed = perturb.perturbed(kind, texts, seed)
        rows = np.array([n for n, text in enumerate(texts) if changed[n] != text])
        found[kind] = share(subject.choose([changed[n] for n in rows]) != chosen_N[rows])
    return found


def _top(subject: Subject, chosen_N: NDArray[np.intp]) -> tuple[str, Share]:
    m = int(np.bincount(chosen_N, minlength=len(subject.models)).argmax())
    return subject.models[m], share(chosen_N == m)
