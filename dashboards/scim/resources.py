"""People and groups as SCIM has them, and what this server says of itself. Attributes that are not here are read and left out."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator
from scim2_models import URN as Urn
from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ComplexAttribute,
    Context,
    ETag,
    Filter,
    Meta,
    Mutability,
    Patch,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)

from serving.people.database import email_of
from serving.people.provisioning_store import Account, AccountGroup

MOST_RESULTS = 200
# As Microsoft Entra ID sends it: attributes that are not kept here are ignored.
POLICY = ScimPolicy(unknown=ScimPolicy.Unknown.ignore, remove_value_as_filter=ScimPolicy.RemoveValue.apply)


class Membership(ComplexAttribute):
    """A group that a person is in."""

    value: Annotated[str | None, Mutability.read_only] = None
    display: Annotated[str | None, Mutability.read_only] = None


class User(Resource[Any]):
    """A person. The user name does not change. A request without display name or `active` is completed (`completed`)."""

    __schema__ = Urn("urn:ietf:params:scim:schemas:core:2.0:User")
    user_name: Annotated[str | None, Mutability.immutable, Uniqueness.server, Required.true] = None
    display_name: Annotated[str | None, Required.true] = None
    active: Annotated[bool | None, Required.true] = None
    groups: Annotated[list[Membership] | None, Mutability.read_only] = None

    Groups: ClassVar[type[ComplexAttribute]] = Membership

    @field_validator("user_name")
    @classmethod
    def _as_kept(cls, user_name: str | None) -> str | None:
        """Capitals make no other name. Without this, a replacement with capitals would look like a change of the name."""
        return user_name and email_of(user_name)


class Member(ComplexAttribute):
    """A person in a group."""

    value: Annotated[str | None, Mutability.immutable] = None
    ref: Annotated[Reference[User] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )


class Group(Resource[Any]):
    """A group. A table of the tenant says what it gives."""

    __schema__ = Urn("urn:ietf:params:scim:schemas:core:2.0:Group")
    display_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    members: list[Member] | None = None

    Members: ClassVar[type[ComplexAttribute]] = Member


CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=MOST_RESULTS),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=True),
    etag=ETag(supported=True),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken,
            name="Bearer token",
            description="A token that the administrator made for this purpose",
            primary=True,
        )
    ],
)
PROVIDER = ScimProvider(models=[User, Group], config=CONFIG, policy=POLICY)


def completed(sent: Mapping[str, Any], now: User | None = None) -> dict[str, Any]:
    """A person as a provider sent it, with what some providers leave out: `active`, and a name to show. A replacement that leaves them
    out keeps those of the person that it replaces (`now`)."""
    names = {str(name).casefold() for name in sent}
    name = sent.get("name")
    formatted = name.get("formatted") if isinstance(name, dict) else None
    present = now.display_name if now else str(sent.get("userName", "")).partition("@")[0]
    more = {"displayName": formatted or present, "active": now.active if now else True}
    return {**sent, **{key: value for key, value in more.items() if key.casefold() not in names}}


def person_of(account: Account, base: str) -> User:
    """A person as SCIM has it; `base` is the address of this server's SCIM."""
    person = User(
        id=account.account_id,
        external_id=account.external_id,
        user_name=account.email,
        display_name=account.display_name,
        active=account.is_active,
        groups=[Membership(value=key, display=name) for key, name in account.groups] or None,
    )
    person.meta = Meta(
        resource_type="User",
        created=account.created_at,
        location=f"{base}/Users/{account.account_id}",
        version=etag(person),
    )
    return person


def team_of(group: AccountGroup, base: str) -> Group:
    """A group as SCIM has it."""
    team = Group(
        id=group.group_id,
        external_id=group.external_id,
        display_name=group.name,
        members=[Member(value=key, ref=Reference(f"{base}/Users/{key}")) for key in group.members] or None,
    )
    team.meta = Meta(
        resource_type="Group", created=group.created_at, location=f"{base}/Groups/{group.group_id}", version=etag(team)
    )
    return team


def etag(resource: Resource[Any]) -> str:
    """The version of a resource: equal for equal content."""
    content = resource.model_dump_json(scim_ctx=Context.DEFAULT, exclude={"meta"})
    return f'W/"{hashlib.sha256(content.encode()).hexdigest()[:16]}"'
