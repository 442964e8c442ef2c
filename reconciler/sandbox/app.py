"""The WSGI application: authenticate, route, answer, log. Every failure becomes a SCIM error here and nowhere else.

What stands between a request and its handler is one method each, in this order: `_authenticate`, `_limit`,
`_strike`, `_dispatch`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from reconciler.sandbox.authentication import authenticate, check_bearer
from reconciler.sandbox.config import Profile
from reconciler.sandbox.definitions import GROUP, USER, ResourceKind
from reconciler.sandbox.endpoints import bulk, control, discovery, licences, provider, resources, token
from reconciler.sandbox.errors import ScimError, not_found, not_implemented
from reconciler.sandbox.exchange import SCIM_PATH, Exchange, error_reply
from reconciler.sandbox.misbehavior import Dropped, misbehave
from reconciler.sandbox.service import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

Handler = Callable[..., Response]

_CXONE_PATH = "/api/scim/v2"
_PLATFORM_PATH = "/api/v2"
_CONTROL_PATH = "/_sandbox"
_NO_ANSWER = 0
_logger = logging.getLogger(__name__)


class Application:
    """One tenant as a WSGI application."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._routes = _build_routes(service.config.profile, with_control=service.config.admin is not None)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        exchange = Exchange(self._service, Request(environ))
        try:
            response = self._answer(exchange)
        except Dropped:
            self._log(exchange, _NO_ANSWER)
            raise
        self._log(exchange, response.status_code)
        return response(environ, start_response)

    def _answer(self, exchange: Exchange) -> Response:
        try:
            self._authenticate(exchange)
            if _is_control(exchange):
                return self._dispatch(exchange)
            self._limit(exchange)
            self._service.jobs.tick()
            return self._strike(exchange)
        except ScimError as error:
            return error_reply(error)
        except Dropped:
            raise
        except HTTPException as error:
            return error_reply(_translated(error))
        except Exception:
            # The outermost frame: a defect must reach the client as a SCIM error, and us with its traceback.
            _logger.exception("Cannot answer %s %s", exchange.request.method, exchange.request.path)
            return error_reply(ScimError(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log tells why"))

    def _authenticate(self, exchange: Exchange) -> None:
        config = self._service.config
        header = exchange.request.headers.get("Authorization")
        path = exchange.request.path
        if _is_control(exchange):
            if config.admin is not None:
                check_bearer(header, config.admin)
        elif path != token.TOKEN_PATH:
            exchange.access = authenticate(header, config, self._service.tokens)
            for base in (SCIM_PATH, _CXONE_PATH):
                if path == base or path.startswith(f"{base}/"):
                    exchange.access.check_request(exchange.request.method, path.removeprefix(base))

    def _limit(self, exchange: Exchange) -> None:
        if exchange.request.path != token.TOKEN_PATH:
            self._service.rate_limit.check()

    def _strike(self, exchange: Exchange) -> Response:
        request = exchange.request
        query = request.query_string.decode("latin-1")
        exchange.strike = self._service.faults.strike(request.method, request.path, query)
        if exchange.strike is None:
            return self._dispatch(exchange)
        return misbehave(exchange, exchange.strike, functools.partial(self._dispatch, exchange))

    def _dispatch(self, exchange: Exchange) -> Response:
        handler, arguments = self._routes.bind_to_environ(exchange.request.environ).match()
        response: Response = handler(exchange, **arguments)
        return response

    def _log(self, exchange: Exchange, status: int) -> None:
        if _is_control(exchange):
            return
        request = exchange.request
        self._service.log.add(
            method=request.method,
            path=request.path,
            query=request.query_string.decode("latin-1"),
            status=status,
            bytes_in=request.content_length or 0,
            operations=exchange.operations,
            fault=exchange.strike.fault.value if exchange.strike else None,
        )


def _is_control(exchange: Exchange) -> bool:
    return exchange.request.path.startswith(f"{_CONTROL_PATH}/")


def _translated(error: HTTPException) -> ScimError:
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return ScimError(HTTPStatus.METHOD_NOT_ALLOWED, f"Allowed here: {allowed}", headers={"Allow": allowed})
    if error.code == HTTPStatus.NOT_FOUND:
        return not_found("There is no such endpoint")
    return ScimError(error.code or HTTPStatus.BAD_REQUEST, error.description or "The request cannot be read")


def _refuse_me(_exchange: Exchange) -> Response:
    """RFC 7644 section 3.11 lets a service without `/Me` say so."""
    raise not_implemented("/Me")


@functools.cache
def _build_routes(profile: Profile, *, with_control: bool) -> Map:
    """The routes of all tenants of a profile; compiling them takes longer than everything else at a start."""
    rules = [*_discovery_rules(), *_resource_rules(USER), *_resource_rules(GROUP), *_service_rules()]
    if profile == "cxone":
        rules += _cxone_rules()
    if with_control:
        rules += _rules(f"{_CONTROL_PATH}/requests", GET=control.read_requests)
        rules += _rules(f"{_CONTROL_PATH}/reset", POST=control.reset)
        rules += _rules(
            f"{_CONTROL_PATH}/faults", GET=control.read_faults, PUT=control.set_faults, DELETE=control.clear_faults
        )
    return Map(rules, strict_slashes=False, merge_slashes=False)


def _cxone_rules() -> list[Rule]:
    """What only CXone has. The operations log (E2) will stand beside the licences."""
    return [
        *_rules(f"{_CXONE_PATH}/ServiceProviderConfig", GET=provider.read, PUT=provider.replace),
        *_rules(f"{_PLATFORM_PATH}/license/quotas", GET=licences.read_quota),
        *_rules(f"{_PLATFORM_PATH}/license/assignments/<path:identifier>", DELETE=licences.release),
    ]


def _service_rules() -> list[Rule]:
    return [
        *_rules(f"{SCIM_PATH}/Bulk/<identifier>", GET=bulk.read_job),
        *_rules(f"{SCIM_PATH}/", GET=resources.list_resources),
        *_rules(f"{SCIM_PATH}/.search", POST=resources.search),
        *_rules(f"{SCIM_PATH}/Bulk", POST=bulk.run),
        *_rules(token.TOKEN_PATH, POST=token.issue),
        *_rules(f"{SCIM_PATH}/Me", **dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), _refuse_me)),
    ]


