"""A SCIM service in memory, with versions, bulk, and scripted faults; used through the Protocols of the applier.

It is strict where services are strict: members and managers that are nobody, names that are taken, read-only
attributes, nulls. It speaks no HTTP.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from reconciler.errors import PreconditionFailed, ScimRejected, ScimUnreachable
from reconciler.messages.bulk import BulkJob, JobReport, JobState
from reconciler.messages.codec import ListPage, decode_configuration, decode_group, decode_user, resource_path
from reconciler.model.resource import (
    ENTERPRISE_SCHEMA,
    Attributes,
    Kind,
    LiveConfiguration,
    LiveGroup,
    LiveUser,
)
from reconciler.scim.client import Written
from reconciler.semantics.canonical import fold

Edit = Callable[["DirectoryService"], object]

Told = Callable[[int, Attributes], JobReport]
"""What a job says at its n-th question (1 for the first), given what a synchronous answer would have been."""

_VALUE_FILTER = re.compile(r'members\[value eq (".*")\]')
_NOT_FOUND = 404
_ATTEMPTS = 4


@dataclass(frozen=True)
class Fault:
    """What happens to one write. Exactly one of the fields says something else than its default.

    `refuse` answers with a status and does nothing. `lost` drops the answer, `before` or `after` the write; in bulk it
    is that of the whole request. `missing` leaves the operation out of the bulk answer, done (`after`) or not
    (`before`). `unreachable`: the request certainly never left. `interrupt`: the person presses Ctrl-C, `before` or
    `after`. `edit` is somebody else, who writes just before.
    """

    refuse: tuple[int, str | None] | None = None
    lost: str | None = None
    missing: str | None = None
    interrupt: str | None = None
    unreachable: bool = False
    edit: Edit | None = None


NO_FAULT = Fault()


class _Refused(Exception):
    def __init__(self, status: int, detail: str, scim_type: str | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.scim_type = status, detail, scim_type


@dataclass
class DirectoryService:
    """Users and groups by id, in wire shape without `id` and `meta`; groups keep `members` as a list of ids.

    `faults` maps the number of a write (1 for the first, those of bulk requests counted one by one) to what happens
    to it; `fault_for` decides where the number alone does not say enough. `sent` keeps (method, path, version) of every
    write that was tried, `log` one line per request.

    With `job` every bulk request becomes a job, whatever is done is done at once, and `job` says what is told of it;
    `polls` counts the questions.

    `legacy_patch` understands the envelope of cxone.md D14 only, `keyed_by_name` knows users by userName only (D16),
    and `inline_groups` takes the names of groups in the create of a user (D17).
    """

    users: dict[str, Attributes] = field(default_factory=dict)
    groups: dict[str, Attributes] = field(default_factory=dict)
    configuration: Attributes | None = None
    versions: bool = True
    checks_versions: bool = True
    version_format: str = 'W/"{}"'
    bulk_supported: bool = True
    patch_supported: bool = True
    legacy_patch: bool = False
    keyed_by_name: bool = False
    inline_groups: bool = False
    unique_user_names: bool = True
    unique_group_names: bool = False
    returns_active: bool = True
    tells_ids: bool = True
    max_operations: int = 1000
    max_payload: int = 10_485_760
    page_cap: int = 1000
    id_format: str = "new-{kind}/{number}"  # ids may hold any character
    store: Callable[[Kind, Attributes], Attributes] | None = None
    faults: dict[int, Fault] = field(default_factory=dict)
    fault_for: Callable[[int, str, str], Fault] | None = None
    job: Told | None = None
    polls: int = 0
    log: list[str] = field(default_factory=list)
    sent: list[tuple[str, str, str | None]] = field(default_factory=list)
    bulk_sizes: list[int] = field(default_factory=list)
    requests: int = 0
    _revisions: dict[str, int] = field(default_factory=dict)
    _jobs: dict[str, tuple[int, Attributes]] = field(default_factory=dict)
    _created: int = 0
    _configuration_revision: int = 1

    # Somebody else, behind git's back.

    def edit(self, id_: str, **attributes: Any) -> None:
        """A foreign write: attributes by name, None removes."""
        resource = self._resource(id_)
        for name, value in attributes.items():
            resource.pop(name, None)
            if value is not None:
                resource[name] = value
        self._touch(id_)

    def add_user(self, id_: str, user_name: str, **attributes: Any) -> str:
        """A user that is there already."""
        self.users[id_] = {"userName": user_name, "active": True, **attributes}
        return id_

    def add_group(self, id_: str, display_name: str, *members: str, **attributes: Any) -> str:
        """A group that is there already."""
        self.groups[id_] = {"displayName": display_name, "members": list(members), **attributes}
        return id_

    def remove(self, id_: str) -> None:
        """Somebody deletes it."""
        self.users.pop(id_, None)
        self.groups.pop(id_, None)
        for group in self.groups.values():
            group["members"] = [member for member in group["members"] if member != id_]

    def version(self, id_: str) -> str | None:
        """The ETag of a resource now."""
        return self.version_format.format(self._revisions.get(id_, 1)) if self.versions else None

    def user_named(self, name: str) -> Attributes:
        """The one user of that name."""
        (found,) = [user for user in self.users.values() if user["userName"] == name]
        return found

    def id_of(self, name: str) -> str:
        """The id of the one user or group of that name."""
        (found,) = [
            id_
            for id_, resource in {**self.users, **self.groups}.items()
            if name in {resource.get("userName"), resource.get("displayName")}
        ]
        return found

    def members_of(self, display_name: str) -> set[str]:
        """The names of the direct members of the one group of that name."""
        (group,) = [group for group in self.groups.values() if group["displayName"] == display_name]
        return {self._name(member) for member in group["members"]}

    @property
    def writes(self) -> list[str]:
        """Requests that were not reads."""
        return [line for line in self.log if not line.startswith("GET")]

    # Reading.

    def list_page(self, kind: Kind, start_index: int, count: int, filter: str | None = None) -> ListPage:  # noqa: A002
        """One page, in order of arrival."""
        self._request(f"GET {kind.endpoint}?startIndex={start_index}")
        rows = [self._shown(kind, id_) for id_ in self._of(kind)]
        page = rows[start_index - 1 : start_index - 1 + min(count, self.page_cap)]
        return ListPage(resources=page, total=len(rows), start_index=start_index, items_per_page=len(page))

    def cursor_page(self, kind: Kind, cursor: str, count: int | None) -> ListPage:
        """It pages by index only."""
        raise ScimRejected(400, scim_type="invalidValue", detail="cursor is not supported")

    def get(self, kind: Kind, id: str) -> LiveUser | LiveGroup | None:  # noqa: A002
        """One resource, or None."""
        self._request(f"GET {kind.endpoint}/{id}")
        known = self._id_of(kind, id)
        return None if known is None else self._decoded(kind, known)

    def find(self, kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
        """By externalId exactly, by anything else without case."""
        self._request(f"GET {kind.endpoint}?filter={attribute}")
        exact = attribute in {"externalId", "id"}
        return tuple(
            self._decoded(kind, id_)
            for id_, resource in self._of(kind).items()
            if (found := resource.get(attribute)) is not None
            and (found == value if exact else fold(found) == fold(value))
        )

    def get_configuration(self) -> LiveConfiguration | None:
        """The ServiceProviderConfig."""
        self._request("GET /ServiceProviderConfig")
        if self.configuration is None:
            return None
        etag = f'"c{self._configuration_revision}"' if self.versions else None
        return decode_configuration(copy.deepcopy(self.configuration), etag=etag)

    # Writing.

    def put_configuration(self, body: Attributes, version: str | None) -> Written:
        """Replace the document."""
        self._request("PUT /ServiceProviderConfig")

        def write() -> None:
            if version is not None and self.versions and version != f'"c{self._configuration_revision}"':
                raise _Refused(412, "the version does not match")
            self.configuration = copy.deepcopy(body)
            self._configuration_revision += 1

        self._single("PUT", "/ServiceProviderConfig", version, write)
        return Written(id="", version=None, resource=None)

    def create(self, kind: Kind, body: Attributes) -> Written:
        """POST."""
        self._request(f"POST {kind.endpoint}")
        return self._single_resource("POST", kind.endpoint, None, body)

    def put(self, kind: Kind, id: str, body: Attributes, version: str | None) -> Written:  # noqa: A002
        """PUT."""
        self._request(f"PUT {kind.endpoint}/{id}")
        return self._single_resource("PUT", resource_path(kind, id), version, body)

    def patch(self, kind: Kind, id: str, patch_message: Attributes, version: str | None) -> Written:  # noqa: A002
        """PATCH."""
        self._request(f"PATCH {kind.endpoint}/{id}")
        return self._single_resource("PATCH", resource_path(kind, id), version, patch_message)

    def delete(self, kind: Kind, id: str, version: str | None) -> None:  # noqa: A002
        """DELETE."""
        self._request(f"DELETE {kind.endpoint}/{id}")
        self._single("DELETE", resource_path(kind, id), version, lambda: self._delete(kind, id, version))

    def bulk(self, request: Attributes) -> Attributes | BulkJob:
        """Every operation stands alone (RFC 7644 section 3.7); limits are answered with 413."""
        answer = self._bulk(request)
        if self.job is None:
            return answer
        job = BulkJob(f"bulk-job-{len(self._jobs) + 1}", f"/scim/v2/Bulk/bulk-job-{len(self._jobs) + 1}")
        self._jobs[job.path] = (0, answer)
        return job

    def job_report(self, job: BulkJob, longest_wait: float) -> JobReport:
        """How far a job is."""
        assert longest_wait >= 0
        self.polls += 1
        if self.job is None or job.path not in self._jobs:
            return JobReport(state=JobState.GONE)
        asked, answer = self._jobs[job.path]
        self._jobs[job.path] = (asked + 1, answer)
        return self.job(asked + 1, answer)

    def _bulk(self, request: Attributes) -> Attributes:
        self._request("POST /Bulk")
        operations = request["Operations"]
        self.bulk_sizes.append(len(operations))
        if not self.bulk_supported:
            raise ScimRejected(501, detail="no bulk here")
        if len(operations) > self.max_operations or len(json.dumps(request).encode()) > self.max_payload:
            raise ScimRejected(413, detail="too large")
        results = []
        lost = False
        for operation in operations:
            method, path, version = operation["method"], operation["path"], operation.get("version")
            fault = self._next_fault(method, path, version)
            if fault.lost == "before" or fault.unreachable:
                begun = operation is not operations[0]  # then the request did leave
                raise ScimUnreachable("no answer", maybe_sent=begun or not fault.unreachable)
            if fault.interrupt == "before":
                raise KeyboardInterrupt
            if fault.missing != "before":
                results.append(self._bulk_result(operation, fault))
            if fault.missing == "after":
                results.pop()
            if fault.interrupt == "after":
                raise KeyboardInterrupt
            lost = lost or fault.lost == "after"
        if lost:
            raise ScimUnreachable("the answer never came", maybe_sent=True)
        return {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"], "Operations": results}

    def _bulk_result(self, operation: Attributes, fault: Fault) -> Attributes:
        method, path = operation["method"], operation["path"]
        result = {"method": method, "bulkId": operation["bulkId"]}
        try:
            _refuse(fault, method)
            id_ = self._write(method, path, operation.get("version"), operation.get("data") or {})
        except _Refused as refused:
            response = {"status": str(refused.status), "scimType": refused.scim_type, "detail": refused.detail}
            return {**result, "status": str(refused.status), "response": response}
        if method == "DELETE":
            return {**result, "status": "204"}
        location = f"https://x.example/scim/v2/{path.split('/')[1]}/{quote(id_, safe='')}"
        told = {"location": location} if self.tells_ids else {}
        version = {"version": self.version(id_)} if self.versions else {}
        return {**result, **told, **version, "status": "201" if method == "POST" else "200"}

    def _single_resource(self, method: str, path: str, version: str | None, body: Attributes) -> Written:
        written: list[str] = []
        self._single(method, path, version, lambda: written.append(self._write(method, path, version, body)))
        return Written(id=written[0], version=self.version(written[0]), resource=None)

    def _single(self, method: str, path: str, version: str | None, write: Callable[[], object]) -> None:
        """One request, repeated as the client repeats it: after 429, and after anything where that is harmless."""
        harmless = method == "DELETE" or (method == "PUT" and version is not None)
        for attempt in range(_ATTEMPTS):
            try:
                self._attempt(method, path, version, write)
            except ScimUnreachable as error:
                if attempt + 1 == _ATTEMPTS or not error.maybe_sent or not harmless:
                    raise
            except ScimRejected as error:
                again = error.status == 429 or (error.status in {500, 502, 503, 504} and harmless)
                if attempt + 1 == _ATTEMPTS or not again:
                    raise
            else:
                return

    def _attempt(self, method: str, path: str, version: str | None, write: Callable[[], object]) -> None:
        fault = self._next_fault(method, path, version)
        if fault.lost == "before" or fault.unreachable or fault.missing == "before":
            raise ScimUnreachable("no answer", maybe_sent=not fault.unreachable)
        if fault.interrupt == "before":
            raise KeyboardInterrupt
        try:
            _refuse(fault, method)
            write()
        except _Refused as refused:
            guarded_conflict = refused.status == 409 and version is not None and refused.scim_type != "uniqueness"
            error = PreconditionFailed if refused.status == 412 or guarded_conflict else ScimRejected
            raise error(refused.status, scim_type=refused.scim_type, detail=refused.detail) from None
        if fault.interrupt == "after":
            raise KeyboardInterrupt
        if fault.lost == "after" or fault.missing == "after":
            raise ScimUnreachable("the answer never came", maybe_sent=True)

    def _next_fault(self, method: str, path: str, version: str | None) -> Fault:
        self.sent.append((method, path, version))
        fault = self.faults.get(len(self.sent), NO_FAULT)
        if self.fault_for is not None and fault is NO_FAULT:
            fault = self.fault_for(len(self.sent), method, path)
        if fault.edit is not None:
            fault.edit(self)
        return fault

    def _write(self, method: str, path: str, version: str | None, data: Attributes) -> str:
        endpoint, *rest = path.removeprefix("/").split("/")
        kind = Kind.USER if endpoint == "Users" else Kind.GROUP
        data = copy.deepcopy(data)
        if method == "POST":
            return self._create(kind, data)
        id_ = self._id_of(kind, unquote(rest[0]))
        if id_ is None:
            raise _Refused(_NOT_FOUND, "not there")
        if method == "DELETE":
            self._delete(kind, id_, version)
            return id_
        self._check(kind, id_, version)
        current = self._of(kind)[id_]
        new = self._replaced(kind, data) if method == "PUT" else self._patched(copy.deepcopy(current), data)
        self._accept(kind, new, id_)
        if new != current:
            self._of(kind)[id_] = new
            self._touch(id_)
        return id_

    def _id_of(self, kind: Kind, key: str) -> str | None:
        if not self.keyed_by_name or kind is Kind.GROUP:
            return key if key in self._of(kind) else None
        return next((id_ for id_, user in self.users.items() if fold(user["userName"]) == fold(key)), None)

    def _create(self, kind: Kind, data: Attributes) -> str:
        joined = [self._joined(item["value"]) for item in data.pop("groups", [])] if self.inline_groups else []
        resource = self._replaced(kind, data)
        self._created += 1
        id_ = self.id_format.format(kind=kind.value.lower(), number=self._created)
        self._accept(kind, resource, id_)
        self._of(kind)[id_] = resource
        self._touch(id_)
        for group in joined:
            self.groups[group]["members"].append(id_)
            self._touch(group)
        return id_

    def _joined(self, name: str) -> str:
        """The group that a create of a user names: exactly one has the name, in that very spelling (cxone.md 4)."""
        found = [id_ for id_, group in self.groups.items() if fold(group["displayName"]) == fold(name)]
        if len(found) != 1 or self.groups[found[0]]["displayName"] != name:
            raise _Refused(400, f"no such group: {name}", "invalidValue")
        return found[0]

    def _delete(self, kind: Kind, id_: str, version: str | None) -> None:
        self._check(kind, id_, version)
        self.remove(id_)

    def _check(self, kind: Kind, id_: str, version: str | None) -> None:
        if id_ not in self._of(kind):
            raise _Refused(_NOT_FOUND, "not there")
        if version is not None and self.versions and self.checks_versions and version != self.version(id_):
            raise _Refused(412, "the version does not match")

    def _replaced(self, kind: Kind, data: Attributes) -> Attributes:
        for name in ("id", "meta", "groups"):
            if name in data:
                raise _Refused(400, f"{name} is read-only", "mutability")
        data.pop("schemas", None)
        if any(value is None for value in data.values()):
            raise _Refused(400, "null", "invalidValue")
        if kind is Kind.GROUP:
            members = data.get("members", [])
            data["members"] = [member["value"] for member in members]
        else:
            data.setdefault("active", True)
        return data

    def _accept(self, kind: Kind, resource: Attributes, id_: str) -> None:
        """Refuse what a strict service refuses; let the service change values on their way in."""
        name = resource.get("userName" if kind is Kind.USER else "displayName")
        if not name:
            raise _Refused(400, "the name is required", "invalidValue")
        unique = self.unique_user_names if kind is Kind.USER else self.unique_group_names
        for other, known in self._of(kind).items():
            taken = known["userName" if kind is Kind.USER else "displayName"]
            if unique and other != id_ and fold(taken) == fold(name):
                raise _Refused(409, f"{name} is taken", "uniqueness")
        strangers = [m for m in resource.get("members", ()) if m not in self.users and m not in self.groups]
        known_before = self.groups.get(id_, {}).get("members", ())
        if any(stranger not in known_before for stranger in strangers):
            raise _Refused(400, f"no such member: {strangers}", "invalidValue")
        manager = resource.get(ENTERPRISE_SCHEMA, {}).get("manager", {}).get("value")
        if manager is not None and manager not in self.users:
            raise _Refused(400, f"no such manager: {manager}", "invalidValue")
        if self.store is not None:
            resource.update(self.store(kind, dict(resource)))

    def _patched(self, resource: Attributes, message: Attributes) -> Attributes:
        if not self.patch_supported:
            raise _Refused(501, "no PATCH here")
        for operation in message["operations" if self.legacy_patch else "Operations"]:
            _apply_patch(resource, operation)
        return resource

    def _resource(self, id_: str) -> Attributes:
        return self.users[id_] if id_ in self.users else self.groups[id_]

    def _of(self, kind: Kind) -> dict[str, Attributes]:
        return self.users if kind is Kind.USER else self.groups

    def _touch(self, id_: str) -> None:
        self._revisions[id_] = self._revisions.get(id_, 1) + 1

    def _name(self, id_: str) -> str:
        if id_ in self.users:
            return str(self.users[id_]["userName"])
        return f"group:{self.groups[id_]['displayName']}" if id_ in self.groups else f"id:{id_}"

    def _shown(self, kind: Kind, id_: str) -> Attributes:
        resource = copy.deepcopy(self._of(kind)[id_])
        version = self.version(id_)
        meta = {"resourceType": kind.value, **({"version": version} if version else {})}
        if kind is Kind.GROUP:
            resource["members"] = [{"value": m, "display": self._name(m)} for m in resource["members"]]
        elif not self.returns_active:
            resource.pop("active", None)
        return {"id": id_, "meta": meta, **resource}

    def _decoded(self, kind: Kind, id_: str) -> LiveUser | LiveGroup:
        shown = self._shown(kind, id_)
        return decode_user(shown) if kind is Kind.USER else decode_group(shown, absent_members=())

    def _request(self, line: str) -> None:
        self.requests += 1
        self.log.append(line)


def _refuse(fault: Fault, method: str) -> None:
    if fault.refuse is not None and (method, fault.refuse[0]) != ("POST", 412):  # a create has no version to miss
        raise _Refused(fault.refuse[0], "as scripted", fault.refuse[1])


def _apply_patch(resource: Attributes, operation: Mapping[str, Any]) -> None:
    """The subset that is emitted (scim-rfc.md section 7), strictly."""
    op, path = operation["op"], operation["path"]
    member = _VALUE_FILTER.fullmatch(path)
    if member is not None:
        assert op == "remove"
        gone = json.loads(member[1])
        resource["members"] = [known for known in resource["members"] if known != gone]
        return
    if path == "members":
        assert op == "add"
        for element in operation["value"]:
            if element["value"] not in resource["members"]:
                resource["members"].append(element["value"])
        return
    container, name = _container(resource, path)
    if op == "remove":
        if name not in container:
            raise _Refused(400, f"nothing at {path}", "noTarget")
        del container[name]
    elif op in {"add", "replace"}:
        container[name] = operation["value"]
    else:
        raise _Refused(400, f"no such op: {op}", "invalidSyntax")
    for parent in [key for key, value in resource.items() if value == {}]:
        del resource[parent]


def _container(resource: Attributes, path: str) -> tuple[Attributes, str]:
    """The object that holds the last name of a path, and that name; extensions by their URN (RFC 7644 section 3.10)."""
    if path in resource:
        return resource, path
    container = resource
    if path.startswith("urn:"):
        urn, _, path = path.rpartition(":")
        container = container.setdefault(urn, {})
    name, dot, sub = path.partition(".")
    if dot:
        container = container.setdefault(name, {})
        name = sub
    return container, name
