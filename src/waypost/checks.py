"""The promises that every router keeps; run them on your own with ``check_router``.

A promise takes a function that makes a fresh router and raises AssertionError with a sentence when it is broken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from waypost.errors import BadInput, NotFitted, UnknownModel
from waypost.objective import Objective
from waypost.outcomes import Outcomes, example_table
from waypost.routers import ROUTERS, Router, load, save
from waypost.types import ModelCard, Prediction

Make = Callable[[], Router]

_PROMPTS = ("What is 12 plus 30?", "Tell me about the town of Elm.", "Fix the bug in the method ink.", "Olá, tudo bem?")
_TOLERANCE = 1e-5  # float32 products differ in the last digits between one row and many


def check_router(make: Make) -> list[str]:
    """Run every promise on the routers that ``make`` returns, and give the names of those that were kept.

    Raises:
        AssertionError: a promise is broken; the message says which and how.

    >>> from waypost.routers import Ridge
    >>> len(check_router(Ridge)) == len(list(promises()))
    True
    """
    kept = []
    for promise in promises():
        try:
            promise(make)
        except AssertionError as broken:
            raise AssertionError(f"{promise.__name__}: {broken}") from broken
        kept.append(promise.__name__)
    return kept


def promises() -> Iterator[Callable[[Make], None]]:
    """Every promise, in the order of this file."""
    yield from (value for name, value in globals().items() if name.startswith("promise_"))


def promise_shapes_and_ranges(make: Make) -> None:
    """A prediction has one row a prompt and one column a model; quality is 0..1, costs and spread are not negative."""
    table = _table()
    expected = make().fit(table).predict(_PROMPTS)
    _require(expected.models == table.models, f"models {expected.models} are not the table's {table.models}")
    for name, array in expected._asdict().items():
        if name != "models":
            shape = (len(_PROMPTS), len(table.models))
            _require(array.shape == shape, f"{name} has shape {array.shape}, expected {shape}")
            _require(np.isfinite(array).all(), f"{name} has a missing value though every model was measured")
            _require((array >= 0).all(), f"{name} is negative")
    _require((expected.quality_NM <= 1).all(), "quality is above 1")


def promise_fit_returns_itself(make: Make) -> None:
    """``fit`` returns the router, so that calls can be chained."""
    router = make()
    _require(router.fit(_table()) is router, "fit returned something else")


def promise_same_seed_same_answers(make: Make) -> None:
    """Two routers made and fitted alike predict alike, to the last digit."""
    _equal(make().fit(_table()).predict(_PROMPTS), make().fit(_table()).predict(_PROMPTS), 0.0)


def promise_batch_equals_one_by_one(make: Make) -> None:
    """A prompt's prediction does not depend on the others in the batch, nor on their order."""
    router = make().fit(_table())
    batch = router.predict(_PROMPTS)
    for n, prompt in enumerate(_PROMPTS):
        one = router.predict([prompt])
        _equal(one, Prediction(batch.models, *(a[n : n + 1] for a in batch[1:])), _TOLERANCE)
    _require(router.predict([]).quality_NM.shape == (0, len(batch.models)), "an empty batch must give no rows")


def promise_expecting_is_predicting_without_the_spread(make: Make) -> None:
    """A router that has ``expect`` expects there what it predicts, of one prompt and of many."""
    router = make().fit(_table())
    expect = getattr(router, "expect", None)
    if expect is None:
        return
    for prompts in (_PROMPTS, _PROMPTS[:1]):
        batch = router.predict(prompts)
        _equal(expect(prompts)._replace(spread_NM=batch.spread_NM), batch, 0.0)
    _raises(BadInput, "empty", lambda: expect([" "]))


def promise_input_is_not_mutated(make: Make) -> None:
    """Neither the table nor the list of prompts is changed, and predicting changes nothing."""
    table, prompts = _table(), list(_PROMPTS)
    before = table.fingerprint
    router = make().fit(table)
    first = router.predict(prompts)
    for _ in range(30):
        _equal(router.predict(prompts), first, 0.0)
    _require(prompts == list(_PROMPTS), "the list of prompts was changed")
    _require(Outcomes.concat([table]).fingerprint == before, "the table was changed")


