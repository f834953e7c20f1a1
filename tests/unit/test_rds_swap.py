"""The exchange of two names on RDS, walked through everything that can be seen, killed and lost on the way."""

import itertools
from dataclasses import dataclass, replace

import pytest

from recovery.rds import AVAILABLE, HOPELESS, Managed, Names
from recovery.rds_swap import Act, Sighting, SwapStep, Who, next_step, sighted

NAMES = Names("shop", "shop-damaged-v1-2-0", "shop-restored-v1-2-0")
POINT = "shop-v1.2.0-1-0a1b2c3d"


@dataclass(frozen=True)
class World:
    """What RDS has: the name of each database, and the name that a rename under way will give it."""

    damaged: str
    restored: str
    damaged_to: str | None = None
    restored_to: str | None = None

    def seen(self) -> dict[str, Sighting | None]:
        """As RDS describes it: a database that is being renamed has its old name and another status."""
        found: dict[str, Sighting | None] = dict.fromkeys((NAMES.final, NAMES.damaged, NAMES.restored))
        for who, name, to in (
            (Who.DAMAGED, self.damaged, self.damaged_to),
            (Who.RESTORED, self.restored, self.restored_to),
        ):
            found[name] = Sighting(who, "renaming" if to else AVAILABLE)
        return found

    def hidden(self) -> list[dict[str, Sighting | None]]:
        """The same while RDS shows a database that is being renamed under neither name."""
        seen = self.seen()
        moving = [name for name, to in ((self.damaged, self.damaged_to), (self.restored, self.restored_to)) if to]
        return [{**seen, name: None} for name in moving]

    def renamed(self, step: SwapStep) -> "World":
        """RDS takes the call, as it takes no other: of a name that is there, to one that nobody has or gets."""
        assert step.new not in (self.damaged, self.restored, self.damaged_to, self.restored_to)
        if step.old == self.damaged and self.damaged_to is None:
            return replace(self, damaged_to=step.new)
        assert (step.old, self.restored_to) == (self.restored, None)
        return replace(self, restored_to=step.new)

    def later(self) -> "World":
        """What was under way is done."""
        return World(self.damaged_to or self.damaged, self.restored_to or self.restored)


def test_it_ends_with_the_restored_one_under_the_name_from_every_state_and_after_every_death() -> None:
    """Every state that can be reached is walked on from, seen and half seen; each ends in the same two names."""
    begin = World(NAMES.final, NAMES.restored)
    reached, left, ends = {begin}, [begin], set()
    while left:
        world = left.pop()
        for seen in (world.seen(), *world.hidden()):
            step = next_step(NAMES, seen)
            assert step.act is not Act.STOP, (world, step.reason)
            if step.act is Act.DONE:
                ends.add((world.damaged, world.restored))
                continue
            # A wait looks again later; a rename is taken, or its call was lost and RDS is as it was.
            following = [world.later()] if step.act is Act.WAIT else [world, world.renamed(step)]
            left += [each for each in following if each not in reached]
            reached |= set(following)

    assert ends == {(NAMES.damaged, NAMES.final)}
    assert len(reached) == 5  # at rest, giving away, given, taking, taken: none was left out


def test_one_walk_renames_the_damaged_one_first_and_each_once() -> None:
    """RDS takes no name that is in use."""
    world, walked = World(NAMES.final, NAMES.restored), []
    while (step := next_step(NAMES, world.seen())).act is not Act.DONE:
        if step.act is Act.RENAME:
            walked.append((step.old, step.new))
        world = world.renamed(step) if step.act is Act.RENAME else world.later()

    assert walked == [(NAMES.final, NAMES.damaged), (NAMES.restored, NAMES.final)]


SIGHTINGS = [None, *(Sighting(who, status) for who in Who for status in (AVAILABLE, "renaming", "failed"))]


@pytest.mark.parametrize("final", SIGHTINGS, ids=str)
def test_nothing_is_renamed_but_what_is_known_and_at_rest(final: Sighting | None) -> None:
    """Of everything that could be seen, a thousand combinations: no stranger is touched, no name is taken twice."""
    for damaged, restored in itertools.product(SIGHTINGS, SIGHTINGS):
        seen = {NAMES.final: final, NAMES.damaged: damaged, NAMES.restored: restored}

        step = next_step(NAMES, seen)

        every = [each for each in seen.values() if each]
        if step.act is Act.RENAME:
            assert seen[step.new] is None
            assert {each.status for each in every} == {AVAILABLE}
            assert sorted(each.who for each in every) == [Who.DAMAGED, Who.RESTORED]
            who = seen[step.old]
            assert who
            assert who.who is (Who.DAMAGED if step.new == NAMES.damaged else Who.RESTORED)
        if step.act is Act.DONE:
            assert final == Sighting(Who.RESTORED, AVAILABLE)
        if any(each.who is Who.FOREIGN or each.status in HOPELESS for each in every):
            assert step.act is Act.STOP
        assert step.reason


def test_a_database_is_known_by_our_tag_and_by_the_id_that_no_rename_changes() -> None:
    """Neither by its name, nor by its place."""
    seen = Managed("shop", AVAILABLE, "h", 5432, "db-ONE", 7, None)
    ours = replace(seen, resource="db-TWO", tags={"ripcord:restored-to": POINT})

    assert sighted(seen, POINT, "db-ONE") == Sighting(Who.DAMAGED)
    assert sighted(replace(seen, resource="db-TWO"), POINT, "db-ONE") == Sighting(Who.FOREIGN)
    assert sighted(ours, POINT, "db-ONE") == Sighting(Who.RESTORED)
    assert sighted(ours, "shop-v1.3.0-1-ffffffff", "db-ONE") == Sighting(Who.FOREIGN)
    assert sighted(None, POINT, "db-ONE") is None
