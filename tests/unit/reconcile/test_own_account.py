"""Guard `self-lockout` knows what the reconciler signs in as (SPEC section 8)."""

from __future__ import annotations

import pytest

from reconciler.model.tenant import Auth, AuthType, SecretReference
from reconciler.reconcile.plan import own_account
from tests.states import tenant_for

ENVIRON = {"SCIM_USER": "robot@example.com"}
SECRET = SecretReference("SCIM_TOKEN")


@pytest.mark.parametrize(
    ("auth", "account"),
    [
        (Auth(type=AuthType.BASIC, username="robot", password=SECRET), "robot"),
        (Auth(type=AuthType.BASIC, username=SecretReference("SCIM_USER"), password=SECRET), "robot@example.com"),
        (Auth(type=AuthType.OAUTH2, client_id="client-7", client_secret=SECRET), "client-7"),
        (Auth(type=AuthType.OAUTH2, client_id=SecretReference("SCIM_ELSE"), client_secret=SECRET), None),
        (Auth(type=AuthType.BEARER, token=SECRET), None),
        (Auth(type=AuthType.NONE), None),
    ],
)
def test_the_account_is_the_user_of_basic_and_the_client_of_oauth(auth: Auth, account: str | None) -> None:
    """A bearer token names nobody."""
    assert own_account(tenant_for(auth=auth), ENVIRON) == account
