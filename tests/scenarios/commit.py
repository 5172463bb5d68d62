# SPDX-License-Identifier: BSD-3-Clause
"""
A controller can rely on a commit: all or nothing, whatever happens to control meanwhile.

One site of its own (control and dataplane in a network namespace, with a cgroup and a BPF file system), for the last
phases the lab's three. Phases:

kills       kill -9 of control at every system call of a commit, a rollback and a confirmation; after its restart every
            place has the old or the new configuration, the same one everywhere
edits       random valid and random invalid edits by every method there is, against a model: after each the configuration
            is the model's, and what the workers run is compared with it
hostile     clients that mean harm at the socket, under traffic: loss, memory
scale       thousands of tenants in one commit on three sites, then one more, under the traffic of others: time, memory, loss
"""
import base64
import copy
import hashlib
import json
import os
import select
import subprocess
import tempfile

from contract.process import Failed, Site, public_key
from scenarios._commit_hostile import hostile
from scenarios._commit_scale import scale
from stepper import EPOLL_WAIT, Stepper

BUILD = "build"
MESON = ()
PHASES = ("kills", "edits", "hostile", "scale")
SHORT = {"kill_stride": 14, "edits": 200, "hostile_seconds": 3, "tenants": 64, "running": 6}
ON_LAB = {"hostile": hostile, "scale": scale}
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
    parser.add_argument("--edits", type=int, default=10000, metavar="N",
                        help="so many valid and so many invalid edits (default: %(default)s)")
    parser.add_argument("--hostile-seconds", type=int, default=60, metavar="S",
                        help="how long clients mean harm (default: %(default)s)")
    parser.add_argument("--tenants", type=int, default=4096, metavar="N", help="of the phase scale (default: %(default)s)")
    parser.add_argument("--running", type=int, default=100, metavar="N",
                        help="so many of them are there before, with traffic (default: %(default)s)")


