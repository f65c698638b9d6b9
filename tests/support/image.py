"""The container image: its archive as a registry would see it, and containers of it, run by podman."""

import gzip
import hashlib
import io
import itertools
import json
import os
import pathlib
import subprocess
import tarfile

from .programs import Api, Program, Served
from .waiting import PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "localhost/caseview"
ENVIRONMENT = {"CONTAINERS_CONF": str(ROOT / "deploy/image/containers.conf")}
ANY_USER = "1000650000:0"  # as OpenShift chooses it: a user that no file knows, of the group root
NUMBERS = itertools.count()


def podman(*words, check=0):
    argv = ["podman", *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}, timeout=60 * PATIENCE)
    assert check is None or done.returncode == check, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


class Archive:
    """An OCI archive: an image layout in a tar file, with one image of one layer."""

    def __init__(self, path):
        self.path = path
        with tarfile.open(path) as archive:
            self.parts = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
        (self.entry,) = json.loads(self.parts["index.json"])["manifests"]
        self.manifest = json.loads(self.blob(self.entry))
        self.config = json.loads(self.blob(self.manifest["config"]))
        (layer,) = self.manifest["layers"]
        self.compressed = self.blob(layer)
        self.layer = gzip.decompress(self.compressed)
        self.members, self.files = {}, {}
        with tarfile.open(fileobj=io.BytesIO(self.layer)) as tree:
            for member in tree:
                assert member.name not in self.members, f"{member.name} is there twice"
                self.members[member.name] = member
                if member.isfile():
                    self.files[member.name] = tree.extractfile(member).read()

    def blob(self, descriptor):
        data = self.parts["blobs/" + descriptor["digest"].replace(":", "/")]
        assert hashlib.sha256(data).hexdigest() == descriptor["digest"].removeprefix("sha256:")
        return data

    def unpack(self, folder):
        """Writes the regular files, for tools that read files."""
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


class Container(Served):
    """A program in a container with the host's network, as strictly confined as Kubernetes' restricted policy has it. The
    process at hand is `podman run`, which hands on signals and ends as the program does."""

    def __init__(self, image, folder, *words, user=ANY_USER, mounts=()):
        """mounts: (path here, path there), read-only."""
        self.container = f"caseview-test-{os.getpid()}-{next(NUMBERS)}"
        volumes = [f"--volume={here}:{there}:ro" for here, there in mounts]
        argv = [
            "podman", "run", "--rm", "--name", self.container, "--network=host", "--user", user, "--read-only",
            "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges", *volumes, image, *words,
        ]  # fmt: skip
        super().__init__(self.container, argv, folder, ENVIRONMENT)

    def inspect(self):
        return json.loads(podman("inspect", self.container).stdout)[0]

    def status(self):
        """What the kernel says about the program."""
        lines = pathlib.Path(f"/proc/{self.inspect()['State']['Pid']}/status").read_text().splitlines()
        return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}

    def remove(self):
        """Ends it in any case."""
        podman("rm", "--force", "--ignore", "--time=0", self.container)
        self.process.wait(30)
        if self in Program.running:
            Program.running.remove(self)


class ApiContainer(Container, Api):
    """caseview-api in a container."""
