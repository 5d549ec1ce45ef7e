"""The share of the query that a stored match covers, in conditions: it is in the JSON of the match."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class CoverageOf(FunctionElement[float]):
    """The number `coverage` of the JSON object in a column of text; null if it has none."""

    type = Float()
    inherit_cache = True


@compiles(CoverageOf)
def _sqlite(element: CoverageOf, compiler: Any, **options: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **options)}, '$.coverage')"


@compiles(CoverageOf, "postgresql")
def _postgresql(element: CoverageOf, compiler: Any, **options: Any) -> str:
    # Not `->>`: that decodes all strings of the object, and refuses one with NUL.
    found = f"(CAST({compiler.process(element.clauses, **options)} AS json) -> 'coverage')"
    return f"CAST(CAST({found} AS text) AS double precision)"
