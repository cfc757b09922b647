"""`keel escrow`: a second copy of the roots of an environment, in a file with its own passphrase."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from environment.errors import UNCHANGED, KeelError
from ops.cli.console import Environment, NobodyToAsk, confirm, stdout, terminal

app = typer.Typer(no_args_is_help=True, help="Keep the three roots in a second place, and restore them from there.")
DIFFERENT = 3


class NotPossible(KeelError):
    """A sheet that cannot be read or written."""


Sheet = Annotated[Path, typer.Argument(help="the sheet: JSON, a few hundred bytes")]
PassphraseFile = Annotated[
    Path | None, typer.Option(help="file whose first line is the passphrase of the sheet; without it, the command asks")
]


@app.command()
def write(sheet: Sheet, passphrase_file: PassphraseFile = None, environment: Environment = "dev") -> None:
    """Write the roots to a new file SHEET, encrypted with a passphrase that is not the stack's."""
    from environment import escrow
    from ops.hosts.environment import load_environment

    roots = load_environment(environment).roots
    text = escrow.seal(roots, _passphrase(passphrase_file, twice=True))
    try:
        with os.fdopen(os.open(sheet, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except FileExistsError:
        raise NotPossible(f"{sheet} exists and may be the only copy", UNCHANGED, "Choose another name") from None
    stdout().print(f"{sheet}: the roots of {environment}. Keep it away from its passphrase and from the repository")


@app.command()
def check(sheet: Sheet, passphrase_file: PassphraseFile = None, environment: Environment = "dev") -> None:
    """Open SHEET and compare it with the roots of the stack. Prints no secrets.

    Exit status: 0 the same, 2 the sheet cannot be opened, 3 the roots differ.
    """
    from environment import escrow
    from ops.hosts.environment import load_environment

    held = escrow.unseal(_read(sheet), environment, _passphrase(passphrase_file))
    present = load_environment(environment).roots
    others = [name for name in ("access", "pki", "backup") if getattr(held, name) != getattr(present, name)]
    if others:
        stdout().print(f"{sheet}: other than the stack's: {', '.join(others)}. Write a new sheet: keel escrow write")
        raise typer.Exit(DIFFERENT)
    stdout().print(f"{sheet}: the roots of {environment}, all three")


@app.command()
def restore(
    sheet: Sheet,
    passphrase_file: PassphraseFile = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    environment: Environment = "dev",
) -> None:
    """Put the roots of SHEET into the stack file, as secrets under the present passphrase of the stack.

    Exit status: 0 done, 1 you said no, 2 refused.
    """
    from environment import escrow
    from environment.load import stack_file
    from ops.state.stack import pulumi

    held = escrow.unseal(_read(sheet), environment, _passphrase(passphrase_file))
    stdout().print(
        f"keel:access, keel:pki and keel:backup in {stack_file(environment).name} are replaced by the sheet's"
    )
    confirm(environment, yes, "replace its roots")
    for name in ("access", "pki", "backup"):
        # Without a value in its arguments, Pulumi reads it from standard input.
        pulumi("config", "set", "--secret", f"keel:{name}", "-s", environment, given=getattr(held, name))
    stdout().print(f"{environment}: the roots are in the stack file; commit it")


def _read(sheet: Path) -> str:
    try:
        return sheet.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotPossible(f"{sheet} cannot be read: {error}") from None


def _passphrase(file: Path | None, twice: bool = False) -> str:
    if file is not None:
        return (_read(file).splitlines() or [""])[0]
    if not terminal():
        raise NobodyToAsk(
            "there is no terminal to ask for the passphrase", UNCHANGED, "Name a file that holds it: --passphrase-file"
        )
    return str(typer.prompt("Passphrase of the sheet", hide_input=True, confirmation_prompt=twice))
