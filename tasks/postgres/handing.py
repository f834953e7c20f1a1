"""Make an ordinary role on a copy the owner of everything, so that what it runs can do nothing to the machine.

A superuser may run programs and read files as PostgreSQL's user. The text of a migration comes from a repository, and
whoever may push a tag there would have them on the gate's machine.
"""

from collections.abc import Mapping

from recovery.databases import Database
from recovery.trials import INSIDE, NotTried
from tasks.postgres.connection import as_first_role, quoted

ROLE = "ripcord_trial"
# What ordinary roles may call and what is not known to stay inside the database.
_REACHING = """
SELECT 'the extension ' || extname FROM pg_extension WHERE extname <> ALL($1)
UNION ALL SELECT 'the language ' || lanname FROM pg_language
    WHERE NOT lanpltrusted AND lanname NOT IN ('internal', 'c')
UNION ALL SELECT 'the foreign server ' || srvname FROM pg_foreign_server
UNION ALL SELECT 'the function ' || proname || '() of a library' FROM pg_proc
    WHERE prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') AND pg_proc.oid >= 16384
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid
                      AND deptype = 'e')
LIMIT 1
"""
# Whoever owns most of the tables and can become nobody who may more.
_OWNER = """
SELECT owner.rolname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
JOIN pg_roles owner ON owner.oid = relowner
WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'ripcord')
  AND NOT owner.rolsuper AND NOT EXISTS (
    SELECT FROM pg_roles more WHERE more.oid <> owner.oid AND pg_has_role(owner.oid, more.oid, 'MEMBER')
    AND (more.rolsuper OR more.rolcreaterole OR more.rolname IN (
        'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_create_subscription')))
GROUP BY owner.rolname ORDER BY count(*) DESC, owner.rolname LIMIT 1
"""
_MADE = "NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS LOGIN CONNECTION LIMIT -1"
# Functions and views that run as a superuser are a way to become one. What an extension made stays with it, and what
# a column owns follows its table.
_HANDED = """
WITH schemas AS (SELECT * FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
bosses AS (SELECT oid FROM pg_roles WHERE rolsuper),
bound AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
    OR (deptype IN ('a', 'i') AND classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass))
SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, $1::text) FROM schemas
    WHERE nspowner IN (SELECT oid FROM bosses) AND ('pg_namespace'::regclass, oid) NOT IN (TABLE bound)
UNION ALL
SELECT format('ALTER TABLE %I.%I OWNER TO %I', nspname, relname, $1::text)
    FROM pg_class JOIN schemas ON schemas.oid = relnamespace
    WHERE relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND relowner IN (SELECT oid FROM bosses)
      AND ('pg_class'::regclass, pg_class.oid) NOT IN (TABLE bound)
UNION ALL
SELECT format('ALTER TYPE %I.%I OWNER TO %I', nspname, typname, $1::text)
    FROM pg_type JOIN schemas ON schemas.oid = typnamespace LEFT JOIN pg_class ON pg_class.oid = typrelid
    WHERE (typtype IN ('e', 'd', 'r') OR relkind = 'c') AND typowner IN (SELECT oid FROM bosses)
      AND ('pg_type'::regclass, pg_type.oid) NOT IN (TABLE bound)
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO %I', pg_proc.oid::regprocedure, $1::text)
    FROM pg_proc JOIN schemas ON schemas.oid = pronamespace
    WHERE proowner IN (SELECT oid FROM bosses) AND ('pg_proc'::regclass, pg_proc.oid) NOT IN (TABLE bound)
"""


def hand_over(database: Database, way: Mapping[str, str]) -> str:
    """The ordinary role that owns everything on the copy from now on: the tables' own owner, else one that is made.

    Raises NotTried where the database has functions that may reach beyond it, whoever calls them.
    """
    with as_first_role(database, way) as asked, asked.transaction():
        asked.rows("SET LOCAL search_path = pg_catalog")
        if reaching := asked.numbered(_REACHING, [*INSIDE]):
            raise NotTried(f"not run on a copy: {reaching[0][0]} may reach beyond it")
        found = asked.rows(_OWNER)
        role = str(found[0][0]) if found else ROLE
        asked.rows(f"{'ALTER' if found else 'CREATE'} ROLE {quoted(role)} {_MADE}")
        name = quoted(str(asked.value("SELECT current_database()")))
        asked.rows(f"ALTER DATABASE {name} OWNER TO {quoted(role)}")
        for (statement,) in asked.numbered(_HANDED, role):
            asked.rows(statement)
        return role
