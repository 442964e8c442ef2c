"""tenant.yaml: the checked document as a Tenant, and what its schema cannot say about it (SPEC section 4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from reconciler.desired.codes import Code
from reconciler.desired.places import Path
from reconciler.model.diagnostic import Source
from reconciler.model.dialect import PROFILES, Dialect, Profile, Update
from reconciler.model.tenant import (
    Auth,
    AuthType,
    Endpoints,
    GroupRemoval,
    GuardSettings,
    Limits,
    Notification,
    Owned,
    Ownership,
    People,
    Removal,
    SecretReference,
    ShareLimit,
    Tenant,
    UserRemoval,
)

_REFERENCE = re.compile(r"\$\{env:([A-Z0-9_]+)\}")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_PREFIXES = ("group:", "role:")
_MISSPELT = frozenset({"group", "groups", "role", "roles", "user", "users", "username"})
_GUARDS_WITHOUT_SHARE = frozenset({"protected", "minimum-members"})

Problem = tuple[Code, str, str | None, Path]
"""Code, message, help, and the path of the value that is wrong."""


def to_tenant(document: Mapping[str, Any], source: Source, environ: Mapping[str, str]) -> Tenant:
    """A document in which neither the schema nor `tenant_problems` found anything wrong in that environment."""
    profile = Profile(document["profile"])
    return Tenant(
        name=document["name"],
        profile=profile,
        endpoints=_endpoints(document, profile, environ),
        auth=_auth(document["auth"]),
        people=People(document.get("people", People.MANAGED)),
        limits=Limits(**{_snake(key): int(value) for key, value in document.get("limits", {}).items()}),
        ownership=_ownership(document.get("ownership", {})),
        removal=_removal(document.get("removal", {})),
        guards=_guards(document.get("guards", {})),
        dialect=_dialect(document.get("dialect", {}), profile),
        equivalences={
            path: tuple((pair["sent"], pair["stored"]) for pair in pairs)
            for path, pairs in sorted(document.get("equivalences", {}).items())
        },
        notifications=tuple(
            Notification(url=item["url"], events=tuple(item["events"]), secret=_secret(item.get("secret")))
            for item in document.get("notifications", ())
        ),
        source=source,
    )


def base_url(document: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    """`scim.baseUrl`; where it is not written, for profile cxone, what the environment or the tenant's name tells.

    cxone.md D1 and D32: a base URL, else a domain, else a tenant's name, which every tenant has. None where nothing
    tells it, or what does is no name of a host.
    """
    scim = document.get("scim", {})
    if not isinstance(scim, Mapping) or "baseUrl" in scim or document.get("profile") != Profile.CXONE:
        written = scim.get("baseUrl") if isinstance(scim, Mapping) else None
        return written.rstrip("/") if isinstance(written, str) else None
    if environ.get("CXONE_BASE_URL"):
        url = environ["CXONE_BASE_URL"].rstrip("/")
        return url if url.count("/") > 2 else f"{url}/scim/v2"
    domain, name = environ.get("CXONE_DOMAIN"), environ.get("CXONE_TENANT") or document.get("name")
    host = f"{domain}.api.cxone.com" if domain else f"{name}.api.nicecxone.com"
    return f"https://{host}/scim/v2" if (domain or isinstance(name, str)) and _HOST.fullmatch(host) else None


def tenant_problems(document: Mapping[str, Any], folder: str, environ: Mapping[str, str]) -> Iterator[Problem]:
    """What a schema cannot say. The document need not be valid: what has the wrong shape is passed over."""
    name = document.get("name")
    if isinstance(name, str) and name != folder:
        yield (
            Code.NAME_AND_FOLDER,
            f"the tenant is called {name} but lies in the folder {folder}",
            f"write `name: {folder}`, or rename the folder",
            ("name",),
        )
    for path, url in _urls(document):
        yield from _url_problems(url, path)
    yield from _address_problems(document, environ)
    yield from _contradictions(document)
    yield from _misspelt_prefixes(document)


def include_paths(document: Mapping[str, Any]) -> list[str]:
    """The `include` entries that are text, in order; the position in the list is that in the document."""
    entries = document.get("include")
    return [entry if isinstance(entry, str) else "" for entry in entries] if isinstance(entries, list) else []


def is_loopback(host: str) -> bool:
    """Whether a host name or address stays on this machine (RFC 6761 section 6.3 for localhost)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _snake(key: str) -> str:
    return _CAPITAL.sub(r"_\1", key).lower()


