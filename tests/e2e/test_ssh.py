"""fleetctl over ssh: journal, status, ssh, fd-forward and --tunnel against a real sshd, and without one where none is
needed. fleetctl runs on machine 1; here.service is there too, there.service on machine 2; machine 3 is the tunnel host."""

import shlex
import signal
import subprocess

import pytest
from terminal import Terminal
from units import options

from fleetlab.fleet import Fleet
from fleetlab.host import wait_for

KNOWN_HOSTS = "/root/.fleetctl/known_hosts"
UNCHECKED = "--strict-host-key-checking=false"


def talker(number):
    return f"[Service]\nExecStart=/bin/sh -c 'echo hello from {number}; exec sleep infinity'\n"


@pytest.fixture
def cluster(lab, request):
    """The fleet with the units of these tests, running as they should; put right only if they do not."""
    fleet = Fleet(lab, via=1)
    wanted = {"here.service": {1: "active/running"}, "there.service": {2: "active/running"},
              "everywhere.service": {k: "active/running" for k in (1, 2, 3)}}

    def as_wanted():
        return all(fleet.places(unit) == places for unit, places in wanted.items())
    if not all(m.running() for m in lab.machines()) or fleet.ctl("list-units", check=False).returncode != 0 \
            or not as_wanted():
        fleet = request.getfixturevalue("fleet")
        ids = {k: lab.machine(k).id for k in (1, 2, 3)}
        for name, text in (("here", talker(1) + f"[X-Fleet]\nMachineID={ids[1]}\n"),
                           ("there", talker(2) + f"[X-Fleet]\nMachineID={ids[2]}\n"),
                           ("everywhere", talker("all") + "[X-Fleet]\nGlobal=true\n"),
                           ("nowhere", talker("none") + "[X-Fleet]\nMachineMetadata=region=mars\n")):
            status, body = fleet.api("PUT", f"/units/{name}.service", {
                "name": f"{name}.service", "desiredState": "launched", "options": options(text)})
            assert status == 201, body
        wait_for("the units to run", as_wanted, 20, lambda: fleet.ctl("list-units").stdout)
    return fleet


@pytest.fixture
def ctl(cluster, lab):
    """Calls fleetctl on machine 1, where no known host is known yet. No call may leave a process behind, anywhere."""
    lab.machine(1).run("rm", "-rf", "/root/.fleetctl")

    def call(*argv, **how):
        # Not to wait long for the answer of a name server that is not there.
        return lab.machine(1).run("env", "RES_OPTIONS=timeout:1 attempts:1", "fleetctl", *argv, check=False, **how)
    yield call
    none_left(lab)


def processes(lab):
    """What fleetctl could have left, on all machines. A session of sshd that has ended takes a moment to go."""
    found = []
    for machine in lab.machines():
        if machine.running():
            listed = machine.run("ps", "-e", "-o", "comm=,args=").stdout.splitlines()
            found += [f"{machine.name}: {line}" for line in listed
                      if line.split()[0] in ("ssh", "fleetctl", "journalctl", "systemctl") or "sshd: core" in line]
    return found


def none_left(lab):
    wait_for("fleetctl's processes to be gone", lambda: not processes(lab), 10, lambda: processes(lab))


def know(lab, *numbers, text=None):
    """Enters machines in the known-hosts file of machine 1."""
    lines = text or "".join(f"{lab.machine(k).address} {lab.machine(k).host_key}\n" for k in numbers)
    lab.machine(1).run("sh", "-c", f"mkdir -p -m 700 /root/.fleetctl && cat >{KNOWN_HOSTS}", input=lines)


def on_terminal(lab, *argv):
    return Terminal(lab.machine(1).command("fleetctl", *argv))


# --- which machine ------------------------------------------------------------------------------------------------


