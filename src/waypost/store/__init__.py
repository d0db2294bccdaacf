"""What outlives the process: decisions and feedback, callers' keys, in SQLite or Postgres."""

from waypost.store.decisions import Attempt, Decided, Feedback
from waypost.store.writer import Writer

__all__ = ["Attempt", "Decided", "Feedback", "Writer"]
