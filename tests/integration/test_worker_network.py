"""Connections between worker and database break at the worst moments."""

import contextlib
import random
import selectors
import socket
import threading

from support.random_history import History


class Wire(threading.Thread):
    """Forwards bytes between its own port and the server. cut(): further answers of the server are lost, and some
    milliseconds later both ends are closed, as after a network failure: a COMMIT is done but not acknowledged."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.server_port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        self.cuts = 0
        self.ended = threading.Event()
        self.start()

    def run(self):
        self.listener.settimeout(0.1)
        while not self.ended.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                pair = {"client": client, "server": server, "mute": threading.Event()}
                self.pairs.append(pair)
                threading.Thread(target=self.carry, args=(pair,), daemon=True).start()

    @staticmethod
    def carry(pair):
        client, server = pair["client"], pair["server"]
        with selectors.DefaultSelector() as selector, client, server, contextlib.suppress(OSError):
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(65536)
                    if not data:
                        return
                    if key.fileobj is client or not pair["mute"].is_set():
                        key.data.sendall(data)

    def cut(self, after_s):
        """First drops the server's answers, then closes."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            pair["mute"].set()
        self.ended.wait(after_s)
        for pair in pairs:
            for end in ("client", "server"):
                with contextlib.suppress(OSError):
                    pair[end].shutdown(socket.SHUT_RDWR)
        self.cuts += bool(pairs)

    def close(self):
        self.ended.set()
        self.join(10)
        self.listener.close()
        self.cut(0)


def test_answers_are_lost_on_the_way(make_stack):
    """The cursor decides whether a batch was committed."""
    chance = random.Random(4)
    stack = make_stack()
    watch = stack.watch_cursors()
    with contextlib.closing(Wire(stack.postgres.port)) as wire:
        address = f"host=127.0.0.1 port={wire.port} user=postgres dbname={stack.database.name}"
        worker = stack.start_worker("--database", address)
        items = History(108, organizations=2, cases=1200).items
        for start in range(0, len(items), 150):
            stack.send_items(items[start : start + 150])
            wire.ended.wait(chance.uniform(0, 0.02))
            wire.cut(chance.uniform(0.005, 0.05))
        assert wire.cuts >= 5
        stack.check()
        assert worker.metric("caseview_recoveries_total") > 2  # on a busy machine one recovery may answer several cuts
        stack.stop_worker(worker)
    watch.check()
