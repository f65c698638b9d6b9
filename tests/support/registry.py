"""A real schema registry (Apicurio, run by deploy/registry), and an independent client of it."""

import contextlib
import os
import pathlib
import signal
import urllib.parse

import requests

from .kafka import deploy, free_ports
from .waiting import PATIENCE


class KnownSchemas:
    """Schema texts by id, asked of the registry and kept; for naive_fold.Decoder."""

    def __init__(self, registry):
        self.registry = registry
        self.texts = {}

    def get(self, schema_id):
        if schema_id not in self.texts:
            answer = self.registry.ask("GET", f"schemas/ids/{schema_id}")
            if answer.status_code == 404:
                return None
            self.texts[schema_id] = answer.json()["schema"]
        return self.texts[schema_id]


class ApicurioRegistry:
    """Its schemas and their ids stay over stop(), kill() and start()."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.port,) = free_ports(1)
        self.schemas = KnownSchemas(self)
        self.start()

    def start(self):
        self.url = deploy("registry", "start", self.folder, self.port)

    def stop(self):
        deploy("registry", "stop", self.folder)

    def kill(self):
        deploy("registry", "stop", self.folder, "kill")

    def close(self):
        self.kill()

    @contextlib.contextmanager
    def frozen(self):
        """It takes connections and never answers."""
        process = int((self.folder / "registry.pid").read_text())
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process, signal.SIGCONT)

    def ask(self, method, path, **json):
        return requests.request(method, f"{self.url}/{path}", json=json or None, timeout=20 * PATIENCE)

    def register(self, subject, text, references=()):
        """The schema's id. references: (name, subject, version) each."""
        named = [dict(zip(("name", "subject", "version"), r, strict=True)) for r in references]
        path = f"subjects/{urllib.parse.quote(subject, safe='')}/versions"
        answer = self.ask("POST", path, schema=text, references=named)
        assert answer.status_code == 200, f"{subject} cannot be registered: {answer.status_code} {answer.text}"
        return answer.json()["id"]

    def subjects(self):
        return set(self.ask("GET", "subjects").json())
