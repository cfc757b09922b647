"""Errors for people: their parts, and that a person meets no other kind of Keel's own."""

from __future__ import annotations

import ast
import builtins
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from typer.testing import CliRunner

from environment.errors import UNCHANGED, KeelError, explained, message
from environment.load import ROOT
from ops.cli.app import app

PACKAGES = ("environment", "components", "roles", "db", "migrations", "ops", "processes", "tools", "toolchain")


def exceptions() -> Iterator[tuple[str, str, set[str]]]:
    """File, name and bases of every class of Keel that is an exception by its bases' names."""
    classes = [
        (str(path.relative_to(ROOT)), node.name, {ast.unparse(base).rpartition(".")[2] for base in node.bases})
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    known = {
        name for name, each in vars(builtins).items() if isinstance(each, type) and issubclass(each, BaseException)
    }
    while more := {name for _, name, bases in classes if bases & known} - known:
        known |= more
    yield from ((path, name, bases) for path, name, bases in classes if name in known)


def test_every_exception_of_keels_is_a_sentence_for_people() -> None:
    """One that is not is a mistake in Keel, and nobody declares those."""
    found = list(exceptions())
    assert len(found) > 40
    known = {"KeelError"}
    while more := {name for _, name, bases in found if bases & known} - known:
        known |= more
    assert [f"{path}: {name}" for path, name, _ in found if name not in known] == []


def test_each_is_declared_once() -> None:
    """The set-up of a fresh machine asks servers, and has the words for that by itself."""
    names = [name for path, name, _ in exceptions() if not path.startswith("toolchain/")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("no host answers",), "no host answers"),
        (("no host answers.", UNCHANGED), "no host answers. Nothing was changed"),
        (("no host answers", "", "Start them"), "no host answers. Start them"),
        (("two refused:\n- a\n- b", UNCHANGED, "Correct them"), "two refused:\n- a\n- b\nNothing was changed. Correct them"),
    ],
)  # fmt: skip
def test_the_parts_are_read_as_sentences(parts: tuple[str, ...], text: str) -> None:
    assert str(KeelError(*parts)) == text


def test_a_mistake_has_no_sentence() -> None:
    assert explained(RuntimeError("half of it")) is None
    assert explained(KeelError("all of it")) == "all of it"
    assert message(RuntimeError("half of it")) == "a mistake in Keel:\nRuntimeError: half of it\n"


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("half of it"), 1), (KeelError("all of it"), 2)])
def test_a_command_tells_a_sentence_and_lets_a_mistake_through(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_name: str) -> None:
        raise error

    monkeypatch.setattr("ops.hosts.environment.open_environment", fail)
    result = CliRunner().invoke(app, ["drift"])
    assert result.exit_code == status
    assert (result.exception is error) is (status == 1)
    assert ("error: all of it" in result.stderr) is (status == 2)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (psycopg.OperationalError("connection refused\n"), "the database refused: connection refused"),
        (psycopg.errors.InsufficientPrivilege("permission denied"), "the database refused: permission denied"),
        (psycopg.errors.SyntaxError('syntax error at or near "form"'), None),
        (ValueError("x"), None),
        (subprocess.CalledProcessError(2, ["/usr/bin/openssl", "-k", "word"], stderr="no\n"),
         "`/usr/bin/openssl` ended with status 2: no"),
        (subprocess.TimeoutExpired("docker ps", 5), "`docker` did not end within 5 s; look at `./keel status`"),
    ],
)  # fmt: skip
def test_what_a_person_can_act_on_is_told_from_a_mistake(error: Exception, sentence: str | None) -> None:
    """By what the error is, not by where its class was defined; arguments of a program stay out of it."""
    assert explained(error) == sentence
