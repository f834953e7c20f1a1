"""Whom a line of PgBouncer's leads where, and that only the address of one line changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.errors import Refused
from recovery.routes import read_line, reroute

SECTION = """[databases]
; shop = host=old port=1
shop = host=10.0.0.1 port=5432 dbname=shop user=forced password='it''s; secret' pool_size=20
shop_reports = host=10.0.0.1 port=5432
"""
KEYS = st.sampled_from(["dbname", "user", "password", "connect_query", "pool_mode", "client_encoding"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126) | st.sampled_from(" '"), min_size=1)


def words_of(line: str) -> dict[str, str]:
    """The right side of a line, read sign by sign as PgBouncer's loader does: 'quoted', and '' for a quote in it."""
    found, rest = {}, line.partition("=")[2].strip()
    while rest:
        key, _, rest = rest.partition("=")
        rest, value = rest.lstrip(), ""
        if not rest.startswith("'"):
            value, _, rest = rest.partition(" ")
        else:
            at = 1
            while rest[at : at + 2] == "''" or rest[at] != "'":
                step = 2 if rest[at] == "'" else 1
                value, at = value + rest[at], at + step
            rest = rest[at + 1 :]
        found[key.strip()] = value
        rest = rest.strip()
    return found


def test_only_the_address_of_the_alias_changes() -> None:
    """Comments, other aliases, the forced user and what is quoted stay as they are."""
    moved = reroute(SECTION, "shop", "10.0.0.2", 5433)

    before, after = SECTION.splitlines(), moved.splitlines()
    assert [number for number, line in enumerate(after) if line != before[number]] == [2]
    assert words_of(after[2]) == words_of(before[2]) | {"host": "10.0.0.2", "port": "5433"}
    assert read_line(moved, "shop") == ("10.0.0.2", 5433)
    assert read_line(moved, "shop_reports") == ("10.0.0.1", 5432)


@given(st.dictionaries(KEYS, VALUES))
def test_no_value_is_lost_or_respelt(values: dict[str, str]) -> None:
    """Blanks, quotes and semicolons in a password included."""
    right = " ".join("{}='{}'".format(key, value.replace("'", "''")) for key, value in values.items())
    line = f"shop = host=a port=1 {right}"

    moved = reroute(f"{line}\n", "shop", "b", 2)

    assert words_of(line) == {"host": "a", "port": "1", **values}
    assert words_of(moved.rstrip("\n")) == {**values, "host": "b", "port": "2"}


@pytest.mark.parametrize(("text", "count"), [("", 0), ("shop=host=a\nshop = host=b\n", 2)])
def test_an_alias_without_one_line_is_refused(text: str, count: int) -> None:
    """PgBouncer would take the last of two."""
    with pytest.raises(Refused, match=f"has {count} lines for shop and not one"):
        reroute(text, "shop", "b", 2)
