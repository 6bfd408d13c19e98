#!/usr/bin/env python3
"""standardwebhooks, as a receiver has it: real deliveries of a gateway are verified, changed ones are not."""
import http.server
import json
import pathlib
import sys
import threading
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from checks import BASE, RUN, check, equal, finish, raises, until  # noqa: E402

from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # noqa: E402

ENDPOINTS = f"{BASE}/v1/projects/acme-{RUN}/webhookEndpoints"
received = []


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it gets."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        received.append((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def ask(method, url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def ping():
    """Has the endpoint pinged, and waits for what arrives."""
    before = len(received)
    ask("POST", f"{BASE}/v1/{endpoint['name']}:ping", {})
    until(lambda: len(received), lambda count: count > before)
    return received[-1]


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
endpoint = ask("POST", ENDPOINTS, {"url": f"http://127.0.0.1:{server.server_port}/"})
first = Webhook(endpoint["secret"])

with check("a delivery is verified"):
    headers, body = ping()
    event = first.verify(body, {name.lower(): value for name, value in headers.items()})
    equal(event["type"], "ping")

with check("a changed body, id, time or secret is refused"):
    headers = {name.lower(): value for name, value in headers.items()}
    for wrong in [
        (first, body + b" ", headers),
        (first, body, headers | {"webhook-id": "evt_other"}),
        (first, body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)}),
        (Webhook("whsec_" + "A" * 32), body, headers),
    ]:
        webhook, text, head = wrong
        with raises(WebhookVerificationError):
            webhook.verify(text, head)

with check("while a secret is rotated both verify"):
    rotated = ask("POST", f"{BASE}/v1/{endpoint['name']}:rotateSecret", {"overlap": "3600s"})
    headers, body = ping()
    headers = {name.lower(): value for name, value in headers.items()}
    for secret in (endpoint["secret"], rotated["secret"]):
        equal(Webhook(secret).verify(body, headers)["type"], "ping")

finish()
