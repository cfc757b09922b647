"""How Patroni makes a cluster where its store knows of none: from the repository, or a new one, or not at all.

bootstrap --scope=NAME --datadir=PATH

An empty store with an empty volume looks like a first start, and is one only while the repository holds nothing of
this cluster. Otherwise data would be thought lost that is not: this refuses, whoever started it, unless a recovery was
ordered on this host. The order is in memory and is gone with the next start of the host: it acts once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from keel_host.config import Member, read
from keel_host.pgbackrest import Pgbackrest
from keel_host.processes import Failed, option


def main(arguments: list[str]) -> int:
    """0 once PostgreSQL can be started on the data directory."""
    try:
        return make(read(Member), option(arguments, "--datadir"))
    except (Failed, ValueError) as error:
        sys.stderr.write(f"{error}. Nothing was changed.\n")
        return 1


def make(host: Member, data: str) -> int:
    """initdb's exit status; does not return where a recovery was ordered. Raises Failed where no cluster may be made."""
    if host.recovery_order.exists():
        recover(host, data, json.loads(host.recovery_order.read_text()))
    try:
        held = Pgbackrest(host.stanza).info()
    except (Failed, ValueError) as error:
        raise Failed(f"the repository cannot be asked whether it holds {host.stanza}: {error}") from error
    if held.exists:
        raise Failed(
            f"the repository holds {host.stanza} ({held.status.message}) and no recovery was ordered: an empty cluster is not "
            "made over it. To bring the data back, set keel:recovery and run `make up` (docs/runbooks/rebuild.md)"
        )
    fixed = ["--username=postgres", "--auth=peer", "--encoding=UTF8", "--data-checksums"]
    return subprocess.call([f"{host.binaries}/initdb", "-D", data, *fixed, f"--locale={host.locale}"])


def recover(host: Member, data: str, order: dict[str, Any]) -> None:
    """Restore what was ordered; files that are right in ``data`` already are not fetched again. Does not return."""
    taken_over = Path(f"{data}{host.restoring}")
    if taken_over.exists():
        shutil.rmtree(data, ignore_errors=True)
        taken_over.rename(data)
    print(f"recovery {order['token']}: {' '.join(order['options'])}", flush=True)
    fetch = f'--recovery-option=restore_command={host.fetch_wal} everywhere %f "%p"'
    command = Pgbackrest(host.stanza).command(
        "--delta", "--log-level-console=info", fetch, *order["options"], "restore"
    )
    # In this process's place: Patroni stops what it started, and must not leave a restore behind that goes on writing.
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
