"""What a conversation really costs: every turn sends the history again, and providers cache its beginning.

Shape suffixes: T turns, N questions, M models.

A call pays for the whole conversation so far.  The provider has cached the part that the *same* model read before, and
bills it at ``usd_per_mtok_cached``; the rest is new to it and costs ``usd_per_mtok_written``.  So a router that sends a
turn to another model pays for the whole history again, at the full price, however cheap that model is by itself.

What is taken for granted, from the providers' pages on prompt caching (OpenAI, Anthropic, DeepSeek, xAI): a prompt is
cached from its first token, as far as a model read it as a *prompt* (its answer comes in with the next turn), when it
has at least ``least`` tokens (1,024 at OpenAI and for many of Anthropic's models, 4,096 for some); and it is forgotten
``ttl`` seconds after it was last read (300 at Anthropic, 5 to 10 minutes at OpenAI).  Thought is billed and not sent
again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from waypost.errors import BadInput, BadTable, UnknownModel
from waypost.evaluation.baselines import single
from waypost.evaluation.metrics import Earned
from waypost.outcomes import Outcomes
from waypost.types import Floats, ModelCard

LEAST = 1024
TTL = 300.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: who answers, and the tokens of the user's message and of the answer.

    ``reasoning`` is the part of ``answer`` that was thought: billed now, and not part of the history.  ``at`` is when
    the turn was sent, in seconds of any clock; without times every turn is soon enough after the one before.
    """

    model: str
    message: int
    answer: int
    reasoning: int = 0
    at: float | None = None


def usd(turns: Sequence[Turn], cards: Mapping[str, ModelCard], *, least: int = LEAST, ttl: float = TTL) -> Floats:
    """USD of each turn of one conversation, (T,); NaN where the model's price is unknown.

    Raises:
        UnknownModel: a turn's model has no card.
        BadInput: only some turns have a time, or time runs backwards.

    >>> cards = {name: ModelCard(name, usd_per_mtok_in=2, usd_per_mtok_out=8, usd_per_mtok_cached=0.2) for name in "ab"}
    >>> stay, switch = ([Turn(model, 2000, 500) for model in models] for models in ("aa", "ab"))
    >>> usd(stay, cards).round(4).tolist(), usd(switch, cards).round(4).tolist()
    ([0.008, 0.0094], [0.008, 0.013])
    """
    _check_times(turns)
    caches, history, usd_T = _Caches(least, ttl), 0, np.empty(len(turns))
    for t, turn in enumerate(turns):
        prompt = history + turn.message
        card = _card(cards, turn.model)
        usd_T[t] = caches.usd(turn.model, card, prompt, turn.answer, turn.reasoning, turn.at)
        history = prompt + turn.answer - turn.reasoning
    return usd_T


def charge(
    earned: Earned, table: Outcomes, cards: Mapping[str, ModelCard], *, least: int = LEAST, ttl: float = TTL
) -> Earned:
    """The same choices with what they cost in conversation, by the recorded tokens and the cards' prices.

    Rows that share a source are the turns of one conversation, in the order of the table; a row without a source costs
    what its recorded tokens do.  The prompts of a conversation are the turns' own messages, and the history is added;
    or, where each begins with the one before, they hold it themselves.  Where several models were asked in a turn all
    are paid, and the longest answer stays in the history.

    ``usd_N`` is NaN where the price or the tokens of a call are unknown, in every turn whose history is unknown
    for that reason, and where the calls are a mixture (as those of `baselines.chance`), which has no one history.

    Raises:
        BadTable: the table keeps no token counts, or some that cannot be; the sentence names the row.
        UnknownModel: a model of the table has no card.

    >>> from waypost.types import Outcome
    >>> row = Outcome("", "", "", "m", 1.0, 0.001, 1.0, tokens_in=2000, tokens_out=500, source="talk")
    >>> rows = [replace(row, id=str(t), prompt=f"turn {t}", model=model) for t in (1, 2) for model in "ab"]
    >>> cards = {name: ModelCard(name, usd_per_mtok_in=2, usd_per_mtok_out=8, usd_per_mtok_cached=0.2) for name in "ab"}
    >>> table = Outcomes.from_rows(rows)
    >>> charge(single(table, "a"), table, cards).usd_N.round(4).tolist()
    [0.008, 0.0094]
    """
    recorded = _Recorded.of(table, cards)
    usd_N = np.full(len(table), np.nan)
    for rows in _conversations(table):
        talk = _Talk(_Caches(least, ttl), whole=_hold_history([table.prompts[n] for n in rows]))
        alone = not table.sources[rows[0]]
        for n in rows:
            called = _called(earned, n)
            usd_N[n] = recorded.alone(n, called) if alone else talk.turn(recorded, n, called)
    return replace(earned, usd_N=usd_N)


