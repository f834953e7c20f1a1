"""What each statement of a SQL migration does to the version before; what is not listed here is unknown."""

from collections.abc import Callable, Iterator

from recovery import migration_creations as makes
from recovery.migration_creations import loud
from recovery.migration_sql import Statement, Tree, Unreadable, dotted, read_statements, relation
from recovery.migration_tables import judge_alter_table
from recovery.migrations import Effect, Scope, Verdict, unknown

_SETTINGS = frozenset({
    "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "client_min_messages",
    "client_encoding", "maintenance_work_mem",
})  # fmt: skip
_TAKEN = {
    "OBJECT_TABLE": "table", "OBJECT_VIEW": "view", "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SEQUENCE": "sequence", "OBJECT_FOREIGN_TABLE": "foreign table", "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "domain", "OBJECT_FUNCTION": "function", "OBJECT_PROCEDURE": "procedure",
    "OBJECT_AGGREGATE": "aggregate", "OBJECT_ROUTINE": "routine", "OBJECT_SCHEMA": "schema",
    "OBJECT_EXTENSION": "extension", "OBJECT_COLUMN": "column", "OBJECT_ATTRIBUTE": "attribute",
}  # fmt: skip
_RELATIONS = frozenset({"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_SEQUENCE"})
_Answer = tuple[Verdict, str]


def judge_sql(text: str, scope: Scope) -> list[Effect]:
    """Judge a script, statement by statement, in its order."""
    try:
        return [effect for statement in read_statements(text) for effect in _judge(statement, scope)]
    except Unreadable as error:
        return [unknown("", str(error))]


def _judge(statement: Statement, scope: Scope) -> Iterator[Effect]:
    if statement.kind == "alter_table_stmt":
        yield from judge_alter_table(statement, scope)
        return
    judge = _JUDGES.get(statement.kind)
    if judge is None:
        what = statement.kind.removesuffix("_stmt").replace("_", " ")
        yield unknown(statement.text, f"has a statement that cannot be judged ({what})")
    else:
        yield Effect(statement.text, *judge(statement.tree, scope))


def _drop(tree: Tree, scope: Scope) -> _Answer:
    kind, names = tree["remove_type"], [_dropped_name(each) for each in tree["objects"]]
    if kind in _RELATIONS and all(each in scope.own for each in names):
        for each in names:
            scope.gone(each)
        return Verdict.COMPATIBLE, f"drops what it made itself: {', '.join(names)}"
    for each in names:
        scope.gone(each)
    if kind in _TAKEN:
        return Verdict.INCOMPATIBLE, f"drops the {_TAKEN[kind]} {', '.join(names)}, which {scope.before} may use"
    if kind == "OBJECT_INDEX":
        return Verdict.UNKNOWN, f"drops the index {', '.join(names)}; if it is unique, ON CONFLICT may need it"
    return Verdict.UNKNOWN, f"drops a {kind.removeprefix('OBJECT_').lower()}, which {scope.before} may rely on"


def _dropped_name(node: Tree) -> str:
    kind, tree = next(iter(node.items()))
    if kind == "string":
        return str(tree["sval"])
    return dotted(tree["items" if kind == "list" else "objname" if kind == "object_with_args" else "names"])


def _rename(tree: Tree, scope: Scope) -> _Answer:
    kind, table = tree["rename_type"], relation(tree.get("relation", {}))
    if table and table in scope.own and kind in ("OBJECT_COLUMN", *_RELATIONS):
        if kind in _RELATIONS:
            scope.gone(table)
            scope.made(".".join([*table.split(".")[:-1], tree["newname"]]))
        return Verdict.COMPATIBLE, f"renames something of its own: {table}"
    if kind not in _TAKEN:
        return Verdict.UNKNOWN, f"renames the {kind.removeprefix('OBJECT_').lower()}, which {scope.before} may name"
    listed = tree.get("object", {}).get("list", {}).get("items", [])
    name = ".".join(filter(None, [table, tree.get("subname", "")])) or dotted(listed) or f"to {tree['newname']}"
    return Verdict.INCOMPATIBLE, f"renames the {_TAKEN[kind]} {name}, which {scope.before} may use"


