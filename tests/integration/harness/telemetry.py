# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's telemetry socket, as dpdk-telemetry.py speaks with it."""
import json
import socket


def telemetry(command, prefix="rte"):
    """The answer to `/weir/guest/info,g0`; None for an object or command there is not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(f"/run/dpdk/{prefix}/dpdk_telemetry.v2")  # waits: one may be in line
        sock.settimeout(5)
        size = json.loads(sock.recv(1024))["max_output_len"]
        sock.send(command.encode())
        return json.loads(sock.recv(size))[command.split(",", 1)[0]]
