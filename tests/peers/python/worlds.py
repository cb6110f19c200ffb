"""A Keyway world for tests in Python.

The world itself (strict provider, server, recorder) is the Node harness's; see serve-world.mjs.
"""

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import requests
from nylas import Client

PEERS = Path(__file__).resolve().parent.parent
SCOPES = [
    "openid",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
    "https://www.googleapis.com/auth/gmail.readonly",
]


class World:
    """What a test needs of the running world."""

    def __init__(self, facts):
        self.facts = SimpleNamespace(**facts)
        self.nylas = Client(api_key=facts["api_key"], api_uri=facts["base_url"], timeout=30)
        self.credentials = {}

    def client_with_key(self, api_key):
        return Client(api_key=api_key, api_uri=self.facts.base_url, timeout=30)

    def sign_in(self, url, login, deny=False):
        return self._control("/sign-in", {"url": url, "login": login, "deny": deny})

    def mint(self, stage, login):
        return self._control("/mint", {"stage": stage, "login": login})["refresh_token"]

    def create_app(self, name):
        return SimpleNamespace(**self._control("/app", {"name": name}))

    def last_status(self, method, path):
        return self._control("/last-status", {"method": method, "path": path})["status"]

    def service_account(self, permissions):
        return self._control("/service-account", {"permissions": permissions})

    def consent(self, url):
        """What the application gets back once the tenant's administrator has consented."""
        return self._control("/consent", {"url": url})

    def issued(self, api_key):
        self._control("/issued", {"api_key": api_key})

    def auth_config(self, **more):
        return {
            "client_id": self.facts.application_id,
            "redirect_uri": self.facts.redirect_uri,
            "provider": "google",
            "access_type": "offline",
            **more,
        }

    def exchange(self, code, **more):
        return self.nylas.auth.exchange_code_for_token({
            "client_id": self.facts.application_id,
            "redirect_uri": self.facts.redirect_uri,
            "code": code,
            **more,
        })

    def hosted(self, login, **config):
        """A whole hosted sign-in, exchange included."""
        url = self.nylas.auth.url_for_oauth2(self.auth_config(**config))
        return self.exchange(self.sign_in(url, login)["code"])

    def bring_your_own(self, login, stage, **settings):
        body = {"provider": "google", "settings": {"refresh_token": self.mint(stage, login), **settings}}
        return self.nylas.auth.custom_authentication(body).data

    def connect_google(self):
        """The connector with the development application, and the other two as credentials."""
        self.nylas.connectors.create({
            "provider": "google",
            "name": "Google",
            "settings": self.facts.clients["development"],
            "scope": SCOPES,
        })
        for stage in ("staging", "production"):
            created = self.nylas.connectors.credentials.create("google", {
                "name": stage,
                "credential_type": "connector",
                "credential_data": self.facts.clients[stage],
            })
            self.credentials[stage] = created.data.id
        # The SDK's connector lacks active_credential_id: the primary credential is the one not made here.
        listed = self.nylas.connectors.credentials.list("google").data
        known = set(self.credentials.values())
        self.credentials["development"] = next(c.id for c in listed if c.id not in known)

    def _control(self, action, body):
        answer = requests.post(self.facts.control_url + action, json=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()


@contextmanager
def started(name, database, *kind):
    """A world that is there for as long as the block runs; it ends when its standard input is closed."""
    process = subprocess.Popen(
        ["node", "serve-world.mjs", name, database, *kind],
        cwd=PEERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    line = process.stdout.readline()
    assert line, "the world did not start, see above"
    try:
        yield World(json.loads(line))
    finally:
        process.stdin.close()
        assert process.wait(timeout=30) == 0
