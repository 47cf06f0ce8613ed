"""A TCP proxy between fleetd and etcd, which delays, stalls and cuts what goes through it: the machines' kernel has no
netem. It runs on the bridge's address, among the lab's own processes.

    with Proxy(lab) as proxy:  # fleet.conf: etcd_servers=<proxy.url>
        proxy.set(delay=0.3)

Faults are set for all machines or for some, who are told apart by their addresses; connections that stand already have
them too.
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

from .host import LabError, spawn, tail, wait_for

PORT = 2378


class Proxy:
    """The proxy as the tests have it."""

    def __init__(self, lab):
        self.lab = lab
        self.url = f"http://{lab.gateway}:{PORT}"
        self.cgroup = lab.cgroup.child("proxy")
        self.log = lab.folder / "proxy.log"
        self.control = lab.folder / "proxy.socket"

    def __enter__(self):
        self.control.unlink(missing_ok=True)
        spawn([sys.executable, "-m", "fleetlab.proxy", self.lab.gateway, PORT, self.lab.etcd.members[0].client_port,
               self.control], self.cgroup, self.log, {"PYTHONPATH": str(Path(__file__).resolve().parents[1])})
        wait_for("the proxy to listen", self.control.exists, 10, lambda: f"its log ends:\n{tail(self.log)}")
        return self

    def __exit__(self, *_):
        self.cgroup.kill()

    def set(self, *machines, **faults):
        """For these machines, or all. delay: seconds, each way; stalled: connections stay and nothing passes; down:
        connections are cut, and new ones as well."""
        self._ask({"set": faults}, machines)

    def cut(self, *machines):
        """Cuts the connections that there are, and answers how many; new ones are let through."""
        return self._ask({"cut": True}, machines)

    def connections(self, *machines):
        return self._ask({}, machines)

    def _ask(self, request, machines):
        addresses = [machine.address for machine in machines or self.lab.machines()]
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.control))
            control.sendall(json.dumps({**request, "of": addresses}).encode() + b"\n")
            answer = control.makefile().readline()
        if not answer:
            raise LabError(f"the proxy does not answer; its log ends:\n{tail(self.log)}")
        return json.loads(answer)


# --- the process ------------------------------------------------------------------------------------------------

class Faults:
    """What happens to one machine's connections."""

    def __init__(self):
        self.delay = 0.0
        self.down = False
        self.flows = asyncio.Event()
        self.flows.set()
        self.connections = set()  # their tasks

    def set(self, delay=None, stalled=None, down=None):
        if delay is not None:
            self.delay = delay
        if stalled is not None:
            self.flows.clear() if stalled else self.flows.set()
        if down is not None:
            self.down = down
            if down:
                self.cut()

    def cut(self):
        for connection in self.connections:
            connection.cancel()


class Server:
    def __init__(self, etcd):
        self.etcd = etcd  # address and port
        self.faults = {}  # by the machine's address

    def of(self, address):
        return self.faults.setdefault(address, Faults())

    async def connected(self, reader, writer):
        faults = self.of(writer.get_extra_info("peername")[0])
        if faults.down:
            return writer.transport.abort()
        faults.connections.add(connection := asyncio.current_task())
        try:
            await self.join(reader, writer, faults)
        except asyncio.CancelledError:
            pass  # It is cut.
        finally:
            faults.connections.discard(connection)

    async def join(self, reader, writer, faults):
        ends = [writer]
        try:
            etcd_reader, etcd_writer = await asyncio.open_connection(*self.etcd)
            ends.append(etcd_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(reader, etcd_writer, faults))
                both.create_task(_carry(etcd_reader, writer, faults))
        except* OSError:
            pass  # One end is gone, and the other learns it at once.
        finally:
            for end in ends:
                end.transport.abort()

    async def controlled(self, reader, writer):
        request = json.loads(await reader.readline())
        count = 0
        for address in request["of"]:
            faults = self.of(address)
            count += len(faults.connections)
            faults.set(**request.get("set", {}))
            if request.get("cut"):
                faults.cut()
        writer.write(json.dumps(count).encode() + b"\n")
        await writer.drain()
        writer.close()


async def _carry(reader, writer, faults):
    """One direction of a connection."""
    now = asyncio.get_running_loop().time
    on_the_way = asyncio.Queue(1000)

    async def take():
        while data := await reader.read(65536):
            await on_the_way.put((now() + faults.delay, data))
        await on_the_way.put((now() + faults.delay, b""))

    async def give():
        while True:
            due, data = await on_the_way.get()
            await asyncio.sleep(due - now())
            await faults.flows.wait()
            if not data:
                return writer.write_eof()
            writer.write(data)
            await writer.drain()
    async with asyncio.TaskGroup() as both:
        both.create_task(take())
        both.create_task(give())


async def main(address, port, etcd_port, control):
    server = Server((address, int(etcd_port)))
    listening = await asyncio.start_server(server.connected, address, int(port))
    await asyncio.start_unix_server(server.controlled, control)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