def promise_many_threads_get_what_one_gets(make: Make) -> None:
    """A fitted router may be asked from many threads at once."""
    router = make().fit(_table())
    prompts = [f"{prompt} {number}" for number in range(10) for prompt in _PROMPTS]
    expected = router.predict(prompts)
    with ThreadPoolExecutor(8) as threads:
        for n, one in enumerate(threads.map(lambda prompt: router.predict([prompt]), prompts)):
            _equal(one, Prediction(expected.models, *(a[n : n + 1] for a in expected[1:])), _TOLERANCE)


def promise_saved_and_loaded_is_equal(make: Make) -> None:
    """A router of the registry predicts the same after a trip to disk (others have no way there that we know)."""
    router = make().fit(_table())
    if type(router) not in ROUTERS.values():
        return
    with tempfile.TemporaryDirectory() as folder:
        save(router, Path(folder))
        _equal(load(Path(folder)).predict(_PROMPTS), router.predict(_PROMPTS), 0.0)


def promise_clear_errors(make: Make) -> None:
    """Predicting before fit, an empty prompt and an unknown model are errors with a sentence."""
    _raises(NotFitted, "not fitted", lambda: make().predict(_PROMPTS))
    router = make().fit(_table())
    _raises(BadInput, "empty", lambda: router.predict(["Hello", " "]))
    cards = {name: ModelCard(name) for name in router.models}
    expected = router.predict(_PROMPTS[:1])
    wrong = Objective(allowed=(router.models[0] + "x",))
    _raises(UnknownModel, router.models[0], lambda: wrong.choose(expected, cards))


def promise_another_model_changes_no_other(make: Make) -> None:
    """Adding a model at the end leaves the other predictions as they were (routers with independent heads)."""
    router = make()
    if not getattr(router, "independent_heads", True):
        return
    table = _table()
    few, all_ = make().fit(table.only(table.models[:2])).predict(_PROMPTS), router.fit(table).predict(_PROMPTS)
    _equal(Prediction(few.models, *(a[:, :2] for a in all_[1:])), few, _TOLERANCE)


def promise_row_order_changes_nothing(make: Make) -> None:
    """A permutation of the training rows changes no prediction."""
    table = _table()
    # Qualities between 0 and 1, all different: no row can stand for another by chance.
    table = replace(table, quality_NM=np.random.default_rng(2).uniform(0, 1, table.quality_NM.shape))
    expected = make().fit(table).predict(_PROMPTS)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(table))
        _equal(make().fit(table.select(order)).predict(_PROMPTS), expected, _TOLERANCE)
    _equal(make().fit(table.select(np.arange(len(table))[::-1])).predict(_PROMPTS), expected, _TOLERANCE)


def promise_missing_cells_are_not_zeros(make: Make) -> None:
    """A model that was measured on half of the prompts, with quality 1, is not expected to be worse than elsewhere."""
    table = _table()
    quality_NM = np.array(table.quality_NM)
    quality_NM[:, 0] = 1
    full = replace(table, quality_NM=quality_NM.copy())
    quality_NM[::2, 0] = np.nan
    half = replace(table, quality_NM=quality_NM)
    gap = make().fit(full).predict(_PROMPTS).quality_NM[:, 0] - make().fit(half).predict(_PROMPTS).quality_NM[:, 0]
    _require((gap < 0.1).all(), f"missing cells pulled the expected quality down by {gap.max():.2f}")


def promise_two_models_or_two_hundred(make: Make) -> None:
    """Any number of models from two on."""
    _sound(make().fit(_table().only(_table().models[:2])), "two models")
    few = example_table(60, seed=5)
    many = tuple(f"{name}-{copy}" for copy in range(67) for name in few.models)[:200]
    quality_NM, usd_NM, seconds_NM = (
        np.tile(array, 67)[:, :200] for array in (few.quality_NM, few.usd_NM, few.seconds_NM)
    )
    wide = replace(few, models=many, quality_NM=quality_NM, usd_NM=usd_NM, seconds_NM=seconds_NM)
    _sound(make().fit(wide), "two hundred models")


