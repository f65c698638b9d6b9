"""A Debian of its own for tests of packages: a root folder from the archive, kept in the cache, and a container of it that
systemd boots. Needs root, podman, runc and mmdebstrap."""

import contextlib
import ctypes
import hashlib
import os
import pathlib
import subprocess

from .waiting import PATIENCE, wait_for

CODENAMES = {"12": "bookworm", "13": "trixie"}
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def host_release():
    """VERSION_ID of the Debian that runs the tests."""
    pairs = (line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return dict((key, value.strip('"')) for key, value in pairs)["VERSION_ID"]


def command(*argv, check=True, **options):
    """Runs a command; its whole output is in the error when it fails."""
    argv = [str(word) for word in argv]
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        timeout=140 * PATIENCE, **options,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-6000:]}"
    return done


def mirror():
    """Where this machine gets Debian's packages from; nothing: mmdebstrap's default."""
    done = command("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian")
    return done.stdout.split()[:1]


def root_archive(release, packages):
    """A tar of a minimal Debian with these packages, made once per list."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "caseview"
    packages = sorted(set(packages))
    archive = cache / f"debian-{release}-{hashlib.sha256(' '.join(packages).encode()).hexdigest()[:12]}.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f"{archive.name}.{os.getpid()}.tar"
        try:
            command("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(packages)}", CODENAMES[release],
                    part, *mirror())  # fmt: skip
            part.rename(archive)
        finally:
            part.unlink(missing_ok=True)
    return archive


@contextlib.contextmanager
def own_network():
    """This thread, and what it starts, in a network of its own that has loopback only."""

    def must(answer):
        if answer != 0:
            raise OSError(ctypes.get_errno(), "network namespace")

    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        must(LIBC.unshare(CLONE_NEWNET))
        try:
            command("ip", "link", "set", "lo", "up")
            yield
        finally:
            must(LIBC.setns(before, CLONE_NEWNET))
    finally:
        os.close(before)


class Podman:
    """podman with a storage of its own, for one root folder."""

    def __init__(self, archive, folder, volumes=()):
        self.root = folder / "root"
        self.root.mkdir()
        command("tar", "-x", "-C", self.root, "-f", archive)
        self.base = ["podman", "--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs",
                     "--cgroup-manager", "cgroupfs", "--runtime", "runc"]  # fmt: skip
        limits = ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=32768:32768"]
        self.options = ["--network", "host", *limits, *(item for volume in volumes for item in ("-v", volume))]

    def podman(self, *words, **options):
        return command(*self.base, *words, **options)

    def once(self, *argv):
        """Runs one command in a container of the folder."""
        return self.podman("run", "--rm", *self.options, "--rootfs", self.root, *argv)


class Booted(Podman):
    """systemd as process 1, in the network of the caller."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.name = f"caseview-test-{os.getpid()}"
        self.podman("run", "-d", "--name", self.name, "--systemd=always", "--privileged", *self.options, "--rootfs",
                    self.root, "/sbin/init")  # fmt: skip
        try:
            states = ("running", "degraded")
            wait_for(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in states, 60, "it boots")
            # On a machine systemd does that itself; the folders of credentials are mounted in a namespace that shares them.
            self.run("mount", "--make-rshared", "/")
        except BaseException:
            self.close()
            raise

    def close(self):
        self.podman("rm", "-f", "-t", "0", self.name, check=False)

    def run(self, *argv, check=True):
        done = self.podman("exec", self.name, *argv, check=False)
        assert not check or done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout[-4000:]}\n{self.journal()}"
        return done

    def journal(self, *options):
        return self.podman("exec", self.name, "journalctl", "--no-pager", "-n", "60", *options, check=False).stdout

    def show(self, unit, name):
        """A property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).stdout.strip()

    def is_active(self, unit):
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip() == "active"

    def wait_active(self, unit, deadline_s=30):
        wait_for(lambda: self.is_active(unit), deadline_s, f"{unit} is active")
