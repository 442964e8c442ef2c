"""Import one tenant: read everything, declare what can be declared, prove that planning it changes nothing, write."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.desired.extensions import load_extension_schemas
from reconciler.desired.files import TENANT_FILE, real_root, relative_name
from reconciler.desired.parser import load_desired_state
from reconciler.desired.roots import list_tenants
from reconciler.desired.screening import Screen
from reconciler.desired.writer import (
    CONFIGURATION_FILE,
    GROUPS_FOLDER,
    USERS_FOLDER,
    configuration_files,
    group_files,
    user_files,
)
from reconciler.errors import ConfigurationError, GuardRefused, ReconcilerError, UsageError
from reconciler.model.plan import Capabilities, GuardVerdict, Plan, Verdict
from reconciler.model.resource import Kind
from reconciler.model.state import DesiredState, LiveState
from reconciler.model.tenant import Owned, People, Tenant
from reconciler.planner.planner import PlanInputs, build_plan
from reconciler.reconcile.connection import connect
from reconciler.reconcile.declaring import Account, Declared, Scope, declare
from reconciler.reconcile.plan import counted, load_valid
from reconciler.reconcile.surroundings import PLURALS, Surroundings
from reconciler.report.values import many

_MOST_SHOWN = 10

_MINIMAL = """\
kind: Tenant
name: {name}
profile: cxone                      # or rfc7644, for any other SCIM 2.0 service
scim: {{baseUrl: "https://YOUR-TENANT.api.nicecxone.com/scim/v2"}}
auth: {{type: oauth2, clientId: "${{env:CXONE_CLIENT_ID}}", clientSecret: "${{env:CXONE_CLIENT_SECRET}}"}}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was written, by name relative to the tenant's folder, and what was not.

    `changes` counts what a plan has to do all the same, for documents that were there before; `notes` are those of the
    read, and advice.
    """

    tenant: str
    folder: Path
    account: Account
    files: tuple[str, ...]
    changes: int
    notes: tuple[str, ...]

    @property
    def reasons(self) -> dict[str, list[str]]:
        """What was left out, by the reason."""
        found: dict[str, list[str]] = {}
        for item in self.account.left_out:
            found.setdefault(item.why, []).append(str(item))
        return found


def require_tenant(root: Path, name: str) -> None:
    """Say what a tenant.yaml holds where there is none: an import needs to know where to read.

    Raises:
        UsageError: there is no such tenant.

    """
    if name not in list_tenants(root):
        text = "\n".join(f"  {line}" for line in _MINIMAL.format(name=name).splitlines())
        raise UsageError(
            f"there is no {root / name / TENANT_FILE}",
            context=f"an import needs to know where the tenant is; for example:\n{text}",
            hint="write that file, set the variables it names, then import again",
        )


def import_tenant(root: Path, name: str, surroundings: Surroundings, *, scope: Scope, configuration: bool) -> Imported:
    """Write documents for what is live, of which planning makes no change. Nothing in the tenant is written.

    Raises:
        DesiredStateError: tenant.yaml, or a document that is there already, is invalid.
        ConfigurationError: documents are there already, or what is live cannot be declared under these settings.
        GuardRefused: the tenant could not be read completely.

    """
    tenant, loaded = load_valid(root, name, surroundings)
    earlier = loaded.sound
    _check_place(_folder(root, name), earlier)
    with connect(tenant, surroundings, read_only=True) as connection:
        live = counted(connection.read_live_state(configuration=configuration), connection)
    surroundings.listener.phase_started("declaring")
    built = build_import(
        ImportInputs(root, tenant, earlier, live, connection.capabilities, scope, surroundings.environ)
    )
    _publish(_folder(root, name).path, built.files)
    surroundings.listener.phase_finished(f"{many(len(built.files), 'file')} written")
    return Imported(
        tenant=name,
        folder=root / name,
        account=built.account,
        files=tuple(built.files),
        changes=len(built.plan.changes),
        notes=(*live.notes, *_advice(tenant, scope)),
    )


def _advice(tenant: Tenant, scope: Scope) -> tuple[str, ...]:
    """Members whom nobody declares are a warning each, but where tenant.yaml says that people come from elsewhere."""
    if scope is Scope.GROUPS_ONLY and tenant.people is People.MANAGED:
        return ("write `people: external` in tenant.yaml where people come from elsewhere: git then creates nobody",)
    return ()


@dataclass(frozen=True, slots=True)
class ImportInputs:
    """Everything that the files of an import depend on; `earlier` are the documents that are there already.

    `environ` may tell where the tenant lives, where tenant.yaml does not (cxone.md D32).
    """

    root: Path
    tenant: Tenant
    earlier: DesiredState
    live: LiveState
    capabilities: Capabilities
    scope: Scope
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Built:
    """Files by their names relative to the tenant's folder, what became of what is live, and the plan they give."""

    files: Mapping[str, bytes]
    account: Account
    plan: Plan


