"""Docker, Pulumi, the image and the ports, with programs in their place that answer what a test describes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from environment import unfinished
from environment.home import home
from environment.load import PROJECT
from ops.hosts import docker
from ops.hosts.docker import DockerFailed
from ops.state import clear_killed, networks, preflight, stack
from ops.steps import image
from tests.unit.cli_fakes import environment, program
from tests.unit.hosts import nothing


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH; Pulumi's backend is the project's."""
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "bin"


def test_dockers_words_are_told(programs: Path) -> None:
    program(programs, "docker", 'if [ "$1" = rm ]; then echo " no such container" >&2; exit 1; fi; echo " $* $(cat)"')
    assert docker.docker("ps", "-a", given="given") == "ps -a given"
    with pytest.raises(DockerFailed, match=r"^docker rm -f: no such container$"):
        docker.docker("rm", "-f", "abc")


def test_what_is_not_there_is_none(programs: Path) -> None:
    program(
        programs,
        "docker",
        'case "$*" in *gone) exit 1;; image*) echo sha256:1;; *) echo "[{\\"Name\\": \\"$3\\"}]";; esac',
    )
    assert (docker.image_id("there"), docker.image_id("gone")) == ("sha256:1", None)
    assert (docker.inspect("volume", "there"), docker.inspect("volume", "gone")) == ({"Name": "there"}, None)


BUILD = """case "$1" in
  image) {inspect};;
  build) echo "Sending"; echo "Step 1/2 : FROM {long}"; echo "#5 RUN"; seq 30 >&2; echo "$*" >> {said}; exit {status};;
esac"""


@pytest.mark.parametrize(
    ("status", "inspect", "words"),
    [
        (0, "echo sha256:2", ""),
        (1, "exit 1", "The running hosts were left"),
        (0, "exit 1", "there is no such image"),
    ],
)
def test_a_build_ends_with_its_image_or_its_last_words(programs: Path, status: int, inspect: str, words: str) -> None:
    """The steps are told as they begin, each on one short line."""
    told, said = list[str](), programs.parent / "said"
    program(programs, "docker", BUILD.format(inspect=inspect, status=status, long="x" * 200, said=said))
    if words:
        with pytest.raises(DockerFailed, match=words) as failed:
            docker.build("/folder", "keel-host:1", {}, told.append)
        if status:
            assert failed.value.problem.splitlines()[1:] == [str(number) for number in range(11, 31)]
    else:
        assert docker.build("/folder", "keel-host:1", {"a": "b"}, told.append) == "sha256:2"
        assert said.read_text() == "build --network host --tag keel-host:1 --label a=b /folder\n"
    assert told == [f"image keel-host:1: {('Step 1/2 : FROM ' + 'x' * 200)[:120]}", "image keel-host:1: #5 RUN"]


def test_an_image_is_built_once_and_its_base_provided_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLAT-01: of any release: the set-up has only dev's base by itself."""
    there: dict[str, str] = {}
    done: list[Any] = []

    def build(folder: str, tag: str, labels: dict[str, str], _report: object) -> str:
        done.append((Path(folder, "Dockerfile").read_text(), tag, labels))
        return "sha256:3"

    monkeypatch.setattr(image, "image_id", there.get)
    monkeypatch.setattr(image, "build", build)
    monkeypatch.setattr(image, "ROOT", tmp_path)
    program(tmp_path / "tools", "setup", f'echo "$*" >> {tmp_path / "said"}')
    inputs = {"tag": "keel-host:1", "dockerfile": "FROM debian:trixie\nRUN true", "image": "sha256:3"}
    unneeded: Any = None
    assert image.apply(unneeded, inputs, nothing) == {"image": "sha256:3"}
    assert done == [(inputs["dockerfile"], "keel-host:1", {"keel.image": "host"})]
    assert (tmp_path / "said").read_text() == "--suite trixie\n"
    there["debian:trixie"] = "sha256:base"
    image.apply(unneeded, inputs, nothing)
    assert (tmp_path / "said").read_text() == "--suite trixie\n", "it is there"
    assert image.observe(unneeded, inputs) == ["image keel-host:1 is gone"]
    there["keel-host:1"] = "sha256:3"
    assert image.apply(unneeded, inputs, nothing) == {"image": "sha256:3"}
    assert (len(done), image.observe(unneeded, inputs)) == (2, [])
    there["keel-host:1"] = "sha256:4"
    assert image.observe(unneeded, inputs) == ["image keel-host:1 is not the one that was built"]


