#!/usr/bin/env python3
"""A TCP link that delays every byte: slow_link.py PORT MILLISECONDS prints its own port, then for each connection
what went up and down in bytes."""

import asyncio
import socket
import sys
import time

TO, DELAY = int(sys.argv[1]), float(sys.argv[2]) / 1000


async def carry(reader, writer):
    """Passes bytes on, each piece as long after it came as the link is slow; gives their number."""
    pieces = asyncio.Queue()

    async def deliver():
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0, due - time.monotonic()))
            if not piece:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            writer.write(piece)

    delivering = asyncio.create_task(deliver())
    total, piece = 0, b"-"
    while piece:
        try:
            piece = await reader.read(65536)
        except ConnectionError:
            piece = b""
        total += len(piece)
        await pieces.put((time.monotonic() + DELAY, piece))
    await asyncio.gather(delivering, return_exceptions=True)
    return total


async def serve(near_reader, near_writer):
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", TO)
    for writer in (near_writer, far_writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    both = carry(near_reader, far_writer), carry(far_reader, near_writer)
    up, down = await asyncio.gather(*both)
    print(up, down, flush=True)
    for writer in (near_writer, far_writer):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