def build_import(inputs: ImportInputs) -> Built:
    """The files, proven: read as if they were written, valid, and planned; only earlier documents may ask for changes.

    Raises:
        AmbiguousMatch: it is not clear which live resource an earlier document means.
        ConfigurationError: what is live cannot be declared under these settings.
        GuardRefused: the tenant could not be read completely.

    """
    tenant, live = inputs.tenant, inputs.live
    _check_complete(live)
    _check_ownership_of_people(tenant, inputs.scope)
    folder = _folder(inputs.root, tenant.name)
    screen = Screen(tenant, load_extension_schemas(folder.root, folder.path, []))
    declared = declare(live, tenant, screen, inputs.earlier, inputs.scope)
    account = declared.account
    _check_ownership(tenant, account)
    files = _files(tenant, declared)
    del declared  # what is read back takes as much room
    desired = _load(inputs, {f"{folder.name}/{name}": data for name, data in files.items()})
    plan = build_plan(PlanInputs(tenant=tenant, desired=desired, live=live, capabilities=inputs.capabilities))
    _check_plan(plan, inputs.earlier)
    return Built(files, account, plan)


@dataclass(frozen=True, slots=True)
class _Folder:
    """The tenant's folder and the root, links resolved; `name` is how diagnostics name it."""

    root: Path
    path: Path

    @property
    def name(self) -> str:
        return relative_name(self.root, self.path)


def _folder(root: Path, tenant: str) -> _Folder:
    real = real_root(root)
    return _Folder(real, Path(os.path.realpath(real / tenant)))


def _check_place(folder: _Folder, earlier: DesiredState) -> None:
    """Nothing of anybody's is overwritten, and nothing is declared twice."""
    documents = (*earlier.users, *earlier.groups, *([earlier.configuration] if earlier.configuration else ()))
    there = {item.source.file for item in documents if item.source.file.startswith(f"{folder.name}/")}
    for name in (USERS_FOLDER, GROUPS_FOLDER, CONFIGURATION_FILE):
        path = folder.path / name
        is_listed = any(file.startswith(f"{folder.name}/{name}/") for file in there)
        if os.path.lexists(path) and not is_listed and not (path.is_dir() and not any(path.iterdir())):
            there.add(f"{folder.name}/{name}")
    if there:
        shown = sorted(there)[:_MOST_SHOWN]
        more = [f"... and {len(there) - len(shown)} more"] if len(there) > len(shown) else []
        raise ConfigurationError(
            f"{folder.name} has documents already, and import overwrites nothing",
            context="\n".join([*shown, *more]),
            hint=f"to see what an import would write, give it a root of its own: put a copy of {TENANT_FILE} into "
            f"NEW/{folder.path.name}, then reconciler import {folder.path.name} --root NEW",
        )


def _check_ownership_of_people(tenant: Tenant, scope: Scope) -> None:
    managed = tenant.people is People.MANAGED and tenant.ownership.users is Owned.ALL
    if scope is Scope.GROUPS_ONLY and managed:
        raise ConfigurationError(
            "--groups-only leaves people out, but tenant.yaml says that git declares all of them",
            context="people: managed, ownership: {users: all}",
            hint="write `people: external` where people come from elsewhere",
        )


