"""One of several processes that serve the same port."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from waypost.gateway.running.pages import Pages


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker has from its supervisor: the socket that all accept from, and the folder of their metrics."""

    listener: socket.socket
    pages: Pages
    supervisor: int

    @classmethod
    def of(cls, said: str) -> Worker:
        """From the words that a supervisor leaves: the socket's number, its own process, and the folder.

        Raises:
            ValueError: they are no such words.
        """
        number, supervisor, folder = said.split(":", 2)
        listener = socket.socket(fileno=int(number))
        listener.setblocking(False)
        return cls(listener, Pages(Path(folder), str(os.getpid())), int(supervisor))

    def orphaned(self) -> bool:
        """Whether the supervisor is gone, so that nobody would end this process."""
        return os.getppid() != self.supervisor
