"""The macros of protection as text for either warehouse, and GoogleSQL run by Google's own reference implementation."""

import ast
import ctypes
import re
from typing import Any
from unittest.mock import patch

import jinja2

from pipelines.privacy.reference import Rounding
from pipelines.warehouse import PROJECT_ROOT

ROUNDING = Rounding()


class Dialect:
    """The macros of macros/protection.sql for one warehouse, callable by name with texts of SQL."""

    def __init__(self, target: str, rounding: Rounding = ROUNDING) -> None:
        text = (PROJECT_ROOT / "macros" / "protection.sql").read_text(encoding="utf-8")
        # dbt's return() gives a value that is no text; of these macros, parameters and cells are not asked for here.
        text = re.sub(
            r"\{%-?\s*macro privacy_parameters\(\).*?endmacro\s*-?%\}", "", text, count=1, flags=re.DOTALL
        )
        buckets = r"\{%-?\s*macro failing_buckets\(\).*?return\((\{.*?\})\).*?endmacro\s*-?%\}"
        found = re.search(buckets, text, flags=re.DOTALL)
        assert found is not None
        failing = ast.literal_eval(found[1])
        text = text.replace(found[0], "")
        text = re.sub(r"\{\{-?\s*return\((.*?)\)\s*-?\}\}", r"{{ \1 }}", text, flags=re.DOTALL)
        environment = jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False)
        environment.globals["privacy_parameters"] = lambda: {
            "threshold": rounding.threshold,
            "base": rounding.base,
        }
        environment.globals["failing_buckets"] = lambda: failing
        adapter = _Adapter(target)
        environment.globals["adapter"] = adapter
        self.module: Any = environment.from_string(text).module
        adapter.module = self.module

    def __getattr__(self, macro: str) -> Any:
        found = getattr(self.module, macro)
        return lambda *arguments: str(found(*arguments)).strip()


class _Adapter:
    """What dbt calls to find the macro of the warehouse at hand."""

    module: Any = None

    def __init__(self, target: str) -> None:
        self.target = target

    def dispatch(self, macro: str, project: str) -> Any:
        own = getattr(self.module, f"{self.target}__{macro}", None)
        return own or getattr(self.module, f"default__{macro}")


def googlesql(query: str) -> list[list[int | None]]:
    """Run a query of whole numbers with Google's reference implementation: an engine that shares nothing with DuckDB."""
    import wasmtime
    import zetasql.core.wasm_client as wasm_client

    class CachedConfig(wasmtime.Config):
        """Compiled once a machine, not once a process."""

        def __init__(self) -> None:
            super().__init__()
            self.cache = True

    class BlockwiseClient(wasm_client.WasmClient):  # type: ignore[misc]
        """Memory copied in blocks, not byte by byte."""

        def write_bytes(self, pointer: int, data: bytes) -> None:
            ctypes.memmove(ctypes.addressof(self.memory.data_ptr().contents) + pointer, data, len(data))

        def read_bytes(self, pointer: int, size: int) -> bytes:
            return ctypes.string_at(ctypes.addressof(self.memory.data_ptr().contents) + pointer, size)

    with (
        patch.object(wasm_client, "Config", CachedConfig),
        patch.object(wasm_client, "WasmClient", BlockwiseClient),
    ):
        from zetasql.api import CatalogBuilder, PreparedQuery
        from zetasql.types import AnalyzerOptions, LanguageOptions, ZetaSQLBuiltinFunctionOptions

        language = LanguageOptions.maximum_features()
        functions = ZetaSQLBuiltinFunctionOptions(language_options=language)
        catalog = CatalogBuilder("catalog").with_builtin_functions(functions).build()
        options = AnalyzerOptions(language_options=language)
        prepared = (
            PreparedQuery.builder()
            .set_sql(query)
            .set_analyzer_options(options)
            .set_catalog(catalog)
            .prepare()
        )
        with prepared as ready:
            rows = ready.execute().content.table_data.row
    return [[cell.int64_value for cell in row.cell] for row in rows]