def _check_complete(live: LiveState) -> None:
    """Whom a short read misses would be missing in git from then on (SPEC P4)."""
    reasons = [
        f"{PLURALS[kind]}: {certificate.reason}"
        for kind in (Kind.USER, Kind.GROUP)
        for certificate in [live.certificate(kind)]
        if not certificate.complete
    ]
    if reasons:
        detail = f"the tenant was not read completely: {'; '.join(reasons)}"
        verdict = GuardVerdict(id="incomplete-inventory", verdict=Verdict.REFUSE, detail=detail)
        raise GuardRefused(
            [verdict], context=f"{detail}\nwhoever was missed would be missing in git; nothing was written"
        )


def _check_ownership(tenant: Tenant, account: Account) -> None:
    """Where all that is live is git's own, what is left out would be taken for what git wants gone."""
    owned = {Kind.USER: tenant.ownership.users, Kind.GROUP: tenant.ownership.groups}
    for kind, owner in owned.items():
        if owner is Owned.ALL and account.lacks(kind):
            items = [item for item in account.left_out if item.key.kind is kind and not item.what]
            raise ConfigurationError(
                f"{many(len(items), 'resource')} cannot be declared, and tenant.yaml says that git declares all "
                f"{PLURALS[kind]}",
                context="\n".join(f"{item}: {item.why}" for item in items[:_MOST_SHOWN]),
                hint=f"mend them in the tenant, list them under `ownership.unmanaged`, or write `{PLURALS[kind]}: "
                "declared` under `ownership`",
            )


def _files(tenant: Tenant, declared: Declared) -> dict[str, bytes]:
    """By name relative to the tenant's folder; the same for the same tenant, whoever imports it and when."""
    header = f"Imported from {tenant.target} by `reconciler import`. From now on it is yours: edit it."
    configuration = declared.configuration
    return {
        **user_files(declared.users, header),
        **group_files(declared.groups, header),
        **(configuration_files(configuration, header) if configuration is not None else {}),
    }


def _load(inputs: ImportInputs, files: Mapping[str, bytes]) -> DesiredState:
    """What the tenant's folder would declare with these files in it.

    Raises:
        ConfigurationError: they would not be valid, because what is live breaks a rule of this tenant.

    """
    loaded = load_desired_state(inputs.root, inputs.tenant.name, environ=inputs.environ, also=files)
    if loaded.desired is None:
        raise ConfigurationError(
            "what is live breaks a rule of this tenant, so that git cannot declare it; nothing was written",
            context="\n".join(f"{item.code}: {item.message}" for item in loaded.errors[:_MOST_SHOWN]),
            hint="mend it in the tenant, or the rule in git, then import again",
        )
    return loaded.desired


def _check_plan(plan: Plan, earlier: DesiredState) -> None:
    """Only what was there before may ask for changes."""
    if plan.changes and not earlier.users and not earlier.groups:
        raise ReconcilerError(
            f"the import is not exact: planning it would make {many(len(plan.changes), 'change')}; nothing was written",
            context="\n".join(f"{change.action} {change.key}" for change in plan.changes[:_MOST_SHOWN]),
            hint="this is a bug of reconciler; please report it with these lines",
        )


def _publish(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write beside, then move into place: all of it, or nothing. What is in the way by now stays as it is.

    Raises:
        ConfigurationError: the folder cannot be written.

    """
    moved: list[Path] = []
    try:
        staging = Path(tempfile.mkdtemp(prefix=".import-", dir=folder))  # loading passes over names with a dot
        try:
            for name, data in files.items():
                (staging / name).parent.mkdir(exist_ok=True)
                (staging / name).write_bytes(data)
            for entry in sorted(staging.iterdir(), key=Path.is_dir, reverse=True):
                target = folder / entry.name
                if entry.is_dir():
                    entry.rename(target)  # fails where there is something, but for an empty folder
                    moved.append(target)
                else:
                    with target.open("xb") as file:  # fails where there is something
                        moved.append(target)
                        file.write(entry.read_bytes())
        except BaseException:
            for target in moved:
                shutil.rmtree(target) if target.is_dir() else target.unlink()
            raise
        finally:
            shutil.rmtree(staging)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write into {folder.name}: {error.strerror}", hint="nothing was written; mend it and import again"
        ) from error
