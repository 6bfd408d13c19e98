#!/usr/bin/env python3
"""google-cloud-spanner's admin clients over REST, with the operations that they poll themselves."""
import datetime
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from checks import BASE, RUN, SCHEME, check, equal, finish, raises  # noqa: E402

from google.api_core import exceptions  # noqa: E402
from google.auth.credentials import AnonymousCredentials  # noqa: E402
from google.cloud import spanner_admin_database_v1 as db  # noqa: E402
from google.cloud import spanner_admin_instance_v1 as inst  # noqa: E402
from google.cloud.spanner_admin_database_v1.services.database_admin.transports.rest import DatabaseAdminRestTransport  # noqa: E402
from google.cloud.spanner_admin_instance_v1.services.instance_admin.transports.rest import InstanceAdminRestTransport  # noqa: E402

where = {"host": BASE, "credentials": AnonymousCredentials(), "url_scheme": SCHEME}
instances = inst.InstanceAdminClient(transport=InstanceAdminRestTransport(**where))
databases = db.DatabaseAdminClient(transport=DatabaseAdminRestTransport(**where))

SHOP = "projects/acme-shop"
LEDGER = f"{SHOP}/instances/ledger"
STOCK = f"{SHOP}/instances/levels-{RUN}"
LEVELS = f"{STOCK}/databases/levels"
MONDAY = f"{LEDGER}/backups/ledger-monday"
LATER = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=9)

with check("an instance is begun, and not changed before it is there"):
    instance = inst.Instance(config=f"{SHOP}/instanceConfigs/regional-europe-west1", display_name="Stock", processing_units=300)
    begun = instances.create_instance(parent=SHOP, instance_id=f"levels-{RUN}", instance=instance)
    equal(begun.metadata.instance.processing_units, 300)
    instance.name = STOCK
    instance.node_count, instance.processing_units = 2, 0
    mask = {"paths": ["node_count"]}
    with raises(exceptions.GoogleAPICallError, 400):
        instances.update_instance(instance=instance, field_mask=mask)

with check("configurations, instances and partitions are listed"):
    assert len(list(instances.list_instance_configs(parent=SHOP))) > 5
    found = [it.name for it in instances.list_instances(request={"parent": SHOP, "page_size": 2, "filter": "labels.env:prod"})]
    equal(found, [LEDGER, f"{SHOP}/instances/sessions"])
    found = {it.name.rpartition("/")[2]: it.node_count for it in instances.list_instance_partitions(parent=LEDGER)}
    equal(found, {"americas": 1, "australia": 1})
    equal(instances.get_instance(name=LEDGER).edition, inst.Instance.Edition.ENTERPRISE_PLUS)

with check("a backup is copied while one waits"):
    copied = databases.copy_backup(parent=LEDGER, backup_id=f"copy-{RUN}", source_backup=MONDAY, expire_time=LATER)
    equal(copied.metadata.source_backup, MONDAY)

with check("an instance is ready when its operation ends"):
    made = begun.result(timeout=60)
    equal((made.state, made.processing_units), (inst.Instance.State.READY, 300))
    instance.node_count = 2
    changed = instances.update_instance(instance=instance, field_mask=mask).result(timeout=60)
    equal(changed.processing_units, 2000)

with check("a database is created, changed and dropped"):
    made = databases.create_database(parent=STOCK, create_statement="CREATE DATABASE levels").result(timeout=60)
    equal(made.state, db.Database.State.READY)
    table = "CREATE TABLE L (x INT64) PRIMARY KEY (x)"
    change = databases.update_database_ddl(database=LEVELS, statements=[table])
    change.result(timeout=60)
    equal([it.progress_percent for it in change.metadata.progress], [100])
    equal(list(databases.get_database_ddl(database=LEVELS).statements), [table])
    databases.drop_database(database=LEVELS)
    with raises(exceptions.NotFound):
        databases.get_database(name=LEVELS)

with check("a copy of a backup is complete"):
    copy = copied.result(timeout=90)
    equal((copy.state, copy.name), (db.Backup.State.READY, f"{LEDGER}/backups/copy-{RUN}"))
    copy.expire_time = LATER + datetime.timedelta(days=1)
    kept = databases.update_backup(backup=copy, update_mask={"paths": ["expire_time"]})
    equal(kept.expire_time, copy.expire_time)
    databases.delete_backup(name=copy.name)

with check("a backup schedule is created, changed and deleted"):
    schedule = db.BackupSchedule(
        retention_duration=datetime.timedelta(days=3),
        spec=db.BackupScheduleSpec(cron_spec=db.CrontabSpec(text="0 5 * * *")),
        full_backup_spec=db.FullBackupSpec(),
    )
    parent = f"{LEDGER}/databases/ledger"
    made = databases.create_backup_schedule(parent=parent, backup_schedule=schedule, backup_schedule_id=f"run-{RUN}")
    made.spec.cron_spec.text = "0 6 * * *"
    changed = databases.update_backup_schedule(backup_schedule=made, update_mask={"paths": ["spec.cron_spec.text"]})
    equal(changed.spec.cron_spec.text, "0 6 * * *")
    databases.delete_backup_schedule(name=made.name)

with check("operations: the lists and the methods that both clients have"):
    found = list(databases.list_database_operations(request={"parent": STOCK, "filter": "done:true"}))
    equal(len(found), 2)
    assert list(databases.list_backup_operations(parent=LEDGER))
    assert list(instances.list_instance_config_operations(request={"parent": SHOP, "page_size": 1}))
    assert list(instances.list_instance_partition_operations(parent=LEDGER))
    for client in (instances, databases):
        found = client.list_operations({"name": f"{STOCK}/operations"}).operations
        equal(client.get_operation({"name": found[0].name}), found[0])

with check("a change that is cancelled ends with code 1"):
    instance.node_count = 4
    change = instances.update_instance(instance=instance, field_mask=mask)
    instances.cancel_operation({"name": change.operation.name})
    with raises(exceptions.Cancelled):
        change.result(timeout=60)
    assert change.cancelled() and change.metadata.cancel_time
    equal(instances.get_instance(name=STOCK).node_count, 2)
    instances.delete_operation({"name": change.operation.name})

with check("what fails fails with what Spanner says"):
    broken = databases.update_database_ddl(database=f"{LEDGER}/databases/invoices", statements=["DROP TABLE nothing"])
    with raises(exceptions.NotFound):
        broken.result(timeout=60)
    with raises(exceptions.Conflict, 409):
        databases.create_database(parent=LEDGER, create_statement="CREATE DATABASE ledger")

with check("policies and permissions"):
    policy = databases.get_iam_policy(resource=f"{LEDGER}/databases/invoices")
    policy.bindings.add(role="roles/spanner.databaseReader", members=["user:ada@acme.example"])
    kept = databases.set_iam_policy(request={"resource": f"{LEDGER}/databases/invoices", "policy": policy})
    equal(list(kept.bindings), list(policy.bindings))
    permissions = ["spanner.instances.get"]
    equal(list(instances.test_iam_permissions(resource=LEDGER, permissions=permissions).permissions), permissions)
    instances.delete_instance(name=STOCK)

finish()
