"""Which field of an event line means what: presets, and the user's own changes to them."""

import tomllib
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from pipelines.errors import SettingError

Path = tuple[str, ...]
"""Names from the top of an event down to a value."""

REQUIRED = ("event_id", "event_key", "occurred_at")
METADATA_FIELDS = ("session_id", "status", "error_code")
FIELDS = (
    *REQUIRED,
    "service_key",
    "user_id",
    "received_at",
    "is_test",
    "metadata",
    *METADATA_FIELDS,
    # Free text: known, so that it is not counted as an unknown field, but never stored.
    "event_name",
)
REMEDY = 'Correct [sources.events.mapping] in .dlt/config.toml: field = "path" or field = ["path", "path"].'


@dataclass(frozen=True)
class Mapping:
    """The paths of each field, in the order in which they are tried."""

    paths: Dictionary[str, tuple[Path, ...]]

    def of(self, field: str) -> tuple[Path, ...]:
        """Give the paths of a field; none where it is not mapped."""
        return self.paths.get(field, ())

    @cached_property
    def known(self) -> Dictionary[Path, frozenset[str]]:
        """Tell the names that mean something, for each object on the way to a mapped value, the top one first."""
        known: dict[Path, set[str]] = {(): set()}
        for paths in self.paths.values():
            for path in paths:
                for depth, name in enumerate(path):
                    known.setdefault(path[:depth], set()).add(name)
        # The metadata object may hold nothing that is mapped, and is an object all the same.
        for path in self.of("metadata"):
            known.setdefault(path, set())
        return {container: frozenset(names) for container, names in sorted(known.items())}

    @cached_property
    def heads(self) -> frozenset[str]:
        """Tell the top-level names under which an object is expected."""
        return frozenset(container[0] for container in self.known if container)


def preset_names() -> list[str]:
    """List the presets that the package brings."""
    return sorted(_presets())


def read_mapping(preset: str, changes: Dictionary[str, Any]) -> Mapping:
    """Make the mapping of a preset with single fields changed; a blank path takes a field out.

    Raises SettingError naming an unknown preset, an unknown field, a bad path or a required field left out.
    """
    presets = _presets()
    if preset not in presets:
        raise SettingError(
            f"SOURCES__EVENTS__PRESET is '{preset}'.", f"Set it to one of: {', '.join(sorted(presets))}."
        )
    unknown = sorted(set(changes) - set(FIELDS))
    if unknown:
        raise SettingError(
            f"The event mapping names '{unknown[0]}', which is no field of an event.",
            f"Use: {', '.join(FIELDS)}. {REMEDY}",
        )
    paths = {field: _paths(field, value) for field, value in (presets[preset] | dict(changes)).items()}
    missing = [field for field in REQUIRED if not paths.get(field)]
    if missing:
        raise SettingError(f"The event mapping gives no path for {missing[0]}.", REMEDY)
    for field in METADATA_FIELDS:
        inside = tuple((*path, field) for path in paths.get("metadata", ()))
        paths.setdefault(field, (*inside, (field,)))
    return Mapping({field: found for field, found in paths.items() if found})


def _presets() -> dict[str, dict[str, Any]]:
    return tomllib.loads(resources.files(__package__).joinpath("presets.toml").read_text(encoding="utf-8"))


def _paths(field: str, value: object) -> tuple[Path, ...]:
    if value is None or value == "":
        return ()
    texts = list(value) if isinstance(value, list | tuple) else [value]
    for text in texts:
        if not isinstance(text, str) or not all(text.split(".")) or '"' in text or "\\" in text:
            raise SettingError(f"The event mapping has no usable path for {field}.", REMEDY)
    return tuple(tuple(text.split(".")) for text in texts)
