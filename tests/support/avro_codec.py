"""An independent Avro codec: schemas, both framings, and a small schema registry that can misbehave.

Values are plain Python: records are dicts, a union of records is {"BranchName": {...}}, a nullable field is its value or
None (left out: its default, else None). Texts may hold surrogate escapes ("\\udcff"), which become the raw byte: that is
how invalid UTF-8 is written.
"""

import contextlib
import http.server
import json
import os
import re
import struct
import threading
import time
import urllib.parse

PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
EMPTY_CRC = 0xC15D213AA4D7A795


class BadAvro(ValueError):
    """The bytes are not a valid value."""


class BadText(ValueError):
    """A string is not valid UTF-8."""


def crc64(data):
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (EMPTY_CRC if i & 1 else 0)
        table.append(i)
    crc = EMPTY_CRC
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def canonical(schema, namespace=""):
    """Parsing Canonical Form, as the specification's list of seven transformations says."""
    if isinstance(schema, str):
        return json.dumps(schema if schema in PRIMITIVES or "." in schema or not namespace else f"{namespace}.{schema}")
    if isinstance(schema, list):
        return "[" + ",".join(canonical(branch, namespace) for branch in schema) + "]"
    kind = schema["type"]
    if kind in PRIMITIVES:
        return json.dumps(kind)
    if isinstance(kind, (dict, list)):
        return canonical(kind, namespace)
    if kind == "array":
        return '{"type":"array","items":' + canonical(schema["items"], namespace) + "}"
    if kind == "map":
        return '{"type":"map","values":' + canonical(schema["values"], namespace) + "}"
    name = schema["name"]
    if "." not in name:
        namespace = schema.get("namespace", namespace)
        name = f"{namespace}.{name}" if namespace else name
    else:
        namespace = name.rpartition(".")[0]
    text = '{"name":' + json.dumps(name, ensure_ascii=False) + ',"type":' + json.dumps(kind)
    if kind == "record":
        fields = (
            '{"name":' + json.dumps(f["name"]) + ',"type":' + canonical(f["type"], namespace) + "}"
            for f in schema["fields"]
        )
        text += ',"fields":[' + ",".join(fields) + "]"
    elif kind == "enum":
        text += ',"symbols":[' + ",".join(json.dumps(s) for s in schema["symbols"]) + "]"
    elif kind == "fixed":
        text += ',"size":' + str(schema["size"])
    return text + "}"


def fingerprint(schema):
    return crc64(canonical(schema).encode())


class Schema:
    """One writer's schema, ready to encode and decode."""

    def __init__(self, text):
        self.json = json.loads(text) if isinstance(text, str) else text
        self.text = text if isinstance(text, str) else json.dumps(text)
        self.fingerprint = fingerprint(self.json)
        self.names = {}
        self.root = self._resolve(self.json, "")
        self.fullname = self.root["fullname"] if isinstance(self.root, dict) else self.root

    def _resolve(self, schema, namespace):
        """Names become the one dict of their definition; logical types go."""
        if isinstance(schema, list):
            return [self._resolve(branch, namespace) for branch in schema]
        if isinstance(schema, str):
            if schema in PRIMITIVES:
                return schema
            return self.names[schema if "." in schema else f"{namespace}.{schema}".lstrip(".")]
        kind = schema["type"]
        if kind in PRIMITIVES:
            return kind
        if kind == "array":
            return {"type": "array", "items": self._resolve(schema["items"], namespace)}
        if kind == "map":
            return {"type": "map", "values": self._resolve(schema["values"], namespace)}
        if not isinstance(kind, str):
            return self._resolve(kind, namespace)
        if kind not in ("record", "enum", "fixed"):
            return self._resolve(kind, namespace)
        namespace = schema.get("namespace", namespace)
        fullname = schema["name"] if "." in schema["name"] else f"{namespace}.{schema['name']}".lstrip(".")
        node = {"type": kind, "name": fullname.rpartition(".")[2], "fullname": fullname}
        self.names[fullname] = node
        if kind == "record":
            node["fields"] = [
                (f["name"], self._resolve(f["type"], namespace), f.get("default")) for f in schema["fields"]
            ]
        elif kind == "enum":
            node["symbols"] = schema["symbols"]
        else:
            node["size"] = schema["size"]
        return node

    def encode(self, value):
        out = bytearray()
        write(self.root, value, out)
        return bytes(out)

    def decode(self, data):
        """Returns the value; BadAvro also if bytes are left over."""
        value, position = read(self.root, data, 0)
        if position != len(data):
            raise BadAvro(f"{len(data) - position} bytes left over")
        return value

    def single_object(self, value):
        return b"\xc3\x01" + struct.pack("<Q", self.fingerprint) + self.encode(value)

    def registry_framed(self, schema_id, value):
        return b"\x00" + struct.pack(">I", schema_id) + self.encode(value)


