"""Answers the conformance runner by way of a running gateway.

The runner asks on standard input for a message in one format to be printed in
another. Here nothing is parsed or printed: the JSON half of each case goes
through the gateway over HTTP, the binary half is what an upstream, which this
process plays, received from the gateway or returned to it.

    JSON to binary   post the JSON; the answer is what the upstream received
    JSON to JSON     post the JSON; the upstream returns what it received
    binary to JSON   post {}; the upstream returns the case's bytes

Everything else the suite asks for (binary to binary, text format, JSPB) never
passes through a REST facade and is skipped.

An error counts only where it belongs. JSON that the gateway refuses must be a
400 in its error envelope, before the upstream hears of it; bytes it cannot
print must be a 5xx in that envelope. Anything else is a `runtime_error`, which
no case of the suite accepts.

Environment: `CONFORMANCE_GATEWAY` and `CONFORMANCE_UPSTREAM`, both host:port;
`CONFORMANCE_CASES`, a file that gets one tab-separated line per case
(direction, message, HTTP status, what was answered).
"""

import http.client
import json
import os
import struct
import sys
from concurrent import futures

import grpc

# A gateway that takes longer than this for a message of a few hundred bytes hangs.
HTTP_TIMEOUT_SECS = 10

# How a ConformanceRequest and a ConformanceResponse number what is used here.
PROTOBUF_PAYLOAD, JSON_PAYLOAD, OUTPUT_FORMAT, MESSAGE_TYPE, TEST_CATEGORY = 1, 2, 3, 4, 5
PARSE_ERROR, SERIALIZE_ERROR, RUNTIME_ERROR, SKIPPED = 1, 6, 2, 5
PROTOBUF_RESULT, JSON_RESULT = 3, 4
TO_PROTOBUF, TO_JSON = 1, 2
IGNORE_UNKNOWN = 3
RESULT_NAMES = {
    PARSE_ERROR: "parse_error",
    SERIALIZE_ERROR: "serialize_error",
    RUNTIME_ERROR: "runtime_error",
    SKIPPED: "skipped",
    PROTOBUF_RESULT: "protobuf_payload",
    JSON_RESULT: "json_payload",
}

# The last path segment and the method of each message, as in echo.proto.
METHODS = {
    "protobuf_test_messages.proto3.TestAllTypesProto3": ("proto3", "Proto3"),
    "protobuf_test_messages.proto2.TestAllTypesProto2": ("proto2", "Proto2"),
    "protobuf_test_messages.editions.proto3.TestAllTypesProto3": ("editions-proto3", "EditionsProto3"),
    "protobuf_test_messages.editions.proto2.TestAllTypesProto2": ("editions-proto2", "EditionsProto2"),
    "protobuf_test_messages.editions.TestAllTypesEdition2023": ("edition2023", "Edition2023"),
}


class Unfit(Exception):
    """The gateway answered in a way that is wrong whatever the case expects."""


def read_varint(data, at):
    """Reads a varint; returns it and the offset behind it."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def write_varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_fields(data):
    """The fields of a ConformanceRequest by number: bytes or int, the last one wins."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            fields[number], at = read_varint(data, at)
        elif wire_type == 2:
            length, at = read_varint(data, at)
            fields[number] = data[at : at + length]
            at += length
        else:
            raise ValueError(f"a ConformanceRequest has no field of wire type {wire_type}")
    return fields


def write_result(number, payload):
    """A ConformanceResponse with one member of its oneof set."""
    return write_varint(number << 3 | 2) + write_varint(len(payload)) + payload


class Upstream:
    """A gRPC server whose every method returns what it is told to, or echoes."""

    def __init__(self, address):
        self.received = []
        self.returns = None
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        names = [method for _, method in METHODS.values()]
        for service in ("Strict", "Lenient"):
            # Without (de)serializers grpcio hands over and takes plain bytes.
            handlers = {
                name: grpc.unary_unary_rpc_method_handler(self.answer(f"{service}.{name}")) for name in names
            }
            full_name = f"causeway.conformance.v1.{service}"
            self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(full_name, handlers),))
        if self.server.add_insecure_port(address) == 0:
            raise SystemExit(f"testee: cannot listen on {address} (CONFORMANCE_UPSTREAM)")
        self.server.start()

    def answer(self, method):
        def call(request, _context):
            self.received.append((method, request))
            return request if self.returns is None else self.returns

        return call

    def expect(self, returns):
        """Forgets earlier calls; `returns` is the next answer, None means echo."""
        self.received, self.returns = [], returns