def test_a_base_that_cannot_be_provided_is_told_with_the_end_of_the_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "image_id", lambda _: None)
    monkeypatch.setattr(image, "ROOT", tmp_path)
    program(tmp_path / "tools", "setup", "head -c 2000 /dev/zero | tr '\\0' x; echo 'no network' >&2; exit 1")
    with pytest.raises(DockerFailed) as failed:
        image.provide("keel-host:1", "FROM debian:trixie", nothing)
    assert str(failed.value) == f"the base image debian:trixie cannot be provided: {'x' * 1489}no network\n"


def test_the_tag_of_an_environments_image_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that need a server: the same that `up` would build."""
    built: list[str] = []
    monkeypatch.setattr(image, "provide", lambda tag, *_: built.append(tag))
    assert [image.main("dev")] == built and built[0].startswith("keel-host:")


def test_pulumi_works_in_the_project_and_its_words_are_told(programs: Path, tmp_path: Path) -> None:
    program(programs, "pulumi", 'echo "$*|$PWD|$PULUMI_BACKEND_URL|$(cat)"; [ "$1" != refuse ]')
    assert stack.pulumi("stack", "ls", given="in") == f"stack ls --non-interactive|{PROJECT}||in\n"
    assert f"|file://{tmp_path}|" in stack.pulumi("stack", "ls", given="", backend=tmp_path)
    with pytest.raises(stack.PulumiFailed, match=r"^pulumi refuse it: refuse it all --non-interactive"):
        stack.pulumi("refuse", "it", "all", given="")
    program(programs, "pulumi", "echo out; echo why >&2; exit 255")
    with pytest.raises(stack.PulumiFailed, match=r"^pulumi refuse it: why$"):
        stack.pulumi("refuse", "it")


def test_a_state_is_read_and_written_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done: list[Any] = []

    def pulumi(*arguments: str, **how: Any) -> str:
        done.append((arguments, how))
        return '{"version": 3}'

    monkeypatch.setattr(stack, "pulumi", pulumi)
    assert stack.read("dev", tmp_path) == {"version": 3}
    stack.write("dev", {"version": 3}, tmp_path)
    assert done == [
        (("stack", "export", "-s", "dev"), {"backend": tmp_path}),
        (("stack", "import", "-s", "dev"), {"given": '{"version": 3}', "backend": tmp_path}),
    ]


@pytest.mark.parametrize("state", [{}, {"deployment": None}, {"deployment": {}}, {"deployment": {"resources": None}}])
def test_a_new_state_has_no_resources(state: dict[str, Any]) -> None:
    assert stack.resources(state) == []
    assert stack.resources({"deployment": {"resources": [{"urn": "a"}]}}) == [{"urn": "a"}]


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///var/state", Path("/var/state")),
        ("file:///var/state?no_tmp_dir=true", Path("/var/state")),
        ("file://~", home()),
        ("file://~/state", home() / "state"),
        ("file://~keel/state", home() / "eel/state"),
        ("file://state", PROJECT / "state"),
        ("s3://bucket", None),
    ],
)
def test_locks_are_looked_for_where_the_backend_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, folder: Path | None
) -> None:
    """Elsewhere Pulumi itself says that the stack is locked."""
    monkeypatch.setenv("PULUMI_BACKEND_URL", url)
    monkeypatch.setenv("HOME", "/somewhere/else")  # Pulumi asks the system for the account's
    assert unfinished.backend() == folder
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    assert unfinished.backend() is not None, "the project's own"
    if folder is None:
        monkeypatch.setenv("PULUMI_BACKEND_URL", url)
        monkeypatch.setattr(unfinished, "PROJECT", tmp_path)
        monkeypatch.setattr(stack, "pulumi", lambda *arguments: pytest.fail(f"{arguments}: no engine was here"))
        assert list(stack.killed("dev")) == []


def test_the_living_holder_of_a_lock_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cancelled while Pulumi runs under that number."""
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(stack, "pulumi", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr("processes.pulumi_engine.runs", lambda pid, name: (pid, name) == (7, "pulumi"))
    owner = {"pid": 7, "username": "ann", "hostname": socket.gethostname(), "timestamp": "now"}
    monkeypatch.setattr(stack, "_locks", lambda *_: [owner])
    with pytest.raises(stack.Busy, match=r"ann@.* \(process 7\) since now"):
        list(stack.take("dev"))
    assert calls == [("stack", "select", "--create", "dev")]


PORTS = {
    ("docker", "ps", "--filter", "label=keel.environment=dev", "--format", "{{.Ports}}"): (
        "127.0.0.1:2201->22/tcp, 127.0.0.1:5220->5432/tcp, 8008/tcp\n127.0.0.1:6432->6432/tcp\n"
    ),
    ("docker", "ps", "--filter", "publish=1", "--format", "{{.Names}}"): "other-db\n",
    ("docker", "ps", "--filter", "publish=2", "--format", "{{.Names}}"): "",
    ("ss", "-Hltnp", "sport = :2"): 'LISTEN 0 5 127.0.0.1:2 0.0.0.0:* \nLISTEN users:(("nginx",pid=7,fd=3))\n',
    ("docker", "ps", "--filter", "publish=3", "--format", "{{.Names}}"): "",
    ("ss", "-Hltnp", "sport = :3"): "LISTEN 0 5 127.0.0.1:3 0.0.0.0:*\n",
}


def test_who_holds_a_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """X-20: a container, a process, or what cannot be seen."""
    monkeypatch.setattr(preflight, "_output", lambda *command: PORTS[command])
    assert preflight._own_ports("dev") == {2201, 5220, 6432}
    assert [preflight._holder(port) for port in (1, 2, 3)] == [
        "container other-db",
        'process "nginx",pid=7,fd=3',
        "another process",
    ]


def test_the_environments_own_ports_are_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """X-20: `up` again; and of machines nothing is published here."""
    monkeypatch.setattr(preflight, "port_is_free", lambda port: port == 6379)
    monkeypatch.setattr(preflight, "_own_ports", lambda name: {2201, 2202} if name == "dev" else set())
    monkeypatch.setattr(preflight, "_holder", str)
    dev = environment().settings
    taken = [sentence.split()[1] for sentence in preflight.taken_ports("dev", dev)]
    assert {"5220", "6432", "2211"} <= set(taken) and not {"2201", "2202", "6379"} & set(taken)
    assert preflight.taken_ports("production", environment(stack="production").settings) == []


def test_a_port_that_only_waits_to_be_free_is_free() -> None:
    """A connection that ended a moment ago does not count; a listener does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not networks.port_is_free(port)
        client = socket.create_connection(("127.0.0.1", port))
        server, _ = listener.accept()
        server.close()  # this side waits
        client.close()
    assert networks.port_is_free(port)


def test_a_program_that_is_not_there_says_nothing(programs: Path) -> None:
    assert preflight._output("no-such-program") == ""
    program(programs, "says", "echo words; echo more >&2; exit 1")
    assert preflight._output("says") == "words\n"


def test_what_was_made_and_never_recorded_is_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Containers and networks that the state does not know; those that it knows stay."""
    removed: list[tuple[str, ...]] = []

    def answer(*arguments: str) -> str:
        if arguments[0] == "rm" or arguments[:2] == ("network", "rm"):
            removed.append(arguments)
        return {"ps": "c1\nc2", "network": "n1\n" + "n" * 20, "inspect": "/keel-dev-db2"}.get(arguments[0], "")

    monkeypatch.setattr(clear_killed, "docker", answer)
    clear_killed._remove_unrecorded("dev", [{"urn": "a", "id": "c1"}, {"urn": "b", "id": "n1"}], False)
    assert removed == [("rm", "-f", "c2"), ("network", "rm", "n" * 20)]
    assert [line.split(" was created")[0] for line in capsys.readouterr().out.splitlines()] == [
        "dev: container keel-dev-db2", f"dev: network {'n' * 12}",
    ]  # fmt: skip


def test_a_machine_without_docker_has_nothing_unrecorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> str:
        raise DockerFailed("docker ps: not found")

    monkeypatch.setattr(clear_killed, "docker", fail)
    clear_killed._remove_unrecorded("dev", [], False)
    clear_killed._notice_missing("dev", {"deployment": {"resources": [{"type": "step", "urn": "a"}]}})


@pytest.mark.parametrize("interrupted", [False, True])
def test_making_ready_goes_through_all_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], interrupted: bool
) -> None:
    """What is said names the environment; whether a run was killed decides what may be removed."""
    asked: list[Any] = []
    state: dict[str, Any] = {"deployment": {"resources": ["r"]}}
    if interrupted:
        state["deployment"]["pending_operations"] = [1]
    monkeypatch.setattr(stack, "take", lambda _: ["ann@here"])
    monkeypatch.setattr(stack, "read", lambda _: state)
    monkeypatch.setattr(stack, "write", lambda *_: asked.append("written"))
    monkeypatch.setattr(clear_killed, "_remove_unrecorded", lambda *rest: asked.append(rest))
    monkeypatch.setattr(clear_killed, "_notice_missing", lambda *rest: asked.append(rest))
    clear_killed.main("dev")
    assert asked == [
        *(["written"] if interrupted else []),
        ("dev", ["r"], interrupted),
        ("dev", {"deployment": {"resources": ["r"]}}),
    ]
    assert len(capsys.readouterr().out.splitlines()) == 1 + interrupted


