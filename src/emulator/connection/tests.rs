//! What callers of the service see. Everything goes through the store, as each rpc does.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use prost::Message as _;
use prost_types::FieldMask;
use tonic::{Code, Status};

use super::{super::scenario::Scenario, Connections};
use crate::{
    clock::{Clock as _, ManualClock},
    pb::google::{
        cloud::bigquery::connection::v1::{
            CloudResourceProperties, CloudSqlCredential, CloudSqlProperties, Connection,
            CreateConnectionRequest, ListConnectionsRequest, UpdateConnectionRequest,
            cloud_sql_properties::DatabaseType, connection::Properties,
        },
        iam::v1::{Binding, GetIamPolicyRequest, Policy, SetIamPolicyRequest, TestIamPermissionsRequest},
        rpc,
    },
};

const EU: &str = "projects/acme-data/locations/eu";

struct Desk {
    connections: Connections,
    clock: Arc<ManualClock>,
}

impl Desk {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_000_000).expect("in range")));
        let connections = Connections::new(&Scenario::empty(), clock.clone()).expect("few connections");
        Self { connections, clock }
    }

    fn create(&self, id: &str, properties: Properties) -> Result<Connection, Status> {
        let connection = Some(Connection { properties: Some(properties), ..Default::default() });
        let (parent, connection_id) = (EU.to_owned(), id.to_owned());
        self.connections.create(CreateConnectionRequest { parent, connection_id, connection })
    }

    fn update(&self, id: &str, paths: &[&str], connection: Connection) -> Result<Connection, Status> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        self.connections.update(&UpdateConnectionRequest {
            name: name(id),
            connection: Some(connection),
            update_mask: Some(FieldMask { paths }),
        })
    }

    fn set_policy(&self, id: &str, policy: Policy) -> Result<Policy, Status> {
        let request = SetIamPolicyRequest { resource: name(id), policy: Some(policy), update_mask: None };
        self.connections.set_policy(request)
    }
}

fn name(id: &str) -> String {
    format!("{EU}/connections/{id}")
}

fn sql(database: &str, password: &str) -> CloudSqlProperties {
    let credential = CloudSqlCredential { username: "reader".into(), password: password.into() };
    CloudSqlProperties {
        instance_id: "acme-shop:europe-west1:orders".into(),
        database: database.into(),
        r#type: DatabaseType::Postgres.into(),
        credential: Some(credential).filter(|_| !password.is_empty()),
        ..Default::default()
    }
}

fn with(properties: CloudSqlProperties) -> Connection {
    Connection { properties: Some(Properties::CloudSql(properties)), ..Default::default() }
}

fn detail_types(status: &Status) -> Vec<String> {
    let packed = rpc::Status::decode(status.details()).expect("details are a packed status");
    packed
        .details
        .into_iter()
        .map(|any| any.type_url.replace("type.googleapis.com/google.rpc.", ""))
        .collect()
}

#[test]
fn a_credential_is_taken_and_never_shown() {
    let desk = Desk::new();
    let created = desk.create("c", Properties::CloudSql(sql("orders", "hunter2"))).expect("created");
    assert!(created.has_credential);
    let Some(Properties::CloudSql(shown)) = &created.properties else { panic!("another type") };
    assert_eq!(shown.credential, None);
    assert!(shown.service_account_id.ends_with("@gcp-sa-bigqueryconnection.iam.gserviceaccount.com"));
    assert_eq!(desk.connections.get(&name("c")).expect("is there"), created);
    assert_eq!(desk.connections.credential(&name("c")).expect("is held").password, "hunter2");
}

#[test]
fn naming_a_property_drops_the_credential_unless_one_is_sent() {
    let desk = Desk::new();
    desk.create("c", Properties::CloudSql(sql("orders", "one"))).expect("created");
    let renamed = desk.update("c", &["friendly_name"], Connection::default()).expect("updated");
    assert!(renamed.has_credential, "a plain field leaves it alone");
    let kept = desk.update("c", &["cloud_sql.database", "cloud_sql.credential"], with(sql("b", "two")));
    assert!(kept.expect("updated").has_credential);
    assert_eq!(desk.connections.credential(&name("c")).expect("is held").password, "two");
    // The body brings a credential, but the mask does not name it.
    let dropped = desk.update("c", &["cloud_sql.database"], with(sql("c", "three"))).expect("updated");
    assert!(!dropped.has_credential);
    assert_eq!(desk.connections.credential(&name("c")), None);
}

#[test]
fn what_only_the_service_sets_is_ignored_on_input_and_survives_updates() {
    let desk = Desk::new();
    let forged = CloudResourceProperties { service_account_id: "mine@example.com".into() };
    let created = desk.create("c", Properties::CloudResource(forged.clone())).expect("created");
    let Some(Properties::CloudResource(resource)) = &created.properties else { panic!("another type") };
    assert!(resource.service_account_id.ends_with("@gcp-sa-bigquery-condel.iam.gserviceaccount.com"));
    desk.clock.advance(Duration::from_secs(5));
    let forged = Connection {
        name: "projects/x/locations/y/connections/z".into(),
        creation_time: 1,
        has_credential: true,
        properties: Some(Properties::CloudResource(forged)),
        ..Default::default()
    };
    let updated = desk.update("c", &["name", "has_credential", "creation_time", "cloud_resource"], forged);
    let expected = Connection { last_modified_time: created.creation_time + 5_000, ..created };
    assert_eq!(updated.expect("updated"), expected);
}

