"""One method per protocol request of RFC 7644, with typed replies and errors."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urljoin, urlsplit

from reconciler.errors import PreconditionFailed, ScimAccepted, ScimError, ScimMalformed, ScimRejected
from reconciler.messages.bulk import BulkJob, JobReport, JobState, parse_job
from reconciler.messages.codec import (
    ListPage,
    decode_configuration,
    decode_group,
    decode_list,
    decode_user,
    id_in_location,
    parse_count,
    parse_object,
    path_segment,
    resource_path,
    usable_version,
)
from reconciler.messages.error import ErrorMessage, parse_error
from reconciler.model.dialect import Dialect
from reconciler.model.resource import Attributes, Kind, LiveConfiguration, LiveGroup, LiveUser, pack
from reconciler.model.tenant import Endpoints
from reconciler.transport.retry import RetryPolicy
from reconciler.transport.session import Request, Response

REFUSES_FILTER = frozenset({400, 403, 404, 405, 501})
"""How services answer a filter that they do not have."""

_NOT_THERE = frozenset({404, 405, 501})
_JOB_GONE = frozenset({404, 405, 410, 501})
_CASE_EXACT = frozenset({"externalId", "id"})
_LOOK_UP_PAGE = 100


class Transport(Protocol):
    """What the client needs of a transport; `HttpTransport` is one."""

    @property
    def requests(self) -> int:
        """Requests sent so far, repeats not counted."""

    def send(self, request: Request) -> Response:
        """The final answer."""

    def redact(self, text: str) -> str:
        """The text without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a successful write returned. `version` and `resource` are None where the service did not send them.

    `resource` says of a group's members only what the answer says: None where they are not in it.
    """

    id: str
    version: str | None
    resource: LiveUser | LiveGroup | None


class ScimClient:
    """Talks to one SCIM service. Safe to use from several threads if the transport is.

    Every method may raise ScimUnreachable, ScimMalformed or ScimRejected; after a write the first two leave the outcome
    unknown, and so does a ScimRejected with a status of 500 or more. A write may raise ScimAccepted, too: it may still
    happen. A version that is None or empty sends no `If-Match` at all (cxone.md R8).
    """

    def __init__(self, transport: Transport, endpoints: Endpoints, dialect: Dialect) -> None:
        self._transport = transport
        self._base_url = endpoints.base_url.rstrip("/")
        self._configuration_url = endpoints.service_provider_config_url
        self._media_type = dialect.media_type
        self._accept = _accept(dialect.media_type)
        self._polls = 0

    @property
    def requests(self) -> int:
        """Requests sent so far; repeats and questions after jobs are not counted (SPEC section 6)."""
        return self._transport.requests - self._polls

    def list_page(self, kind: Kind, start_index: int, count: int, filter: str | None = None) -> ListPage:  # noqa: A002 -- the RFC's word
        """One page of a list (RFC 7644 section 3.4.2); X-Total-Results stands in for a missing total (D24)."""
        parameters = {"startIndex": str(start_index), "count": str(count)}
        if filter is not None:
            parameters["filter"] = filter
        return self._list(kind, parameters)

    def cursor_page(self, kind: Kind, cursor: str, count: int | None) -> ListPage:
        """One page of a list by its cursor, which is empty for the first page (RFC 9865 section 2).

        `count` must be the same for all pages of a scan; None leaves the size of pages to the service.
        """
        return self._list(kind, {"cursor": cursor} if count is None else {"cursor": cursor, "count": str(count)})

    def _list(self, kind: Kind, parameters: Mapping[str, str]) -> ListPage:
        try:
            query = urlencode(parameters, quote_via=quote, safe="")
        except UnicodeEncodeError:  # half a surrogate pair in a cursor
            raise ScimMalformed(f"the service gave a cursor for its {kind.endpoint} that cannot be sent back") from None
        url = f"{self._base_url}{kind.endpoint}?{query}"
        response = self._send("GET", url)
        _expect(response, {200}, self._error)
        page = decode_list(self._object(response, url))
        return page if page.total is not None else replace(page, total=parse_count(response.header("x-total-results")))

    def get(self, kind: Kind, id: str) -> LiveUser | LiveGroup | None:  # noqa: A002 -- the RFC's word
        """One user or group, or None if it does not exist. A group that shows no `members` here has none."""
        response = self._send("GET", self._url(kind, id), {"Accept-Encoding": "identity"})
        if response.status == 404:
            return None
        _expect(response, {200}, self._error)
        document = self._object(response, self._url(kind, id))
        return _decode(kind, document, response.header("etag"), absent_members=())

    def find(self, kind: Kind, attribute: str, value: str) -> tuple[LiveUser | LiveGroup, ...]:
        """The resources whose attribute really equals `value`; every row is checked (scim-rfc.md Q10).

        `externalId` compares exactly, everything else without case. Raises ScimMalformed where the service did not
        return all rows that it says it found, be it that it widened the filter: what was not shown proves nothing.
        """
        literal = json.dumps(value, ensure_ascii=False)
        page = self._look_up(kind, f"{attribute} eq {literal}")
        matching = [row for row in page.resources if _says(row, attribute, value)]
        says_all = page.is_whole or (page.total is None and page.next_cursor is None)
        if not says_all or (page.total is None and len(matching) < len(page.resources)):
            what = "ignores" if len(matching) < len(page.resources) else "shows only a part of what it finds by"
            raise ScimMalformed(
                f"the service {what} the filter on {attribute}",
                hint="look-ups are not possible on this service; only a complete inventory will do",
            )
        return tuple(_decode(kind, row, None, absent_members=None) for row in matching)

    def _look_up(self, kind: Kind, filter: str) -> ListPage:  # noqa: A002 -- the RFC's word
        """The first page, without `startIndex`: a service that pages by cursor only refuses it (RFC 9865)."""
        try:
            return self._list(kind, {"count": str(_LOOK_UP_PAGE), "filter": filter})
        except ScimRejected as rejected:
            if not is_about(rejected, "invalidCount"):
                raise
            return self._list(kind, {"filter": filter})

    def create(self, kind: Kind, body: Attributes) -> Written:
        """POST a new resource (RFC 7644 section 3.3)."""
        url = f"{self._base_url}{kind.endpoint}"
        response = self._write("POST", url, body=body)
        _expect(response, {200, 201}, self._error)
        return self._written(kind, response, url, id_in_location(response.header("location")))

    def put(self, kind: Kind, id: str, body: Attributes, version: str | None) -> Written:  # noqa: A002
        """Replace a resource (section 3.5.1). Repeated after a lost answer only if `version` makes that harmless."""
        url = self._url(kind, id)
        response = self._write("PUT", url, _if_match(version), body=body, idempotent=bool(version))
        _expect(response, {200, 201, 204}, self._error, guarded=bool(version))
        return self._written(kind, response, url, id)

    def patch(self, kind: Kind, id: str, patch_message: Attributes, version: str | None) -> Written:  # noqa: A002
        """Send a PatchOp message (section 3.5.2); 200 with a body and 204 are both fine (cxone.md D15)."""
        url = self._url(kind, id)
        response = self._write("PATCH", url, _if_match(version), body=patch_message)
        _expect(response, {200, 204}, self._error, guarded=bool(version))
        return self._written(kind, response, url, id)

    def delete(self, kind: Kind, id: str, version: str | None) -> None:  # noqa: A002
        """Delete a resource (section 3.6). One that is not there any more is done."""
        response = self._write("DELETE", self._url(kind, id), _if_match(version), idempotent=True)
        if response.status != 404:
            _expect(response, {200, 204}, self._error, guarded=bool(version))

    def bulk(self, request: Attributes) -> Attributes | BulkJob:
        """Send a BulkRequest (RFC 7644 section 3.7); whether it is carried out at once is for the service (D11).

        The BulkResponse, for `messages.bulk.parse_bulk_response`; or the job that the service took on (202).

        Raises ScimAccepted for a 202 that names no job.
        """
        url = f"{self._base_url}/Bulk"
        response = self._send("POST", url, body=request)
        if response.status == 202:
            return self._accepted(response, url)
        _expect(response, {200, 201}, self._error)
        return self._object(response, url)

    def _accepted(self, response: Response, url: str) -> BulkJob:
        """The job of a 202, by the `id` in the body, else by a Location."""
        try:
            fields = {key.lower(): value for key, value in parse_object(response.body).items()}
        except ScimMalformed:  # an empty body is the rule of RFC 9967
            fields = {}
        identifier = fields.get("id")
        segment = path_segment(identifier) if isinstance(identifier, str) else None
        if segment is not None:
            return BulkJob(str(identifier), f"{urlsplit(self._base_url).path}/Bulk/{segment}")
        path = None if response.header("set-txn") else _own_path(url, response.header("location"))
        if path is None:
            raise _no_job()
        return BulkJob(id_in_location(path) or path, path)

    def job_report(self, job: BulkJob, longest_wait: float) -> JobReport:
        """Ask once how far a job is (cxone.md E6). Stands outside `requests` (SPEC section 6).

        Only a 429 is repeated, for at most `longest_wait` seconds; how patient to be is for the caller.
        """
        origin = urlsplit(self._base_url)
        url = f"{origin.scheme}://{origin.netloc}{job.path}"
        self._polls += 1
        patience = RetryPolicy(transient=0, longest_wait=longest_wait)
        response = self._send("GET", url, policy=patience)
        if response.status in _JOB_GONE:
            return JobReport(state=JobState.GONE)
        _expect(response, {200, 202}, self._error)
        if response.status == 202 and not response.body.strip():
            return JobReport(state=JobState.RUNNING)
        report = parse_job(self._object(response, url))
        if response.status == 202:
            return replace(report, state=JobState.RUNNING)
        return report if report.errors is None else replace(report, errors=self._transport.redact(report.errors))

    def get_configuration(self) -> LiveConfiguration | None:
        """The ServiceProviderConfig with its version, or None where the service has none."""
        response = self._send("GET", self._configuration_url, {"Accept-Encoding": "identity"})
        if response.status in _NOT_THERE:
            return None
        _expect(response, {200}, self._error)
        return decode_configuration(self._object(response, self._configuration_url), etag=response.header("etag"))

    def put_configuration(self, body: Attributes, version: str | None) -> Written:
        """Replace the ServiceProviderConfig (cxone.md section 7). 202 is fine: only reading back proves it (C4)."""
        headers = _if_match(version)
        response = self._send("PUT", self._configuration_url, headers, body=body, idempotent=bool(version))
        _expect(response, {200, 201, 202, 204}, self._error, guarded=bool(version))
        return Written(id="", version=usable_version(response.header("etag")), resource=None)

    def service_provider_config(self) -> Attributes | None:
        """The ServiceProviderConfig as JSON, or None where the service has none (RFC 7644 section 4)."""
        return self._discover(self._configuration_url)

    def resource_types(self) -> Attributes | None:
        """The list of resource types, or None where the service has none."""
        return self._discover(f"{self._base_url}/ResourceTypes")

    def schemas(self) -> Attributes | None:
        """The list of schemas, or None where the service has none."""
        return self._discover(f"{self._base_url}/Schemas")

    def _discover(self, url: str) -> Attributes | None:
        response = self._send("GET", url)
        if response.status in _NOT_THERE:
            return None
        _expect(response, {200}, self._error)
        return self._object(response, url)

    def _url(self, kind: Kind, identifier: str) -> str:
        return self._base_url + resource_path(kind, identifier)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: Attributes | None = None,
        idempotent: bool | None = None,
        policy: RetryPolicy | None = None,
    ) -> Response:
        encoded = None if body is None else pack(body)
        sent = {"Accept": self._accept, **(headers or {})}
        if encoded is not None:
            sent["Content-Type"] = self._media_type
        safe = method in {"GET", "HEAD"} if idempotent is None else idempotent
        return self._transport.send(
            Request(method=method, url=url, headers=sent, body=encoded, idempotent=safe, policy=policy)
        )

    def _write(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        body: Attributes | None = None,
        idempotent: bool = False,
    ) -> Response:
        """Send the write of one resource; one that is taken on for later has no answer to speak of."""
        response = self._send(method, url, headers, body=body, idempotent=idempotent)
        if response.status == 202:
            raise _no_job()
        return response

    def _object(self, response: Response, url: str) -> Attributes:
        try:
            return parse_object(response.body)
        except ScimMalformed as error:
            error.context = f"status {response.status} from {urlsplit(url).path}"
            raise

    def _written(self, kind: Kind, response: Response, url: str, identifier: str | None) -> Written:
        version = usable_version(response.header("etag"))
        if response.status == 204 or not response.body.strip():
            if identifier is None:
                raise ScimMalformed(f"the service created a {kind} and did not say its id", context=urlsplit(url).path)
            return Written(id=identifier, version=version, resource=None)
        resource = _decode(kind, self._object(response, url), version, absent_members=None)
        return Written(id=resource.id, version=resource.version, resource=resource)

    def _error(self, response: Response, *, guarded: bool) -> ScimError:
        said = parse_error(self._transport.redact(response.body.decode("utf-8", "replace")).encode())
        detail = None if said.detail is None else self._transport.redact(said.detail)
        if response.status == 412 or (response.status == 409 and guarded and not _is_duplicate(said)):
            return PreconditionFailed(response.status, scim_type=said.scim_type, detail=detail)
        hint = _hint(response, said)
        return ScimRejected(response.status, scim_type=said.scim_type, detail=detail, hint=hint)


def _own_path(url: str, location: str | None) -> str | None:
    """Path and query of a Location at the origin of `url`, which it answers; None for anywhere else and for itself."""
    try:
        target, own = urlsplit(urljoin(url, location or "")), urlsplit(url)
        is_own = (target.scheme, target.hostname, target.port) == (own.scheme, own.hostname, own.port)
    except ValueError:
        return None
    if not is_own or target.path == own.path:
        return None
    return f"{target.path}?{target.query}" if target.query else target.path


def _no_job() -> ScimAccepted:
    return ScimAccepted(
        "the service answered 202: it will do this later, and gave nothing to ask after it by",
        hint="look again in a while, before anything is applied again",
    )


def is_about(rejected: ScimRejected, *scim_types: str) -> bool:
    """Whether an error answer has one of these scimTypes, in any case."""
    return (rejected.scim_type or "").lower() in {scim_type.lower() for scim_type in scim_types}


class _ToError(Protocol):
    def __call__(self, response: Response, *, guarded: bool) -> ScimError: ...


def _expect(response: Response, statuses: set[int], to_error: _ToError, *, guarded: bool = False) -> None:
    if response.status in statuses:
        return
    if 200 <= response.status < 300:
        raise ScimMalformed(f"the service answered {response.status}, which means nothing here")
    raise to_error(response, guarded=guarded)


def _accept(media_type: str) -> str:
    """Both media types, the tenant's first (cxone.md D7, scim-rfc.md Q22)."""
    other = "application/json" if media_type != "application/json" else "application/scim+json"
    return f"{media_type}, {other};q=0.9"


