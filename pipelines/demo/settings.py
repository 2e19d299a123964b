"""The made-up company's own settings, while nothing of the user's is seen."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import CustomLoaderDocProvider
from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from pipelines.warehouse import PROJECT_ROOT, environment

# How dlt works, not what it works on.
_KEPT = {"runtime", "load", "normalize"}


@contextmanager
def only(sources: dict[str, dict[str, str]]) -> Iterator[None]:
    """Let dlt's configuration be these settings of the sources and nothing else, for a while.

    The user's environment, config.toml and secrets.toml, keys included, say nothing meanwhile, and a proxy
    in the environment is not asked for loopback addresses.
    """
    document: dict[str, Any] = {**_how_dlt_works(), "sources": sources}
    context = Container()[PluggableRunContext]
    before = context.providers
    context.providers = ConfigProvidersContainer([CustomLoaderDocProvider("demo", lambda: document)])
    try:
        with environment(NO_PROXY="127.0.0.1", no_proxy="127.0.0.1"):
            yield
    finally:
        context.providers = before


def _how_dlt_works() -> dict[str, Any]:
    path = PROJECT_ROOT / ".dlt" / "config.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in content.items() if name in _KEPT}
