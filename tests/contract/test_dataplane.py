# SPDX-License-Identifier: BSD-3-Clause
"""The control process with a real dataplane: replay, adjacencies, and undoing; and with a real peer: SAs and members."""
import os
import time

import pytest

from process import Failed, Site, public_key

pytestmark = pytest.mark.skipif(not os.path.exists(
    f"{os.environ.get('PONTLEVIS_BUILD', 'build')}/dataplane/pontlevis-dataplane"), reason="the build has no dataplane")


@pytest.fixture
def appliance(site):
    """Control and dataplane of one site, connected."""
    site.start_dataplane()
    site.start()
    site.eventually(lambda: site.call("state.get")["dataplane"]["connected"], "a dataplane")
    yield site
    assert site.stop() == 0, site.output()
    assert site.dataplane is None or site.dataplane.poll() is None, "the dataplane has died"


def tenant_vnis(site):
    return {tenant["vni"] for tenant in site.call("stats.get")["tenants"]}


def in_force(site):
    return site.call("state.get")["dataplane"]["in_force"]


def test_commit_reaches_the_dataplane(appliance):
    state = appliance.call("state.get")["dataplane"]
    assert [(port["name"], port["role"]) for port in state["ports"]] == [
        ("lan0", "access"), ("wan0", "wan"), ("lan1", "access")]
    assert state["pid"] == appliance.dataplane.pid and not state["in_force"]
    assert appliance.call("config.commit", config=appliance.document())["dataplane"] == "applied"
    assert in_force(appliance)
    assert tenant_vnis(appliance) == {0, 100, 200}
    document = appliance.document()
    document["tenants"].pop(0)
    appliance.call("config.commit", config=document)
    assert tenant_vnis(appliance) == {0, 200}
    stats = appliance.call("stats.get", tenant="ministere")["tenants"]
    assert [tenant["name"] for tenant in stats] == ["ministere"]
    assert stats[0]["balance"]["difference"] == 0 and stats[0]["drops"]["fence.denied"] == 0
    assert appliance.call("fdb.list") == {"total": 0, "entries": []}
    assert appliance.call("sas.list") == {"sas": []}
    assert appliance.call("tenants.list")["tenants"][0]["macs"] == 0
    assert appliance.call("fence.status")["counters"]["dataplane"] == {"deny": 0, "deny_no_policy": 0, "deny_locked": 0}


@pytest.mark.parametrize("port, words", [("lan9", "no port \"lan9\"; access ports are: lan0, lan1"),
                                         ("wan0", "not an access port")])
def test_port_that_is_not_there_is_refused(appliance, port, words):
    appliance.call("config.commit", config=appliance.document())
    document = appliance.document()
    document["tenants"][0]["circuits"][0]["port"] = port
    with pytest.raises(Failed) as failure:
        appliance.call("config.commit", config=document)
    assert failure.value.pointer == "/tenants/0/circuits/0/port" and words in failure.value.message
    assert in_force(appliance) and appliance.call("state.get")["revision"] == 1


def test_dataplane_that_comes_later_or_again_is_told_everything(site):
    site.start()
    assert site.call("config.commit", config=site.document())["dataplane"] == "absent"
    site.start_dataplane()
    site.eventually(lambda: in_force(site), "a replay")
    boot = site.call("state.get")["dataplane"]["boot_id"]
    assert tenant_vnis(site) == {0, 100, 200}
    site.kill_dataplane()
    site.eventually(lambda: not site.call("state.get")["dataplane"]["connected"], "the loss")
    with pytest.raises(Failed) as failure:
        site.call("stats.get")
    assert failure.value.code == -32004 and failure.value.errno == "ENOTCONN"
    site.start_dataplane()
    site.eventually(lambda: in_force(site), "another replay")
    assert site.call("state.get")["dataplane"]["boot_id"] != boot
    assert tenant_vnis(site) == {0, 100, 200}
    assert site.stop() == 0


