"""SQL stands in storage/ and in each room's tables.py; elsewhere a connection is only passed on."""

from __future__ import annotations

import ast

from package import SRC, files, imports, tree

# orchestration/slots.py is the leases table of the workers, ingestion/sql.py reads a user's database.
TABLES = {"orchestration/slots.py", "ingestion/sql.py"}
PASSED_ON = {"Connection", "Engine"}


def _holds_sql(path) -> bool:
    inside = str(path.relative_to(SRC))
    return inside.startswith("storage/") or path.name == "tables.py" or inside in TABLES


def test_sql_is_written_only_where_tables_are() -> None:
    wrong = []
    for path in files():
        if _holds_sql(path):
            continue
        for found in imports(path):
            library = found.module.split(".")[0]
            if library == "alembic" or (library == "sqlalchemy" and found.module != "sqlalchemy"):
                wrong.append(str(found))
        wrong += [
            f"{path.relative_to(SRC)}:{node.lineno} uses sa.{node.attr}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sa" and node.attr not in PASSED_ON
        ]
    assert wrong == []
