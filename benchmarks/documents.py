"""Two real documentation sites, from Debian packages, unpacked into a cache folder without root."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent.parent / ".cache" / "benchmarks"


@dataclass(frozen=True)
class Site:
    """A documentation site: the Debian package, the folder in it that is served, and where a crawl starts."""

    name: str
    package: str
    folder: str
    start: str = "/index.html"


SITES = (
    Site("PostgreSQL docs", "postgresql-doc-15", "usr/share/doc/postgresql-doc-15/html"),
    Site("Python docs", "python3.11-doc", "usr/share/doc/python3.11/html"),
)


def folder_of(site: Site) -> Path:
    """Return the folder of a site's pages, fetching the package the first time."""
    root = CACHE / site.package
    if not (root / ".complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        print(f"fetching {site.package} …", file=sys.stderr)
        subprocess.run(["dpkg-deb", "-x", str(_download(site.package)), str(root)], check=True)
        (root / ".complete").touch()
    return root / site.folder


def _download(package: str) -> Path:
    # apt's own lists need root; these are the user's own, made from the machine's sources.
    state = CACHE / "apt"
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True, exist_ok=True)
    options = [
        f"-oDir::State::lists={state / 'lists'}",
        f"-oDir::Cache::archives={state / 'archives'}",
        f"-oDir::Cache::pkgcache={state / 'pkgcache.bin'}",
        f"-oDir::Cache::srcpkgcache={state / 'srcpkgcache.bin'}",
        "-oDebug::NoLocking=1",
        "-oAPT::Sandbox::User=",
        "-qq",
    ]
    subprocess.run(["apt-get", *options, "update"], check=True)
    subprocess.run(["apt-get", *options, "download", package], check=True, cwd=CACHE)
    return max(CACHE.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
