"""One server process, and talking to it."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

NODE_TIMEOUT_MILLISECONDS = 2000
DEADLINE_SECONDS = 60
REPLY_SECONDS = 5


class Refused(Exception):
    """The server answered with an error."""


class Server:
    """One server process and a connection to it."""

    def __init__(self, engine: Path, directory: Path, port: int) -> None:
        self.port = port
        self.directory = directory / str(port)
        self.directory.mkdir()
        self.program = engine / "bin" / f"{product(engine)}-server"
        settings = {
            "bind": "127.0.0.1",
            "port": str(port),
            "dir": str(self.directory),
            "logfile": "server.log",
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(NODE_TIMEOUT_MILLISECONDS),
            "save": '""',
            "appendonly": "no",
            "repl-diskless-sync-delay": "0",
        }
        if engine.name == "valkey-9.1":
            settings["cluster-databases"] = "16"
        self.configuration = self.directory / "server.conf"
        self.configuration.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        self.process: subprocess.Popen | None = None
        self.stream = None
        self.silence: str | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen([self.program, self.configuration], stdout=subprocess.DEVNULL)
        self.silence = None
        wait_until(f"{self.address} answers", lambda: self.ping())

    def ping(self) -> bool:
        try:
            return self.call("PING") == "PONG"
        except (OSError, Refused):
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process, self.stream, self.silence = None, None, "killed"

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        self.silence = "paused"

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.silence = None

    def call(self, *words: object):
        """The reply to a command: text, number, None or a list of these."""
        try:
            if self.stream is None:
                self.stream = socket.create_connection(("127.0.0.1", self.port), REPLY_SECONDS).makefile("rwb")
            arguments = [str(word).encode() for word in words]
            self.stream.write(b"*%d\r\n" % len(arguments))
            for argument in arguments:
                self.stream.write(b"$%d\r\n%s\r\n" % (len(argument), argument))
            self.stream.flush()
            return self.read_reply()
        except OSError:
            self.stream = None
            raise

    def read_reply(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError(f"{self.address} closed the connection")
        kind, rest = line[:1], line[1:-2].decode()
        match kind:
            case b"+":
                return rest
            case b"-":
                raise Refused(rest)
            case b":":
                return int(rest)
            case b"$":
                return None if rest == "-1" else self.stream.read(int(rest) + 2)[:-2].decode()
            case b"*":
                return [self.read_reply() for _ in range(int(rest))]
        raise ConnectionError(f"{self.address} does not speak RESP2: {line!r}")

    def node_id(self) -> str:
        return self.call("CLUSTER", "MYID")

    def entries(self) -> list[list[str]]:
        """The words of each line of CLUSTER NODES."""
        return [line.split() for line in self.call("CLUSTER", "NODES").splitlines()]

    def flags(self, node: str) -> list[str]:
        """What this server says of the node with this id."""
        return next((words[2].split(",") for words in self.entries() if words[0] == node), [])

    def info(self, section: str) -> dict[str, str]:
        lines = self.call("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def state_is(self, state: str) -> bool:
        return f"cluster_state:{state}" in self.call("CLUSTER", "INFO").splitlines()


def wait_until(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"record-replies: waited {DEADLINE_SECONDS} s in vain: {what}")
        time.sleep(0.02)


def product(engine: Path) -> str:
    return engine.name.split("-")[0]
