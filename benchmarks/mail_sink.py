"""A mail server that takes everything and keeps nothing, in a process of its own: fast, and as far away as it is told to be."""

import argparse
import asyncio

ENDS = b"\r\n.\r\n"
REPLIES = {b"MAIL": b"250 2.1.0 ok\r\n", b"RCPT": b"250 2.1.5 ok\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 2.0.0 bye\r\n"}


class Session(asyncio.Protocol):
    taken = 0

    def __init__(self, options):
        self.options, self.data, self.in_data = options, b"", False
        offers = [b"sink", b"8BITMIME", *([b"PIPELINING"] if options.pipelining else [])]
        self.offer = b"".join(b"250%b%b\r\n" % (b" " if offer == offers[-1] else b"-", offer) for offer in offers)

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"220 sink\r\n")

    def data_received(self, data):
        self.data += data
        replies = []
        while True:
            if self.in_data:
                found = self.data.find(ENDS)
                if found < 0:
                    break
                self.data, self.in_data = self.data[found + len(ENDS) :], False
                Session.taken += 1
                replies.append(b"250 2.0.0 kept\r\n")
                continue
            line, end, rest = self.data.partition(b"\r\n")
            if not end:
                break
            self.data, verb = rest, line[:4].upper()
            self.in_data = verb == b"DATA"
            if verb == b"EHLO":
                replies.append(self.offer)
            elif verb == b"XTKN":  # how many it took so far
                replies.append(b"250 %d\r\n" % Session.taken)
            else:
                replies.append(REPLIES.get(verb, b"250 ok\r\n"))
        if replies:
            answer = b"".join(replies)
            if self.options.rtt:
                asyncio.get_running_loop().call_later(self.options.rtt / 1000, self.transport.write, answer)
            else:
                self.transport.write(answer)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelining", action="store_true")
    parser.add_argument("--rtt", type=float, default=0, help="milliseconds from a command to its answer")
    options = parser.parse_args()
    server = await asyncio.get_running_loop().create_server(lambda: Session(options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
