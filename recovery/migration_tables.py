"""What ALTER TABLE and the columns and keys of a table do to the version before."""

from collections.abc import Iterator
from typing import Any

from recovery.migration_sql import Statement, Tree, dotted, relation
from recovery.migrations import Effect, Scope, Verdict, unknown

BUILT_IN = frozenset({
    "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "money", "text", "varchar", "bpchar", "bytea",
    "date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid", "json", "jsonb", "inet", "cidr",
    "macaddr", "bit", "varbit", "tsvector",
})  # fmt: skip
# Functions that give a value whatever the role may do, and never fail.
STEADY = frozenset({
    "now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "gen_random_uuid", "uuid_generate_v4",
})  # fmt: skip
_FREE = frozenset(  # what may be done to a table that the version before does not know
    {
        "AT_AddColumn", "AT_AddConstraint", "AT_DropColumn", "AT_DropConstraint", "AT_AlterColumnType",
        "AT_ColumnDefault", "AT_DropNotNull", "AT_SetNotNull", "AT_ChangeOwner", "AT_EnableRowSecurity",
    }
)  # fmt: skip
_Answer = tuple[Verdict, str]


def judge_alter_table(statement: Statement, scope: Scope) -> Iterator[Effect]:
    """Judge each of the changes that one ALTER TABLE makes."""
    tree, table = statement.tree, relation(statement.tree["relation"])
    if tree["objtype"] != "OBJECT_TABLE":
        yield unknown(statement.text, f"alters {table} in a way that cannot be judged")
        return
    for each in tree["cmds"]:
        verdict, reason = _change(each["alter_table_cmd"], table, scope)
        yield Effect(statement.text, verdict, reason)


def keys_of(elements: list[Tree], table: str, scope: Scope) -> str | None:
    """Why the foreign keys of a new table are in the way of the version before; None where they are not."""
    for each in elements:
        constraints = [each] if "constraint" in each else each.get("column_def", {}).get("constraints", [])
        for one in constraints:
            key = one["constraint"]
            if key["contype"] == "CONSTR_FOREIGN" and not _lets_go(key, table, scope, "c"):
                target = relation(key["pktable"])
                return f"lets {table} refer to {target}, of which {scope.before} then cannot delete what is referred to"
    return None


def _lets_go(key: Tree, table: str, scope: Scope, actions: str) -> bool:
    target = relation(key["pktable"])
    return target == table or target in scope.own or key["fk_del_action"] in actions


def _change(command: Tree, table: str, scope: Scope) -> _Answer:
    kind, name = command["subtype"], f"{table}.{command.get('name', '')}"
    if table in scope.own and kind in _FREE:
        held = keys_of([command["def"]], table, scope) if kind in ("AT_AddColumn", "AT_AddConstraint") else None
        return (Verdict.UNKNOWN, held) if held else (Verdict.COMPATIBLE, f"alters its own table {table}")
    if kind == "AT_AddColumn":
        return judge_column(command["def"]["column_def"], table, scope)
    if kind == "AT_DropColumn":
        return Verdict.INCOMPATIBLE, f"drops the column {name}, which {scope.before} may read"
    if kind == "AT_SetNotNull":
        return Verdict.INCOMPATIBLE, f"forbids NULL in {name}, which {scope.before} may write"
    if kind == "AT_AddConstraint":
        what = command["def"]["constraint"]["contype"].removeprefix("CONSTR_").lower()
        return Verdict.INCOMPATIBLE, f"adds a {what} constraint to {table}, which writes of {scope.before} may break"
    if kind == "AT_ColumnDefault" and "def" not in command:
        return Verdict.INCOMPATIBLE, f"drops the default of {name}, which writes of {scope.before} may rely on"
    if kind in _UNTOLD:
        return Verdict.UNKNOWN, _UNTOLD[kind].format(name=name, table=table, before=scope.before)
    if kind in ("AT_ValidateConstraint", "AT_SetStatistics"):
        return Verdict.COMPATIBLE, f"changes nothing that is written to {table}"
    return Verdict.UNKNOWN, f"alters {table} in a way that cannot be judged ({kind.removeprefix('AT_')})"


_UNTOLD = {
    "AT_AlterColumnType": "changes the type of {name}, and from which is not in the file",
    "AT_ColumnDefault": "changes the default of {name}, so that the same writes of {before} mean something else",
    "AT_DropNotNull": "lets NULL into {name}, which {before} may read and not expect",
    "AT_DropConstraint": "drops a constraint of {table}, which ON CONFLICT of {before} may name",
}


def judge_column(column: Tree, table: str, scope: Scope) -> _Answer:
    """Judge a column that is added to a table which the version before writes to without it."""
    name = f"{table}.{column['colname']}"
    constraints = [each["constraint"] for each in column.get("constraints", [])]
    kinds = {each["contype"] for each in constraints}
    default = next((each.get("raw_expr", {}) for each in constraints if each["contype"] == "CONSTR_DEFAULT"), None)
    if not _is_plain(column["type_name"], scope):
        return Verdict.UNKNOWN, f"adds the column {name} of a type that may refuse what {scope.before} writes"
    strange = kinds - {"CONSTR_NULL", "CONSTR_NOTNULL", "CONSTR_DEFAULT", "CONSTR_IDENTITY", "CONSTR_FOREIGN"}
    if strange:
        what = ", ".join(sorted(each.removeprefix("CONSTR_").lower() for each in strange))
        return Verdict.UNKNOWN, f"adds the column {name} with more than a default ({what})"
    for key in constraints:
        if key["contype"] == "CONSTR_FOREIGN" and (default is not None or not _lets_go(key, table, scope, "n")):
            return Verdict.UNKNOWN, (
                f"lets {name} refer to {relation(key['pktable'])}, which may keep {scope.before} from deleting there"
            )
    if default is not None and _value(default) is None:
        return Verdict.UNKNOWN, f"adds the column {name} with a default that may fail when {scope.before} writes"
    if "CONSTR_NOTNULL" in kinds and "CONSTR_IDENTITY" not in kinds and _value(default) is not True:
        return Verdict.INCOMPATIBLE, (
            f"adds the column {name} without a default and not NULL, which {scope.before} does not write"
        )
    return Verdict.COMPATIBLE, f"adds the column {name}, which {scope.before} need not write"


def _is_plain(named: Tree, scope: Scope) -> bool:
    name = dotted(named["names"])
    return name.removeprefix("pg_catalog.") in BUILT_IN or name in scope.enums


def _value(expression: Tree | None) -> bool | None:
    """Whether a default gives a value: False for NULL or none at all, None where that cannot be told."""
    kind, tree = _only(expression or {})
    if kind == "":
        return False
    if kind == "a_const":
        return not tree.get("isnull", False)
    if kind == "sqlvalue_function":
        return True
    if kind == "type_cast":
        return _cast(tree)
    if kind == "func_call" and not tree.get("args"):
        return True if dotted(tree["funcname"]).removeprefix("pg_catalog.") in STEADY else None
    return None


def _only(node: Tree) -> tuple[str, Tree]:
    return next(iter(node.items()), ("", {}))


def _cast(tree: Tree) -> bool | None:
    argument: dict[str, Any] = tree["arg"]
    if dotted(tree["type_name"]["names"]).removeprefix("pg_catalog.") not in BUILT_IN:
        return None
    if "a_array_expr" in argument:
        return None if argument["a_array_expr"].get("elements") else True
    return _value(argument)