def test_dataplane_goes_on_without_control_and_is_swept_when_it_is_back(appliance):
    appliance.call("config.commit", config=appliance.document())
    pid = appliance.dataplane.pid
    assert appliance.stop() == 0
    assert appliance.dataplane.poll() is None
    appliance.start()
    appliance.eventually(lambda: in_force(appliance), "a replay")
    assert appliance.call("state.get")["dataplane"]["pid"] == pid
    assert tenant_vnis(appliance) == {0, 100, 200}


def test_configuration_that_does_not_fit_a_new_dataplane_is_reported(site):
    site.start()
    document = site.document()
    document["tenants"][1]["circuits"][0]["port"] = "lan7"
    site.call("config.commit", config=document)
    site.start_dataplane()
    problem = site.eventually(lambda: site.call("state.get")["dataplane"]["problem"], "a problem")
    assert problem["pointer"] == "/tenants/1/circuits/0/port" and "lan7" in problem["text"]
    assert not in_force(site) and site.call("state.get")["in_force"]
    assert site.call("config.commit", config=site.document())["dataplane"] == "applied"
    assert in_force(site) and tenant_vnis(site) == {0, 100, 200}
    assert site.stop() == 0


def adjacency(site, number=0):
    return site.call("peers.list")["peers"][number]["adjacency"]


def test_adjacencies_follow_the_kernel(appliance):
    appliance.call("config.commit", config=appliance.document())
    assert adjacency(appliance) is None
    appliance.inside_ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev wan0")
    found = appliance.eventually(lambda: adjacency(appliance), "an adjacency")
    assert found["destination_mac"] == "02:00:00:00:00:02" and found["port"] == "wan0"
    assert (found["source"], found["destination"]) == ("192.0.2.1", "192.0.2.2") and found["path_mtu"] <= 1500
    # A commit that has nothing to do with it leaves it in place, and so does a reload.
    document = appliance.document()
    document["tenants"].append({"name": "third", "vni": 300})
    appliance.call("config.commit", config=document)
    assert adjacency(appliance) == found
    assert appliance.call("fence.reload")["dataplane"] == "applied"
    assert adjacency(appliance) == found
    appliance.inside_ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:22 dev wan0")
    appliance.eventually(lambda: adjacency(appliance)["destination_mac"] == "02:00:00:00:00:22", "the new address")
    appliance.inside_ip("link set wan0 down")
    appliance.eventually(lambda: adjacency(appliance) is None, "its end")


def test_refused_commit_leaves_the_dataplane_as_it_was(appliance):
    appliance.call("config.commit", config=appliance.document())
    appliance.inside_ip("neigh replace 192.0.2.2 lladdr 02:00:00:00:00:02 dev wan0")
    found = appliance.eventually(lambda: adjacency(appliance), "an adjacency")
    document = appliance.document()
    document["site"]["keys_port"] = 4600
    document["tenants"] = [{"name": "other", "vni": 999}]
    document["peers"] = [{"name": "par7", "endpoint": "192.0.2.7", "public_key": public_key(7)}]
    with appliance.port_taken("192.0.2.1", 4600), pytest.raises(Failed):
        appliance.call("config.commit", config=document)
    assert tenant_vnis(appliance) == {0, 100, 200}
    assert in_force(appliance) and adjacency(appliance) == found
    assert "config.undo_failed" not in [event["event"] for event in appliance.call("audit.tail")["events"]]


def test_refused_first_commit_leaves_the_dataplane_empty(appliance):
    with appliance.port_taken("192.0.2.1", 4501), pytest.raises(Failed):
        appliance.call("config.commit", config=appliance.document())
    assert tenant_vnis(appliance) == {0} and not in_force(appliance)
    assert appliance.call("config.commit", config=appliance.document())["dataplane"] == "applied"
    assert tenant_vnis(appliance) == {0, 100, 200}


# --- two sites ---


