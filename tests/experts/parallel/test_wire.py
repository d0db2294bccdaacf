"""What travels between processes, as far as it can be told in one."""

from __future__ import annotations

import pytest

from waypost.errors import BadInput, RankMissing, WaypostError
from waypost.experts.parallel import Exchange, Traffic


def test_without_processes_it_is_said_how_to_start_them() -> None:
    with pytest.raises(BadInput, match=r"not initialised; call torch.distributed.init_process_group"):
        Exchange(None, 8)


def test_traffic_adds_up() -> None:
    assert Traffic(1, 2, 3, 4) + Traffic(10, 20, 30, 40) == Traffic(11, 22, 33, 44)


def test_a_missing_process_is_no_fault_of_the_users_input() -> None:
    assert issubclass(RankMissing, WaypostError) and not issubclass(RankMissing, BadInput)
