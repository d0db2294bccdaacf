"""Pickles that pandas really wrote (``pickles/make.py``), and pickles that want more than to be read."""

import builtins
import os
import pickle
import pickletools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadTable
from waypost.outcomes import readers
from waypost.outcomes.readers import _frames, _pickle

WRITTEN = sorted((Path(__file__).parent / "pickles").glob("*.pkl"))
FRAMES = [path for path in WRITTEN if path.name.startswith("frame")]
LIMIT = 1 << 20


@pytest.fixture
def load(tmp_path):
    def read(data, limit=LIMIT):
        path = tmp_path / "some.pkl"
        path.write_bytes(data)
        return _pickle.load(path, limit)

    return read


class Calls:
    """Unpickled freely, this would call a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.stem)
def test_frames_of_every_protocol_and_of_old_and_new_pandas_are_read(path):
    columns = _frames.columns(_pickle.load(path, LIMIT))
    assert columns["sample_id"] == ["mmlu.1", "mmlu.2"]
    assert columns["prompt"] == ["['What is 2+2?']", "['Name a colour', 'and €']"]
    assert columns["small"] == [0.0, None] and columns["large|total_cost"] == [0.001, 0.002]
    assert columns["small|model_response"] == ["five", None]
    assert columns["tokens"] == [7, 8] and columns["seen"] == [True, False]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -5,
        1 << 80,
        -(1 << 1023),
        1.5,
        "text €",
        b"bytes",
        [1, [2]],
        (1, 2, 3, 4),
        {"a": {1: b""}},
        {1, 2},
        frozenset("a"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back_as_it_was(load, value, protocol):
    if protocol < 4 and isinstance(value, set | frozenset):
        with pytest.raises(BadTable, match="which is no part of a plain table"):
            load(pickle.dumps(value, protocol))
    else:
        assert load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, r"(posix|nt)\.system"),
        (eval, r"builtins\.eval"),
        (getattr, r"builtins\.getattr"),
        (builtins.__import__, r"builtins\.__import__"),
        (open, r"(io|_io)\.open"),
    ],
    ids=["system", "eval", "getattr", "import", "open"],
)
def test_what_would_run_is_refused_by_name_and_not_run(load, tmp_path, function, name, protocol):
    trap = tmp_path / "trap"
    data = pickle.dumps(Calls(function, f"touch {trap}", "w"), protocol)
    with pytest.raises(BadTable, match=rf"asks for '{name}', which is no part of a plain table; nothing of it was run"):
        load(data)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"(S'ls'\nios\nsystem\n.", "uses INST"),
        (b"(cnumpy\ndtype\nS'f8'\no.", "uses OBJ"),
        (b"\x82\x01.", "uses EXT1"),
        (b"Pname\n.", "uses PERSID"),
        (b"Nq\x00Q.", "uses BINPERSID"),
        (b"cnumpy\ndtype\n)}\x92.", "uses NEWOBJ_EX"),
        (b"\x80\x05\x97.", "uses NEXT_BUFFER"),
        (b"]}b.", "adds to a value that takes nothing"),
        (b"cnumpy\ndtype\n}b.", "adds to a value that takes nothing"),
        (b"cnumpy\ntesting.run_module_suite\n)R.", "asks for 'numpy.testing.run_module_suite'"),
        (b"c__builtin__\nobject.__subclasses__\n)R.", "asks for 'builtins.object.__subclasses__'"),
        (b"K\x01)R.", "calls what is no name"),
        (b"cnumpy\ndtype\nK\x01R.", "calls what is no name"),
        (b"K\x01K\x02\x93.", "imports a name that is no text"),
        (b"c_codecs\nencode\nVbase64\nVrot13\n\x86R.", "encodes something other than bytes"),
        (b"c_codecs\nencode\nV\\u20ac\nVlatin1\n\x86R.", "writes bytes as text that is none"),
        (b"h\x05.", "recalls value 5, which it never kept"),
        (b"a.", "empty stack"),
        (b".", "empty stack"),
        (b"t.", "closes a mark"),
        (b"}))s.", "a key that is neither text nor a number"),
        (b"}\x8a\x09" + b"\1" * 9 + b"Ns.", "a key of more than 64 bits"),
        (b"\x8f(\x8a\x09" + b"\1" * 9 + b"\x90.", "a key of more than 64 bits"),
        (b"\x8a\x82" + b"\1" * 130 + b".", "an integer of more than 1,024 bits"),
        (b"I" + b"9" * 400 + b"\n.", "an integer of more than 1,024 bits"),
        (b"I" + b"9" * 5000 + b"\n.", "no whole pickle"),
        (b"Np2305843009213693951\n.", "keeps a value under the number 2305843009213693951"),
        (b"}(K\x01u.", "a key without a value"),
        (b"(K\x01d.", "a key without a value"),
        (b"(" * 70 + b".", "more than 64 marks"),
        (b"N\x85" + b"\x85" * 70 + b".", "nested more than 64 deep"),
        (b"]q\x00h\x00a.", "contains itself"),
        (b"\xff.", "no whole pickle"),
        (b"I12x\n.", "no whole pickle"),
        (b"\x8e" + b"\xff" * 8 + b".", "no whole pickle"),
        (b"\x8b\xff\xff\xff\xff.", "no whole pickle"),
    ],
)
def test_each_way_beyond_plain_data_is_refused_with_a_sentence(load, data, sentence):
    with pytest.raises(BadTable, match=sentence):
        load(data)


def test_a_bomb_of_shared_parts_is_refused_by_its_size_counted_out(load):
    doubled = b"N\x85" + b"2\x86" * 60  # a tuple of the same tuple twice, sixty times
    with pytest.raises(BadTable, match="once shared parts are counted out"):
        load(doubled[:2] + b"2\x86" * 30 + b".")
    with pytest.raises(BadTable):
        load(doubled + b".")


MEGABYTE = b"X" + (1 << 20).to_bytes(4, "little") + b"a" * (1 << 20)


@pytest.mark.parametrize(
    "data",
    [
        b"c_codecs\nencode\nq\x00" + MEGABYTE + b"Vlatin1\n\x86q\x01" + b"h\x00h\x01R" * 150,
        b"\x8f" * 500_000,
        b"N" + b"\x94" * 2_000_000,
    ],
    ids=["bytes made of one text", "sets", "memo"],
)
def test_a_program_that_makes_far_more_than_its_size_is_refused(load, data):
    with pytest.raises(BadTable, match="makes far more than its size allows"):
        load(data + b".", 1 << 25)


@pytest.mark.parametrize(
    "data",
    [
        MEGABYTE + b"q\x00" + b"](" + b"h\x00" * 150 + b"e",
        MEGABYTE + b"q\x00" + b"\x8f(h\x00\x90q\x01](" + b"h\x01" * 150 + b"e",
        MEGABYTE + b"q\x00" + b"}h\x00Nsq\x01](" + b"h\x01" * 150 + b"e",
        b"B" + MEGABYTE[1:] + b"q\x00" + b"](" + b"h\x00" * 4 + b"e",
    ],
    ids=["text", "set", "key", "array"],
)
def test_one_part_recalled_often_is_counted_as_often(load, data):
    with pytest.raises(BadTable, match="once shared parts are counted out"):
        load(data + b".", 1 << 25)


@pytest.mark.parametrize("protocol", range(6))
def test_what_pickle_writes_of_small_values_has_room(load, monkeypatch, protocol):
    monkeypatch.setattr(_pickle, "_FREE", 0)
    values = [[f"{n}", (n, n), {f"k{n}": [n / 7]}, n % 2 == 0, None, b"%d" % n] for n in range(3000)]
    assert load(pickle.dumps(values, protocol)) == values


def test_a_bomb_cannot_be_a_key(load):
    with pytest.raises(BadTable, match="neither text nor a number"):
        load(b"}N\x85" + b"2\x86" * 40 + b"Ns.")


def test_steps_are_bounded(load, monkeypatch):
    monkeypatch.setattr(_pickle, "MOST_STEPS", 100)
    with pytest.raises(BadTable, match="more than 100 steps"):
        load(b"N0" * 60 + b".")


def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "stranger.pkl"
    with path.open("wb") as file:
        file.truncate(5 * 10**9)  # takes no space on the disk
    with pytest.raises(BadTable, match=r"5,000,000,000 bytes and the limit .* --max-bytes 5000000000"):
        _pickle.load(path, 4 << 30)


def test_an_empty_file_is_said_to_be_empty(load):
    with pytest.raises(BadTable, match="is empty"):
        load(b"")


@pytest.mark.parametrize("path", [FRAMES[0], FRAMES[-1]], ids=lambda path: path.stem)
def test_a_file_cut_anywhere_is_no_whole_pickle(load, path):
    data = path.read_bytes()
    for end in range(1, len(data), 7):
        with pytest.raises(BadTable):
            load(data[:end])


def test_every_opcode_is_known_or_refused():
    refused = {opcode.name for opcode in pickletools.opcodes} - set(_pickle._STEPS)
    assert refused == {
        *("STOP", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
        *("NEXT_BUFFER", "READONLY_BUFFER"),
    }


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.pkl"
    path.write_bytes(data)
    try:
        _pickle.load(path, LIMIT)
    except BadTable as error:
        assert str(path) in str(error)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(WRITTEN), st.data())
def test_a_damaged_file_is_a_table_or_refused(tmp_path_factory, whole, data):
    damaged = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(bytes(damaged))
    try:
        (table,) = readers.read("routerbench" if whole in FRAMES else "routereval", [path])
    except BadTable:
        return
    assert len(table) and all(isinstance(prompt, str) for prompt in table.prompts)
