"""Time as the source sees it, so that tests need not wait."""

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the instant and waits."""

    def now(self) -> dt.datetime:
        """The instant it is, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        """The instant it is, in UTC."""
        return dt.datetime.now(dt.UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
