"""Documents, one at a time, to the draft of a desired state: kind, schema, defaults, values. Trees are not kept."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from reconciler.desired.codes import Code
from reconciler.desired.extensions import ExtensionSchemas
from reconciler.desired.loader import Document, shown
from reconciler.desired.places import Finding, Path
from reconciler.desired.resources import (
    References,
    attribute_problems,
    nfc,
    to_configuration,
    to_group,
    to_user,
    with_defaults,
)
from reconciler.desired.tenant import tenant_problems, to_tenant
from reconciler.desired.violations import did_you_mean, explain
from reconciler.model.diagnostic import Source
from reconciler.model.dialect import Profile
from reconciler.model.resource import ConfigurationMode, DesiredConfiguration, DesiredGroup, DesiredUser
from reconciler.model.state import Exclusive, Override
from reconciler.model.tenant import People, Tenant
from reconciler.schemas import Checker, checker
from reconciler.semantics.canonical import fold

KINDS = ("Tenant", "User", "Users", "Group", "Groups", "ServiceProviderConfig", "Policy", "Override")

_WHOLE = -1
"""The entry number of a resource that is a document of its own."""

_MANAGED_OF_PEOPLE = frozenset({"kind", "userName", "externalId", "roles", "entitlements", "groups", "previously"})
"""What git says about people who come from elsewhere: who they are and what access they have."""

_MOST_DEFAULT_NODES = 5_000_000
"""What `defaults` may grow to, put under every item; counted before it is done."""

_Value = TypeVar("_Value")


class _Where(NamedTuple):
    """A document, or one entry of its `items`."""

    file: str
    document: int
    entry: int
    line: int


@dataclass(slots=True)
class Places:
    """For each resource in a list: the document it stands in, and the entry of `items`. Compact, for there are many."""

    documents: array[int] = field(default_factory=lambda: array("l"))
    entries: array[int] = field(default_factory=lambda: array("l"))

    def add(self, document: int, entry: int) -> None:
        """The place of the next resource."""
        self.documents.append(document)
        self.entries.append(entry)

    def paths(self, ordinal: int, *steps: str | int) -> tuple[Path, ...]:
        """Where something inside resource `ordinal` stands, best guess first: in the item, else in the defaults."""
        return _paths(self.entries[ordinal], steps)


@dataclass(frozen=True, slots=True)
class Placed(Generic[_Value]):
    """A value and where it stands."""

    value: _Value
    file: str
    document: int
    path: Path = ()


@dataclass(slots=True)
class Draft:
    """What the files of one tenant hold, so far unchecked against each other.

    `claimed_*` are names (folded) and externalIds in documents that are invalid for other reasons: whoever refers to
    them makes no second mistake. `roles` has the ordinals of the users that declare a role, by its folded value.
    `beside_access` counts the users who state an attribute that git does not manage where people come from elsewhere.
    """

    tenant: Tenant | None = None
    tenant_place: Placed[Mapping[str, Any]] | None = None
    users: list[DesiredUser] = field(default_factory=list)
    user_places: Places = field(default_factory=Places)
    groups: list[DesiredGroup] = field(default_factory=list)
    group_places: Places = field(default_factory=Places)
    configurations: list[Placed[DesiredConfiguration]] = field(default_factory=list)
    exclusives: list[Placed[Exclusive]] = field(default_factory=list)
    overrides: list[Placed[Override]] = field(default_factory=list)
    claimed_users: set[str] = field(default_factory=set)
    claimed_groups: set[str] = field(default_factory=set)
    claimed_ids: set[str] = field(default_factory=set)
    roles: dict[str, array[int]] = field(default_factory=dict)
    beside_access: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    documents: int = 0
    complete: bool = True


class DocumentReader:
    """Takes documents one after the other into a draft. tenant.yaml comes first: its profile matters to others."""

    def __init__(
        self,
        draft: Draft,
        tenant_file: str,
        folder: str,
        extensions: ExtensionSchemas,
        environ: Mapping[str, str],
    ) -> None:
        self._draft = draft
        self._environ = environ
        self._tenant_file = tenant_file
        self._folder = folder
        self._extensions = extensions
        self._references = References()
        self._user = checker("user", "/$defs/user")
        self._group = checker("group", "/$defs/group")

    def read(self, file: str, document: Document, *, only: frozenset[str] | None = None) -> None:
        """One document. With `only`, documents of other kinds are passed over, whatever is wrong with them."""
        value = document.value
        kind = value.get("kind") if isinstance(value, dict) else None
        if only is not None and kind not in only:
            return
        self._draft.documents += 1
        where = _Where(file, document.number, _WHOLE, document.line)
        match kind:
            case "User":
                self._take_user(value, where)
            case "Group":
                self._take_group(value, where)
            case "Users" | "Groups":
                self._take_items(where, document, kind)
            case "Tenant":
                self._take_tenant(value, where)
            case "ServiceProviderConfig":
                self._take_configuration(value, where)
            case "Policy":
                self._take_policy(value, where)
            case "Override":
                self._take_override(value, where)
            case _:
                self._draft.findings.append(_kind_problem(file, document))

    def _take_items(self, where: _Where, document: Document, kind: str) -> None:
        value: dict[str, Any] = document.value
        items = value.get("items")
        envelope = {**value, "items": []} if isinstance(items, list) else value
        self._check(checker(kind.lower()), envelope, where)
        defaults = value.get("defaults")
        if not isinstance(defaults, dict):
            defaults = {}
        if not isinstance(items, list):
            return
        if len(items) * _size(defaults) > _MOST_DEFAULT_NODES:
            message = f"`defaults` under {len(items):,} items would make more than {_MOST_DEFAULT_NODES:,} values"
            self._find(Code.TOO_MANY_NODES, message, where, (("defaults",),), help_="shorten the defaults")
            return
        take = self._take_user if kind == "Users" else self._take_group
        lines = document.entry_lines.get("items", [])
        for entry, item in enumerate(items):
            if item.__class__ is not dict:
                self._find(Code.NOT_A_MAPPING, "an item must be a mapping (`key: value`)", where, (("items", entry),))
                continue
            if "kind" in item:
                message = "`kind` belongs to the document, not to an item"
                paths: tuple[Path, ...] = (("items", entry, "kind"),)
                self._find(Code.UNKNOWN_KEY, message, where, paths, help_="remove it", on_key=True)
            merged = with_defaults(defaults, item) if defaults else item
            take(merged, _Where(where.file, where.document, entry, lines[entry]))

    def _take_user(self, value: dict[str, Any], where: _Where) -> None:
        draft = self._draft
        if not self._check(self._user, value, where):
            _claim(value, "userName", draft.claimed_users, draft.claimed_ids)
            return
        self._check_attributes(value, where)
        self._check_people(value, where)
        for role in value.get("roles") or ():
            draft.roles.setdefault(fold(role["value"]), array("l")).append(len(draft.users))
        draft.users.append(to_user(value, Source(where.file, where.line), self._references))
        draft.user_places.add(where.document, where.entry)

    def _take_group(self, value: dict[str, Any], where: _Where) -> None:
        draft = self._draft
        if not self._check(self._group, value, where):
            _claim(value, "displayName", draft.claimed_groups, draft.claimed_ids)
            return
        self._check_attributes(value, where)
        draft.groups.append(to_group(value, Source(where.file, where.line), self._references))
        draft.group_places.add(where.document, where.entry)

    def _take_tenant(self, value: dict[str, Any], where: _Where) -> None:
        draft = self._draft
        if where.file != self._tenant_file:
            message = f"a Tenant document stands in {self._tenant_file} only"
            self._find(Code.SECOND_TENANT, message, where, (("kind",),), help_="remove it, or give it its own folder")
            return
        if draft.tenant_place is not None:
            message = "a second Tenant document; a folder holds exactly one tenant"
            self._find(Code.SECOND_TENANT, message, where, (("kind",),), help_="give it a folder of its own")
            return
        draft.tenant_place = Placed(value, where.file, where.document)
        valid = self._check(checker("tenant"), value, where)
        problems = list(tenant_problems(value, self._folder, self._environ))
        for code, message, help_, path in problems:
            sensitive = code is Code.BAD_URL and not _URL_WITHOUT_SECRETS.fullmatch(str(_value_at(value, path)))
            self._find(code, message, where, (path,), help_=help_, sensitive=sensitive)
        if valid and not problems:
            draft.tenant = to_tenant(value, Source(where.file, where.line), self._environ)

    def _take_configuration(self, value: dict[str, Any], where: _Where) -> None:
        if self._check(checker("service-provider-config"), value, where):
            tenant = self._draft.tenant
            is_cxone = tenant is not None and tenant.profile is Profile.CXONE
            mode = ConfigurationMode.APPLY if is_cxone else ConfigurationMode.ASSERT
            configuration = to_configuration(value, Source(where.file, where.line), mode)
            self._draft.configurations.append(Placed(configuration, where.file, where.document))

    def _take_policy(self, value: dict[str, Any], where: _Where) -> None:
        if self._check(checker("policy"), value, where):
            for index, rule in enumerate(value["exclusive"]):
                exclusive = Exclusive(
                    name=nfc(rule["name"]),
                    roles=tuple(map(nfc, rule.get("roles", ()))),
                    groups=tuple(map(nfc, rule.get("groups", ()))),
                )
                self._draft.exclusives.append(Placed(exclusive, where.file, where.document, ("exclusive", index)))

    def _take_override(self, value: dict[str, Any], where: _Where) -> None:
        if self._check(checker("override"), value, where):
            override = Override(
                guard=value["guard"],
                changes=frozenset(value["changes"]),
                max=value["max"],
                expires=value["expires"],
                reason=nfc(value["reason"]),
                source=Source(where.file, where.line),
            )
            self._draft.overrides.append(Placed(override, where.file, where.document))

    def _check(self, schema: Checker, value: Any, where: _Where) -> bool:
        if schema.accepts(value):
            return True
        self._explain(schema, value, where)
        return False

    def _explain(self, schema: Checker, value: Any, where: _Where, prefix: Path = (), note: str | None = None) -> None:
        explained = list(explain(schema.violations(value)))
        for item in explained:
            help_ = f"{item.help}; {note}" if item.help and note else item.help or note
            paths = _paths(where.entry, (*prefix, *item.path))
            self._find(item.code, item.message, where, paths, help_=help_, on_key=item.on_key, sensitive=item.sensitive)
        if not explained:  # the two engines disagree, which is a bug of ours; it must not pass for valid
            self._find(Code.DOES_NOT_FIT, "does not fit its schema", where, _paths(where.entry, prefix))

    def _check_attributes(self, value: Mapping[str, Any], where: _Where) -> None:
        for code, message, remedy, path in attribute_problems(value):
            self._find(code, message, where, _paths(where.entry, path), help_=remedy)
        if self._extensions:
            for urn, extension in value.items():
                schema = self._extensions.get(urn.replace("_", ":").casefold())
                if schema and extension is not None and not schema.checker.accepts(extension):
                    self._explain(schema.checker, extension, where, (urn,), f"the schema is in {schema.file}")

    def _check_people(self, value: Mapping[str, Any], where: _Where) -> None:
        """What a user has to state, or cannot, depends on who creates people."""
        tenant = self._draft.tenant
        if tenant is not None and tenant.people is People.EXTERNAL:
            self._check_overlay(value, where)
        elif tenant is not None and tenant.profile is Profile.CXONE:
            self._check_needs(value, where)

    def _check_overlay(self, value: Mapping[str, Any], where: _Where) -> None:
        """Git gives access to people and leaves the rest to who creates them (SPEC section 4).

        What would be missed, were it passed over, is an error: a suspension that nobody carries out, a rename.
        """
        idle = value.keys() - _MANAGED_OF_PEOPLE
        if value.get("active") is False:
            idle.discard("active")
            message = "nobody is deactivated from here: `people: external` says that people come from elsewhere"
            help_ = "deactivate the person where people come from; what git can take away are roles and memberships"
            self._find(Code.NOT_MANAGED, message, where, _paths(where.entry, ("active",)), help_=help_)
        if "previously" in value:
            message = "nobody is renamed from here: `people: external` says that people come from elsewhere"
            help_ = "remove it and write the userName that the tenant has; an externalId is safe from renames"
            self._find(Code.NOT_MANAGED, message, where, _paths(where.entry, ("previously",)), help_=help_, on_key=True)
        self._draft.beside_access.update(idle)

    def _check_needs(self, value: Mapping[str, Any], where: _Where) -> None:
        """CXone creates nobody without e-mail address and name (cxone.md section 4)."""
        for key in ("emails", "name"):
            if not value.get(key):
                message = f"`{key}` is missing; CXone refuses users without it"
                paths = _paths(where.entry, (key,) if key in value else ())
                self._find(Code.NEEDED_BY_CXONE, message, where, paths, help_=f"add `{key}: ...`")

    def _find(
        self,
        code: Code,
        message: str,
        where: _Where,
        paths: tuple[Path, ...],
        *,
        help_: str | None = None,
        on_key: bool = False,
        sensitive: bool = False,
    ) -> None:
        self._draft.findings.append(
            Finding(
                code=code,
                message=message,
                file=where.file,
                help=help_,
                document=where.document,
                paths=paths,
                on_key=on_key,
                sensitive=sensitive,
            )
        )


def _size(value: Any) -> int:
    """How many values a tree holds, itself included."""
    count = 0
    todo = [value]
    while todo:
        node = todo.pop()
        count += 1
        if isinstance(node, dict):
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return count


def _paths(entry: int, steps: Path) -> tuple[Path, ...]:
    if entry == _WHOLE:
        return (steps,)
    return (("items", entry, *steps), ("defaults", *steps)) if steps else (("items", entry),)


_URL_WITHOUT_SECRETS = re.compile(r"[^@?#]*")
"""What cannot hold credentials: they stand before an @, or in a query or fragment."""


def _value_at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _claim(value: Mapping[str, Any], key: str, names: set[str], ids: set[str]) -> None:
    name, external_id = value.get(key), value.get("externalId")
    if isinstance(name, str):
        names.add(fold(name))
    if isinstance(external_id, str):
        ids.add(nfc(external_id))


def _kind_problem(file: str, document: Document) -> Finding:
    value = document.value
    if not isinstance(value, dict):
        message = "a document must be a mapping with a `kind`"
        return Finding(code=Code.NOT_A_MAPPING, message=message, file=file, document=document.number, help=_KIND_HELP)
    if "kind" not in value:
        guess = _guess_kind(value)
        help_ = f"write `kind: {guess}` as its first line" if guess else _KIND_HELP
        message = "the document has no `kind`"
        return Finding(code=Code.KIND_MISSING, message=message, file=file, document=document.number, help=help_)
    kind = value["kind"]
    named = shown(kind) if isinstance(kind, str) else "this value"
    return Finding(
        code=Code.KIND_UNKNOWN,
        message=f"{named} is not a kind",
        file=file,
        document=document.number,
        paths=(("kind",),),
        help=(did_you_mean(kind, KINDS) if isinstance(kind, str) else None) or _KIND_HELP,
    )


_KIND_HELP = f"kinds are {', '.join(KINDS)}"


def _guess_kind(value: Mapping[str, Any]) -> str | None:
    signs = {
        "userName": "User",
        "displayName": "Group",
        "exclusive": "Policy",
        "guard": "Override",
        "scim": "Tenant",
        "bulkConfig": KINDS[5],
    }
    items = value.get("items")
    if isinstance(items, list) and items and isinstance(items[0], dict):
        guess = _guess_kind(items[0])
        return f"{guess}s" if guess in {"User", "Group"} else None
    return next((kind for sign, kind in signs.items() if sign in value), None)
