"""The documents' commands: taken out of the Markdown, run on a lab's machines, their output compared.

What a fenced block is, its first line says:

    ```console [machine-N]... commands and their output, on that machine (machine-1 if none is named), or each on several
    ```KIND NAME              a file on machine 1, which is written: NAME in core's home directory, or /NAME by root

In a console block `$ ` begins a command of the user core, who is in the group fleet, and `# ` one of root, both in core's home
directory; lines that begin with `> ` continue it. What follows, up to the next command, is what it prints, on stdout and
stderr. There `...` stands for anything within a line, and a line that is only `...` for any number of lines. Every command
must end with exit status 0. One that only looks is repeated until it shows what the document says, as a reader would.

    <!-- lab: kill 3 -->      what happens to a machine or to etcd meanwhile: see Player.lab_does

There is no other kind of block: none without a kind, and none that is merely indented. What is not run at all is listed by
the caller.
"""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from fleetlab.host import LabError, remove_tree, wait_for

USER = "core"
HOME = "/home/core"
PATIENCE = 30  # Seconds for a look to show what it is to show.

# What systemctl says when it has stopped the service and systemd is not yet done with stopping the socket, as fleet.socket
# (PartOf=) has it: now and then, and never true.
SOCKET_WARNING = "Warning: Stopping fleet.service, but it can still be activated by:\n  fleet.socket\n"

# Commands that change nothing, and may be repeated.
LOOK = re.compile(r"(ETCDCTL_API=3 )?(fleetctl (list-|status|cat|info|journal)|curl (?![\s\S]*(-X|--request|-d|--data))-s|journalctl|"
                  r"systemctl (is-active|show|status)|etcdctl (--\S+ |\\\n)*(get|endpoint|member list)|cat|ls|test)\b")
FENCE = re.compile(r"^```(.*)$")
COMMENT = re.compile(r"^<!-- lab: (.*) -->$")


class DocumentError(Exception):
    """A document has something that the runner does not know, or that is not so."""


@dataclass
class Command:
    line: int  # In the document, from 1.
    text: str
    root: bool
    machines: list
    expected: list = field(default_factory=list)
    output_line: int = 0  # Where the output begins.


@dataclass
class File:
    line: int
    name: str
    text: str


@dataclass
class LabDeed:
    line: int
    words: list


def parse(text, not_run=()):
    """The steps of a document, in order, without the blocks whose first lines are in not_run. Raises DocumentError for a
    block of no known kind, and for one that is not run and not there."""
    not_run = set(not_run)
    steps, lines, i = [], text.splitlines(), 0
    while i < len(lines):
        fence, comment = FENCE.match(lines[i]), COMMENT.match(lines[i])
        if comment:
            steps.append(LabDeed(i + 1, comment[1].split()))
        if lines[i].startswith("    ") and (i == 0 or not lines[i - 1].strip()):
            raise DocumentError(f"line {i + 1}: an indented block: fence it, and say what it is")
        if not fence:
            i += 1
            continue
        end = next((j for j in range(i + 1, len(lines)) if lines[j] == "```"), None)
        if end is None:
            raise DocumentError(f"line {i + 1}: the block has no end")
        kind, _, name = fence[1].partition(" ")
        if lines[i + 1] in not_run:
            not_run.remove(lines[i + 1])
        elif kind == "console":
            steps += _commands(lines, i + 1, end, _machines(name.split(), i + 1))
        elif kind and name:
            steps.append(File(i + 1, name, "\n".join(lines[i + 1:end]) + "\n"))
        else:
            raise DocumentError(f"line {i + 1}: {fence[1] or 'a block without a kind'!r}: neither console nor a file with a name")
        i = end + 1
    if not_run:
        raise DocumentError(f"no block begins with {not_run.pop()!r}, which is not to be run")
    return steps


def _machines(names, line):
    for name in names:
        if not re.fullmatch(r"machine-[1-9]", name):
            raise DocumentError(f"line {line}: {name!r} is no machine")
    return [int(name[-1]) for name in names] or [1]


def _commands(lines, begin, end, machines):
    found = []
    for i in range(begin, end):
        line = lines[i]
        if line.startswith(("$ ", "# ")):
            found.append(Command(i + 1, line[2:], line[0] == "#", machines, output_line=i + 1))
        elif not found:
            raise DocumentError(f"line {i + 1}: a console block begins with a command: '$ ' or '# '")
        elif line.startswith("> ") and not found[-1].expected:
            found[-1].text += "\n" + line[2:]
            found[-1].output_line = i + 1
        else:
            found[-1].expected.append(line)
    return found


