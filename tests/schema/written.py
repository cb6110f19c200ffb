"""docs/openapi.yaml as the tests read it: with a rule that it states once, in words, written out."""

from pathlib import Path

import yaml

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
METHODS = ("get", "post", "put", "patch", "delete")


def written_out():
    """The description, in which null counts as absent in every body."""
    document = yaml.safe_load(DOCUMENT.read_text())
    for item in document["paths"].values():
        for operation in (item[method] for method in METHODS if method in item):
            body = _followed(document, operation.get("requestBody", {}))
            for media in body.get("content", {}).values():
                _allow_null(document, media["schema"])
    return document


def _followed(document, node):
    while "$ref" in node:
        *_, section, name = node["$ref"].split("/")
        node = document["components"][section][name]
    return node


def _allow_null(document, schema):
    """Lets every member that may be left out be null. What a body refers to, no answer does."""
    schema = _followed(document, schema)
    for one in schema.get("oneOf", []) + schema.get("anyOf", []):
        _allow_null(document, one)
    if isinstance(schema.get("items"), dict):
        _allow_null(document, schema["items"])
    members = schema.get("properties", {})
    for name, member in members.items():
        if "anyOf" in member and {"type": "null"} in member["anyOf"]:
            continue
        _allow_null(document, member)
        if name not in schema.get("required", []):
            members[name] = {"anyOf": [member, {"type": "null"}]}
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = {"anyOf": [schema["additionalProperties"], {"type": "null"}]}
