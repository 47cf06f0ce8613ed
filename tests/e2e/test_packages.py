"""The Debian packages, on a machine that has never seen fleet: what a new user and an operator do with them."""

import os
import re
import shutil
import time

import pytest
from units import show, sleeper

from fleetlab.host import run, wait_for
from fleetlab.lab import Lab
from fleetlab.machine import PACKAGED, PACKAGING, REPO

HELLO = "[Unit]\nDescription=Hello World\n\n" + sleeper()
PROPERTIES = ("ActiveState", "InvocationID", "MainPID", "NRestarts", "ActiveEnterTimestampMonotonic")


@pytest.fixture
def fresh(lab, tmp_path, packages):
    """A machine without fleet, with the packages in /root. The machines reach no mirror, so what the packages depend on
    is there, and nothing else of fleet's."""
    alone = Lab(f"packages-{os.getpid()}")
    try:
        alone.up(machines=1, bin_dir=tmp_path, owner=os.getpid(), registry=False)
        machine = alone.machine(1)
        for file in packages.values():
            shutil.copy(file, machine.root / "root")
        yield machine
    finally:
        alone.down()


@pytest.fixture
def running(fresh):
    """fleet installed, and a unit of it running."""
    install(fresh)
    (fresh.root / "root/hello.service").write_text(HELLO)
    fresh.run("fleetctl", "start", "/root/hello.service")
    return fresh


def install(machine, *files):
    machine.run("apt-get", "install", "--yes", *(files or sorted(f"/root/{file.name}" for file in (
        machine.root / "root").glob("*.deb"))), timeout=120)


def hello(machine):
    said = show(machine, ["hello.service"], *PROPERTIES)["hello.service"]
    assert said["ActiveState"] == "active"
    return said


def fleetd(machine):
    return machine.run("systemctl", "show", "--property=MainPID", "--value", "fleet").stdout


def of_fleet(machine):
    """All files whose names speak of fleet, but what the test has put into /root and the journal."""
    return machine.run("find", "/etc", "/opt", "/run", "/srv", "/usr", "/var", "-name", "*fleet*",
                       "-not", "-path", "/run/host/*").stdout.splitlines()


