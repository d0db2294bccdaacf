"""Products in C give what single rows give, are built where they run, and are done without where they cannot be."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from waypost.experts import NONE, FeedForward, MoE, SwiGLU, TopK, native
from waypost.experts.grouped import Groups, grouped_linear

#: Sizes around those of tiles and lines, and loads of none, of few rows and of more than a tile.
SIZES = st.sampled_from([1, 2, 5, 6, 7, 8, 15, 16, 17, 31, 32, 33, 40, 70])
LOADS = st.lists(st.sampled_from([0, 0, 1, 2, 3, 5, 6, 7, 12, 13, 16, 17, 33]), min_size=1, max_size=7)


COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler here: torch's products are used")


@pytest.fixture(autouse=True)
def built() -> None:
    assert native.library() is not None


@pytest.fixture
def fresh() -> Iterator[None]:
    """Looked for anew within a test, and after it."""
    native.library.cache_clear()
    yield
    native.library.cache_clear()


@settings(deadline=None)
@given(load=LOADS, inner=SIZES, outer=SIZES, short=st.booleans(), threads=st.sampled_from([1, 2, 3]))
def test_products_are_those_of_single_experts(
    load: list[int], inner: int, outer: int, short: bool, threads: int
) -> None:
    torch.manual_seed(0)
    weight_EIO = torch.randn(len(load), inner, outer).to(torch.bfloat16 if short else torch.float32)
    _like_single_experts(load, weight_EIO, torch.float32, threads)


def _paired() -> bool:
    return COMPILER is not None and native.pairs(torch.ones(1, 2, 2).bfloat16())


@pytest.mark.skipif(not _paired(), reason="the processor or the compiler does not multiply pairs of bfloat16")
@settings(deadline=None)
@given(load=LOADS, inner=SIZES, outer=SIZES, threads=st.sampled_from([1, 2, 3]))
def test_pairs_of_short_numbers_give_the_same(load: list[int], inner: int, outer: int, threads: int) -> None:
    torch.manual_seed(0)
    _like_single_experts(load, torch.randn(len(load), 2 * inner, 2 * outer).bfloat16(), torch.bfloat16, threads)


def _like_single_experts(load: list[int], weight_EIO: Tensor, dtype: torch.dtype, threads: int) -> None:
    """All three products with rows of a type, beside those of each expert in float64."""
    _, inner, outer = weight_EIO.shape
    rows_AI, grad_AO = torch.randn(sum(load), inner).to(dtype), torch.randn(sum(load), outer).to(dtype)
    ends_E = torch.tensor(load).cumsum(0, dtype=torch.int32)
    grad_EIO = torch.full_like(weight_EIO, 7.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "_threads", lambda work: threads)
        out_AO = native.products(rows_AI, weight_EIO, ends_E)
        back_AI = native.products(grad_AO, weight_EIO.mT, ends_E)
        native.outer(rows_AI, grad_AO, grad_EIO, ends_E)
    near = {torch.float32: 1e-5, torch.bfloat16: 0.01}  # by what a number is rounded to in the end
    exact_EIO = weight_EIO.double()
    for expert, (rows, grad) in enumerate(zip(rows_AI.double().split(load), grad_AO.double().split(load), strict=True)):
        mine = slice(sum(load[:expert]), sum(load[: expert + 1]))
        _near(out_AO[mine], rows @ exact_EIO[expert], near[out_AO.dtype])
        _near(back_AI[mine], grad @ exact_EIO[expert].T, near[back_AI.dtype])
        if load[expert]:
            _near(grad_EIO[expert], rows.T @ grad, near[grad_EIO.dtype])
        else:
            assert (grad_EIO[expert] == 7).all()  # not touched


def test_pairs_are_of_even_sizes_only() -> None:
    assert not native.pairs(torch.ones(2, 3, 4).bfloat16())
    assert not native.pairs(torch.ones(2, 4, 4))  # nor of longer numbers


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("beside", [0, 8])
def test_gradients_that_no_cache_holds_are_the_same_wherever_they_lie(dtype: torch.dtype, beside: int) -> None:
    torch.manual_seed(0)
    load, inner, outer = [3, 17, 0, 1], 1030, 1056
    left_AI, right_AO = torch.randn(sum(load), inner).to(dtype), torch.randn(sum(load), outer).to(dtype)
    memory = torch.full((4 * inner * outer + beside,), 7.0, dtype=dtype)
    grad_EIO = memory[beside:].view(4, inner, outer)
    assert grad_EIO.nbytes > 8 * 2**20
    if dtype == torch.bfloat16 and not native.pairs(grad_EIO):
        left_AI, right_AO = left_AI.float(), right_AO.float()
    native.outer(left_AI, right_AO, grad_EIO, torch.tensor(load).cumsum(0, dtype=torch.int32))
    for expert, (left, right) in enumerate(
        zip(left_AI.double().split(load), right_AO.double().split(load), strict=True)
    ):
        right_IO = left.T @ right if load[expert] else torch.full((inner, outer), 7.0).double()
        _near(grad_EIO[expert], right_IO, 0.01 if dtype == torch.bfloat16 else 1e-5)


def _near(found: Tensor, right: Tensor, within: float = 1e-5) -> None:
    torch.testing.assert_close(found.double(), right, rtol=within, atol=within)


def test_rounding_to_bfloat16_is_that_of_torch() -> None:
    torch.manual_seed(0)
    right_AO = torch.cat(
        [torch.randn(1, 4000), torch.tensor([[1.00390625, 1.01171875, 3.4e38, torch.nan, torch.inf]])], 1
    )
    grad_EIO = torch.empty(1, 1, right_AO.shape[1], dtype=torch.bfloat16)
    native.outer(torch.ones(1, 1), right_AO, grad_EIO, torch.ones(1, dtype=torch.int32))
    torch.testing.assert_close(grad_EIO.view(1, -1), right_AO.bfloat16(), rtol=0, atol=0, equal_nan=True)


def test_numbers_that_are_none_stay_so() -> None:
    rows_AI = torch.tensor([[1.0, torch.nan], [1.0, 1.0]])
    out_AO = native.products(rows_AI, torch.ones(1, 2, 3), torch.tensor([2], dtype=torch.int32))
    assert out_AO[0].isnan().all() and (out_AO[1] == 2).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_gives_the_same_without(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, x_TD = MoE(TopK(16, 8, 2), FeedForward(16, 24, 8).to(dtype)), torch.randn(40, 16).to(dtype)

    def all_of_it() -> list[Tensor]:
        layer.zero_grad()
        x = x_TD.clone().requires_grad_()
        y = layer(x).y
        y.square().sum().backward()
        assert x.grad is not None
        return [y.detach(), x.grad, *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]

    with_c = all_of_it()
    monkeypatch.setattr(native, "library", lambda: None)
    near = 1e-5 if dtype == torch.float32 else 0.02
    for mine, others in zip(with_c, all_of_it(), strict=True):
        torch.testing.assert_close(mine, others, rtol=near, atol=near)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("made", [FeedForward, SwiGLU])
@pytest.mark.parametrize(("tokens", "k"), [(1, 1), (1, 2), (4, 2), (2, 4)])
def test_a_few_tokens_get_without_sorting_what_they_get_with(
    tokens: int,
    k: int,
    made: type[FeedForward | SwiGLU],
    dtype: torch.dtype,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(native, "_threads", lambda work: threads)
    experts = made(21, 43, 5).to(dtype)
    layer, x_TD = MoE(TopK(21, 5, k), experts, always=nn.Linear(21, 21).to(dtype)), torch.randn(tokens, 21).to(dtype)
    sorted_TD, routing = layer(x_TD)
    with torch.no_grad():
        assert layer.experts.few(x_TD, routing) is not None
        torch.testing.assert_close(layer(x_TD).y, sorted_TD, rtol=1e-4, atol=0.03 if dtype == torch.bfloat16 else 1e-5)
        gone = routing._replace(experts_TK=torch.full_like(routing.experts_TK, NONE))
        assert not experts.few(x_TD, gone).any()


def test_the_short_way_is_not_taken_where_it_would_be_another() -> None:
    class Twice(FeedForward):
        def forward(self, rows_AD: Tensor, groups: Groups, shared_AR: Tensor | None = None) -> Tensor:
            return 2 * super().forward(rows_AD, groups)

    torch.manual_seed(0)
    x_TD, plain, seen = torch.randn(1, 8), FeedForward(8, 16, 4), []
    twice = Twice(8, 16, 4)
    twice.load_state_dict(plain.state_dict())
    layer = MoE(TopK(8, 4), plain)
    with torch.no_grad():
        y_TD = layer(x_TD).y
        torch.testing.assert_close(MoE(layer.router, twice)(x_TD).y, 2 * y_TD)
        plain.register_forward_hook(lambda *_: seen.append(True))
        torch.testing.assert_close(layer(x_TD).y, y_TD)
    assert seen  # hooks are called


def test_rows_that_do_not_fit_are_refused_before_memory_is_touched() -> None:
    with pytest.raises(ValueError, match=r"rows have shape \(3, 4\).*want 2 groups and shape \(5, 4\)"):
        grouped_linear(torch.ones(3, 4), torch.ones(2, 4, 4), Groups.of(torch.tensor([2, 3])))
    with pytest.raises(ValueError, match="weights of 1 experts"):
        grouped_linear(torch.ones(5, 4), torch.ones(1, 4, 4), Groups.of(torch.tensor([2, 3])))


def test_it_can_be_switched_off(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYPOST_NATIVE", "0")
    assert native.library() is None and not native.can(torch.ones(1, 2, 2))
    out_AO = grouped_linear(torch.ones(1, 2), torch.ones(1, 2, 2), Groups.of(torch.tensor([1])))
    assert out_AO.tolist() == [[2.0, 2.0]]


def test_on_other_processors_it_waits_to_be_asked(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.platform, "machine", lambda: "riscv64")
    assert native.library() is None
    native.library.cache_clear()
    monkeypatch.setenv("WAYPOST_NATIVE", "1")
    assert native.library() is not None


@pytest.mark.parametrize(
    ("compiler", "why"), [("no-such-compiler", "No such file"), ("false", "could not build the products")]
)
def test_without_a_compiler_the_log_says_so(
    compiler: str,
    why: str,
    fresh: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    caplog.set_level(logging.INFO)
    assert native.library() is None
    assert why in caplog.text


def test_what_somebody_else_has_put_there_is_not_loaded(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    caplog.set_level(logging.INFO)
    mine = os.getuid()
    monkeypatch.setattr(native.os, "getuid", lambda: mine + 1)
    assert native.library() is None
    assert "belongs to somebody else" in caplog.text


def test_a_compiler_that_knows_little_will_do(fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = tmp_path / "plain-cc"
    plain.write_text(
        f'#!/bin/sh\nfor option; do case "$option" in -fopenmp|-m*=native) exit 1;; esac; done\nexec {COMPILER} "$@"\n'
    )
    plain.chmod(0o755)
    monkeypatch.setenv("CC", str(plain))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert native.library() is not None
    test_numbers_that_are_none_stay_so()


def test_it_is_built_once_for_all_processes(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    code = "from waypost.experts import native; print(native.library() is not None)"
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [one.communicate()[0].strip() for one in both] == ["True", "True"]
    (kept,) = (tmp_path / "waypost" / "native").iterdir()
    written = kept.stat().st_mtime_ns
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert kept.stat().st_mtime_ns == written
