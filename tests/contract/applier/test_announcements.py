"""What a service announces and what it has are two things: either way it converges, and plan and report say how."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.organisations import SMALL, write
from tests.cli.workplace import Ended, Service, Workplace
from tests.contract.targets import TARGETS, FeatureSet, running
from tests.fakes.interposed import PassOn, interposed
from tests.fakes.scripted_service import Answer, ScriptedService, Seen

Announced = dict[str, Any] | None
DISCOVERY = ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas")
EVERYTHING: dict[str, Any] = {
    "patch": {"supported": True},
    "bulk": {"supported": True, "maxOperations": 50, "maxPayloadSize": 1_048_576},
    "filter": {"supported": True, "maxResults": 100},
    "sort": {"supported": True},
    "etag": {"supported": True},
}


@dataclass
class Office:
    """A desk before a service that announces something else than it has; `status` is how it refuses what it lacks."""

    work: Workplace
    service: Service
    hop: ScriptedService
    base_url: str
    announced: Announced
    status: int | None = None

    def answer(self, seen: Seen, pass_on: PassOn) -> Answer:
        """What the service says: about itself something else, and no to what it lacks in words of its own."""
        if seen.path.endswith(DISCOVERY):
            return Answer(status=404) if self.announced is None else Answer(body=self.announced)
        found = pass_on()
        return Answer(status=self.status) if found.status == 501 and self.status is not None else found

    def write(self, revision: str, **settings: Any) -> Path:
        """The files of one revision."""
        users, groups = SMALL.before() if revision == "before" else SMALL.after()
        write(self.work.folder / revision / "acme", self.work.tenant(self.base_url, **settings), users, groups)
        return self.work.folder / revision

    def plan(self, root: Path, format_: str = "json") -> Ended:
        """The plan of now."""
        return self.work.run("plan", "--root", root, "--format", format_)

    def apply(self, root: Path, format_: str = "text") -> Ended:
        """Apply, with every guard let through that refuses; what was asked before is forgotten."""
        [plan] = self.plan(root).lines
        allow = [f"--allow={guard['id']}" for guard in plan["guards"] if guard["verdict"] == "refuse"]
        self.hop.seen.clear()
        ended = self.work.run("apply", "--root", root, "--yes", "--format", format_, *allow)
        assert ended.code == 0, ended.err + ended.out
        return ended

    def check_converged(self, root: Path) -> None:
        """Nothing is left to do, and everybody is there once."""
        assert self.work.run("plan", "--root", root, "--detailed-exitcode").code == 0
        created = SMALL.created_users, SMALL.created_groups
        more_users, more_groups = created if root.name == "after" else (0, 0)
        assert len(self.service.all("Users")) == SMALL.users + more_users
        assert len(self.service.all("Groups")) == SMALL.groups + more_groups

    @property
    def asked(self) -> Counter[tuple[str, str]]:
        """How often each (method, endpoint) was asked for since the last apply began."""
        return Counter((seen.method, seen.path.partition("/v2/")[2].partition("/")[0]) for seen in self.hop.seen)


Open = Callable[..., Office]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens an office: what the service has, what it announces, how it refuses what it lacks."""
    with ExitStack() as stack:

        def run(features: FeatureSet, announced: Announced, status: int | None = None) -> Office:
            service = stack.enter_context(running(features, tmp_path))

            def hook(seen: Seen, pass_on: PassOn) -> Answer:
                return opened.answer(seen, pass_on)

            hop, origin = stack.enter_context(interposed(service.origin, hook))
            base_url = service.base_url.replace(service.origin, origin)
            opened = Office(Workplace(tmp_path, monkeypatch), service, hop, base_url, announced, status)
            return opened

        yield run


def _lacking(*off: str) -> FeatureSet:
    return FeatureSet(name="-".join(("no", *off)), off=off)


@pytest.mark.parametrize("server", TARGETS)
@pytest.mark.parametrize("status", [None, 403, 404, 405])
def test_bulk_that_is_announced_and_refused_is_tried_once_a_run(office: Open, server: str, status: int | None) -> None:
    """SPEC section 4: worked around within the run, nothing twice, and the report says so."""
    at = office(_lacking("bulk").on(server), EVERYTHING, status)
    for revision in ("before", "after"):
        root = at.write(revision)
        assert "bulk requests of at most 50 operations" in at.plan(root, "text").out
        ended = at.apply(root)
        assert at.asked["POST", "Bulk"] == 1
        said = f"the service answered {status or 501}"
        assert f"bulk requests are announced and not done: each change is a request of its own ({said}" in ended.out
        assert any("`dialect: {bulk: off}`" in note for note in at.work.receipts()[-1]["notes"])
        at.check_converged(root)
    again = at.plan(at.write("quiet", dialect={"bulk": "off"}), "text")
    assert "no bulk: each change is a request of its own" in again.out


@pytest.mark.parametrize("server", TARGETS)
@pytest.mark.parametrize(("off", "status"), [(("patch",), None), (("patch",), 405), (("bulk", "patch"), None)])
def test_patch_that_is_announced_and_refused_becomes_put(
    office: Open, server: str, off: tuple[str, ...], status: int | None
) -> None:
    """scim-rfc.md section 7: 501 or 405 means PUT; also for operations inside a bulk request."""
    at = office(_lacking(*off).on(server), EVERYTHING, status)
    at.apply(at.write("before"))
    root = at.write("after")
    ended = at.apply(root)
    for kind in ("User", "Group"):
        assert f"PATCH is announced and not done on a {kind}: updates send the whole resource (PUT)" in ended.out
        if "bulk" in off:
            assert at.asked["PATCH", f"{kind}s"] == 1
    at.check_converged(root)


