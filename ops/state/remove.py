"""Remove an environment that `./keel env new` made, or what is left of one: all of it, without asking its hosts.

    python -m ops.state.remove ENVIRONMENT

is the end of `make down`, when Pulumi has removed what it made: its stack goes, and the stack file if `./keel env new` wrote it.
"""

from __future__ import annotations

import sys
from datetime import datetime

from environment import kind
from environment.errors import UNCHANGED, Refused
from environment.load import stack_file
from environment.report import Report
from ops.state import copies, stack
from ops.state.clear_killed import take_away
from ops.state.known import Known, environments
from processes.command import carry_out


def after_down(environment: str) -> None:
    """The stack of an environment of kind dev or ci, once its state holds nothing. Elsewhere it stays, with the history."""
    found = kind.of(environment)
    if found is None or found.guarded:
        return
    if stack.resources(stack.read(environment)):
        print(f"{environment}: its state still holds something, so its stack stays")
        return
    stack.delete(environment)
    path = stack_file(environment)
    print(f"{environment}: Pulumi's stack is removed{f', and {path}' if copies.forget(environment, path) else ''}")


def refused(known: Known) -> str | None:
    """Why an environment is not removed in this way; None where it is."""
    if known.kind is not None and known.kind.guarded:
        return f"{known.name} is of the kind {known.kind}, which keeps its data: make down ENV={known.name}"
    if known.is_copy or not known.has_file:
        return None
    return f"{known.name} was not made by ./keel env new ({known.stack_file}): make down ENV={known.name}"


def forgotten(known: Known, before: datetime) -> bool:
    """True of what `./keel env new` made ``before``, here or in a checkout whose stack file is gone."""
    return known.is_copy and not known.is_elsewhere and known.made is not None and known.made < before


def chosen(names: list[str]) -> list[Known]:
    """The environments of these names. Raises Refused with everything that is wrong with them, and where Docker or Pulumi does not
    answer: what they have would stay, and its stack file would be gone."""
    known = {found.name: found for found in environments(surely=True)}
    wrong = [f"there is no environment {name}" for name in names if name not in known]
    wrong += [reason for name in names if name in known and (reason := refused(known[name]))]
    if wrong:
        raise Refused("; ".join(wrong), UNCHANGED, "./keel env list shows what there is")
    found = [known[name] for name in dict.fromkeys(names)]
    for each in found:
        list(stack.killed(each.name))
    return found


def remove(known: Known, report: Report) -> None:
    """Containers, volumes and networks with its label, Pulumi's stack, the stack file and the reservation. Raises Busy while it is
    being changed; what was removed until then is gone, and the rest goes when it is run again."""
    list(stack.killed(known.name))
    if known.items:
        report(f"{known.name}: {known.holds}")
        take_away(known.name)
    if known.in_state:
        report(f"{known.name}: Pulumi's stack")
        stack.delete(known.name)
    copies.forget(known.name, known.stack_file or stack_file(known.name))


if __name__ == "__main__":
    carry_out(lambda: after_down(sys.argv[1]))
