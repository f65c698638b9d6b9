"""The Helm chart: Helm itself, what the chart renders, and the definitions of custom resources."""

import functools
import json
import os
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/caseview"
DEFINITIONS = ROOT / "tests/static/definitions"
CRD_FILES = {
    "github.com/kedacore/keda/v2": (
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
}


class Refused(Exception):
    """Helm has refused the values; the text is what it said."""


@functools.lru_cache
def tool(name):
    """The path of a tool of deploy/tools, which is built the first time."""
    built = subprocess.run([ROOT / "deploy/tools/build", name], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()


def helm(version, *arguments, **options):
    """Runs Helm 3 or 4 away from the user's own configuration and cluster."""
    home = ROOT / "build/helm"
    variables = {f"HELM_{kind}_HOME": str(home / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
    return subprocess.run(
        [tool(f"helm{version}"), *map(str, arguments)], capture_output=True, text=True,
        env={**os.environ, "KUBECONFIG": "/dev/null", **variables}, **options,
    )  # fmt: skip


def ci_values():
    return sorted((CHART / "ci").glob("*-values.yaml"))


def values_of(name):
    return yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text())


def merged(one, other):
    """Values over values, as Helm merges them."""
    out = dict(one)
    for key, value in other.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


@functools.lru_cache(maxsize=None)
def _render(version, arguments, values):
    done = helm(version, "template", *arguments, "--values", "-", input=values)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def template(values="default", *arguments, release="caseview", namespace="desk", version=3, more=None):
    """The manifests for values, or for a file of ci/, and over them `more`. Hooks and tests are among them."""
    values = merged(values_of(values) if isinstance(values, str) else values, more or {})
    text = _render(version, (release, CHART, "--namespace", namespace, *arguments), yaml.safe_dump(values))
    return [manifest for manifest in yaml.load_all(text, Loader=yaml.CSafeLoader) if manifest]


def find(manifests, kind, name):
    found = [m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} of {[(m['kind'], m['metadata']['name']) for m in manifests]} are {kind} {name}"
    return found[0]


def pod_of(manifest):
    """The pod, or the template of one, that an object has, or None."""
    if manifest["kind"] == "Pod":
        return manifest
    return manifest.get("spec", {}).get("template") if manifest["kind"] in ("Deployment", "StatefulSet", "Job") else None


def custom_resource_files():
    """The definitions of the custom resources that the chart may create, from Go modules."""
    done = subprocess.run(
        [ROOT / "deploy/go", "mod", "download", "-json", *CRD_FILES], cwd=DEFINITIONS, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    decoder, text, folders = json.JSONDecoder(), done.stdout.strip(), {}
    while text:
        module, end = decoder.raw_decode(text)
        folders[module["Path"]] = pathlib.Path(module["Dir"])
        text = text[end:].lstrip()
    return [folders[module] / file for module, files in CRD_FILES.items() for file in files]