def _move(tree: Tree, scope: Scope) -> _Answer:
    name = relation(tree.get("relation", {})) or "an object"
    return Verdict.INCOMPATIBLE, f"moves {name} to the schema {tree['newschema']}, where {scope.before} may not look"


def _rights(tree: Tree, scope: Scope) -> _Answer:
    if tree.get("action", tree).get("is_grant"):
        return Verdict.COMPATIBLE, "grants rights"
    return Verdict.INCOMPATIBLE, f"revokes rights, which {scope.before} may need"


def _insert(tree: Tree, scope: Scope) -> _Answer:
    table, acts = relation(tree["relation"]), loud(tree)
    if tree.get("on_conflict_clause", {}).get("action", "ONCONFLICT_NOTHING") != "ONCONFLICT_NOTHING":
        acts = acts or (None if table in scope.own else "overwriting others")
    if acts:
        return Verdict.UNKNOWN, f"adds rows to {table} by {acts}, which may do more than add"
    return Verdict.COMPATIBLE, f"adds rows to {table}"


def _change_rows(tree: Tree, scope: Scope) -> _Answer:
    targets = [relation(each["range_var"]) for each in tree.get("relations", [])] or [relation(tree["relation"])]
    if all(each in scope.own for each in targets) and not loud(tree):
        return Verdict.COMPATIBLE, f"changes rows of its own table {', '.join(targets)}"
    return (
        Verdict.UNKNOWN,
        f"changes or deletes rows of {', '.join(targets)}, which {scope.before} may need as they were",
    )


def _select(tree: Tree, scope: Scope) -> _Answer:
    acts = loud(tree)
    return (Verdict.UNKNOWN, f"runs {acts}, which may do anything") if acts else (Verdict.COMPATIBLE, "reads")


def _set(tree: Tree, scope: Scope) -> _Answer:
    if tree.get("kind") == "VAR_SET_VALUE" and tree.get("name") in _SETTINGS:
        return Verdict.COMPATIBLE, f"sets {tree['name']} for itself"
    return Verdict.UNKNOWN, f"sets {tree.get('name', 'something')}, after which names may mean something else"


def _transaction(tree: Tree, scope: Scope) -> _Answer:
    if tree["kind"] in ("TRANS_STMT_BEGIN", "TRANS_STMT_START", "TRANS_STMT_COMMIT"):
        return Verdict.COMPATIBLE, "begins or ends a transaction"
    return Verdict.UNKNOWN, "takes a part of itself back"


def _nothing(tree: Tree, scope: Scope) -> _Answer:
    return Verdict.COMPATIBLE, "changes nothing that is read or written"


_JUDGES: dict[str, Callable[[Tree, Scope], _Answer]] = {
    "create_stmt": makes.create_table,
    "create_table_as_stmt": makes.create_from_query,
    "view_stmt": makes.create_view,
    "index_stmt": makes.create_index,
    "create_function_stmt": makes.create_function,
    "create_trig_stmt": makes.create_trigger,
    "create_enum_stmt": makes.create_enum,
    "composite_type_stmt": _nothing,
    "create_range_stmt": _nothing,
    "create_domain_stmt": _nothing,
    "alter_enum_stmt": makes.alter_enum,
    "create_seq_stmt": makes.create_sequence,
    "create_schema_stmt": makes.create_schema,
    "create_extension_stmt": makes.create_extension,
    "drop_stmt": _drop,
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _move,
    "grant_stmt": _rights,
    "grant_role_stmt": _rights,
    "alter_default_privileges_stmt": _rights,
    "insert_stmt": _insert,
    "update_stmt": _change_rows,
    "delete_stmt": _change_rows,
    "merge_stmt": _change_rows,
    "truncate_stmt": _change_rows,
    "select_stmt": _select,
    "variable_set_stmt": _set,
    "transaction_stmt": _transaction,
    "comment_stmt": _nothing,
    "vacuum_stmt": _nothing,
    "lock_stmt": _nothing,
}
