"""Whole runs against services of every feature set: plan, apply, and a plan that says nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.organisations import COMMUNITY, LARGE, SMALL, Organisation, copy_community, write
from tests.cli.workplace import Service, Workplace
from tests.contract.targets import COMBINED, LISTED, OF_THE_SANDBOX, TARGETS, FeatureSet, running
from tests.fakes.interposed import interposed
from tests.fakes.scripted_service import ScriptedService

EVERY = [features.on(server) for server in TARGETS for features in (*LISTED, *COMBINED)] + [*OF_THE_SANDBOX]

WAYS = {
    "bulk": "no bulk: each change is a request of its own",
    "patch": "no PATCH: updates send the whole resource (PUT), with everything as it was read but for what changes",
    "etag": "no versions: each resource is read and compared right before it is written",
    "filter": "no filters: resources are found by reading the lists",
}
BY_CURSOR = "lists are read by cursor, one page after the other"


@contextmanager
def watched(features: FeatureSet, folder: Path) -> Iterator[tuple[Service, ScriptedService, str]]:
    """A service with these features, a hop in front of it that counts, and the base URL through the hop."""
    with running(features, folder) as service, interposed(service.origin) as (hop, origin):
        yield service, hop, service.base_url.replace(service.origin, origin)


def converge(work: Workplace, hop: ScriptedService, root: Path, features: FeatureSet) -> None:
    """Plan, apply, plan: only reads before, exactly as many requests as estimated, nothing left (SPEC P1, P8, 6).

    Polls of jobs stand outside the estimate; what a job does not tell is read back. Plan and report say which way is
    taken for what is missing, and for nothing else.
    """
    hop.seen.clear()
    [plan] = work.run("plan", "--root", root, "--format", "json").lines
    planning = len(hop.seen)
    assert planning == plan["inventory"]["requests"]
    assert {seen.method for seen in hop.seen} == {"GET"}
    allow = [f"--allow={guard['id']}" for guard in plan["guards"] if guard["verdict"] == "refuse"]
    ended = work.run("apply", "--root", root, "--yes", *allow)
    assert ended.code == 0, ended.err + ended.out
    assert work.receipts(plan["tenant"])[-1]["complete"]
    polls = [seen for seen in hop.seen if seen.method == "GET" and "/Bulk/" in seen.path]
    assert bool(polls) is (features.jobs is not None)
    reading_back = len(hop.seen) - len(polls) - 2 * planning - plan["estimate"]["requests"]
    assert reading_back == 0 if features.tells_results else reading_back > 0
    again = work.run("plan", "--root", root, "--detailed-exitcode")
    assert again.code == 0, again.out
    taken = [WAYS[feature] for feature in features.off if feature in WAYS]
    taken += [BY_CURSOR] if "cursor" in features.paging else []
    for shown in (ended.out, again.out):
        assert [way for way in (*WAYS.values(), BY_CURSOR) if way in shown] == taken


@pytest.mark.parametrize("features", EVERY, ids=str)
def test_two_revisions_converge_and_cost_what_was_estimated(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 3 number 1, on services with everything, with little, and with what real ones leave out at a time."""
    work = Workplace(tmp_path, monkeypatch)
    with watched(features, tmp_path) as (service, hop, base_url):
        tenant = work.tenant(base_url)
        for revision, (users, groups) in {"before": SMALL.before(), "after": SMALL.after()}.items():
            write(tmp_path / revision / "acme", tenant, users, groups)
            converge(work, hop, tmp_path / revision, features)
        _check_size(service, SMALL)


@pytest.mark.parametrize("features", [features.on(server) for server in TARGETS for features in LISTED], ids=str)
def test_a_real_community_converges_in_every_feature_set(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 3 number 1: `data/community/before`, then `after`; the made-up organisation stands in where it is away."""
    work = Workplace(tmp_path, monkeypatch)
    with watched(features, tmp_path) as (service, hop, base_url):
        tenant = work.tenant(base_url)
        for revision, (users, groups) in {"before": LARGE.before(), "after": LARGE.after()}.items():
            if COMMUNITY.is_dir():
                copy_community(revision, tmp_path / revision / "kubernetes-sigs", base_url)
            else:
                write(tmp_path / revision / "acme", tenant, users, groups)
            converge(work, hop, tmp_path / revision, features)
        _check_size(service, LARGE)


def _check_size(service: Service, organisation: Organisation) -> None:
    """Two-way, nobody is removed for not being mentioned: everyone of both revisions is there."""
    assert len(service.all("Users")) == organisation.users + organisation.created_users
    assert len(service.all("Groups")) == organisation.groups + organisation.created_groups