def _if_match(version: str | None) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}  # a compressing proxy would weaken the ETag of the answer
    if version:
        headers["If-Match"] = version
    return headers


def _decode(
    kind: Kind, document: Mapping[str, Any], etag: str | None, *, absent_members: tuple[str, ...] | None
) -> LiveUser | LiveGroup:
    if kind is Kind.USER:
        return decode_user(document, etag=etag)
    return decode_group(document, etag=etag, absent_members=absent_members)


def _says(row: Mapping[str, Any], attribute: str, value: str) -> bool:
    found = next((item for key, item in row.items() if key.lower() == attribute.lower()), None)
    if not isinstance(found, str):
        return False
    return found == value if attribute in _CASE_EXACT else _without_case(found) == _without_case(value)


def _without_case(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _is_duplicate(said: ErrorMessage) -> bool:
    """Whether a 409 means a name that is taken; some services leave out the scimType (scim-rfc.md Q11)."""
    if said.scim_type is not None:
        return said.scim_type.lower() == "uniqueness"
    detail = (said.detail or "").lower()
    return any(word in detail for word in ("unique", "already", "duplicate", "exists", "in use", "taken"))


def _hint(response: Response, said: ErrorMessage) -> str | None:
    if response.status == 400 and (said.scim_type or "").lower() == "toomany":
        return (
            "the service does not list as many as it has, and parts of a list prove nothing about the rest: ask its "
            "operator to raise the limit; if it can page by cursor, set `dialect: {paging: cursor}` in tenant.yaml"
        )
    if 300 <= response.status < 400:
        target = urlsplit(response.header("location") or "")
        where = f"{target.scheme}://{target.netloc}" if target.netloc else "another path"
        return f"the service redirects to {where}; credentials are not sent along: correct scim.baseUrl in tenant.yaml"
    if response.status == 401:
        return "the credentials were not accepted: look at the secret, its scopes and the tenant"
    if response.status == 429:
        return "the service's rate limit did not recover: lower limits.requestsPerMinute, or run again later"
    if response.status == 403:
        return "the credentials are valid but not allowed to do this: look at scopes and permissions"
    return None
