"""Schemas that a tenant keeps for its own SCIM extensions, beside its documents.

`<tenant>/schemas/<URN with _ for every colon>.json` is a JSON Schema (draft 2020-12) for what stands under that URN, such
as `schemas/urn_example_params_scim_schemas_extension_acme_2.0_User.json`. It refers to nothing outside itself, and its
patterns are matched in linear time; what would only be safe elsewhere by luck is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.schemas import Checker


@dataclass(frozen=True, slots=True)
class ExtensionSchema:
    """A compiled schema and the file it came from, relative to the root."""

    checker: Checker
    file: str


ExtensionSchemas = Mapping[str, ExtensionSchema]
"""By URN."""
