# SPDX-License-Identifier: BSD-3-Clause
"""
A client of the dataplane's link socket, written from include/pontlevis/link.h alone: the tests are the controller. That
the layouts here are those of the header is itself tested (test_link_contract.py).
"""
import array
import ctypes
import errno
import ipaddress
import os
import re
import select
import socket
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

MAGIC, VERSION, MESSAGE_MAX = 0x504F4E54, 2, 4096
NAME_SIZE, PORTS_MAX, NOTICES_MAX = 32, 16, 128

HELLO, ACK, ERROR, TENANT_STATS, WORKER_STATS, PORT_STATS, SA_STATS, FDB_ENTRY, END, DENIED = range(1, 11)
SA_NOTICES, SHADOW_STATS = 12, 13
(BEGIN, COMMIT, SITE_SET, FENCE_SET, TENANT_SET, CIRCUIT_SET, PEER_SET, MEMBER_SET, ADJACENCY_SET, SA_IN_SET, SA_IN_DEL,
 SA_OUT_SET, SA_OUT_DEL, SWITCHES_SET, SHADOW_SET) = range(64, 79)
STATS_GET, SAS_GET, FDB_GET = range(128, 131)
SHADOW_GET = 132

BEGIN_FULL = 1
FAMILY = {4: 4, 6: 6}
ACCESS, WAN = 1, 2
SA_IN, SA_OUT = 1, 2

U8, U16, U32, U64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


def drop_names():
    """Drop reasons in the order of drops.def, as "stage.name"."""
    with open(f"{TREE}/include/pontlevis/drops.def", encoding="utf-8") as file:
        return [f"{stage}.{name}" for stage, name in re.findall(r"^PONT_DROP\((\w+), (\w+),", file.read(), re.M)]


DROPS = drop_names()


class Address(ctypes.Structure):
    _fields_ = [("family", U8), ("reserved", U8 * 3), ("bytes", U8 * 16)]

    @classmethod
    def of(cls, text):
        if not text:
            return cls()
        parsed = ipaddress.ip_address(text)
        return cls(parsed.version, (U8 * 3)(), (U8 * 16)(*parsed.packed))

    def text(self):
        size = {4: 4, 6: 16}.get(self.family, 0)
        return str(ipaddress.ip_address(bytes(self.bytes)[:size])) if size else None


class Header(ctypes.Structure):
    _fields_ = [("magic", U32), ("type", U16), ("length", U16)]


class Port(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * NAME_SIZE), ("role", U8), ("bifurcated", U8), ("mac", U8 * 6),
                ("ifindex", U32), ("mtu", U32), ("queues", U16), ("reserved", U16)]


class Hello(ctypes.Structure):
    _fields_ = [("header", Header), ("version", U32), ("pid", U32), ("boot_id", U64), ("revision", U64),
                ("workers", U16), ("ports", U16), ("manual_keys", U8), ("reserved", U8 * 3), ("spi_slots", U32),
                ("reserved2", U32), ("build", ctypes.c_char * 32),
                ("crypto", ctypes.c_char * 64), ("port", Port * PORTS_MAX)]


class Begin(ctypes.Structure):
    TYPE = BEGIN
    _fields_ = [("header", Header), ("revision", U64), ("flags", U32), ("reserved", U32)]


class Commit(ctypes.Structure):
    TYPE = COMMIT
    _fields_ = [("header", Header), ("revision", U64)]


class Ack(ctypes.Structure):
    _fields_ = [("header", Header), ("revision", U64)]