def _endpoints(document: Mapping[str, Any], profile: Profile, environ: Mapping[str, str]) -> Endpoints:
    """The URLs, those not written derived from the base URL (cxone.md section 11, D1 to D3)."""
    scim = document.get("scim", {})
    base = base_url(document, environ) or ""
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    auth = document["auth"]
    config = (
        f"{origin}/api/scim/v2/ServiceProviderConfig" if profile is Profile.CXONE else f"{base}/ServiceProviderConfig"
    )
    token = scim.get("tokenUrl") or auth.get("tokenUrl")
    if token is None and auth["type"] == AuthType.OAUTH2:
        token = f"{origin}/oauth/token"
    return Endpoints(
        base_url=base,
        service_provider_config_url=scim.get("serviceProviderConfigUrl", config).rstrip("/"),
        platform_url=scim.get("platformUrl", f"{origin}/api/v2").rstrip("/"),
        token_url=token,
    )


def _auth(auth: Mapping[str, Any]) -> Auth:
    return Auth(
        type=AuthType(auth["type"]),
        token=_secret(auth.get("token")),
        username=_secret_or_text(auth.get("username")),
        password=_secret(auth.get("password")),
        client_id=_secret_or_text(auth.get("clientId")),
        client_secret=_secret(auth.get("clientSecret")),
        scopes=tuple(auth.get("scopes", ())),
    )


def _secret(value: str | None) -> SecretReference | None:
    found = _REFERENCE.fullmatch(value) if value else None
    return SecretReference(found[1]) if found else None


def _secret_or_text(value: str | None) -> SecretReference | str | None:
    return _secret(value) or value


def _ownership(ownership: Mapping[str, Any]) -> Ownership:
    return Ownership(
        users=Owned(ownership.get("users", Owned.DECLARED)),
        groups=Owned(ownership.get("groups", Owned.DECLARED)),
        unmanaged=tuple(ownership.get("unmanaged", ())),
    )


def _removal(removal: Mapping[str, Any]) -> Removal:
    after = removal.get("deleteAfter")
    return Removal(
        users=UserRemoval(removal.get("users", UserRemoval.DEACTIVATE)),
        groups=GroupRemoval(removal.get("groups", GroupRemoval.KEEP)),
        delete_after_days=None if after is None else int(after.removesuffix("d")),
    )


def _guards(guards: Mapping[str, Any]) -> GuardSettings:
    settings = GuardSettings(
        shares={
            guard: ShareLimit(percent=limit.get("percent"), max=None if limit.get("max") is None else int(limit["max"]))
            for guard, limit in sorted(guards.items())
            if guard not in _GUARDS_WITHOUT_SHARE
        },
        protected=tuple(guards.get("protected", ())),
    )
    least = guards.get("minimum-members")
    return settings if least is None else replace(settings, minimum_members=int(least))


def _dialect(switches: Mapping[str, Any], profile: Profile) -> Dialect:
    values = {_snake(key): value for key, value in switches.items()}
    for verb in ("user_update", "group_update"):
        if verb in values:
            values[verb] = Update(values[verb])
    return replace(PROFILES[profile], **values)


