"""`keel ca`: what clients verify the servers' certificates with (PLAT-39)."""

from __future__ import annotations

from ops.cli.console import Environment


def ca(environment: Environment = "dev") -> None:
    """Print the certificate of the environment's authority (PEM), for the PGSSLROOTCERT of clients. It is no secret."""
    from environment.pki import ca_certificate
    from ops.hosts.environment import load_environment

    print(ca_certificate(load_environment(environment).roots), end="")
