"""The one exception of the embedded tenant: an answer that is a SCIM error (RFC 7644 section 3.12)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

ERROR_URN = "urn:ietf:params:scim:api:messages:2.0:Error"


class ScimError(Exception):
    """A request that is answered with an error body; raised anywhere below the HTTP layer."""

    def __init__(
        self,
        status: int,
        detail: str,
        scim_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.scim_type = scim_type
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, Any]:
        """The error message as RFC 7644 section 3.12 shapes it; `status` is a string."""
        message: dict[str, Any] = {"schemas": [ERROR_URN], "status": str(self.status)}
        if self.scim_type:
            message["scimType"] = self.scim_type
        message["detail"] = self.detail
        return message


def invalid_syntax(detail: str) -> ScimError:
    """The body or the message does not have the shape the RFC asks for."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidSyntax")


def invalid_value(detail: str) -> ScimError:
    """A required value is missing, or a value does not fit its attribute."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidValue")


def invalid_filter(detail: str) -> ScimError:
    """The filter does not parse, or compares what cannot be compared."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidFilter")


def invalid_cursor(detail: str) -> ScimError:
    """The cursor is none that the tenant gave for this query (RFC 9865 section 2.1)."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidCursor")


def expired_cursor(detail: str) -> ScimError:
    """The cursor is older than the tenant keeps it valid (RFC 9865 section 2.1)."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "expiredCursor")


def invalid_count(detail: str) -> ScimError:
    """The count is out of range, or another one than that of the pages before (RFC 9865 section 2.1)."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidCount")


def invalid_path(detail: str) -> ScimError:
    """The path of a PATCH operation does not parse or names no attribute."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "invalidPath")


def no_target(detail: str) -> ScimError:
    """The path of a PATCH operation yields nothing that could be changed."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "noTarget")


def mutability(detail: str) -> ScimError:
    """The attribute may not be changed in this way."""
    return ScimError(HTTPStatus.BAD_REQUEST, detail, "mutability")


def uniqueness(detail: str) -> ScimError:
    """Another resource has the value already."""
    return ScimError(HTTPStatus.CONFLICT, detail, "uniqueness")


def not_found(detail: str) -> ScimError:
    """Nothing is there."""
    return ScimError(HTTPStatus.NOT_FOUND, detail)


def precondition_failed(detail: str) -> ScimError:
    """The version asked for is not the version that is there."""
    return ScimError(HTTPStatus.PRECONDITION_FAILED, detail)


def too_large(detail: str) -> ScimError:
    """The request exceeds a limit, which `detail` names (RFC 7644 section 3.7.4)."""
    return ScimError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def too_many_requests(retry_after: str | None) -> ScimError:
    """More requests than the tenant takes; with the time to wait, if there is one to tell."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return ScimError(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", headers=headers)


def not_implemented(feature: str) -> ScimError:
    """The tenant does not have the feature, as its ServiceProviderConfig says."""
    return ScimError(HTTPStatus.NOT_IMPLEMENTED, f"{feature} is not supported by this service")
