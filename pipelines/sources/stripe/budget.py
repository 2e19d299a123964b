"""How many requests a second are sent."""

import threading
import time
from collections.abc import Callable


class Budget:
    """Lets requests through one after another at a steady rate; any thread may ask."""

    def __init__(
        self,
        a_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / a_second
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Wait for this request's turn."""
        with self._lock:
            turn = max(self._next, self._clock())
            self._next = turn + self._gap
        wait = turn - self._clock()
        if wait > 0:
            self._sleep(wait)
