"""The licences of a CXone tenant (cxone.md section 4, endpoint E3)."""

from __future__ import annotations

from typing import Protocol

from reconciler.errors import ScimMalformed
from reconciler.messages.codec import parse_count, parse_object
from reconciler.model.plan import Quota
from reconciler.transport.session import Request, Response

_QUOTAS = "/license/quotas"


class Transport(Protocol):
    """What reading needs of a transport; `HttpTransport` is one."""

    def send(self, request: Request) -> Response:
        """The final answer."""


def read_quota(transport: Transport, platform_url: str) -> Quota | str:
    """How many licences there are and how many are used, or in plain words why nobody can tell.

    Raises ScimUnreachable where the platform does not answer at all.
    """
    url = f"{platform_url}{_QUOTAS}"
    headers = {"Accept": "application/json"}
    response = transport.send(Request(method="GET", url=url, headers=headers, body=None, idempotent=True))
    if response.status != 200:
        return f"the platform answered {response.status} when it was asked for the licences"
    try:
        said = parse_object(response.body)
    except ScimMalformed:
        return "the platform's answer about licences cannot be read"
    total, used = parse_count(said.get("total")), parse_count(said.get("used"))
    if total is None or used is None:
        return "the platform's answer about licences has no `total` and `used`"
    return Quota(total=total, used=used)
