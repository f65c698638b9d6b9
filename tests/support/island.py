"""A network namespace of its own, connected to this one by a link that can lose all packets."""

import contextlib
import itertools
import os
import subprocess

NUMBERS = itertools.count()


class IslandMissing(RuntimeError):
    """The machine does not allow network namespaces."""


class Island:
    """host: this side's address, to be listened on. under: the command that runs a program in the namespace."""

    def __init__(self):
        number = next(NUMBERS)
        self.name = f"caseview-{os.getpid()}-{number}"
        self.link = f"cv{os.getpid()}-{number}"
        self.peer = f"{self.link}p"
        # Of the range for benchmarks of networks: four addresses for each island.
        network = (os.getpid() + number) % (1 << 14)
        low = network % 64 * 4
        self.host, self.inside = f"198.18.{network // 64}.{low + 1}", f"198.18.{network // 64}.{low + 2}"
        self.under = ["ip", "netns", "exec", self.name]

    def __enter__(self):
        try:
            ip("netns", "add", self.name)
            ip("link", "add", self.link, "type", "veth", "peer", "name", self.peer, "netns", self.name)
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            raise IslandMissing(f"no network namespace can be made: {getattr(error, 'stderr', error)}") from None
        ip("addr", "add", f"{self.host}/30", "dev", self.link)
        ip("link", "set", self.link, "up")
        ip("-n", self.name, "addr", "add", f"{self.inside}/30", "dev", self.peer)
        ip("-n", self.name, "link", "set", self.peer, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        for words in (("link", "del", self.link), ("netns", "del", self.name)):
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                ip(*words)

    def cut(self):
        """Both ends send to a hardware address that neither has: a link that is down would be reported to the programs."""
        to_neither = ("lladdr", "02:00:00:00:00:01", "nud", "permanent", "dev")
        ip("-n", self.name, "neigh", "replace", self.host, *to_neither, self.peer)
        ip("neigh", "replace", self.inside, *to_neither, self.link)

    def restore(self):
        ip("-n", self.name, "neigh", "del", self.host, "dev", self.peer)
        ip("neigh", "del", self.inside, "dev", self.link)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
