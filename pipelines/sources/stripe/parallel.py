"""Work on several threads, its results in the caller's own."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

RESULTS_A_THREAD = 2


@dataclass(frozen=True)
class Share(Generic[Task]):
    """How a task can hand a part of its work to threads that have nothing to do."""

    hand_over: Callable[[Task], None]
    is_wanted: Callable[[], bool]


Work = Callable[[Task, Share[Task]], Iterator[Result]]


def in_parallel(tasks: Iterable[Task], work: Work[Task, Result], threads: int) -> Iterator[Result]:
    """Yield what `work` yields for each task, in no order, a few results ahead of the caller at most.

    The first error of a task ends everything and is raised here.
    """
    crew: _Crew[Task, Result] = _Crew(tasks, work, threads)
    try:
        yield from crew.results()
    finally:
        crew.stop()


class _Crew(Generic[Task, Result]):
    def __init__(self, tasks: Iterable[Task], work: Work[Task, Result], threads: int) -> None:
        self._work = work
        self._waiting = deque(tasks)
        self._changed = threading.Condition()
        self._busy = 0
        self._stopped = False
        self._out: queue.Queue[tuple[str, object]] = queue.Queue(threads * RESULTS_A_THREAD)
        # Daemons: a request under way does not hold up the end of the program.
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def results(self) -> Iterator[Result]:
        for thread in self._threads:
            thread.start()
        at_work = len(self._threads)
        while at_work:
            kind, value = self._out.get()
            if kind == "result":
                yield value  # type: ignore[misc]
            elif kind == "error":
                raise value  # type: ignore[misc]
            else:
                at_work -= 1

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while (task := self._next()) is not None:
                try:
                    for result in self._work(task, Share(self._hand_over, self._is_wanted)):
                        if not self._put("result", result):
                            return
                finally:
                    with self._changed:
                        self._busy -= 1
                        self._changed.notify_all()
        except BaseException as error:
            self._put("error", error)
        self._put("end", None)

    def _next(self) -> Task | None:
        with self._changed:
            while not self._stopped:
                if self._waiting:
                    self._busy += 1
                    return self._waiting.popleft()
                if self._busy == 0:
                    break
                self._changed.wait()
            return None

    def _hand_over(self, task: Task) -> None:
        with self._changed:
            self._waiting.append(task)
            self._changed.notify()

    def _is_wanted(self) -> bool:
        with self._changed:
            return len(self._threads) - self._busy > len(self._waiting)

    def _put(self, kind: str, value: object) -> bool:
        while not self._stopped:
            try:
                self._out.put((kind, value), timeout=0.2)
            except queue.Full:
                continue
            return True
        return False
