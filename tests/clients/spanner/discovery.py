#!/usr/bin/env python3
"""google-api-python-client, `spanner v1`: instances, databases, backups and their operations in all six collections."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from checks import BASE, RUN, check, equal, finish, raises, until  # noqa: E402

import google_auth_httplib2  # noqa: E402
import httplib2  # noqa: E402
from google.auth.credentials import AnonymousCredentials  # noqa: E402
from googleapiclient.discovery import build  # noqa: E402
from googleapiclient.errors import HttpError  # noqa: E402

http = google_auth_httplib2.AuthorizedHttp(AnonymousCredentials(), http=httplib2.Http(timeout=30))
projects = build("spanner", "v1", http=http, static_discovery=True, client_options={"api_endpoint": BASE}).projects()
instances, configs = projects.instances(), projects.instanceConfigs()
databases, backups = instances.databases(), instances.backups()

SHOP = "projects/acme-shop"
LEDGER = f"{SHOP}/instances/ledger"
STOCK = f"{SHOP}/instances/stock-{RUN}"
CONFIG = f"{SHOP}/instanceConfigs/regional-europe-west1"
LATER = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 14 * 86400))


def done(collection, begun):
    """Polls an operation to its end."""
    return until(lambda: collection.get(name=begun["name"]).execute(), lambda it: it.get("done"))


def pages(collection, list_name, **arguments):
    """Returns the items of all pages."""
    items, request = [], collection.list(**arguments)
    while request is not None:
        page = request.execute()
        items += page.get(list_name, [])
        request = collection.list_next(request, page)
    return items


with check("an instance is created, polled and read"):
    body = {"instanceId": f"stock-{RUN}", "instance": {"config": CONFIG, "displayName": "Stock", "nodeCount": 1}}
    made = done(instances.operations(), instances.create(parent=SHOP, body=body).execute())
    equal((made["response"]["state"], made["response"]["processingUnits"]), ("READY", 1000))
    equal(instances.get(name=STOCK, fieldMask="displayName").execute(), {"displayName": "Stock"})

with check("a mask in a body works in both spellings"):
    for mask, name in (("displayName", "Stock levels"), ("display_name", "Levels of stock")):
        body = {"instance": {"displayName": name}, "fieldMask": mask}
        changed = done(instances.operations(), instances.patch(name=STOCK, body=body).execute())
        equal(changed["response"]["displayName"], name)

with check("a database is created and its schema changed"):
    body = {"createStatement": "CREATE DATABASE levels", "extraStatements": ["CREATE TABLE L (x INT64) PRIMARY KEY (x)"]}
    made = done(databases.operations(), databases.create(parent=STOCK, body=body).execute())
    equal(made["response"]["state"], "READY")
    name = made["response"]["name"]
    body = {"statements": ["CREATE INDEX LByX ON L(x)"], "operationId": "by_x"}
    changed = done(databases.operations(), databases.updateDdl(database=name, body=body).execute())
    equal(changed["name"], f"{name}/operations/by_x")
    equal(changed["response"], {"@type": "type.googleapis.com/google.protobuf.Empty"})
    equal(len(databases.getDdl(database=name).execute()["statements"]), 2)

with check("protection is given and taken by a mask in the query"):
    name = f"{STOCK}/databases/levels"
    for wanted in (True, False):
        body = {"enableDropProtection": wanted}
        begun = databases.patch(name=name, updateMask="enableDropProtection", body=body).execute()
        done(databases.operations(), begun)
        equal(databases.get(name=name).execute().get("enableDropProtection", False), wanted)

with check("a backup is begun, cancelled, and gone"):
    body = {"database": f"{STOCK}/databases/levels", "expireTime": LATER}
    begun = backups.create(parent=STOCK, backupId="levels-now", body=body).execute()
    equal(backups.operations().cancel(name=begun["name"]).execute(), {})
    equal(done(backups.operations(), begun)["error"]["code"], 1)
    with raises(HttpError, 404):
        backups.get(name=f"{STOCK}/backups/levels-now").execute()

with check("operations are listed and read in all six collections"):
    for collection, parent in (
        (databases.operations(), f"{STOCK}/databases/levels"),
        (instances.operations(), STOCK),
        (backups.operations(), f"{STOCK}/backups/levels-now"),
        (instances.instancePartitions().operations(), f"{LEDGER}/instancePartitions/americas"),
        (configs.operations(), f"{SHOP}/instanceConfigs/custom-eur3-america"),
        (configs.ssdCaches().operations(), f"{SHOP}/instanceConfigs/custom-eur3-america/ssdCaches/sessions"),
    ):
        found = pages(collection, "operations", name=f"{parent}/operations", pageSize=1)
        assert found, f"nothing in {parent}"
        for operation in found:
            equal(collection.get(name=operation["name"]).execute()["name"], operation["name"])

with check("operations are filtered, also those of a whole instance"):
    found = pages(instances.operations(), "operations", name=f"{STOCK}/operations", filter="done:true")
    equal(len(found), 3)
    filter_ = "(metadata.@type:UpdateDatabaseDdlMetadata) AND (metadata.statements:LByX)"
    found = instances.databaseOperations().list(parent=STOCK, filter=filter_).execute()["operations"]
    equal([it["name"].rsplit("/", 1)[1] for it in found], ["by_x"])
    found = instances.backupOperations().list(parent=STOCK, filter="error:*").execute()["operations"]
    equal(len(found), 1)

with check("an operation is deleted, unless it is a database's"):
    one = pages(instances.operations(), "operations", name=f"{STOCK}/operations")[0]["name"]
    equal(instances.operations().delete(name=one).execute(), {})
    with raises(HttpError, 404):
        instances.operations().get(name=one).execute()
    with raises(HttpError, 501):
        databases.operations().delete(name=f"{STOCK}/databases/levels/operations/by_x").execute()

with check("policies of instances and databases"):
    policy = {"bindings": [{"role": "roles/spanner.viewer", "members": ["user:ada@acme.example"]}]}
    for collection, resource in ((instances, STOCK), (databases, f"{STOCK}/databases/levels")):
        equal(collection.getIamPolicy(resource=resource).execute().get("bindings", []), [])
        collection.setIamPolicy(resource=resource, body={"policy": policy}).execute()
        equal(collection.getIamPolicy(resource=resource).execute()["bindings"], policy["bindings"])

with check("refusals have the status and the details of Google's"):
    with raises(HttpError, 409):
        body = {"instanceId": "ledger", "instance": {"config": CONFIG, "displayName": "Ledger", "nodeCount": 1}}
        instances.create(parent=SHOP, body=body).execute()
    with raises(HttpError, 400):
        instances.delete(name=LEDGER).execute()
    try:
        instances.patch(name=LEDGER, body={"instance": {}, "fieldMask": "colour"}).execute()
    except HttpError as error:
        fields = [it["field"] for detail in error.error_details for it in detail.get("fieldViolations", [])]
        equal(fields, ["field_mask"])

with check("everything is taken down"):
    databases.dropDatabase(database=f"{STOCK}/databases/levels").execute()
    equal(instances.delete(name=STOCK).execute(), {})
    with raises(HttpError, 404):
        instances.get(name=STOCK).execute()

finish()
