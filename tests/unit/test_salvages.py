"""The judgement of a salvage: which servers, which tables, which rows, and what goes back in which order."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.catalog import Service
from recovery.databases import Database, Restore, Secret
from recovery.errors import Refused
from recovery.salvage_tables import Column, Comparison, Kind, Table, merge, merge_counted, plan_comparisons
from recovery.salvage_wording import ask_for_salvage, changed_since, report_salvage, show_export, summary
from recovery.salvages import (
    Applied,
    Candidate,
    Choice,
    Export,
    Found,
    MovedSequence,
    Standing,
    choose_restored,
    judge_servers,
    names_of,
    object_to,
    restored_database,
    steps,
)

DAMAGED = Standing("77", 1, "2026-03-01 12:00", "shop", False, True, "UTF8")
RESTORED = replace(DAMAGED, timeline=2, started="2026-03-01 13:00", read_only=False)
ID, NAME = Column("id", "integer"), Column("name", "text")
Side = dict[int, str]


def table(name: str, *references: str, **changes: object) -> Table:
    """A table of `public` with a key."""
    made = Table("public", name, False, False, False, (ID, NAME), ("id",), tuple(("public", r) for r in references))
    return replace(made, **changes)  # type: ignore[arg-type]


def found(name: str, *counts: int) -> Found:
    """What was found in a table: inserted, changed, deleted."""
    made = Comparison(table(name), (ID, NAME), ("id",))
    return Found(made, {kind: count for kind, count in zip(Kind, counts, strict=True) if count}, f"001-{name}")


def export(*tables: Found) -> Export:
    """An export of these tables."""
    return Export(
        "shop-v1-1-0", "/sides/shop/salvage", tables, (MovedSequence("public", "s", 3, 9),), ("a | note",), {}
    )


def test_a_damaged_server_and_its_restored_one_are_taken() -> None:
    """Frozen or not is said; the restored one may still wait at the point while nothing is written."""
    assert judge_servers(DAMAGED, RESTORED, apply=True) == "the damaged database takes no writes"
    paused = replace(RESTORED, timeline=1, in_recovery=True)
    assert judge_servers(DAMAGED, paused, apply=False) == "the damaged database takes no writes"
    assert "STILL TAKES WRITES" in judge_servers(replace(DAMAGED, read_only=False), RESTORED, apply=False)


@pytest.mark.parametrize(
    ("damaged", "restored", "said"),
    [
        (DAMAGED, replace(DAMAGED, timeline=2), "one and the same"),
        (DAMAGED, replace(RESTORED, system_id="78"), "is the cluster 78 and the damaged one 77"),
        (RESTORED, DAMAGED, "on timeline 1 and the damaged one on 2"),
        (DAMAGED, replace(RESTORED, timeline=1), "may be mixed up"),
        (replace(DAMAGED, encoding="SQL_ASCII"), RESTORED, "SQL_ASCII"),
        (DAMAGED, replace(RESTORED, in_recovery=True), "takes no writes yet"),
        (replace(DAMAGED, read_only=False), RESTORED, "still takes writes"),
    ],
)
def test_any_other_two_are_refused_with_the_reason(damaged: Standing, restored: Standing, said: str) -> None:
    """Rows would go to the wrong server, or be lost."""
    with pytest.raises(Refused, match=said):
        judge_servers(damaged, restored, apply=True)


def test_the_point_is_that_of_the_damaged_servers_history() -> None:
    """The restored server's register names it; a gate that came after the restore does not mislead."""
    old, new, after = (
        Candidate(name, f"0/{day}", datetime(2026, 3, day, tzinfo=UTC), timeline, "77")
        for name, day, timeline in (("a-1", 1, 1), ("a-2", 2, 1), ("a-3", 3, 2))
    )
    foreign = replace(new, name="foreign", system_id="1", made_at=datetime(2027, 1, 1, tzinfo=UTC))
    for registered, chosen in (("a-1", "a-1"), ("a-2", "a-2"), ("a-3", "a-2"), ("foreign", "a-2"), (None, "a-2")):
        assert choose_restored([new, after, old, foreign], DAMAGED, registered).name == chosen
    with pytest.raises(Refused, match="no set of the damaged server's timeline 1"):
        choose_restored([after, foreign], DAMAGED, "a-3")


