import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.errors import BadTable
from waypost.outcomes.readers._frames import array, columns, is_frame, plain
from waypost.outcomes.readers._pickle import Made


def dtype(code, order="<"):
    made = Made("numpy.dtype", (code, False, True))
    made.state = (3, order, None, None, None, -1, -1, 0)
    return made


def buffer(data, code, shape, order="C", byte_order="<"):
    return Made("numpy._core.numeric._frombuffer", (data, dtype(code, byte_order), shape, order))


def rebuilt(data, code, shape, by_columns=False):
    made = Made("numpy.core.multiarray._reconstruct", ())
    made.state = (1, shape, dtype(code), by_columns, data)
    return made


def test_numbers_are_read_in_either_order_of_bytes_and_of_axes():
    grid = np.array([[1.5, 2.5, 3.5], [4.5, 5.5, 6.5]])
    np.testing.assert_array_equal(array(buffer(grid.tobytes(), "f8", (2, 3))), grid)
    np.testing.assert_array_equal(array(buffer(grid.astype(">f8").tobytes(), "f8", (2, 3), byte_order=">")), grid)
    np.testing.assert_array_equal(array(rebuilt(grid.tobytes("F"), "f8", (2, 3), by_columns=True)), grid)


def test_text_and_objects_are_read():
    assert array(buffer(np.array(["a", "é"]).tobytes(), "U1", (2,))).tolist() == ["a", "é"]
    assert array(rebuilt(["a", None, [1]], "O8", (3,))).tolist() == ["a", None, [1]]


def test_an_array_of_nothing_is_read():
    assert array(buffer(b"", "f8", (0, 4))).shape == (0, 4)


def test_scalars_are_read():
    made = Made("numpy.core.multiarray.scalar", (dtype("f8"), np.float64(2.5).tobytes()))
    assert plain(made) == 2.5
    assert plain("as it is") == "as it is"


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (buffer(b"\0" * 8, "M8[ns]", (1,)), r"type 'M8\[ns\]'"),
        (buffer(b"\0" * 16, "c16", (1,)), "type 'c16'"),
        (buffer(b"\0" * 8, "f8", (2,)), "do not fill it"),
        (buffer(b"\0" * 9, "f8", (1,)), "do not fill it"),
        (buffer(b"\0" * 8, "O8", (1,)), "do not fill it"),
        (buffer(["x"], "f8", (1,)), "do not fill it"),
        (buffer(b"", "f8", (0, 1 << 60)), "of shape"),
        (buffer(b"", "f8", (-1,)), "of shape"),
        (buffer(b"\0" * 8, "f8", (1, 1, 1)), "one and two dimensions"),
        (buffer(b"\0" * 8, "f8", [1]), "of shape"),
        (buffer(b"\0" * 8, "f8", ()), r"of shape \(\)"),
        (buffer(b"\0" * 8, "f8", (True, 1)), r"of shape \(True, 1\)"),
        (buffer(b"", "f8", (1 << 25, 0)), "of shape"),
        (buffer(b"", "U0", (1, 1 << 25)), "type 'U0'"),
        (buffer(None, "f8", (1,)), "do not fill it"),
        (buffer(b"\0" * 8, "f8", (1,), order="K"), "of shape"),
        (buffer(b"\xff\xff\xff\x7f", "U1", (1,)), "no character"),
        (Made("numpy._core.numeric._frombuffer", (b"",)), "other than 4 facts"),
        (Made("numpy.core.multiarray._reconstruct", ()), "other than 5 facts"),
        (Made("builtins.slice", (0, 1, 1)), "where an array should stand"),
        ("text", "where an array should stand"),
    ],
)
def test_an_array_that_is_none_is_refused(node, sentence):
    with pytest.raises(BadTable, match=sentence):
        array(node)


def frame(blocks, names, name="pandas.DataFrame"):
    index = Made("pandas.core.indexes.base._new_Index", (None, {"data": rebuilt(names, "O8", (len(names),))}))
    manager = Made("pandas.core.internals.managers.BlockManager", (tuple(blocks), [index, None]))
    made = Made(name, ())
    made.state = {"_mgr": manager}
    return made


def block(values, where):
    return Made("pandas._libs.internals._unpickle_block", (values, where, 2))


def places(*numbers):
    return buffer(np.array(numbers, dtype="i8").tobytes(), "i8", (len(numbers),))


