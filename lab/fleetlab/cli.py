"""The lab's command line."""

import argparse
import os
import signal
import sys
from pathlib import Path

from .host import LabError
from .lab import Lab, all_labs, default_name, remove_orphans
from .play import METADATA, play


def main(argv):
    parser = argparse.ArgumentParser(prog="lab", description="Real machines with systemd, on one host, for fleet.")
    parser.add_argument("--lab", metavar="NAME", default=None, help=f"which lab (default: $FLEET_LAB or {default_name()})")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, does, help):
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(does=does)
        return added

    up = command("up", _up, "make the lab and boot its machines; what was there of it is removed first")
    up.add_argument("--machines", type=int, default=3, metavar="N")
    up.add_argument("--metadata", action="append", default=[], type=_metadata, metavar="K:key=value,...")
    up.add_argument("--ttl", type=int, default=5, metavar="SECONDS", help="fleet's agent_ttl (default 5)")
    up.add_argument("--bin", metavar="FOLDER", help="where fleetd and fleetctl are (default $FLEET_BIN or build/release/bin)")
    down = command("down", _down, "remove all that is or was of the lab")
    down.add_argument("--all", action="store_true", help="of every lab on this host")
    status = command("status", _status, "show the lab")
    status.add_argument("--all", action="store_true", help="show every lab on this host")
    for name, help in (("boot", "switch a machine on"), ("kill", "cut a machine's power"),
                       ("cut", "cut a machine off the network"), ("rejoin", "put it back on the network")):
        command(name, globals()[f"_{name}"], help).add_argument("machine", type=int, metavar="K")
    shell = command("shell", _shell, "a shell inside a machine, or one command")
    shell.add_argument("machine", type=int, metavar="K")
    shell.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD...")
    etcd = command("etcd", _etcd, "stop, start, kill, freeze or thaw etcd")
    etcd.add_argument("what", choices=("stop", "start", "kill", "freeze", "thaw"))
    install = command("install", _install, "put newly built programs into the machines, running or not")
    install.add_argument("--bin", metavar="FOLDER")

    command("play", _play, "make a lab of three machines and play the guide in it")

    args = parser.parse_args(argv)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # "lab status | head" is no error.
    try:
        return args.does(Lab(args.lab, _say), args) or 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


def _metadata(text):
    number, _, pairs = text.partition(":")
    split = [pair.partition("=") for pair in pairs.split(",")]
    if not number.isdigit() or not all(key and value for key, _, value in split):
        raise argparse.ArgumentTypeError(f"{text!r} is not like 1:region=east,disk=ssd")
    return int(number), {key: value for key, _, value in split}


def _up(lab, args):
    lab.up(args.machines, dict(args.metadata), args.ttl, args.bin)


def _down(lab, args):
    for each in all_labs(_say) if args.all else [lab]:
        each.down()
    remove_orphans(_say)


def _boot(lab, args):
    machine = lab.machine(args.machine)
    machine.power_on()
    machine.wait_booted()


def _kill(lab, args):
    lab.machine(args.machine).kill()


def _cut(lab, args):
    lab.machine(args.machine).cut()


def _rejoin(lab, args):
    lab.machine(args.machine).rejoin()


def _shell(lab, args):
    command = lab.machine(args.machine).command(*(args.argv or ["bash", "--login"]))
    os.execvp(command[0], command)


def _etcd(lab, args):
    getattr(lab.etcd, args.what)()


def _install(lab, args):
    for machine in lab.machines():
        machine.install_programs(Path(args.bin or lab.state["bin"]))


def _play(lab, args):
    lab.up(machines=3, metadata=METADATA)
    play(lab)


def _status(lab, args):
    labs = all_labs() if args.all else [lab]
    if not labs:
        print("no labs")
    for each in labs:
        if not each.exists():
            raise LabError(f"there is no lab {each.name}; start one: lab up")
        healthy = each.etcd.ctl("endpoint", "health", check=False).returncode == 0
        print(f"lab {each.name}: network {each.network}.0.0/16, etcd {each.etcd_url} "
              f"({'answers' if healthy else 'does not answer'}), registry {each.registry_address}")
        for machine in each.machines():
            print(f"  {machine.name}  {machine.address}  {machine.id[:8]}  {'running' if machine.running() else 'off'}")
