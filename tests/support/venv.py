"""Python packages for tests that Debian does not have, pinned in a requirements file, in a folder of build/."""

import fcntl
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def programs_of(name, requirements):
    """The folder of programs of build/venv/NAME, which is made when it is missing or has other packages."""
    folder = ROOT / "build/venv" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, wanted = folder / "requirements", pathlib.Path(requirements).read_text()
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run(["/usr/bin/python3", "-m", "venv", folder], check=True)
            subprocess.run([folder / "bin/pip", "install", "-q", "--no-deps", "-r", requirements], check=True)
            stamp.write_text(wanted)
    return folder / "bin"
