use super::*;

/// One target of Acme's in each of the six collections, and what its latest operation tells.
const SIX: [(&str, &str); 6] = [
    ("instances/ledger/databases/ledger", "UpdateDatabaseDdlMetadata"),
    ("instances/ledger", "UpdateInstanceMetadata"),
    ("instances/ledger/backups/ledger-before-migration", "CreateBackupMetadata"),
    ("instances/ledger/instancePartitions/americas", "CreateInstancePartitionMetadata"),
    ("instanceConfigs/custom-eur3-america", "CreateInstanceConfigMetadata"),
    ("instanceConfigs/custom-eur3-america/ssdCaches/sessions", "UpdateInstanceConfigMetadata"),
];

#[tokio::test]
async fn operations_are_listed_and_read_in_all_six_collections() {
    let company = Company::opens().await;
    for (target, kind) in SIX {
        let listed = company.get(&format!("{SHOP}/{target}/operations")).await;
        let first = &listed["operations"][0];
        assert_eq!(type_of(&first["metadata"]), kind, "{listed}");
        assert_eq!(&company.operation(first).await, first);
        // The name that goes upstream is the collection's.
        let call = company.emulator.calls().last("*/ListOperations").unwrap();
        let name = format!("projects/acme-shop/{target}/operations");
        assert!(call.request.windows(name.len()).any(|window| window == name.as_bytes()), "{call:?}");
        assert!(call.request.ends_with(name.as_bytes()), "{call:?}");
    }
}

#[tokio::test]
async fn operations_are_cancelled_and_deleted_in_all_six_collections() {
    let company = Company::opens().await;
    for (target, kind) in SIX {
        let collection = format!("{SHOP}/{target}/operations");
        let one = company.get(&collection).await["operations"][0].clone();
        // Cancelling what has ended changes nothing.
        company.cancel(&one).await;
        assert_eq!(company.operation(&one).await["done"], one["done"]);
        let name = format!("/v1/{}", text(&one["name"]));
        if kind == "UpdateDatabaseDdlMetadata" {
            let refused = company.refused("DELETE", &name, &Value::Null).await;
            assert_eq!(refused, (501, "UNIMPLEMENTED".to_owned()), "as at Google's");
            continue;
        }
        assert_eq!(company.ask("DELETE", &name, "").await, json!({}));
        assert_eq!(company.refused("GET", &name, &Value::Null).await.0, 404);
        assert_eq!(company.get(&collection).await["operations"], Value::Null);
    }
}

#[tokio::test]
async fn the_lists_of_a_whole_instance_or_project_hold_what_is_below() {
    let company = Company::opens().await;
    for (list, count) in [
        (format!("{SHOP}/instanceConfigOperations"), 2),
        (format!("{LEDGER}/instancePartitionOperations"), 1),
        (format!("{LEDGER}/databaseOperations"), 3),
        (format!("{LEDGER}/backupOperations"), 2),
    ] {
        let all = company.get(&list).await;
        assert_eq!(all["operations"].as_array().unwrap().len(), count, "{list}: {all}");
    }
    // The latest first, and by filter.
    let page = company.get(&format!("{LEDGER}/databaseOperations?pageSize=1")).await;
    assert_eq!(type_of(&page["operations"][0]["metadata"]), "OptimizeRestoredDatabaseMetadata");
    let filter = "(metadata.@type:UpdateDatabaseDdl)%20AND%20(error:*)";
    let failed = company.get(&format!("{LEDGER}/databaseOperations?filter={filter}")).await;
    let failed = failed["operations"].as_array().unwrap();
    assert_eq!((failed.len(), &failed[0]["error"]["code"]), (1, &json!(9)));
    assert_eq!(type_of(&failed[0]["error"]["details"][0]), "ErrorInfo", "{}", failed[0]);
}

#[tokio::test]
async fn filters_and_pages_work_together() {
    let company = Company::opens_with(|scenario| {
        let sessions = "projects/acme-shop/instances/sessions";
        scenario.spanner = std::mem::take(&mut scenario.spanner).with_many_operations(sessions, 7);
    })
    .await;
    company.create_instance("stock").await;
    let collection = format!("{SHOP}/instances/sessions/operations");
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let target = format!("{collection}?filter=done%3Dtrue&pageSize=3&pageToken={token}");
        let page = company.get(&target).await;
        names.extend(ids(&page["operations"]).into_iter().map(str::to_owned));
        match &page["nextPageToken"] {
            Value::String(next) => {
                token = next.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            }
            _ => break,
        }
    }
    let all = company.get(&collection).await;
    assert_eq!((names.len(), ids(&all["operations"])), (7, names.iter().map(String::as_str).collect()));
    let running = company.get(&format!("{SHOP}/instances/stock/operations?filter=done%3Afalse")).await;
    assert_eq!(running["operations"].as_array().map(Vec::len), Some(1));
    let instances = company.get(&format!("{SHOP}/instances?filter=labels.team%3Apayments")).await;
    assert_eq!(ids(&instances["instances"]), ["ledger"]);
}

#[tokio::test]
async fn an_operation_that_spanner_forgets_a_week_after_its_end_is_remembered_here() {
    let company = Company::opens().await;
    let creating = company.create_instance("stock").await;
    company.pass(12 + 7 * 86_400 - 1);
    let done = company.operation(&creating).await;
    assert_eq!(done["done"], true);
    company.pass(1);
    let list = company.get(&format!("{SHOP}/instances/stock/operations")).await;
    assert_eq!(list["operations"], Value::Null, "{list}");
    assert_eq!(company.operation(&creating).await, done);
    let name = format!("/v1/{}", text(&creating["name"]));
    company.ask("DELETE", &name, "").await;
    assert_eq!(company.refused("GET", &name, &Value::Null).await, (404, "NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_type_that_nobody_knows_fails_nothing() {
    let any = |name: &str| prost_types::Any {
        type_url: format!("type.googleapis.com/google.spanner.admin.instance.v1.{name}"),
        value: vec![0x0a, 0x01, 0x78],
    };
    let company = Company::opens_with(|scenario| {
        // Google has this one, and publishes no descriptor of it.
        scenario.spanner.operations.push(SeedOperation {
            id: None,
            target: "projects/acme-shop/instances/ledger".to_owned(),
            work: SeedWork::Other { metadata: any("ChangeQuorumMetadata"), response: any("Quorum") },
            ago: Duration::from_secs(60),
            takes: Duration::from_secs(30),
            failure: None,
        });
    })
    .await;
    let answer = company.gateway.get(&format!("{LEDGER}/operations")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let unknown = answer.header("causeway-unknown-types");
    assert!(unknown.contains("ChangeQuorumMetadata") && unknown.contains("v1.Quorum"), "{unknown}");
    let all = answer.json();
    let odd = all["operations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| type_of(&it["metadata"]) == "ChangeQuorumMetadata");
    let odd = odd.unwrap();
    assert_eq!((&odd["done"], type_of(&odd["response"])), (&json!(true), "Quorum"));
    assert_eq!(&company.operation(odd).await, odd);
}
