"""The environment's authority on every host. Each service's key pair belongs to that service's role."""

from __future__ import annotations

from environment.pki import ca_certificate
from roles import paths
from roles.kit.declare import File, Role, Target


class Pki(Role):
    """Trust in the environment's authority."""

    name = "pki"

    def files(self, target: Target) -> tuple[File, ...]:
        return (File(paths.CA, ca_certificate(target.roots), check="openssl x509 -noout -in {}"),)
