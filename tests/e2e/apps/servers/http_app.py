"""The same small site for three Python servers: files of SITE, and POST /echo, which answers with the body.

    http_app.py threads|asyncio ADDRESS PORT DIRECTORY         (gunicorn takes `application`, with SITE in the environment)"""
import asyncio
import http.server
import os
import sys


def file_of(site, path):
    with open(os.path.join(site, os.path.basename(path)), "rb") as f:
        return f.read()


# ---- WSGI ----

def application(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    elif environ["PATH_INFO"] == "/pid":
        body = str(os.getpid()).encode()
    else:
        body = file_of(os.environ["SITE"], environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


# ---- threads ----

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(file_of(sys.argv[4], self.path))

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


# ---- asyncio ----

async def serve(reader, writer):
    try:
        while line := await reader.readline():
            length = 0
            while (header := await reader.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            method, path, _ = line.split()
            body = await reader.readexactly(length) if method == b"POST" else file_of(sys.argv[4], path.decode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
    finally:
        writer.close()


async def run_asyncio(address, port):
    server = await asyncio.start_server(serve, address, port, backlog=128)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "asyncio":
        asyncio.run(run_asyncio(sys.argv[2], int(sys.argv[3])))
    server = Server((sys.argv[2], int(sys.argv[3])), Handler)
    print("listening", flush=True)
    server.serve_forever()
