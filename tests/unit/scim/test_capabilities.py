"""What the service announces, in either shape, and what is assumed where it is silent (scim-rfc.md section 13, D27)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ScimMalformed, ScimRejected
from reconciler.model.dialect import Dialect, Profile
from reconciler.model.plan import Capabilities
from reconciler.scim.capabilities import read_capabilities
from reconciler.scim.client import ScimClient
from tests.fakes.listed_service import tenant

Document = dict[str, Any] | None | Exception

RFC = {
    "patch": {"supported": True},
    "bulk": {"supported": True, "maxOperations": 300, "maxPayloadSize": 1_048_576},
    "filter": {"supported": True, "maxResults": 50},
    "changePassword": {"supported": False},
    "sort": {"supported": True},
    "etag": {"supported": True},
    "authenticationSchemes": [],
    "pagination": {"cursor": True, "index": True},
}
CXONE = {
    "productName": "NICE CXone Identity Gateway",
    "etag": "a1b2c3",
    "bulkConfig": {"supported": True, "maxOperations": 1000, "maxPayloadSize": 10_485_760},
    "filterConfig": {"supported": True, "maxResults": 100},
    "changePasswordConfig": {"supported": False},
    "sortConfig": {"supported": True},
}
TYPES = {"totalResults": 2, "Resources": [{"name": "User"}, {"name": "Group"}]}


class Discovery:
    """The three discovery requests; an exception is raised, anything else returned."""

    def __init__(self, configuration: Document, types: Document = None, schemas: Document = None) -> None:
        self._documents = (configuration, types, schemas)
        self.requests = 0

    def _answer(self, number: int) -> dict[str, Any] | None:
        self.requests += 1
        document = self._documents[number]
        if isinstance(document, Exception):
            raise document
        return document

    def service_provider_config(self) -> dict[str, Any] | None:
        """The first document."""
        return self._answer(0)

    def resource_types(self) -> dict[str, Any] | None:
        """The second."""
        return self._answer(1)

    def schemas(self) -> dict[str, Any] | None:
        """The third."""
        return self._answer(2)


def _read(
    configuration: Document,
    types: Document = TYPES,
    *,
    profile: Profile = Profile.RFC7644,
    dialect: Dialect | None = None,
) -> Capabilities:
    service = Discovery(configuration, types, {"totalResults": 1, "Resources": []})
    asked = replace(tenant(), profile=profile, dialect=dialect or Dialect())
    capabilities = read_capabilities(cast("ScimClient", service), asked)
    assert service.requests == 3
    return capabilities


def test_the_shape_of_the_rfc_is_read() -> None:
    """RFC 7643 section 5 and RFC 9865."""
    assert _read(RFC) == Capabilities(
        bulk=True,
        max_operations=300,
        max_payload_bytes=1_048_576,
        patch=True,
        etag=True,
        filter=True,
        max_results=50,
        sort=True,
        cursor=True,
    )


def test_d27_the_shape_of_cxone_is_read() -> None:
    """It has no `patch` and a string for `etag`: the profile's defaults stand in, and nobody needs a note about it."""
    capabilities = _read(CXONE, profile=Profile.CXONE)
    assert capabilities == Capabilities(
        bulk=True,
        max_operations=1000,
        max_payload_bytes=10_485_760,
        max_results=100,
        sort=True,
    )


@pytest.mark.parametrize(("profile", "bulk"), [(Profile.CXONE, True), (Profile.RFC7644, False)])
def test_silence_takes_the_default_of_the_profile(profile: Profile, bulk: bool) -> None:
    """Never "unsupported" by silence (scim-rfc.md Q21), and every fallback is noted."""
    capabilities = _read(None, None, profile=profile)
    assert (capabilities.bulk, capabilities.patch, capabilities.etag, capabilities.filter) == (bulk, True, True, True)
    assert capabilities.notes == (
        "the service has no ServiceProviderConfig: defaults of the profile are used",
        "the service has no ResourceTypes: defaults of the profile are used",
    )


