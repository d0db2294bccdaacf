"""Tokens to experts: mixture-of-experts layers in PyTorch, with every published router behind one interface.

A router scores tokens and gives a `Routing`; a dispatcher moves tokens; experts compute; `MoE` composes them.  Nothing
is hidden: the routing, its losses and its loads come back with the output.

::

    routing.py       Routing, Control, Context: what passes between the parts
    gate.py          what gates share: scores in float32, masks, the k best, capacity
    routers/         one algorithm a file
    dispatch.py      tokens to experts and back
    grouped.py       a linear map a group of rows, forward and backward
    feed_forward.py  experts
    autonomous.py    experts that go on from what their router has computed
    layer.py         MoE
    discrete.py      MoE beside codes that stand for tokens
    capacity.py      how small an expert's capacity may be
    cluster.py       a model of what exchanging tokens costs on a cluster
    parallel/        experts spread over processes
    losses.py        balance, importance, load, z, entropy, locality
    metrics.py       load violation, drops, entropy, co-activation, saturation, change; a picture of each in plots.py
    schedule.py      k, temperature, stages and freezing as training goes on
    checks.py        the promises that every router keeps

Needs torch: ``pip install 'waypost[experts]'``.
"""

from __future__ import annotations

from waypost.errors import NotInstalled

try:
    import torch as torch
except ImportError as error:
    raise NotInstalled("waypost.experts needs torch; pip install 'waypost[experts]'") from error

from waypost.experts.autonomous import Autonomous as Autonomous
from waypost.experts.codes import Quantised as Quantised
from waypost.experts.codes import perplexity as perplexity
from waypost.experts.discrete import DiscreteMoE as DiscreteMoE
from waypost.experts.dispatch import Mixed as Mixed
from waypost.experts.dispatch import Sorted as Sorted
from waypost.experts.feed_forward import FeedForward as FeedForward
from waypost.experts.feed_forward import Linear as Linear
from waypost.experts.feed_forward import Modules as Modules
from waypost.experts.feed_forward import SwiGLU as SwiGLU
from waypost.experts.layer import MoE as MoE
from waypost.experts.layer import Routed as Routed
from waypost.experts.routers import ROUTERS as ROUTERS
from waypost.experts.routers import Attention as Attention
from waypost.experts.routers import Autonomy as Autonomy
from waypost.experts.routers import Bilevel as Bilevel
from waypost.experts.routers import ExpertChoice as ExpertChoice
from waypost.experts.routers import Hash as Hash
from waypost.experts.routers import Hyper as Hyper
from waypost.experts.routers import Locality as Locality
from waypost.experts.routers import LossFree as LossFree
from waypost.experts.routers import RandomFixed as RandomFixed
from waypost.experts.routers import SinkhornExpert as SinkhornExpert
from waypost.experts.routers import SinkhornToken as SinkhornToken
from waypost.experts.routers import Soft as Soft
from waypost.experts.routers import SparseTransport as SparseTransport
from waypost.experts.routers import Stable as Stable
from waypost.experts.routers import Switch as Switch
from waypost.experts.routers import SwitchMixture as SwitchMixture
from waypost.experts.routers import TokenChoice as TokenChoice
from waypost.experts.routers import TopK as TopK
from waypost.experts.routers import VectorQuantised as VectorQuantised
from waypost.experts.routing import NONE as NONE
from waypost.experts.routing import Context as Context
from waypost.experts.routing import Control as Control
from waypost.experts.routing import Router as Router
from waypost.experts.routing import Routing as Routing
from waypost.experts.routing import Slots as Slots
from waypost.experts.schedule import Ramp as Ramp
from waypost.experts.schedule import Schedule as Schedule
from waypost.experts.schedule import Steps as Steps