@pytest.fixture
def pair(build, tmp_path_factory):
    """par1 and par2, each with its dataplane, connected and configured for each other."""
    sites = [Site(build, tmp_path_factory.mktemp(f"par{number}"), number, wan=False) for number in (1, 2)]
    sites[0].connect(sites[1])
    for site in sites:
        site.start_dataplane()
        site.start()
    keys = []
    for site in sites:
        site.eventually(lambda site=site: site.call("state.get")["dataplane"]["connected"], "a dataplane")
        site.call("config.commit", config=site.document(peers=[], tenants=[]))
        keys.append(site.call("state.get")["site"]["public_key"])
    for site, other, key in zip(sites, reversed(sites), reversed(keys)):
        site.good = site.document(peers=[{"name": f"par{other.address}", "endpoint": f"192.0.2.{other.address}",
                                          "public_key": key}])
        del site.good["tenants"][1]["peers"]
        site.call("config.commit", config=site.good)
    yield sites
    for site in sites:
        assert site.stop() == 0, site.output()
        assert site.dataplane.poll() is None, "the dataplane has died"
    for site in sites:
        site.remove()


def sas(site):
    """(direction, VNI) → SPIs in use."""
    found = {}
    for sa in site.call("sas.list")["sas"]:
        assert "key" not in sa and "salt" not in sa
        if sa["known"] and not sa["draining"] and sa["packets"] is not None:
            found.setdefault((sa["direction"], sa["vni"]), set()).add(sa["spi"])
    return found


ALL = {("in", 100), ("out", 100), ("in", 200), ("out", 200)}


def agree(sites, wanted=ALL):  # noqa: the default is not changed
    """While SAs take the place of others, one site has what the other does not have yet, or not any more."""
    def agreed():
        first, second = (sas(site) for site in sites)
        return set(first) == set(second) == set(wanted) and all(
            first["out", vni] == second["in", vni] and first["in", vni] == second["out", vni] for _, vni in wanted)

    sites[0].eventually(agreed, f"SAs {sorted(wanted)} at both, {[sas(site) for site in sites]}")


def members(site):
    return {tenant["name"] for tenant in site.call("tenants.list")["tenants"]
            if any(peer["member"] for peer in tenant["peers"])}


def test_two_sites_agree_and_part_tenant_by_tenant(pair):
    agree(pair)
    assert members(pair[0]) == members(pair[1]) == {"hopital", "ministere"}
    peer = pair[0].call("peers.list")["peers"][0]
    assert peer["session"] == "up" and peer["remote_site"] == "par2" and peer["tenants"] == 2
    before = sas(pair[0])
    document = dict(pair[1].good, tenants=pair[1].good["tenants"][:1])
    pair[1].call("config.commit", config=document)
    agree(pair, {("in", 100), ("out", 100)})
    pair[0].eventually(lambda: members(pair[0]) == {"hopital"}, "the members")
    assert sas(pair[0])["in", 100] == before["in", 100], "the other tenant was not disturbed"
    pair[1].call("config.commit", config=pair[1].good)
    agree(pair)


def test_commit_that_is_undone_brings_the_sas_of_a_dropped_tenant_back(pair):
    agree(pair)
    before = sas(pair[0])
    document = dict(pair[0].good, tenants=pair[0].good["tenants"][1:])
    document["site"] = dict(document["site"], keys_port=4600)
    with pair[0].port_taken("192.0.2.1", 4600), pytest.raises(Failed):
        pair[0].call("config.commit", config=document)
    agree(pair)
    assert sas(pair[0])["in", 200] == before["in", 200], "the tenant in both was not disturbed"
    assert sas(pair[0])["in", 100] != before["in", 100], "a key is never used twice"
    pair[0].eventually(lambda: members(pair[0]) == {"hopital", "ministere"}, "the members")


def test_restarted_dataplane_gets_new_keys(pair):
    agree(pair)
    before = sas(pair[0])
    pair[0].kill_dataplane()
    pair[0].eventually(lambda: not pair[0].call("state.get")["dataplane"]["connected"], "the loss")
    pair[0].start_dataplane()
    pair[0].eventually(lambda: in_force(pair[0]), "a replay")
    agree(pair)
    assert not before["in", 100] & sas(pair[0])["in", 100]


