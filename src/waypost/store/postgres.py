"""The URL of a Postgres, read without connecting to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waypost.errors import BadConfig, NotInstalled

if TYPE_CHECKING:
    from sqlalchemy import URL

_POSTGRES = ("postgresql://", "postgres://")
UNREADABLE = (
    "the store's URL cannot be read; write postgresql://user:password@host:port/database, and a character of the "
    "password that has a meaning in URLs as its %-code (@ is %40)"
)


def postgres_url(text: str) -> URL:
    """A URL for SQLAlchemy, with nothing connected; errors never show what was given, which may hold a password.

    Raises:
        BadConfig: it is no URL of a Postgres, or has options that its driver does not know.
        NotInstalled: the driver is missing.
    """
    if not text.startswith(_POSTGRES):
        raise BadConfig(
            f"a store is a file or a URL that begins with postgresql://, got one that begins with "
            f"{text.partition('://')[0]}://"
        )
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:  # the package, or the library of Postgres that it loads
        raise NotInstalled("a store in Postgres needs its driver; pip install 'waypost[postgres]'") from None
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url("postgresql+psycopg://" + text.partition("://")[2])
        conninfo_to_dict(url.set(drivername="postgresql").render_as_string(hide_password=False))
    except (ArgumentError, ValueError, ProgrammingError):
        raise BadConfig(UNREADABLE) from None
    return url
