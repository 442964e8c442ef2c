"""Why no answer came, in words that give nothing away."""

import socket
import ssl

import pytest
from requests import exceptions
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, ProtocolError

from reconciler.transport.unreachable import CertificateRefused, unreachable

URL = "https://acme.example.com/scim/v2/Users?filter=userName%20eq%20%22jane%22"
POOL = HTTPSConnectionPool("acme.example.com")
CONNECTION = HTTPConnection("acme.example.com")


def _wrapped(reason: Exception) -> exceptions.ConnectionError:
    """As requests hands it over."""
    return exceptions.ConnectionError(MaxRetryError(POOL, URL, reason))


@pytest.mark.parametrize(
    ("error", "maybe_sent", "words"),
    [
        (_wrapped(NewConnectionError(CONNECTION, "refused")), False, "cannot connect"),
        (_wrapped(NameResolutionError("acme.example.com", CONNECTION, socket.gaierror())), False, "cannot be resolved"),
        (exceptions.ConnectTimeout(), False, "cannot connect"),
        (exceptions.ReadTimeout(), True, "in time"),
        (TimeoutError(), True, "in time"),
        (
            _wrapped(ProtocolError("aborted", ConnectionResetError(104, "Connection reset by peer"))),
            True,
            "reset by peer",
        ),
        (exceptions.ChunkedEncodingError(), True, "lost"),
        (exceptions.SSLError(MaxRetryError(POOL, URL, ssl.SSLError(1, "alert"))), True, "lost"),
    ],
)
def test_a_failure_says_whether_the_request_may_have_arrived(error: Exception, maybe_sent: bool, words: str) -> None:
    """Only a connection that never came about proves that nothing was sent."""
    result = unreachable("GET", URL, error)
    assert result.maybe_sent is maybe_sent
    assert words in result.message
    assert "acme.example.com" in result.message
    assert "jane" not in result.message


def test_a_certificate_that_is_not_trusted_has_an_error_of_its_own() -> None:
    """It is found before anything is sent, and trying again does not help."""
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_message = "self-signed certificate"
    result = unreachable("POST", URL, exceptions.SSLError(MaxRetryError(POOL, URL, refused)))
    assert isinstance(result, CertificateRefused)
    assert result.maybe_sent is False
    assert "self-signed certificate" in result.message
