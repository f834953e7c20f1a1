"""The catalogue: what a mistake in it is called, and what follows when nothing is said."""

from pathlib import Path

import pytest

from recovery.catalog import Limits, Probe, Service, parse_catalogue
from recovery.databases import Database, Smoke
from recovery.errors import Refused

SHOP = "services: [{{name: shop, namespace: acme, repository: acme/shop, {more}}}]"


@pytest.mark.parametrize(
    ("more", "nearest"),
    [
        ("limits: {avialability: 0.99}", "availability"),
        ("limits: {minimum_request: 10}", "minimum_requests"),
        ("deploymnet: web", "deployment"),
        ("probes: [{base_ulr: http://x, steps: []}]", "base_url"),
        ("probes: [{base_url: http://x, steps: [{paht: /}]}]", "path"),
        ("database: {url_variabel: URL}", "url_variable"),
        ("database: {smoke: [{sqll: SELECT 1}]}", "sql"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_of_its_place(more: str, nearest: str) -> None:
    """At each level of the file."""
    with pytest.raises(Refused, match=f"did you mean '{nearest}'"):
        parse_catalogue(SHOP.format(more=more))


def test_a_key_near_nothing_is_answered_with_those_there_are() -> None:
    """Of a step: method, path, body."""
    with pytest.raises(Refused, match="known are method, path, body"):
        parse_catalogue(SHOP.format(more="probes: [{base_url: http://x, steps: [{path: /, zzzz: 1}]}]"))


def test_all_mistakes_are_told_at_once() -> None:
    """Nobody mends a file one sentence at a time."""
    with pytest.raises(Refused) as refused:
        parse_catalogue(SHOP.format(more="watch: soon, limits: {errors: 0}"))

    assert "services.0.watch" in str(refused.value)
    assert "services.0.limits.errors" in str(refused.value)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.1])
def test_a_limit_is_a_share_between_none_and_all(share: float) -> None:
    """A limit of 0 or 1 would blame everything or nothing."""
    with pytest.raises(Refused, match=r"services\.0\.limits\.availability"):
        parse_catalogue(SHOP.format(more=f"limits: {{availability: {share}}}"))


@pytest.mark.parametrize("branch", ["--force", "-x", "a b", "", "$(id)"])
def test_a_branch_cannot_be_an_option_of_git(branch: str) -> None:
    """It begins with a letter or digit, and holds nothing that a shell reads."""
    with pytest.raises(Refused, match=r"services\.0\.main"):
        parse_catalogue(SHOP.format(more=f"main: {branch!r}"))


@pytest.mark.parametrize("place", ["relative", "/a b", "/a/../b", "/%f", "/a'b", "/", "/$(id)"])
def test_a_directory_of_backups_holds_nothing_that_a_shell_reads(place: str) -> None:
    """PostgreSQL hands it to one in its restore_command."""
    with pytest.raises(Refused, match=r"services\.0\.database\.backups"):
        parse_catalogue(SHOP.format(more=f'database: {{url_variable: URL, archive: /a, backups: "{place}"}}'))


@pytest.mark.parametrize("secret", ["postgresql://u:p@h/db", "host=h password=p", "lower_case"])
def test_a_conninfo_cannot_stand_in_the_catalogue(secret: str) -> None:
    """Only the name of the variable that holds it."""
    with pytest.raises(Refused, match=r"services\.0\.database\.url_variable"):
        parse_catalogue(SHOP.format(more=f'database: {{url_variable: "{secret}", archive: /a, backups: /b}}'))


@pytest.mark.parametrize(
    "places",
    ["", "archive: /a, barman: {server: shop}", "barman: {server: shop}, pgbackrest: {stanza: shop}",
     "archive: /a, bucket: {name: wal, region: eu-central-1, restore_command: get %f %p}"],
)  # fmt: skip
def test_finished_wal_goes_to_one_place(places: str) -> None:
    """None, or two of them: it is not known which the gate is to look into."""
    with pytest.raises(Refused, match="name one place where finished WAL goes"):
        parse_catalogue(SHOP.format(more=f"database: {{url_variable: URL, backups: /b, {places}}}"))


@pytest.mark.parametrize("command", ["get %f", "get %p", "get", "get %f\\n%p"])
def test_a_restore_command_says_what_and_whereto(command: str) -> None:
    """PostgreSQL fills in both."""
    bucket = f'bucket: {{name: wal, region: eu-central-1, restore_command: "{command}"}}'
    with pytest.raises(Refused, match="must name the segment, %f, and where it goes, %p, in one line"):
        parse_catalogue(SHOP.format(more=f"database: {{url_variable: URL, backups: /b, {bucket}}}"))


def test_a_service_that_is_not_there_is_answered_with_those_that_are() -> None:
    """The way out stands in the sentence."""
    with pytest.raises(Refused, match="no service 'shp' in the catalogue: it has shop"):
        parse_catalogue(SHOP.format(more="")).service("shp")


def test_deployment_and_container_are_called_as_the_service_unless_named() -> None:
    """A convention, and its exception."""
    shop = parse_catalogue(SHOP.format(more="")).service("shop")
    named = parse_catalogue(SHOP.format(more="deployment: web, container: app")).service("shop")

    assert (shop.workload, shop.image_container) == ("shop", "shop")
    assert (named.workload, named.image_container) == ("web", "app")


def test_the_catalogue_that_is_shipped_is_valid() -> None:
    """And every key of it carries a description."""
    text = (Path(__file__).parents[2] / "deployments" / "services.yaml").read_text()

    assert parse_catalogue(text).services
    for model in (Database, Limits, Probe, Service, Smoke):
        undescribed = {key for key, field in model.model_fields.items() if not field.description}
        assert undescribed <= {"name", "limits", "probes", "migrations"}
