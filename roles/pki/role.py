"""The environment's authorities on every host: the one that clients verify servers by, and those that doors admit. Each service's key pair belongs to that service's role."""

from __future__ import annotations

from environment.pki import Authority, ca_certificate
from roles import paths
from roles.kit.declare import Directory, File, Role, Target


class Pki(Role):
    """Trust in the environment's authorities."""

    name = "pki"

    def directories(self, target: Target) -> tuple[Directory, ...]:
        return (Directory(paths.DOORS),)

    def files(self, target: Target) -> tuple[File, ...]:
        # The first of the two: of a host with the other alone it is known that its doors have no authorities yet.
        return (
            File(paths.TRUST, f"{target.trust}\n"),
            File(paths.CA, ca_certificate(target.roots), check="openssl x509 -noout -in {}"),
            *(target.admitted(door) for door in Authority if door is not Authority.COMMON),
        )
