"""Messages between the coordinator and its processes: lines of JSON over a pair of sockets."""

from __future__ import annotations

import json
import socket
from typing import Any


def send_line(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send a message."""
    connection.sendall(json.dumps(message).encode() + b"\n")


class Lines:
    """The messages that arrive over a connection.

    Args:
        connection: The socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._read = connection, b""

    def read(self) -> bool:
        """Wait until something has arrived; return False if the other side has closed instead."""
        try:
            received = self._connection.recv(2**16)
        except ConnectionError:
            received = b""
        self._read += received
        return bool(received)

    def next(self) -> dict[str, Any] | None:
        """Return the next message of those that have arrived in full; None if there is none."""
        if b"\n" not in self._read:
            return None
        line, _, self._read = self._read.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