class Model:
    """The configuration as it should be, and random ways to change it for better or worse. Knows nothing of control."""

    ACCESS = ("lan0", "lan1")

    def __init__(self, site, random):
        self.random = random
        self.document = site.document(tenants=[], peers=[])
        self.serial = 10  # of names, VNIs, addresses and keys: never the same twice
        self.history = []

    def _next(self):
        self.serial += 1
        return self.serial

    def _peer(self):
        number = self._next()
        key = base64.b64encode(hashlib.sha256(str(number).encode()).digest()).decode()
        return {"name": f"p{number}", "endpoint": f"192.0.2.{2 + number % 250}", "public_key": key}

    def _free_circuit(self, document):
        taken = {(circuit["port"], circuit.get("vlan")) for tenant in document["tenants"]
                 for circuit in tenant.get("circuits", [])}
        while True:
            circuit = {"port": self.random.choice(self.ACCESS)}
            if self.random.random() < 0.9:
                circuit["vlan"] = self.random.randint(1, 4094)
            if (circuit["port"], circuit.get("vlan")) not in taken:
                return circuit

    # What an edit may be; each takes a document apart from the model's and returns False if it does not apply.

    def add_tenant(self, document):
        if len(document["tenants"]) > 60:
            return False
        number = self._next()
        tenant = {"name": f"t{number}", "vni": number}
        if self.random.random() < 0.7:
            tenant["circuits"] = [self._free_circuit(document)]
        document["tenants"].insert(self.random.randint(0, len(document["tenants"])), tenant)
        return True

    def remove_tenant(self, document):
        if document["tenants"]:
            document["tenants"].pop(self.random.randrange(len(document["tenants"])))
            return True
        return False

    def change_tenant(self, document):
        if not document["tenants"]:
            return False
        tenant = self.random.choice(document["tenants"])
        what = self.random.choice(("mac_limit", "mac_ageing_seconds", "vni", "circuits", "peers"))
        if what == "circuits":
            circuits = tenant.setdefault("circuits", [])
            if circuits and self.random.random() < 0.5:
                circuits.pop(self.random.randrange(len(circuits)))
            else:
                circuits.append(self._free_circuit(document))
        elif what == "peers":
            names = [peer["name"] for peer in document["peers"]]
            tenant["peers"] = self.random.sample(names, self.random.randint(0, len(names)))
        elif what == "vni":
            tenant["vni"] = self._next()
        else:
            tenant[what] = self.random.randint(10, 10000)
        return True

    def add_peer(self, document):
        peer = self._peer()
        if len(document["peers"]) > 8 or peer["endpoint"] in {other["endpoint"] for other in document["peers"]}:
            return False
        document["peers"].append(peer)
        return True

    def remove_peer(self, document):
        if not document["peers"]:
            return False
        name = document["peers"].pop(self.random.randrange(len(document["peers"])))["name"]
        for tenant in document["tenants"]:
            if name in tenant.get("peers", []):
                tenant["peers"].remove(name)
        return True

    def change_fence(self, document):
        document["fence"]["deny_operators"] = self.random.sample(["Nobody", "Example Inc", "Beispiel"], 2)
        return True

    VALID = (add_tenant, add_tenant, remove_tenant, change_tenant, change_tenant, add_peer, remove_peer, change_fence)

    def valid(self):
        """A document that is right, and different from the model's."""
        while True:
            document = copy.deepcopy(self.document)
            for _ in range(self.random.choice((1, 1, 1, 2, 5))):
                self.random.choice(self.VALID)(self, document)
            if document != self.document:
                return document

    def invalid(self):
        """A document that is wrong in one way, and the pointer to it."""
        document = self.valid()
        while not document["tenants"] or not document["peers"]:
            self.add_tenant(document)
            self.add_peer(document)
        tenant_index, peer_index = self.random.randrange(len(document["tenants"])), self.random.randrange(len(document["peers"]))
        tenant, peer = document["tenants"][tenant_index], document["peers"][peer_index]
        at_tenant, at_peer = f"/tenants/{tenant_index}", f"/peers/{peer_index}"
        last = len(document["tenants"])

        def put(where, name, value, pointer):
            where[name] = value
            return pointer

        def append(where, value, pointer):
            where.append(value)
            return pointer

        pointer = self.random.choice((
            lambda: put(tenant, "vni", self.random.choice((0, -1, 2 ** 24, 1.5, "7", None, True, 10 ** 18)), f"{at_tenant}/vni"),
            lambda: put(tenant, "mac_limit", self.random.choice((0, 2 ** 20 + 1, -5, [])), f"{at_tenant}/mac_limit"),
            lambda: put(tenant, "vxlan", 1, f"{at_tenant}/vxlan"),
            lambda: put(tenant, "peers", ["nobody"], f"{at_tenant}/peers/0"),
            lambda: put(tenant, "circuits", [{"port": "lan9"}], f"{at_tenant}/circuits/0/port"),
            lambda: put(tenant, "circuits", [{"port": "wan0"}], f"{at_tenant}/circuits/0/port"),
            lambda: put(tenant, "circuits", [{"port": "lan0", "vlan": self.random.choice((0, 4095, "x"))}],
                        f"{at_tenant}/circuits/0/vlan"),
            lambda: put(tenant, "psk_file", "/nowhere/psk", f"{at_tenant}/psk_file"),
            lambda: append(document["tenants"], dict(name=tenant["name"], vni=self._next()), f"/tenants/{last}/name"),
            lambda: append(document["tenants"], dict(name=f"t{self._next()}", vni=tenant["vni"]), f"/tenants/{last}/vni"),
            lambda: append(document["tenants"], self.random.choice((None, 7, [], "t")), f"/tenants/{last}"),
            lambda: put(peer, "endpoint", self.random.choice(("127.0.0.1", "224.0.0.5", "x", "192.0.2.1", "::1", "fe80::1")),
                        f"{at_peer}/endpoint"),
            lambda: put(peer, "endpoint", "203.0.113.9", f"{at_peer}/endpoint"),
            lambda: put(peer, "public_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", f"{at_peer}/public_key"),
            lambda: put(peer, "name", self.random.choice(("UP", "", "a" * 40, 3, "-x")), f"{at_peer}/name"),
            # No peer has that address (_peer): then it would be the peer's place that is wrong first.
            lambda: put(document["site"], "vtep", ["192.0.2.253", "2001:db8:1::1"], "/site/vtep/0"),
            lambda: put(document["site"], "keys_port", self.random.choice((0, 65536, "4501")), "/site/keys_port"),
            lambda: put(document["fence"], "dataset", "/nowhere/world.csv", "/fence/dataset"),
            lambda: put(document["fence"]["allow"], "locations", ["fr"], "/fence/allow/locations/0"),
            lambda: put(document, "version", self.random.choice((0, 2, "1", None)), "/version"),
            lambda: put(document, "note", {"a": [1]}, "/note"),
        ))()
        return document, pointer


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

    def running(self):
        """Control and dataplane run, whichever phase was before."""
        if self.site.dataplane is None:
            self.site.start_dataplane()
        if self.site.process is None:
            self.site.start()
        self.site.eventually(lambda: self.site.call("state.get")["dataplane"]["connected"], "a dataplane", 30)

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

    def ask_and_kill(self, method, params, at):
        """Asks under the stepper and kills at the N-th call. Returns (calls made, whether that was all, whether it was answered)."""
        with self.site.client() as client:
            client.call("version")
            stepper = Stepper(self.site.process)
            client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
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
            raise RuntimeError(f"{method} was refused: {answer['error']}")
        return stepper.calls, done, answered

    # What is asked, from one of two configurations (0, 1) to the other; and which of them there may be after a kill.

    def ask_commit(self, now):
        return "config.commit", {"config": self.documents()[1 - now]}, {now, 1 - now}

    def ask_rollback(self, now):
        revisions = self.site.call("config.history")["revisions"]
        other = next(entry["revision"] for entry in revisions
                     if self.site.call("config.get", revision=entry["revision"])["config"] == self.documents()[1 - now])
        return "config.rollback", {"revision": other}, {now, 1 - now}

    def ask_confirm(self, now):
        """The other configuration is on trial and in force; a kill may cost the confirmation, not the configuration."""
        self.site.call("config.commit", config=self.documents()[1 - now], confirm_timeout=3600)
        return "config.confirm", {}, {1 - now}

    def kills(self):
        self.running()
        self.site.call("config.commit", config=self.documents()[0])
        now, self.result["kill_points"], self.result["mixed_states"] = 0, 0, 0
        for what, ask, fewest in (("commit", self.ask_commit, 50), ("rollback", self.ask_rollback, 50),
                                  ("confirmation", self.ask_confirm, 10)):
            self.report.step(f"kill -9 of control at every system call of a {what}")
            now = self.kill_through(ask, now, fewest)

    def kill_through(self, ask, now, fewest):
        """Returns which configuration there is at the end. fewest: system calls that it makes for sure."""
        points, mixed, lost = 0, [], []
        at = self.random.randint(1, self.options.kill_stride)
        while True:
            method, params, allowed = ask(now)
            calls, done, answered = self.ask_and_kill(method, params, at)
            between = self.probe.ask()
            if not between[ALWAYS] or between[NEVER]:
                mixed.append(f"call {at}, nobody there: {between}")
            self.restart()
            places = self.places()
            points += 1
            if len(set(places.values())) != 1 or places["disk"] not in allowed:
                mixed.append(f"call {at}: {places}")
            trial = self.site.call("state.get")["confirm"]
            if answered and (places["disk"] == now or trial is not None):
                lost.append(f"call {at}: answered, and gone")
            if trial is not None:
                self.site.call("config.confirm")
            now = places["disk"] if places["disk"] is not None else now
            if points % 20 == 0:
                self.report.note(f"{points} points, up to call {at}, {len(mixed)} mixed states")
            if done:
                break
            at += self.options.kill_stride
        self.result["kill_points"] += points
        self.result["mixed_states"] += len(mixed)
        self.report.note(f"it makes {calls} system calls")
        self.report.check("after every kill one configuration at all places", not mixed,
                          f"{points} points, {len(mixed)} mixed" + "".join(f"\n    {line}" for line in mixed[:5]))
        self.report.check("what was answered is there", not lost, "".join(f"\n    {line}" for line in lost[:5]))
        self.report.check("the kills went through all of it", calls > fewest, f"{calls} calls")
        return now

    # random edits

    def patch_for(self, before, after):
        """A merge patch (RFC 7396) from one document to the other; neither has null in it."""
        patch = {name: None for name in before if name not in after}
        for name, value in after.items():
            if name not in before or before[name] != value:
                nested = isinstance(value, dict) and isinstance(before.get(name), dict)
                patch[name] = self.patch_for(before[name], value) if nested else value
        return patch

    def workers_differ(self, client, document):
        """What the workers run against what was committed; "" if they agree."""
        workers = client.call("state.workers")
        wanted = sorted((tenant["name"], tenant["vni"], circuit["port"], circuit.get("vlan") or 0, True)
                        for tenant in document["tenants"] for circuit in tenant.get("circuits", []))
        found = sorted((entry["tenant"], entry["vni"], entry["port"], entry["vlan"] or 0, entry["flooded"])
                       for entry in workers["circuits"])
        if wanted != found:
            return f"circuits: {found} instead of {wanted}"
        if workers["vtep"] != document["site"]["vtep"]:
            return f"VTEPs: {workers['vtep']}"
        if workers["policy_revision"] != client.call("fence.status")["policy_revision"]:
            return f"policy {workers['policy_revision']}"
        if workers["edges"]:
            return f"nobody is there to agree with, yet there are edges: {workers['edges'][:3]}"
        vnis = {entry["vni"] for entry in client.call("stats.get")["tenants"]} - {0}
        if vnis != {tenant["vni"] for tenant in document["tenants"]}:
            return f"tenants: {vnis}"
        return ""

    def edit(self, client, model, document):
        """Brings a document in by one of the methods there are, and has the model follow."""
        how = self.random.choice(("commit", "commit", "patch", "trial", "refused trial", "rollback"))
        if how == "patch":
            client.call("config.patch", patch=self.patch_for(model.document, document))
        elif how == "trial":
            client.call("config.commit", config=document, confirm_timeout=600)
            client.call("config.confirm")
        elif how == "refused trial":
            client.call("config.commit", config=document, confirm_timeout=600)
            client.call("config.rollback")
            document = model.document
        elif how == "rollback" and len(model.history) > 1:
            revision, document = self.random.choice(model.history[-6:])
            client.call("config.rollback", revision=revision)
        else:
            client.call("config.commit", config=document)
        model.document = document

    def refuse(self, client, document, pointer):
        """"" if the document is refused for the right place."""
        method = self.random.choice(("config.validate", "config.commit"))
        try:
            client.call(method, config=document)
        except Failed as failure:
            pointers = [error["pointer"] for error in failure.errors]
            return "" if pointer in pointers else f"{method}: {pointers} instead of {pointer}"
        return f"{method} took what is wrong at {pointer}"

    def edits(self):
        count = self.options.edits
        self.report.step(f"{count} random valid and {count} random invalid edits against a model")
        site, model, differences, wrong = self.site, Model(self.site, self.random), [], []
        self.running()
        with site.client() as client:
            client.call("config.commit", config=model.document)
            for number in range(count):
                wrong.append(self.refuse(client, *model.invalid()))
                self.edit(client, model, model.valid())
                got = client.call("config.get")
                model.history.append((got["revision"], model.document))
                if got["config"] != model.document:
                    differences.append(f"edit {number}: {client.call('config.diff', config=model.document)['changes'][:3]}")
                if number % 10 == 0 or number + 1 == count:
                    differences += filter(None, [self.workers_differ(client, model.document)])
                if (number + 1) % 500 == 0:
                    self.report.note(f"{number + 1} edits, revision {got['revision']}, {len(model.document['tenants'])} "
                                     f"tenants, {len(differences)} differences")
            in_force = client.call("state.get")
        wrong = [text for text in wrong if text]
        self.result["random_edits"], self.result["model_differences"] = 2 * count, len(differences) + len(wrong)
        self.report.check("control and workers have what the model has", not differences,
                          f"{count} edits" + "".join(f"\n    {line}" for line in differences[:5]))
        self.report.check("what is wrong is refused, for the right place", not wrong,
                          f"{count} edits" + "".join(f"\n    {line}" for line in wrong[:5]))
        self.report.check("the configuration is in force", in_force["in_force"] and in_force["dataplane"]["in_force"])


def run(soak):
    phases = soak.options.phases.split(",")
    alone = [phase for phase in phases if phase not in ON_LAB]
    if alone:
        run_alone(soak, alone)
    for phase in [phase for phase in phases if phase in ON_LAB]:
        with soak.lab() as three:
            ON_LAB[phase](soak, three)


def run_alone(soak, phases):
    """The phases that need one site only."""
    with tempfile.TemporaryDirectory(prefix="pontlevis-commit-") as directory:
        site = Site(soak.programs.build, directory)
        commit = None
        try:
            commit = Commit(soak, site)
            for phase in phases:
                getattr(commit, phase)()
        except BaseException:
            soak.report.note(site.output()[-3000:] if os.path.exists(site.log) else "")
            raise
        finally:
            if commit is not None:
                commit.close()
            site.remove()
