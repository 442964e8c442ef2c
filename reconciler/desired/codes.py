"""The codes of validation: stable names for what can be wrong with desired state, and the words that explain them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """V1 files and YAML, V2 shape, V3 attributes, V4 tenant, V5 identities and references. Never renumbered."""

    UNREADABLE = "V100"
    NOT_A_FILE = "V101"
    TOO_LARGE = "V102"
    NOT_UTF8 = "V103"
    BYTE_ORDER_MARK = "V104"
    CONTROL_CHARACTER = "V105"
    SYNTAX = "V106"
    TOO_DEEP = "V107"
    TOO_MANY_NODES = "V108"
    BAD_ALIAS = "V109"
    DUPLICATE_KEY = "V110"
    KEY_NOT_TEXT = "V111"
    TAG = "V112"
    AMBIGUOUS = "V113"
    NUMBER_RANGE = "V114"
    MERGE_KEY = "V115"
    LINK_OUT = "V116"
    LINK_BROKEN = "V117"

    NOT_A_MAPPING = "V200"
    KIND_MISSING = "V201"
    KIND_UNKNOWN = "V202"
    UNKNOWN_KEY = "V203"
    MISSING_KEY = "V204"
    WRONG_TYPE = "V205"
    NOT_ALLOWED = "V206"
    WRONG_FORM = "V207"
    OUT_OF_BOUNDS = "V208"
    WRONG_COUNT = "V209"
    LISTED_TWICE = "V210"
    DOES_NOT_FIT = "V211"
    QUOTE_IT = "V212"
    DOES_NOT_BELONG = "V213"

    PASSWORD = "V303"  # noqa: S105  # the name of a code
    READ_ONLY = "V304"
    TWO_PRIMARIES = "V305"
    VALUE_TWICE = "V306"
    NEEDED_BY_CXONE = "V307"
    EXTENSION_TWICE = "V308"
    EXTENSION_SCHEMA = "V309"
    NOT_MANAGED = "V310"

    LITERAL_SECRET = "V400"  # noqa: S105  # the name of a code
    SECRET_NAME = "V401"  # noqa: S105  # the name of a code
    BAD_URL = "V402"
    NOT_HTTPS = "V403"
    NAME_AND_FOLDER = "V404"
    NO_TENANT = "V405"
    SECOND_TENANT = "V406"
    INCLUDE_OUTSIDE = "V407"
    INCLUDE_MISSING = "V408"
    INCLUDE_CYCLE = "V409"
    CONTRADICTION = "V410"
    NO_ROOT = "V411"
    NOT_A_TENANT = "V412"
    SAME_TARGET = "V413"

    SAME_USER_NAME = "V500"
    SAME_USER_ID = "V501"
    SAME_GROUP_NAME = "V502"
    SAME_GROUP_ID = "V503"
    PREVIOUSLY = "V504"
    UNKNOWN_USER = "V505"
    UNKNOWN_GROUP = "V506"
    UNKNOWN_ID = "V507"
    AMBIGUOUS_ID = "V508"
    MEMBER_TWICE = "V509"
    CYCLE = "V511"
    NESTING = "V512"
    SECOND_CONFIGURATION = "V513"
    EXCLUSIVE = "V514"
    POLICY = "V515"
    OVERRIDE = "V516"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What `reconciler explain CODE` says: what is wrong, why it matters, and what wrong and right look like."""

    code: Code
    title: str
    text: str
    example_bad: str
    example_good: str


def _explanations() -> Iterator[Explanation]:
    for code, (title, text, bad, good) in _TEXTS.items():
        yield Explanation(code=code, title=title, text=text, example_bad=bad, example_good=good)


