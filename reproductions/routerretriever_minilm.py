"""RouterRetriever on a stronger base encoder: what routerretriever.py tests, with MiniLM and fewer queries.

Claim: Routing each query to one of several domain-specific embedding experts, by the nearest pilot embedding, retrieves
better than one general encoder and better than one encoder trained on all domains together; and an expert can be added
without training.

Paper: Lee et al. 2025 (AAAI), arXiv 2409.02685: +2.1 nDCG@10 points over a model trained on MSMARCO, +3.2 over
multi-task training, on BEIR; no intervals.

Tested: As in routerretriever.py, with all-MiniLM-L6-v2 as the base encoder and the router's own, and at most 480
queries a domain.  The margins are the same.

Not tested: Contriever, LoRA inside of its layers, BEIR, and domains that no expert was trained on.
"""

from __future__ import annotations

from claims import Finding, Options, run
from routerbench import limited
from routerretriever import measure

from waypost.encoders.minilm import MiniLM


def on_minilm(options: Options) -> Finding:
    """The same measurement."""
    return measure(options, MiniLM(), most=480)


if __name__ == "__main__":
    run(__doc__, limited(on_minilm), system="RouterRetriever: MiniLM", routers=("retrieval",))
