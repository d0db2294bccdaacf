import pytest

from waypost.errors import BadRequest
from waypost.gateway.cache.control import Control, control


def test_a_request_that_says_nothing_is_answered_from_the_cache_and_fills_it():
    assert control([(b"host", b"x"), (b"cache-control", b"no-transform")]) == Control(read=True, write=True)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (b"cache-control", b"no-store", Control(read=False, write=False)),
        (b"cache-control", b"No-Cache", Control(read=False)),
        (b"cache-control", b"max-age=60, no-transform", Control(max_age=60)),
        (b"cache-control", b"only-if-cached", Control(only=True)),
        (b"x-waypost-cache", b"off", Control(read=False, write=False)),
        (b"x-waypost-cache", b"Refresh", Control(read=False)),
        (b"x-waypost-cache", b"only", Control(only=True)),
    ],
)
def test_what_a_request_may_say(name, value, said):
    assert control([(name, value)]) == said


def test_our_header_has_the_last_word():
    both = [(b"cache-control", b"no-store"), (b"x-waypost-cache", b"on")]
    assert control(both) == control(both[::-1]) == Control()


def test_what_comes_in_two_lines_is_one_list():
    lines = [(b"cache-control", b"no-store"), (b"cache-control", b"no-transform")]
    assert control(lines) == control(lines[::-1]) == Control(read=False, write=False)


def test_a_word_that_means_nothing_is_refused_with_the_nearest():
    with pytest.raises(BadRequest, match=r"one of on, off, refresh, only; got 'refrsh'. Did you mean 'refresh'"):
        control([(b"x-waypost-cache", b"refrsh")])
