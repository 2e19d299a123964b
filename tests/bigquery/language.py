"""What of Google's SQL engine BigQuery has switched on.

The engine knows more than BigQuery takes (filters behind aggregates, arrays by bare position, ...): only what is named
here is on. Each name is one of the engine's language features.
"""

from zetasql.wasi._pb2.zetasql.proto import options_pb2
from zetasql.wasi._pb2.zetasql.public import options_pb2 as public
from zetasql.wasi._pb2.zetasql.resolved_ast import resolved_node_kind_pb2

_TYPES = (
    *("BIGNUMERIC_TYPE", "CIVIL_TIME", "DECIMAL_ALIAS", "DISABLE_FLOAT32", "GEOGRAPHY", "INTERVAL_TYPE"),
    *("JSON_TYPE", "NUMERIC_TYPE", "PARAMETERIZED_TYPES", "RANGE_TYPE"),
)
_QUERIES = (
    *("ALLOW_DASHES_IN_TABLE_NAME", "ANALYTIC_FUNCTIONS", "ANNOTATION_FRAMEWORK", "COLLATION_SUPPORT"),
    *("FOR_SYSTEM_TIME_AS_OF", "GROUPING_BUILTIN", "GROUPING_SETS", "GROUP_BY_ALL", "GROUP_BY_ROLLUP"),
    *("GROUP_BY_STRUCT", "HAVING_IN_AGGREGATE", "IS_DISTINCT", "LIKE_ANY_SOME_ALL", "LIMIT_IN_AGGREGATE"),
    *("NULLS_FIRST_LAST_IN_ORDER_BY", "NULL_HANDLING_MODIFIER_IN_AGGREGATE"),
    *(
        "NULL_HANDLING_MODIFIER_IN_ANALYTIC",
        "ORDER_BY_IN_AGGREGATE",
        "PIVOT",
        "QUALIFY",
        "SAFE_FUNCTION_CALL",
    ),
    *("SELECT_STAR_EXCEPT_REPLACE", "TABLESAMPLE", "UNPIVOT", "WITH_ON_SUBQUERY", "WITH_RECURSIVE"),
)
_FUNCTIONS = (
    *(
        "ADDITIONAL_STRING_FUNCTIONS",
        "ALLOW_REGEXP_EXTRACT_OPTIONALS",
        "CONCAT_MIXED_TYPES",
        "DATE_ARITHMETICS",
    ),
    *("DATE_TIME_CONSTRUCTORS", "EXTENDED_DATE_TIME_SIGNATURES", "FORMAT_IN_CAST", "JSON_ARRAY_FUNCTIONS"),
    *("JSON_CONSTRUCTOR_FUNCTIONS", "JSON_LAX_VALUE_EXTRACTION_FUNCTIONS", "JSON_VALUE_EXTRACTION_FUNCTIONS"),
    *("NAMED_ARGUMENTS", "ROUND_WITH_ROUNDING_MODE", "TIME_BUCKET_FUNCTIONS", "WEEK_WITH_WEEKDAY"),
)
_STATEMENTS = (
    *(
        "ALLOW_MISSING_PATH_EXPRESSION_IN_ALTER_DDL",
        "ALTER_COLUMN_SET_DATA_TYPE",
        "ALTER_TABLE_RENAME_COLUMN",
    ),
    *("ALTER_VIEWS_ALTER_COLUMN_SET_OPTIONS", "COLUMN_DEFAULT_VALUE", "CREATE_TABLE_AS_SELECT_COLUMN_LIST"),
    *("CREATE_TABLE_CLUSTER_BY", "CREATE_TABLE_FIELD_ANNOTATIONS", "CREATE_TABLE_NOT_NULL"),
    *("CREATE_TABLE_PARTITION_BY", "CREATE_VIEWS_WITH_COLUMN_OPTIONS", "CREATE_VIEW_WITH_COLUMN_LIST"),
    *("DML_UPDATE_WITH_JOIN", "OMIT_INSERT_COLUMN_LIST", "PARAMETERS_IN_GRANTEE_LIST"),
    *("UNENFORCED_PRIMARY_KEYS",),
)
_KINDS = (
    *("QUERY", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE_SCHEMA", "CREATE_TABLE"),
    *(
        "CREATE_TABLE_AS_SELECT",
        "CREATE_VIEW",
        "DROP",
        "ALTER_TABLE",
        "ALTER_TABLE_SET_OPTIONS",
        "ALTER_VIEW",
    ),
    *("ALTER_SCHEMA", "GRANT", "REVOKE", "ASSERT", "BEGIN", "COMMIT", "ROLLBACK"),
)
"""The kinds of statements, of those that BigQuery has, which a warehouse like ours may come to need."""


def bigquery() -> options_pb2.LanguageOptionsProto:
    """GoogleSQL as BigQuery speaks it."""
    options = options_pb2.LanguageOptionsProto(
        name_resolution_mode=public.NAME_RESOLUTION_DEFAULT, product_mode=public.PRODUCT_EXTERNAL
    )
    features = public.LanguageFeature.DESCRIPTOR.values_by_name
    kinds = resolved_node_kind_pb2.ResolvedNodeKind.DESCRIPTOR.values_by_name
    for name in (*_TYPES, *_QUERIES, *_FUNCTIONS, *_STATEMENTS):
        options.enabled_language_features.append(features[f"FEATURE_{name}"].number)
    for name in _KINDS:
        options.supported_statement_kinds.append(kinds[f"RESOLVED_{name}_STMT"].number)
    options.reserved_keywords.append("QUALIFY")
    return options