class Gateway:
    """One keep-alive connection to the gateway."""

    def __init__(self, address):
        self.address = address
        self.connection = http.client.HTTPConnection(address, timeout=HTTP_TIMEOUT_SECS)

    def post(self, path, body):
        """Posts JSON; returns status and body. One hung or broken answer does not spoil the next case."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            self.connection.request("POST", path, body=body, headers=headers)
            response = self.connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as failure:
            self.connection.close()
            raise Unfit(f"no answer from {self.address}: {failure!r}") from failure


def refusal(status, body):
    """The message of an error envelope; Unfit if it is not one or does not agree with the status."""
    try:
        error = json.loads(body)["error"]
        code, message, name = error["code"], error["message"], error["status"]
    except (ValueError, KeyError, TypeError) as failure:
        raise Unfit(f"{status} without an error envelope: {body[:300]!r}") from failure
    if code != status:
        raise Unfit(f"{status} with code {code} in its envelope")
    if status == 400 and name != "INVALID_ARGUMENT":
        raise Unfit(f"400 with status {name} in its envelope")
    return f"{status} {name}: {message}".encode()


def run_case(fields, gateway, upstream):
    """Runs one case; returns the direction, the HTTP status, and the result as (number, payload)."""
    output = fields.get(OUTPUT_FORMAT, 0)
    from_json = JSON_PAYLOAD in fields
    if output not in (TO_PROTOBUF, TO_JSON) or not (from_json or PROTOBUF_PAYLOAD in fields):
        return "-", 0, (SKIPPED, b"only JSON and binary pass through the gateway")
    if not from_json and output == TO_PROTOBUF:
        return "-", 0, (SKIPPED, b"binary to binary never passes through the gateway")
    message = fields.get(MESSAGE_TYPE, b"").decode()
    if message not in METHODS:
        raise Unfit(f"echo.proto has no method for {message}")

    lenient = fields.get(TEST_CATEGORY) == IGNORE_UNKNOWN
    segment, name = METHODS[message]
    path = f"/conformance/{'lenient' if lenient else 'strict'}/{segment}"
    direction = f"{'json' if from_json else 'binary'}->{'binary' if output == TO_PROTOBUF else 'json'}"

    upstream.expect(returns=None if from_json else fields[PROTOBUF_PAYLOAD])
    status, body = gateway.post(path, fields[JSON_PAYLOAD] if from_json else b"{}")
    calls = upstream.received

    if status == 400:
        why = refusal(status, body)
        if calls:
            raise Unfit("400 after the upstream was called")
        if not from_json:
            raise Unfit(f"the body {{}} was refused: {why.decode()}")
        return direction, status, (PARSE_ERROR, why)
    method = f"{'Lenient' if lenient else 'Strict'}.{name}"
    if [called for called, _ in calls] != [method]:
        raise Unfit(f"{status} after calls of {[called for called, _ in calls]}, not of {method} once: {body[:300]!r}")
    if status >= 500:
        return direction, status, (SERIALIZE_ERROR, refusal(status, body))
    if status != 200:
        raise Unfit(f"{status}: {body[:300]!r}")
    if output == TO_PROTOBUF:
        return direction, status, (PROTOBUF_RESULT, calls[0][1])
    return direction, status, (JSON_RESULT, body)


def main():
    gateway = Gateway(os.environ["CONFORMANCE_GATEWAY"])
    upstream = Upstream(os.environ["CONFORMANCE_UPSTREAM"])
    requests, responses = sys.stdin.buffer, sys.stdout.buffer
    with open(os.environ["CONFORMANCE_CASES"], "a", encoding="utf-8") as cases:
        while len(prefix := requests.read(4)) == 4:
            (length,) = struct.unpack("<I", prefix)
            fields = read_fields(requests.read(length))
            try:
                direction, status, (number, payload) = run_case(fields, gateway, upstream)
            except Unfit as failure:
                direction, status, number, payload = "?", 0, RUNTIME_ERROR, str(failure).encode()
            message = fields.get(MESSAGE_TYPE, b"").decode()
            if number != SKIPPED:
                cases.write(f"{direction}\t{message}\t{status}\t{RESULT_NAMES[number]}\n")
            response = write_result(number, payload)
            responses.write(struct.pack("<I", len(response)) + response)
            responses.flush()
    upstream.server.stop(grace=None)


if __name__ == "__main__":
    main()
