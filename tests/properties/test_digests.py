"""Same input, same plan (SPEC P12): digests do not depend on hash seeds, files, lists, pages or the order of rows."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.desired.parser import load_desired_state
from reconciler.model.plan import Plan
from reconciler.model.resource import DesiredUser, Reference, pack, unpack
from reconciler.model.state import DesiredState, LiveState
from reconciler.model.tenant import Limits
from tests.fakes.directory_service import DirectoryService
from tests.properties.organisations import worlds
from tests.states import World

ROOT = Path(__file__).parents[2]

SCRIPT = """
from tests.states import World, desired_group, desired_state, desired_user
from tests.fakes.directory_service import DirectoryService
from reconciler.model.state import Exclusive

service = DirectoryService()
for number in range(12):
    service.add_user(f"u{number}", f"p{number}", roles=[{"value": "A"}, {"value": "B"}], externalId=f"hr-{number}")
for number in range(6):
    service.add_group(f"g{number}", f"G{number}", *[f"u{n}" for n in range(number, 12)], f"g{number + 1}")
service.groups["g5"]["members"].remove("g6")
users = [desired_user(f"p{n}", roles=[{"value": "B"}], groups=["G0", f"G{n % 6}"]) for n in range(3, 15)]
groups = [desired_group(f"G{n}", members=[{"user": f"p{n}"}, {"user": "p14"}]) for n in range(4)]
plan = World(service, desired_state(*users, *groups)).plan()
print(plan.digest, [str(change.key) for change in plan.changes], plan.findings, plan.guards)
"""


def test_the_plan_is_the_same_under_every_hash_seed() -> None:
    """Digest, order, findings and guard texts, in processes with different seeds."""
    seeds = {"0", "1", "4242"}
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in seeds
    }
    assert len(outputs) == 1
    assert "sha256:" in outputs.pop()


@settings(max_examples=100)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_rows_members_and_lists_does_not_matter(world: World, random: Any) -> None:
    """Live rows, group members, values of attributes and written members, in any order."""
    live = world.read()
    plan = world.plan(live=live)
    again = replace(world, desired=_shuffled(world.desired, random)).plan(live=_rows_shuffled(live, random))
    assert _judged(plan) == _judged(again)
    assert plan.estimate == again.estimate


@settings(max_examples=60)
@given(worlds(), st.integers(1, 7))
def test_the_page_size_does_not_matter(world: World, page: int) -> None:
    """The same tenant read by other pages gives the same plan."""
    other = replace(world, tenant=replace(world.tenant, limits=Limits(page_size=page)))
    other_service = replace(world.service, page_cap=page)
    assert _judged(world.plan()) == _judged(replace(other, service=other_service).plan())


def test_the_layout_of_files_does_not_matter(tmp_path: Path) -> None:
    """One file or many, in any order, single documents or a list: the same desired state, the same plan."""
    tenant = (
        "kind: Tenant\nname: acme\nprofile: rfc7644\n"
        "scim: {baseUrl: 'http://127.0.0.1:1/scim/v2'}\nauth: {type: none}\n"
    )
    ann = "userName: ann@x.example\nroles: [{value: B}, {value: A}]\n"
    bob = "userName: bob@x.example\ngroups: [Team]\n"
    team = "kind: Group\ndisplayName: Team\nmembers: [{user: ann@x.example}]\n"
    one = {"all.yaml": f"{team}---\nkind: User\n{bob}---\nkind: User\n{ann}"}
    many = {
        "a/bob.yaml": f"kind: User\n{bob}",
        "z/team.yml": team,
        "users.yaml": "kind: Users\nitems:\n  - " + ann.replace("\n", "\n    ").rstrip() + "\n",
    }
    plans = []
    for number, layout in enumerate((one, many)):
        folder = tmp_path / str(number) / "acme"
        for name, text in {"tenant.yaml": tenant, **layout}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        loaded = load_desired_state(tmp_path / str(number), "acme")
        assert loaded.desired is not None, loaded.diagnostics
        plans.append(World(DirectoryService(), loaded.desired).plan())
    assert plans[0].changes
    assert plans[0].digest == plans[1].digest


def _judged(plan: Plan) -> Any:
    return plan.digest, [(c.digest, str(c.key)) for c in plan.changes], plan.access, plan.guards


def _shuffled(desired: DesiredState, random: Any) -> DesiredState:
    return replace(
        desired,
        users=tuple(replace(user, body=_values_shuffled(user, random)) for user in _mixed(desired.users, random)),
        groups=tuple(replace(group, members=_mixed(group.members, random)) for group in _mixed(desired.groups, random)),
    )


def _values_shuffled(user: DesiredUser, random: Any) -> bytes:
    body = unpack(user.body)
    names = list(body)
    random.shuffle(names)
    return pack({n: list(_mixed(body[n], random)) if isinstance(body[n], list) else body[n] for n in names})


def _mixed(items: Any, random: Any) -> Any:
    if items is None:
        return None
    mixed: list[Reference] = list(items)
    random.shuffle(mixed)
    return tuple(mixed)


def _rows_shuffled(live: LiveState, random: Any) -> LiveState:
    users, groups = list(live.users), list(live.groups)
    random.shuffle(users)
    random.shuffle(groups)
    return replace(
        live, users={id_: live.users[id_] for id_ in users}, groups={id_: live.groups[id_] for id_ in groups}
    )
