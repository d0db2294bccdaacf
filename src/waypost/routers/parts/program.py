"""The integer program that picks which models to keep in memory, and which of them answers each category.

With w_c the share of category c, a_cm the quality of model m in it, s_m the model's size and B the budget:

    max sum_c w_c sum_m a_cm z_cm   with   sum_m z_cm = 1,   z_cm <= y_m,   sum_m s_m y_m <= B,   y binary

This is facility location with a knapsack.  Once y is whole, so is the best z, and only y must be declared so.
Shape suffixes: C categories, M models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from waypost.errors import BadInput
from waypost.types import Floats


def best_subset(value_CM: Floats, size_M: Floats, budget: float) -> NDArray[np.bool_]:
    """Which models to keep, (M,): the optimum, proven by HiGHS; models that answer no category are left out.

    ``value_CM`` is quality times the category's share.  Some model must fit into the budget.

    Raises:
        RuntimeError: the solver found no optimum.

    >>> best_subset(np.array([[0.5, 0.1, 0.4], [0.1, 0.5, 0.4]]), np.array([1.0, 1.0, 1.0]), 2.0)
    array([ True,  True, False])
    >>> best_subset(np.array([[0.5, 0.1, 0.4], [0.1, 0.5, 0.4]]), np.array([1.0, 1.0, 1.0]), 1.0)
    array([False, False,  True])
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack, kron

    c, m = value_CM.shape
    each, zeros = csr_array(np.ones((c, 1))), csr_array((c, m))
    one_model_a_category = hstack([kron(eye_array(c), np.ones((1, m))), zeros])
    only_models_kept = hstack([eye_array(c * m), -kron(each, eye_array(m))])
    within_budget = np.concatenate([np.zeros(c * m), size_M])[None]
    found = milp(
        -np.concatenate([value_CM.ravel(), np.zeros(m)]),
        integrality=np.repeat([0, 1], [c * m, m]),
        bounds=Bounds(0, np.tile(size_M <= budget, c + 1).astype(float)),
        constraints=[
            LinearConstraint(one_model_a_category, 1, 1),
            LinearConstraint(only_models_kept, ub=0),
            LinearConstraint(within_budget, ub=budget),
        ],
        options={"mip_rel_gap": 0.0},
    )
    if found.x is None:
        raise RuntimeError(f"the program of {c} categories and {m} models was not solved: {found.message}")
    kept_M = found.x[-m:] > 0.5
    used_M = np.zeros(m, dtype=bool)
    used_M[np.where(kept_M, value_CM, -np.inf).argmax(axis=1)] = True
    return used_M


def kept_models(models: Sequence[str], value_CM: Floats, sizes: Mapping[str, float], budget: float) -> tuple[str, ...]:
    """The models of the best subset, and then of the others whatever still fits, the best overall first.

    Without ``sizes`` every model takes 1.

    Raises:
        BadInput: a model has no size, or none fits.
    """
    if sizes and (unknown := [name for name in models if name not in sizes]):
        raise BadInput(f"no size is given for {', '.join(unknown)}; give one for every model, or none at all")
    size_M = np.array([float(sizes.get(name, 1.0)) for name in models])
    if size_M.min() > budget:
        least = f"{models[int(size_M.argmin())]} takes {size_M.min():g}"
        raise BadInput(f"no model fits into a budget of {budget:g}; {least}, which is the least")
    kept_M = best_subset(value_CM, size_M, budget)
    for column in np.argsort(-value_CM.sum(axis=0), kind="stable"):
        kept_M[column] |= size_M[kept_M].sum() + size_M[column] <= budget
    return tuple(name for name, kept in zip(models, kept_M, strict=True) if kept)
