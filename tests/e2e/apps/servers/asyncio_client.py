"""asyncio_client.py ADDRESS PORT FILE CONNECTIONS: GET /100000 (FILE) and POST /echo of random bytes on each connection, compared."""
import asyncio
import os
import sys


async def answer(reader):
    status = await reader.readline()
    assert b" 200 " in status, status
    length = 0
    while (header := await reader.readline()) not in (b"\r\n", b""):
        if header.lower().startswith(b"content-length:"):
            length = int(header.split(b":")[1])
    return await reader.readexactly(length)


async def one(wanted):
    reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    for n in range(4):
        writer.write(b"GET /100000 HTTP/1.1\r\nHost: test\r\n\r\n")
        await writer.drain()
        assert await answer(reader) == wanted, "GET /100000: other bytes"
        body = os.urandom(1 + 70000 * (n % 2))
        writer.write(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        assert await answer(reader) == body, "POST /echo: other bytes"
    writer.close()
    await writer.wait_closed()


async def main():
    wanted = open(sys.argv[3], "rb").read()
    await asyncio.gather(*(one(wanted) for _ in range(int(sys.argv[4]))))
    print(f"{sys.argv[4]} connections: every byte right")

asyncio.run(main())
