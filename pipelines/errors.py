"""The one kind of error that people are meant to read."""

from collections.abc import Iterator


class KpiError(Exception):
    """Something failed that a person can mend: what happened, and what to do about it.

    Neither part may hold a secret, a raw identifier or a line of somebody's data.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  -> {self.remedy}"


class SettingError(KpiError):
    """A setting is missing or has a value that cannot be used (wrong usage: exit code 2)."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from, outermost first."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def readable(error: BaseException) -> KpiError | None:
    """Find the readable error inside the wrappers that dlt puts around a failing step."""
    return next((cause for cause in causes(error) if isinstance(cause, KpiError)), None)
