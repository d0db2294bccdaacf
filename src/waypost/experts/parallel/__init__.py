"""Experts spread over processes: each process holds some of them, and tokens travel to those that they chose.

::

    wire.py       rows and counts from each process to each, with a limit of time
    exchange.py   Exchange: a dispatcher that sends tokens straight to the process of their expert
    two_level.py  TwoLevel: first to the machine, then to the process on it
    shard.py      a process's part of the experts, the whole of it for a file, and gradients across processes

In each process, with its own tokens:

>>> import torch
>>> from torch import distributed
>>> from waypost.experts import FeedForward, MoE, TopK
>>> distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
>>> rank, world = distributed.get_rank(), distributed.get_world_size()
>>> experts = Shard(FeedForward(8, hidden=16, experts=4), rank, world)
>>> layer = MoE(TopK(8, experts=4), experts, dispatcher=Exchange(None, experts=4, timeout_seconds=30))
>>> layer(torch.ones(3, 8)).y.sum().backward()
>>> average_gradients(layer)
>>> distributed.destroy_process_group()

Start every process with the same seed, or load the same weights, so that what all of them have is the same.  Counts
travel as CPU tensors: with tokens on GPUs the backend is "cpu:gloo,cuda:nccl".  All tests are on CPUs, over gloo.
"""

from __future__ import annotations

from waypost.experts.parallel.exchange import Exchange as Exchange
from waypost.experts.parallel.shard import Shard as Shard
from waypost.experts.parallel.shard import average_gradients as average_gradients
from waypost.experts.parallel.shard import whole as whole
from waypost.experts.parallel.two_level import Levels as Levels
from waypost.experts.parallel.two_level import TwoLevel as TwoLevel
from waypost.experts.parallel.two_level import levels as levels
from waypost.experts.parallel.wire import Traffic as Traffic
