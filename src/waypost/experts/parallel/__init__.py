"""Experts spread over processes: each process holds some of them, and tokens travel to those that they chose.

::

    wire.py       rows and counts from each process to each, with a limit of time
    exchange.py   Exchange: a dispatcher that sends tokens straight to the process of their expert
    two_level.py  TwoLevel: first to the machine, then to the process on it
    shard.py      a process's part of the experts, the whole of it for a file, and gradients across processes
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
