"""Saved routers: plain files, clear refusals."""

import json
import re
from dataclasses import dataclass, field

import numpy as np
import pytest

from waypost.encoders import StaticEncoder
from waypost.errors import BadInput, NotFitted, NotInstalled
from waypost.outcomes import example_table
from waypost.routers import Ridge, load, make, save, storage
from waypost.routers.fingerprint import fingerprint


@pytest.fixture
def saved(tmp_path):
    save(Ridge(alpha=3.0).fit(example_table(60)), tmp_path / "router")
    return tmp_path / "router"


def test_what_is_saved_names_its_settings_and_what_it_was_trained_on(saved):
    facts = json.loads((saved / "router.json").read_text())
    assert facts["router"] == "ridge"
    assert facts["settings"] == {"alpha": 3.0, "encoder": "static-256"}
    assert facts["learned"]["trained_on"] == example_table(60).fingerprint
    assert {p.name for p in saved.iterdir()} == {"router.json", "weights.safetensors"}


@pytest.mark.parametrize(("change", "said"), [
    ({"router": "rigde"}, "Did you mean 'ridge'"), ({"format": 99}, "has format 99"),
    ({"settings": {"alhpa": 1}}, "alhpa"),
])  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(saved, change, said):
    facts = json.loads((saved / "router.json").read_text())
    (saved / "router.json").write_text(json.dumps(facts | change))
    with pytest.raises(BadInput, match=said):
        load(saved)


def test_broken_json_and_missing_files_are_sentences(saved, tmp_path):
    with pytest.raises(NotInstalled, match="waypost train"):
        load(tmp_path)
    (saved / "router.json").write_text("{")
    with pytest.raises(BadInput, match="not a saved router"):
        load(saved)


def test_an_unfitted_router_and_a_strangers_class_are_not_saved(tmp_path):
    with pytest.raises(NotFitted, match="fit"):
        save(Ridge(), tmp_path)

    class Mine(Ridge):
        pass

    with pytest.raises(BadInput, match="'Mine' is not a router of the registry"):
        save(Mine().fit(example_table(60)), tmp_path)


def test_a_mistyped_name_or_setting_is_met_with_the_nearest():
    with pytest.raises(BadInput, match="Did you mean 'ridge'"):
        make("rigde")
    with pytest.raises(BadInput, match=r"has no setting 'alhpa'; it has alpha, encoder\. Did you mean 'alpha'"):
        make("ridge", alhpa=1)


class Strange:
    """An encoder of one's own, under the name of another."""

    name, dim = "minilm", 4

    def encode(self, texts):
        return np.ones((len(texts), 4), dtype=np.float32)


class Nameless(Strange):
    name = property()


@pytest.mark.parametrize(("encoder", "told"), [(Strange(), "'minilm' (Strange)"), (Nameless(), "'Nameless'")])
def test_an_encoder_that_its_name_does_not_bring_back_is_not_saved(encoder, told, tmp_path):
    with pytest.raises(BadInput, match=re.escape(told)):
        save(Ridge(encoder=encoder).fit(example_table(60)), tmp_path / "router")
    assert not (tmp_path / "router").exists()


@dataclass
class _Part:
    alpha_K: np.ndarray = field(default_factory=lambda: np.empty(0))
    note: str = ""


@dataclass
class _Whole:
    k: int = 3
    encoder: object = field(default_factory=StaticEncoder)
    models: tuple = field(default=(), init=False)
    part: _Part = field(default_factory=_Part, init=False)
    layers: dict = field(default_factory=dict, init=False)
    inner: Ridge = field(default_factory=Ridge, init=False)


def test_parts_dicts_of_arrays_and_routers_within_routers_make_the_trip(tmp_path):
    whole = _Whole(k=5)
    whole.models, whole.part, whole.layers = (
        ("a", "b"),
        _Part(np.arange(3.0), "hi"),
        {"w0": np.eye(2), "b0": np.ones(2)},
    )
    whole.inner = Ridge(alpha=3.0).fit(example_table(60))
    storage.save(whole, tmp_path, kind="whole")
    back = storage.load(tmp_path, {"whole": _Whole})
    assert (back.k, back.models, back.part.note) == (5, ("a", "b"), "hi")
    assert (back.part.alpha_K == whole.part.alpha_K).all()
    assert set(back.layers) == {"w0", "b0"} and (back.layers["w0"] == np.eye(2)).all()
    assert (back.inner.predict(["Hi"]).quality_NM == whole.inner.predict(["Hi"]).quality_NM).all()
    assert fingerprint(back) == fingerprint(whole)
    back.part.alpha_K[0] = 9
    assert fingerprint(back) != fingerprint(whole)


def test_a_missing_array_of_a_part_is_refused(tmp_path):
    whole = _Whole()
    whole.models = ("a", "b")
    storage.save(whole, tmp_path, kind="whole")
    facts = json.loads((tmp_path / "router.json").read_text())
    del facts["learned"]["part.note"]
    (tmp_path / "router.json").write_text(json.dumps(facts))
    with pytest.raises(BadInput, match=r"part\.note"):
        storage.load(tmp_path, {"whole": _Whole})
