"""What a line of the journal says, whatever the names are; and what a slot is called."""

import re

from hypothesis import given
from hypothesis import strategies as st

from recovery.journals import Change, Commit, is_after, journal_name, journals_of, read_change, read_commit

NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F), min_size=1)


def quoted(name: str) -> str:
    """As PostgreSQL's quote_identifier writes a name; one that needs no quotes is never a keyword here."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


@given(NAMES, NAMES, st.sampled_from(["INSERT", "UPDATE", "DELETE", "TRUNCATE"]), st.text())
def test_the_table_is_read_whatever_its_name_is(schema: str, name: str, kind: str, rest: str) -> None:
    """Dots, colons, quotes and words like INSERT in it included, and whatever the row holds."""
    table = f"{quoted(schema)}.{quoted(name)}"

    change = read_change(f"table {table}: {kind}: {rest}")

    assert change == (None if table.startswith("ripcord.") else Change(table, kind))


def test_a_table_that_looks_like_a_change_is_no_other_table() -> None:
    """Its name ends before the quote does."""
    line = 'table public."t: INSERT: x": DELETE: id[integer]:1'

    assert read_change(line) == Change('public."t: INSERT: x"', "DELETE")


def test_other_lines_are_none() -> None:
    """Begin, commit, messages, and what ripcord itself writes."""
    assert read_change("BEGIN 733") is None
    assert read_change("message: transactional: 1 prefix: p, sz: 1 content:x") is None
    assert read_change("table ripcord.restore_points: UPDATE: service[text]:'shop'") is None
    assert read_change("table public.a, public.b: TRUNCATE: (no-flags)") == Change("public.a, public.b", "TRUNCATE")
    assert read_commit("COMMIT 733 (at 2026-01-01 12:00:00.5+00)") == Commit("733", "2026-01-01 12:00:00.5+00")
    assert read_commit("COMMIT PREPARED 'x', txid 733") is None


def test_what_is_committed_before_the_point_is_restored() -> None:
    """Positions are compared as numbers."""
    assert is_after("1/0", "0/FFFFFFFF")
    assert not is_after("0/3000090", "0/3000090")


@given(st.text(), st.text(), st.text())
def test_a_slots_name_is_one_and_begins_like_those_of_its_release(service: str, version: str, point: str) -> None:
    """Small letters, digits and underscores, at most 63."""
    name = journal_name(service, version, point)

    assert re.fullmatch(r"[a-z0-9_]{1,63}", name)
    assert name.startswith(journals_of(service))
    assert not version or name.startswith(journals_of(service, version))