def test_a_service_without_a_restore_is_refused() -> None:
    """Nothing was restored beside anything."""
    service = Service(name="shop", namespace="acme", repository="acme/shop")
    database = Database(url_variable="URL", backups="/b", archive="/a")
    restore = Restore(sides="/s", secret=Secret(name="shop"))
    for without in (None, database):
        with pytest.raises(Refused, match="names no `database` with `restore` of shop"):
            restored_database(service.model_copy(update={"database": without}))
    whole = database.model_copy(update={"restore": restore})
    assert restored_database(service.model_copy(update={"database": whole})) is whole


def test_tables_come_after_those_that_they_name() -> None:
    """Whatever their names; a circle and a table that names itself do not end it."""
    tables = [table("a", "b"), table("b", "z"), table("c", "d", "c"), table("d", "c"), table("z")]

    compared, fresh, notes = plan_comparisons(tables, tables)

    order = [each.table.name for each in compared]
    assert sorted(order) == ["a", "b", "c", "d", "z"]
    assert order.index("z") < order.index("b") < order.index("a")
    assert (fresh, notes) == ((), ())


def test_what_cannot_be_compared_is_said() -> None:
    """Dropped, made, unlogged, changed and keyless tables; a generated column is written by nobody."""
    wide = table("wide", columns=(ID, NAME, Column("twice", "integer", generated=True), Column("old", "text")))
    later = replace(wide, columns=(ID, replace(NAME, type="varchar"), Column("new", "text")))
    moved = table("moved", key=("name",))
    empty = table("empty", columns=())
    compared, fresh, notes = plan_comparisons(
        [table("gone"), table("cache", unlogged=True), wide, table("moved"), empty, table("bare", key=())],
        [table("cache", unlogged=True), later, moved, empty, table("made"), table("bare", key=())],
    )

    assert [(each.shown, [c.name for c in each.columns], each.key) for each in compared] == [
        ("public.bare", ["id", "name"], ()),
        ("public.moved", ["id", "name"], ()),
        ("public.wide", ["id", "name"], ("id",)),
    ]
    assert [each.name for each in fresh] == ["made"]
    assert sorted(notes) == sorted(
        [
            "public.gone was dropped after the point",
            "public.cache is unlogged, a restore empties it: it is not compared",
            "public.wide has new only since after the point: compared is what both have, as text",
            "public.wide has twice, old no longer: compared is what both have, as text",
            "public.wide has name with another type: compared is what both have, as text",
            "public.moved has no key: its rows are known by all that is in them",
            "public.bare has no key: its rows are known by all that is in them",
            "public.empty has no column in common",
        ]
    )


@given(then=st.dictionaries(st.integers(0, 9), st.sampled_from("ab")),
       later=st.dictionaries(st.integers(0, 9), st.sampled_from("ab")))  # fmt: skip
def test_two_sorted_sides_differ_as_two_dicts_do(then: Side, later: Side) -> None:
    """Every key once, in order, with what happened to it."""
    sides = (iter([((key,), side[key]) for key in sorted(side)]) for side in (then, later))
    differences = [(each.key[0], each.kind) for each in merge(*sides)]

    def kind(key: int) -> Kind:
        return Kind.INSERTED if key not in then else Kind.DELETED if key not in later else Kind.CHANGED

    assert differences == [(key, kind(key)) for key in sorted({*then, *later}) if then.get(key) != later.get(key)]


@given(then=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 3)),
       later=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 3)))  # fmt: skip
def test_rows_without_a_key_differ_by_how_often_they_stand_there(then: dict[str, int], later: dict[str, int]) -> None:
    """More are inserted, fewer are deleted; the place is one of the side that has more."""
    sides = (iter([(d, side[d], f"{where} {d}") for d in sorted(side)]) for where, side in (("t", then), ("l", later)))
    differences = list(merge_counted(*sides))

    assert [(each.key[0], each.then, each.later) for each in differences] == [
        (d, then.get(d, 0), later.get(d, 0)) for d in sorted({*then, *later}) if then.get(d) != later.get(d)
    ]
    for each in differences:
        assert each.kind is (Kind.INSERTED if each.later > each.then else Kind.DELETED)
        assert str(each.key[1]).startswith("l" if each.kind is Kind.INSERTED else "t")


