"""The walls around a service, the same for all of them: a role says which unit they are for, and what it needs through them.

A unit reads the system, its own key pairs and what is readable for its user, and writes where the role says. It is no
administrator and becomes none, loads nothing into the kernel, makes no namespace, opens no raw socket and starts no
foreign program with more rights. `tests/system/test_37_sandboxes.py` tries each from within.
"""

from __future__ import annotations

from collections.abc import Iterable

from roles import paths
from roles.kit.declare import Certificate, File

WALLS = (
    "UMask=0077",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "KeyringMode=private",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    "SystemCallErrorNumber=EPERM",
)
"""PrivateUsers is not among them: a container has no user namespaces, and the start would fail with status 217/USER."""


NAME = "sandbox.conf"


def path(unit: str) -> str:
    """Where a unit's walls are declared."""
    return f"{paths.UNITS}/{unit}.d/{NAME}"


def sandbox(
    unit: str,
    pairs: Iterable[Certificate],
    *,
    writes: Iterable[str] = (),
    hides: Iterable[str] = (),
    more: Iterable[str] = (),
) -> File:
    """The drop-in of a ``unit`` that reads these key ``pairs`` and no other, writes below ``writes`` and does not see ``hides``. ``more`` comes last and may take a wall down, with the reason in the role."""
    lines = (
        "# The walls around this service: roles/kit/sandbox.py.",
        "[Service]",
        *WALLS,
        f"TemporaryFileSystem={paths.TLS}:ro",
        *(f"BindReadOnlyPaths={pair.directory}" for pair in pairs),
        *(f"ReadWritePaths=-{folder}" for folder in writes),
        *(f"InaccessiblePaths=-{folder}" for folder in hides),
        *more,
    )
    return File(path(unit), "".join(f"{line}\n" for line in lines))