def test_restarted_control_agrees_again_and_leaves_no_old_sas(pair):
    agree(pair)
    old = {spi for spis in sas(pair[0]).values() for spi in spis}
    assert pair[0].stop() == 0
    pair[0].start()
    pair[0].eventually(lambda: in_force(pair[0]), "a replay")
    agree(pair)

    def gone():
        return not old & {sa["spi"] for sa in pair[0].call("sas.list")["sas"]}

    pair[0].eventually(gone, "the end of the old SAs", 90)


def test_peer_that_a_reload_denies_is_cut_off(pair):
    agree(pair)
    with open(pair[0].dataset, encoding="utf-8") as file:
        rows = file.read()
    pair[0].write_dataset(rows.replace("192.0.2.0/24,FR,Exemple Metro,FR", "192.0.2.0/24,FR,Exemple Metro,US"))
    assert pair[0].call("fence.reload")["denied_peers"] == ["par2"]
    assert pair[0].send("192.0.2.2").startswith("PermissionError")
    assert pair[0].call("peers.list")["peers"][0]["fence"]["allowed"] is False
    time.sleep(0.5)
    pair[0].write_dataset(rows)
    assert pair[0].call("fence.reload")["denied_peers"] == []
    agree(pair)


# --- revocation ---


def test_revoked_tenant_has_no_keys_until_it_is_reinstated(pair):
    agree(pair)
    before = sas(pair[0])
    answer = pair[0].call("keys.revoke", tenant="hopital")
    assert answer["sas_in"] >= 1 and answer["sas_out"] == 1 and answer["dataplane"] and answer["ms"] > 0
    # Gone before the answer, here; and there, as soon as the peer has heard it.
    assert set(sas(pair[0])) == {("in", 200), ("out", 200)}
    agree(pair, {("in", 200), ("out", 200)})
    assert sas(pair[0])["in", 200] == before["in", 200], "the other tenant was not disturbed"
    pair[0].eventually(lambda: members(pair[0]) == {"ministere"}, "the members")
    assert [entry["tenant"] for entry in pair[0].call("keys.revoked")["revoked"]] == ["hopital"]
    # Neither a commit nor a restart brings it back.
    pair[0].call("config.commit", config=dict(pair[0].good, keys={"session_lifetime_seconds": 3000}))
    assert pair[0].stop() == 0
    pair[0].start()
    pair[0].eventually(lambda: in_force(pair[0]), "a replay")
    pair[0].eventually(lambda: pair[0].call("peers.list")["peers"][0]["session"] == "up", "a session")
    agree(pair, {("in", 200), ("out", 200)})
    pair[0].call("keys.reinstate", tenant="hopital")
    agree(pair)
    assert not before["in", 100] & sas(pair[0])["in", 100]
    assert pair[0].call("keys.revoked") == {"revoked": []}


def test_revoked_peer_has_no_session_and_no_keys(pair):
    agree(pair)
    answer = pair[0].call("keys.revoke", peer="par2")
    assert answer["sas_in"] >= 2 and answer["sas_out"] == 2 and answer["sessions"] == 1
    assert pair[0].call("sas.list")["sas"] == []
    assert pair[0].call("peers.list")["peers"][0]["session"] == "down"
    pair[1].eventually(lambda: pair[1].call("peers.list")["peers"][0]["session"] != "up", "the end of the session")
    assert pair[0].call("keys.reinstate", peer="par2") == {"tenant": None, "peer": "par2"}
    agree(pair)


def test_tenant_is_revoked_at_one_peer(pair):
    agree(pair)
    pair[0].call("keys.revoke", tenant="hopital", peer="par2")
    agree(pair, {("in", 200), ("out", 200)})
    for wrong in ({"tenant": "hopital"}, {"peer": "par2"}):
        with pytest.raises(Failed) as failure:
            pair[0].call("keys.reinstate", **wrong)
        assert failure.value.code == -32006
    pair[0].call("keys.reinstate", tenant="hopital", peer="par2")
    agree(pair)


