# SPDX-License-Identifier: BSD-3-Clause
"""
A controller can rely on a commit: all or nothing, whatever happens to control meanwhile.

One site of its own (control and dataplane in a network namespace, with a cgroup and a BPF file system). Phases:

kills       kill -9 of control at every system call of a commit; after its restart every place has the old or the new
            configuration, the same one everywhere
"""
import json
import os
import select
import subprocess
import sys
import tempfile
import time

from contract.process import Site, public_key
from stepper import EPOLL_WAIT, Stepper

BUILD = "build"
MESON = ()
PHASES = ("kills",)
SHORT = {"kill_stride": 11}
STEP_LIMIT = 100000  # system calls of one commit; more is no commit any more

# Runs in the site's namespace and cgroup, where the fence sees it. One line in, one line out.
PROBE = """
import json, socket, sys
for line in sys.stdin:
    answer = {}
    for address in json.loads(line):
        try:
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (address, 9))
            answer[address] = True
        except PermissionError:
            answer[address] = False
        except OSError:
            answer[address] = True  # past the fence: no route, no neighbour
    with open("/proc/self/net/tcp") as table:
        rows = [row.split() for row in table][1:]
    answer["ports"] = sorted(int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A")
    print(json.dumps(answer), flush=True)
"""
ALWAYS, NEW_ONLY, NEVER = "192.0.2.2", "198.51.100.1", "203.0.113.1"


def add_options(parser):
    parser.add_argument("--phases", default=",".join(PHASES), metavar="LIST",
                        help="which phases, separated by commas (default: %(default)s)")
    parser.add_argument("--kill-stride", type=int, default=1, metavar="N",
                        help="kill at every N-th system call, from a random one of the first N on (default: %(default)s)")


class Probe:
    """Asks the kernel what may leave, and who listens."""

    def __init__(self, site):
        self.process = site.inside(PROBE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self):
        self.process.stdin.write(json.dumps([ALWAYS, NEW_ONLY, NEVER]) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Commit:
    def __init__(self, soak, site):
        self.soak = soak
        self.options = soak.options
        self.report = soak.report
        self.random = soak.random
        self.result = soak.result
        self.site = site
        self.probe = Probe(site)

    def close(self):
        self.probe.close()

    # kill -9 at every system call

    def documents(self):
        """Two configurations that are different at every place."""
        old, new = self.site.document(), self.site.document()
        new["site"]["keys_port"] = 4600
        new["fence"]["allow"]["jurisdictions"] = ["FR", "US"]
        new["peers"][1] = {"name": "par4", "endpoint": "192.0.2.4", "public_key": public_key(4)}
        new["tenants"] = [{"name": "hopital", "vni": 100, "circuits": [{"port": "lan1", "vlan": 7}], "mac_limit": 5},
                          {"name": "neu", "vni": 300, "circuits": [{"port": "lan0"}], "peers": ["par4"]}]
        return old, new

    def restart(self):
        self.site.start()
        self.site.eventually(lambda: self.site.call("state.get")["dataplane"]["in_force"], "a replay", 30)

    def places(self):
        """What each place has: 0 the old configuration, 1 the new one, None neither."""
        found = self.probe.ask()
        with self.site.client() as client:
            state = client.call("state.get")
            config = client.call("config.get")["config"]
            peers = {peer["name"]: peer for peer in client.call("peers.list")["peers"]}
            tenants = {tenant["name"]: tenant for tenant in client.call("tenants.list")["tenants"]}
            vnis = {tenant["vni"] for tenant in client.call("stats.get")["tenants"]}
        old, new = self.documents()

        def which(value, of_old, of_new):
            return 0 if value == of_old else 1 if value == of_new else None

        return {
            "disk": which(config, old, new),
            "control": which((set(peers), set(tenants), state["in_force"], state["problem"]),
                             ({"par2", "par3"}, {"hopital", "ministere"}, True, None),
                             ({"par2", "par4"}, {"hopital", "neu"}, True, None)),
            "fence": which((found[ALWAYS], found[NEW_ONLY], found[NEVER]), (True, False, False), (True, True, False)),
            "dataplane": which((vnis, state["dataplane"]["in_force"]), ({0, 100, 200}, True), ({0, 100, 300}, True)),
            "keys": which([port for port in found["ports"] if port in (4501, 4600)], [4501], [4600]),
        }

    def commit_and_kill(self, document, at):
        """Commits under the stepper and kills at the N-th call. Returns (calls made, whether it was answered)."""
        with self.site.client() as client:
            client.call("version")
            stepper = Stepper(self.site.process)
            client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "config.commit",
                                    "params": {"config": document}}).encode() + b"\n")
            while stepper.calls < STEP_LIMIT:
                number = stepper.next_call()
                answered = bool(select.select([client.socket], [], [], 0)[0])
                if stepper.calls >= at or (answered and number in EPOLL_WAIT):
                    break
            done = answered and number in EPOLL_WAIT and stepper.calls < at
            stepper.kill()
            self.site.process = None
            answer = client.answer() if answered else None
        if answer is not None and "error" in answer:
            raise RuntimeError(f"the commit was refused: {answer['error']}")
        return done, answered

    def kills(self):
        self.report.step("kill -9 of control at every system call of a commit")
        site, (old, new) = self.site, self.documents()
        site.start_dataplane()
        site.start()
        site.eventually(lambda: site.call("state.get")["dataplane"]["connected"], "a dataplane", 30)
        site.call("config.commit", config=old)
        now, points, mixed, lost, calls = 0, 0, [], [], 0
        at = self.random.randint(1, self.options.kill_stride)
        while True:
            wanted = 1 - now
            done, answered = self.commit_and_kill((old, new)[wanted], at)
            between = self.probe.ask()
            if not between[ALWAYS] or between[NEVER]:
                mixed.append(f"call {at}, nobody there: {between}")
            self.restart()
            places = self.places()
            points += 1
            if len(set(places.values())) != 1 or None in places.values():
                mixed.append(f"call {at}: {places}")
            if answered and places["disk"] != wanted:
                lost.append(f"call {at}: answered, and gone")
            now = places["disk"] if places["disk"] is not None else now
            if points % 20 == 0:
                self.report.note(f"{points} points, up to call {at}, {len(mixed)} mixed states")
            if done:
                break
            calls = at
            at += self.options.kill_stride
        self.result["kill_points"], self.result["mixed_states"] = points, len(mixed)
        self.report.note(f"a commit makes {calls} system calls or a few more")
        self.report.check("after every kill one configuration at all places", not mixed,
                          f"{points} points, {len(mixed)} mixed" + "".join(f"\n    {line}" for line in mixed[:5]))
        self.report.check("what was answered is there", not lost, "".join(f"\n    {line}" for line in lost[:5]))
        self.report.check("the kills went through a whole commit", calls > 50, f"{calls} calls")


def run(soak):
    with tempfile.TemporaryDirectory(prefix="pontlevis-commit-") as directory:
        site = Site(soak.programs.build, directory)
        commit = None
        try:
            commit = Commit(soak, site)
            for phase in soak.options.phases.split(","):
                getattr(commit, phase)()
        except BaseException:
            soak.report.note(site.output()[-3000:] if os.path.exists(site.log) else "")
            raise
        finally:
            if commit is not None:
                commit.close()
            site.remove()
