"""What was delivered where: one small JSON file a destination, written before and after everything that is sent."""

import json
import os
from pathlib import Path
from typing import Any

from pipelines.errors import KpiError


class Memory:
    """A dict that is on disk as soon as `save` returns; a killed process leaves the old one or the new one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.content: dict[str, Any] = {}
        try:
            self.content = json.loads(file.read_text(encoding="utf-8"))
            readable = isinstance(self.content, dict)
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            readable = False
        if not readable:
            raise KpiError(
                f"{file} cannot be read, so that nobody knows what was delivered.",
                "Bring it back from a backup; or delete it: what was posted before is then posted again.",
            )

    def save(self) -> None:
        """Write the whole of it, in place of what was there."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(self.content, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
