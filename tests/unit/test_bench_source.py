"""The figures of the bench: what a table says of what was measured."""

import pytest

from infra.bench.history import Size, repository, stream, text
from infra.bench.source import Run, figures, received, seconds, steps, table

SIZE = Size(commits=40, files=20, touched=6)


def shown(ours: list[Run], until_pushed: float = 1.0) -> dict[str, list[str]]:
    """The table's rows by their first cell, where the raw tools took 1 s, and the clone 10 s and 30 MB.

    Warm, the proof took 5 s more than all until the push.
    """
    warm = [Run(until_pushed + 5, 0, steps=(("push", until_pushed), ("prove", 5.0)))]
    made = table(SIZE, [Run(1, 0)], [Run(10, 30)], ours, warm, {})
    columns = [list(column.cells) for column in made.columns]
    return {str(cells[0]): [str(cell) for cell in cells[1:]] for cells in zip(*columns, strict=True)}


def test_figures_are_the_number_of_runs_and_the_least_the_middle_and_the_most() -> None:
    """In whatever order they were measured."""
    assert figures([3.0, 1.0, 2.0]) == ("3", "1.00", "2.00", "3.00")


def test_each_step_has_its_own_median() -> None:
    """Steps are not added up."""
    runs = [Run(3, 0, steps=(("push", each), ("prove", 10 * each))) for each in (1.0, 2.0, 9.0)]

    assert steps(runs) == {"push": 2.0, "prove": 20.0}


def test_seconds_and_megabytes_are_not_mixed_up() -> None:
    """Both are plain numbers."""
    assert (seconds([Run(1, 2)]), received([Run(1, 2)])) == ([1], [2])


def test_at_the_limit_it_holds_and_above_it_does_not() -> None:
    """One second, three megabytes, 150 MB, twice the raw floor."""
    at, above = shown([Run(1.0, 3.0, 150.0)], 2.0), shown([Run(1.01, 3.01, 150.01)], 2.01)

    assert [row[-1] for row in at.values() if row[-1]] == ["yes"] * 5
    assert [row[-1] for row in above.values() if row[-1]] == ["NO", "NO", "NO", "yes", "NO"]


def test_the_raw_floor_is_held_against_what_lies_before_the_push_alone() -> None:
    """The raw tools read nothing again after it; both sums stand in the table."""
    rows = shown([Run(1.0, 3.0, 150.0)], 1.5)

    assert rows["ripcord, warm: plan, laws, push; s"][:2] == ["1", "1.50"]
    assert rows["ripcord, warm, and the proof from a fresh clone; s"][:2] == ["1", "6.50"]


def test_one_run_above_the_limit_is_enough_for_it_not_to_hold() -> None:
    """The middle one does not speak for all."""
    rows = shown([Run(0.5, 1.0, 100.0), Run(0.6, 1.0, 100.0), Run(1.1, 1.0, 100.0)])

    assert rows["ripcord: plan, push, prove, no local copy; s"] == ["3", "0.50", "0.60", "1.10", "at most 1", "NO"]


def test_the_script_of_a_history_knows_neither_clock_nor_chance() -> None:
    """It reads the same whenever it is written, and another size reads otherwise."""
    assert b"".join(stream(SIZE)) == b"".join(stream(SIZE))
    assert b"".join(stream(SIZE)) != b"".join(stream(Size(41, 20, 6)))


def test_each_commit_leaves_a_file_that_no_other_left() -> None:
    """Else it would be an empty commit."""
    left = [text("a", number) for number in range(200)]

    assert len(set(left)) == 200


@pytest.mark.parametrize("size", [Size(28, 20, 6), Size(40, 20, 11)])
def test_a_history_without_room_for_its_release_is_not_made(size: Size) -> None:
    """Too few commits, or more files touched than later work leaves alone."""
    with pytest.raises(ValueError, match="a history needs more than"):
        repository(size)
