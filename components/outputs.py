"""Stack outputs (PLAT-24): how each product connects, and where everything is."""

from __future__ import annotations

from typing import Any

import pulumi

from environment.derive import Roots
from environment.manifest import Manifest
from environment.pki import ca_certificate
from environment.settings import Settings
from environment.sizing import sized
from environment.urls import product_urls, redis_url


def outputs(manifest: Manifest, roots: Roots, settings: Settings) -> dict[str, Any]:
    """Name → value; whatever holds a password is secret. A preview shows those that change."""
    return {
        "environment": manifest.identity.name,
        "hosts": {
            host.name: {
                "address": str(host.address),
                "groups": [group.value for group in host.groups],
                "memory": host.memory,
                "cpus": host.cpus,
                "ssh": f"{host.ssh.hostname}:{host.ssh.port}",
            }
            for host in manifest.hosts
        },
        "sizes": {
            name: f"{value.text} ({value.origin}: {value.reason})" for name, value in sized(settings).values.items()
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
