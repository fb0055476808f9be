"""Bring `.venv` up to what pyproject.toml and constraints.txt ask for.

Run by `scripts/_venv` with any Python that has `venv`; only the standard library is
there. A stamp in `.venv` records what was installed, so a second run costs nothing; a
lock makes a second script wait while the first installs.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "jiaa-stamp.json"
PYTHON = VENV / "bin" / "python"


def say(text: str) -> None:
    """Print a line of progress, at once."""
    print(f"[setup] {text}", flush=True)


def fingerprint() -> str:
    """Hash of everything that decides which packages belong in `.venv`."""
    version = subprocess.run(
        [PYTHON, "--version"], capture_output=True, text=True, check=True
    ).stdout
    files = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    content = b"\0".join([path.read_bytes() for path in files] + [version.encode()])
    return hashlib.sha256(content).hexdigest()


def installed() -> tuple[str, set[str]]:
    """The stamp's fingerprint and extras; empty where there is no readable stamp."""
    try:
        stamp = json.loads(STAMP.read_text())
        return stamp["fingerprint"], set(stamp["extras"])
    except (OSError, ValueError, KeyError):
        return "", set()


def make_venv() -> None:
    """Create `.venv` where its interpreter is missing; keep one that works."""
    if PYTHON.exists():
        probe = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))"
        if subprocess.run([PYTHON, "-c", probe], check=False).returncode:
            sys.exit(
                f"{VENV} holds no working Python 3.11 to 3.14. Remove it "
                "(rm -r .venv) and start again."
            )
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    made = subprocess.run([sys.executable, "-m", "venv", VENV], check=False)
    if made.returncode:
        sys.exit(
            f"{sys.executable} -m venv failed. On Debian and Ubuntu, its parts come "
            "with `apt install python3-venv`; or set PYTHON to another interpreter."
        )


def install(extras: set[str]) -> None:
    """Install jiaa, its pinned dependencies and `extras` with pip."""
    names = f"[{','.join(sorted(extras))}]" if extras else ""
    say(f"installing jiaa{names} and its pinned dependencies, about two minutes")
    STAMP.unlink(missing_ok=True)
    start = time.monotonic()
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--constraint", "constraints.txt"]
    pip = subprocess.run(
        [*command, "--editable", f".{names}"],
        cwd=ROOT,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if pip.returncode:
        sys.exit(
            f"{pip.stdout}\npip could not install jiaa{names}; its words stand above. "
            "Without a network, point pip at a mirror or a folder of wheels "
            "(PIP_INDEX_URL, PIP_FIND_LINKS) and start again."
        )
    say(f"installed in {time.monotonic() - start:.0f} s")


def main() -> None:
    """Make or update `.venv` with the extras named on the command line."""
    wanted = set(sys.argv[1:]) | set(os.environ.get("JIAA_EXTRAS", "").split())
    with (ROOT / ".venv.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another script that is installing")
            fcntl.flock(lock, fcntl.LOCK_EX)
        make_venv()
        current = fingerprint()
        stamped, extras = installed()
        if stamped == current and wanted <= extras:
            return
        # Extras add up, so that two scripts never undo each other's installation.
        install(wanted | extras)
        stamp = {"fingerprint": current, "extras": sorted(wanted | extras)}
        STAMP.write_text(json.dumps(stamp))


if __name__ == "__main__":
    main()
