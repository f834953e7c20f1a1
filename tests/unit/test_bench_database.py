"""What the table of the database's bench says of what was measured."""

from collections.abc import Sequence
from itertools import zip_longest

from infra.bench.database import Cold, Cutover, Measured, Walk, table


def shown(
    waits: Sequence[float] = (0.1,),
    errors: tuple[str, ...] = (),
    cold: Sequence[float] = (10.0,),
    proved: Sequence[float] = (9.0,),
    tps: Sequence[float] = (1.0,),
    small: Sequence[Cutover] = (),
) -> dict[str, list[str]]:
    """The table's rows by their first cell; of the raw tools a backup takes eight seconds, and a restore ten."""
    raised = [
        Cold(8.0, 10.0, to_proved, Cutover(99.0, engine, (9.0,)))
        for engine, to_proved in zip_longest(cold, proved, fillvalue=1.0)
    ]
    made = table(1, Measured([Cutover(3.0, 1.0, tuple(waits), errors)], raised, [30.0], [0.5], tps, small))
    columns = [list(column.cells) for column in made.columns]
    return {str(cells[0]): [str(cell) for cell in cells[1:]] for cells in zip(*columns, strict=True)}


def words(rows: dict[str, list[str]]) -> list[str]:
    """Whether each limit holds."""
    return [row[-1] for row in rows.values() if row[-1]]


def test_at_its_limit_each_holds() -> None:
    """Half a second for the middle client, two for the slowest, no error, the engine's own and a little, 95 %."""
    assert words(shown((0.5, 0.5, 2.0), cold=(10.5,), tps=(0.95,), proved=(9.0,))) == ["yes"] * 5
    assert words(shown((0.5, 0.5, 2.0), small=[Cutover(1.0, 1.0, (0.25,))]))[1] == "yes"


def test_above_its_limit_none_holds() -> None:
    """Each is told for itself."""
    assert words(shown((0.51,), ("lost",), cold=(10.51,), tps=(0.94,), proved=(9.01,))) == ["NO"] * 5
    assert words(shown((0.1, 0.1, 2.1))) == ["NO", "yes", "yes", "yes", "yes"]
    assert words(shown((0.5, 0.5, 2.0), small=[Cutover(1.0, 1.0, (0.24,))]))[1] == "NO"
    assert words(shown(small=[Cutover(1.0, 1.0, (0.25,), ("lost",))]))[2] == "NO"


def test_the_slowest_client_of_a_few_is_the_p99() -> None:
    """Below a hundred of them there is no other."""
    waits = [0.1] * 20 + [3.0]

    row = shown(waits)["by parachute: each client's longest wait; s"]

    assert row == ["21", "0.10", "0.10", "3.00", "p50 at most 0.5, p99 2", "NO"]


def test_the_middle_run_is_held_to_what_the_raw_tools_took_beside_it() -> None:
    """One slow run of three is the machine's; two are ours."""
    rows = shown(cold=(10.1, 10.5, 30.0), proved=(1.0, 9.01, 9.01), tps=(0.1, 0.95, 1.0))

    assert rows["cold above raw; s"] == ["3", "0.10", "0.50", "20.00", "at most 0.5", "yes"]
    assert rows["proof above raw; s"] == ["3", "-7.00", "1.01", "1.01", "at most 1", "NO"]
    assert rows["the same, with its own disk and core"][-1] == "yes"


def test_no_limit_is_held_against_cores_that_are_shared() -> None:
    """That row tells only what it is."""
    assert shown()["TPS armed, of those before, on shared cores"] == ["1", "0.50", "0.50", "0.50", "-", ""]


def test_the_way_to_the_proof_begins_at_the_point_and_leaves_out_amcheck() -> None:
    """The steps around it are not in it."""
    steps = {"take backup": 8.0, "make restore point": 0.5, "prove way back": 9.0, "look for damage": 3.0,
             "from the point to its proof": 11.0}  # fmt: skip

    assert Walk(30.0, steps).to_proved == 8.0


def test_what_an_engine_does_is_neither_looking_nor_leading() -> None:
    """The comparison and amcheck, which are in the step that has the server stand, are not in it."""
    steps = {"check set again": 1.0, "ready side": 9.0, "stand": 2.0, "look for damage": 6.0, "promote restored": 0.25,
             "lead clients": 0.5}  # fmt: skip

    assert Walk(20.0, steps).as_an_engine == 2.25