@pytest.mark.parametrize("server", TARGETS)
def test_versions_that_are_announced_and_never_given_are_gone_without(office: Open, server: str) -> None:
    """SPEC P3: found out while reading, each resource is compared before it is written, and the plan says so."""
    at = office(_lacking("etag").on(server), EVERYTHING)
    at.apply(at.write("before"))
    root = at.write("after")
    [plan] = at.plan(root).lines
    assert plan["capabilities"]["etag"] is False
    assert any(
        note == "versions (ETag) are announced or assumed, and not given" for note in plan["capabilities"]["notes"]
    )
    updates = [change["precondition"]["kind"] for change in plan["changes"] if change["action"] != "create"]
    assert set(updates) == {"compare"}
    assert f"Compared, not guarded by a version: {len(updates)} of {len(plan['changes'])}" in at.plan(root, "text").out
    ended = at.apply(root)
    assert len(at.hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
    assert "no versions: each resource is read and compared right before it is written" in ended.out
    at.check_converged(root)


@pytest.mark.parametrize("server", TARGETS)
def test_cursors_that_are_announced_and_not_given_are_done_without(office: Open, server: str) -> None:
    """RFC 9865: a service that pages by index answers 501 or ignores the cursor; the lists are read all the same."""
    by_index = FeatureSet(name="by-index", max_results=20).on(server)
    at = office(by_index, {**EVERYTHING, "pagination": {"cursor": True, "index": True}})
    for revision in ("before", "after"):
        root = at.write(revision)
        at.apply(root)
        at.check_converged(root)


@pytest.mark.parametrize(("server", "profile"), [("sandbox", "cxone"), *((server, "rfc7644") for server in TARGETS)])
@pytest.mark.parametrize(
    "announced", [None, {}, {"bulk": {"supported": False}}, {"patch": {"supported": "true"}}], ids=str
)
def test_q21_what_a_service_does_not_say_is_assumed_from_the_profile(
    office: Open, server: str, announced: Announced, profile: str
) -> None:
    """scim-rfc.md section 13: never "unsupported" by silence, and every assumption is in the plan."""
    at = office(FeatureSet(name="full").on(server), announced)
    urls = {"baseUrl": at.base_url, "serviceProviderConfigUrl": f"{at.base_url}/ServiceProviderConfig"}
    for revision in ("before", "after"):
        root = at.write(revision, profile=profile, scim=urls)
        [plan] = at.plan(root).lines
        can = plan["capabilities"]
        said = announced or {}
        assert can["bulk"] is (profile == "cxone" and "bulk" not in said)
        assert (can["patch"], can["etag"], can["filter"]) == (True, True, True)
        assert can["notes"]
        at.apply(root)
        assert len(at.hop.seen) == plan["inventory"]["requests"] + plan["estimate"]["requests"]
        at.check_converged(root)


@pytest.mark.parametrize("server", TARGETS)
@pytest.mark.parametrize("profile", ["rfc7644", "cxone"])
def test_a_bare_service_that_says_nothing_of_itself_converges(office: Open, server: str, profile: str) -> None:
    """Assumed to have bulk, PATCH and versions, and it has none of them."""
    at = office(_lacking("bulk", "patch", "etag", "filter").on(server), None)
    urls = {"baseUrl": at.base_url, "serviceProviderConfigUrl": f"{at.base_url}/ServiceProviderConfig"}
    for revision in ("before", "after"):
        root = at.write(revision, profile=profile, scim=urls)
        at.apply(root)
        at.check_converged(root)


@pytest.mark.parametrize("server", TARGETS)
def test_plan_and_report_say_which_way_is_taken_for_everything_that_is_missing(office: Open, server: str) -> None:
    """SPEC section 4, the last sentence about dialects; in every format."""
    features = FeatureSet(name="bare", off=("bulk", "patch", "etag", "filter"), paging=("cursor",)).on(server)
    lacking = {name: {"supported": False} for name in ("bulk", "patch", "etag", "filter")}
    at = office(features, {**EVERYTHING, **lacking, "pagination": {"cursor": True, "index": False}})
    root = at.write("before")
    ways = (
        "no bulk: each change is a request of its own",
        "no PATCH: updates send the whole resource (PUT), with everything as it was read but for what changes",
        "no versions: each resource is read and compared right before it is written",
        "no filters: resources are found by reading the lists",
        "lists are read by cursor, one page after the other",
    )
    text, markdown = at.plan(root, "text").out, at.plan(root, "markdown").out
    report = at.apply(root).out
    root = at.write("after")
    for shown in (text, markdown, report, at.apply(root, "markdown").out):
        plain = shown.replace("\\", "")
        assert [way for way in ways if way not in plain] == []
    [plan] = at.plan(root).lines
    assert json.dumps({name: plan["capabilities"][name] for name in ("bulk", "patch", "etag", "filter", "cursor")}) == (
        '{"bulk": false, "patch": false, "etag": false, "filter": false, "cursor": true}'
    )
