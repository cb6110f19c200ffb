"""An OpenAPI description, reduced to what the contract tests ask of it."""

import re

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

METHODS = ("get", "post", "put", "patch", "delete")


class Description:
    """One document: its operations, and a validator for each declared answer."""

    def __init__(self, path):
        self.document = yaml.safe_load(path.read_text())
        _mend_error_code(self.document)
        self.uri = f"urn:contract:{path.name}"
        resource = Resource(contents=self.document, specification=DRAFT202012)
        self._registry = Registry().with_resource(self.uri, resource)
        self._patterns = sorted(
            ((_pattern(template), template) for template in self.document["paths"]),
            # A literal path such as /v3/grants/me comes before the template that would swallow it.
            key=lambda entry: entry[1].count("{"),
        )

    def operations(self):
        """Every (method, template without names of parameters) with its declared statuses."""
        return {
            (method.upper(), anonymous(template)): set(item[method]["responses"])
            for template, item in self.document["paths"].items()
            for method in METHODS
            if method in item
        }

    def template_of(self, method, path):
        """The path template a request belongs to, or None."""
        for pattern, template in self._patterns:
            if pattern.fullmatch(path) and method.lower() in self.document["paths"][template]:
                return template
        return None

    def statuses(self, method, template):
        return set(self.document["paths"][template][method.lower()]["responses"])

    def problems(self, method, template, status, body):
        """What is wrong with a JSON answer, in words; an empty list if nothing is."""
        pointer = ["paths", template, method.lower(), "responses", status]
        response = self._at(pointer)
        while "$ref" in response:
            pointer = [_unescape(part) for part in response["$ref"].removeprefix("#/").split("/")]
            response = self._at(pointer)
        if "application/json" not in response.get("content", {}):
            return []
        pointer += ["content", "application/json", "schema"]
        reference = "/".join(_escape(part) for part in pointer)
        validator = Draft202012Validator(
            {"$ref": f"{self.uri}#/{reference}"}, registry=self._registry, format_checker=FormatChecker(["uuid"]),
        )
        return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)]

    def _at(self, pointer):
        node = self.document
        for part in pointer:
            node = node[part]
        return node


def anonymous(template):
    """Two documents may name their parameters differently."""
    return re.sub(r"\{[^}]*\}", "{}", template)


def _pattern(template):
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part)
                              for part in re.split(r"(\{[^}]*\})", template)))


def _escape(part):
    return part.replace("~", "~0").replace("/", "~1")


def _unescape(part):
    return part.replace("~1", "/").replace("~0", "~")


def _mend_error_code(node):
    """The published description types error_code as a string; every client and live answer has an integer."""
    if isinstance(node, dict):
        code = node.get("error_code")
        if isinstance(code, dict) and code.get("type") == "string":
            code["type"] = "integer"
        for child in node.values():
            _mend_error_code(child)
    elif isinstance(node, list):
        for child in node:
            _mend_error_code(child)
