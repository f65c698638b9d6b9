"""Checks manifests strictly: an unknown field is an error. Runs with the packages of requirements.txt.

    check_schemas.py kubernetes VERSION… < MANIFESTS         with the schemas of these versions of Kubernetes
    check_schemas.py custom DEFINITION… < MANIFESTS          with the schemas of these custom resource definitions

MANIFESTS is a JSON list. Each finding is a line; the last line counts the checks. Exit code 1 when there is a finding.
"""

import functools
import json
import sys

import jsonschema
import kubernetes_validate
import yaml
from kubernetes_validate import utils


def name(manifest):
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def check_kubernetes(manifests, versions):
    utils.schema_contents = functools.lru_cache(utils.schema_contents)
    for version in versions:
        for manifest in manifests:
            try:
                used = kubernetes_validate.validate(manifest, version, strict=True)
                assert used == version, f"schema of {used} instead of {version}"
                yield None
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                path = ".".join(map(str, getattr(error, "path", ())))
                yield f"{version}: {name(manifest)}: {path}: {error.message}"


def strict(schema):
    """Refuses unknown fields where the definition does not allow them."""
    if not isinstance(schema, dict):
        return schema
    schema = {key: value for key, value in schema.items() if key != "format"}
    for key in ("properties", "patternProperties"):
        if key in schema:
            schema[key] = {name: strict(value) for name, value in schema[key].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            schema[key] = strict(schema[key])
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return schema


def check_custom(manifests, files):
    schemas = {}
    for file in files:
        with open(file) as stream:
            definition = yaml.safe_load(stream)["spec"]
        for version in definition["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            schemas[f"{definition['group']}/{version['name']}", definition["names"]["kind"]] = schema
    for manifest in manifests:
        schema = schemas[manifest["apiVersion"], manifest["kind"]]
        errors = list(jsonschema.Draft7Validator(schema).iter_errors(manifest))
        yield from [f"{name(manifest)}: {'.'.join(map(str, e.path))}: {e.message}" for e in errors] or [None]


def main():
    check = {"kubernetes": check_kubernetes, "custom": check_custom}[sys.argv[1]]
    results = list(check(json.load(sys.stdin), sys.argv[2:]))
    findings = [result for result in results if result]
    print(*findings, f"{len(results)} checks", sep="\n")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
