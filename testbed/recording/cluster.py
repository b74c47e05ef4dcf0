"""Six servers that form a cluster."""

import subprocess
import sys
from pathlib import Path

from . import records
from .server import DEADLINE_SECONDS, Refused, Server, product, wait_until

NODES = 6


class Cluster:
    """Six servers, and where their replies go."""

    def __init__(self, engine: Path, servers: list[Server], directory: Path) -> None:
        self.engine = engine
        self.servers = servers
        self.directory = directory

    def answering(self) -> list[Server]:
        return [server for server in self.servers if server.silence is None]

    def primaries(self) -> list[Server]:
        """The primaries by their first slot."""
        owners = [words for words in self.servers[0].entries() if "master" in words[2] and len(words) > 8]
        owners.sort(key=lambda words: int(words[8].split("-")[0]))
        by_id = {server.node_id(): server for server in self.servers}
        return [by_id[words[0]] for words in owners]

    def replica_of(self, primary: Server) -> Server:
        node = primary.node_id()
        return next(server for server in self.servers if any(
            words[3] == node and "myself" in words[2] for words in server.entries()))

    def create(self) -> None:
        command = [self.engine / "bin" / f"{product(self.engine)}-cli", "--cluster", "create"]
        command += [server.address for server in self.servers] + ["--cluster-replicas", "1", "--cluster-yes"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
        if done.returncode != 0:
            sys.exit(f"record-replies: {' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        """Until every node serves, no node has a bad word for another, and every replica is linked."""
        def healthy(server: Server) -> bool:
            entries = server.entries()
            flags = {flag for words in entries for flag in words[2].split(",")}
            return (
                server.state_is("ok")
                and flags == {"myself", "master", "slave"}
                and len(entries) == NODES
                and sum("master" in words[2] for words in entries) == 3
                and all(words[7] == "connected" for words in entries)
                and not any("[" in word for words in entries for word in words[8:])
                and server.info("replication").get("master_link_status", "up") == "up"
            )
        wait_until("all nodes agree and serve", lambda: all(map(healthy, self.servers)) and self.maps_agree())

    def maps_agree(self) -> bool:
        def slots(server: Server) -> dict[str, tuple[str, ...]]:
            return {words[0]: (words[3], *words[8:]) for words in server.entries()}
        return all(slots(server) == slots(self.servers[0]) for server in self.servers)

    def put_keys(self, database: int, count: int) -> None:
        for server in self.primaries():
            if database != 0:
                server.call("SELECT", database)
            for number in range(count):
                try:
                    server.call("SET", f"key:{number}", number)
                except Refused as refusal:
                    if not str(refusal).startswith("MOVED"):
                        raise
            if database != 0:
                server.call("SELECT", 0)

    def replies(self) -> dict[int, dict[str, object]]:
        """What every node says, as close to one moment as can be; the reason of those that are silent."""
        return {
            server.port: {"SILENCE": server.silence + "\n"} if server.silence else {
                "CLUSTER NODES": server.call("CLUSTER", "NODES"),
                "CLUSTER INFO": server.call("CLUSTER", "INFO"),
                "INFO": server.call("INFO"),
                "CLUSTER SHARDS": server.call("CLUSTER", "SHARDS"),
            }
            for server in self.servers
        }

    def record(self, state: str, replies: dict[int, dict[str, object]] | None = None) -> None:
        directory = self.directory / state
        directory.mkdir(parents=True)
        for port, said in (replies or self.replies()).items():
            whole = state in ("fresh", "healthy") and port in (self.servers[0].port, self.servers[-1].port)
            records.write(directory / f"{port}.txt", said, whole)
        print(f"record-replies: {self.engine.name}: {state}", flush=True)