_TEXTS: dict[Code, tuple[str, str, str, str]] = {
    Code.UNREADABLE: (
        "a file or folder cannot be read",
        (
            "Everything in a tenant's folder has to be readable: what is not read cannot be told from what is not"
            " declared."
        ),
        "chmod 000 acme/users.yaml",
        "chmod 644 acme/users.yaml",
    ),
    Code.NOT_A_FILE: (
        "no regular file",
        "Something with the name of a YAML file is a folder, a pipe, a socket or a device. It is not opened.",
        "mkdir acme/users.yaml",
        "mkdir acme/users",
    ),
    Code.TOO_LARGE: (
        "a file is too large",
        "One file may have 10 MB. Documents can be spread over any number of files and folders.",
        "acme/users.yaml (25 MB)",
        "acme/users/a.yaml, acme/users/b.yaml, ...",
    ),
    Code.NOT_UTF8: (
        "a file is not UTF-8",
        "YAML is read as UTF-8 and nothing else, so that a name means the same on every machine.",
        "iconv -t latin1 users.yaml",
        "iconv -f latin1 -t utf-8 users.yaml",
    ),
    Code.BYTE_ORDER_MARK: (
        "a file starts with a byte order mark",
        'Some editors put an invisible mark before the text. Save the file as UTF-8 without "BOM" or "signature".',
        "EF BB BF 6B 69 6E 64 ...",
        "6B 69 6E 64 ...",
    ),
    Code.CONTROL_CHARACTER: (
        "a character that YAML does not allow",
        (
            "Control characters, NUL among them, cannot stand in YAML; inside double quotes they can be written "
            "as escapes."
        ),
        "title: Agent<NUL>",
        "title: Agent",
    ),
    Code.SYNTAX: (
        "not YAML",
        (
            "The file cannot be read from this place on; documents further down are not known, and names in them "
            "are not reported as missing. The usual causes are indentation, a tab, a quote that is not closed, or"
            " `: ` in a value."
        ),
        "title: Team: Support",
        'title: "Team: Support"',
    ),
    Code.TOO_DEEP: (
        "nested too deep",
        "Collections may lie 32 deep; SCIM needs five. The limit keeps a small file from costing much.",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "emails: [{value: ann@example.com}]",
    ),
    Code.TOO_MANY_NODES: (
        "too many values",
        (
            "A file may hold two million keys and values, and aliases may stand for ten times what is written "
            "out. Nothing is expanded before it is counted, so a file that only looks small costs nothing."
        ),
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]",
        "defaults: {roles: [{value: Agent}]}",
    ),
    Code.BAD_ALIAS: (
        "an alias without anchor",
        "An alias repeats a value that an anchor marked further up in the same document, and never contains itself.",
        "roles: *agents",
        "roles: &agents [{value: Agent}]",
    ),
    Code.DUPLICATE_KEY: (
        "a key twice in one mapping",
        "YAML readers silently keep one of them, and not all the same one.",
        "title: Agent\ntitle: Supervisor",
        "title: Supervisor",
    ),
    Code.KEY_NOT_TEXT: (
        "a key that is not text",
        "Keys are names of attributes. Plain `1`, `yes` or `null` are not text in YAML.",
        "1: Agent",
        '"1": Agent',
    ),
    Code.TAG: (
        "a YAML tag",
        "Tags such as `!!python/object` can make a YAML reader run code; here none has any meaning.",
        "title: !!str Agent",
        'title: "Agent"',
    ),
    Code.AMBIGUOUS: (
        "a value that YAML readers do not agree about",
        (
            "`yes` is text to one reader and true to another; `012`, `1e3`, `12:30` and `2024-01-02` are numbers "
            "or dates to some. Quote what is text; true and false are the only switches; numbers are plain "
            "decimal."
        ),
        "employeeNumber: 0042\nactive: yes",
        'employeeNumber: "0042"\nactive: true',
    ),
    Code.NUMBER_RANGE: (
        "a number that is too large",
        "Whole numbers go up to 9223372036854775807. What is longer is probably an identifier: quote it.",
        "employeeNumber: 99999999999999999999",
        'employeeNumber: "99999999999999999999"',
    ),
    Code.MERGE_KEY: (
        "a merge key",
        "`<<` is not part of YAML 1.2 and readers treat it differently. `defaults` of Users and Groups does the same.",
        "- <<: *agent\n  userName: ann@example.com",
        "defaults: {roles: [{value: Agent}]}",
    ),
    Code.LINK_OUT: (
        "a link out of the root",
        (
            "Desired state is what the root holds. A link to somewhere else could bring in any file of the "
            "machine; it is not followed, and what it leads to is not read."
        ),
        "acme/users.yaml -> /home/me/users.yaml",
        "acme/users.yaml -> ../_shared/users.yaml",
    ),
    Code.LINK_BROKEN: (
        "a link that leads nowhere",
        "What it was meant to lead to would be missing from the desired state without a word.",
        "acme/users.yaml -> users-old.yaml (gone)",
        "acme/users.yaml",
    ),
    Code.NOT_A_MAPPING: (
        "not a mapping",
        "Every document, and every item of Users and Groups, is a mapping of keys to values.",
        "- userName: ann@example.com",
        "kind: User\nuserName: ann@example.com",
    ),
    Code.KIND_MISSING: (
        "no kind",
        (
            "`kind` says what a document is: Tenant, User, Users, Group, Groups, ServiceProviderConfig, Policy or"
            " Override."
        ),
        "userName: ann@example.com",
        "kind: User\nuserName: ann@example.com",
    ),
    Code.KIND_UNKNOWN: (
        "an unknown kind",
        "Kinds are Tenant, User, Users, Group, Groups, ServiceProviderConfig, Policy and Override, spelled so.",
        "kind: user",
        "kind: User",
    ),
    Code.UNKNOWN_KEY: (
        "an unknown key",
        "Attributes have the names of RFC 7643, spelled exactly. A key that nobody knows would otherwise do nothing.",
        "username: ann@example.com",
        "userName: ann@example.com",
    ),
    Code.MISSING_KEY: (
        "a key is missing",
        "What the document declares cannot be understood, or not be created, without it.",
        "kind: User\nname: {givenName: Ann}",
        "kind: User\nuserName: ann@example.com\nname: {givenName: Ann}",
    ),
    Code.WRONG_TYPE: (
        "a value of the wrong type",
        "A list where a mapping belongs, text where a switch belongs, and the like.",
        "emails: ann@example.com",
        "emails: [{value: ann@example.com}]",
    ),
    Code.NOT_ALLOWED: (
        "a value that is not one of those allowed",
        "The message lists what is allowed here.",
        "people: manged",
        "people: managed",
    ),
    Code.WRONG_FORM: (
        "text of the wrong form",
        "The text is empty, too long, or not written as this attribute needs it; the message says how.",
        "emails: [{value: ann}]",
        "emails: [{value: ann@example.com}]",
    ),
    Code.OUT_OF_BOUNDS: (
        "a number out of bounds",
        (
            "The message names the bound. Bounds of ServiceProviderConfig are those the service enforces "
            "(cxone.md section 7)."
        ),
        "limits: {pageSize: 0}",
        "limits: {pageSize: 100}",
    ),
    Code.WRONG_COUNT: (
        "too few or too many entries",
        "For example a member that is named in two ways, or a list that may not be empty.",
        "members: [{user: ann@example.com, group: Tier-2}]",
        "members: [{user: ann@example.com}, {group: Tier-2}]",
    ),
    Code.LISTED_TWICE: (
        "an entry twice in one list",
        "The list is a set; the second entry says nothing, and usually another one was meant.",
        "groups: [Support, Support]",
        "groups: [Support]",
    ),
    Code.DOES_NOT_FIT: (
        "does not fit its schema",
        "Something that the schema of the kind, or a tenant's schema of an extension, does not allow.",
        "urn:example:acme: {badge: true}",
        'urn:example:acme: {badge: "B-17"}',
    ),
    Code.QUOTE_IT: (
        "text that needs quotes",
        "Without quotes YAML reads a number, or true or false; the attribute is text.",
        "postalCode: 80202",
        'postalCode: "80202"',
    ),
    Code.DOES_NOT_BELONG: (
        "a key that does not belong to this type",
        "What `auth` holds depends on its `type`.",
        'auth: {type: none, token: "${env:SCIM_TOKEN}"}',
        'auth: {type: bearer, token: "${env:SCIM_TOKEN}"}',
    ),
    Code.PASSWORD: (
        "a password in git",
        (
            "Whoever can read the repository, or its history, has it. Passwords are set by the service or the "
            "identity provider. Remove it and change that password."
        ),
        "password: ...",
        "(nothing)",
    ),
    Code.READ_ONLY: (
        "an attribute that only the service sets",
        (
            "`id`, `meta`, ids of members and managers and the like are read-only (RFC 7643 section 2.2, "
            "mutability). People and groups are named, by userName, displayName or externalId."
        ),
        "manager: {value: 2819c223-7f76}",
        "manager: {userName: boss@example.com}",
    ),
    Code.TWO_PRIMARIES: (
        "two primary values",
        "At most one value of a multi-valued attribute is primary (RFC 7643 section 2.4).",
        "emails: [{value: a@x.com, primary: true}, {value: b@x.com, primary: true}]",
        "emails: [{value: a@x.com, primary: true}, {value: b@x.com}]",
    ),
    Code.VALUE_TWICE: (
        "a value twice in one attribute",
        (
            "A multi-valued attribute is a set; the same value with the same type is the same element (RFC 7643 "
            "section 2.4)."
        ),
        "roles: [{value: Agent}, {value: Agent}]",
        "roles: [{value: Agent}]",
    ),
    Code.NEEDED_BY_CXONE: (
        "an attribute that CXone needs",
        "CXone refuses to create users without emails and name (cxone.md section 4).",
        "userName: ann@example.com",
        "userName: ann@example.com\nname: {givenName: Ann, familyName: Lee}\nemails: [{value: ann@example.com}]",
    ),
    Code.EXTENSION_TWICE: (
        "the enterprise extension twice",
        "`enterprise` is short for urn:ietf:params:scim:schemas:extension:enterprise:2.0:User; write one of them.",
        "enterprise: {...}\nurn:ietf:params:scim:schemas:extension:enterprise:2.0:User: {...}",
        "enterprise: {...}",
    ),
    Code.EXTENSION_SCHEMA: (
        "a schema of an extension that cannot be used",
        (
            "`schemas/<URN with _ for every colon>.json` is a JSON Schema (draft 2020-12) that refers to nothing "
            "outside itself. Patterns in it may not repeat a group that itself repeats or branches."
        ),
        '{"$ref": "https://example.com/schema.json"}',
        '{"$ref": "#/$defs/badge"}',
    ),
    Code.NOT_MANAGED: (
        "not managed where people come from elsewhere",
        (
            "With `people: external` an HR system or an identity provider creates, suspends and renames people; git "
            "gives them access: roles, entitlements and groups. A suspension or a rename in git would not happen, so "
            "it is an error. Other attributes are passed over with a warning and keep their values in the tenant."
        ),
        "{userName: ann@example.com, externalId: hr-1, active: false}",
        "{userName: ann@example.com, externalId: hr-1, roles: []}",
    ),
    Code.LITERAL_SECRET: (
        "a secret in clear",
        (
            "Secrets never stand in git. Write the name of an environment variable, and change the secret: it is "
            "in the file and in its history."
        ),
        "token: eyJhbGciOi...",
        'token: "${env:SCIM_TOKEN}"',
    ),
    Code.SECRET_NAME: (
        "an environment variable that cannot hold a secret",
        (
            "Only variables whose names start with CXONE_, SCIM_ or RECONCILER_ are read, so that a tenant's "
            "folder cannot send any other variable of the machine to a host it names."
        ),
        'token: "${env:AWS_SECRET_ACCESS_KEY}"',
        'token: "${env:SCIM_TOKEN}"',
    ),
    Code.BAD_URL: (
        "no usable URL",
        "URLs are absolute, without credentials, query or fragment.",
        "baseUrl: acme.example.com/scim/v2",
        'baseUrl: "https://acme.example.com/scim/v2"',
    ),
    Code.NOT_HTTPS: (
        "http to another machine",
        "Credentials would cross the network in clear. http is for loopback only.",
        'baseUrl: "http://acme.example.com/scim/v2"',
        'baseUrl: "https://acme.example.com/scim/v2"',
    ),
    Code.NAME_AND_FOLDER: (
        "tenant and folder have different names",
        "Credentials are bound to the tenant's name; it is the name of the folder, so that a copy cannot pass for it.",
        "acme/tenant.yaml: name: acme-prod",
        "acme-prod/tenant.yaml: name: acme-prod",
    ),
    Code.NO_TENANT: (
        "no tenant",
        "A tenant is a folder in the root with a tenant.yaml that holds a document of kind Tenant.",
        "desired-state/acme/users.yaml",
        "desired-state/acme/tenant.yaml\ndesired-state/acme/users.yaml",
    ),
    Code.SECOND_TENANT: (
        "a second Tenant document",
        "A folder holds exactly one tenant, in tenant.yaml.",
        "acme/users.yaml: kind: Tenant",
        "acme-test/tenant.yaml: kind: Tenant",
    ),
    Code.INCLUDE_OUTSIDE: (
        "an include out of the root",
        "Includes lead to folders inside the root only, links resolved.",
        "include: [../../shared]",
        "include: [../_shared/admins]",
    ),
    Code.INCLUDE_MISSING: (
        "an include that is no folder",
        "Includes are folders, relative to tenant.yaml.",
        "include: [../_shared/admin]",
        "include: [../_shared/admins]",
    ),
    Code.INCLUDE_CYCLE: (
        "an include that cannot be included",
        "A folder cannot include itself, what contains it, the same folder twice, or the folder of another tenant.",
        "include: [..]",
        "include: [../_shared/admins]",
    ),
    Code.CONTRADICTION: (
        "settings that contradict each other",
        "The message names both. Nothing is guessed about which was meant.",
        "removal: {users: deactivate, deleteAfter: 30d}",
        "removal: {users: delete, deleteAfter: 30d}",
    ),
    Code.NO_ROOT: (
        "no desired state",
        "The root holds one folder for each tenant. --root DIR or RECONCILER_ROOT names it; default is desired-state.",
        "reconciler validate --root /tmp",
        "reconciler validate --root desired-state",
    ),
    Code.NOT_A_TENANT: (
        "YAML that is never read",
        (
            "It lies outside any tenant's folder, or in a folder without tenant.yaml. Folders that tenants "
            "include have names that start with an underscore."
        ),
        "desired-state/shared/admins.yaml",
        "desired-state/_shared/admins.yaml",
    ),
    Code.SAME_TARGET: (
        "two tenants for one service",
        "Each would take back what the other grants.",
        "a/tenant.yaml and b/tenant.yaml with the same scim.baseUrl",
        "one folder, documents shared with `include`",
    ),
    Code.SAME_USER_NAME: (
        "two documents for one userName",
        "A userName belongs to one person; it is compared without case (RFC 7643 section 4.1.1).",
        "userName: Ann@example.com\n---\nuserName: ann@example.com",
        "userName: ann@example.com",
    ),
    Code.SAME_USER_ID: (
        "two users with one externalId",
        "An externalId is the key of one person in the system of record.",
        "externalId: hr-1001 (twice)",
        "externalId: hr-1001, externalId: hr-1002",
    ),
    Code.SAME_GROUP_NAME: (
        "two documents for one displayName",
        "Groups are matched by displayName, compared without case.",
        "displayName: Support (twice)",
        "displayName: Support",
    ),
    Code.SAME_GROUP_ID: (
        "two groups with one externalId",
        "An externalId is the key of one group in the system of record.",
        "externalId: grp-1 (twice)",
        "externalId: grp-1, externalId: grp-2",
    ),
    Code.PREVIOUSLY: (
        "`previously` that cannot work",
        "It names the old name of one resource, as long as nobody else has it.",
        "userName: ann@example.com\npreviously: ann@example.com",
        "userName: ann.lee@example.com\npreviously: ann@example.com",
    ),
    Code.UNKNOWN_USER: (
        "an unknown user",
        (
            "No document declares this userName. An error where git declares all users (`ownership.users: all`), "
            "else a warning: the tenant may know the person, and `reconciler plan` looks."
        ),
        "members: [{user: ann@exmaple.com}]",
        "members: [{user: ann@example.com}]",
    ),
    Code.UNKNOWN_GROUP: (
        "an unknown group",
        (
            "No document declares this displayName. An error where git declares all groups (`ownership.groups: "
            "all`), else a warning: the tenant may have the group, and `reconciler plan` looks."
        ),
        "groups: [Suport-Team]",
        "groups: [Support-Team]",
    ),
    Code.UNKNOWN_ID: (
        "an unknown externalId",
        "No document declares this externalId; the tenant may know it, and `reconciler plan` looks.",
        "members: [{externalId: hr-9999}]",
        "members: [{externalId: hr-1001}]",
    ),
    Code.AMBIGUOUS_ID: (
        "an externalId that a user and a group share",
        "`{externalId: ...}` could mean either. Name the member by `user` or `group`.",
        "members: [{externalId: x-1}]",
        "members: [{user: ann@example.com}]",
    ),
    Code.MEMBER_TWICE: (
        "a member twice",
        "The same user or group is named twice, perhaps once by name and once by externalId.",
        "members: [{user: ann@example.com}, {user: Ann@example.com}]",
        "members: [{user: ann@example.com}]",
    ),
    Code.CYCLE: (
        "groups that contain each other",
        "Nobody could say who is in them, and services refuse them.",
        "A has member B, B has member A",
        "A has member B",
    ),
    Code.NESTING: (
        "groups nested too deep",
        "The limit (limits.nestedGroupDepth, default 3) counts every group on the longest chain (cxone.md section 8).",
        "A > B > C > D",
        "A > B > C",
    ),
    Code.SECOND_CONFIGURATION: (
        "a second ServiceProviderConfig",
        "A service has one.",
        "kind: ServiceProviderConfig (twice)",
        "kind: ServiceProviderConfig",
    ),
    Code.EXCLUSIVE: (
        "separation of duties violated",
        "A Policy says that nobody may hold more than one of these roles and groups. Groups count through nesting.",
        "roles: [{value: Payments-Maker}, {value: Payments-Checker}]",
        "roles: [{value: Payments-Maker}]",
    ),
    Code.POLICY: (
        "a policy that guards nothing",
        "A rule names at least two roles or groups, has a name of its own, and names things that exist.",
        "exclusive: [{name: maker-checker, roles: [Payments-Maker]}]",
        "exclusive: [{name: maker-checker, roles: [Payments-Maker, Payments-Checker]}]",
    ),
    Code.OVERRIDE: (
        "an override that cannot be meant",
        (
            "An Override lets one guard pass the changes that it lists, until a day that it names. The day has to be"
            " one of the calendar, and no two overrides speak of the same change and guard: which `max` and which"
            " reason count would be left to chance."
        ),
        'expires: "2026-02-30"',
        'expires: "2026-02-28"',
    ),
}

CODES: Mapping[str, Explanation] = {explanation.code.value: explanation for explanation in _explanations()}
"""Every code there is."""
