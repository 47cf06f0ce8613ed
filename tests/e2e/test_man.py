"""The man pages: sound, and of one mind with the program and the README, which parts of them are made from.

Between `.\\" BEGIN commands` and `.\\" END` stands what `fleetctl help` says, of the keys of fleet.conf what the README's table
says. With FLEET_UPDATE_GOLDEN=1 in the environment these parts are written anew instead of compared.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import REPO

FLEETCTL = Path(os.environ.get("FLEET_BIN") or REPO / "build/release/bin").resolve() / "fleetctl"
MAN = REPO / "docs" / "man"
README = (REPO / "README.md").read_text()
CONFIG = (REPO / "src/fleetd/config.cc").read_text()


def escaped(text):
    """A line of text for mdoc, in which sentences begin on new lines."""
    text = re.sub(r"(?<=[.?!]) (?=[A-Z])", "\n", text)
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def markdown(text):
    return escaped(re.sub(r"`([^`]*)`", r"\1", text).replace("\\|", "|"))


# --- fleetctl(1) ----------------------------------------------------------------------------------------------------

def usage(*command):
    """{title of a block: its lines} of `fleetctl help COMMAND`."""
    text = subprocess.run([FLEETCTL, "help", *command], text=True, capture_output=True, check=True).stdout
    blocks, lines = {}, []
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z ]+:", line):
            lines = blocks[line[:-1]] = []
        else:
            lines.append(line.removeprefix("\t"))
    return {title: "\n".join(lines).strip("\n").splitlines() for title, lines in blocks.items()}


def options(lines):
    for line in (line for line in lines if line.startswith("  ")):
        short, name, value, text = re.fullmatch(r"  (?:-(\w), |    )--(\S+)(?: (\w+))?  +(.*)", line).groups()
        flags = (f"Fl {short} , " if short else "") + f"Fl \\-{escaped(name)}"
        yield f".It {flags}" + (f" Ar {value}" if value else "")
        yield escaped(text)


def description(lines):
    """Paragraphs; lines that are commands are shown as such."""
    for line in lines:
        if line.startswith("fleetctl "):
            yield f".Dl {escaped(line)}"
        else:
            yield escaped(line) if line.strip() else ".Pp"


def option_list(lines):
    return [".Bl -tag -width Ds", *options(lines), ".El"]


def commands():
    listed = usage()["COMMANDS"]
    yield ".Sh COMMANDS"
    for name in (line.split("\t")[0] for line in listed if line and "\t" in line):
        if name in ("help", "version", "verify"):
            continue
        of = usage(name)
        yield f".Ss {escaped(of['USAGE'][0])}"
        yield from description(of["DESCRIPTION"])
        if "OPTIONS" in of:
            yield from option_list(of["OPTIONS"])


# --- fleet.conf(5) --------------------------------------------------------------------------------------------------

def keys():
    """[(names, whether they are taken at a reload, default, text)] of the README's table."""
    table = README[README.index("| key | default | |"):README.index("Accepted from fleet 1.0")]
    for line in table.splitlines()[2:]:
        if line.startswith("|"):
            names, default, text = re.split(r"(?<!\\)\|", line)[1:4]
            yield re.findall(r"`(\w+)`", names), "↻" in names, default.strip(), text.strip()


def key_list():
    for names, at_once, default, text in keys():
        yield ".It " + " , ".join(f"Cm {name}" for name in names) + (" Pq Sy at once" if at_once else "")
        said = [markdown(text[0].upper() + text[1:]) + "."] if text else []
        if default and default != "none":
            said.append(f"Default: {markdown(default)}.")
        yield from said


def retired():
    return re.findall(r"`(\w+)`", README[README.index("Accepted from fleet 1.0"):])


PARTS = {
    "fleetctl.1": {"commands": lambda: list(commands()), "global options": lambda: option_list(usage()["GLOBAL OPTIONS"])},
    "fleet.conf.5": {"keys": lambda: list(key_list()), "retired keys": lambda: [f"{', '.join(retired())}."]},
}


@pytest.mark.parametrize("page", PARTS)
def test_a_page_says_what_the_program_says(page):
    file = MAN / page
    was = text = file.read_text()
    for name, lines in PARTS[page].items():
        begin, end = f'.\\" BEGIN {name}\n', '.\\" END'
        at = text.index(begin) + len(begin)
        text = text[:at] + "".join(line + "\n" for line in lines()) + text[text.index(end, at):]
    if "FLEET_UPDATE_GOLDEN" in os.environ:
        file.write_text(text)
    else:
        assert was == text, "FLEET_UPDATE_GOLDEN=1 writes it anew"


@pytest.mark.parametrize("page", sorted(MAN.glob("*.[1-8]")), ids=lambda page: page.name)
def test_a_page_is_sound(page):
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], text=True, capture_output=True)
    assert lint.stdout + lint.stderr == ""
    shown = subprocess.run(["man", "-l", "--warnings", "-E", "UTF-8", page], text=True, capture_output=True,
                           env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
    assert shown.returncode == 0 and shown.stderr == ""
    assert "NAME" in shown.stdout and not re.search(r"[^-]@[A-Z]+@", shown.stdout)


def test_the_readme_has_the_keys_that_fleetd_has():
    table = CONFIG[CONFIG.index("keys() {"):]
    known = {name: "at_once" in rest for name, rest in
             re.findall(r'\{"(\w+)",\s*((?:integer_key|parsed_key|text_key|key_of)\(.*?\)\})', table, re.DOTALL)}
    assert len(known) > 10
    assert {name: at_once for names, at_once, _, _ in keys() for name in names} == known
    old = CONFIG[CONFIG.index("retired() {"):]
    assert sorted(retired()) == sorted(re.findall(r'\{"(\w+)", \{"', old))


def test_the_readme_has_the_defaults_that_fleetd_has():
    header = (REPO / "src/fleetd/config.h").read_text()
    written = {"1.0": "1000", "30s": "30"}  # In the member's own unit.
    for names, _, default, _ in keys():
        value = default.strip("`")
        if default.startswith("`"):
            assert re.search(rf'\b{names[0]}(?: = |\{{)"?{re.escape(written.get(value, value))}"?[;}}]', header), names


def test_the_options_of_unit_files_are_told_everywhere():
    source = (REPO / "src/unit/requirements.cc").read_text()
    names = {name for name in re.findall(r'^    "(\w+)",$', source, re.MULTILINE)}
    assert len(names) == 6
    assert names == set(re.findall(r"^\| `(\w+)=", README, re.MULTILINE))
    assert names == set(re.findall(r"^\.It Cm (\w+)=", (MAN / "fleet.unit.5").read_text(), re.MULTILINE))
    headings = re.findall(r"^## (\w+): ", (REPO / "docs/units.md").read_text(), re.MULTILINE)
    assert names == set(headings)