def test_rows_go_back_parents_first_and_are_deleted_children_first() -> None:
    """Only what was picked, only where there is something."""
    parent, child = found("parent", 1, 1, 1), found("child", 2, 0, 2)

    def listed(choice: Choice, *left_out: str) -> list[str]:
        return [f"{each.comparison.table.name} {kind}" for each, kind in steps([parent, child], choice, left_out)]

    assert listed(Choice.NOTHING) == []
    assert listed(Choice.INSERTED) == ["parent inserted", "child inserted"]
    assert listed(Choice.EVERYTHING) == [
        "parent inserted", "child inserted", "parent changed", "child deleted", "parent deleted"
    ]  # fmt: skip
    assert listed(Choice.EVERYTHING, "public.parent") == ["child inserted", "child deleted"]


def test_a_wrong_name_is_no_table_left_out() -> None:
    """Its rows would go back although a person said that they must not."""
    tables = [found("orders", 1, 0, 0), found("b", 1, 0, 0)]
    assert names_of(" public.orders,\npublic.b ,, none\n-") == ("public.b", "public.orders")
    assert names_of("none") == ()
    assert object_to(tables, ("public.b",)) is None
    assert (
        object_to(tables, ("public.order",)) == "public.order is none of the tables: they are public.b, public.orders"
    )


def test_a_page_shows_counts_and_no_row() -> None:
    """What was found, what stands above the form, and names that are no Markdown of their own."""
    odd = replace(found("o", 3, 2, 1), comparison=Comparison(table("<b>|`x", triggers=("audit_it",)), (ID,), ("id",)))
    page = show_export("shop", export(odd), "it is frozen")

    assert "# shop: 6 rows of 1 tables were written after shop-v1-1-0" in page
    assert r"| public.\<b\>\|\`x | 3 | 2 | 1 | audit\_it |" in page
    assert "Sequence public.s handed out numbers up to 9, it was at 3 at the point" in page
    assert r"- a \| note." in page
    question = ask_for_salvage("shop", export(odd), "no such table")
    assert question.startswith("**That does not go: no such table.**")
    assert all(f"*{choice}*" in question for choice in Choice)
    assert "no row was written" in show_export("shop", export(), "it is frozen")


def test_a_page_of_a_thousand_tables_is_cut_and_says_so() -> None:
    """Prefect's form has a limit; the export has all."""
    page = show_export("shop", export(*itertools.repeat(found("t", 1, 0, 0), 60)), "it is frozen")

    assert page.count("| public.t |") == 50
    assert "... and 10 more in summary.json" in page


def test_the_report_adds_up_and_says_what_no_longer_stands() -> None:
    """Read anew by keys: customers go on, and what was taken back may be gone."""
    applied = [Applied("public.t", Kind.INSERTED, 5, 3, 1, 1), Applied("public.t", Kind.DELETED, 2, 2, 0, 0)]
    same = [replace(each, applied=0, there=each.applied + each.there) for each in applied]
    assert summary("shop", applied) == "shop: 5 rows taken back, 1 were there already, 1 left alone for a person"
    assert changed_since(applied, same) == ()
    assert changed_since(applied, same[:1]) == ("public.t: 0 of 2 deleted rows",)

    page = report_salvage("shop", export(found("t", 5, 0, 2)), applied, same)

    assert "| public.t | inserted | 5 | 3 | 1 | 1 |" in page
    assert "Read anew: all stands." in page
    assert "ripcord.salvage_conflicts WHERE point = 'shop-v1-1-0'" in page
    assert "public.t: 0 of 2 deleted rows" in report_salvage("shop", export(), applied, same[:1])
    assert "salvage_conflicts" not in report_salvage("shop", export(), applied[1:], same[1:])