def test_a_command_by_machine_and_by_unit(ctl, lab):
    know(lab, 1, 2, 3)
    there = lab.machine(2)
    for target in ([there.id[:6]], [there.id], ["--machine", there.id[:6]], ["there"], ["there.service"],
                   ["--unit", "there"]):
        done = ctl("ssh", *target, "hostname; exit 7")
        assert (done.returncode, done.stdout, done.stderr) == (7, "machine-2\n", ""), target


def test_words_of_a_command_are_joined_and_its_options_follow_two_dashes(ctl, lab):
    know(lab, 2)
    assert ctl("ssh", "there", "--", "echo", "-n", "a   b", "$((6*7))").stdout == "a b 42"
    refused = ctl("ssh", "there", "ls", "-l")
    assert refused.returncode != 0 and "-l" in refused.stderr


def test_a_command_reads_fleetctls_stdin_and_journal_does_not(ctl, lab):
    know(lab, 2)
    assert ctl("ssh", "there", "cat", input="some text\n").stdout == "some text\n"
    # As in a shell's `while read unit; do fleetctl journal $unit; done`.
    script = "fleetctl journal there >/dev/null; fleetctl status there >/dev/null; cat"
    assert lab.machine(1).run("sh", "-c", script, input="left over\n").stdout == "left over\n"


def test_a_command_that_a_signal_ended(ctl, lab):
    know(lab, 2)
    done = ctl("ssh", "there", "kill -TERM $$")
    assert done.returncode == 255 and "signal" in done.stderr
    # Where the shell there sees it, its status tells which.
    assert ctl("ssh", "there", "sh -c 'kill -TERM $$'; exit $?").returncode == 128 + signal.SIGTERM


def test_what_names_no_machine_or_too_many(ctl, lab):
    cases = [
        (["ssh", "nothing", "true"], "could not find matching unit or machine"),
        (["ssh", "--unit", "nothing", "true"], "nothing.service"),
        (["ssh", "--machine", "ffffffff", "true"], "ffffffff"),
        (["ssh", "--machine", lab.machine(1).id, "--unit", "there", "true"], "not both"),
        (["ssh", "everywhere", "true"], "global"),
        (["ssh", "nowhere", "true"], "on no machine"),
        (["ssh"], "one machine or unit must be provided"),
        (["journal", "nothing"], "does not exist"),
        (["journal", "everywhere"], "Unable to retrieve journal of global unit everywhere.service"),
        (["journal", "nowhere"], "does not appear to be running"),
        (["journal"], "One unit file must be provided"),
        (["status", "nothing"], "does not exist"),
        (["status", "nowhere"], "does not appear to be loaded"),
    ]
    for argv, said in cases:
        done = ctl(*argv)
        assert done.returncode == 1 and said in done.stderr, (argv, done)


def test_a_unit_that_is_called_like_a_machine_is_ambiguous(ctl, cluster, lab):
    know(lab, 1, 2)
    name = lab.machine(2).id[:5]
    unit = f"{name}.service"
    try:
        status, body = cluster.api("PUT", f"/units/{unit}", {
            "name": unit, "desiredState": "launched",
            "options": options(talker(1) + f"[X-Fleet]\nMachineID={lab.machine(1).id}\n")})
        assert status == 201, body
        wait_for(f"{unit} to run", lambda: cluster.place(unit) == 1, 20)
        done = ctl("ssh", name, "hostname")
        assert done.returncode == 1 and "--unit or --machine" in done.stderr
        assert ctl("ssh", "--unit", name, "hostname").stdout == "machine-1\n"
        assert ctl("ssh", "--machine", name, "hostname").stdout == "machine-2\n"
    finally:
        cluster.api("DELETE", f"/units/{unit}")
        wait_for(f"{unit} to be gone", lambda: not cluster.places(unit), 20)


# --- journal and status -------------------------------------------------------------------------------------------


def last_line(lab, number, unit):
    """The unit's own line or systemd's about its start: which of them is the last is chance."""
    lines = lab.machine(number).run("journalctl", "-u", unit, "--output=cat", "--lines=1").stdout
    assert lines in (f"hello from {number}\n", f"Started {unit}.service.\n"), lines
    return lines


