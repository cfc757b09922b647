"""The pipelines of docs/ci: the same commands, all of them Keel's own, and a way down that is always gone."""

from __future__ import annotations

import re

from environment.load import ROOT
from tests.pipelines import github, gitlab, read


def test_both_services_run_the_same_commands() -> None:
    """BAC-48: whoever changes one changes the other."""
    assert github() == gitlab()


def test_every_command_is_keels_and_names_the_environment() -> None:
    """PLAT-47, PLAT-48: nothing but `./keel` and make, never in the default environment, and each is one that there is."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in github():
        words = command.split()
        assert '"$ENV"' in command
        assert words[0] == "./keel" or (words[0] == "make" and words[1] in targets), command
    assert [words.split()[0] for words in (github()[0], github()[-1])] == ["./keel", "make"]
    assert github()[-1] == 'make down ENV="$ENV"'


def test_the_environment_goes_whatever_happened() -> None:
    """PLAT-48: as the last step, also of a failed run, in each service's own words."""
    (job,) = read("github-actions.yml")["jobs"].values()
    assert [step.get("if") for step in job["steps"] if "run" in step] == [None] * (len(github()) - 1) + ["always()"]
    (other,) = read("gitlab-ci.yml").values()
    assert other["after_script"] == [github()[-1]]


def test_the_base_is_fetched_and_named() -> None:
    """BAC-48: the whole history, the number of the pull request, the commit it is to be merged into."""
    (job,) = read("github-actions.yml")["jobs"].values()
    (other,) = read("gitlab-ci.yml").values()
    assert job["steps"][0]["with"] == {"fetch-depth": "0"} and other["variables"].pop("GIT_DEPTH") == "0"
    assert job["env"].keys() == other["variables"].keys() == {"ENV", "KEEL_BASE"}
    assert all(variables["ENV"].startswith("pr-$") for variables in (job["env"], other["variables"]))
