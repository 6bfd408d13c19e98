use causeway::{emulator::Fault, error::Code};

use super::*;

#[tokio::test]
async fn what_is_meant_to_fail_fails_and_leaves_nothing() {
    let company = Company::opens_with(|scenario| {
        scenario.spanner.failing.push("*/backups/levels-*".to_owned());
    })
    .await;
    let creating = company.create_instance("fails-to-fit").await;
    let backup = json!({
        "database": "projects/acme-shop/instances/ledger/databases/invoices",
        "expireTime": "2030-02-01T00:00:00Z",
    });
    let backing_up = company.post(&format!("{LEDGER}/backups?backupId=levels-now"), &backup).await;
    company.pass(20);
    for begun in [creating, backing_up] {
        let failed = company.operation(&begun).await;
        assert_eq!((&failed["done"], &failed["error"]["code"]), (&json!(true), &json!(8)), "{failed}");
        let target = text(&begun["name"]).split("/operations/").next().unwrap();
        assert_eq!(company.refused("GET", &format!("/v1/{target}"), &Value::Null).await.0, 404);
    }
    let statements = json!({"statements": ["CREATE ROLE clerk", "DROP TABLE Nothing"]});
    let changing = company.patch(&format!("{LEDGER}/databases/ledger/ddl"), &statements).await;
    company.pass(6);
    let failed = company.operation(&changing).await;
    assert_eq!(
        (&failed["error"]["code"], &failed["metadata"]["progress"][0]["progressPercent"]),
        (&json!(5), &json!(100))
    );
    let roles = company.get(&format!("{LEDGER}/databases/ledger/databaseRoles")).await;
    assert!(ids(&roles["databaseRoles"]).contains(&"clerk"), "what took effect before stays: {roles}");
}

#[tokio::test]
async fn what_google_refuses_is_refused_in_the_same_words() {
    let company = Company::opens().await;
    let config = "projects/acme-shop/instanceConfigs/regional-europe-west1";
    let instance = json!({"config": config, "displayName": "Ledger", "nodeCount": 1});
    let create = |id: &str, instance: Value| json!({"instanceId": id, "instance": instance});
    let backup = |until: &str| json!({"database": "projects/acme-shop/instances/ledger/databases/invoices", "expireTime": until});
    let (instances, ledger) = (format!("{SHOP}/instances"), format!("{LEDGER}/databases/ledger"));
    let both = json!({"config": config, "displayName": "Ledger", "nodeCount": 1, "processingUnits": 500});
    for (verb, target, body, status, code) in [
        ("POST", instances.clone(), create("ledger", instance.clone()), 409, "ALREADY_EXISTS"),
        ("POST", instances.clone(), create("Ledger!", instance), 400, "INVALID_ARGUMENT"),
        ("POST", instances.clone(), create("stock", both), 400, "INVALID_ARGUMENT"),
        ("POST", instances, json!({"instanceId": "stock"}), 400, "INVALID_ARGUMENT"),
        ("GET", format!("{SHOP}/instances/nobody"), Value::Null, 404, "NOT_FOUND"),
        ("GET", format!("{SHOP}/instances/nobody/databases"), Value::Null, 404, "NOT_FOUND"),
        ("DELETE", LEDGER.to_owned(), Value::Null, 400, "FAILED_PRECONDITION"),
        ("DELETE", ledger.clone(), Value::Null, 400, "FAILED_PRECONDITION"),
        ("DELETE", format!("{SHOP}/instanceConfigs/eur3"), Value::Null, 400, "FAILED_PRECONDITION"),
        (
            "DELETE",
            format!("{SHOP}/instanceConfigs/custom-eur3-america"),
            Value::Null,
            400,
            "FAILED_PRECONDITION",
        ),
        (
            "DELETE",
            format!("{SHOP}/instanceConfigs/custom-eur3-america?etag=old"),
            Value::Null,
            409,
            "ABORTED",
        ),
        ("PATCH", format!("{ledger}/ddl"), json!({"statements": ["SELECT 1"]}), 400, "INVALID_ARGUMENT"),
        ("PATCH", format!("{ledger}/ddl"), json!({}), 400, "INVALID_ARGUMENT"),
        ("PATCH", ledger.clone(), json!({}), 400, "INVALID_ARGUMENT"),
        (
            "POST",
            format!("{LEDGER}/backups?backupId=x1"),
            backup("2030-01-02T04:00:00Z"),
            400,
            "INVALID_ARGUMENT",
        ),
        ("POST", format!("{LEDGER}/backups"), backup("2030-02-01T00:00:00Z"), 400, "INVALID_ARGUMENT"),
        ("GET", format!("{LEDGER}/operations?filter=verb%3Dx"), Value::Null, 400, "INVALID_ARGUMENT"),
        ("GET", format!("{LEDGER}/operations?pageToken=zzz"), Value::Null, 400, "INVALID_ARGUMENT"),
        ("GET", format!("{LEDGER}/operations?returnPartialSuccess=true"), Value::Null, 501, "UNIMPLEMENTED"),
        ("GET", format!("{LEDGER}/operations/nobody"), Value::Null, 404, "NOT_FOUND"),
        ("POST", format!("{LEDGER}/operations/nobody:cancel"), Value::Null, 404, "NOT_FOUND"),
        ("PATCH", LEDGER.to_owned(), json!({"instance": {}, "fieldMask": 5}), 400, "INVALID_ARGUMENT"),
    ] {
        assert_eq!(company.refused(verb, &target, &body).await, (status, code.to_owned()), "{verb} {target}");
    }
}

#[tokio::test]
async fn a_cancellation_is_not_sent_twice_and_a_read_is() {
    let company = Company::opens().await;
    let creating = company.create_instance("stock").await;
    let down = |rpc: &str| Fault::fail(format!("*{rpc}"), Code::Unavailable, "try again").times(1);
    company.emulator.faults().add(down("GetOperation")).unwrap();
    assert_eq!(company.operation(&creating).await["name"], creating["name"]);
    company.emulator.faults().add(down("CancelOperation")).unwrap();
    let cancel = format!("/v1/{}:cancel", text(&creating["name"]));
    assert_eq!(company.refused("POST", &cancel, &Value::Null).await, (503, "UNAVAILABLE".to_owned()));
    assert_eq!(company.emulator.calls().count("google.longrunning.Operations/CancelOperation"), 1);
}

#[tokio::test]
async fn calls_carry_the_routing_header_of_their_rule() {
    let company = Company::opens().await;
    company.create_instance("stock").await;
    company.patch(LEDGER, &json!({"instance": {"nodeCount": 4}, "fieldMask": "nodeCount"})).await;
    company.get(&format!("{LEDGER}/operations")).await;
    for (rpc, params) in [
        ("*/CreateInstance", "parent=projects/acme-shop"),
        ("*/UpdateInstance", "instance.name=projects/acme-shop/instances/ledger"),
        ("*/ListOperations", "name=projects/acme-shop/instances/ledger/operations"),
    ] {
        let call = company.emulator.calls().last(rpc).unwrap();
        assert_eq!(
            call.header("x-goog-request-params").map(|it| it.replace("%2F", "/")).as_deref(),
            Some(params)
        );
    }
}