def test_journal_and_status_of_another_machine(ctl, lab):
    know(lab, 2)
    journal = ctl("journal", "there")
    assert journal.returncode == 0 and "hello from 2" in journal.stdout and journal.stderr == ""
    last = last_line(lab, 2, "there")
    assert ctl("journal", "--lines", "1", "--output=cat", "there").stdout == last
    assert ctl("journal", "--sudo", "--lines=1", "--output", "cat", "there").stdout == last
    status = ctl("status", "there")
    assert status.returncode == 0 and status.stderr == ""
    facts, _, systemds = status.stdout.partition("\n\n")
    assert "Desired: launched" in facts
    # systemctl shows the lines that journald knew to be of this start of the unit: at least systemd's own.
    assert "Active: active (running)" in systemds and "Started there.service" in systemds


def test_on_this_machine_no_ssh_is_needed(ctl, lab):
    # A $PATH without ssh shows it; and with it nothing else could be reached.
    lab.machine(1).run("sh", "-c", "mkdir -p /run/no-ssh && ln -sf /usr/bin/systemctl /usr/bin/journalctl /run/no-ssh/")

    def without_ssh(*argv):
        return lab.machine(1).run("env", "PATH=/run/no-ssh", "/usr/bin/fleetctl", *argv, check=False)
    assert without_ssh("journal", "--output=cat", "--lines=1", "here").stdout == last_line(lab, 1, "here")
    status = without_ssh("status", "here")
    assert status.returncode == 0 and "Active: active (running)" in status.stdout
    for argv, code in ((["journal", "there"], 255), (["status", "there"], 255), (["ssh", "there", "true"], 1),
                       (["ssh", "here", "true"], 1), (["--tunnel", lab.machine(3).address, "list-units"], 1)):
        done = without_ssh(*argv)
        assert done.returncode == code and "cannot run ssh" in done.stderr and "openssh-client" in done.stderr, done


def test_status_stops_at_the_first_unit_that_is_not_active(ctl, cluster, lab):
    know(lab, 2)
    lab.machine(2).run("systemctl", "stop", "there.service")
    try:
        done = ctl("status", "here", "there", "here")
        assert done.returncode == 3
        assert done.stdout.startswith("here.service\n") and "\n\nthere.service\n" in done.stdout
        assert done.stdout.count("Desired: launched") == 2 and done.stdout.count("Active: inactive (dead)") == 1
    finally:
        lab.machine(2).run("systemctl", "start", "there.service")
        wait_for("there.service to run again", lambda: cluster.place("there.service") == 2, 20)


def test_status_of_a_global_unit_says_what_the_cluster_knows(ctl):
    # section 8, row 49
    done = ctl("status", "everywhere")
    assert done.returncode == 0 and "running on 3 of 3 machines" in done.stdout


