"""Domain types by name, so that a field says what it holds and bad values are refused where they are read."""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=1, le=65535, description="TCP port")]
Megabytes = Annotated[int, Field(gt=0, description="size in MiB")]
Seconds = Annotated[int, Field(ge=0, description="time in seconds")]
HostName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="host name, one DNS label")]
EnvironmentName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$", description="name of the environment (= Pulumi stack)")
]
ProductName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", description="product, called by its database's name")
]
Address = IPv4Address
Cidr = IPv4Network


class Kind(StrEnum):
    """What an environment is for; staging and production refuse everything that is published (PLAT-47)."""

    DEV = "dev"
    CI = "ci"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def guarded(self) -> bool:
        """True where data must survive a mistake: volumes are kept, published roots are refused."""
        return self in (Kind.STAGING, Kind.PRODUCTION)


class Provider(StrEnum):
    """Where hosts come from: containers made by Pulumi, or machines that exist already."""

    DOCKER = "docker"
    SSH = "ssh"


class Group(StrEnum):
    """What a host does; a host may carry several groups."""

    POSTGRES = "postgres"
    ETCD = "etcd"
    EDGE = "edge"
    REDIS = "redis"
    BACKUP = "backup"
    MONITOR = "monitor"


class Model(BaseModel):
    """Base of every settings section: frozen, unknown keys refused, defaults checked too."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
