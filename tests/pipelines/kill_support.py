"""Ends a process of our own, as suddenly as kill -9 does, at the n-th step of some work that is done in it."""

import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

KILLED = -signal.SIGKILL
SECONDS = 120


Step = Callable[[], None]


def killed_in(work: Callable[[], object], arm: Callable[[Step], None], number: int, late: float = 0) -> bool:
    """Do work in a copy of this process that dies at the n-th step, or so many seconds later; False where it ended before.

    `arm` is given a function, and lets it be called just before each step. All that stays is what was written.
    """
    child = os.fork()
    if not child:
        code = 1
        try:
            steps = 0

            def step() -> None:
                nonlocal steps
                steps += 1
                if steps == number and late:
                    threading.Timer(late, os.kill, (os.getpid(), signal.SIGKILL)).start()
                elif steps == number:
                    os.kill(os.getpid(), signal.SIGKILL)

            signal.alarm(SECONDS)
            arm(step)
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, KILLED}, f"the work ended with {code}"
    return code == KILLED


def at_statements(pattern: str) -> Callable[[Step], None]:
    """Call each SQL statement of dbt in which a pattern is found a step, and the beginning and end of its transaction."""

    def arm(step: Step) -> None:
        from dbt.adapters.duckdb.environments import local

        cursors: Any = local.DuckDBCursorWrapper
        execute = cursors.execute
        is_near = False

        def watched(self: Any, sql: str, bindings: Any = None) -> Any:
            nonlocal is_near
            is_end = re.search(r"^\s*(/\*.*?\*/)?\s*(begin|commit|rollback)", sql, re.IGNORECASE | re.DOTALL)
            is_near = is_near if is_end else bool(re.search(pattern, sql))
            if is_near:
                step()
            return execute(self, sql, bindings)

        cursors.execute = watched

    return arm


def at_files_below(folder: str) -> Callable[[Step], None]:
    """Call each file a step, below a folder, that is opened for writing or gets another name."""

    def arm(step: Step) -> None:
        def heard(event: str, arguments: Any) -> None:
            if event == "open":
                path, mode, flags = arguments
                if not (set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR)):
                    return
            elif event == "os.rename":
                path = arguments[0]
            else:
                return
            if str(path).startswith(folder):
                step()

        sys.addaudithook(heard)

    return arm