def test_the_journals_follower_ends_on_an_interrupt(ctl, lab):
    know(lab, 2)
    for unit, number in (("here", 1), ("there", 2)):
        follower = subprocess.Popen(lab.machine(1).command("fleetctl", "journal", "-f", "--output=cat", unit),
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            while follower.stdout.readline() != f"hello from {number}\n":
                assert follower.poll() is None
            lab.machine(1).run("pkill", "-INT", "-x", "fleetctl")
            assert follower.wait(timeout=10) != 0
        finally:
            follower.kill()
            follower.stdout.close()
        none_left(lab)
    # With the local one the terminal interrupts all, the way into the machine too. To machine 2 the interrupt goes as a
    # key, and journalctl ends by it there, for which ssh has no better status.
    for unit, ends in (("here", (-signal.SIGINT, 128 + signal.SIGINT)), ("there", (255,))):
        with on_terminal(lab, "journal", "-f", unit) as terminal:
            terminal.wait_for("hello from")
            terminal.type("\x03")
            assert terminal.end()[0] in ends
        none_left(lab)


def test_a_fleetctl_that_is_killed_leaves_nothing(ctl, lab):
    know(lab, 2, 3)
    for argv in (["journal", "-f", "there"], ["--tunnel", lab.machine(3).address, "journal", "-f", "there"]):
        follower = subprocess.Popen(lab.machine(1).command("fleetctl", *argv), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, text=True)
        try:
            assert follower.stdout.readline()
            lab.machine(1).run("pkill", "-KILL", "-x", "fleetctl")
            follower.wait(timeout=10)
        finally:
            follower.kill()
            follower.stdout.close()
        none_left(lab)


def test_a_fleetctl_that_waits_through_a_tunnel_ends_on_a_signal(ctl, cluster, lab):
    know(lab, 3)
    for name in ("INT", "TERM"):
        unit = f"waits-{name}.service"
        status, body = cluster.api("PUT", f"/units/{unit}", {
            "name": unit, "desiredState": "inactive",
            "options": options(talker("none") + "[X-Fleet]\nMachineMetadata=region=mars\n")})
        assert status == 201, body
        waits = subprocess.Popen(lab.machine(1).command("fleetctl", "--tunnel", lab.machine(3).address, "start", unit),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            assert "Waiting for unit" in waits.stdout.readline()
            lab.machine(1).run("pkill", f"-{name}", "-x", "fleetctl")
            assert waits.wait(timeout=10) != 0
        finally:
            waits.kill()
            waits.stdout.close()
            cluster.api("DELETE", f"/units/{unit}")
        none_left(lab)


# --- a person at a terminal ---------------------------------------------------------------------------------------


def test_a_login_shell(ctl, lab):
    know(lab, 2)
    with on_terminal(lab, "ssh", "there") as terminal:
        terminal.wait_for("$ ")
        terminal.type("echo $TERM $((6 * 7))\n")
        terminal.wait_for(" 42\r\n")
        terminal.type("exit 5\n")
        assert terminal.end()[0] == 0  # As in 1.0: whatever the shell's last status was.
    with on_terminal(lab, "ssh", "there", "tty; exit 6") as terminal:
        terminal.wait_for("/dev/pts/")
        assert terminal.end()[0] == 6


def test_the_question_about_an_unknown_host(ctl, lab):
    there = lab.machine(2)
    with on_terminal(lab, "ssh", "there", "echo nothing ran") as terminal:
        terminal.wait_for(f"The authenticity of host '{there.address} ({there.address})' can't be established.")
        terminal.wait_for("ED25519 key fingerprint is SHA256:")
        terminal.wait_for("(yes/no/[fingerprint])? ")
        terminal.type("no\n")
        code, rest = terminal.end()
        assert code == 1 and "Host key verification failed." in rest and "Failed building SSH client" in rest
        assert "nothing ran\r\n" not in rest
    assert lab.machine(1).run("test", "-e", KNOWN_HOSTS, check=False).returncode == 1

    with on_terminal(lab, "ssh", "there", "hostname") as terminal:
        terminal.wait_for("(yes/no/[fingerprint])? ")
        terminal.type("yes\n")
        terminal.wait_for(f"Warning: Permanently added '{there.address}' (ED25519) to the list of known hosts.")
        terminal.wait_for("machine-2")
        assert terminal.end()[0] == 0
    kept = lab.machine(1).run("cat", KNOWN_HOSTS).stdout
    assert kept == f"{there.address} {there.host_key}\n"
    modes = lab.machine(1).run("stat", "--format=%a", "/root/.fleetctl", KNOWN_HOSTS).stdout.split()
    assert modes == ["700", "644"]

    # Known now: no question, with or without a terminal.
    assert ctl("ssh", "there", "hostname").stdout == "machine-2\n"
    with on_terminal(lab, "ssh", "there", "hostname") as terminal:
        assert terminal.end()[1].splitlines()[0] == "machine-2"


# --- host keys ----------------------------------------------------------------------------------------------------


def test_an_unknown_host_is_refused_where_nobody_can_be_asked(ctl, lab):
    for argv, code, said in ((["ssh", "there", "hostname"], 1, "Failed building SSH client: "),
                             (["journal", "there"], 255, "Unable to SSH to remote host: "),
                             (["--tunnel", lab.machine(3).address, "list-units"], 1, "Error retrieving list of units")):
        done = ctl(*argv)
        assert done.returncode == code and done.stdout == "", done
        assert "Host key verification failed." in done.stderr and said in done.stderr
        assert f"a host that is not in {KNOWN_HOSTS} yet is accepted on a terminal only" in done.stderr
    assert lab.machine(1).run("test", "-e", KNOWN_HOSTS, check=False).returncode == 1


def test_files_of_1_0_serve_on(ctl, lab):
    """Patterns, several hosts a line, comments, several keys for a host."""
    one, there = lab.machine(1), lab.machine(2)
    network = there.address.rpartition(".")[0]
    for text in (f"# a comment\n\n{there.address},elsewhere {one.host_key}\n{there.address} {there.host_key}\n",
                 f"{network}.* {there.host_key}\n", f"{network}.? {there.host_key}\n"):
        know(lab, text=text)
        assert ctl("ssh", "there", "hostname").stdout == "machine-2\n", text
    know(lab, text=f"!{there.address},{network}.* {there.host_key}\n")
    assert "Host key verification failed." in ctl("ssh", "there", "hostname").stderr
    lab.machine(1).run("mv", KNOWN_HOSTS, "/root/a file")
    know(lab, text="")
    lab.machine(1).run("sh", "-c", f"echo '{there.address} {there.host_key}' >'/root/a file'")
    assert ctl("--known-hosts-file", "~/a file", "ssh", "there", "hostname").stdout == "machine-2\n"
    assert ctl("--known-hosts-file", "~root/a file", "ssh", "there", "hostname").stdout == "machine-2\n"


def test_a_changed_host_key_is_refused(ctl, lab):
    know(lab, 1, 2, 3)
    there = lab.machine(2)
    there.make_host_key()
    for argv, code in ((["ssh", "there", "echo nothing ran"], 1), (["journal", "there"], 255), (["status", "there"], 255),
                       (["--tunnel", there.address, "list-units"], 1)):
        done = ctl(*argv)
        assert done.returncode == code, done
        assert "REMOTE HOST IDENTIFICATION HAS CHANGED!" in done.stderr and KNOWN_HOSTS in done.stderr
        assert "hello" not in done.stdout and "nothing ran" not in done.stdout and "MACHINE" not in done.stdout
    with on_terminal(lab, "ssh", "there", "echo nothing ran") as terminal:
        code, said = terminal.end()  # On a terminal it is no question either.
        assert code == 1 and "REMOTE HOST IDENTIFICATION HAS CHANGED!" in said and "nothing ran\r\n" not in said


def test_a_host_that_is_known_by_another_type_of_key_is_refused(ctl, lab):
    one = lab.machine(1)
    one.run("sh", "-c", "rm -f /run/other*; ssh-keygen -q -t ecdsa -N '' -f /run/other")
    other = " ".join(one.run("cat", "/run/other.pub").stdout.split()[:2])
    know(lab, text=f"{lab.machine(2).address} {other}\n")
    with on_terminal(lab, "ssh", "there", "hostname") as terminal:
        code, said = terminal.end()
        assert code == 1 and "REMOTE HOST IDENTIFICATION HAS CHANGED!" in said


def test_without_checks_nothing_is_asked_and_no_file_made(ctl, lab):
    know(lab, text=f"{lab.machine(2).address} {lab.machine(1).host_key}\n")  # a wrong one
    done = ctl(UNCHECKED, "ssh", "there", "hostname")
    assert (done.returncode, done.stdout, done.stderr) == (0, "machine-2\n", "")
    assert ctl(UNCHECKED, "--tunnel", lab.machine(2).address, "list-machines").returncode == 0
    lab.machine(1).run("rm", "-rf", "/root/.fleetctl")
    assert ctl(UNCHECKED, "ssh", "there", "hostname").stdout == "machine-2\n"
    assert lab.machine(1).run("test", "-e", "/root/.fleetctl", check=False).returncode == 1


def test_another_port(ctl, lab):
    there = lab.machine(2)
    know(lab, text=f"[{there.address}]:2222 {there.host_key}\n")
    there.run("systemd-run", "--unit=sshd-2222", "/usr/sbin/sshd", "-D", "-p", "2222")
    try:
        wait_for("sshd to listen on port 2222",
                 lambda: there.run("bash", "-c", ": </dev/tcp/127.0.0.1/2222", check=False).returncode == 0, 10)
        done = ctl("ssh", "--ssh-port", "2222", "there", "echo $SSH_CONNECTION")
        assert done.returncode == 0 and done.stdout.split()[3] == "2222", done
        assert "hello from 2" in ctl("journal", "--ssh-port=2222", "there").stdout
        assert ctl("status", "--ssh-port=2222", "there").returncode == 0
        assert ctl("--tunnel", f"{there.address}:2222", "list-machines").returncode == 0
        assert ctl("ssh", "there", "true").returncode == 1  # The entry is for that port only.
    finally:
        there.run("systemctl", "stop", "sshd-2222")


# --- logging in ---------------------------------------------------------------------------------------------------


def test_users_and_keys(ctl, lab):
    know(lab, 2)
    assert ctl("ssh", "there", "whoami").stdout == "core\n"
    assert ctl("--ssh-username=root", "ssh", "there", "whoami").stdout == "root\n"
    done = ctl("--ssh-username=nobody", "ssh", "there", "whoami")
    assert done.returncode == 1 and "Permission denied" in done.stderr and "log in as nobody on" in done.stderr
    # With the agent's keys alone: a home directory without any.
    agent = "ssh-agent sh -c 'ssh-add -q /root/.ssh/id_ed25519 && mv /root/.ssh /root/.ssh-aside && fleetctl ssh there whoami'"
    one = lab.machine(1)
    try:
        assert one.run("sh", "-c", agent).stdout == "core\n"
        assert "Permission denied" in ctl("ssh", "there", "whoami").stderr
    finally:
        one.run("sh", "-c", "[ ! -e /root/.ssh-aside ] || { rm -rf /root/.ssh && mv /root/.ssh-aside /root/.ssh; }")


def test_no_configuration_of_ssh_is_read(ctl, lab):
    know(lab, 2)
    one = lab.machine(1)
    one.run("sh", "-c", "printf 'Host *\\nProxyCommand false\\nUser nobody\\nPort 1\\n' >/root/.ssh/config")
    try:
        assert ctl("ssh", "there", "whoami").stdout == "core\n"
    finally:
        one.run("rm", "/root/.ssh/config")


def test_the_agent_is_forwarded_only_when_asked(ctl, lab):
    know(lab, 2, 3)

    def keys(*argv):
        call = shlex.join(["fleetctl", *argv, "--", "ssh-add -l"])
        return lab.machine(1).run("ssh-agent", "sh", "-c", f"ssh-add -q /root/.ssh/id_ed25519 && {call}", check=False)
    tunnel = ["--tunnel", lab.machine(3).address]
    for argv in (["ssh", "-A", "there"], ["ssh", "--A", "there"], ["ssh", "--forward-agent", "there"],
                 [*tunnel, "ssh", "-A", "there"]):
        done = keys(*argv)
        assert done.returncode == 0 and "(ED25519)" in done.stdout, (argv, done)
    for argv in (["ssh", "there"], [*tunnel, "ssh", "there"]):
        done = keys(*argv)
        assert done.returncode == 2 and "Could not open a connection to your authentication agent" in done.stderr


# --- machines that are gone ---------------------------------------------------------------------------------------


def test_the_machine_of_a_unit_is_gone(ctl, cluster, lab):
    # section 8, row 50
    know(lab, 2)
    lab.machine(2).cut()
    try:
        for argv, code in ((["journal", "there"], 255), (["status", "there"], 255), (["ssh", "there", "true"], 1)):
            done = ctl("--ssh-timeout", "0.3", *argv)
            # Either it is still thought to be there, or the cluster has noticed already.
            assert done.returncode in (code, 1), done
            assert lab.machine(2).address in done.stderr or "not among the cluster's machines" in done.stderr \
                or "does not appear" in done.stderr or "on no machine" in done.stderr, done
        cluster.wait_machines(2)
        for argv in (["journal", "there"], ["status", "there"], ["ssh", "there", "true"],
                     ["ssh", lab.machine(2).id, "true"]):
            done = ctl(*argv)
            assert done.returncode == 1 and done.stderr != "", done
    finally:
        lab.machine(2).rejoin()
        cluster.wait_machines(3)
        wait_for("there.service to run again", lambda: cluster.place("there.service") == 2, 30)


# --- through a tunnel ---------------------------------------------------------------------------------------------


@pytest.fixture
def tunnel(ctl, lab):
    """["--tunnel", machine 3], which is known."""
    know(lab, 3)
    return ["--tunnel", lab.machine(3).address]


def test_tunnel_to_a_unix_socket(tunnel, ctl, cluster, lab):
    # A socket that only the tunnel host has.
    lab.machine(3).run("ln", "-sf", "/run/fleet.sock", "/run/only-there.sock")
    try:
        endpoint = "--endpoint=unix:///run/only-there.sock"
        listed = ctl(*tunnel, endpoint, "list-machines")
        assert listed.stdout == cluster.ctl("list-machines").stdout and listed.stderr == ""
        assert ctl(endpoint, "list-machines").returncode == 1
        # Many requests, and writes.
        lab.machine(1).run("sh", "-c", "printf '[Service]\\nExecStart=/bin/sleep infinity\\n' >/root/tunnelled.service")
        started = ctl(*tunnel, endpoint, "start", "tunnelled.service")
        assert started.returncode == 0 and "Unit tunnelled.service launched on " in started.stdout, started
        assert ctl(*tunnel, endpoint, "destroy", "tunnelled").stdout == "Destroyed tunnelled.service\n"
    finally:
        lab.machine(3).run("rm", "-f", "/run/only-there.sock")


def test_tunnel_to_an_http_endpoint(tunnel, ctl, cluster, lab):
    # A name that only the tunnel host knows.
    lab.machine(3).run("sh", "-c", "cp /etc/hosts /run/hosts && echo 127.0.0.1 only-there >>/etc/hosts")
    try:
        endpoint = "--endpoint=http://only-there:49153"
        assert ctl(*tunnel, endpoint, "list-machines").stdout == cluster.ctl("list-machines").stdout
        assert ctl(endpoint, "list-machines").returncode == 1
    finally:
        lab.machine(3).run("cp", "/run/hosts", "/etc/hosts")


def test_tunnel_from_the_environment_and_by_name(tunnel, ctl, cluster, lab):
    for named in (lab.machine(3).address, "machine-3", "machine-3:22"):  # Entered by address all the same.
        done = lab.machine(1).run("env", f"FLEETCTL_TUNNEL={named}", "fleetctl", "list-machines")
        assert done.stdout == cluster.ctl("list-machines").stdout


def test_machines_are_reached_through_the_tunnel_host_and_checked_from_here(tunnel, ctl, lab):
    there, through = lab.machine(2), lab.machine(3)
    done = ctl(*tunnel, "ssh", "there", "hostname")
    assert done.returncode == 1 and "Host key verification failed." in done.stderr
    assert f"on {there.address} through {through.address}" in done.stderr
    know(lab, 2, 3)
    done = ctl(*tunnel, "ssh", "there", "echo $SSH_CONNECTION; exit 3")
    assert done.returncode == 3 and done.stdout.split()[0] == through.address, done
    assert "hello from 2" in ctl(*tunnel, "journal", "there").stdout
    assert "Active: active (running)" in ctl(*tunnel, "status", "there").stdout
    # Not known to the tunnel host: its file is not the one that counts.
    assert through.run("test", "-e", KNOWN_HOSTS, check=False).returncode == 1


def test_questions_about_tunnel_host_and_machine_may_take_longer_than_a_request(ctl, lab):
    with on_terminal(lab, "--request-timeout=0.5", "--tunnel", "machine-3", "ssh", "there", "hostname") as terminal:
        terminal.wait_for(f"The authenticity of host '{lab.machine(3).address}")
        terminal.wait_for("(yes/no/[fingerprint])? ")
        lab.machine(1).run("sleep", "0.6")  # The person thinks: longer than the request may take.
        terminal.type("yes\n")
        terminal.wait_for(f"The authenticity of host '{lab.machine(2).address}")
        terminal.wait_for("(yes/no/[fingerprint])? ")
        terminal.type("yes\n")
        terminal.wait_for("machine-2\r\n")
        assert terminal.end()[0] == 0
    assert len(lab.machine(1).run("cat", KNOWN_HOSTS).stdout.splitlines()) == 2


def test_tunnels_that_fail_say_which_host_why_and_what_to_do(tunnel, ctl, lab):
    through = lab.machine(3).address
    nobody = through.rpartition(".")[0] + ".199"
    cases = [
        (["--ssh-timeout=0.3", "--tunnel", nobody], [f"tunnel host {nobody}"]),
        (["--tunnel", f"{through}:23"], ["Connection refused", f"tunnel host {through}:23"]),
        (["--tunnel", "no-such-host"], ["--tunnel: cannot resolve no-such-host"]),
        ([*tunnel, "--ssh-username=nobody"], ["Permission denied", f"log in as nobody on the tunnel host {through}"]),
        ([*tunnel, "--endpoint=unix:///run/nosuch.sock"],
         ["Failed dialing remote address: cannot connect to /run/nosuch.sock",
          f"cannot reach unix:///run/nosuch.sock through the tunnel host {through}", "systemctl status fleet.socket"]),
        ([*tunnel, f"--endpoint=http://{through}:1"],
         [f"cannot reach http://{through}:1 through the tunnel host {through}", "does a fleetd serve"]),
    ]
    for argv, said in cases:
        done = ctl(*argv, "list-units")
        assert done.returncode == 1 and done.stdout == "", done
        for text in said:
            assert text in done.stderr, (argv, done.stderr)
    lab.machine(3).run("mv", "/usr/bin/fleetctl", "/usr/bin/fleetctl.aside")
    try:
        done = ctl(*tunnel, "list-units")
        assert done.returncode == 1 and "there is no fleetctl in the $PATH there" in done.stderr, done
    finally:
        lab.machine(3).run("mv", "/usr/bin/fleetctl.aside", "/usr/bin/fleetctl")


def test_fd_forward_by_hand(ctl, lab):
    question = "GET /fleet/v1/machines HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = ctl("fd-forward", "/run/fleet.sock", input=question)
    assert answer.returncode == 0 and answer.stdout.startswith("HTTP/1.1 200 OK")
    assert lab.machine(3).id in answer.stdout
    # section 8, row 50
    failed = ctl("fd-forward", "/run/nosuch.sock")
    assert failed.returncode == 1 and "Failed dialing remote address: " in failed.stderr
    assert ctl("fd-forward").stderr == "Provide a single argument\n"
