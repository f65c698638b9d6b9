"""A proxy between a program and a server, whose connections can be cut or frozen."""

import contextlib
import selectors
import socket
import struct
import threading

CHUNK = 65536


class Rewrite:
    """Replaces the brokers' addresses in Kafka's answers, so that clients connect through the proxy. Works on whole answers
    (after their four bytes of length), so that no address is split; the new addresses have the same length."""

    def __init__(self, ports):
        host = b"127.0.0.1"
        self.pairs = [(host + struct.pack(">i", a), host + struct.pack(">i", b)) for a, b in ports.items()]
        self.rest = b""

    def __call__(self, data):
        data, out = self.rest + data, []
        while len(data) >= 4 and len(data) >= 4 + int.from_bytes(data[:4], "big"):
            size = 4 + int.from_bytes(data[:4], "big")
            out.append(data[:size])
            data = data[size:]
        self.rest, whole = data, b"".join(out)
        for old, new in self.pairs:
            whole = whole.replace(old, new)
        return whole


class Wire:
    """Listens on one port for each port of the server. cut(): drops the server's answers for `mute_s`, then closes all
    connections and refuses new ones until heal(). freeze(): connections stay open, and nothing goes through. left: so many
    bytes of answers, then it cuts itself (None: no limit)."""

    def __init__(self, ports, rewrite=False, host="127.0.0.1", left=None):
        self.listeners = {port: socket.create_server((host, 0)) for port in ports}
        self.ports = {port: listener.getsockname()[1] for port, listener in self.listeners.items()}
        self.rewrite, self.left = rewrite, left
        self.frozen = threading.Event()
        self.lock = threading.Lock()  # guards pairs and down
        self.pairs, self.down = set(), False
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._accept, args=item, daemon=True) for item in self.listeners.items()]
        for thread in self.threads:
            thread.start()

    def _accept(self, port, listener):
        listener.settimeout(0.1)
        while not self.ended.is_set():
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                threading.Thread(target=self._carry, args=(client, port), daemon=True).start()

    def _carry(self, client, port):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.enter_context(client)
            server = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            client.setblocking(True)
            server.setblocking(True)
            mute = threading.Event()
            pair = (client, server, mute)
            with self.lock:
                if self.down:
                    return
                self.pairs.add(pair)
            stack.callback(self._forget, pair)
            self._pump(client, server, mute)

    def _forget(self, pair):
        with self.lock:
            self.pairs.discard(pair)

    def _pump(self, client, server, mute):
        translate = Rewrite(self.ports) if self.rewrite else bytes
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(0.1):
                    while self.frozen.is_set() and not self.ended.wait(0.02):
                        pass
                    data = key.fileobj.recv(CHUNK)
                    if not data:
                        return
                    if key.fileobj is client:
                        server.sendall(data)
                    elif not mute.is_set():
                        client.sendall(translate(data))
                        self._count(len(data))

    def _count(self, size):
        if self.left is None:
            return
        self.left -= size
        if self.left <= 0:
            self.cut()

    def freeze(self):
        self.frozen.set()

    def cut(self, mute_s=0.0):
        with self.lock:
            self.down = True
            pairs = list(self.pairs)
        for _, _, mute in pairs:
            mute.set()
        self.ended.wait(mute_s)
        for client, server, _ in pairs:
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def heal(self):
        with self.lock:
            self.down = False

    def close(self):
        self.ended.set()
        self.frozen.clear()
        for thread in self.threads:
            thread.join(5)
        for listener in self.listeners.values():
            listener.close()
        self.cut()
