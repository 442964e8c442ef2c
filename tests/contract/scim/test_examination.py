"""`doctor` on services of every feature set: it says what is there, and asks for it the way planning does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.organisations import SMALL, write
from tests.cli.workplace import Workplace
from tests.contract.targets import COMBINED, LISTED, OF_THE_SANDBOX, TARGETS, FeatureSet, running
from tests.fakes.interposed import interposed

EVERY = [features.on(server) for server in TARGETS for features in (*LISTED, *COMBINED)] + [*OF_THE_SANDBOX]
SUBJECTS = {"bulk": "bulk", "patch": "patch", "etag": "versions", "filter": "filter"}


@pytest.mark.parametrize("features", EVERY, ids=str)
def test_doctor_says_what_a_service_has_and_what_is_done_about_the_rest(
    features: FeatureSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC 4 and 5: every feature by what the service can do, paging by the way it really goes; only reads are sent."""
    work = Workplace(tmp_path, monkeypatch)
    with running(features, tmp_path) as service, interposed(service.origin) as (hop, origin):
        root = tmp_path / "small"
        write(root / "acme", work.tenant(service.base_url.replace(service.origin, origin)), *SMALL.before())
        work.converge("--root", str(root))
        hop.seen.clear()
        ended = work.run("doctor", "acme", "--root", root, "--format", "json")
    assert ended.code == 0, ended.out + ended.err
    [document] = ended.lines
    checks = {check["subject"]: check for check in document["checks"]}
    for feature, subject in SUBJECTS.items():
        assert (checks[subject]["state"] == "missing") is features.lacks(feature), checks[subject]
        assert checks[subject]["state"] in {"ok", "missing"}, checks[subject]
    way = "cursor" if "cursor" in features.paging else "index"
    size = min(100, features.max_results) if way == "cursor" or not features.lacks("filter") else 100
    assert checks["paging"]["says"] == f"by {way}, {size} resources a page"
    assert checks["members"]["says"] == "lists of groups say who is in them"
    assert checks["Users"]["says"] == f"readable; {SMALL.users} in all"
    assert checks["Groups"]["says"] == f"readable; {SMALL.groups} in all"
    assert {seen.method for seen in hop.seen} == {"GET"}
    asked = [seen.path.partition("?")[2] for seen in hop.seen if "?" in seen.path]
    assert all(("cursor=" in query) is (way == "cursor") for query in asked if "filter=" not in query)
