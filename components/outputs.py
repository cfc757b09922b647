"""Stack outputs (PLAT-24): how each product connects, and where everything is."""

from __future__ import annotations

from typing import Any

import pulumi

from environment.derive import Roots
from environment.manifest import Manifest
from environment.pki import ca_certificate
from environment.urls import product_urls, redis_url


def outputs(manifest: Manifest, roots: Roots) -> dict[str, Any]:
    """Name → value; whatever holds a password is secret."""
    return {
        "environment": manifest.identity.name,
        "hosts": {
            host.name: {
                "address": str(host.address),
                "groups": [group.value for group in host.groups],
                "ssh": f"{host.ssh.hostname}:{host.ssh.port}",
            }
            for host in manifest.hosts
        },
        "endpoints": manifest.endpoints.model_dump(mode="json"),
        "ca": ca_certificate(roots),
        "urls": {
            name: pulumi.Output.secret(product_urls(manifest, roots, entry.product))
            for name, entry in manifest.products.items()
        },
        "redis": {
            name: pulumi.Output.secret(redis_url(manifest, roots, entry.product))
            for name, entry in manifest.products.items()
        },
    }