def _urls(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    scim, auth, notifications = document.get("scim"), document.get("auth"), document.get("notifications")
    if isinstance(scim, Mapping):
        for key, value in scim.items():
            if key.endswith("Url") and isinstance(value, str):
                yield ("scim", key), value
    if isinstance(auth, Mapping) and isinstance(auth.get("tokenUrl"), str):
        yield ("auth", "tokenUrl"), auth["tokenUrl"]
    for index, item in enumerate(notifications if isinstance(notifications, list) else ()):
        if isinstance(item, Mapping) and isinstance(item.get("url"), str):
            yield ("notifications", index, "url"), item["url"]


def _address_problems(document: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[Problem]:
    """What is wrong with a base URL that is not written; profile and shape are the schema's matter."""
    scim = document.get("scim", {})
    if not isinstance(scim, Mapping) or "baseUrl" in scim or document.get("profile") not in tuple(Profile):
        return
    path: Path = ("scim",) if "scim" in document else ()
    url = base_url(document, environ)
    if document["profile"] != Profile.CXONE:
        yield Code.MISSING_KEY, "`scim.baseUrl` is missing", 'add `scim: {baseUrl: "https://..."}`', path
    elif url is None or _why_no_url(url):
        message = "`scim.baseUrl` is missing, and neither the environment nor the name of the tenant gives one to use"
        help_ = 'add `scim: {baseUrl: "https://..."}`, or correct CXONE_BASE_URL, CXONE_DOMAIN or CXONE_TENANT'
        yield Code.MISSING_KEY, message, help_, path
    else:
        yield from _url_problems(url, path)


def _url_problems(url: str, path: Path) -> Iterator[Problem]:
    """The URL itself is never repeated in a message: it may hold credentials."""
    why = _why_no_url(url)
    if why:
        yield (
            Code.BAD_URL,
            f"is no usable URL: {why}",
            'write an absolute URL such as "https://acme.api.nicecxone.com/scim/v2"',
            path,
        )
        return
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield (
            Code.NOT_HTTPS,
            "http is allowed to this machine only; credentials would cross the network in clear",
            "write https://",
            path,
        )


def _why_no_url(url: str) -> str | None:
    if any(character.isspace() or ord(character) < 0x20 for character in url):
        return "it contains blanks"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "its host or port cannot be understood"
    return _why_bad_parts(parts, host)


def _why_bad_parts(parts: SplitResult, host: str | None) -> str | None:
    if parts.scheme not in {"http", "https"}:
        return "it does not start with https://"
    if not host:
        return "it has no host"
    if parts.username is not None or parts.password is not None:
        return "it contains credentials; those belong into `auth`, by reference"
    if parts.query or parts.fragment:
        return "it contains a query or a fragment"
    if "$" in parts.netloc or "{" in parts.netloc:
        return "its host is no name; only secrets can come from the environment"
    return None


def _contradictions(document: Mapping[str, Any]) -> Iterator[Problem]:
    removal, dialect = document.get("removal"), document.get("dialect")
    if isinstance(removal, Mapping) and "deleteAfter" in removal and removal.get("users") != UserRemoval.DELETE:
        yield (
            Code.CONTRADICTION,
            "`deleteAfter` says when users are deleted, but `removal.users` does not say that they are",
            "write `users: delete` beside it, or remove `deleteAfter`",
            ("removal", "deleteAfter"),
        )
    if document.get("people") == People.EXTERNAL:
        yield from _claims_on_people(document)
    if isinstance(dialect, Mapping) and document.get("profile") == Profile.RFC7644:
        if dialect.get("bulkCorrelation") == "both":
            yield (*_only_cxone("bulkCorrelation: both"), ("dialect", "bulkCorrelation"))
        if dialect.get("bulkPath"):
            yield (*_only_cxone("bulkPath"), ("dialect", "bulkPath"))
    scim, auth = document.get("scim"), document.get("auth")
    if isinstance(scim, Mapping) and isinstance(auth, Mapping):
        one, other = scim.get("tokenUrl"), auth.get("tokenUrl")
        if one is not None and other is not None and one != other:
            message = "`auth.tokenUrl` and `scim.tokenUrl` are different"
            yield Code.CONTRADICTION, message, "keep one of them", ("auth", "tokenUrl")


def _claims_on_people(document: Mapping[str, Any]) -> Iterator[Problem]:
    """What only somebody who manages people can want; `removal.users: deactivate`, the default, has no effect."""
    for section, value in (("ownership", Owned.ALL), ("removal", UserRemoval.DELETE)):
        settings = document.get(section)
        if isinstance(settings, Mapping) and settings.get("users") == value:
            yield (
                Code.CONTRADICTION,
                f"`{section}.users: {value}` and `people: external`: git removes nobody who comes from elsewhere",
                "remove it, or write `people: managed`",
                (section, "users"),
            )


def _misspelt_prefixes(document: Mapping[str, Any]) -> Iterator[Problem]:
    """`groups:Supervisors` would protect a user of that name, which is to say nobody."""
    guards, ownership = document.get("guards"), document.get("ownership")
    lists = (
        (("guards", "protected"), guards.get("protected") if isinstance(guards, Mapping) else None),
        (("ownership", "unmanaged"), ownership.get("unmanaged") if isinstance(ownership, Mapping) else None),
    )
    for path, entries in lists:
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            prefix = entry.partition(":")[0].strip().casefold() if isinstance(entry, str) and ":" in entry else ""
            if prefix in _MISSPELT and not entry.startswith(_PREFIXES):
                message = f"`{prefix}:` is not how an entry of `{path[-1]}` begins"
                help_ = "write a userName, group:<displayName> or role:<value>"
                yield Code.WRONG_FORM, message, help_, (*path, index)


def _only_cxone(what: str) -> tuple[Code, str, str]:
    return (
        Code.CONTRADICTION,
        f"`{what}` is for profile cxone only (cxone.md D8, D9)",
        "remove it, or write `profile: cxone`",
    )


DIALECT_KEYS = frozenset(field.name for field in fields(Dialect))
"""The switches there are; the schema is tested against them."""
