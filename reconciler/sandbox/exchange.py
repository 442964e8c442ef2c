"""One request on its way to its answer: what handlers ask of it, and how they reply."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from werkzeug.wrappers import Request, Response

from reconciler.sandbox.authentication import FULL_ACCESS
from reconciler.sandbox.definitions import KINDS
from reconciler.sandbox.errors import ScimError, too_large
from reconciler.sandbox.faults import Fault, Strike
from reconciler.sandbox.preconditions import Preconditions, entity_tag
from reconciler.sandbox.projection import Projection, read_projection
from reconciler.sandbox.rendering import Renderer
from reconciler.sandbox.service import Service
from reconciler.sandbox.store import BASE_MARK, Record
from reconciler.sandbox.wire import as_object, decode_json, encode_json

SCIM_PATH = "/scim/v2"
SCIM_JSON = "application/scim+json"
JSON = "application/json"


class Exchange:
    """A request and the service it meets.

    `access` is what the sender may do, `strike` the fault that the request meets. `operations` counts the operations of
    a bulk request for the request log.
    """

    def __init__(self, service: Service, request: Request) -> None:
        self.service = service
        self.request = request
        self.operations = 0
        self.access = FULL_ACCESS
        self.strike: Strike | None = None

    @property
    def base_url(self) -> str:
        """The SCIM base URL as this client knows it."""
        host = self.request.host.replace(BASE_MARK, "") or self.service.config.host
        return f"{self.request.scheme}://{host}{SCIM_PATH}"

    def struck_by(self, fault: Fault) -> Mapping[str, Any] | None:
        """The arguments of a fault, where it is the one that the request meets."""
        return self.strike.args if self.strike is not None and self.strike.fault is fault else None

    @property
    def renderer(self) -> Renderer:
        """Renders resources with this client's base URL."""
        return Renderer(self.service.store, self.service.config, self.base_url)

    @property
    def preconditions(self) -> Preconditions:
        """What the request demands of the version; nothing when the tenant has no versions."""
        if not self.service.config.supports_etag:
            return Preconditions()
        headers = self.request.headers
        return Preconditions(if_match=headers.get("If-Match"), if_none_match=headers.get("If-None-Match"))

    @property
    def projection(self) -> Projection:
        """`attributes` and `excludedAttributes` of the query."""
        arguments = self.request.args
        return read_projection(
            arguments.get("attributes", "").split(","), arguments.get("excludedAttributes", "").split(",")
        )

    def read_object(self, limit: int | None = None, limit_name: str = "the size limit of a body") -> dict[str, Any]:
        """The JSON object in the body; raises 415, 413 naming the limit, and 400."""
        return as_object(self.read_json(limit, limit_name))

    def read_json(self, limit: int | None = None, limit_name: str = "the size limit of a body") -> Any:
        """The JSON value in the body; raises 415, 413 naming the limit, and 400."""
        if self.request.mimetype not in (SCIM_JSON, JSON, ""):
            raise ScimError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send {SCIM_JSON} or {JSON}, not {self.request.mimetype[:100]}"
            )
        ceiling = self.service.config.max_payload if limit is None else limit
        if (self.request.content_length or 0) > ceiling:
            raise too_large(f"{self.request.content_length} bytes exceed {limit_name} ({ceiling})")
        return decode_json(self.request.get_data(cache=False))

    def reply(self, text: str, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
        """An answer with a body, in the media type the client prefers."""
        accepted = self.request.headers.get("Accept", "")
        only_json = JSON in accepted and SCIM_JSON not in accepted and "*/*" not in accepted
        return Response(text, status, headers, content_type=JSON if only_json else SCIM_JSON)

    def reply_value(
        self, value: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
    ) -> Response:
        """An answer whose body is `value` as JSON."""
        return self.reply(encode_json(value), status, headers)

    def reply_record(self, record: Record, status: int = HTTPStatus.OK) -> Response:
        """An answer with one resource, its ETag and, when created, its Location. The caller holds the store's lock."""
        text = self.renderer.render(record, self.projection)
        headers = {}
        if self.service.config.supports_etag:
            headers["ETag"] = entity_tag(record.version)
        if status == HTTPStatus.CREATED:
            headers["Location"] = f"{self.base_url}{KINDS[record.kind].endpoint}/{record.id}"
        return self.reply(text, status, headers)


def empty_reply(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer without a body."""
    response = Response(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def error_reply(error: ScimError) -> Response:
    """The answer to a request that failed; always SCIM JSON (RFC 7644 section 3.12)."""
    return Response(encode_json(error.to_json()), error.status, error.headers, content_type=SCIM_JSON)
