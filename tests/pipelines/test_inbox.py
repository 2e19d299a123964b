"""The inbox keeps whole lines once, in their order, whatever comes between."""

import datetime as dt
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.inbox import KEPT_DAYS, Inbox

PARTS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 4)),
    st.tuples(st.just("seal"), st.just(0)),
    st.tuples(st.just("torn"), st.integers(0, 200_000)),
)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(st.lists(PARTS, max_size=12))
def test_every_line_that_was_taken_is_in_one_sealed_file_in_its_order(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inbox = Inbox(Path(folder) / "inbox")
        taken: list[bytes] = []
        sealed: dict[str, bytes] = {}
        for step, size in steps:
            if step == "append":
                lines = [b'{"line": %d}\n' % (len(taken) + n) for n in range(size)]
                inbox.append("metric_values", lines)
                taken += lines
            elif step == "torn" and inbox.is_used("metric_values"):
                # What a writer leaves that is killed in the middle of a line.
                with (inbox.files_folder("metric_values") / ".open").open("ab") as file:
                    file.write(b"x" * size)
            else:
                inbox.seal("metric_values")
            files = {
                path.name: path.read_bytes() for path in inbox.files_folder("metric_values").glob("[!.]*")
            }
            assert files.items() >= sealed.items()
            sealed = files
        content = b"".join(path.read_bytes() for path in inbox.seal("metric_values"))
        assert content == b"".join(taken)


def test_only_files_that_were_loaded_and_are_old_are_removed(tmp_path: Path) -> None:
    inbox, now = Inbox(tmp_path), dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    names = []
    for age in (KEPT_DAYS + 1, KEPT_DAYS + 1, KEPT_DAYS - 1):
        inbox.append("events", [b"{}\n"])
        path = inbox.seal("events")[-1]
        then = (now - dt.timedelta(days=age)).timestamp()
        os.utime(path, (then, then))
        names.append(path.name)
    inbox.prune("events", {names[0], names[2]}, now)
    assert [path.name for path in inbox.seal("events")] == names[1:]


def test_nobody_else_may_read_what_was_handed_over(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    inbox.append("events", [b"{}\n"])
    [path] = inbox.seal("events")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
