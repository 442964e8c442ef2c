"""One request and its answer, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.transport.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, complete but for credentials, which the transport adds.

    `idempotent` says that sending it twice does the same as sending it once; only then is it repeated when it may have
    arrived. `policy` is how patient to be with it, None as with every other. Headers and body stay out of the repr.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    idempotent: bool = False
    policy: RetryPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The final answer, whatever its status. Header names are in lower case; the body is complete and decompressed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """One header, by its name in any case."""
        return self.headers.get(name.lower())
