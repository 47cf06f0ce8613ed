"""Every command in the documents, run as it stands there, and what it prints."""

import os
import re
import shutil
import subprocess

import pytest
from conftest import REPO
from documents import HOME, Player

from fleetlab.lab import Lab

# Blocks that are not run, by their first lines, and why.
NOT_RUN = {
    "README": {
        "./run     # builds fleet, boots three real machines on this host, plays the walkthrough, and": "test_guide.py plays it",
        "cmake --preset release && cmake --build --preset release    # build/release/bin/fleetd, fleetctl": "./test does it",
        "cpack --config build/release/CPackConfig.cmake    # fleet_VERSION_amd64.deb, fleetctl_VERSION_amd64.deb": "test_packages.py does it",
    },
    "getting-started": {
        "$ cmake --preset release && cmake --build --preset release && cpack --config build/release/CPackConfig.cmake && cp build/release/fleet*.deb ~":
            "the build is there, and the fixture `packages` packs it",
    },
    "registry": {
        "# systemctl daemon-reload": "it ends a fleet 1.0: test_registry.py does it, with the records of one",
        "# fleetd registry import": "the same",
    },
}
DOCUMENTS = [REPO / "README.md",
             *(file for file in sorted((REPO / "docs").glob("*.md")) if file.stem != "getting-started")]


def knows_the_machines(lab):
    """core on machine 1 has gone to each machine by ssh before, and accepted its key."""
    known = "".join(f"{m.address} {m.host_key}\n" for m in lab.machines())
    lab.machine(1).run("install", "-D", "-o", "core", "-g", "core", "/dev/stdin", f"{HOME}/.fleetctl/known_hosts", input=known)


def play(lab, path):
    Player(lab).play(path, NOT_RUN.get(path.stem, {}), update="FLEET_UPDATE_GOLDEN" in os.environ)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_what_it_says_is_so(fleet, lab, path):
    knows_the_machines(lab)
    lab.etcd.ctl("del", "--prefix", "/_coreos.com/fleet/metadata/")  # What another document has set.
    play(lab, path)


@pytest.fixture
def new_machines(packages, tmp_path):
    """Three machines that have never seen fleet, with the packages in core's home directory."""
    lab = Lab(f"e2e-{os.getpid()}-new")
    try:
        lab.up(machines=3, bin_dir=tmp_path, owner=os.getpid(), registry=False)
        for machine in lab.machines():
            machine.run("systemctl", "unmask", "etcd.service")  # The lab runs its own elsewhere.
            for group in ("sudo", "systemd-journal"):  # A new user is in none.
                machine.run("gpasswd", "--delete", "core", group)
            for file in packages.values():
                shutil.copy(file, machine.root / HOME[1:])
        yield lab
    finally:
        lab.down()


def test_getting_started(new_machines):
    play(new_machines, REPO / "docs" / "getting-started.md")


def test_all_that_is_not_run_is_there():
    assert set(NOT_RUN) <= {path.stem for path in DOCUMENTS} | {"getting-started"}


def test_links_lead_somewhere():
    for file in (*(REPO / "docs").glob("*.md"), *REPO.glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text()):
            assert (file.parent / link).exists(), f"{file.name}: {link}"


def test_the_picture_is_the_one_that_its_source_describes():
    """Not by its coordinates, which depend on the fonts that there are."""
    def said(svg):
        return re.findall(r"<title>([^<]*)</title>|<text[^>]*>([^<]*)</text>", svg)
    drawn = subprocess.run(["dot", "-Tsvg", REPO / "docs/architecture.dot"], text=True, capture_output=True, check=True).stdout
    assert said(drawn) and said(drawn) == said((REPO / "docs/architecture.svg").read_text())
