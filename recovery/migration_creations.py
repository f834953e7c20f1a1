"""What a statement that makes something does to the version before."""

from recovery.migration_sql import Tree, dotted, relation, walk
from recovery.migration_tables import STEADY, keys_of
from recovery.migrations import Scope, Verdict

_HARMLESS = STEADY | frozenset({
    "count", "sum", "min", "max", "avg", "lower", "upper", "trim", "btrim", "length", "concat", "replace", "round",
    "abs", "floor", "ceil", "md5", "generate_series", "row_number", "jsonb_build_object", "json_build_object",
    "to_jsonb", "date_trunc", "string_agg", "array_agg",
})  # fmt: skip
_ACTING = frozenset({"insert_stmt", "update_stmt", "delete_stmt", "merge_stmt", "into_clause", "execute_stmt"})
# Others may change what the version before's own statements mean.
_EXTENSIONS = frozenset({
    "pgcrypto", "uuid-ossp", "citext", "hstore", "pg_trgm", "btree_gin", "btree_gist", "unaccent", "fuzzystrmatch",
})  # fmt: skip
_Answer = tuple[Verdict, str]


def loud(tree: Tree) -> str | None:
    """What in a query may do more than read: a call, or a statement within it."""
    for key, value in walk(tree):
        if key in _ACTING and value:
            return key.replace("_", " ")
        if key == "func_call" and dotted(value["funcname"]).removeprefix("pg_catalog.") not in _HARMLESS:
            return f"{dotted(value['funcname'])}()"
    return None


def create_table(tree: Tree, scope: Scope) -> _Answer:
    """A table."""
    table = relation(tree["relation"])
    if tree.get("inh_relations"):
        return Verdict.UNKNOWN, f"makes {table} a part of another table, which reads and writes of that one then meet"
    held = keys_of(tree.get("table_elts", []), table, scope)
    if held:
        return Verdict.UNKNOWN, held
    if not tree.get("if_not_exists") and tree.get("oncommit") != "ONCOMMIT_DROP":
        scope.made(table)
    return Verdict.COMPATIBLE, f"makes the table {table}, which {scope.before} does not know"


def create_from_query(tree: Tree, scope: Scope) -> _Answer:
    """A table or a materialized view, filled by a query."""
    table, acts = relation(tree["into"]["rel"]), loud(tree["query"])
    if acts or "select_stmt" not in tree["query"]:
        return Verdict.UNKNOWN, f"fills {table} by {acts or 'a prepared statement'}, which may do more than read"
    if not tree.get("if_not_exists") and tree["into"].get("on_commit") != "ONCOMMIT_DROP":
        scope.made(table)
    return Verdict.COMPATIBLE, f"makes {table}, which {scope.before} does not know"


def create_view(tree: Tree, scope: Scope) -> _Answer:
    """A view."""
    view = relation(tree["view"])
    if tree.get("replace") and view not in scope.own:
        return Verdict.UNKNOWN, f"replaces the view {view}, which {scope.before} may read otherwise"
    scope.made(view)
    return Verdict.COMPATIBLE, f"makes the view {view}, which {scope.before} does not know"


def create_index(tree: Tree, scope: Scope) -> _Answer:
    """An index."""
    table = relation(tree["relation"])
    if table in scope.own:
        return Verdict.COMPATIBLE, f"makes an index on its own table {table}"
    if tree.get("unique"):
        return Verdict.INCOMPATIBLE, f"makes values of {table} unique, which {scope.before} may write twice"
    computed = any("expr" in each["index_elem"] for each in tree["index_params"])
    where = tree.get("where_clause", {})
    if computed or (where and "column_ref" not in where.get("null_test", {}).get("arg", {})):
        return Verdict.UNKNOWN, f"makes an index on {table} that is computed and may fail when {scope.before} writes"
    if tree["access_method"] not in ("btree", "hash", "gin", "gist", "brin"):
        return Verdict.UNKNOWN, f"makes an index on {table} of a kind that may refuse what {scope.before} writes"
    return Verdict.COMPATIBLE, f"makes an index on {table}"


def create_function(tree: Tree, scope: Scope) -> _Answer:
    """A function."""
    name = dotted(tree["funcname"])
    if tree.get("replace"):
        return Verdict.UNKNOWN, f"makes or replaces the function {name}, which {scope.before} may call"
    return Verdict.COMPATIBLE, f"makes the function {name}, which {scope.before} does not call"


def create_trigger(tree: Tree, scope: Scope) -> _Answer:
    """A trigger."""
    table = relation(tree["relation"])
    if table in scope.own and not tree.get("replace"):
        return Verdict.COMPATIBLE, f"makes a trigger on its own table {table}"
    return Verdict.UNKNOWN, f"makes a trigger on {table}, which writes of {scope.before} then set off"


def create_enum(tree: Tree, scope: Scope) -> _Answer:
    """A type of named values."""
    scope.enums.add(dotted(tree["type_name"]))
    return Verdict.COMPATIBLE, f"makes the type {dotted(tree['type_name'])}"


def alter_enum(tree: Tree, scope: Scope) -> _Answer:
    """Another named value, or another name for one."""
    name = dotted(tree["type_name"])
    if name in scope.enums:
        return Verdict.COMPATIBLE, f"changes its own type {name}"
    if tree.get("old_val"):
        return Verdict.INCOMPATIBLE, f"renames a value of {name}, which {scope.before} may write"
    # Nothing breaks until a row has the value; the release was live, so one may have it.
    return Verdict.UNKNOWN, f"adds the value {tree['new_val']} to {name}, which {scope.before} may read and not know"


def create_sequence(tree: Tree, scope: Scope) -> _Answer:
    """A sequence."""
    if not tree.get("if_not_exists"):
        scope.made(relation(tree["sequence"]))
    return Verdict.COMPATIBLE, f"makes the sequence {relation(tree['sequence'])}"


def create_schema(tree: Tree, scope: Scope) -> _Answer:
    """A schema."""
    if tree.get("schema_elts"):
        return Verdict.UNKNOWN, f"makes the schema {tree.get('schemaname', '')} with objects that are not judged"
    return Verdict.COMPATIBLE, f"makes the schema {tree.get('schemaname', '')}"


def create_extension(tree: Tree, scope: Scope) -> _Answer:
    """An extension."""
    if tree["extname"] in _EXTENSIONS:
        return Verdict.COMPATIBLE, f"adds the extension {tree['extname']}"
    return Verdict.UNKNOWN, f"adds the extension {tree['extname']}, which is not one of those that only add"