def test_what_is_all_there_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A created container is started, a running one is not; nothing is written where nothing is gone."""
    listed = {"ps": "c1 running\nc2 created\nc3 paused", "volume": "v1", "network": "n1"}
    asked: list[tuple[str, ...]] = []

    def answer(*arguments: str) -> str:
        asked.append(arguments)
        return listed.get(arguments[0], "")

    monkeypatch.setattr(clear_killed, "docker", answer)
    monkeypatch.setattr(clear_killed, "_leaves", lambda *_: False)
    monkeypatch.setattr(stack, "write", lambda *_: pytest.fail("nothing is gone"))
    container, volume, network = clear_killed.LISTINGS
    resources = [{"type": container, "id": name, "urn": f"a::{name}"} for name in ("c1", "c2", "c3")]
    resources += [{"type": volume, "id": "v1", "urn": "a::v1"}, {"type": network, "id": "n1", "urn": "a::n1"}]
    clear_killed._notice_missing("dev", {"deployment": {"resources": resources}})
    assert asked == [
        ("ps", "-a", "--no-trunc", "--filter", "label=keel.environment=dev", "--format", "{{.ID}} {{.State}}"),
        ("volume", "ls", "--filter", "label=keel.environment=dev", "--format", "{{.Name}}"),
        ("network", "ls", "--no-trunc", "--filter", "label=keel.environment=dev", "--format", "{{.ID}}"),
        ("start", "c2"),
    ]
    assert capsys.readouterr().out == "dev: a stopped container is started: c2\n"