def write_long(n, out):
    n = (n << 1) ^ (n >> 63)
    while n > 0x7F:
        out.append((n & 0x7F) | 0x80)
        n >>= 7
    out.append(n)


def write_union(schema, value, out):
    if value is None and "null" in schema:
        write_long(schema.index("null"), out)
        return
    records = [b for b in schema if isinstance(b, dict) and b["type"] == "record"]
    others = [b for b in schema if b != "null" and b not in records]
    named = len(records) > 1 or (records and "null" not in schema)
    if named:
        ((name, value),) = value.items()
        branch = next(b for b in records if b["name"] == name)
    else:
        (branch,) = records + others
    write_long(next(i for i, b in enumerate(schema) if b is branch or b == branch), out)
    write(branch, value, out)


def write(schema, value, out):
    kind = "union" if isinstance(schema, list) else schema["type"] if isinstance(schema, dict) else schema
    if kind in ("int", "long"):
        write_long(value, out)
    elif kind in ("string", "bytes"):
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        write_long(len(data), out)
        out += data
    elif kind == "record":
        for name, field, default in schema["fields"]:
            write(field, value.get(name, default), out)
    elif kind == "union":
        write_union(schema, value, out)
    elif kind == "boolean":
        out.append(1 if value else 0)
    elif kind == "float":
        out += value if isinstance(value, bytes) else struct.pack("<f", value)
    elif kind == "double":
        out += struct.pack("<d", value)
    elif kind == "array":
        if value:
            write_long(len(value), out)
            for item in value:
                write(schema["items"], item, out)
        out.append(0)
    elif kind == "map":
        if value:
            write_long(len(value), out)
            for key, item in value.items():
                write("string", key, out)
                write(schema["values"], item, out)
        out.append(0)
    elif kind == "enum":
        write_long(schema["symbols"].index(value), out)
    elif kind == "fixed":
        out += value
    elif kind != "null":
        raise TypeError(f"cannot write {kind}")


def read_long(data, at):
    n = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise BadAvro("a number has no end")
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return (n >> 1) ^ -(n & 1), at


def take(data, at, size):
    if size < 0 or at + size > len(data):
        raise BadAvro("ends too early")
    return data[at : at + size], at + size


def read_blocks(data, at, read_item):
    while True:
        count, at = read_long(data, at)
        if count == 0:
            return at
        if count < 0:
            _, at = read_long(data, at)
            count = -count
        if count > len(data):
            raise BadAvro("more items than bytes")
        for _ in range(count):
            at = read_item(at)


def read(schema, data, at):
    kind = "union" if isinstance(schema, list) else schema["type"] if isinstance(schema, dict) else schema
    if kind in ("int", "long"):
        return read_long(data, at)
    if kind == "string":
        size, at = read_long(data, at)
        raw, at = take(data, at, size)
        try:
            return raw.decode("utf-8"), at
        except UnicodeDecodeError:
            return raw.decode("utf-8", "surrogateescape"), at
    if kind == "record":
        out = {}
        for name, field, _ in schema["fields"]:
            out[name], at = read(field, data, at)
        return out, at
    if kind == "union":
        index, at = read_long(data, at)
        if not 0 <= index < len(schema):
            raise BadAvro("no such branch")
        branch = schema[index]
        value, at = read(branch, data, at)
        records = [b for b in schema if isinstance(b, dict) and b["type"] == "record"]
        if branch in records and (len(records) > 1 or "null" not in schema):
            return {branch["name"]: value}, at
        return value, at
    if kind == "boolean":
        raw, at = take(data, at, 1)
        if raw[0] > 1:
            raise BadAvro("a boolean is 0 or 1")
        return raw == b"\x01", at
    if kind == "float":
        raw, at = take(data, at, 4)
        return struct.unpack("<f", raw)[0], at
    if kind == "double":
        raw, at = take(data, at, 8)
        return struct.unpack("<d", raw)[0], at
    if kind == "bytes":
        size, at = read_long(data, at)
        return take(data, at, size)
    if kind == "null":
        return None, at
    if kind == "array":
        items = []

        def item(position):
            value, position = read(schema["items"], data, position)
            items.append(value)
            return position

        at = read_blocks(data, at, item)
        return items, at
    if kind == "map":
        entries = {}

        def entry(position):
            key, position = read("string", data, position)
            entries[key], position = read(schema["values"], data, position)
            return position

        at = read_blocks(data, at, entry)
        return entries, at
    if kind == "enum":
        index, at = read_long(data, at)
        if not 0 <= index < len(schema["symbols"]):
            raise BadAvro("no such symbol")
        return schema["symbols"][index], at
    if kind == "fixed":
        return take(data, at, schema["size"])
    raise TypeError(f"cannot read {kind}")


