"""How small an expert's capacity may be, by how many tokens are like it: bounds of LocMoE as pure functions.

For a token that points anywhere with equal chance, |cos| of the angle to a gate's direction exceeds δ with a chance p.
Of the tokens that do, an expert should see one at least, so that n experts need a capacity of 1/(n·p) or more.  Beware:

- p counts both signs of the cosine, while a gate takes only the positive one: ``signed`` halves p, which doubles it.
- Where n·p > 1 the bound is below 1 and says nothing, since an expert takes 1 token at least.
- Tokens of a trained model do not point anywhere with equal chance.

Reference: Li et al. 2024, "LocMoE: A Low-Overhead MoE for Large Language Model Training", on the lower bound.
"""

from __future__ import annotations

import math
from typing import Literal

from waypost.errors import BadInput


def chance(width: int, delta: float, *, signed: bool = False) -> float:
    """The chance that a random direction's cosine to a fixed one is at least δ by amount, or with its sign: p.

    It is 1 - I(δ²; 1/2, (D-1)/2), I being the regularised incomplete beta function.

    Raises:
        BadInput: the width is below 2, or δ not between 0 and 1.

    >>> chance(3, 0.25), chance(3, 0.25, signed=True)  # in three dimensions a cosine is even on -1 to 1
    (0.75, 0.375)
    """
    from scipy.special import betainc

    if width < 2:
        raise BadInput(f"width is {width}; a direction has 2 numbers at least")
    if not 0 <= delta <= 1:
        raise BadInput(f"delta is {delta}; it is a cosine by amount, from 0 to 1")
    # As the other tail of the mirrored function: 1 - I loses all digits where p is small.
    both = float(betainc((width - 1) / 2, 0.5, 1 - delta**2))
    return both / 2 if signed else both


def smallest_capacity(
    experts: int,
    width: int,
    delta: float,
    *,
    form: Literal["exact", "erfc", "exp"] = "exact",
    signed: bool = False,
) -> float:
    """LocMoE's lower bound on an expert's capacity, in tokens: 1/(n·p).

    "exact" has p as `chance` gives it.  "erfc" has erfc(√(δ²D/(2-δ²))) in its place, which is near: 2 % above it at
    δ = 1/√D for D = 64.  The paper puts it below; it is so for δ near 1 alone.  "exp" has exp(-δ²D/(2-δ²)), which is
    below both in three dimensions or more, and so a looser bound.

    Raises:
        BadInput: no experts, an unknown form, the width is below 2, or δ not between 0 and 1.

    >>> [round(smallest_capacity(16, 4096, 0.05, form=form), 1) for form in ("exact", "erfc", "exp")]
    [45.7, 45.8, 10.5]
    """
    if experts < 1:
        raise BadInput(f"experts is {experts}; a layer has at least 1")
    shape = math.sqrt(delta**2 * width / (2 - delta**2)) if 0 <= delta <= 1 else math.nan
    both = chance(width, delta)
    if form == "erfc":
        both = math.erfc(shape)
    elif form == "exp":
        both = math.exp(-(shape**2))
    elif form != "exact":
        raise BadInput(f"form is {form!r}; it is 'exact', 'erfc' or 'exp'")
    share = experts * (both / 2 if signed else both)
    return 1 / share if share > 0 else math.inf
