"""Puts what many requests bring into the inbox together: one write and one sync for all that wait."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from pipelines.errors import KpiError
from pipelines.inbox import Inbox, Kind
from pipelines.serve.refusals import Refusal

MOST_AT_ONCE = 500
_KINDS: tuple[Kind, ...] = ("events", "metric_values")

Waiting = tuple[Sequence[bytes], "asyncio.Future[None]"]


class Writer:
    """One task for each kind of lines, while the server runs."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._queues: dict[Kind, asyncio.Queue[Waiting]] = {kind: asyncio.Queue() for kind in _KINDS}
        self._tasks: list[asyncio.Task[None]] = []
        self.is_well = True
        """Whether the last write went well."""

    def start(self) -> None:
        """Begin to write."""
        self._tasks = [asyncio.create_task(self._work(kind)) for kind in _KINDS]

    async def stop(self) -> None:
        """End once everything that waits is written."""
        for queue in self._queues.values():
            await queue.join()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def write(self, kind: Kind, lines: Sequence[bytes]) -> None:
        """Return when the lines are on disk. Raises Refusal (503) where they could not be written; none counts then."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues[kind].put_nowait((lines, done))
        await done

    async def _work(self, kind: Kind) -> None:
        queue = self._queues[kind]
        while True:
            waiting = [await queue.get()]
            while not queue.empty() and len(waiting) < MOST_AT_ONCE:
                waiting.append(queue.get_nowait())
            refusal = await self._written(kind, [line for lines, _ in waiting for line in lines])
            for _, done in waiting:
                queue.task_done()
                if done.done():
                    continue
                if refusal is None:
                    done.set_result(None)
                else:
                    done.set_exception(refusal)

    async def _written(self, kind: Kind, lines: Sequence[bytes]) -> Refusal | None:
        try:
            await asyncio.to_thread(self._inbox.append, kind, lines)
        except (OSError, KpiError) as error:
            self.is_well = False
            why = error.strerror if isinstance(error, OSError) else "another process holds it"
            return Refusal(
                503,
                "not_written",
                f"the inbox cannot be written ({why}); nothing was taken, send it again later",
                headers={"Retry-After": "30"},
            )
        self.is_well = True
        return None
