"""Carry TCP connections into and out of a network namespace.

    relay.py LISTEN=DIAL ... [-- PROGRAM ARGUMENT ...]

LISTEN is `fd:N` (an inherited listening socket, which stays in the namespace that
made it), `tcp:PORT` or `unix:PATH`; DIAL is `tcp:PORT` or `unix:PATH`; ports are on
127.0.0.1. Runs PROGRAM beside the relays. Ends with PROGRAM, on SIGTERM, or when
stdin closes, so that nothing outlives the test run.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import signal
import socket
import struct
import sys
from asyncio import StreamReader, StreamWriter

SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def raise_loopback() -> None:
    """Bring `lo` up, which a new namespace has down (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def end_with_parent() -> None:
    """Let the kernel end this process with the one that started it (prctl(2))."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


async def dial(address: str) -> tuple[StreamReader, StreamWriter]:
    kind, _, where = address.partition(":")
    if kind == "unix":
        return await asyncio.open_unix_connection(where)
    return await asyncio.open_connection("127.0.0.1", int(where))


async def pump(source: StreamReader, sink: StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while received := await source.read(1 << 16):
            sink.write(received)
            await sink.drain()
    with contextlib.suppress(OSError):
        sink.close()


async def listen(pair: str) -> asyncio.Server:
    here, _, there = pair.partition("=")
    kind, _, where = here.partition(":")

    async def carry(near_in: StreamReader, near_out: StreamWriter) -> None:
        try:
            far_in, far_out = await dial(there)
        except OSError:
            near_out.close()
            return
        await asyncio.gather(pump(near_in, far_out), pump(far_in, near_out))

    if kind == "fd":
        return await asyncio.start_server(carry, sock=socket.socket(fileno=int(where)))
    if kind == "unix":
        return await asyncio.start_unix_server(carry, where)
    return await asyncio.start_server(carry, "127.0.0.1", int(where))


async def main(pairs: list[str], program: list[str]) -> int:
    servers = [await listen(pair) for pair in pairs]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop.set)  # nothing is ever written: readable means closed
    if not program:
        await stop.wait()
        return 0
    child = await asyncio.create_subprocess_exec(
        *program, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr, preexec_fn=end_with_parent
    )
    ended, stopped = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
    await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        child.kill()  # what it holds is a test's: no need for an orderly end of seconds
    for server in servers:
        server.close()
    return await ended


if __name__ == "__main__":
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    if arguments[cut + 1 :]:
        raise_loopback()
    sys.exit(asyncio.run(main(arguments[:cut], arguments[cut + 1 :])))
