"""Pilots: the mean vectors of the queries of a domain that one expert did best on.

Shape suffixes: N queries, M experts, G domains, P pilots, S sets, D features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from waypost.types import Floats


def pilots(
    vectors_ND: Floats, weight_N: Floats, domain_N: NDArray[np.intp], best_N: NDArray[np.intp], *, models: int,
    least: float,
) -> tuple[Floats, NDArray[np.intp], Floats]:  # fmt: skip
    """Pilots (P, D), whose they are (P,), and each query's similarity to them (N, P).

    A query is left out of its own pilot; where it is the only one, the similarity is unknown (NaN).  Pilots of less
    than the share ``least`` of their domain's queries are left out.
    """
    pairs_P, pilot_N = np.unique(domain_N * models + best_N, return_inverse=True)
    pilots_PD, total_P = centers(vectors_ND, weight_N, pilot_N, len(pairs_P))
    similarity_NP, rows = vectors_ND @ pilots_PD.T, np.arange(len(vectors_ND))
    rest_N = total_P[pilot_N] - weight_N
    own_N = similarity_NP[rows, pilot_N] * total_P[pilot_N] - weight_N * np.square(vectors_ND).sum(axis=1)
    alone_N = rest_N <= 1e-9 * total_P[pilot_N]
    similarity_NP[rows, pilot_N] = np.where(alone_N, np.nan, own_N / np.where(alone_N, 1, rest_N))
    kept_P = total_P >= least * np.bincount(domain_N, weight_N)[pairs_P // models]
    # Of many experts none may reach the share: then those of each domain's largest set stay.
    for domain in np.unique(domain_N):
        own_P = np.flatnonzero(pairs_P // models == domain)
        if not kept_P[own_P].any():
            kept_P[own_P[total_P[own_P].argmax()]] = True
    return pilots_PD[kept_P], pairs_P[kept_P] % models, similarity_NP[:, kept_P]


def centers(vectors_ND: Floats, weight_N: Floats, set_N: NDArray[np.intp], sets: int) -> tuple[Floats, Floats]:
    """The weighted mean vector of each set (S, D), and its weight (S,)."""
    total_S = np.bincount(set_N, weight_N, sets).astype(np.float64)
    sums_SD = np.zeros((sets, vectors_ND.shape[1]))
    np.add.at(sums_SD, set_N, vectors_ND * weight_N[:, None])
    return sums_SD / np.maximum(total_S, 1e-12)[:, None], total_S


def best_of(quality_NM: Floats, usual_NM: Floats) -> NDArray[np.intp]:
    """The best expert of each row; what was not measured is as usual, and of equals the usually better one is taken."""
    filled_NM = np.where(np.isnan(quality_NM), usual_NM, quality_NM)
    first_NM = filled_NM >= filled_NM.max(axis=1, keepdims=True) - 1e-12
    return np.asarray(np.where(first_NM, usual_NM, -np.inf).argmax(axis=1))


def by_expert(similarity_NP: Floats, owner_P: NDArray[np.intp], models: int, rule: str) -> Floats:
    """Similarity to each expert's nearest pilot, or to its pilots on average (N, M); NaN of one that has none."""
    found_NM = np.full((len(similarity_NP), models), np.nan)
    for column in np.unique(owner_P):
        own_Np = similarity_NP[:, owner_P == column]
        known_Np = ~np.isnan(own_Np)
        if rule == "nearest":
            value_N = np.where(known_Np, own_Np, -np.inf).max(axis=1)
        else:
            value_N = np.where(known_Np, own_Np, 0).sum(axis=1) / np.maximum(known_Np.sum(axis=1), 1)
        found_NM[:, column] = np.where(known_Np.any(axis=1), value_N, np.nan)
    return found_NM


def errors(residual_NM: Floats, domain_N: NDArray[np.intp], domains: int) -> Floats:
    """How far off the expected quality of a domain and expert is, (G, M): the mean error, and what that may miss."""
    known_NM = ~np.isnan(residual_NM)
    some_NM = np.where(known_NM, residual_NM, 0)
    count_GM, sum_GM, squares_GM = np.zeros((3, domains, residual_NM.shape[1]))
    for total_GM, part_NM in ((count_GM, known_NM), (sum_GM, some_NM), (squares_GM, np.square(some_NM))):
        np.add.at(total_GM, domain_N, part_NM)
    # One further row that is off by a half: what was hardly measured is not known to be exact.
    return np.asarray(np.sqrt(np.square(sum_GM) + squares_GM + 0.25) / (count_GM + 1))
