use super::*;
use crate::pb::google::iam::v1::{
    Binding, GetIamPolicyRequest, Policy, SetIamPolicyRequest, TestIamPermissionsRequest,
};

fn readers() -> Policy {
    let members = vec!["group:auditors@acme.example".to_owned()];
    let binding = Binding { role: "roles/spanner.databaseReader".to_owned(), members, condition: None };
    Policy { bindings: vec![binding], ..Default::default() }
}

#[tokio::test]
async fn policies_are_kept_where_each_service_keeps_them() {
    let story = Story::begin();
    let get =
        |resource: &str| Request::new(GetIamPolicyRequest { resource: resource.to_owned(), options: None });
    let set = |resource: &str| {
        let (resource, policy) = (resource.to_owned(), Some(readers()));
        Request::new(SetIamPolicyRequest { resource, policy, update_mask: None })
    };
    let database = format!("{LEDGER}/databases/ledger");
    let backup = format!("{LEDGER}/backups/ledger-monday");
    let schedule = format!("{database}/backupSchedules/nightly");
    use database::database_admin_server::DatabaseAdmin;
    use instance::instance_admin_server::InstanceAdmin;
    for resource in [&database, &backup, &schedule] {
        let empty = DatabaseAdmin::get_iam_policy(&story.spanner, get(resource)).await.expect("none is set");
        assert!(empty.into_inner().bindings.is_empty());
        DatabaseAdmin::set_iam_policy(&story.spanner, set(resource)).await.expect("set");
        let kept =
            DatabaseAdmin::get_iam_policy(&story.spanner, get(resource)).await.expect("kept").into_inner();
        assert!(kept.bindings == readers().bindings && !kept.etag.is_empty());
        let stranger = InstanceAdmin::get_iam_policy(&story.spanner, get(resource)).await;
        assert_eq!(wrong_field(&stranger.expect_err("no instance")), "resource");
    }
    InstanceAdmin::set_iam_policy(&story.spanner, set(LEDGER)).await.expect("set");
}

#[tokio::test]
async fn permissions_are_those_of_the_resource() {
    use database::database_admin_server::DatabaseAdmin;
    let story = Story::begin();
    let test = async |resource: &str, permissions: &[&str]| {
        let permissions = permissions.iter().map(|it| (*it).to_owned()).collect();
        let request = TestIamPermissionsRequest { resource: resource.to_owned(), permissions };
        let answer = DatabaseAdmin::test_iam_permissions(&story.spanner, Request::new(request)).await?;
        Ok::<_, Status>(answer.into_inner().permissions)
    };
    let database = format!("{LEDGER}/databases/ledger");
    let asked = ["spanner.databases.read", "spanner.databases.create"];
    assert_eq!(test(&database, &asked).await.expect("an answer"), ["spanner.databases.read"]);
    let auditor = format!("{database}/databaseRoles/auditor");
    assert_eq!(test(&auditor, &["spanner.databaseRoles.use"]).await.expect("an answer").len(), 1);
    let wrong = test(&database, &["storage.buckets.get"]).await.expect_err("of another service");
    assert_eq!(wrong_field(&wrong), "permissions[0]");
    let absent = test(&format!("{LEDGER}/databases/nobody"), &asked).await.expect_err("absent");
    assert_eq!(absent.code(), Code::NotFound);
}
