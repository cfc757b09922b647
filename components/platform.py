"""What runs on the hosts: stages of roles, databases, migrations, and the verification of it all."""

from __future__ import annotations

from typing import Any

import pulumi

from components.hosts import LEAVE, Hosts
from components.step import AGAIN, Step
from components.steps import Converge, Databases, Migration, Recovery, Verification
from environment import roles, unfinished
from environment.derive import Roots
from environment.digest import of_files, of_migration
from environment.manifest import Manifest
from environment.unfinished import step_key


class Platform(pulumi.ComponentResource):
    """Stages in order, then each product, then the verification."""

    def __init__(self, manifest: Manifest, hosts: Hosts, roots: Roots) -> None:
        super().__init__("keel:platform:Platform", manifest.identity.name, None)

        before: dict[pulumi.Resource, set[str]] = {}

        def step(kind: type[Step], action: str, name: str, inputs: dict[str, Any], *after: pulumi.Resource) -> Step:
            """A step after others. It runs again where it or one of those began and was not verified."""
            keys = {LEAVE, step_key(action, name)}.union(*(before.get(each, ()) for each in after))
            again = unfinished.mark(manifest.identity.name, keys)
            options = pulumi.ResourceOptions(parent=self, depends_on=list(after))
            made = kind(action, name, {**inputs, AGAIN: again}, options)
            before[made] = keys
            return made

        previous: list[pulumi.Resource] = list(hosts.ready)
        stages: dict[str, pulumi.Resource] = {}
        for stage in roles.stages():
            inputs = {
                "stage": stage,
                "manifest": manifest.slice(roles.sections(stage)),
                "identities": hosts.identities,
                "roles": roles.digest(stage),
            }
            if stage == "store" and manifest.repository.second:
                inputs["credentials"] = roots.credentials_mark()
            stages[stage] = step(Converge, "converge", stage, inputs, *previous)
            previous = [stages[stage]]
            if stage == "store":
                previous = [step(Recovery, "recovery", "recovery", _recovery_inputs(manifest, hosts), *previous)]
        databases = step(
            Databases,
            "databases",
            "databases",
            {
                "manifest": manifest.slice({"products", "postgres", "databases"}),
                "files": of_files("db/*.py", "db/*.sql"),
            },
            stages["data"],
        )
        migrations = [
            step(
                Migration,
                "migration",
                product,
                {
                    "manifest": _of_product(manifest, product),
                    "product": product,
                    "files": of_migration(product),
                },
                # A backup that comes before a migration needs what the last stage brings.
                databases,
                *([stages["backup"]] if manifest.databases.backup_before_migration else []),
            )
            for product in manifest.products
        ]
        step(
            Verification,
            "verification",
            "verification",
            {
                "manifest": manifest.model_dump(mode="json"),
                "identities": hosts.identities,
                "tests": of_files(
                    "tests/verify/**/*", "tests/rls/*.py", "ops/steps/checks.py", "ops/steps/verification.py"
                ),
                "upstream": {stage: roles.digest(stage) for stage in roles.stages()},
                "migrations": {m: of_files(f"db/{m}/**/*", f"migrations/{m}/**/*") for m in manifest.products},
            },
            *stages.values(),
            *migrations,
        )
        self.register_outputs({})


def _recovery_inputs(manifest: Manifest, hosts: Hosts) -> dict[str, Any]:
    """A host that was created again, or a new order, makes it look again."""
    return {"manifest": manifest.slice({"recovery", "repository"}), "identities": hosts.identities}


def _of_product(manifest: Manifest, product: str) -> dict[str, Any]:
    """What a migration reads: its own product, and not how many connections that may have."""
    sliced = manifest.slice({"databases", "endpoints", "products"})
    entry = sliced["products"][product]
    held = {"revision": entry["limits"]["revision"]}
    return sliced | {"products": {product: entry | {"limits": held}}}