def promise_a_model_with_five_rows(make: Make) -> None:
    """A model that was measured five times is predicted like any other, and its five rows do not shout."""
    table = _table()
    quality_NM = np.array(table.quality_NM)
    quality_NM[5:, 1] = np.nan
    expected = _sound(make().fit(replace(table, quality_NM=quality_NM)), "a model with five rows")
    _require(np.isfinite(expected.quality_NM[:, 1]).all(), "nothing is expected of a model with five rows")


def promise_equal_scores(make: Make) -> None:
    """Where every model always did the same, that is what is expected, and of all models alike."""
    table = _table()
    for score in (0.0, 1.0):
        equal = replace(table, quality_NM=np.full(table.quality_NM.shape, score))
        expected = _sound(make().fit(equal), f"scores that are all {score:g}")
        # What looks at nothing, or at prices, need not know the scores either.
        if not {getattr(make(), "looks_at", "")} & {"nothing", "prices"}:
            worst = float(np.abs(expected.quality_NM - score).max())
            _require(worst < 0.35, f"all scores are {score:g}, yet it is {worst:.2f} off")


def promise_one_group(make: Make) -> None:
    """A table whose rows have one group, or none, is enough."""
    for group in ("", "all"):
        _sound(make().fit(replace(_table(), groups=(group,) * len(_table()))), "one group")


def promise_any_text(make: Make) -> None:
    """Other scripts, symbols, half a surrogate pair and 100,000 characters are predicted, and in reasonable time."""
    router = make().fit(_table())
    texts = (
        "日本の首都はどこですか",
        "ما هي عاصمة فرنسا؟",
        "🙂🙃",
        "?",
        "\ud83d",
        "a" * 100_000,
        "2 + 2 = 5, " * 9_000,
    )
    expected = router.predict(texts)
    _require(all(np.isfinite(array).all() for array in expected[1:]), "a prediction for unusual text is not a number")


def promise_contradictory_labels(make: Make) -> None:
    """Rows of one prompt that say the contrary of each other are averaged, not followed."""
    table = _table()
    both = Outcomes.concat(
        [table, replace(table, quality_NM=1 - table.quality_NM, ids=tuple(f"{i}-not" for i in table.ids))]
    )
    _sound(make().fit(both), "labels that contradict")


def _sound(router: Router, table: str) -> Prediction:
    """What a router predicts, which must be in range whatever it was fitted on."""
    expected = router.predict(_PROMPTS)
    _require(
        all(np.isfinite(array).all() for array in expected[1:]), f"fitted on {table}, a prediction is not a number"
    )
    inside = ((expected.quality_NM >= 0) & (expected.quality_NM <= 1)).all() and (expected.spread_NM >= 0).all()
    _require(inside, f"fitted on {table}, quality or spread is out of range")
    return expected


def _require(kept: object, broken: str) -> None:
    # Not an assert statement: the promises must hold under `python -O` too.
    if not kept:
        raise AssertionError(broken)


def _table() -> Outcomes:
    return example_table(240, seed=5)


def _equal(one: Prediction, other: Prediction, tolerance: float) -> None:
    _require(one.models == other.models, f"models differ: {one.models} and {other.models}")
    for name, a, b in zip(one._fields[1:], one[1:], other[1:], strict=True):
        close = np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        _require(close, f"{name} differs by up to {np.nanmax(np.abs(a - b)):.3g}")


def _raises(kind: type[Exception], word: str, call: Callable[[], object]) -> None:
    try:
        call()
    except kind as error:
        _require(word in str(error), f"the message of {kind.__name__} does not say {word!r}: {error}")
    else:
        raise AssertionError(f"expected {kind.__name__}, nothing was raised")


__all__ = ["check_router", "promises"]
