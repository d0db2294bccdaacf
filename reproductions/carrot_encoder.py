"""CARROT's encoder form: what predicting costs brings on RouterBench, and a prompt's estimate whatever its batch.

Claim: On RouterBench, CARROT with an encoder is only marginally better than the same router that is not aware of how
costs depend on the prompt.

Paper: Somerstep et al. 2025, arXiv 2502.03261; figures of RouterBench, without intervals.

Tested: The encoder form, carrot_encoder: sigmoids and cost heads on a static encoder.  On RouterBench's rows of
ARC-Challenge, MBPP and Winogrande (11 models), each by itself and all together: AIQ of carrot_encoder less that of the
same expected qualities with each model's mean cost.  Marginal means that the whole interval lies within 0.02, two
answers in a hundred; wholly outside speaks against the claim; the margin is that of the kNN form's script, set before
any run.  Beside it, not part of the claim: how far a prompt's estimates move between being asked alone and beside
prompts of other lengths, which the public code's missing attention mask lets them do.

Not tested: RoBERTa, fine-tuned; SPROUT, whose rows are not at hand, and so the share of GPT-4o's cost at its quality;
the regression of output tokens.  Questions on which some model was not measured are left out.
"""

from __future__ import annotations

import numpy as np
from carrot import UNAWARE, Found, curves
from claims import Finding, Options, run
from routerbench import limited, tables, verdict

from waypost.routers import make

ROUTER = "carrot_encoder"
ASKED = 200  # prompts that are asked alone and together


def moved(options: Options) -> float:
    """The most that a quality differs between a prompt that is asked alone and one among many."""
    *_, (_, table) = tables(options.folder("routerbench"))
    train, test = table.split(seed=0)
    router = make(ROUTER).fit(train)
    asked = test.prompts[:ASKED]
    together_NM = router.predict(asked).quality_NM
    alone_NM = np.vstack([router.predict([prompt]).quality_NM for prompt in asked])
    return float(np.abs(together_NM - alone_NM).max())


def measure(options: Options) -> Finding:
    """Curves of AIQ, then batches."""
    import torch

    torch.set_num_threads(1)
    found = Found({}, {}, {}, {})
    curves(options, found, carrots=(ROUTER,), beside=("carrot_knn",))
    within = list(found.sides.values())
    most = moved(options)
    shown = ", ".join(
        f"{name.split(':')[0]} {value:+.3f} ({found.bounds[name][0]:+.3f} to {found.bounds[name][1]:+.3f})"
        for name, value in found.values.items()
    )
    note = (
        f"Gained in AIQ over {ROUTER} {UNAWARE}: marginal in {within.count(True)} of {len(within)} tables, not in "
        f"{within.count(False)}: {shown}; a prompt's expected quality moves by {most:.0e} at most with its batch."
    )
    values = {**found.values, "most that a batch moves a quality": most}
    return Finding(
        values, verdict(within), note, found.baselines, found.bounds, list(range(2 if options.quick else 10))
    )


if __name__ == "__main__":
    run(__doc__, limited(measure), system="CARROT, encoder form", routers=(ROUTER,))