def test_revocation_names_what_there_is(pair):
    for wrong, code in (({}, -32602), ({"tenant": "nobody"}, -32006), ({"peer": "par9"}, -32006)):
        with pytest.raises(Failed) as failure:
            pair[0].call("keys.revoke", **wrong)
        assert failure.value.code == code


def test_damaged_record_of_revocations_is_not_taken_for_none(site):
    site.start()
    assert site.stop() == 0
    path = os.path.join(site.state, "revoked.json")
    for text in ("", "{}", "[{}]", '[{"vni": null, "peer": null}]', '[{"vni": "100", "peer": null}]'):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = site.run()
        assert done.returncode != 0 and "revoked.json: is damaged" in done.stderr, text


def test_renewal_replaces_sas_in_the_same_session(pair):
    agree(pair)
    before, handshakes = sas(pair[0]), pair[0].call("peers.list")["peers"][0]["handshakes"]
    assert pair[0].call("keys.renew", tenant="hopital")["sas_out"] == 1
    pair[0].eventually(lambda: set(sas(pair[0])) == ALL and not before["in", 100] & sas(pair[0])["in", 100]
                       and not before["out", 100] & sas(pair[0])["out", 100], "fresh SAs")
    agree(pair)
    assert sas(pair[0])["in", 200] == before["in", 200]
    assert pair[0].call("peers.list")["peers"][0]["handshakes"] == handshakes


def test_configured_lifetimes_are_kept(pair):
    """Seconds of life: SAs and sessions go on being replaced."""
    agree(pair)
    short = {"sa_lifetime": {"seconds": 2}, "session_lifetime_seconds": 3}
    pair[0].call("config.commit", config=dict(pair[0].good, keys=short))
    seen = set()

    def replaced():
        found = sas(pair[0])
        seen.update(spi for spis in found.values() for spi in spis)
        return len(seen) > 20 and pair[0].call("peers.list")["peers"][0]["handshakes"] > 3

    pair[0].eventually(replaced, "SAs and sessions replaced", 60)
    with pytest.raises(Failed) as failure:
        pair[0].call("config.commit", config=dict(pair[0].good, keys={"sa_lifetime": {"seconds": 3601}}))
    assert failure.value.code == -32002


# --- keys by hand, in builds that have them ---


def lab(site):
    if not site.call("version")["manual_keys"]:
        pytest.skip("the build has no manual_keys")
    site.call("config.commit", config=site.document())
    return {"vni": 100, "peer": "par2", "worker": 0, "spi": 0x01020304, "key": "ab" * 32, "salt": "cd" * 4}


def test_sas_set_by_hand_are_there_and_make_a_member(appliance):
    good = lab(appliance)
    assert appliance.call("lab.sa_in", **good, sequence=2 ** 32) == {}
    assert members(appliance) == set()
    assert appliance.call("lab.sa_out", **good, source_port=50000) == {}
    assert members(appliance) == {"hopital"}
    found = appliance.call("sas.list")["sas"]
    assert {(sa["direction"], sa["spi"], sa["known"], sa["sequence"]) for sa in found} == {
        ("in", 0x01020304, False, 2 ** 32), ("out", 0x01020304, False, 0)}
    with pytest.raises(Failed) as failure:
        appliance.call("lab.sa_in", **good)
    assert failure.value.code == -32004 and failure.value.errno == "EEXIST"


@pytest.mark.parametrize("name, value, code", [
    ("key", "ab" * 31, -32602), ("key", "zz" * 32, -32602), ("salt", "", -32602), ("spi", 255, -32602),
    ("worker", 16, -32602), ("vni", 0, -32602), ("peer", "par9", -32006), ("vni", 999, -32004), ("worker", 9, -32004)])
def test_sa_by_hand_that_makes_no_sense_is_refused(appliance, name, value, code):
    parameters = dict(lab(appliance), **{name: value})
    with pytest.raises(Failed) as failure:
        appliance.call("lab.sa_in", **parameters)
    assert failure.value.code == code
    assert appliance.call("sas.list")["sas"] == []