#[test]
fn ids_are_made_up_when_left_out_and_taken_once() {
    let desk = Desk::new();
    let resource = || Properties::CloudResource(CloudResourceProperties::default());
    let (one, two) = (desk.create("", resource()).expect("one"), desk.create("", resource()).expect("two"));
    assert_ne!(one.name, two.name);
    desk.create("c", resource()).expect("created");
    let again = desk.create("c", resource()).expect_err("taken");
    assert_eq!(again.code(), Code::AlreadyExists);
    assert_eq!(detail_types(&again), ["ResourceInfo", "ErrorInfo"]);
    // A connection called `-` could be neither read nor deleted.
    for strange in ["a b", "-"] {
        let refused = desk.create(strange, resource()).expect_err(strange);
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(detail_types(&refused), ["BadRequest"]);
    }
}

#[test]
fn what_is_not_there_is_not_found_with_details() {
    let desk = Desk::new();
    let gone = [
        desk.connections.get(&name("c")).map(drop),
        desk.connections.delete(&name("c")),
        desk.update("c", &["description"], Connection::default()).map(drop),
        desk.set_policy("c", Policy::default()).map(drop),
    ];
    for outcome in gone {
        let status = outcome.expect_err("not there");
        assert_eq!(status.code(), Code::NotFound);
        assert_eq!(status.message(), format!("Not found: Connection {}", name("c")));
        assert_eq!(detail_types(&status), ["ResourceInfo", "ErrorInfo"]);
    }
}

#[test]
fn a_deleted_connection_leaves_nothing_to_the_next_of_its_name() {
    let desk = Desk::new();
    let sql = || Properties::CloudSql(sql("orders", "hunter2"));
    desk.create("c", sql()).expect("created");
    let binding = Binding { role: "roles/viewer".into(), members: vec!["allUsers".into()], condition: None };
    desk.set_policy("c", Policy { bindings: vec![binding], ..Default::default() }).expect("set");
    desk.connections.delete(&name("c")).expect("deleted");
    assert_eq!(desk.connections.credential(&name("c")), None);
    desk.create("c", sql()).expect("created");
    let request = GetIamPolicyRequest { resource: name("c"), options: None };
    assert!(desk.connections.get_policy(&request).expect("a policy").bindings.is_empty());
}

#[test]
fn lists_hold_one_location_and_pages_survive_deletions() {
    let desk = Desk::new();
    let now = desk.clock.now();
    let scenario = Scenario::empty().with_many_connections(EU, "c", 5, now);
    let scenario = scenario.with_many_connections("projects/acme-data/locations/eu2", "x", 2, now);
    let connections = Connections::new(&scenario, desk.clock.clone()).expect("few connections");
    let list = |page_size, page_token: &str| {
        let (parent, page_token) = (EU.to_owned(), page_token.to_owned());
        connections.list(&ListConnectionsRequest { parent, page_size, page_token }).expect("a page")
    };
    let first = list(2, "");
    // The last item of the page goes away: the next page starts behind it all the same.
    connections.delete(&first.connections[1].name).expect("deleted");
    let rest = list(0, &first.next_page_token);
    let ids: Vec<_> =
        rest.connections.iter().map(|c| c.name.rsplit('/').next().unwrap_or_default()).collect();
    assert_eq!(ids, ["c-00002", "c-00003", "c-00004"]);
    assert_eq!(rest.next_page_token, "");
}

#[test]
fn a_policy_is_set_once_per_etag() {
    let desk = Desk::new();
    desk.create("c", Properties::CloudResource(CloudResourceProperties::default())).expect("created");
    let request = GetIamPolicyRequest { resource: name("c"), options: None };
    let none = desk.connections.get_policy(&request).expect("an empty policy");
    let first = desk.set_policy("c", none.clone()).expect("set");
    assert_ne!(first.etag, none.etag);
    let late = desk.set_policy("c", none).expect_err("somebody was faster");
    assert_eq!((late.code(), detail_types(&late)), (Code::Aborted, vec!["ErrorInfo".to_owned()]));
    desk.set_policy("c", Policy::default()).expect("without an etag it is overwritten");
}

#[test]
fn permissions_on_nothing_are_none_and_wrong_ones_are_refused() {
    let desk = Desk::new();
    desk.create("c", Properties::CloudResource(CloudResourceProperties::default())).expect("created");
    let test = |id: &str, permissions: &[&str]| {
        let permissions = permissions.iter().map(|text| format!("bigquery.connections.{text}")).collect();
        desk.connections.test_permissions(TestIamPermissionsRequest { resource: name(id), permissions })
    };
    let granted = test("c", &["use", "create", "get"]).expect("an answer").permissions;
    assert_eq!(granted, ["bigquery.connections.use", "bigquery.connections.get"]);
    assert!(test("nope", &["use"]).expect("an answer").permissions.is_empty());
    assert_eq!(test("c", &["*"]).expect_err("refused").code(), Code::InvalidArgument);
}

#[test]
fn the_same_seed_makes_up_the_same_ids() {
    let create = || {
        let desk = Desk::new();
        desk.create("", Properties::CloudResource(CloudResourceProperties::default())).expect("created")
    };
    assert_eq!(create(), create());
}
