"""The API for API keys, with requests signed by the official Python SDK's own signer and sent by its own client.

The SDK has no resource for these paths (it has the signer for another one), so its client is called directly.
"""

import time
import uuid

import pytest
from nylas.handler.service_account import ServiceAccountSigner
from rejections import rejects_api

# Bodies whose canonical form is easy to get wrong; this SDK leaves the members of objects inside lists as they
# are and writes whole floats with a point, unlike the others. All but the name is ignored by the server.
ODD_BODIES = {
    "unicode": {"name": "Zoë 鍵 🔑 é", "ключ": "值 \u2028\u2029\u007f"},
    "escapes": {"name": 'a"b\\c/d', '"\\\n': "\\u0041 \b\f\n\r\t\u0001\u001f"},
    "nested members": {"name": "n", "z": {"b": {"y": 1, "x": [{"d": 1, "c": []}, {}]}, "a": None}, "a": [[], [None]]},
    "numbers": {"name": "n", "expires_in": 90.0, "a": -0.0, "b": 1e21, "c": 1.5e-9, "d": 9007199254740993},
    "members beyond the basic plane": {"name": "n", "\U0001f511": 1, "\ue000": 2, "\uffff": 3, "é": 4},
    "a member that comes late": {"zz": True, "name": "n", "A": False},
}


class Admin:
    """An account, and the requests it signs."""

    def __init__(self, world, permissions=()):
        self.file = world.service_account(list(permissions))
        self.world = world
        self.client = world.nylas.http_client
        self.keys = f"/v3/admin/applications/{world.facts.application_id}/api-keys"
        self.signer = self.signer_named(self.file["private_key_id"])

    def signer_named(self, key_id):
        return ServiceAccountSigner(self.file["private_key"], key_id)

    def send(self, method, path, body=None, signer=None, **given):
        headers, serialized = (signer or self.signer).build_headers(method, path, body, **given)
        overrides = {"headers": headers, "skip_auth": True}
        answer, _ = self.client._execute(method, path, overrides=overrides, serialized_json_body=serialized)
        return answer

    def create(self, body):
        data = self.send("POST", self.keys, body)["data"]
        self.world.issued(data["api_key"])
        return data


@pytest.fixture(name="admin")
def _admin(world):
    # One for each test: a server has a limit for each account and second.
    return Admin(world)


def test_a_key_is_made_works_and_ends(world, admin):
    made = admin.create({"name": "from the SDK", "expires_in": 90})
    assert made["status"] == "active"
    assert made["expires_at"] - made["created_at"] == 90 * 86_400
    issued = world.client_with_key(made["api_key"])
    assert issued.applications.info().data.application_id == world.facts.application_id
    one = f"{admin.keys}/{made['id']}"
    found = admin.send("GET", one)["data"]
    assert found["name"] == "from the SDK" and "api_key" not in found
    assert made["id"] in [key["id"] for key in admin.send("GET", admin.keys)["data"]]
    assert admin.send("DELETE", one)["request_id"]
    rejects_api(issued.applications.info, 401, "token.unauthorized_access")
    rejects_api(lambda: admin.send("DELETE", one), 404, "api.not_found_error")


@pytest.mark.parametrize("kind", ODD_BODIES)
def test_bodies_of_every_odd_kind_are_signed_alike(admin, kind):
    body = ODD_BODIES[kind]
    assert admin.create(body)["name"] == body["name"]


def test_a_signature_is_good_once_and_for_five_minutes(admin):
    def get(**given):
        return admin.send("GET", admin.keys, **given)

    get(nonce="AbCdEfGhIjKlMnOpQrSt")
    rejects_api(lambda: get(nonce="AbCdEfGhIjKlMnOpQrSt"), 401, says="nonce")
    for late in (-400, 400):
        rejects_api(lambda: get(timestamp=int(time.time()) + late), 401, says="5 minutes")
    posing = admin.signer_named(str(uuid.uuid4()))
    rejects_api(lambda: get(signer=posing), 401, "token.unauthorized_access", says="signature invalid")


def test_what_is_not_permitted_or_anothers_is_refused(world):
    reader = Admin(world, ["apikey.get"])
    assert reader.send("GET", reader.keys)["data"]
    rejects_api(lambda: reader.send("POST", reader.keys, {"name": "n"}), 401, says="apikey.create")
    foreign = f"/v3/admin/applications/{uuid.uuid4()}/api-keys"
    rejects_api(lambda: reader.send("GET", foreign), 404, "api.not_found_error")


def test_members_that_cannot_be_worked_with_are_named(admin):
    rejects_api(lambda: admin.send("POST", admin.keys, {}), 400, "api.invalid_request_error", says="name")
    refused = {"name": "n", "expires_in": 0.5}
    rejects_api(lambda: admin.send("POST", admin.keys, refused), 400, says="expires_in")