def test_columns_stand_at_their_places():
    found = columns(
        frame(
            [
                block(rebuilt(["x", "y"], "O8", (1, 2)), Made("builtins.slice", (1, 2, 1))),
                block(buffer(np.array([[1.0, np.nan], [3.0, 4.0]]).tobytes(), "f8", (2, 2)), places(2, 0)),
            ],
            ["a", "b", "c"],
        )
    )
    assert found == {"a": [3.0, 4.0], "b": ["x", "y"], "c": [1.0, None]}


def test_a_cell_of_texts_is_joined_and_any_other_object_refused():
    assert columns(frame([block(rebuilt([("a", "b")], "O8", (1, 1)), places(0))], ["x"])) == {"x": ["a\nb"]}
    with pytest.raises(BadTable, match="neither a number nor a text: dict"):
        columns(frame([block(rebuilt([{}], "O8", (1, 1)), places(0))], ["x"]))


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (frame([], ["a"]), "names 1 columns and holds 0"),
        (frame([block(rebuilt(["x"], "O8", (1, 1)), places(5))], ["a"]), "does not name"),
        (frame([block(rebuilt(["x"], "O8", (1, 1)), Made("builtins.slice", (0, 1 << 40, 1)))], ["a"]), "does not name"),
        (frame([block(rebuilt(["x"], "O8", (1, 1)), Made("builtins.slice", (0, 1, 0)))], ["a"]), "does not name"),
        (frame([block(rebuilt(["x", "y"], "O8", (2, 1)), places(0))], ["a"]), "2 columns for 1 places"),
        (frame([Made("builtins.slice", (0, 1, 1))], ["a"]), "that pandas did not write"),
        (frame([block(rebuilt(["x"], "O8", (1, 1)), Made("builtins.slice", (-1, 0, 1)))], ["a"]), "does not name"),
        (frame([block(rebuilt(["x"], "O8", (1, 1)), buffer(b"\0", "b1", (1,)))], ["a"]), "does not name"),
        (frame([block(rebuilt(["x", "y"], "O8", (2, 1)), places(0, 0))], ["a"]), "two columns at one place"),
        (frame([block(rebuilt(["x"], "O8", (1, 1)), places(0))] * 2, ["a"]), "two columns at one place"),
        (frame([block(rebuilt(["x", "y"], "O8", (2, 1)), places(0, 1))], ["a", "a"]), "names a column twice: 'a'"),
        (frame([], [7]), "columns without names"),
        (Made("pandas.DataFrame", ()), "no data frame"),
        ({"a": 1}, "no data frame"),
    ],
)
def test_a_frame_that_is_none_is_refused(node, sentence):
    with pytest.raises(BadTable, match=sentence):
        columns(node)


def test_frames_are_told_from_other_data():
    assert is_frame(frame([], ["a"], "pandas.core.frame.DataFrame")) and not is_frame({"a": 1})


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=16),
    st.just(dtype("f8")),
    st.just(buffer(b"\0" * 8, "i8", (1,))),
)
ODD = st.one_of(ODD, st.lists(ODD, max_size=3), st.lists(ODD, max_size=4).map(tuple), st.dictionaries(st.text(), ODD))
CODES = st.sampled_from(["f8", "i1", "b1", "O8", "U0", "U1", "M8[ns]"])
NODES = st.one_of(
    ODD,
    st.builds(buffer, ODD, CODES, ODD),
    st.builds(rebuilt, ODD, CODES, ODD, st.booleans()),
    st.builds(lambda *bounds: Made("builtins.slice", bounds), ODD, ODD, ODD),
    st.lists(st.one_of(st.just("x"), ODD), max_size=3).map(lambda cells: rebuilt(cells, "O8", (1, len(cells)))),
    st.tuples(st.sampled_from(["numpy.core.multiarray.scalar", "pandas.Index"]), st.lists(ODD).map(tuple)).map(
        lambda made: Made(*made)
    ),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(NODES, st.one_of(st.just(places(0)), st.just(places(1)), NODES)), max_size=3), NODES)
def test_any_nodes_are_columns_of_plain_cells_or_refused(blocks, names):
    for node in (frame([block(*facts) for facts in blocks], ["a", "b"]), names):
        try:
            found = columns(node)
        except BadTable:
            continue
        assert all(cell is None or isinstance(cell, str | int | float) for cells in found.values() for cell in cells)
