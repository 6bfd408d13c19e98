use super::*;

#[tokio::test]
async fn an_instance_with_a_database_and_a_backup_is_made_watched_and_taken_down() {
    let company = Company::opens().await;

    let creating = company.create_instance("stock").await;
    assert_eq!((&creating["done"], type_of(&creating["metadata"])), (&Value::Null, "CreateInstanceMetadata"));
    company.pass(12);
    let made = company.operation(&creating).await;
    assert_eq!((&made["done"], &made["response"]["state"]), (&json!(true), &json!("READY")), "{made}");
    assert_eq!(made["response"]["processingUnits"], 500);
    assert!(made["metadata"]["endTime"].is_string());

    let stock = format!("{SHOP}/instances/stock");
    let table = "CREATE TABLE Levels (Sku STRING(20), Pieces INT64) PRIMARY KEY (Sku)";
    let create = json!({"createStatement": "CREATE DATABASE levels", "extraStatements": [table]});
    let creating = company.post(&format!("{stock}/databases"), &create).await;
    company.pass(4);
    assert_eq!(type_of(&company.operation(&creating).await["response"]), "Database");
    let database = company.get(&format!("{stock}/databases/levels")).await;
    assert_eq!(
        (&database["state"], &database["databaseDialect"]),
        (&json!("READY"), &json!("GOOGLE_STANDARD_SQL"))
    );

    let two = ["CREATE INDEX ByPieces ON Levels(Pieces)", "ALTER TABLE Levels ADD COLUMN Place STRING(10)"];
    let change = json!({"statements": two, "operationId": "places"});
    let changing = company.patch(&format!("{stock}/databases/levels/ddl"), &change).await;
    assert_eq!(changing["name"], "projects/acme-shop/instances/stock/databases/levels/operations/places");
    company.pass(3);
    let half = company.operation(&changing).await;
    assert_eq!(half["metadata"]["progress"][0]["progressPercent"], 100, "{half}");
    assert_eq!(half["metadata"]["commitTimestamps"].as_array().unwrap().len(), 1);
    company.pass(3);
    let done = company.operation(&changing).await;
    assert_eq!(done["response"], json!({"@type": "type.googleapis.com/google.protobuf.Empty"}));
    let ddl = company.get(&format!("{stock}/databases/levels/ddl")).await;
    assert_eq!(ddl["statements"], json!([table, two[0], two[1]]));

    // The id is a parameter; the body is the backup alone.
    let database = "projects/acme-shop/instances/stock/databases/levels";
    let backup = json!({"database": database, "expireTime": "2030-02-01T00:00:00Z"});
    let backing_up = company.post(&format!("{stock}/backups?backupId=levels-now"), &backup).await;
    company.pass(10);
    let half = company.operation(&backing_up).await;
    assert_eq!(half["metadata"]["progress"]["progressPercent"], 50, "{half}");
    company.cancel(&backing_up).await;
    assert!(company.operation(&backing_up).await["metadata"]["cancelTime"].is_string());
    // What says nothing that the path does not say is no mistake.
    let cancel = format!("/v1/{}:cancel", text(&backing_up["name"]));
    for body in ["null", "{}", r#"{"name": "x"}"#] {
        assert_eq!(company.ask("POST", &cancel, body).await, json!({}), "{body}");
    }
    for body in [r#"{"force": true}"#, "[]", r#"{"name": 5}"#, r#"{"name": "x", "name": "x"}"#, "{} {}"] {
        let refused = company.gateway.send("POST", &cancel, &[], body).await;
        assert!(refused.refused(400, "INVALID_FIELD").contains("takes no body"), "{body}");
    }
    company.pass(2);
    let cancelled = company.operation(&backing_up).await;
    assert_eq!((&cancelled["done"], &cancelled["error"]["code"]), (&json!(true), &json!(1)), "{cancelled}");
    assert_eq!(company.get(&format!("{stock}/backups")).await, json!({}));

    assert_eq!(company.ask("DELETE", &stock, "").await, json!({}));
    let gone = company.refused("GET", &format!("{stock}/databases/levels"), &Value::Null).await;
    assert_eq!(gone, (404, "NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_backup_becomes_a_database_in_two_operations() {
    let company = Company::opens().await;
    let backup = "projects/acme-shop/instances/ledger/backups/ledger-monday";
    let ask = json!({"databaseId": "ledger-audit", "backup": backup});
    let restoring = company.post(&format!("{LEDGER}/databases:restore"), &ask).await;
    assert_eq!(restoring["metadata"]["backupInfo"]["backup"], backup);
    company.pass(10);
    let restored = company.operation(&restoring).await;
    assert_eq!(restored["response"]["state"], "READY_OPTIMIZING", "{restored}");
    let second = json!({"name": restored["metadata"]["optimizeDatabaseOperationName"]});
    company.pass(20);
    let optimized = company.operation(&second).await;
    assert_eq!(
        (&optimized["done"], type_of(&optimized["metadata"])),
        (&json!(true), "OptimizeRestoredDatabaseMetadata")
    );

    let copy =
        json!({"backupId": "ledger-copy", "sourceBackup": backup, "expireTime": "2030-01-10T00:00:00Z"});
    let copying = company.post(&format!("{LEDGER}/backups:copy"), &copy).await;
    company.pass(20);
    let copied = company.operation(&copying).await;
    assert_eq!(
        (type_of(&copied["metadata"]), &copied["response"]["state"]),
        ("CopyBackupMetadata", &json!("READY"))
    );
    // A number of 64 bits is text.
    assert!(text(&copied["response"]["sizeBytes"]).parse::<u64>().is_ok());
}

#[tokio::test]
async fn masks_say_what_changes_in_every_spelling_and_place() {
    let company = Company::opens().await;
    // The mask of an instance is in the body.
    let body = json!({"instance": {"nodeCount": 5, "displayName": "ignored"}, "fieldMask": "nodeCount"});
    let changing = company.patch(LEDGER, &body).await;
    company.pass(6);
    let changed = company.operation(&changing).await;
    assert_eq!(
        (&changed["response"]["nodeCount"], &changed["response"]["displayName"]),
        (&json!(5), &json!("Ledger"))
    );
    let body = json!({"instance": {"displayName": "The ledger"}, "field_mask": "display_name"});
    company.patch(LEDGER, &body).await;
    company.pass(6);
    // To read, it is a parameter.
    let read = company.get(&format!("{LEDGER}?fieldMask=displayName,nodeCount")).await;
    assert_eq!(read, json!({"displayName": "The ledger", "nodeCount": 5}));

    // The mask of a database, a backup and a schedule is a parameter; the body is the resource alone.
    let ledger = format!("{LEDGER}/databases/ledger");
    let changing = company.patch(&format!("{ledger}?updateMask=enableDropProtection"), &json!({})).await;
    assert_eq!(changing["metadata"]["request"]["updateMask"], "enableDropProtection");
    company.pass(4);
    assert_eq!(company.get(&ledger).await["enableDropProtection"], Value::Null);
    let later = json!({"expireTime": "2030-03-01T00:00:00Z"});
    let kept = company.patch(&format!("{LEDGER}/backups/ledger-monday?updateMask=expire_time"), &later).await;
    assert_eq!(kept["expireTime"], "2030-03-01T00:00:00Z");
    let weekly = json!({"spec": {"cronSpec": {"text": "15 3 * * SUN"}}});
    let schedule = format!("{ledger}/backupSchedules/nightly?updateMask=spec.cronSpec.text");
    assert_eq!(company.patch(&schedule, &weekly).await["spec"]["cronSpec"]["text"], "15 3 * * SUN");

    let answer = company
        .gateway
        .send("PATCH", LEDGER, &[], json!({"instance": {}, "fieldMask": "colour"}).to_string())
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.fields(), ["field_mask"]);
}

#[tokio::test]
async fn partitions_configurations_and_a_move_are_operations_too() {
    let company = Company::opens().await;
    let partition = json!({
        "instancePartitionId": "asia",
        "instancePartition": {
            "config": "projects/acme-shop/instanceConfigs/regional-asia-northeast1",
            "displayName": "Asian ledger",
            "nodeCount": 1,
        },
    });
    let creating = company.post(&format!("{LEDGER}/instancePartitions"), &partition).await;
    company.pass(12);
    assert_eq!(type_of(&company.operation(&creating).await["response"]), "InstancePartition");
    let partitions = company.get(&format!("{LEDGER}/instancePartitions")).await;
    assert_eq!(ids(&partitions["instancePartitions"]), ["americas", "asia", "australia"]);

    let base = company.get(&format!("{SHOP}/instanceConfigs/nam3")).await;
    let config = json!({
        "instanceConfigId": "custom-nam3",
        "instanceConfig": {
            "baseConfig": base["name"], "displayName": "America", "replicas": base["replicas"],
        },
        "validateOnly": true,
    });
    let good = company.post(&format!("{SHOP}/instanceConfigs"), &config).await;
    assert_eq!((&good["name"], &good["done"]), (&Value::Null, &json!(true)), "only checked: {good}");

    let target = json!({"targetConfig": "projects/acme-shop/instanceConfigs/regional-europe-west3"});
    let creating = company.create_instance("stock").await;
    company.pass(12);
    assert_eq!(company.operation(&creating).await["done"], true);
    let moving = company.post(&format!("{SHOP}/instances/stock:move"), &target).await;
    company.pass(20);
    assert_eq!(company.operation(&moving).await["metadata"]["progress"]["progressPercent"], 50);
    company.pass(20);
    assert_eq!(type_of(&company.operation(&moving).await["response"]), "MoveInstanceResponse");
    assert_eq!(company.get(&format!("{SHOP}/instances/stock")).await["config"], target["targetConfig"]);
}

#[tokio::test]
async fn access_is_granted_to_instances_databases_backups_and_schedules() {
    let company = Company::opens().await;
    for resource in
        ["", "/databases/ledger", "/backups/ledger-monday", "/databases/ledger/backupSchedules/nightly"]
    {
        let resource = format!("{LEDGER}{resource}");
        let binding = json!({"role": "roles/spanner.viewer", "members": ["group:auditors@acme.example"]});
        let set = json!({"policy": {"bindings": [binding]}});
        let kept = company.post(&format!("{resource}:setIamPolicy"), &set).await;
        // Nothing needs to be asked for.
        let read = company.ask("POST", &format!("{resource}:getIamPolicy"), "").await;
        assert_eq!((&read, &read["bindings"][0]), (&kept, &binding));
    }
    let role = format!("{LEDGER}/databases/ledger/databaseRoles/auditor:testIamPermissions");
    let asked = json!({"permissions": ["spanner.databaseRoles.use"]});
    assert_eq!(company.post(&role, &asked).await, asked);
}