def test_they_please_lintian(packages):
    done = run("lintian", "--allow-root", "--fail-on", "error,warning", *packages.values(), check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_machines_of_the_lab_have_the_files_of_the_package(packages, tmp_path):
    """So that all other tests are about what is installed."""
    run("dpkg-deb", "--extract", packages["fleet"], tmp_path)
    for file, path in PACKAGED.items():
        assert (tmp_path / path).read_text() == (PACKAGING / file).read_text()
    assert {str(file.relative_to(tmp_path)) for folder in ("lib", "share/polkit-1") for file in (
        tmp_path / "usr" / folder).rglob("*") if file.is_file()} == set(PACKAGED.values())


def test_fleet_conf_names_every_key(fresh, packages):
    """The commented keys of the file that is installed, as fleetd takes them."""
    text = (PACKAGING / "fleet.conf").read_text()
    keys = re.findall(r"^# ([a-z_]+=.*)$", text, re.M)
    documented = set(re.findall(r"^\| (`.*?`) ?↻? \|", (REPO / "README.md").read_text(), re.M))
    assert {key.partition("=")[0] for key in keys} == set(re.findall(r"`([a-z_]+)`", " ".join(documented)))
    install(fresh)
    plain = [key for key in keys if not key.startswith("etcd_") or key.startswith(("etcd_key_prefix", "etcd_request"))]
    (fresh.root / "root/all.conf").write_text("\n".join(plain) + "\nno_such_key=1\nagent_ttl=none\n")
    said = fresh.run("fleetd", "-config", "/root/all.conf", check=False).stderr
    assert f"/root/all.conf:{len(plain) + 2}: agent_ttl" in said, "all keys before the wrong one are taken"


def test_a_new_user_has_a_unit_running_in_minutes(fresh):
    began = time.monotonic()
    install(fresh)
    fresh.run("usermod", "--append", "--groups", "fleet", "core")
    as_core = lambda *argv: fresh.run("runuser", "--user", "core", "--", *argv)
    (fresh.root / "home/core/hello.service").write_text(HELLO)
    as_core("fleetctl", "start", "/home/core/hello.service")
    assert re.search(r"^hello\.service\s.*\sactive\s+running$", as_core("fleetctl", "list-units").stdout, re.M)
    assert time.monotonic() - began < 60, "five minutes, less what a mirror takes to send what the packages depend on"
    # And a user who is not of the group has no access.
    said = fresh.run("runuser", "--user", "nobody", "--", "fleetctl", "list-units", check=False)
    assert said.returncode != 0 and "Permission denied" in said.stderr
    assert fresh.run("systemctl", "is-enabled", "fleet.service", "fleet.socket").stdout == "enabled\nenabled\n"


def test_a_fleet_1_0_that_runs_is_not_stopped_by_the_installation(fresh):
    """Its stop would stop all its units."""
    (fresh.root / "etc/systemd/system/fleet.service").write_text(
        "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/touch /root/stopped\n")
    fresh.run("systemctl", "daemon-reload")
    fresh.run("systemctl", "start", "fleet.service")
    before = fleetd(fresh)
    files = sorted(f"/root/{file.name}" for file in (fresh.root / "root").glob("*.deb"))
    # An upgrade before the migration has ended, and a removal, stop it no more than the installation does.
    for action in (("install", *files), ("install", "--reinstall", *files), ("remove", "fleet")):
        said = fresh.run("apt-get", "--yes", *action, timeout=120)
        assert "another fleet runs here" in said.stdout + said.stderr, said
        assert fleetd(fresh) == before and not (fresh.root / "root/stopped").exists(), action


def test_fleetd_has_few_rights(running):
    assert running.run("ps", "-o", "user=,args=", "-p", fleetd(running).strip()).stdout.split() == ["fleet", "/usr/bin/fleetd"]
    modes = running.run("stat", "--format=%a %U:%G", "/var/run/fleet.sock", "/etc/fleet/fleet.conf", "/var/lib/fleet")
    assert modes.stdout.splitlines() == ["660 root:fleet", "640 root:fleet", "700 fleet:fleet"]
    said = running.run("systemd-analyze", "security", "--threshold=30", "--no-pager", "fleet.service", check=False)
    assert said.returncode == 0, said.stdout[-200:]
    # What is not in the polkit rule is not allowed to its user, whatever it has allowed.
    as_fleet = lambda *argv: running.run("runuser", "--user", "fleet", "--", *argv, check=False)
    for refused in (["systemctl", "kill", "hello.service"], ["systemctl", "poweroff"],
                    ["systemctl", "set-property", "--runtime", "hello.service", "CPUWeight=1"],
                    ["touch", "/etc/systemd/system/x.service"], ["rm", "/run/systemd/system/someone's.service"]):
        running.run("touch", "/run/systemd/system/someone's.service")
        done = as_fleet(*refused)
        assert done.returncode != 0, refused
        assert re.search("denied|not permitted|authentication", done.stderr, re.I), (refused, done.stderr)
    hello(running)


def test_an_upgrade_touches_no_unit(running, packages, tmp_path):
    (running.root / "etc/fleet/fleet.conf").open("a").write('metadata="kept=yes"\n')
    before, old = hello(running), fleetd(running)
    for name, file in packages.items():
        run("dpkg-deb", "--raw-extract", file, tmp_path / name)
        control = tmp_path / name / "DEBIAN/control"
        control.write_text(re.sub(r"^Version: .*$", r"\g<0>+next", control.read_text(), flags=re.M))
        run("dpkg-deb", "--build", "--root-owner-group", tmp_path / name, running.root / f"root/{name}.deb")
    install(running, "/root/fleet.deb", "/root/fleetctl.deb")
    assert "+next" in running.run("dpkg-query", "--show", "fleet").stdout
    wait_for("a new fleetd to answer", lambda: fleetd(running) not in (old, "0\n") and "kept=yes" in running.run(
        "fleetctl", "list-machines", check=False).stdout, 20)
    assert hello(running) == before
    # A fleet that was stopped, be it disabled or not, is not started.
    for verb in ("stop", "disable"):
        running.run("systemctl", verb, "fleet")
        install(running, "--reinstall", "/root/fleet.deb")
        assert running.run("systemctl", "is-active", "fleet", check=False).stdout == "inactive\n", verb


def test_removing_stops_its_units_and_purging_leaves_nothing(running):
    before = running.run("stat", "--format=%a", "/run/systemd").stdout
    running.run("apt-get", "remove", "--yes", "fleet", "fleetctl", timeout=120)
    assert running.run("systemctl", "is-active", "hello.service", check=False).stdout == "inactive\n"
    assert running.run("pgrep", "fleetd", check=False).stdout == ""
    assert running.run("test", "-e", "/run/fleet.sock", check=False).returncode == 1
    assert "/etc/fleet/fleet.conf" in of_fleet(running)
    # And back: all is as it was left.
    install(running)
    wait_for("the unit to run again", lambda: "running" in running.run("fleetctl", "list-units", check=False).stdout, 20)
    running.run("apt-get", "purge", "--yes", "fleet", "fleetctl", timeout=120)
    assert of_fleet(running) == []
    assert running.run("stat", "--format=%a %A", "/run/systemd/system").stdout.split()[0] == before.strip()
    assert "fleet" not in running.run("systemctl", "list-unit-files", "--no-pager").stdout
