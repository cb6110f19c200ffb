"""An application with something of everything, and the aim of generated requests at it.

Generated ids name nothing, so that generated requests would only ever meet "not found". Most of them are
given the id of something that is there. What a request deleted is put back.
"""

from random import Random

from schemathesis.core.parameters import ParameterLocation as At

# Of four generated requests three are aimed.
AIMED = 0.75


class Stock:
    """What an application has, with the calls that make it."""

    def __init__(self, world, session):
        self.base_url = world.facts.server_url
        self._world = world
        self._session = session
        self._made = 0
        app = world.create_app("schema")
        self.application_id, self.api_key, self.redirect_uri = app.application_id, app.api_key, app.redirect_uri
        self.fill()
        self.access_token = self._tokens()["access_token"]

    @property
    def key(self):
        return {"Authorization": f"Bearer {self.api_key}"}

    @property
    def token(self):
        return {"Authorization": f"Bearer {self.access_token}"}

    def put_back(self, case, response):
        """After a deletion the next request finds something again; and the next connector can be made."""
        path, method = case.operation.path, case.method
        if method == "POST" and path == "/v3/connectors" and response.status_code == 201:
            self._call("DELETE", f"/v3/connectors/{response.json()['data']['provider']}")
        if method != "DELETE" or response.status_code != 200:
            return
        if path == "/v3/connectors/{provider}":
            self.fill()
        elif path.endswith("/creds/{id}"):
            self.credential_id = self._credential()
        elif path == "/v3/grants/{grant_id}":
            self._grants()
        else:
            self.uri_id = self._uri()

    def aim(self, case):
        """Replaces generated names by those of things there are, unless they are wrong on purpose."""
        for at, values, targets in (
            (At.PATH, case.path_parameters, self._in_path(case)),
            (At.QUERY, case.query, self._in_query(case)),
            (At.BODY, case.body, self._in_body(case)),
        ):
            if not isinstance(values, dict) or (case.meta and case.meta.is_negative_at(at)):
                continue
            # The request decides whether it is aimed, so that the same one always is. Examples always are.
            choice = Random(str(values))
            if choice.random() > AIMED and not (case.meta and case.meta.phase.name.value == "examples"):
                continue
            for name, target in targets.items():
                if isinstance(values.get(name), str):
                    values[name] = target(choice)

    def _in_path(self, case):
        path = case.operation.path
        if path == "/v3/applications/{id}":
            return {"id": lambda _: self.application_id}
        if path.startswith("/v3/applications/"):
            return {"id": lambda _: self.uri_id}
        return {
            "provider": lambda _: "google",
            "id": lambda _: self.credential_id,
            "grant_id": self._one_grant,
        }

    def _in_query(self, case):
        return {
            "client_id": lambda _: self.application_id,
            "redirect_uri": lambda _: self.redirect_uri,
            "credential_id": lambda _: self.credential_id,
            "access_token": lambda _: self.access_token,
            "id_token": lambda _: self._tokens()["id_token"],
            "token": lambda _: self._tokens()["access_token"],
        }

    def _in_body(self, case):
        if case.operation.path == "/v3/connect/token":
            return {
                "client_id": lambda _: self.application_id,
                "client_secret": lambda _: self.api_key,
                "grant_id": self._one_grant,
                "redirect_uri": lambda _: self.redirect_uri,
            }
        return {
            "url": lambda _: self._url(),
            "active_credential_id": lambda _: self.credential_id,
            "credential_id": lambda _: self.credential_id,
            "access_token": lambda _: self.access_token,
            "id_token": lambda _: self._tokens()["id_token"],
        }

    def _one_grant(self, choice):
        return choice.choice([self.calendar_id, self.google_id])

    def fill(self):
        """Whatever connector is missing, with what hangs on it."""
        there = {one["provider"] for one in self._call("GET", "/v3/connectors?limit=200")["data"]}
        if "google" not in there:
            client = self._world.facts.clients["development"]
            self._call("POST", "/v3/connectors", {"provider": "google", "scope": ["openid"], "settings": client})
        for provider in ("virtual-calendar", "imap"):
            if provider not in there:
                self._call("POST", "/v3/connectors", {"provider": provider})
        self.credential_id = self._credential()
        self._grants()
        self.uri_id = self._uri()

    def _credential(self):
        body = {
            "name": self._name("credential"),
            "credential_type": "connector",
            "credential_data": self._world.facts.clients["staging"],
        }
        return self._call("POST", "/v3/connectors/google/creds", body)["data"]["id"]

    def _grants(self):
        """One grant of each kind: with a provider, through the credential made last, and without."""
        self.google_id = self._grant("google", {
            "refresh_token": self._world.mint("staging", f"{self._name('user')}@example.com"),
            "credential_id": self.credential_id,
        })
        self.calendar_id = self._grant("virtual-calendar", {"email": self._name("calendar")})

    def _grant(self, provider, settings):
        body = {"provider": provider, "settings": settings}
        return self._call("POST", "/v3/connect/custom", body)["data"]["id"]

    def _uri(self):
        return self._call("POST", "/v3/applications/redirect-uris", {"url": self._url()})["data"]["id"]

    def _url(self):
        return f"https://app.example.com/{self._name('callback')}"

    def _tokens(self):
        return self._call("POST", "/v3/connect/token", {
            "grant_type": "client_credentials",
            "client_id": self.application_id,
            "client_secret": self.api_key,
            "grant_id": self.calendar_id,
        })

    def _name(self, what):
        self._made += 1
        return f"{what}-{self._made}"

    def _call(self, method, path, body=None):
        answer = self._session.request(method, self.base_url + path, json=body, headers=self.key, timeout=60)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()
