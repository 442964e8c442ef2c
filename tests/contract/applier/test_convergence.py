"""Whole runs against services of every feature set: plan, apply, and a plan that says nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.organisations import LARGE, SMALL, write
from tests.cli.workplace import Workplace
from tests.contract.targets import SANDBOXES, SCIM2_SERVERS, FeatureSet, running
from tests.fakes.interposed import interposed


@pytest.mark.parametrize("features", [*SANDBOXES, *SCIM2_SERVERS], ids=lambda features: features.name)
def test_two_revisions_converge_and_cost_what_was_estimated(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC P1, P8, sections 4 and 6: what a service lacks is worked around, and the estimate equals what is sent."""
    work = Workplace(tmp_path, monkeypatch)
    with running(features, tmp_path) as service, interposed(service.origin) as (hop, origin):
        for revision, (users, groups) in {"before": SMALL.before(), "after": SMALL.after()}.items():
            tenant = work.tenant(service.base_url.replace(service.origin, origin))
            root = tmp_path / revision
            write(root / "acme", tenant, users, groups)
            [plan] = work.run("plan", "--root", root, "--format", "json").lines
            planning = len(hop.seen)
            assert planning == plan["inventory"]["requests"]
            assert {seen.method for seen in hop.seen} == {"GET"}
            allow = [f"--allow={guard['id']}" for guard in plan["guards"] if guard["verdict"] == "refuse"]
            ended = work.run("apply", "--root", root, "--yes", "--format", "json", *allow)
            assert ended.code == 0, ended.err + ended.out
            assert ended.lines[0]["complete"]
            polls = [seen for seen in hop.seen if seen.method == "GET" and "/Bulk/" in seen.path]
            reading_back = len(hop.seen) - len(polls) - 2 * planning - plan["estimate"]["requests"]
            assert reading_back == 0 if features.tells_results else reading_back > 0
            assert bool(polls) is ("async_bulk" in features.settings)
            again = work.run("plan", "--root", root, "--detailed-exitcode")
            assert again.code == 0, again.out
            hop.seen.clear()
        assert len(service.all("Users")) == SMALL.users + SMALL.created_users
        assert len(service.all("Groups")) == SMALL.groups + SMALL.created_groups


def test_a_large_organisation_converges_on_an_independent_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,090 users and 363 groups on scim2-server, which shares no line and no reading of the RFC with us."""
    work = Workplace(tmp_path, monkeypatch)
    with running(FeatureSet("scim2-server"), tmp_path) as service:
        root = tmp_path / "large"
        write(root / "acme", work.tenant(service.base_url), *LARGE.before())
        work.converge("--root", str(root))
        assert work.run("plan", "--root", root, "--detailed-exitcode").code == 0
        assert (len(service.all("Users")), len(service.all("Groups"))) == (LARGE.users, LARGE.groups)
