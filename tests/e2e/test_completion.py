"""The completions of bash, zsh and fish, in the shells themselves at a terminal, of a real cluster's names."""

import os
import shutil
from pathlib import Path

import pytest
from conftest import REPO
from terminal import Terminal
from units import sleeper, start

from fleetlab.fleet import PORT

BIN = Path(os.environ.get("FLEET_BIN") or REPO / "build/release/bin").resolve()
COMPLETION = REPO / "packaging" / "completion"

# How each shell is started without anybody's settings, and what it is told first: our completion, and `show`, which
# writes its arguments to a file.
SHOW = "show() { printf '%s\\n' \"$@\" >shown; echo wri''tten; }"
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], f". {COMPLETION}/fleetctl.bash; {SHOW}"),
    "zsh": (["zsh", "-f", "-i"], f"fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; {SHOW}"),
    "fish": (["fish", "--no-config", "-i"], f"source {COMPLETION}/fleetctl.fish; "
             "function show; printf '%s\\n' $argv >shown; echo wri''tten; end"),
}


@pytest.fixture(params=SHELLS)
def complete(request, fleet, lab, tmp_path):
    """Types a line and a tab in a shell; answers the words of the line as the shell has completed it."""
    (tmp_path / "web.service").touch()
    (tmp_path / "web.timer").touch()
    (tmp_path / "ca.pem").touch()
    shutil.copy(COMPLETION / "fleetctl.zsh", tmp_path / "_fleetctl")
    argv, prepare = SHELLS[request.param]
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": tmp_path, "TERM": "dumb",
                   "FLEETCTL_ENDPOINT": f"http://{lab.machine(1).address}:{PORT}"}

    def complete(line):
        with Terminal(["env", "-i", "-C", tmp_path, *(f"{k}={v}" for k, v in environment.items()), *argv]) as terminal:
            terminal.type(f"{prepare}; echo rea''dy\n")
            terminal.wait_for("ready")
            terminal.type(f"fleetctl {line}\t")
            terminal.type("\x01show \n")  # At the line's beginning, so that it is shown and not run.
            terminal.wait_for("written")
        return (tmp_path / "shown").read_text().splitlines()[1:]
    return complete


def test_commands_and_flags(complete):
    assert complete("list-m") == ["list-machines"]
    assert complete("list-u") == ["list-unit"]  # As far as -files and -s have it in common.
    assert complete("--endpoint http://127.0.0.1:1 unl") == ["--endpoint", "http://127.0.0.1:1", "unload"]
    assert complete("start --no-b") == ["start", "--no-block"]
    assert complete("list-units --output=j") == ["list-units", "--output=json"]
    assert complete("list-units -o j") == ["list-units", "-o", "json"]
    assert complete("list-units --fields unit,ha") == ["list-units", "--fields", "unit,hash"]
    assert complete("verif") == ["verif"]  # It is retired.


def test_names_of_units_and_machines(complete, fleet, lab):
    start(fleet, "hello.service", sleeper(), state="inactive")
    start(fleet, r"back\x2dup:daily.service", sleeper(), state="inactive")
    machine = lab.machine(2).id[:8]
    assert complete("stop he") == ["stop", "hello.service"]
    assert complete("stop hello bac") == ["stop", "hello", r"back\x2dup:daily.service"]
    assert complete(f"ssh {machine[:4]}") == ["ssh", machine]
    assert complete(f"ssh --machine={machine[:4]}") == ["ssh", f"--machine={machine}"]
    assert complete("ssh --unit he") == ["ssh", "--unit", "hello.service"]


def test_files(complete):
    assert complete("submit web.s") == ["submit", "web.service"]
    assert complete("submit web") == ["submit", "web."]
    assert complete("--ca-file ca") == ["--ca-file", "ca.pem"]
    assert complete("--ca-file=ca") == ["--ca-file=ca.pem"]
    assert complete("stop web") == ["stop", "web"]  # Units of the cluster only.


def test_without_a_cluster_nothing_is_said(complete, fleet, lab):
    fleet_down = f"--endpoint http://{lab.gateway}:1"
    assert complete(f"{fleet_down} stop he") == [*fleet_down.split(), "stop", "he"]
