#!/usr/bin/env python3
"""google.api_core.operations_v1 over REST on `projects/*/instances/*/operations`."""
import json
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from checks import BASE, RUN, SCHEME, check, equal, finish, raises, until  # noqa: E402

from google.api_core import exceptions, operation  # noqa: E402
from google.api_core.operations_v1 import AbstractOperationsClient  # noqa: E402
from google.api_core.operations_v1.transports.rest import OperationsRestTransport  # noqa: E402
from google.auth.credentials import AnonymousCredentials  # noqa: E402
# The client reads every `Any`: whoever lists operations must have the types that they hold.
from google.cloud import spanner_admin_instance_v1 as inst  # noqa: E402

client = AbstractOperationsClient(
    transport=OperationsRestTransport(host=BASE, credentials=AnonymousCredentials(), url_scheme=SCHEME)
)
SHOP = "projects/acme-shop"
LEDGER = f"{SHOP}/instances/ledger"


def begin(instance_id):
    """Begins to create an instance; returns the operation's name."""
    instance = {"config": f"{SHOP}/instanceConfigs/regional-europe-west1", "displayName": "Stock", "nodeCount": 1}
    body = json.dumps({"instanceId": instance_id, "instance": instance}).encode()
    request = urllib.request.Request(f"{BASE}/v1/{SHOP}/instances", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["name"]


with check("operations are listed below an instance, page by page and by filter"):
    found = [it.name for it in client.list_operations(LEDGER, "")]
    assert found and all(it.startswith(f"{LEDGER}/operations/") for it in found)
    equal([it.name for it in client.list_operations(LEDGER, "", page_size=1)], found)
    equal(list(client.list_operations(LEDGER, "metadata.@type:MoveInstance")), [])
    with raises(exceptions.BadRequest, 400):
        list(client.list_operations(LEDGER, "(("))

with check("an operation is polled to its result"):
    name = begin(f"polled-{RUN}")
    first = client.get_operation(name)
    equal((first.name, first.done), (name, False))
    future = operation.Operation(
        first,
        lambda **_: client.get_operation(name),
        lambda **_: client.cancel_operation(name),
        inst.Instance.pb(),
        metadata_type=inst.CreateInstanceMetadata.pb(),
    )
    equal(future.result(timeout=60).node_count, 1)
    assert future.metadata.HasField("end_time")

with check("an operation is cancelled and ends with code 1"):
    name = begin(f"cancelled-{RUN}")
    client.cancel_operation(name)
    ended = until(lambda: client.get_operation(name), lambda it: it.done)
    equal(ended.error.code, 1)

with check("an operation is deleted and not found any more"):
    client.delete_operation(name)
    with raises(exceptions.NotFound, 404):
        client.get_operation(name)

with check("an operation that fails says why"):
    name = begin(f"to-fail-{RUN}")
    ended = until(lambda: client.get_operation(name), lambda it: it.done)
    assert ended.error.code == 8 and ended.error.details, ended

finish()
