"""What an identity provider sends in tests of SCIM. The fixture `provider` makes its clients."""

import uuid

USER, GROUP = "urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def name(tenant="harbor"):
    return f"{uuid.uuid4().hex[:12]}@{tenant}"


def added(client, user_name=None, **more):
    answer = client.post("/Users", json={"schemas": [USER], "userName": user_name or name(), "active": True, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()


def grouped(client, *people, display="Team"):
    sent = {"schemas": [GROUP], "displayName": f"{display} {uuid.uuid4().hex[:8]}"}
    answer = client.post("/Groups", json={**sent, "members": [{"value": person["id"]} for person in people]})
    assert answer.status_code == 201, answer.text
    return answer.json()


def patched(client, path, *operations):
    return client.patch(path, json={"schemas": [PATCH], "Operations": list(operations)})


def principal(served, person, tenant="harbor"):
    return served.access.principal(tenant, person["userName"])
