"""A digest as files in a folder: an HTML page that needs nothing beside it. Made again, it takes the old one's place.

DESTINATIONS__FILES__FOLDER    where they go (default: digests, beside the warehouse file)
DESTINATIONS__FILES__EXTERNAL  true: people outside the company read them, who get published figures only
"""

from pathlib import Path

from pipelines.errors import KpiError


def write(folder: Path, name: str, content: str) -> Path:
    """Write a file whole or not at all; raises KpiError where the folder cannot be written."""
    file = folder / name
    new = folder / f".{name}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new.write_text(content, encoding="utf-8")
        new.replace(file)
    except OSError as error:
        raise KpiError(
            f"{file} cannot be written ({error.strerror}).", "Check DESTINATIONS__FILES__FOLDER and the disk."
        ) from error
    return file
