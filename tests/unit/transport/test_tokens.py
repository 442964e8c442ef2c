"""Secrets come from the environment by name and are never shown (SPEC P11)."""

import pytest

from reconciler.errors import ConfigurationError
from reconciler.model.tenant import Auth, AuthType, SecretReference
from reconciler.transport.tokens import BearerToken, NoToken, token_source_for

BEARER = Auth(type=AuthType.BEARER, token=SecretReference("SCIM_TOKEN"))


def test_a_bearer_token_comes_from_its_variable() -> None:
    """RFC 6750 section 2.1; a line feed at the end, as CI stores like to have it, does no harm."""
    source = token_source_for(BEARER, {"SCIM_TOKEN": "abc.def-1~/+=\n"})
    assert source.header() == "Bearer abc.def-1~/+="
    assert source.secrets() == ("abc.def-1~/+=",)
    assert source.refresh(source.header()) is False


def test_no_authentication_sends_no_header() -> None:
    """`auth: {type: none}`."""
    source = token_source_for(Auth(type=AuthType.NONE), {"SCIM_TOKEN": "ignored"})
    assert (source.header(), source.refresh(None), source.secrets()) == (None, False, ())


@pytest.mark.parametrize("environ", [{}, {"SCIM_TOKEN": ""}, {"SCIM_TOKEN": " \n"}])
def test_a_missing_secret_names_its_variable(environ: dict[str, str]) -> None:
    """The reader learns what to export."""
    with pytest.raises(ConfigurationError, match="SCIM_TOKEN is not set"):
        token_source_for(BEARER, environ)


@pytest.mark.parametrize("secret", ["two words", "inj\r\nX-Header: 1", "umläut", "null\x00"])
def test_a_secret_that_could_break_out_of_the_header_is_refused_unseen(secret: str) -> None:
    """The message names the variable and not what it holds."""
    with pytest.raises(ConfigurationError, match="SCIM_TOKEN") as refused:
        token_source_for(BEARER, {"SCIM_TOKEN": secret})
    assert secret not in str(refused.value)


def test_a_token_is_not_in_its_repr() -> None:
    """Logs and tracebacks show reprs."""
    assert "s3cr3t" not in repr(BearerToken("s3cr3t")) + str(BearerToken("s3cr3t"))
    assert isinstance(token_source_for(Auth(type=AuthType.NONE), {}), NoToken)
