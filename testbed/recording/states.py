"""The states of a cluster that are recorded, and the ways there and back."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .cluster import NODES, Cluster
from .server import Server, product, wait_until


def record_all(cluster: Cluster) -> None:
    """Every state, from harmless to destructive; each leaves the cluster healthy for the next."""
    cluster.record("fresh")
    cluster.create()
    cluster.put_keys(database=0, count=30)
    cluster.record("healthy")
    record_named(cluster)
    record_open_slots(cluster)
    record_slots_without_owner(cluster)
    record_handshake(cluster)
    if cluster.engine.name == "valkey-9.1":
        record_databases(cluster)
    record_suspected(cluster)
    record_minority(cluster)
    record_failed_over(cluster)
    record_noaddr(cluster)


def record_named(cluster: Cluster) -> None:
    """Nodes announce a host name and, where the engine has that, a node name and a zone; no shard is in one zone."""
    settings = [("cluster-announce-hostname", lambda at: f"node-{at + 1}.example.org")]
    if cluster.engine.name != "redis-7.0":
        settings.append(("cluster-announce-human-nodename", lambda at: f"node-{at + 1}"))
    if product(cluster.engine) == "valkey":
        zones = {}
        for number, primary in enumerate(cluster.primaries()):
            zones[primary] = f"zone-{'abc'[number]}"
            zones[cluster.replica_of(primary)] = f"zone-{'bca'[number]}"
        settings.append(("availability-zone", lambda at: zones[cluster.servers[at]]))
    for setting, value in settings:
        for at, server in enumerate(cluster.servers):
            server.call("CONFIG", "SET", setting, value(at))

    def names(server: Server) -> int:
        return sum(".example.org" in words[1] for words in server.entries())
    wait_until("all nodes know all names", lambda: all(names(server) == NODES for server in cluster.servers))
    if cluster.engine.name == "valkey-9.1":
        def zoned(server: Server) -> bool:
            return json.dumps(server.call("CLUSTER", "SHARDS")).count("zone-") == NODES
        wait_until("all nodes know all zones", lambda: all(map(zoned, cluster.servers)))
    cluster.record("named")
    for setting, _ in settings:
        for server in cluster.servers:
            server.call("CONFIG", "SET", setting, "")
    wait_until("all nodes forget all names", lambda: all(names(server) == 0 for server in cluster.servers))


def record_open_slots(cluster: Cluster) -> None:
    """Slots 0 and 1 migrate from the first primary to the second, which imports slot 0 only."""
    source, destination, _ = cluster.primaries()
    for slot in (0, 1):
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", destination.node_id())
    destination.call("CLUSTER", "SETSLOT", 0, "IMPORTING", source.node_id())
    cluster.record("open-slots")
    for slot in (0, 1):
        source.call("CLUSTER", "SETSLOT", slot, "STABLE")
    destination.call("CLUSTER", "SETSLOT", 0, "STABLE")
    cluster.wait_until_healthy()


def record_slots_without_owner(cluster: Cluster) -> None:
    """Slots 100 to 102 are first given up by their owner alone, then by all."""
    slots = (100, 101, 102)
    owner = cluster.primaries()[0]
    owner.call("CLUSTER", "DELSLOTS", *slots)
    cluster.record("disagreement")
    for server in cluster.servers:
        if server is not owner:
            server.call("CLUSTER", "DELSLOTS", *slots)
    wait_until("no node serves", lambda: all(server.state_is("fail") for server in cluster.servers))
    cluster.record("uncovered")
    owner.call("CLUSTER", "ADDSLOTS", *slots)
    cluster.wait_until_healthy()


def record_handshake(cluster: Cluster) -> None:
    """The first server meets a port where nothing listens."""
    first = cluster.servers[0]
    first.call("CLUSTER", "MEET", "127.0.0.1", first.port + NODES)
    wait_until("the handshake shows", lambda: any("handshake" in words[2] for words in first.entries()))
    cluster.record("handshake")
    cluster.wait_until_healthy()


def record_databases(cluster: Cluster) -> None:
    """Keys in several databases of each node."""
    cluster.put_keys(database=3, count=20)
    cluster.put_keys(database=15, count=5)
    cluster.record("databases")
    for server in cluster.primaries():
        for database in (3, 15):
            server.call("SELECT", database)
            server.call("FLUSHDB")
        server.call("SELECT", 0)
    wait_until("only the first database has keys", lambda: all(
        list(server.info("keyspace")) == ["db0"] for server in cluster.servers))


def record_suspected(cluster: Cluster) -> None:
    """The first primary is paused; some nodes suspect it already (`fail?`), none is sure (`fail`)."""
    paused = cluster.primaries()[0]
    node = paused.node_id()
    with pausing([paused]):
        replies = {}

        def suspected() -> bool:
            replies.update(cluster.replies())
            words = [line.split()[2].split(",") for said in replies.values()
                     for line in str(said.get("CLUSTER NODES", "")).splitlines() if line.startswith(node)]
            if any("fail" in flags for flags in words):
                sys.exit("record-replies: the node was called failed before `fail?` was seen: try again")
            return any("fail?" in flags for flags in words)
        wait_until("a node suspects the one that is paused", suspected)
        cluster.record("suspected", replies)
    cluster.wait_until_healthy()


def record_minority(cluster: Cluster) -> None:
    """Two of three primaries are paused: the third cannot call them failed, and nobody serves."""
    paused = cluster.primaries()[:2]
    nodes = [server.node_id() for server in paused]
    with pausing(paused):
        wait_until("nobody serves, and all suspect both", lambda: all(
            server.state_is("fail") and all("fail?" in server.flags(node) for node in nodes)
            for server in cluster.answering()))
        cluster.record("minority")
    cluster.wait_until_healthy()


def record_failed_over(cluster: Cluster) -> None:
    """The first primary is killed: first only its replica has noticed, then that has become primary. It comes back."""
    killed = cluster.primaries()[0]
    replica = cluster.replica_of(killed)
    node, successor = killed.node_id(), replica.node_id()
    killed.kill()
    wait_until("the replica's link is down", lambda: replica.info("replication")["master_link_status"] == "down")
    cluster.record("killed")
    wait_until("its replica has taken over", lambda: all(
        server.state_is("ok") and "fail" in server.flags(node) and "master" in server.flags(successor)
        for server in cluster.answering()) and all(
        words[7] == "connected" for server in cluster.answering() for words in server.entries() if words[0] != node))
    cluster.record("failed-over")
    killed.start()
    cluster.wait_until_healthy()


def record_noaddr(cluster: Cluster) -> None:
    """A replica has lost its nodes.conf, but not its data: under another id it claims the slots of its keys.

    The others know its old id, but no address of it any more, and it knows none of them.
    """
    lost = cluster.replica_of(cluster.primaries()[0])
    node = lost.node_id()
    lost.kill()
    (lost.directory / "nodes.conf").unlink()
    lost.start()
    others = [server for server in cluster.servers if server is not lost]
    wait_until("nobody knows the address", lambda: all("noaddr" in server.flags(node) for server in others))
    wait_until("it claims the slots of its keys", lambda: len(lost.entries()[0]) > 8)
    cluster.record("noaddr")


@contextmanager
def pausing(servers: list[Server]) -> Iterator[None]:
    for server in servers:
        server.pause()
    try:
        yield
    finally:
        for server in servers:
            server.resume()