def test_what_is_announced_as_unsupported_is_off() -> None:
    """Strings count as booleans; limits of a bulk that is not there are none."""
    off = {"supported": "False", "maxOperations": 0, "maxPayloadSize": 0}
    capabilities = _read({**RFC, "bulk": off, "patch": off, "etag": off, "filter": off, "sort": off})
    assert capabilities == Capabilities(patch=False, etag=False, filter=False, cursor=True)


@pytest.mark.parametrize("nonsense", [0, -5, "many", None, [], {"a": 1}], ids=repr)
def test_a_limit_that_is_no_number_is_no_limit(nonsense: object) -> None:
    """The limits of tenant.yaml hold then."""
    capabilities = _read({**RFC, "bulk": {"supported": True, "maxOperations": nonsense, "maxPayloadSize": "1048576"}})
    assert capabilities.bulk is True
    assert (capabilities.max_operations, capabilities.max_payload_bytes) == (None, 1_048_576)
    assert bool(capabilities.notes) is (nonsense is not None)


def test_what_tenant_yaml_switches_off_is_off() -> None:
    """And the notes say who decided."""
    capabilities = _read(RFC, dialect=Dialect(bulk="off", patch="off", etag="off"))
    assert (capabilities.bulk, capabilities.patch, capabilities.etag) == (False, False, False)
    assert capabilities.notes == tuple(
        f"{feature} is switched off in tenant.yaml" for feature in ("bulk", "patch", "etag")
    )


@pytest.mark.parametrize(
    "failure", [ScimRejected(403), ScimRejected(400), ScimMalformed("HTML")], ids=["forbidden", "bad", "malformed"]
)
def test_discovery_that_is_not_shown_is_done_without(failure: Exception) -> None:
    """CXone wants an admin scope for it (cxone.md section 1)."""
    capabilities = _read(failure, failure, profile=Profile.CXONE)
    assert capabilities.bulk is True
    assert len(capabilities.notes) == 2


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_service_that_cannot_be_talked_to_is_an_error(status: int) -> None:
    """Wrong credentials are no missing feature."""
    with pytest.raises(ScimRejected):
        _read(ScimRejected(status))


def test_missing_resource_types_are_noted() -> None:
    """Groups may not exist at all."""
    assert _read(RFC, {"Resources": [{"id": "User"}]}).notes == (
        "the service does not announce the resource type Group",
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
_FIELDS = st.sampled_from([*RFC, *CXONE, "Resources", "resources"])


@given(st.dictionaries(_FIELDS, _JSON | st.dictionaries(st.sampled_from(["supported", "maxOperations"]), _JSON)))
def test_no_document_breaks_discovery(document: dict[str, Any]) -> None:
    """Whatever a service answers with 200."""
    read: Callable[..., Capabilities] = _read
    assert isinstance(read(document, document), Capabilities)


@pytest.mark.parametrize(
    ("pagination", "paging", "cursor", "notes"),
    [
        ({"cursor": True, "index": True}, "auto", True, 0),
        ({"cursor": "True", "index": False}, "auto", True, 0),
        ({"cursor": False, "index": True}, "auto", False, 0),
        (None, "auto", False, 0),
        ({"cursor": True, "index": True}, "index", False, 0),
        ({"cursor": True, "index": False}, "index", False, 1),
        (None, "cursor", True, 1),
    ],
)
def test_lists_are_read_by_cursor_where_it_is_announced(
    pagination: dict[str, Any] | None, paging: str, cursor: bool, notes: int
) -> None:
    """RFC 9865 section 4: preferred where `pagination.cursor` is true, unless tenant.yaml decides."""
    capabilities = _read({**RFC, "pagination": pagination}, dialect=Dialect(paging=paging))
    assert capabilities.cursor is cursor
    assert len(capabilities.notes) == notes


@pytest.mark.parametrize(("most", "expected"), [(20, 20), (200, 50), (None, 50), ("x", 50)])
def test_a_page_is_as_long_as_both_limits_allow(most: object, expected: int) -> None:
    """RFC 9865 section 4: `maxPageSize`, beside `filter.maxResults`; more than that is `invalidCount`."""
    announced = {**RFC, "pagination": {"cursor": True, "index": True, "maxPageSize": most}}
    assert _read(announced).max_results == expected
