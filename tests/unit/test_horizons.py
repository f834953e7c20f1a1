"""How far back a history must be read: what lies below can change neither the stable release nor anything above it."""

from dataclasses import dataclass

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from recovery.releases import Release, choose_stable
from recovery.reverts import History, horizon, sure_stable
from recovery.tags import next_below, versions_above
from recovery.versions import parse_version

FAULTY = parse_version("v2.0.0")
NAMES = st.builds("v{}.{}.{}{}".format, *[st.integers(0, 3)] * 3, st.sampled_from(["", "", "", "-rc.1"]))


@dataclass(frozen=True)
class World:
    """Releases, the tags that the faulty one contains, and those that commits on main say they took out."""

    releases: tuple[Release, ...]
    contained: frozenset[str]
    reverted: frozenset[str]
    quarantine: frozenset[str]


@st.composite
def _worlds(draw: st.DrawFn) -> World:
    names = draw(st.sets(NAMES, min_size=2, max_size=8))
    releases = [
        Release(number, name, name, draw(st.sampled_from(["", "", "> Taken back by v9.9.9"])), draw(st.booleans()) and
                draw(st.booleans()), False, None) for number, name in enumerate(sorted(names))
    ]  # fmt: skip
    few = st.frozensets(st.sampled_from(sorted(names)), max_size=2)
    return World(tuple(releases), frozenset(names - draw(few)), draw(few), draw(few))


def history(world: World, under: str = "v0.0.0-0") -> History:
    """What is read of a world when nothing at or below a version is."""
    lowest = parse_version(under)

    def above(names: frozenset[str]) -> list[str]:
        return [name for name in sorted(names) if lowest < parse_version(name)]

    contained = {name: f"commit of {name}" for name in [*above(world.contained), FAULTY.tag]}
    return History("h", contained[FAULTY.tag], True, (), contained, {}, (), (), {}, tuple(above(world.reverted)))


@given(world=_worlds(), number=st.integers(0, 7))
@settings(max_examples=200, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_is_sure_above_a_release_is_chosen_from_the_whole_history(world: World, number: int) -> None:
    """Whatever lies below, and without a doubt for which a person would be asked."""
    under = sorted((each.tag for each in world.releases), key=parse_version)[number % len(world.releases) // 2]
    part = history(world, under)
    sure = sure_stable(FAULTY, world.releases, part, world.quarantine, parse_version(under))
    assume(sure)

    whole = history(world)
    bad = {*world.quarantine, *whole.reverted}
    chosen = choose_stable(FAULTY, world.releases, whole.contained, bad, whole.on_main)

    assert (chosen.version, chosen.doubt) == (sure, None)


def test_the_newest_candidate_above_is_sure() -> None:
    """v1.1.0 lies in the release's history, and nothing newer does anywhere."""
    assert sure("v1.1.0", contained={"v1.1.0"}) == "v1.1.0"


def test_nothing_is_sure_where_an_older_one_might_be_chosen() -> None:
    """The newest lies elsewhere, was taken back, is known to be faulty, or is the one below which nothing was read."""
    assert sure("v1.1.0", contained=set()) is None
    assert sure("v1.1.0", contained={"v1.1.0"}, reverted={"v1.1.0"}) is None
    assert sure("v1.1.0", contained={"v1.1.0"}, quarantine={"v1.1.0"}) is None
    assert sure("v1.1.0", contained={"v1.1.0"}, under="v1.1.0") is None


def sure(
    newest: str,
    contained: set[str],
    reverted: set[str] | None = None,
    quarantine: set[str] | None = None,
    under: str = "v1.0.0",
) -> str | None:
    """Which of v1.0.0 and a newer one is sure."""
    releases = tuple(Release(number, tag, tag, "", False, False, None) for number, tag in enumerate(("v1.0.0", newest)))
    world = World(releases, frozenset(contained), frozenset(reverted or ()), frozenset(quarantine or ()))
    found = sure_stable(FAULTY, releases, history(world), world.quarantine, parse_version(under))
    return found.tag if found else None


def test_a_copy_ends_at_the_version_before_the_stable_one_whatever_it_is() -> None:
    """In numeric order, of the same prefix; a pre-release counts, what is no version does not."""
    tags = ["v1.9.0", "v1.10.0", "v1.10.0-rc.1", "v2.0.0", "shop/v1.9.9", "latest", "v1.9.0/old"]

    assert str(next_below(tags, parse_version("v1.10.0"))) == "v1.10.0-rc.1"
    assert str(next_below(tags, parse_version("v1.10.0-rc.1"))) == "v1.9.0"
    assert next_below(tags, parse_version("v1.9.0")) is None
    assert versions_above(tags, parse_version("v1.9.0")) == ["v1.10.0", "v1.10.0-rc.1", "v2.0.0"]


def test_the_second_candidate_is_the_horizon_unless_a_person_chose() -> None:
    """Nothing is left out where only one could be gone back to."""
    three = [Release(number, f"v1.{number}.0", "", "", False, False, None) for number in range(3)]

    assert str(horizon(FAULTY, three, ())) == "v1.1.0"
    assert str(horizon(FAULTY, three, {"v1.1.0"})) == "v1.0.0"
    assert horizon(FAULTY, three, (), to="v1.1.0") is None
    assert horizon(FAULTY, three[:1], ()) is None
