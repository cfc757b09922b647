"""Logical dumps of every product's database (PLAT-31, BAC-34, CF-28). Run as postgres.

Each is written under a waiting name and takes its final one only when it is whole and has its manifest (PLAT-32):
`<dumps>/<product>/backup_YYYYMMDD.dump`, custom format with large objects; where a product's facts say so, also
`<product>_backup_YYYYMMDD_HHMMSS.sql.gz` and `selected_YYYYMMDD.dump` of some tables. Those older than the retention go, the
newest good one never.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from keel_host import files
from keel_host.config import BackupHost, read
from keel_host.processes import Failed, output

FORMS = ("backup_*.dump", "selected_*.dump", "*.sql.gz")


def main(arguments: list[str]) -> int:
    """0 when every database was dumped; what failed is printed on standard error, the others are dumped all the same."""
    try:
        failures = run(read(BackupHost))
    except Failed as error:
        failures = [str(error)]
    for failure in failures:
        sys.stderr.write(f"not dumped: {failure}\n")
    return 1 if failures else 0


def run(host: BackupHost) -> list[str]:
    """Dump all databases; what failed."""
    failures = []
    for product in host.products:
        folder = host.dumps / product
        folder.mkdir(mode=0o700, exist_ok=True)
        for abandoned in folder.glob("*.part"):
            abandoned.unlink()
        try:
            dump(host, product, folder)
            expire(folder, host.retention)
        except (OSError, Failed) as error:
            failures.append(f"{product}: {error}")
    return failures


def dump(host: BackupHost, product: str, folder: Path) -> None:
    """Every form of one database."""
    now, server, forms = time.gmtime(), f"{host.server} dbname={product}", host.products[product]
    write(product, server, folder / time.strftime("backup_%Y%m%d.dump", now), partial(custom, server))
    if forms.plain_dump:
        name = time.strftime(f"{product}_backup_%Y%m%d_%H%M%S.sql.gz", now)
        write(product, server, folder / name, partial(plain, server))
    if forms.selected_tables:
        tables = [f"--table={name}" for name in forms.selected_tables]  # CF-28
        write(
            product, server, folder / time.strftime("selected_%Y%m%d.dump", now), partial(custom, server, more=tables)
        )


def custom(server: str, path: Path, more: list[str] | None = None) -> None:
    """pg_dump's own format, compressed, with large objects (CF-28)."""
    output("pg_dump", "-d", server, "-F", "c", "-b", "-Z", "9", *(more or []), "-f", str(path))
    output("pg_restore", "--list", str(path))


def plain(server: str, path: Path) -> None:
    """SQL text, gzipped (BAC-34)."""
    command = ["pg_dump", "-d", server]
    with (
        gzip.open(path, "wb") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        if process.stdout and process.stderr:
            shutil.copyfileobj(process.stdout, file)
            error = process.stderr.read().decode()
    if process.returncode:
        raise Failed(f"pg_dump: {error.strip()}")


def write(product: str, server: str, path: Path, how: Callable[[Path], None]) -> None:
    """Make the file under a waiting name, then its manifest, then give both their names."""
    waiting = path.with_name(f"{path.name}.part")
    started = time.time()
    how(waiting)
    with waiting.open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = {
        "database": product,
        "file": path.name,
        "bytes": waiting.stat().st_size,
        "sha256": checksum,
        "server_version": output("psql", "-d", server, "-XAtc", "show server_version").strip(),
        "started": int(started),
        "seconds": round(time.time() - started, 1),
    }
    waiting.chmod(0o600)
    with waiting.open("rb") as file:
        os.fsync(file.fileno())
    files.replace(path.with_name(f"{path.name}.json"), json.dumps(manifest, indent=2) + "\n")
    waiting.replace(path)
    print(f"{path.name} of {product}: {manifest['bytes']} bytes in {manifest['seconds']} s", flush=True)


def expire(folder: Path, retention: int) -> None:
    """Remove dumps older than the retention (seconds); the newest of each form stays, however old."""
    for form in FORMS:
        by_age = sorted(folder.glob(form), key=lambda path: path.stat().st_mtime)
        for path in by_age[:-1]:
            if path.stat().st_mtime < time.time() - retention:
                path.unlink()
                path.with_name(f"{path.name}.json").unlink(missing_ok=True)
