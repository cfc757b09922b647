"""Domain types by name, so that a field says what it holds and bad values are refused where they are read."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from cryptography import x509
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

from environment.recovery import target
from keel_host import schedule


def _only(allowed: str) -> WrapValidator:
    """Refuse with what is allowed instead of the validator's own words."""

    def validate(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError:
            raise PydanticCustomError("not_allowed", "{allowed}", {"allowed": allowed}) from None

    return WrapValidator(validate)


def _well_formed_key(value: str) -> str:
    """Raise ValueError unless the base64 part is a key of the type that is written before it."""
    kind, _, encoded = value.partition(" ")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None
    if blob[: 4 + len(kind)] != len(kind).to_bytes(4, "big") + kind.encode():
        raise ValueError(f"not a key of type {kind}")
    return value


def _cron_time(value: str) -> str:
    """Raise ValueError unless cron takes it and it comes within a year."""
    if schedule.due(value, datetime(2002, 1, 1)) is None:
        raise ValueError(f"{value!r} never comes, or not every year")
    return value


def _cron_time_or_off(value: str) -> str:
    return value if value == "off" else _cron_time(value)


def _recovery_end(value: str) -> str:
    """Raise ValueError unless a recovery can end there."""
    target(value)
    return value


def _certificates(value: str) -> str:
    """Raise ValueError unless there is at least one certificate in it, and each can be read."""
    x509.load_pem_x509_certificates(value.encode())
    return value


Port = Annotated[int, Field(ge=1, le=65535)]
ServicePort = Annotated[int, Field(ge=1024, le=65535)]
"""Of a service that does not start as root."""
Megabytes = Annotated[int, Field(gt=0, le=2_097_151)]
"""At most 2 TiB, the largest that PostgreSQL takes for any of its memory settings."""
AUTO = "auto"
"""Of a host's memory or cores: what environment/sizing.py finds."""
Memory = Annotated[
    Annotated[int, Field(ge=128, le=2_097_151)] | Literal["auto"], _only("MiB from 128 to 2097151, or auto")
]
Cores = Annotated[
    Annotated[float, Field(ge=0.1, le=1024)] | Literal["auto"], _only("a number of cores from 0.1 to 1024, or auto")
]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Lasting = Annotated[int, Field(ge=1, le=86_400)]
"""Seconds after which something ends; 0 would mean never."""
Minutes = Annotated[int, Field(ge=1, le=10_080)]
"""At most a week."""
Milliseconds = Annotated[int, Field(gt=0, le=50_000)]
"""At most what etcd takes for an election."""
Connections = Annotated[int, Field(gt=0, le=100_000)]

_LABEL = "lower-case letters, digits and inner hyphens, a letter first, at most 31 characters"
_LABEL_PATTERN = r"^[a-z]([a-z0-9-]{0,29}[a-z0-9])?$"
HostName = Annotated[str, Field(pattern=_LABEL_PATTERN), _only(_LABEL)]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+-]+$", description="Debian package")]
EnvironmentName = Annotated[str, Field(pattern=_LABEL_PATTERN), _only(f"a stack's name: {_LABEL}")]
ProductName = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]{0,40}$"),
    _only("lower-case letters, digits and underscores, a letter first, at most 41 characters"),
]
ParameterName = Annotated[
    str,
    Field(pattern=r"^[a-z_]+[a-z0-9_]*$"),
    _only("a parameter's name in lower case; of the server's own, so without a dot"),
]
ParameterValue = bool | int | float | str
RevisionId = Annotated[
    str,
    Field(pattern=r"^([0-9]{3,4}|[0-9]{8}_[0-9]{4})(_[a-z0-9]+)*$", max_length=64),
    _only('a revision\'s id, or the number or time in front of it, in quotes, such as "007"'),
]
_CRON_TIME = 'five fields of numbers, such as "0 2 * * *": minute, hour, day of month, month, day of week, in UTC; it comes every year'
CronTime = Annotated[str, AfterValidator(_cron_time), _only(_CRON_TIME)]
CronTimeOrOff = Annotated[str, AfterValidator(_cron_time_or_off), _only(f"{_CRON_TIME}; or off")]
RecoveryToken = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9-]{2,40}$"),
    _only("lower-case letters, digits and hyphens, 3 to 41 of them"),
]
RecoveryEnd = Annotated[str, AfterValidator(_recovery_end)]
Endpoint = Annotated[
    str,
    Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"),
    _only("a DNS name in lower case or an IPv4 address"),
]
HostKey = Annotated[
    str,
    Field(pattern=r"^(ssh-ed25519|ecdsa-sha2-nistp256) [A-Za-z0-9+/]+=*$"),
    AfterValidator(_well_formed_key),
    _only("a public host key, type and base64 as ssh-keyscan prints them: ssh-ed25519 AAAA…"),
]
BucketName = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
    _only("a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens"),
]
RepositoryPath = Annotated[
    str,
    Field(pattern=r"^(/|(/[A-Za-z0-9][A-Za-z0-9._-]*)+)$", max_length=256),
    _only("an absolute path in the bucket without a slash at its end, such as /backups"),
]
RegionName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$"), _only("a region's name, such as eu-central-1")]
CertificateText = Annotated[
    str,
    AfterValidator(_certificates),
    _only("the authority's certificate as PEM text: -----BEGIN CERTIFICATE----- …"),
]
Address = Annotated[IPv4Address, _only("an IPv4 address, such as 10.88.0.11")]
Cidr = Annotated[IPv4Network, _only("an IPv4 network without host bits, such as 10.88.0.0/24")]

CidrOrOff = Annotated[
    IPv4Network | Literal["off"],
    _only("an IPv4 network without host bits, such as 10.88.0.128/25; or off"),
]


class Undeclared(StrEnum):
    """What happens to something in a database that the model does not declare."""

    REMOVE = "remove"
    REPORT = "report"


class Reset(StrEnum):
    """What PgBouncer ends on a server connection before another client gets it (W6)."""

    IDENTITY = "identity"
    """For whom the session works and whether row-level security applies."""
    STATE = "state"
    """Everything that a session can keep."""
    OFF = "off"


class Preset(StrEnum):
    """What a failover costs, and what it may not cost."""

    FAST = "fast"
    """The shortest lease."""
    BALANCED = "balanced"
    """A lease that outlasts a slow store."""
    SAFE = "safe"
    """Balanced, and a commit that only the primary has is never acknowledged."""


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

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)
