"""What a statement does that one transaction cannot hold, and what it loses, as far as its text tells.

Source: PostgreSQL documentation, "cannot be executed inside a transaction block" in the SQL commands' pages.
"""

import re

from recovery.migration_sql import Statement, Tree, dotted, relation, walk

_BY_HAND = "run it by hand, with the plan of the fix beside it"
_OUTSIDE = "reaches beyond the database, where no ROLLBACK follows"
# The kind of a statement: what it does, and the way out.
_KINDS = {
    "transaction_stmt": ("begins or ends a transaction", "leave it out, the whole script is run in one"),
    "alter_system_stmt": ("changes the server's configuration", _BY_HAND),
    "createdb_stmt": ("makes a database", _BY_HAND),
    "dropdb_stmt": ("drops a database", _BY_HAND),
    "alter_database_stmt": ("changes a database as a whole", _BY_HAND),
    "alter_database_set_stmt": ("changes a database as a whole", _BY_HAND),
    "create_table_space_stmt": ("makes a tablespace", _BY_HAND),
    "drop_table_space_stmt": ("drops a tablespace", _BY_HAND),
    "alter_table_space_options_stmt": ("changes a tablespace", _BY_HAND),
    "create_role_stmt": ("makes a role, which is the whole server's and may hold a password", _BY_HAND),
    "alter_role_stmt": ("changes a role, which is the whole server's and may hold a password", _BY_HAND),
    "alter_role_set_stmt": ("changes a role, which is the whole server's", _BY_HAND),
    "drop_role_stmt": ("drops a role, which is the whole server's", _BY_HAND),
    "create_user_mapping_stmt": ("may hold a password, which would be stored with the run", _BY_HAND),
    "alter_user_mapping_stmt": ("may hold a password, which would be stored with the run", _BY_HAND),
    "create_subscription_stmt": (_OUTSIDE, _BY_HAND),
    "alter_subscription_stmt": (_OUTSIDE, _BY_HAND),
    "drop_subscription_stmt": (_OUTSIDE, _BY_HAND),
    "import_foreign_schema_stmt": (_OUTSIDE, _BY_HAND),
    "load_stmt": ("loads a library into the server", _BY_HAND),
    "check_point_stmt": ("is of the whole server", _BY_HAND),
    "discard_stmt": ("throws away the session's settings", "leave it out"),
}
_WITHIN = frozenset({"transaction_stmt", "discard_stmt"})  # which only a single transaction cannot hold
_GUARDED = frozenset({
    "lock_timeout", "statement_timeout", "transaction_timeout", "idle_in_transaction_session_timeout", "role",
    "session_authorization", "session_replication_role", "client_encoding", "standard_conforming_strings",
    "synchronous_commit", "default_transaction_read_only", "transaction_read_only",
})  # fmt: skip
_REACHING = re.compile(
    r"dblink|lo_import|lo_export|pg_(terminate|cancel)_backend|pg_(read|write|file|ls|stat)_?\w*file|pg_reload_conf"
    r"|pg_promote|pg_switch_wal|pg_(create|drop|copy)_\w*replication_slot|pg_(start|stop)_backup|pg_backup_(start|stop)"
)
_HOLDERS = {
    "OBJECT_TABLE": "table", "OBJECT_FOREIGN_TABLE": "foreign table", "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SEQUENCE": "sequence", "OBJECT_SCHEMA": "schema", "OBJECT_TYPE": "type", "OBJECT_DOMAIN": "domain",
    "OBJECT_EXTENSION": "extension",
}  # fmt: skip
_ROWS = {"delete_stmt": "deletes", "update_stmt": "overwrites", "merge_stmt": "may overwrite or delete"}


def obstacles_of(statement: Statement) -> tuple[str, ...]:
    """Why a statement is not run: what it does and the way out, each a clause after `line 3`."""
    kind, tree = statement.kind, statement.tree
    if kind in _KINDS:
        what, way = _KINDS[kind]
        return (f"{what}: {way}",)
    found = [_concurrent(kind, tree), _copying(kind, tree), _vacuum(kind, tree), _setting(kind, tree)]
    found += [
        f"calls {name}(), which {_OUTSIDE}: {_BY_HAND}"
        for name in dict.fromkeys(_called(tree))
        if _REACHING.match(name)
    ]
    return tuple(each for each in found if each)


def reaches_beyond(statement: Statement) -> str | None:
    """What a statement does that is not over when the copy on which it was run is thrown away; None for all others.

    The engine refuses most of it to an ordinary role; this is the second lock.
    """
    what = _KINDS.get(statement.kind, ("", ""))[0]
    if what and statement.kind not in _WITHIN:
        return what
    found = (each for each in obstacles_of(statement) if _OUTSIDE in each or "COPY FROM STDIN" in each)
    return next((each.partition(":")[0] for each in found), None)


