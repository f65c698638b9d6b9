"""Memory cgroups, v1 and v2: a limit for a process as a container runtime sets it.

    with MemoryCgroup(192 << 20) as group:
        process = subprocess.Popen(…, preexec_fn=group.join)
        …
        print(group.peak(), group.oom_kills())

Needs root, and a cgroup file system that may be written. In a container with cgroup v2 this means a private cgroup
namespace mounted read-write, in which the processes of the container are not in the root cgroup.
"""

import contextlib
import os
import pathlib
import uuid

from .waiting import wait_for


class CgroupMissing(RuntimeError):
    """This machine does not let us create a memory cgroup; the text says why."""


def _mount_of(kind, controller=None):
    """(mount point, root of the mount within the hierarchy) of the cgroup hierarchy, or None."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        file_system, _, options = rest.split(" ", 2)
        if file_system == kind and (controller is None or controller in options.split(",")):
            root, point = fields.split()[3:5]
            return pathlib.Path(point), root
    return None


def _own_path(controller):
    """The path of our own cgroup within the hierarchy; controller: "memory" for v1, "" for v2."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def _candidates(mount, path):
    """Folders in which to create a cgroup: our own cgroup first, then the ones above it."""
    point, root = mount
    path = path[len(root) :] if root != "/" and path.startswith(root) else path
    folder = point / path.lstrip("/")
    if not folder.is_dir():  # a container that sees its cgroup as the root
        folder = point
    while True:
        yield folder
        if folder == point:
            return
        folder = folder.parent


class MemoryCgroup:
    """A cgroup with a limit for memory, swap included. Removed by close(), when its processes have ended."""

    def __init__(self, limit_bytes):
        self.limit_bytes = limit_bytes
        self.folder = None
        if os.geteuid() != 0:
            raise CgroupMissing("a memory cgroup needs root")
        v1 = _mount_of("cgroup", "memory")
        v2 = None if v1 else _mount_of("cgroup2")
        if not v1 and not v2:
            raise CgroupMissing("no cgroup file system with the memory controller is mounted")
        self.version = 1 if v1 else 2
        failures = []
        for parent in _candidates(v1 or v2, _own_path("memory" if v1 else "")):
            try:
                self._create(parent)
                return
            except OSError as error:
                failures.append(f"{parent}: {error.strerror or error}")
        raise CgroupMissing(f"no memory cgroup (v{self.version}) can be created: {'; '.join(failures)}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _create(self, parent):
        if self.version == 2 and "memory" not in (parent / "cgroup.subtree_control").read_text().split():
            # The kernel refuses this where the parent has processes of its own; the next candidate is tried then.
            (parent / "cgroup.subtree_control").write_text("+memory")
        folder = parent / f"caseview-test-{uuid.uuid4().hex[:12]}"
        folder.mkdir()
        self.folder = folder
        try:
            limit, swap = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") if self.version == 1 else (
                "memory.max", "memory.swap.max")  # fmt: skip
            (folder / limit).write_text(str(self.limit_bytes))
            if (folder / swap).exists():  # not without swap accounting
                (folder / swap).write_text(str(self.limit_bytes) if self.version == 1 else "0")
        except OSError:
            self.folder = None
            folder.rmdir()
            raise

    def join(self):
        """Moves the calling process into the cgroup: for preexec_fn."""
        with open(self.folder / "cgroup.procs", "w") as file:
            file.write("0" if self.version == 2 else str(os.getpid()))

    def peak(self):
        """The most bytes so far, page cache included. Reading v2's needs Linux 5.19."""
        return int((self.folder / ("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak")).read_text())

    def oom_kills(self):
        """How many processes the kernel has killed for exceeding the limit."""
        text = (self.folder / ("memory.oom_control" if self.version == 1 else "memory.events")).read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == "oom_kill")

    def close(self):
        if self.folder is None:
            return

        def removed():
            with contextlib.suppress(OSError):  # a process that has just been killed is still in it
                self.folder.rmdir()
            return not self.folder.exists()

        wait_for(removed, 10, f"cgroup {self.folder} has no processes and is removed")
        self.folder = None
