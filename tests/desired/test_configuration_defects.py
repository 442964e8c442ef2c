"""Defects of other tools' ServiceProviderConfig validation that must not come back (cxone.md section 12, C2 and C7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.desired.parser import load_desired_state

TENANT = """\
kind: Tenant
name: acme
profile: cxone
scim: {baseUrl: "https://acme.example.com/scim/v2"}
auth: {type: bearer, token: "${env:SCIM_TOKEN}"}
"""
CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def _messages(root: Path, document: str) -> list[str]:
    folder = root / "acme"
    folder.mkdir()
    (folder / "tenant.yaml").write_text(TENANT)
    (folder / "provider.yaml").write_text(f"kind: ServiceProviderConfig\n{document}\n")
    return [item.message for item in load_desired_state(root, "acme").errors]


def test_c2_the_enterprise_schema_is_accepted_among_the_supported_ones(tmp_path: Path) -> None:
    """C2: a pattern that knows core schemas only refuses what its own builder adds; D26."""
    assert _messages(tmp_path, f"schemasSupported: [{CORE}, {ENTERPRISE}]") == []


def test_c7_every_supported_schema_is_checked_and_not_only_the_first(tmp_path: Path) -> None:
    """C7: only `schemas[0]` was checked, and by substring."""
    assert len(_messages(tmp_path, f"schemasSupported: [{CORE}, not-a-urn]")) == 1


@pytest.mark.parametrize(
    "document",
    [
        "bulkConfig: {supported: true, maxOperations: 0, maxPayloadSize: 1000}",
        "bulkConfig: {supported: true, maxOperations: 5001, maxPayloadSize: 1000}",
        "bulkConfig: {supported: true, maxOperations: 10, maxPayloadSize: 0}",
        "filterConfig: {supported: true, maxResults: 0}",
        "filterConfig: {supported: true, maxResults: 1001}",
        "schemas: [urn:ietf:params:scim:schemas:core:2.0:User]",
        "authenticationSchemes: []",
        "authenticationSchemes: [{name: OAuth2}]",
    ],
)
def test_c7_bounds_on_both_sides_payload_size_and_schemes_are_checked(tmp_path: Path, document: str) -> None:
    """C7 and cxone.md section 7: lower bounds and the payload size were not validated."""
    assert len(_messages(tmp_path, document)) == 1


@pytest.mark.parametrize(
    "document",
    [
        "bulkConfig: {supported: true, maxOperations: 1, maxPayloadSize: 1}",
        "bulkConfig: {supported: true, maxOperations: 5000, maxPayloadSize: 1}",
        "filterConfig: {supported: true, maxResults: 1000}",
    ],
)
def test_c7_what_lies_just_inside_the_bounds_is_accepted(tmp_path: Path, document: str) -> None:
    """The other side of each limit."""
    assert _messages(tmp_path, document) == []
