"""Ready extractors: figures that public services give out by an API of their own."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from pipelines.errors import SettingError

if TYPE_CHECKING:
    from pipelines.sources.scraped.targets import Extraction


@dataclass(frozen=True)
class Endpoint:
    """An address and how the figure is read from its answer."""

    url: str
    extraction: "Extraction"
    selector: str
    is_api: bool = False


@dataclass(frozen=True)
class Service:
    """A service: its base address, how its names look, and path and JSON path of each figure."""

    base_url: str
    names: str
    example: str
    figures: dict[str, tuple[str, str]]


READY = {
    "github": Service(
        "https://api.github.com",
        r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+",
        "owner/repository",
        {
            "stars": ("/repos/{name}", "$.stargazers_count"),
            "forks": ("/repos/{name}", "$.forks_count"),
        },
    ),
    "pypi": Service(
        "https://pypistats.org/api",
        r"[A-Za-z0-9._-]+",
        "package",
        {
            "last_day": ("/packages/{name}/recent", "$.data.last_day"),
            "last_week": ("/packages/{name}/recent", "$.data.last_week"),
            "last_month": ("/packages/{name}/recent", "$.data.last_month"),
        },
    ),
    "npm": Service(
        "https://api.npmjs.org",
        r"(?:@[a-z0-9._~-]+/)?[A-Za-z0-9._~-]+",
        "package or @scope/package",
        {
            "last_day": ("/downloads/point/last-day/{name}", "$.downloads"),
            "last_week": ("/downloads/point/last-week/{name}", "$.downloads"),
            "last_month": ("/downloads/point/last-month/{name}", "$.downloads"),
        },
    ),
    "discord": Service(
        "https://discord.com/api/v10",
        r"[A-Za-z0-9-]+",
        "the code of an invite that does not expire (for widget_online: the server's id)",
        {
            "members": ("/invites/{name}?with_counts=true", "$.approximate_member_count"),
            "online": ("/invites/{name}?with_counts=true", "$.approximate_presence_count"),
            "widget_online": ("/guilds/{name}/widget.json", "$.presence_count"),
        },
    ),
}


def ready_endpoint(
    error: Callable[[str, str, str], SettingError],
    service_name: str,
    name: str,
    figure: str | None,
    base_url: str | None,
) -> Endpoint:
    """Give the address and JSON path of a service's figure."""
    service = READY[service_name]
    if not re.fullmatch(service.names, name):
        raise error(service_name, "is no name of that service", f"Write {service.example}.")
    if figure not in service.figures:
        raise error("figure", "is missing or unknown", f"Choose one of {', '.join(service.figures)}.")
    path, selector = service.figures[figure]
    base = (base_url or service.base_url).rstrip("/")
    return Endpoint(base + path.format(name=quote(name, safe="/@")), "json", selector, is_api=True)
