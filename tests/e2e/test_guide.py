"""The guide, as its reader plays it, and what its lists show in detail."""

import hashlib
import re

from units import sleeper

from fleetlab.play import METADATA, play

MACHINE = re.compile(r"^[0-9a-f]{8}\.\.\./172\.\d+\.1\.[123]$")


def put_file(lab, name, text):
    lab.machine(1).run("sh", "-c", f"cat >'/root/{name}'", input=text)


def rows(fleet, *argv):
    """A list's header and lines, cells parted as on the screen: by tabs."""
    lines = [re.split(r"\t+", line) for line in fleet.ctl(*argv).stdout.splitlines()]
    return lines[0], lines[1:]


def test_the_guide_plays(fleet, lab):
    play(lab)


def test_list_machines_shows_addresses_and_sorted_metadata(fleet, lab):
    header, lines = rows(fleet, "list-machines")
    assert header == ["MACHINE", "IP", "METADATA"]
    wanted = [[f"{m.id[:8]}...", m.address, ",".join(f"{k}={v}" for k, v in sorted(METADATA[m.number].items()))]
              for m in lab.machines()]
    assert sorted(lines) == sorted(wanted)
    assert [line[0] for line in lines] == sorted(line[0] for line in lines), "not in the order of machine ids"
    full = fleet.table("list-machines", "--full")
    assert {row["MACHINE"] for row in full} == {m.id for m in lab.machines()}


def test_lists_show_standard_and_global_units_as_the_guide_does(fleet, lab):
    standard, everywhere = sleeper(), sleeper("Global=true")
    put_file(lab, "standard-unit.service", standard)
    put_file(lab, "global-unit.service", everywhere)
    fleet.ctl("start", "/root/standard-unit.service", "/root/global-unit.service")
    fleet.wait_running("standard-unit.service")

    header, lines = rows(fleet, "list-units")
    assert header == ["UNIT", "MACHINE", "ACTIVE", "SUB"]
    assert [line[0] for line in lines] == ["global-unit.service"] * 3 + ["standard-unit.service"]
    assert all(MACHINE.match(line[1]) for line in lines), lines
    assert len({line[1] for line in lines[:3]}) == 3
    assert all(line[2:] == ["active", "running"] for line in lines), lines

    # The guide shows the columns of the releases before 1.0, which are still there. 1.0's own come first.
    header, lines = rows(fleet, "list-unit-files")
    assert header == ["UNIT", "HASH", "DSTATE", "STATE", "TARGET"]
    assert lines[0][2:] == ["launched", "-", "global"]
    header, lines = rows(fleet, "list-unit-files", "--fields=unit,hash,dstate,state,tmachine")
    assert header == ["UNIT", "HASH", "DSTATE", "STATE", "TMACHINE"]
    short = lambda text: hashlib.sha1(text.encode()).hexdigest()[:7]
    assert lines[0] == ["global-unit.service", short(everywhere), "launched", "-", "3 of 3"]
    assert lines[1][:4] == ["standard-unit.service", short(standard), "launched", "launched"]
    assert MACHINE.match(lines[1][4]), lines
    assert fleet.ctl("cat", "standard-unit.service").stdout == standard


def test_a_unit_goes_through_its_states_one_command_each(fleet, lab):
    put_file(lab, "steps.service", sleeper())

    def unit():
        found = fleet.table("list-unit-files")
        return (found[0]["DSTATE"], found[0]["STATE"]) if found else None
    fleet.ctl("submit", "/root/steps.service")
    assert unit() == ("inactive", "inactive")
    fleet.ctl("load", "steps.service")
    assert unit() == ("loaded", "loaded")
    assert list(fleet.places("steps.service").values()) == ["inactive/dead"]
    started = fleet.ctl("start", "steps.service").stdout
    assert re.search(r"Unit steps\.service launched on [0-9a-f]{8}\.\.\./172\.\d+\.1\.[123]", started), started
    assert unit() == ("launched", "launched")
    assert list(fleet.places("steps.service").values()) == ["active/running"]
    fleet.ctl("stop", "steps.service")
    assert unit() == ("loaded", "loaded")
    assert list(fleet.places("steps.service").values()) == ["inactive/dead"]
    fleet.ctl("unload", "steps.service")
    assert unit() == ("inactive", "inactive")
    assert fleet.places("steps.service") == {}
    fleet.ctl("destroy", "steps.service")
    assert unit() is None


def test_every_machine_answers_the_same(fleet, lab):
    put_file(lab, "same.service", sleeper())
    fleet.ctl("start", "/root/same.service")
    fleet.wait_running("same.service")
    assert len({lab.machine(k).run("fleetctl", "list-unit-files").stdout for k in (1, 2, 3)}) == 1


def test_a_template_serves_any_instance(fleet, lab):
    put_file(lab, "worker@.service", "[Service]\nExecStart=/bin/sleep %i\n")
    fleet.ctl("submit", "/root/worker@.service")
    fleet.ctl("start", "worker@1001", "worker@1002")
    places = fleet.wait_running("worker@1001.service", "worker@1002.service")
    machine = lab.machine(places["worker@1001.service"])
    assert machine.run("pgrep", "-f", "sleep 1001").stdout
