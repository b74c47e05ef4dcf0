"""What is written of replies."""

import json
from collections.abc import Iterator
from pathlib import Path

INFO_KEPT = """redis_version valkey_version server_name process_id server_time_usec uptime_in_seconds
    availability_zone used_memory maxmemory loading instantaneous_ops_per_sec role master_host master_port
    master_link_status master_last_io_seconds_ago master_link_down_since_seconds master_sync_in_progress
    connected_slaves slave0 master_repl_offset cluster_enabled
    """.split()
INFO_OF_MACHINE = """os gcc_version monotonic_clock multiplexing_api executable config_file run_id
    process_supervised total_system_memory total_system_memory_human mem_allocator io_threads_active""".split()


def write(path: Path, said: dict[str, object], whole: bool) -> None:
    """Writes what one server said, each reply under its command."""
    sections = [f"> {command}\n{written(command, reply, whole)}" for command, reply in said.items()]
    path.write_bytes("".join(sections).encode())


def written(command: str, reply, whole: bool) -> str:
    match command:
        case "CLUSTER SHARDS":
            return "[" + ",\n".join(json.dumps(shard, separators=(",", ":")) for shard in reply) + "]\n"
        case "CLUSTER INFO":
            lines = reply.splitlines(keepends=True)
            return "".join(line for line in lines if whole or not line.startswith("cluster_stats_"))
        case "INFO":
            return "".join(kept_of_info(reply, whole))
    return reply


def kept_of_info(reply: str, whole: bool) -> Iterator[str]:
    section = ""
    for line in reply.splitlines(keepends=True):
        name = line.split(":", 1)[0]
        if line.startswith("#"):
            section = line[1:].strip()
        if name not in INFO_OF_MACHINE and (whole or section == "Keyspace" or name in INFO_KEPT):
            yield line
