"""Why no answer came, and whether the request may have arrived all the same.

In words of our own: the texts of the HTTP libraries quote whole URLs, and their exceptions hold the headers.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from requests import exceptions
from urllib3.exceptions import NameResolutionError, NewConnectionError

from reconciler.errors import ScimUnreachable


class CertificateRefused(ScimUnreachable):
    """The service has a certificate that the system does not trust. Nothing was sent, and trying again is no use."""


def unreachable(method: str, url: str, error: BaseException) -> ScimUnreachable:
    """The error for a request that `error` ended.

    `maybe_sent` is False only where no connection came about: the name, the connect, or the certificate failed.
    """
    causes = list(_causes(error))
    parts = urlsplit(url)
    host, path = parts.netloc, parts.path
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CertificateRefused(
                f"the certificate of {host} is not trusted: {cause.verify_message}",
                maybe_sent=False,
                hint="certificates are always verified; the service has to present one that this system trusts",
            )
    if _any(causes, NameResolutionError, socket.gaierror):
        return ScimUnreachable(f"the name of {host} cannot be resolved", maybe_sent=False)
    if _any(causes, exceptions.ConnectTimeout, NewConnectionError):
        return ScimUnreachable(f"cannot connect to {host}{_system_reason(causes)}", maybe_sent=False)
    if _any(causes, exceptions.Timeout, TimeoutError):
        return ScimUnreachable(f"{host} did not answer {method} {path} in time", maybe_sent=True)
    reason = _system_reason(causes)
    return ScimUnreachable(f"the connection to {host} was lost during {method} {path}{reason}", maybe_sent=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: the libraries chain through causes, contexts, `reason` and arguments."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        current = pending.pop(0)
        if isinstance(current, BaseException) and id(current) not in seen:
            seen.add(id(current))
            yield current
            pending += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]


def _any(causes: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in causes)


def _system_reason(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and not isinstance(cause, exceptions.RequestException) and cause.strerror:
            return f": {cause.strerror.lower()}"
    return ""