TOPIC_FILES = {"case": "case-event.avsc", "agent": "agent-event.avsc", "directory": "directory-event.avsc"}


def with_field(schema, field):
    """The schema of a newer writer."""
    return {**schema, "fields": [*schema["fields"], field]}


class Schemas:
    """The schemas of a folder, by role and by fingerprint; more can be added."""

    def __init__(self, folder):
        self.folder = folder
        self.by_role = {}
        self.by_fingerprint = {}
        for role, name in TOPIC_FILES.items():
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                self.by_role[role] = self.add(file.read())

    def add(self, text):
        schema = Schema(text)
        self.by_fingerprint[schema.fingerprint] = schema
        return schema

    def encode(self, role, value):
        return self.by_role[role].single_object(value)


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
NO_SUCH_PATH = {"error_code": 404, "message": "HTTP 404 Not Found"}


class Registry:
    """A schema registry as Confluent's API shows it. mode: ok, slow, error (500), hang, moved (to another path), page (200
    with a page of HTML); stop() and start() switch it off and on."""

    def __init__(self, path="/apis/ccompat/v7", user=None):
        self.path = path
        self.user = user
        self.schemas = {}
        self.subjects = {}
        self.requests = []
        self.mode = "ok"
        self.delay_s = 0.3
        self.port = 0
        self._server = None
        self._thread = None
        self._lock = threading.Lock()
        self._released = threading.Event()
        self.start()

    @property
    def url(self):
        at = f"{self.user}@" if self.user else ""
        return f"http://{at}127.0.0.1:{self.port}{self.path}"

    def register(self, schema_text, schema_id=None):
        with self._lock:
            for known, text in self.schemas.items():
                if text == schema_text and schema_id in (None, known):
                    return known
            schema_id = schema_id or max(self.schemas, default=0) + 1
            self.schemas[schema_id] = schema_text
            return schema_id

    def start(self):
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def log_message(self, *_):
                pass

            def do_GET(self):
                registry._answer(self, b"")

            def do_POST(self):
                registry._answer(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self._released.clear()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self):
        if self._server:
            self._released.set()
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def behave(self, mode):
        """Sets the mode of further requests. Hanging requests are answered, unless the new mode is to hang, too."""
        self.mode = mode
        if mode == "hang":
            self._released.clear()
        else:
            self._released.set()

    def _answer(self, request, body):
        with self._lock:
            self.requests.append((request.command, request.path, request.headers.get("Authorization")))
        if self.mode == "slow":
            time.sleep(self.delay_s)
        if self.mode == "hang":
            self._released.wait(60)  # longer than any client waits
        if self.mode == "error":
            status, answer = 500, {"error_code": 50001, "message": "out of order"}
        elif self.mode == "moved":
            status, answer = 404, NO_SUCH_PATH
        elif self.mode == "page":
            status, answer = 200, None
        elif self.user and not request.headers.get("Authorization", "").startswith("Basic "):
            status, answer = 401, {"error_code": 401, "message": "who are you"}
        else:
            status, answer = self._route(request.command, request.path, body)
        data = PAGE if self.mode == "page" else json.dumps(answer).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            request.send_response(status)
            kind = "text/html" if self.mode == "page" else "application/vnd.schemaregistry.v1+json"
            request.send_header("Content-Type", kind)
            request.send_header("Content-Length", str(len(data)))
            request.end_headers()
            request.wfile.write(data)

    def _route(self, method, target, body):
        path = urllib.parse.unquote(urllib.parse.urlsplit(target).path)
        if not path.startswith(self.path):
            return 404, NO_SUCH_PATH
        path = path[len(self.path) :]
        match = re.fullmatch(r"/schemas/ids/(\d+)", path)
        if match and method == "GET":
            text = self.schemas.get(int(match[1]))
            if text is None:
                return 404, {"error_code": 40403, "message": "Schema not found"}
            return 200, {"schema": text}
        match = re.fullmatch(r"/subjects/([^/]+)/versions", path)
        if match and method == "POST":
            schema_id = self.register(json.loads(body)["schema"])
            self.subjects.setdefault(match[1], []).append(schema_id)
            return 200, {"id": schema_id}
        return 404, NO_SUCH_PATH
