"""The repositories of backups and WAL in pgBackRest's order: their numbers are those of `--repo=N`, on every host alike."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from environment.settings import Repository as Settings
from keel_host.pgbackrest import FIRST


class Place(StrEnum):
    """Where a repository is."""

    VOLUME = "backup volume"
    S3 = "S3"


class Repository(NamedTuple):
    """One repository: of a place and a key."""

    number: int
    place: Place
    generation: int
    """Of its key."""
    written: bool
    """False for one of the key before, which is only read."""

    @property
    def title(self) -> str:
        """For a person: number, place and, where it is no longer written, the key."""
        return f"{self.number} ({self.place.value}{'' if self.written else f', key {self.generation}'})"

    @property
    def job_suffix(self) -> str:
        """What the names of the jobs end with that write backups into it."""
        return "-second" if self.place is Place.S3 else ""


def repositories(settings: Settings) -> tuple[Repository, ...]:
    """All there are, nearest first: those that are written, then those of the key before."""
    places = (Place.VOLUME, Place.S3) if settings.second else (Place.VOLUME,)
    generations = [number for number in (settings.generation, settings.generation - 1) if number]
    found = [(place, generation) for generation in generations for place in places]
    return tuple(
        Repository(number, place, generation, generation == settings.generation)
        for number, (place, generation) in enumerate(found, start=FIRST)
    )


def written(settings: Settings) -> tuple[Repository, ...]:
    """Those that backups are made in."""
    return tuple(repository for repository in repositories(settings) if repository.written)
