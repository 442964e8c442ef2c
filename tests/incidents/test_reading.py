"""Incidents that began with a list: docs/incidents.md, rows about reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reconciler.messages.codec import ListPage
from reconciler.model.change import Action
from reconciler.model.plan import Verdict
from reconciler.model.resource import Kind
from reconciler.model.tenant import Limits, Owned, Ownership, Removal, UserRemoval
from tests.cli.conftest import StartSandbox
from tests.cli.workplace import Service, Workplace
from tests.fakes.directory_service import DirectoryService
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import DROP, Answer, Seen
from tests.states import World, applied, desired_group, desired_state, desired_user, tenant_for

PEOPLE = ("ann", "bob", "cyd", "dan", "eve", "fay")
AGENT = {"value": "Agent"}


@dataclass
class MisreadService(DirectoryService):
    """A directory whose pages of users pass through `misread` on their way out."""

    misread: Callable[[ListPage], ListPage] | None = None
    scans: int = field(default=0)

    def list_page(self, kind: Kind, start_index: int, count: int, filter: str | None = None) -> ListPage:  # noqa: A002
        """One page, as it was misread."""
        page = super().list_page(kind, start_index, count, filter)
        if kind is Kind.GROUP or self.misread is None:
            return page
        self.scans += start_index == 1
        return self.misread(page)


def _page(page: ListPage, *rows: int) -> ListPage:
    """The same page with these of its rows, under the same total."""
    resources = [page.resources[row] for row in rows]
    return ListPage(resources=resources, total=page.total, start_index=page.start_index, items_per_page=len(resources))


def _staff(**tenant: object) -> World:
    """Six people, all of them declared and remembered, of whom git owns everything, read in pages of two."""
    service = MisreadService()
    for number, name in enumerate(PEOPLE):
        service.add_user(f"u{number}", name, externalId=str(number), roles=[AGENT])
    documents = [desired_user(name, externalId=str(number), roles=[AGENT]) for number, name in enumerate(PEOPLE)]
    settings = {
        "ownership": Ownership(users=Owned.ALL),
        "removal": Removal(users=UserRemoval.DELETE),
        "limits": Limits(page_size=2),
        **tenant,
    }
    world = World(service, tenant=tenant_for(**settings))
    return world.wanting(*documents).remembering(desired_state(*documents))


def _misread(world: World, misread: Callable[[ListPage], ListPage]) -> MisreadService:
    assert isinstance(world.service, MisreadService)
    world.service.misread = misread
    return world.service


@pytest.mark.parametrize("first_empty", [3, 1], ids=["two-of-six", "nobody"])
def test_a_short_read_never_looks_like_nobody_is_there(first_empty: int) -> None:
    """INCIDENTS "A short or failed read": awslabs/ssosync #194, #236, #278; slashdevops/idp-scim-sync #70.

    P4: nobody is removed, nobody can be created anew, and no option lets it through.
    """
    world = _staff()
    _misread(world, lambda page: _page(page) if (page.start_index or 0) >= first_empty else page)
    plan = world.plan(allowed=dict.fromkeys(("removal-share", "access-loss", "missing-share", "update-share")))
    assert not plan.inventory.complete
    assert not {change.action for change in plan.changes} & {Action.DELETE, Action.DEACTIVATE}
    assert world.verdict("incomplete-inventory", allowed={"incomplete-inventory": None}) is Verdict.REFUSE


def test_who_is_gone_from_git_is_not_gone_for_good_on_a_short_read() -> None:
    """INCIDENTS "A short or failed read": awslabs/ssosync #194; argoproj/argo-cd #14090.

    Even what git does give up is not deleted while the list is short.
    """
    world = _staff()
    short = world.wanting(*world.desired.users[:-1])
    _misread(short, lambda page: page if page.start_index != 5 else _page(page))
    assert not any(change.action is Action.DELETE and change.key.name != "fay" for change in short.plan().changes)
    assert short.verdict("incomplete-inventory") is Verdict.REFUSE


@pytest.mark.parametrize("answer", [Answer(500), Answer(200, b""), Answer(200, {"detail": "quota exceeded"}), DROP])
@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes")], ids=["plan", "apply"])
def test_a_failed_read_ends_the_run_before_anything_is_written(
    acme: Workplace, sandbox: Service, answer: Answer, command: tuple[str, ...]
) -> None:
    """INCIDENTS "A short or failed read": argoproj/argo-cd #15058, #14090; awslabs/ssosync #194.

    Also an answer with status 200 that is no list: an error, never a tenant without people.
    """

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        return answer if "/Users?" in seen.path else pass_on()

    with interposed(sandbox.origin, hook) as (hop, origin):
        acme.tenant(f"{origin}/scim/v2")
        ended = acme.run(*command)
        assert {seen.method for seen in hop.seen} == {"GET"}
    assert ended.code == 1, ended.out + ended.err
    assert set(sandbox.all("Users")) == {f"{name}@example.com" for name in ("ann", "bob", "cyd", "dan")}


def test_who_was_taken_out_by_mistake_comes_back_as_the_same_person() -> None:
    """INCIDENTS "A short or failed read": awslabs/ssosync #236, #278. New ids lost permissions for good.

    Deactivate before delete: by default nobody is deleted, and the way back is the same id with the same access.
    """
    world = _staff(removal=Removal())
    world.service.add_group("g", "Team", *world.service.users)
    everybody: tuple[Any, ...] = (
        *world.desired.users,
        desired_group("Team", members=[{"user": name} for name in PEOPLE]),
    )
    without_fay: tuple[Any, ...] = (
        *world.desired.users[:-1],
        desired_group("Team", members=[{"user": name} for name in PEOPLE[:-1]]),
    )
    mistake = world.remembering(desired_state(*everybody)).wanting(*without_fay)
    assert [change.action for change in mistake.plan().changes if change.key.name == "fay"] == [Action.DEACTIVATE]
    assert applied(mistake.run())
    back = world.wanting(*everybody).remembering(
        desired_state(*without_fay), released={world.service.id_of("fay"): "2026-05-01T00:00:00Z"}
    )
    assert [change.action for change in back.plan().changes if change.key.name == "fay"] == [Action.REACTIVATE]
    assert applied(back.run())
    assert list(world.service.users) == [f"u{number}" for number in range(len(PEOPLE))]
    assert world.service.users["u5"]["active"] is True
    assert world.service.users["u5"]["roles"] == [AGENT]
    assert world.service.members_of("Team") == set(PEOPLE)


def _shifted(page: ListPage) -> ListPage:
    """One row comes a second time, and another never, under a total that is right."""
    if page.start_index != 3:
        return page
    again = {**page.resources[0], "id": "u1", "userName": "bob", "externalId": "1"}
    return ListPage(resources=[again, page.resources[1]], total=page.total, start_index=3, items_per_page=2)


def test_pages_that_shift_once_are_read_again_and_nobody_is_missing() -> None:
    """INCIDENTS "Pages shift while listing": snipe/snipe-it PR #19343; wso2/product-is #9957, #27973."""
    world = _staff()
    service = _misread(world, lambda page: _shifted(page) if service.scans == 1 else page)
    plan = world.plan()
    assert service.scans == 2
    assert plan.inventory.complete
    assert plan.changes == ()


