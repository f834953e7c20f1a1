"""The schema as PostgreSQL itself writes it, object by object: what a fix found, and what it must leave.

More than what the gate compares, for a fix may be about nothing but a function, a trigger or a right.
"""

import hashlib
from collections.abc import Sequence

from tasks.postgres.connection import Session

_OURS = "nspname NOT IN ('pg_catalog', 'information_schema', 'ripcord') AND nspname !~ '^pg_(toast|temp)'"
# Every name is written with its schema, for nothing is on the path while they are read.
_OBJECTS = f"""
SELECT format('%s %I.%I%s, rights %s', CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table'
              WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE 'relation' END,
              nspname, relname, CASE relpersistence WHEN 'u' THEN ', unlogged' ELSE '' END,
              coalesce(relacl::text, 'default'))
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't' AND {_OURS}
UNION ALL
SELECT format('column %I.%I.%I %s%s%s', nspname, relname, attname, format_type(atttypid, atttypmod),
              CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END,
              ' DEFAULT ' || pg_get_expr(adbin, adrelid))
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND relpersistence <> 't'
  AND {_OURS}
UNION ALL
SELECT pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE relpersistence <> 't' AND {_OURS}
UNION ALL
SELECT format('constraint %I on %s %s', conname, CASE WHEN conrelid <> 0 THEN conrelid::regclass::text
              ELSE contypid::regtype::text END, pg_get_constraintdef(pg_constraint.oid))
FROM pg_constraint JOIN pg_namespace ON pg_namespace.oid = connamespace WHERE {_OURS}
UNION ALL
SELECT format('definition of %I.%I %s', nspname, relname, pg_get_viewdef(pg_class.oid)) FROM pg_class
JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE relkind IN ('v', 'm') AND {_OURS}
UNION ALL
SELECT CASE WHEN prokind = 'a' THEN format('aggregate %s', pg_proc.oid::regprocedure)
            ELSE pg_get_functiondef(pg_proc.oid) END || format(', rights %s', coalesce(proacl::text, 'default'))
FROM pg_proc JOIN pg_namespace ON pg_namespace.oid = pronamespace WHERE {_OURS}
UNION ALL
SELECT pg_get_triggerdef(pg_trigger.oid) || ' ' || tgenabled::text FROM pg_trigger
JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE NOT tgisinternal AND {_OURS}
UNION ALL
SELECT format('type %s value %L', enumtypid::regtype, enumlabel) FROM pg_enum
UNION ALL
SELECT format('policy %I on %s for %s to %s using %s check %s', polname, polrelid::regclass, polcmd,
              (SELECT array_agg(each::regrole::text ORDER BY 1) FROM unnest(polroles) each WHERE each <> 0),
              pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
FROM pg_policy
UNION ALL
SELECT format('schema %I, rights %s', nspname, coalesce(nspacl::text, 'default')) FROM pg_namespace WHERE {_OURS}
UNION ALL
SELECT format('extension %I %s', extname, extversion) FROM pg_extension
"""
_UNSOUND = f"""
SELECT format('index %I.%I is not valid', nspname, relname) FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE NOT indisvalid AND {_OURS}
UNION ALL
SELECT format('constraint %I on %s is not validated', conname, conrelid::regclass) FROM pg_constraint
JOIN pg_namespace ON pg_namespace.oid = connamespace WHERE NOT convalidated AND {_OURS}
ORDER BY 1
"""


def read_schema(asked: Session) -> tuple[str, ...]:
    """Every definition, one string each, in a steady order; inside a transaction, whose search_path it restores."""
    path = asked.value("SELECT current_setting('search_path')")
    asked.rows("SELECT set_config('search_path', 'pg_catalog', true)")
    lines = tuple(sorted(str(row[0]) for row in asked.rows(_OBJECTS)))
    asked.rows("SELECT set_config('search_path', %s, true)", path)
    return lines


def read_unsound(asked: Session) -> tuple[str, ...]:
    """The indexes and constraints that do not hold for all rows."""
    return tuple(str(row[0]) for row in asked.rows(_UNSOUND))


def digest_of(schema: Sequence[str]) -> str:
    """A digest of definitions."""
    return hashlib.sha256("\0".join(schema).encode()).hexdigest()[:16]


def difference(before: Sequence[str], after: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is no more, and what is new."""
    return tuple(sorted({*before} - {*after})), tuple(sorted({*after} - {*before}))