def staying(table: Outcomes, cards: Mapping[str, ModelCard], *, least: int = LEAST, ttl: float = TTL) -> Outcomes:
    """The table with what each answer costs when its model answers all turns of the conversation.

    So the single models, and a coin that is tossed between them once a conversation, cost what the table says.  What
    chooses turn by turn is to be charged (`charge`).

    Raises:
        BadTable: as `charge` does.
        UnknownModel: a model of the table has no card.

    >>> from waypost.types import Outcome
    >>> row = Outcome("", "", "", "m", 1.0, 0.001, 1.0, tokens_in=2000, tokens_out=500, source="talk")
    >>> rows = [replace(row, id=str(t), prompt=f"turn {t}", model=model) for t in (1, 2) for model in "ab"]
    >>> cards = {name: ModelCard(name, usd_per_mtok_in=2, usd_per_mtok_out=8) for name in "ab"}
    >>> staying(Outcomes.from_rows(rows), cards).usd_NM.round(4).tolist()
    [[0.008, 0.008], [0.013, 0.013]]
    """
    charged = [charge(single(table, name), table, cards, least=least, ttl=ttl) for name in table.models]
    return replace(table, usd_NM=np.column_stack([earned.usd_N for earned in charged]))


@dataclass(slots=True)
class _Caches:
    """How far each model has read the conversation, and when; by the pool's names, as two cards may share one."""

    least: int
    ttl: float
    seen: dict[str, tuple[int, float]] = field(default_factory=dict)

    def usd(
        self, model: str, card: ModelCard, prompt: int, answer: int, reasoning: int, at: float | None = None
    ) -> float:
        """What a call costs now; the model has then read the prompt."""
        now = at or 0.0
        length, last = self.seen.get(model, (0, now))
        cached = min(length, prompt) if now - last <= self.ttl else 0
        written = 0
        if prompt >= self.least:
            self.seen[model] = prompt, now
            written = prompt - cached
        usd = card.usd(prompt, answer, cached=cached, written=written, reasoning=reasoning)
        return np.nan if usd is None else usd


