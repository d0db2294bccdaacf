"""Several processes that serve one port: started, watched, restarted when they die, and ended together.

All accept from one socket that the supervisor opened.  A process that dies takes only its own requests with it: what
waits to be accepted is accepted by the others, which a port shared by SO_REUSEPORT would lose.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from waypost.gateway.running.pages import Pages
from waypost.gateway.settings import Settings

_log = logging.getLogger(__name__)

VARIABLE = "WAYPOST_WORKER"

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 30.0
# A process that served so long did not die of its start.
_SETTLED_SECONDS = 60.0


@dataclass(slots=True)
class Supervisor:
    """Keeps ``count`` processes of ``command`` on the listener until a signal.

    ``announce`` gets the line that the first process says of itself, once all of them serve.  SIGHUP is passed on;
    SIGTERM and SIGINT end all gracefully, a second one at once, and who has not ended after ``patience`` seconds is
    killed.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    listener: socket.socket
    count: int
    announce: Callable[[str], None]
    patience: float = 50.0
    _running: dict[int, Process] = field(default_factory=dict)
    _said: dict[int, str] = field(default_factory=dict)
    _serving: set[int] = field(default_factory=set)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _code: int = 0

    def run(self) -> int:
        """Supervise until a signal; the exit code is not 0 where a process could not start at all."""
        with tempfile.TemporaryDirectory(prefix="waypost-") as folder:
            return asyncio.run(self._run(Path(folder)))

    async def _run(self, folder: Path) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        places = [asyncio.create_task(self._keep(place, folder)) for place in range(self.count)]
        await self._ending.wait()
        self._pass_on(signal.SIGTERM)
        _, late = await asyncio.wait(places, timeout=self.patience)
        if late:
            self._pass_on(signal.SIGKILL)
            await asyncio.wait(late)
        return self._code

    async def _keep(self, place: int, folder: Path) -> None:
        """Keep one process running."""
        wait = _FIRST_WAIT_SECONDS
        while not self._ending.is_set():
            began = time.monotonic()
            process = await self._start(folder)
            serves = await self._serves(place, process)
            code = await process.wait()
            self._running.pop(place, None)
            self._serving.discard(place)
            Pages.bury(folder, str(process.pid))
            if self._ending.is_set():
                return
            if not serves and place not in self._said and code >= 0:
                # It ended by itself: the reason, which it has said, is there for the next one too.
                self._code = code or 1
                self._ending.set()
                return
            if time.monotonic() - began > _SETTLED_SECONDS:
                wait = _FIRST_WAIT_SECONDS
            _log.error("worker %d ended with %d; another one starts in %g s", process.pid, code, wait)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    async def _start(self, folder: Path) -> Process:
        number = self.listener.fileno()
        said = f"{number}:{os.getpid()}:{folder}"
        environment = {**self.environment, VARIABLE: said}
        # In a session of its own: Ctrl-C goes to every process of a terminal's group, and with the supervisor's SIGTERM
        # behind it would be a worker's second signal, which ends it with its requests.
        return await asyncio.create_subprocess_exec(
            *self.command, stdout=PIPE, pass_fds=(number,), env=environment, start_new_session=True
        )

    async def _serves(self, place: int, process: Process) -> bool:
        """Wait until a process says that it serves, or ends."""
        self._running[place] = process
        if self._ending.is_set():
            process.terminate()
        assert process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
        line = await process.stdout.readline()
        if not line:
            return False
        first = len(self._said) < self.count
        self._said[place] = line.decode()
        self._serving.add(place)
        if first and len(self._said) == self.count:
            self.announce(self._said[0])
        return True

    def _end(self) -> None:
        if self._ending.is_set():
            self._pass_on(signal.SIGTERM)
        self._ending.set()

    def _pass_on(self, number: signal.Signals) -> None:
        for place, process in self._running.items():
            # Who has not said that it serves does not know the signal yet, and reads the config as it is now anyway.
            if number is not signal.SIGHUP or place in self._serving:
                with suppress(ProcessLookupError):
                    process.send_signal(number)


def divided(settings: Settings) -> str | None:
    """What to say of limits that each of several processes would keep for itself."""
    limited = settings.teams or settings.keys in ("required", "optional") or any(m.limits for m in settings.models)
    if settings.server.workers == 1 or settings.limits.redis is not None or not limited:
        return None
    return (
        f"{settings.places.get('server', settings.file)}: 'server.workers' is {settings.server.workers}, and each "
        "worker counts limits by itself; with `redis` in `limits` they count together"
    )
