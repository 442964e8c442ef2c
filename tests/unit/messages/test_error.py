"""Error answers are read whatever they look like (RFC 7644 section 3.12; scim-rfc.md Q30)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.messages.error import ErrorMessage, parse_error, shorten


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b'{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"scimType":"uniqueness","detail":"taken","status":"409"}',
            ErrorMessage("uniqueness", "taken"),
        ),
        (b'{"SCIMTYPE":"mutability","Detail":"no","status":400}', ErrorMessage("mutability", "no")),
        (b'{"error":"invalid_client","error_description":"bad secret"}', ErrorMessage(None, "bad secret")),
        (b'{"message":"boom"}', ErrorMessage(None, "boom")),
        (b'{"error":{"code":42,"message":"nested"}}', ErrorMessage(None, "nested")),
        (b'{"Errors":[{"description":"a","code":"1"},{"description":"b"}]}', ErrorMessage(None, "a; b")),
        (
            b'{"detail":[{"loc":["body","userName"],"msg":"field required","type":"missing"}]}',
            ErrorMessage(None, "field required (body.userName)"),
        ),
        (b'"just a string"', ErrorMessage(None, "just a string")),
        (b"[]", ErrorMessage(None, None)),
        (b"{}", ErrorMessage(None, None)),
        (b"null", ErrorMessage(None, "null")),
        (b"", ErrorMessage(None, None)),
        (b"plain\ntext", ErrorMessage(None, "plain text")),
        (
            b"<html><head><style>a{}</style><title>502 Bad Gateway</title></head><body>nginx &amp; co</body></html>",
            ErrorMessage(None, "502 Bad Gateway nginx & co"),
        ),
        (b"\xff\xfe broken", ErrorMessage(None, "\ufffd\ufffd broken")),
    ],
)
def test_an_error_is_read_in_every_shape(body: bytes, message: ErrorMessage) -> None:
    """SCIM, OAuth, gateways, FastAPI, HTML and plain text."""
    assert parse_error(body) == message


def test_a_detail_is_one_printable_line() -> None:
    """What a service says goes to terminals and reports: no escape sequences, no turned-around text, no flood."""
    assert shorten("a\x1b[2J\r\nb\u202ec\u2028d") == "a [2J b c d"
    assert shorten("x" * 1000) == "x" * 299 + "…"
    assert shorten(" \t ") is None


def test_nesting_too_deep_is_shown_as_text() -> None:
    """No error about an error."""
    detail = parse_error(b"[" * 60_000).detail
    assert detail is not None
    assert detail.startswith("[[[")


@given(st.binary(max_size=300))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    """Whatever a gateway sends, there is an answer of at most one printable line."""
    detail = parse_error(body).detail
    assert detail is None or (0 < len(detail) <= 300 and "\n" not in detail)
