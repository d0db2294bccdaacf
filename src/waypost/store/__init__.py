"""What outlives the process: decisions and feedback, in SQLite."""

from waypost.store.decisions import Attempt, Decided, Feedback
from waypost.store.writer import Writer

__all__ = ["Attempt", "Decided", "Feedback", "Writer"]