def losses_of(statement: Statement) -> tuple[str, ...]:
    """What data a statement may lose, each a clause after `line 3`; blocks and functions only a rehearsal shows."""
    kind, tree = statement.kind, statement.tree
    found = list(_of_a_drop(tree)) if kind == "drop_stmt" else []
    if kind == "alter_table_stmt":
        found += [loss for each in tree["cmds"] if (loss := _of_a_change(each["alter_table_cmd"], tree))]
    if kind == "truncate_stmt":
        found.append(f"empties {', '.join(relation(each['range_var']) for each in tree['relations'])}")
    if kind == "drop_owned_stmt":
        found.append("drops everything that a role owns")
    found += [f"{_ROWS[key]} rows of {relation(below['relation'])}" for key, below in _acts(kind, tree)]
    if any(
        key == "on_conflict_clause" and below.get("action") == "ONCONFLICT_UPDATE" for key, below in walk({kind: tree})
    ):
        found.append("overwrites rows that are there (ON CONFLICT DO UPDATE)")
    return tuple(dict.fromkeys(found))


def _acts(kind: str, tree: Tree) -> list[tuple[str, Tree]]:
    return [(key, below) for key, below in walk({kind: tree}) if key in _ROWS and below]


def _called(tree: Tree) -> list[str]:
    calls = (below for key, below in walk(tree) if key == "func_call")
    return [dotted(call["funcname"]).removeprefix("pg_catalog.").rpartition(".")[2] for call in calls]


def _concurrent(kind: str, tree: Tree) -> str | None:
    detached = kind == "alter_table_stmt" and any(
        key == "partition_cmd" and below.get("concurrent") for key, below in walk(tree)
    )
    reindexed = kind == "reindex_stmt" and any(
        each["def_elem"]["defname"] == "concurrently" for each in tree.get("params", [])
    )
    if (kind in ("index_stmt", "drop_stmt") and tree.get("concurrent")) or detached or reindexed:
        return (
            "is CONCURRENTLY, which no transaction holds: leave the word out, the rehearsal tells how long writes "
            "would wait, or run this one statement by hand"
        )
    return None


def _copying(kind: str, tree: Tree) -> str | None:
    if kind != "copy_stmt":
        return None
    if tree.get("is_from") and not tree.get("filename"):
        return "copies rows from its own text (COPY FROM STDIN): write INSERT statements"
    return f"copies from or to a file or program, which {_OUTSIDE}: write INSERT statements, or {_BY_HAND}"


def _vacuum(kind: str, tree: Tree) -> str | None:
    if kind == "vacuum_stmt" and tree.get("is_vacuumcmd"):
        return "is VACUUM, which no transaction holds: run it by hand after the fix, or write ANALYZE"
    return None


def _setting(kind: str, tree: Tree) -> str | None:
    if kind != "variable_set_stmt":
        return None
    name = str(tree.get("name", "")).lower()
    if name in ("role", "session_authorization"):
        return "changes who it acts as: let the role of the conninfo be a member of the owner's"
    if name in _GUARDED or tree["kind"] == "VAR_RESET_ALL" or name.startswith(("transaction", "session char")):
        return f"sets {name or 'everything back'}, which the fix is run under: leave it out"
    return None


def _of_a_drop(tree: Tree) -> list[str]:
    kind, cascade = tree["remove_type"], tree.get("behavior") == "DROP_CASCADE"
    names = ", ".join(_name(each) for each in tree["objects"])
    if kind in _HOLDERS:
        return [f"drops the {_HOLDERS[kind]} {names}{' and all that depends on it' if cascade else ''}"]
    what = kind.removeprefix("OBJECT_").lower()
    return [f"drops the {what} {names} and all that depends on it"] if cascade else []


def _name(node: Tree) -> str:
    kind, tree = next(iter(node.items()))
    if kind == "string":
        return str(tree["sval"])
    return dotted(tree["items" if kind == "list" else "objname" if kind == "object_with_args" else "names"])


def _of_a_change(command: Tree, tree: Tree) -> str | None:
    table, name = relation(tree["relation"]), command.get("name", "")
    if command["subtype"] == "AT_DropColumn":
        return f"drops the column {table}.{name}"
    if command["subtype"] == "AT_AlterColumnType":
        return f"changes the type of {table}.{name}, which may cut values"
    if command["subtype"] == "AT_SetUnLogged":
        return f"makes {table} unlogged, which a crash then empties"
    return None
