"""What the routers in vision mixtures are given, and when the claim is said to hold."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from waypost.experts import Context


@pytest.fixture
def vision_moe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for folder in ("benchmarks", "reproductions"):
        monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / folder))
    return importlib.import_module("vision_moe")


def test_no_test_image_is_trained_on_or_tuned_on(vision_moe: ModuleType) -> None:
    pool_N, test_N = vision_moe.kept()
    assert not set(pool_N.tolist()) & set(test_N.tolist()) and len(pool_N) + len(test_N) == 1797
    for seed in range(3):
        train, test = vision_moe.drawn(seed)
        assert torch.bincount(train.digits_N).tolist() == [vision_moe.SHOTS] * 10 and len(test.digits_N) == 1000
        seen = {tuple(image.flatten().tolist()) for image in train.patches_NPV}
        assert not seen & {tuple(image.flatten().tolist()) for image in test.patches_NPV}


def test_patches_are_squares_of_two_by_two_pixels(vision_moe: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_moe, "NOISE", 0.0)
    from sklearn.datasets import load_digits

    images, _ = load_digits(return_X_y=True)
    _, test_N = vision_moe.kept()
    _, test = vision_moe.drawn(0)
    image = images[int(test_N[5])].reshape(8, 8) / 8
    for row, column in ((0, 0), (1, 3), (3, 2)):
        expected = image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten()
        assert test.patches_NPV[5, 4 * row + column].tolist() == pytest.approx(expected.tolist())


def test_no_way_computes_more_than_two_experts_a_token(vision_moe: ModuleType) -> None:
    torch.manual_seed(0)
    x_TD = torch.randn(4 * vision_moe.PATCHES, vision_moe.WIDTH)
    for made in vision_moe.ROUTERS.values():
        load_E = made().eval()(x_TD, context=Context(group=vision_moe.PATCHES)).load_E
        assert load_E.sum() <= vision_moe.K * len(x_TD)


@pytest.mark.parametrize("way", ["dense", "soft", "expert choice, sparse plan"])
def test_an_image_s_scores_do_not_depend_on_the_others(vision_moe: ModuleType, way: str) -> None:
    torch.manual_seed(0)
    network = vision_moe.Network(way).eval()
    images = torch.randn(3, vision_moe.PATCHES, 4)
    alone = torch.cat([network(image[None])[0] for image in images])
    torch.testing.assert_close(network(images)[0], alone, rtol=1e-4, atol=1e-5)


def test_the_interval_is_over_seeds_and_images(vision_moe: ModuleType) -> None:
    assert vision_moe.interval(np.ones((3, 50))) == [100.0, 100.0]
    by_seed = vision_moe.interval(np.repeat([[0.0], [1.0]], 1000, axis=1))
    assert by_seed == [0.0, 100.0]  # two seeds that disagree say nothing, however many images there are
    by_image = vision_moe.interval(np.tile(np.arange(400) % 2, (50, 1)).astype(float))
    assert by_image == pytest.approx([45, 55], abs=1)  # 1.96 · sqrt(0.25 / 400)


@pytest.mark.parametrize(
    ("bounds", "holds"),
    [([(1, 3), (2, 5)], True), ([(1, 3), (-2, 5)], None), ([(-1, 3), (-5, -2)], False), ([(0, 0), (1, 2)], None)],
)
def test_all_must_lie_above_zero(vision_moe: ModuleType, bounds: list[tuple[int, int]], holds: bool | None) -> None:
    assert vision_moe.verdict(dict(enumerate(bounds))) is holds


def test_the_claim_is_about_seven_differences(vision_moe: ModuleType) -> None:
    pairs = vision_moe.pairs()
    assert len(pairs) == 7 and {way for pair in pairs.values() for way in pair} == {*vision_moe.ROUTERS} - {
        vision_moe.DROPLESS
    }