@dataclass(slots=True)
class _Talk:
    """One conversation of a table while it goes on; ``whole``: its prompts hold the history themselves."""

    caches: _Caches
    whole: bool
    history: float = 0.0  # tokens; NaN once they are unknown

    def turn(self, recorded: _Recorded, n: int, called: Sequence[int]) -> float:
        """USD of a turn."""
        before = 0.0 if self.whole else self.history
        usd, said = 0.0, [0.0]
        for m in called:
            tokens_in, tokens_out, thought = recorded.tokens(n, m)
            prompt = before + tokens_in
            known = not np.isnan(prompt + tokens_out)
            whose = recorded.models[m], recorded.cards[m]
            usd += self.caches.usd(*whose, int(prompt), int(tokens_out), int(thought)) if known else np.nan
            said.append(tokens_in + tokens_out - thought)
        # NaN if any is: a turn of unknown length makes the history's unknown too.
        self.history += float(np.max(said)) if called else np.nan
        return usd if called else np.nan


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The token counts of a table, (N, M), NaN where no call was recorded; and its models with their cards."""

    models: Sequence[str]
    cards: Sequence[ModelCard]
    counts: Mapping[str, Floats]

    @classmethod
    def of(cls, table: Outcomes, cards: Mapping[str, ModelCard]) -> _Recorded:
        if table.recorded is None or not np.any(table.recorded["tokens_in"]):
            raise BadTable(
                "the table keeps no token counts, and without them nobody knows what a conversation costs; tables "
                "filled by `waypost collect` have them"
            )
        shape = table.quality_NM.shape
        names = ("tokens_in", "tokens_out", "tokens_cached", "tokens_written", "tokens_reasoning")
        there_NM = np.broadcast_to(table.recorded.there_nm, shape)
        counts = {name: np.where(there_NM, table.recorded[name], np.nan) for name in names}
        _check_parts(table, counts)
        # No call is without a prompt: where no token of it was counted, nobody counted.
        counts["tokens_in"][counts["tokens_in"] == 0] = np.nan
        return cls(table.models, [_card(cards, name) for name in table.models], counts)

    def tokens(self, n: int, m: int) -> tuple[float, float, float]:
        """Tokens in, out, and thought of one call; NaN where they are unknown."""
        return (
            float(self.counts["tokens_in"][n, m]),
            float(self.counts["tokens_out"][n, m]),
            float(self.counts["tokens_reasoning"][n, m]),
        )

    def alone(self, n: int, called: Sequence[int]) -> float:
        """USD of a question that belongs to no conversation."""
        total = 0.0 if called else np.nan
        for m in called:
            counts = {name: values_NM[n, m] for name, values_NM in self.counts.items()}
            if np.isnan(counts["tokens_in"]):
                return np.nan
            tokens_in, tokens_out, cached, written, reasoning = map(int, counts.values())
            usd = self.cards[m].usd(tokens_in, tokens_out, cached=cached, written=written, reasoning=reasoning)
            total += np.nan if usd is None else usd
        return total


def _card(cards: Mapping[str, ModelCard], name: str) -> ModelCard:
    if name not in cards:
        raise UnknownModel(name, cards)
    return cards[name]


def _check_times(turns: Sequence[Turn]) -> None:
    times = [turn.at for turn in turns if turn.at is not None]
    if times and len(times) < len(turns):
        raise BadInput(f"{len(times)} of {len(turns)} turns have a time; give every turn one, or none")
    if any(after < before for before, after in pairwise(times)):
        raise BadInput("the turns' times run backwards; give the turns in the order in which they were sent")


def _conversations(table: Outcomes) -> list[list[int]]:
    """The rows of each conversation in the table's order; a row without a source is one by itself."""
    rows: dict[tuple[str, int], list[int]] = defaultdict(list)
    for n, source in enumerate(table.sources):
        rows[source, 0 if source else n].append(n)
    return list(rows.values())


def _hold_history(prompts: Sequence[str]) -> bool:
    """Whether a conversation's prompts hold the history themselves: each begins with the one before it."""
    return all(len(after) > len(before) and after.startswith(before) for before, after in pairwise(prompts))


def _check_parts(table: Outcomes, counts: Mapping[str, Floats]) -> None:
    """Refuse counts that cannot be, with the row."""
    whole_in, whole_out, cached, written, thought = counts.values()
    wrong_NM = (cached + written > whole_in) | (thought > whole_out) | (np.stack([*counts.values()]) < 0).any(axis=0)
    if wrong_NM.any():
        n, m = np.argwhere(wrong_NM)[0]
        said = ", ".join(f"{name} {values_NM[n, m]:.0f}" for name, values_NM in counts.items())
        raise BadTable(
            f"row {table.ids[n]!r} (prompt {table.prompts[n][:40]!r}) of model '{table.models[m]}' counts {said}; "
            f"cached and written tokens are parts of those in, reasoning of those out, and none is negative"
        )


def _called(earned: Earned, n: int) -> list[int]:
    """The model of each call for question ``n``; none where it was not measured or the calls are a mixture."""
    calls_M = earned.calls_NM[n]
    if np.isnan(earned.quality_N[n]) or np.any(calls_M != np.rint(calls_M)):
        return []
    return [int(m) for m in np.repeat(np.arange(len(calls_M)), calls_M.astype(int))]
