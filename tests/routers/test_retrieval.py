"""RouterRetriever: the choice is the paper's rule, and experts come and go without training."""

from dataclasses import replace

import numpy as np
import pytest

from waypost.encoders import StaticEncoder
from waypost.errors import BadInput, NotFitted, UnknownModel
from waypost.objective import Objective
from waypost.outcomes import Outcomes, example_table
from waypost.routers import Retrieval, load, save
from waypost.types import ModelCard

NEW = ("What is 8 plus 31?", "Say hello to Oak for me.", "Fix the bug in the method sun.", "zork", "Bom dia")


def graded(n=300, seed=1):
    """A table of scores between 0 and 1, all different."""
    table = example_table(n)
    noise_NM = np.random.default_rng(seed).uniform(0, 0.5, table.quality_NM.shape)
    return replace(table, quality_NM=np.clip(table.quality_NM * 0.5 + noise_NM, 0, 1))


def pilots_by_hand(table):
    """The mean vector of the queries of each domain and best expert, as the paper's library."""
    vectors_ND, best_N = StaticEncoder().encode(table.prompts).astype(float), table.quality_NM.argmax(axis=1)
    found = {}
    for group in sorted(set(table.groups)):
        for expert in sorted(set(best_N)):
            rows = [n for n in range(len(table)) if table.groups[n] == group and best_N[n] == expert]
            if rows:
                found[group, int(expert)] = vectors_ND[rows].mean(axis=0)
    return found


@pytest.mark.parametrize("rule", ["nearest", "mean"])
def test_the_objective_of_quality_alone_chooses_by_the_papers_rule(rule):
    table = graded()
    router = Retrieval(rule, least=0.0).fit(table)
    library = pilots_by_hand(table)
    expected = []
    for vector in StaticEncoder().encode(NEW).astype(float):
        scores = [[vector @ pilot for (_, owner), pilot in library.items() if owner == m] for m in range(3)]
        expected.append(int(np.argmax([max(s) if rule == "nearest" else np.mean(s) for s in scores])))
    cards = {name: ModelCard(name) for name in table.models}
    assert Objective().choose_many(router.predict(NEW), cards).tolist() == expected


def test_a_query_does_not_vouch_for_itself():
    """Of queries that resemble nothing, the expected quality is no better than what the rule earns on new ones."""
    rng = np.random.default_rng(0)
    words = np.array(
        ["oak", "iron", "seven", "blue", "river", "moon", "glass", "north", "paper", "salt", "wolf", "tin"]
    )
    prompts = tuple(" ".join(rng.permutation(words)[:6]) for _ in range(200))
    quality_NM = rng.uniform(0, 1, (200, 4))
    table = Outcomes(tuple(map(str, range(200))), prompts, ("all",) * 200, tuple("abcd"), quality_NM, quality_NM)
    expected = Retrieval(least=0.0).fit(table).predict(prompts)
    assert abs(expected.quality_NM.max(axis=1).mean() - 0.5) < 0.1


def test_expected_qualities_are_calibrated_on_new_prompts():
    train, test = graded(600).split()
    expected = Retrieval().fit(train).predict(test.prompts)
    chosen_N, rows = expected.quality_NM.argmax(axis=1), np.arange(len(test))
    assert abs(expected.quality_NM[rows, chosen_N].mean() - test.quality_NM[rows, chosen_N].mean()) < 0.06


def test_pilots_of_a_few_odd_queries_can_be_left_out():
    table = example_table(300)
    everything, most = Retrieval(least=0.0).fit(table), Retrieval().fit(table)
    assert len(most.pilots_PD) < len(everything.pilots_PD)
    test = example_table(300, seed=9)
    rows = np.arange(len(test))
    earned = [
        test.quality_NM[rows, r.predict(test.prompts).quality_NM.argmax(axis=1)].mean() for r in (everything, most)
    ]
    assert earned[1] > earned[0] + 0.02


def test_an_expert_of_a_new_domain_is_added_from_fifty_rows_without_changing_the_others():
    table = example_table(400, seed=2)
    maths_N = np.array(table.groups) == "maths"
    router = Retrieval().fit(table.select(~maths_N).only(["tiny", "large"]))
    wider = router.with_model(ModelCard("maths-expert"), table.select(np.flatnonzero(maths_N)[:50]))
    assert wider.models == ("tiny", "large", "maths-expert")
    for old, new in zip(router.predict(NEW)[1:], wider.predict(NEW)[1:], strict=True):
        # Cost and seconds are products in float32, which some processors sum in another order for more columns.
        np.testing.assert_allclose(new[:, :2], old, rtol=1e-6)
    maths = [table.prompts[n] for n in np.flatnonzero(maths_N)[50:]]
    expected = wider.predict(maths)
    assert (expected.quality_NM.argmax(axis=1) == 2).mean() > 0.9
    others = [table.prompts[n] for n in np.flatnonzero(~maths_N)]
    assert (wider.predict(others).quality_NM.argmax(axis=1) == 2).mean() < 0.1


def test_an_expert_that_is_removed_leaves_the_others_as_they_were():
    router = Retrieval(least=0.0).fit(graded())
    less = router.without_model("maths-expert")
    assert less.models == ("tiny", "large")
    for old, new in zip(router.predict(NEW)[1:], less.predict(NEW)[1:], strict=True):
        np.testing.assert_array_equal(new, old[:, [0, 2]])


def test_adding_and_removing_is_where_it_began(tmp_path):
    table = graded()
    router = Retrieval().fit(table.only(["tiny", "large"]))
    wider = router.with_model(ModelCard("maths-expert"), table)
    save(wider, tmp_path)
    again = load(tmp_path).without_model("maths-expert")
    for old, new in zip(router.predict(NEW)[1:], again.predict(NEW)[1:], strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-6)


def test_an_expert_that_was_best_nowhere_stays_below_the_best():
    table = example_table(200)
    poor = replace(table, quality_NM=np.hstack([table.quality_NM[:, :2] * 0.3, np.full((200, 1), 0.9)]))
    expected = Retrieval().fit(poor).predict(NEW)
    assert (expected.quality_NM.argmax(axis=1) == 2).all()
    assert (expected.quality_NM[:, :2] <= 0.31).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="rule must be nearest or mean, got 'far'"):
        Retrieval(rule="far")
    with pytest.raises(ValueError, match="least must be a share"):
        Retrieval(least=2.0)
    for change in (lambda r: r.without_model("large"), lambda r: r.with_model(ModelCard("x"), example_table(20))):
        with pytest.raises(NotFitted):
            change(Retrieval())
    router = Retrieval().fit(example_table(100))
    with pytest.raises(UnknownModel, match="larg"):
        router.without_model("larg")
    with pytest.raises(BadInput, match="knows a model 'large' already"):
        router.with_model(ModelCard("large"), example_table(100))
    with pytest.raises(BadInput, match="only expert that was ever best"):
        poor = replace(example_table(100), quality_NM=np.tile([0.1, 0.2, 0.9], (100, 1)))
        Retrieval().fit(poor).without_model("large")


def test_where_all_prompts_are_alike_a_new_one_is_not_expected_to_fail_everywhere():
    table = replace(example_table(30), prompts=("What is 2 plus 3?",) * 30)
    quality_M = Retrieval().fit(table).predict(["Fix the bug in the method garden."]).quality_NM[0]
    assert quality_M.max() > 0.2