def _discovery_rules() -> list[Rule]:
    return [
        *_rules(f"{SCIM_PATH}/ServiceProviderConfig", GET=discovery.provider_config),
        *_rules(f"{SCIM_PATH}/ResourceTypes", GET=discovery.list_resource_types),
        *_rules(f"{SCIM_PATH}/ResourceTypes/<name>", GET=discovery.read_resource_type),
        *_rules(f"{SCIM_PATH}/Schemas", GET=discovery.list_schemas),
        *_rules(f"{SCIM_PATH}/Schemas/<urn>", GET=discovery.read_schema),
    ]


def _resource_rules(kind: ResourceKind) -> list[Rule]:
    def of_kind(handler: Handler) -> Handler:
        return functools.partial(handler, kind=kind)

    path = f"{SCIM_PATH}{kind.endpoint}"
    return [
        *_rules(path, GET=of_kind(resources.list_resources), POST=of_kind(resources.create)),
        *_rules(f"{path}/.search", POST=of_kind(resources.search)),
        *_rules(
            f"{path}/<path:key>",
            GET=of_kind(resources.read),
            PUT=of_kind(resources.replace),
            PATCH=of_kind(resources.patch),
            DELETE=of_kind(resources.delete),
        ),
    ]


def _rules(path: str, **handlers: Any) -> list[Rule]:
    return [Rule(path, methods=[method], endpoint=handler) for method, handler in handlers.items()]
