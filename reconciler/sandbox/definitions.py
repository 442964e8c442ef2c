"""The schemas of RFC 7643 section 8.7, and the two kinds of resources that the tenant keeps."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.sandbox.filters import AttributePath
from reconciler.sandbox.schema import Attribute, Location, Mutability, Returned, Schema, Type

CORE = "urn:ietf:params:scim:schemas:core:2.0:"
ENTERPRISE_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def _boolean(name: str, description: str, *, required: bool = False, read_only: bool = False) -> Attribute:
    mutability = Mutability.READ_ONLY if read_only else Mutability.READ_WRITE
    return Attribute(name=name, type=Type.BOOLEAN, description=description, required=required, mutability=mutability)


def _plural(name: str, description: str, value: Attribute, *types: str) -> Attribute:
    """A multi-valued attribute with the default sub-attributes of RFC 7643 section 2.4."""
    return Attribute(
        name=name,
        type=Type.COMPLEX,
        multi_valued=True,
        description=description,
        sub_attributes=(
            value,
            Attribute(name="display", description="A human-readable name, primarily used for display purposes."),
            Attribute(name="type", description="A label indicating the attribute's function.", canonical_values=types),
            _boolean("primary", "Whether this is the preferred value; true may appear no more than once."),
        ),
    )


def _text(name: str, description: str) -> Attribute:
    return Attribute(name=name, description=description)


_NAME = Attribute(
    name="name",
    type=Type.COMPLEX,
    description="The components of the user's name.",
    sub_attributes=(
        _text("formatted", "The full name, including all middle names, titles, and suffixes, formatted for display."),
        _text("familyName", "The family name, or last name in most Western languages."),
        _text("givenName", "The given name, or first name in most Western languages."),
        _text("middleName", "The middle name(s)."),
        _text("honorificPrefix", "The honorific prefix(es), or title."),
        _text("honorificSuffix", "The honorific suffix(es)."),
    ),
)

_ADDRESSES = Attribute(
    name="addresses",
    type=Type.COMPLEX,
    multi_valued=True,
    description="A physical mailing address.",
    sub_attributes=(
        _text("formatted", "The full mailing address, formatted for display or use with a mailing label."),
        _text("streetAddress", "The full street address component."),
        _text("locality", "The city or locality component."),
        _text("region", "The state or region component."),
        _text("postalCode", "The zip code or postal code component."),
        _text("country", "The country name component."),
        Attribute(
            name="type",
            description="A label indicating the attribute's function.",
            canonical_values=("work", "home", "other"),
        ),
        _boolean("primary", "Whether this is the preferred address; true may appear no more than once."),
    ),
)

_USER_GROUPS = Attribute(
    name="groups",
    type=Type.COMPLEX,
    multi_valued=True,
    mutability=Mutability.READ_ONLY,
    description="The groups to which the user belongs, directly or through nested groups; changed via the Group.",
    sub_attributes=(
        Attribute(
            name="value",
            description="The identifier of the user's group.",
            case_exact=True,
            mutability=Mutability.READ_ONLY,
        ),
        Attribute(
            name="$ref",
            type=Type.REFERENCE,
            description="The URI of the corresponding Group resource.",
            case_exact=True,
            mutability=Mutability.READ_ONLY,
            reference_types=("User", "Group"),
        ),
        Attribute(
            name="display",
            description="A human-readable name, primarily used for display purposes.",
            mutability=Mutability.READ_ONLY,
        ),
        Attribute(
            name="type",
            description="Whether the membership is direct or through a nested group.",
            canonical_values=("direct", "indirect"),
            mutability=Mutability.READ_ONLY,
        ),
    ),
)

USER_SCHEMA = Schema(
    id=f"{CORE}User",
    name="User",
    description="User Account",
    attributes=(
        Attribute(
            name="userName",
            description="Unique identifier for the user, typically used to sign in to the service provider.",
            required=True,
            uniqueness="server",
        ),
        _NAME,
        _text("displayName", "The name of the user, suitable for display to end-users."),
        _text("nickName", "The casual way to address the user in real life."),
        Attribute(
            name="profileUrl",
            type=Type.REFERENCE,
            description="A URL of the user's online profile.",
            case_exact=True,
            reference_types=("external",),
        ),
        _text("title", "The user's title, such as 'Vice President'."),
        _text("userType", "Identifies the relationship between the organization and the user."),
        _text("preferredLanguage", "The user's preferred written or spoken language."),
        _text("locale", "The user's default location for localizing items such as currency, dates, or numbers."),
        _text("timezone", "The user's time zone in the 'Olson' time zone database format."),
        _boolean("active", "The user's administrative status."),
        Attribute(
            name="password",
            description="The user's cleartext password; it is accepted and never kept or shown.",
            mutability=Mutability.WRITE_ONLY,
            returned=Returned.NEVER,
        ),
        _plural(
            "emails", "Email addresses for the user.", _text("value", "The email address."), "work", "home", "other"
        ),
        _plural(
            "phoneNumbers",
            "Phone numbers for the user.",
            _text("value", "The phone number."),
            "work",
            "home",
            "mobile",
            "fax",
            "pager",
            "other",
        ),
        _plural(
            "ims",
            "Instant messaging addresses for the user.",
            _text("value", "The instant messaging address."),
            "aim",
            "gtalk",
            "icq",
            "xmpp",
            "msn",
            "skype",
            "qq",
            "yahoo",
        ),
        _plural(
            "photos",
            "URLs of photos of the user.",
            Attribute(
                name="value",
                type=Type.REFERENCE,
                description="The URL of a photo.",
                case_exact=True,
                reference_types=("external",),
            ),
            "photo",
            "thumbnail",
        ),
        _ADDRESSES,
        _USER_GROUPS,
        _plural("entitlements", "Entitlements of the user.", _text("value", "The value of an entitlement.")),
        _plural("roles", "Roles of the user.", _text("value", "The value of a role.")),
        _plural(
            "x509Certificates",
            "Certificates issued to the user.",
            Attribute(
                name="value",
                type=Type.BINARY,
                description="The value of an X.509 certificate, base64-encoded.",
                case_exact=True,
            ),
        ),
    ),
)

ENTERPRISE_SCHEMA = Schema(
    id=ENTERPRISE_URN,
    name="EnterpriseUser",
    description="Enterprise User",
    attributes=(
        _text("employeeNumber", "Identifier assigned to a person, typically numeric or alphanumeric."),
        _text("costCenter", "The name of a cost center."),
        _text("organization", "The name of an organization."),
        _text("division", "The name of a division."),
        _text("department", "The name of a department."),
        Attribute(
            name="manager",
            type=Type.COMPLEX,
            description="The user's manager.",
            sub_attributes=(
                Attribute(name="value", description="The id of the manager's User resource.", case_exact=True),
                Attribute(
                    name="$ref",
                    type=Type.REFERENCE,
                    description="The URI of the manager's User resource.",
                    case_exact=True,
                    reference_types=("User",),
                ),
                Attribute(
                    name="displayName",
                    description="The displayName of the manager.",
                    mutability=Mutability.READ_ONLY,
                ),
            ),
        ),
    ),
)

GROUP_SCHEMA = Schema(
    id=f"{CORE}Group",
    name="Group",
    description="Group",
    attributes=(
        Attribute(name="displayName", description="A human-readable name for the group.", required=True),
        Attribute(
            name="members",
            type=Type.COMPLEX,
            multi_valued=True,
            description="The members of the group; elements are added and removed, never changed.",
            sub_attributes=(
                Attribute(
                    name="value",
                    description="Identifier of the member.",
                    case_exact=True,
                    mutability=Mutability.IMMUTABLE,
                ),
                Attribute(
                    name="$ref",
                    type=Type.REFERENCE,
                    description="The URI of the member's resource.",
                    case_exact=True,
                    mutability=Mutability.IMMUTABLE,
                    reference_types=("User", "Group"),
                ),
                Attribute(
                    name="type",
                    description="The kind of the member.",
                    canonical_values=("User", "Group"),
                    mutability=Mutability.IMMUTABLE,
                ),
                Attribute(
                    name="display",
                    description="A human-readable name of the member; filled in when the client gives none.",
                    mutability=Mutability.IMMUTABLE,
                ),
            ),
        ),
    ),
)

_COMMON = Schema(
    id="",
    name="Common",
    description="Attributes every resource has (RFC 7643 section 3.1)",
    attributes=(
        Attribute(
            name="schemas",
            type=Type.REFERENCE,
            multi_valued=True,
            required=True,
            case_exact=True,
            returned=Returned.ALWAYS,
        ),
        Attribute(
            name="id",
            case_exact=True,
            mutability=Mutability.READ_ONLY,
            returned=Returned.ALWAYS,
            uniqueness="server",
        ),
        Attribute(name="externalId", case_exact=True),
        Attribute(
            name="meta",
            type=Type.COMPLEX,
            mutability=Mutability.READ_ONLY,
            sub_attributes=(
                Attribute(name="resourceType", case_exact=True, mutability=Mutability.READ_ONLY),
                Attribute(name="created", type=Type.DATE_TIME, mutability=Mutability.READ_ONLY),
                Attribute(name="lastModified", type=Type.DATE_TIME, mutability=Mutability.READ_ONLY),
                Attribute(name="location", type=Type.REFERENCE, case_exact=True, mutability=Mutability.READ_ONLY),
                Attribute(name="version", case_exact=True, mutability=Mutability.READ_ONLY),
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKind:
    """A kind of resource: its endpoint, its core schema and the extensions it is known to have."""

    name: str
    endpoint: str
    description: str
    schema: Schema
    extensions: tuple[Schema, ...] = ()

    def extension(self, urn: str) -> Schema | None:
        """The known extension with that URN, compared without regard to case."""
        return next((schema for schema in self.extensions if schema.id.lower() == urn.lower()), None)

    def attribute(self, name: str) -> Attribute | None:
        """The core or common attribute of that name."""
        return self.schema.attribute(name) or _COMMON.attribute(name)

    def locate(self, path: AttributePath) -> Location:
        """Where `path` points in resources of this kind."""
        if path.urn is None or path.urn.lower() == self.schema.id.lower():
            attribute, container = self.attribute(path.name), None
        else:
            extension = self.extension(path.urn)
            attribute = extension.attribute(path.name) if extension else None
            container = extension.id if extension else path.urn
        sub = attribute.sub(path.sub) if attribute and path.sub else None
        return Location(container=container, attribute=attribute, sub=sub)


USER = ResourceKind(
    name="User",
    endpoint="/Users",
    description="User Account",
    schema=USER_SCHEMA,
    extensions=(ENTERPRISE_SCHEMA,),
)
GROUP = ResourceKind(name="Group", endpoint="/Groups", description="Group", schema=GROUP_SCHEMA)
KINDS = {kind.name: kind for kind in (USER, GROUP)}
KINDS_BY_ENDPOINT = {kind.endpoint: kind for kind in (USER, GROUP)}