def matches(expected, actual):
    """Whether the lines of an output are those expected, with `...` as above. Blanks at ends, and tabs for blanks, do not
    matter."""
    expected, actual = [[line.expandtabs(8).rstrip() for line in lines] for lines in (expected, actual)]
    if not expected:
        return not actual
    if expected[0] == "...":
        return any(matches(expected[1:], actual[i:]) for i in range(len(actual) + 1))
    if not actual:
        return False
    pattern = ".*".join(re.escape(part) for part in expected[0].split("..."))
    return re.fullmatch(pattern, actual[0]) is not None and matches(expected[1:], actual[1:])


class Player:
    """Plays documents in a lab."""

    def __init__(self, lab):
        self.lab = lab

    def play(self, path, not_run=(), update=False):
        """Runs all of a document but the blocks that begin with the lines not_run. Raises AssertionError at the first
        command that does not do what the document says; with `update` its output is written anew instead."""
        steps = parse(path.read_text(), not_run)
        if not update:
            return self._play(path, steps, lambda command, actual: False)
        lines, shift = path.read_text().splitlines(), 0

        def rewrite(command, actual):
            nonlocal shift
            at = command.output_line + shift
            lines[at:at + len(command.expected)] = [line.expandtabs(8).rstrip() for line in actual]
            shift += len(actual) - len(command.expected)
            return True
        try:
            self._play(path, steps, rewrite)
        finally:
            path.write_text("\n".join(lines) + "\n")

    def _play(self, path, steps, rewrite):
        for step in steps:
            where = f"{path.name}:{step.line}"
            if isinstance(step, File):
                self.write(step)
            elif isinstance(step, LabDeed):
                self.lab_does(step.words, where)
            else:
                for machine in step.machines:
                    self.run(step, machine, where, rewrite)

    def write(self, file):
        owner = "root" if file.name.startswith("/") else USER
        path = file.name if file.name.startswith("/") else f"{HOME}/{file.name}"
        self.lab.machine(1).run("install", "-D", "-m", "644", "-o", owner, "-g", owner, "/dev/stdin", path,
                                input=self.here(file.text))

    def lab_does(self, words, where):
        deeds = {"kill": lambda k: self.lab.machine(int(k)).kill(), "cut": lambda k: self.lab.machine(int(k)).cut(),
                 "rejoin": lambda k: self.lab.machine(int(k)).rejoin(), "boot": self._boot,
                 "etcd": lambda what: getattr(self.lab.etcd, what)(), "restore": self._restore}
        if not words or words[0] not in deeds:
            raise DocumentError(f"{where}: the lab cannot {' '.join(words)!r}")
        deeds[words[0]](*words[1:])

    def _restore(self, snapshot):
        """etcd's data becomes that of a snapshot, which lies in core's home directory on machine 1."""
        etcd, [member] = self.lab.etcd, self.lab.etcd.members
        etcd.stop()
        remove_tree(member.data)
        etcd.ctl("snapshot", "restore", self.lab.machine(1).root / HOME[1:] / snapshot, f"--data-dir={member.data}",
                 f"--name={member.name}", f"--initial-cluster={member.name}={member.peer_url}",
                 f"--initial-advertise-peer-urls={member.peer_url}")
        etcd.start()

    def _boot(self, number):
        self.lab.machine(int(number)).power_on()
        self.lab.machine(int(number)).wait_booted()

    def run(self, command, machine, where, rewrite):
        """Runs a command as the document has it, and a look until it shows what is expected."""
        last = []

        def done():
            last[:] = self._run_once(command, machine)
            return last[0] == 0 and matches(command.expected, last[1])
        try:
            wait_for(where, done, PATIENCE if LOOK.match(command.text) and command.expected else 0)
        except LabError:
            if last[0] == 0 and rewrite(command, last[1]):
                return
            shown, wanted = "\n".join(last[1]), "\n".join(command.expected)
            raise AssertionError(f"{where}: {command.text}\non machine {machine}: exit status {last[0]}, and printed:\n{shown}\n"
                                 f"the document says:\n{wanted}") from None

    def _run_once(self, command, machine):
        user = "root" if command.root else USER
        # As in a shell after a login: nothing of the lab's own environment.
        argv = self.lab.machine(machine).command(
            "env", "-u", "ETCDCTL_API", "-u", "ETCDCTL_ENDPOINTS", "-C", HOME, "setpriv", f"--reuid={user}",
            f"--regid={user}", "--init-groups", "env", f"HOME={'/root' if command.root else HOME}", f"USER={user}",
            "TERM=dumb", "bash", "-c", self.here(command.text))
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=120)
        except subprocess.TimeoutExpired:
            return -1, ["(still running after 120 s)"]
        return done.returncode, self.there(done.stdout.decode(errors="replace")).splitlines()

    # Documents say 172.18: the lab may have another network.
    def here(self, text):
        return text.replace("172.18.", f"{self.lab.network}.")

    def there(self, text):
        return text.replace(f"{self.lab.network}.", "172.18.").replace(SOCKET_WARNING, "")