def test_pages_that_shift_again_and_again_remove_nobody_and_create_nobody() -> None:
    """INCIDENTS "Pages shift while listing": Captain-P-Goldfish/scim-for-keycloak #157; wso2/product-is #27973.

    The rows are as many as the total says, and all the same one person was never listed.
    """
    world = _staff()
    _misread(world, _shifted)
    plan = world.plan()
    assert not plan.inventory.complete
    assert not {change.action for change in plan.changes} & {Action.DELETE, Action.DEACTIVATE}
    assert "incomplete-inventory" in {guard.id for guard in plan.refused_by}


def test_where_the_filter_is_ignored_the_first_row_is_not_adopted(work: Workplace, start_sandbox: StartSandbox) -> None:
    """INCIDENTS "Filter ignored": Metatavu/keycloak-scim-server #46; langwatch/langwatch #6973.

    The answers to the creates are lost, so each is looked up, by a filter that nobody heeds: every row is held against
    the filter, and the stranger who is first on the list stays as they are.
    """
    service = start_sandbox(supports_bulk=False)
    service.create("Users", userName="aaa@example.com", externalId="somebody", title="Visitor")
    work.organisation(service.base_url)
    unfiltered: list[str] = []

    def hook(seen: Seen, pass_on: PassOn) -> Answer:
        if seen.method == "POST" and "/Users" in seen.path:
            pass_on()
            return DROP
        if "filter" not in parse_qs(urlsplit(seen.path).query):
            return pass_on()
        unfiltered.append(seen.path)
        _, everybody = service.call("GET", f"/{urlsplit(seen.path).path.rpartition('/')[2]}")
        return Answer(body=everybody)

    with interposed(service.origin, hook) as (_, origin):
        work.tenant(f"{origin}/scim/v2", limits={"requestsPerMinute": 60000, "pageSize": 1})
        ended = work.run("apply", "--yes")
    assert unfiltered, ended.out
    assert ended.code == 0, ended.out + ended.err
    users = service.all("Users")
    assert len(users) == 5, ended.out
    assert (users["aaa@example.com"]["title"], users["aaa@example.com"]["externalId"]) == ("Visitor", "somebody")
    assert {users[f"{name}@example.com"]["title"] for name in ("ann", "bob", "dan")} == {"Agent"}
    assert users["aaa@example.com"]["id"] not in json.dumps(work.receipts()[-1])