class Error(ctypes.Structure):
    _fields_ = [("header", Header), ("revision", U64), ("message", U32), ("type", U16), ("code", U16),
                ("text", ctypes.c_char * (MESSAGE_MAX // 8))]


class Site(ctypes.Structure):
    TYPE = SITE_SET
    _fields_ = [("header", Header), ("vtep4", Address), ("vtep6", Address)]


class Fence(ctypes.Structure):
    TYPE = FENCE_SET
    _fields_ = [("header", Header), ("policy_revision", U64), ("size", U64)]


class Tenant(ctypes.Structure):
    TYPE = TENANT_SET
    _fields_ = [("header", Header), ("vni", U32), ("mac_limit", U32), ("mac_ageing_s", U32),
                ("name", ctypes.c_char * NAME_SIZE)]


class Circuit(ctypes.Structure):
    TYPE = CIRCUIT_SET
    _fields_ = [("header", Header), ("port", U16), ("vlan", U16), ("vni", U32)]


class Peer(ctypes.Structure):
    TYPE = PEER_SET
    _fields_ = [("header", Header), ("peer", U16), ("reserved", U16), ("name", ctypes.c_char * NAME_SIZE)]


class Member(ctypes.Structure):
    TYPE = MEMBER_SET
    _fields_ = [("header", Header), ("vni", U32), ("peer", U16), ("reserved", U16)]


class Adjacency(ctypes.Structure):
    TYPE = ADJACENCY_SET
    _fields_ = [("header", Header), ("peer", U16), ("port", U16), ("source_mac", U8 * 6), ("destination_mac", U8 * 6),
                ("source", Address), ("destination", Address), ("path_mtu", U32)]


class Lifetime(ctypes.Structure):
    _fields_ = [("soft_packets", U64), ("hard_packets", U64), ("soft_bytes", U64), ("hard_bytes", U64),
                ("soft_ms", U32), ("hard_ms", U32)]


class SaIn(ctypes.Structure):
    TYPE = SA_IN_SET
    _fields_ = [("header", Header), ("spi", U32), ("vni", U32), ("peer", U16), ("worker", U16), ("key", U8 * 32),
                ("salt", U8 * 4), ("sequence", U64), ("lifetime", Lifetime)]


class SaOut(ctypes.Structure):
    TYPE = SA_OUT_SET
    _fields_ = [("header", Header), ("vni", U32), ("peer", U16), ("worker", U16), ("spi", U32), ("source_port", U16),
                ("reserved", U16), ("key", U8 * 32), ("salt", U8 * 4), ("reserved2", U32), ("sequence", U64),
                ("lifetime", Lifetime)]


class SaInDel(ctypes.Structure):
    TYPE = SA_IN_DEL
    _fields_ = [("header", Header), ("spi", U32), ("reserved", U32)]


class SaOutDel(ctypes.Structure):
    TYPE = SA_OUT_DEL
    _fields_ = [("header", Header), ("vni", U32), ("peer", U16), ("worker", U16), ("spi", U32), ("reserved", U32)]


class Request(ctypes.Structure):
    _fields_ = [("header", Header), ("tag", U64)]


class Traffic(ctypes.Structure):
    _fields_ = [("packets", U64), ("bytes", U64)]


class TenantCounters(ctypes.Structure):
    _fields_ = [("access_rx", Traffic), ("wan_rx", Traffic), ("access_tx", Traffic), ("wan_tx", Traffic),
                ("kernel_tx", Traffic), ("copies", U64), ("drop", U64 * len(DROPS))]

    def drops(self):
        return {name: self.drop[i] for i, name in enumerate(DROPS) if self.drop[i]}

    def received(self):
        return self.access_rx.packets + self.wan_rx.packets

    def difference(self):
        return (self.received() + self.copies - self.access_tx.packets - self.wan_tx.packets - self.kernel_tx.packets
                - sum(self.drop))


class TenantStats(ctypes.Structure):
    _fields_ = [("header", Header), ("tag", U64), ("vni", U32), ("macs", U32), ("counters", TenantCounters)]


class WorkerCounters(ctypes.Structure):
    _fields_ = [(name, U64) for name in ("loops", "busy_loops", "sleeps", "handover_in", "handover_out", "fence_asked",
                                         "learn_lost")]


class WorkerStats(ctypes.Structure):
    _fields_ = [("header", Header), ("tag", U64), ("worker", U16), ("lcore", U16), ("reserved", U32),
                ("counters", WorkerCounters)]


class PortStats(ctypes.Structure):
    _fields_ = [("header", Header), ("tag", U64), ("port", U16), ("link_up", U8), ("reserved", U8 * 5),
                ("rx", Traffic), ("tx", Traffic), ("rx_missed", U64), ("rx_errors", U64), ("tx_errors", U64),
                ("rx_no_buffer", U64)]


class SaCounters(ctypes.Structure):
    _fields_ = [("packets", U64), ("bytes", U64), ("sequence", U64)]


class SaStats(ctypes.Structure):
    _fields_ = [("header", Header), ("tag", U64), ("vni", U32), ("spi", U32), ("peer", U16), ("worker", U16),
                ("direction", U8), ("expired", U8), ("reserved", U8 * 2), ("age_ms", U64), ("counters", SaCounters)]


class FdbEntry(ctypes.Structure):
    _fields_ = [("header", Header), ("tag", U64), ("vni", U32), ("mac", U8 * 6), ("peer", U16), ("port", U16),
                ("vlan", U16), ("age_s", U32)]


class Denied(ctypes.Structure):
    _fields_ = [("header", Header), ("policy_revision", U64), ("packets", U64), ("vni", U32), ("peer", U16),
                ("reserved", U16), ("destination", Address), ("reason", U32)]


class Switches(ctypes.Structure):
    TYPE = SWITCHES_SET
    _fields_ = [("header", Header), ("size", U64)]


class Shadow(ctypes.Structure):
    TYPE = SHADOW_SET
    _fields_ = [("header", Header), ("policy_revision", U64), ("size", U64)]


class ShadowStats(ctypes.Structure):
    _fields_ = [("header", Header), ("tag", U64), ("policy_revision", U64), ("vni", U32), ("peer", U16),
                ("difference", U8), ("reserved", U8), ("packets", U64), ("bytes", U64)]


class SaNotice(ctypes.Structure):
    _fields_ = [("vni", U32), ("spi", U32), ("peer", U16), ("worker", U16), ("direction", U8), ("cause", U8),
                ("expired", U8), ("reserved", U8)]


class SaNotices(ctypes.Structure):
    _fields_ = [("header", Header), ("count", U32), ("reserved", U32), ("notice", SaNotice * NOTICES_MAX)]


# Structure of the header file → layout here.
CONTRACT = {
    "pont_address": Address, "pont_link_header": Header, "pont_link_port": Port, "pont_link_hello": Hello,
    "pont_link_begin": Begin, "pont_link_commit": Commit, "pont_link_ack": Ack, "pont_link_error": Error,
    "pont_link_site": Site, "pont_link_fence": Fence, "pont_link_tenant": Tenant, "pont_link_circuit": Circuit,
    "pont_link_peer": Peer, "pont_link_member": Member, "pont_link_adjacency": Adjacency, "pont_link_sa_in": SaIn,
    "pont_link_sa_out": SaOut, "pont_link_sa_in_del": SaInDel, "pont_link_sa_out_del": SaOutDel,
    "pont_link_request": Request, "pont_link_tenant_stats": TenantStats, "pont_link_worker_stats": WorkerStats,
    "pont_link_port_stats": PortStats, "pont_link_sa_stats": SaStats, "pont_link_fdb_entry": FdbEntry,
    "pont_link_denied": Denied, "pont_link_switches": Switches, "pont_link_shadow": Shadow,
    "pont_link_shadow_stats": ShadowStats, "pont_link_lifetime": Lifetime, "pont_link_sa_notice": SaNotice,
    "pont_link_sa_notices": SaNotices, "pont_traffic": Traffic, "pont_tenant_counters": TenantCounters,
    "pont_worker_counters": WorkerCounters, "pont_sa_counters": SaCounters,
}

RECORDS = {HELLO: Hello, ACK: Ack, ERROR: Error, TENANT_STATS: TenantStats, WORKER_STATS: WorkerStats,
           PORT_STATS: PortStats, SA_STATS: SaStats, FDB_ENTRY: FdbEntry, END: Request, DENIED: Denied,
           SA_NOTICES: SaNotices, SHADOW_STATS: ShadowStats}


def message(cls, **fields):
    """A message of class cls with its header filled in. Bytes and strings fit themselves to arrays."""
    made = cls()
    made.header = Header(MAGIC, cls.TYPE, ctypes.sizeof(cls))
    kinds = dict(cls._fields_)
    for name, value in fields.items():
        kind = kinds[name]
        if issubclass(kind, ctypes.Array) and kind._type_ is U8:
            value = kind(*value)
        elif kind is Address and not isinstance(value, Address):
            value = Address.of(value)
        elif isinstance(value, str):
            value = value.encode()
        setattr(made, name, value)
    return made


class LinkError(Exception):
    """The dataplane answered ERROR."""

    def __init__(self, record):
        self.record = record
        self.code = errno.errorcode.get(record.code, str(record.code))
        self.text = record.text.decode()
        super().__init__(f"{self.code} at message {record.message} (type {record.type}): {self.text}")


class Link:
    """One connection. Messages with a file descriptor are pairs (message, descriptor)."""

    def __init__(self, path, patience=5.0):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.patience = patience
        self.revision = int(time.time() * 1000)
        self.tag = 0
        self.denied = []
        self.notices = []
        self.hello = self.receive()
        assert isinstance(self.hello, Hello)

    def close(self):
        self.socket.close()

    def receive(self, patience=None, skip_denied=True):
        """The next record; None if the dataplane closed the connection. TimeoutError if nothing comes."""
        end = time.monotonic() + (self.patience if patience is None else patience)
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError("the dataplane does not answer")
            data = self.socket.recv(MESSAGE_MAX)
            if not data:
                return None
            header = Header.from_buffer_copy(data)
            assert header.magic == MAGIC and header.length == len(data), data.hex()
            record = RECORDS[header.type].from_buffer_copy(data)
            if isinstance(record, Denied):
                self.denied.append(record)
                if skip_denied:
                    continue
            if isinstance(record, SaNotices):
                self.notices += record.notice[:record.count]
                continue
            return record

    def send(self, data, descriptor=None):
        ancillary = []
        if descriptor is not None:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        self.socket.sendmsg([bytes(data)], ancillary)

    def transaction(self, *messages, full=False):
        """BEGIN, the messages, COMMIT; returns the revision acknowledged, or raises LinkError."""
        self.revision += 1
        self.send(message(Begin, revision=self.revision, flags=BEGIN_FULL if full else 0))
        for one in messages:
            self.send(*one) if isinstance(one, tuple) else self.send(one)
        self.send(message(Commit, revision=self.revision))
        answer = self.receive()
        if isinstance(answer, Error):
            raise LinkError(answer)
        assert isinstance(answer, Ack) and answer.revision == self.revision, answer
        return answer.revision

    def query(self, kind):
        self.tag += 1
        request = Request(Header(MAGIC, kind, ctypes.sizeof(Request)), self.tag)
        self.send(request)
        records = []
        while True:
            record = self.receive()
            if isinstance(record, Error):
                raise LinkError(record)
            assert record is not None and record.tag == self.tag
            if record.header.type == END:
                return records
            records.append(record)

    def tenant_counters(self):
        """VNI → TenantCounters."""
        return {record.vni: record.counters for record in self.query(STATS_GET) if isinstance(record, TenantStats)}

    def tenant_macs(self):
        return {record.vni: record.macs for record in self.query(STATS_GET) if isinstance(record, TenantStats)}

    def fdb(self):
        """{(vni, mac): ("peer", number) or ("circuit", port, vlan)}"""
        return {(entry.vni, bytes(entry.mac).hex(":")):
                ("peer", entry.peer) if entry.peer else ("circuit", entry.port, entry.vlan)
                for entry in self.query(FDB_GET)}

    def sas(self):
        return {(record.direction, record.spi): record for record in self.query(SAS_GET)}
