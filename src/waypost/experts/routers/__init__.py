"""Routers of tokens, one algorithm a file; this list is the only registry.

Each takes the width of tokens, the number of experts and k first, and its own settings after them.
"""

from __future__ import annotations

import re

from waypost.experts.routers.attention import Attention as Attention
from waypost.experts.routers.autonomy import Autonomy as Autonomy
from waypost.experts.routers.bilevel import Bilevel as Bilevel
from waypost.experts.routers.expert_choice import ExpertChoice as ExpertChoice
from waypost.experts.routers.hash import Hash as Hash
from waypost.experts.routers.hyper import Hyper as Hyper
from waypost.experts.routers.locality import Locality as Locality
from waypost.experts.routers.loss_free import LossFree as LossFree
from waypost.experts.routers.random_fixed import RandomFixed as RandomFixed
from waypost.experts.routers.sinkhorn_expert import SinkhornExpert as SinkhornExpert
from waypost.experts.routers.sinkhorn_token import SinkhornToken as SinkhornToken
from waypost.experts.routers.soft import Soft as Soft
from waypost.experts.routers.sparse_transport import SparseTransport as SparseTransport
from waypost.experts.routers.stable import Stable as Stable
from waypost.experts.routers.switch import Switch as Switch
from waypost.experts.routers.switch_mixture import SwitchMixture as SwitchMixture
from waypost.experts.routers.token_choice import TokenChoice as TokenChoice
from waypost.experts.routers.top_k import TopK as TopK
from waypost.experts.routers.vector_quantised import VectorQuantised as VectorQuantised

#: Every router by its name.
ROUTERS: dict[str, type] = {
    re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower(): made
    for name, made in dict(globals()).items()
    if isinstance(made, type)
}
