use prost_types::FieldMask;
use v1::{ConnectionProfile, connection_profile::Profile};

use super::*;

fn mysql(host: &str) -> ConnectionProfile {
    ConnectionProfile {
        display_name: "Returns".to_owned(),
        profile: Some(Profile::MysqlProfile(v1::MysqlProfile {
            hostname: host.to_owned(),
            port: 3306,
            username: "datastream".to_owned(),
            password: "hunter2".to_owned(),
            ssl_config: Some(v1::MysqlSslConfig {
                ca_certificate: "-----BEGIN".to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn creation(host: &str) -> v1::CreateConnectionProfileRequest {
    v1::CreateConnectionProfileRequest {
        parent: HOME.to_owned(),
        connection_profile_id: "returns".to_owned(),
        connection_profile: Some(mysql(host)),
        ..Default::default()
    }
}

async fn create(story: &Story, request: v1::CreateConnectionProfileRequest) -> Result<Operation, Status> {
    Ok(story.datastream.create_connection_profile(Request::new(request)).await?.into_inner())
}

async fn get(story: &Story, id: &str) -> Result<ConnectionProfile, Status> {
    let name = format!("{HOME}/connectionProfiles/{id}");
    let request = Request::new(v1::GetConnectionProfileRequest { name });
    Ok(story.datastream.get_connection_profile(request).await?.into_inner())
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let story = Story::begin();
    let operation = create(&story, creation("returns.db.acme.example")).await.expect("it begins");
    story.pass(5);
    let done = story.operation(&operation.name).await.expect("it is kept");
    let created: ConnectionProfile = response(&done, "google.cloud.datastream.v1.ConnectionProfile");
    assert_eq!(created, get(&story, "returns").await.expect("it is there"));
    let Some(Profile::MysqlProfile(profile)) = created.profile else { panic!("a MySQL profile") };
    assert_eq!((profile.password.as_str(), profile.username.as_str()), ("", "datastream"));
    let ssl = profile.ssl_config.expect("settings of TLS");
    assert_eq!((ssl.ca_certificate.as_str(), ssl.ca_certificate_set, ssl.client_key_set), ("", true, false));
}

#[tokio::test]
async fn a_host_that_does_not_answer_fails_the_operation_unless_it_is_forced() {
    let story = Story::begin();
    let bad = creation("unreachable.acme.example");
    let operation = create(&story, bad.clone()).await.expect("it begins");
    story.pass(5);
    let failed = story.operation(&operation.name).await.expect("it is kept");
    assert_eq!(error(&failed).code, Code::FailedPrecondition as i32);
    let checks = metadata(&failed).validation_result.expect("the checks").validations;
    assert_eq!(checks[0].state(), v1::validation::State::Failed);
    assert_eq!(get(&story, "returns").await.expect_err("not created").code(), Code::NotFound);

    let tried =
        create(&story, v1::CreateConnectionProfileRequest { validate_only: true, ..bad.clone() }).await;
    assert_eq!(error(&tried.expect("an answer")).code, Code::FailedPrecondition as i32);

    create(&story, v1::CreateConnectionProfileRequest { force: true, ..bad }).await.expect("it begins");
    story.pass(5);
    get(&story, "returns").await.expect("created all the same");
}

#[tokio::test]
async fn a_profile_in_use_stays_and_one_member_of_a_oneof_replaces_another() {
    let story = Story::begin();
    let name = format!("{HOME}/connectionProfiles/shop-postgres");
    let delete = Request::new(v1::DeleteConnectionProfileRequest { name, ..Default::default() });
    let used = story.datastream.delete_connection_profile(delete).await.expect_err("streams use it");
    assert_eq!((used.code(), reason(&used).as_str()), (Code::FailedPrecondition, "RESOURCE_IN_USE"));

    create(&story, creation("returns.db.acme.example")).await.expect("it begins");
    story.pass(5);
    let ssh = v1::ForwardSshTunnelConnectivity {
        hostname: "bastion.acme.example".to_owned(),
        ..Default::default()
    };
    let body = ConnectionProfile {
        name: format!("{HOME}/connectionProfiles/returns"),
        connectivity: Some(v1::connection_profile::Connectivity::ForwardSshConnectivity(ssh)),
        ..Default::default()
    };
    let request = v1::UpdateConnectionProfileRequest {
        connection_profile: Some(body),
        update_mask: Some(FieldMask { paths: vec!["forward_ssh_connectivity".to_owned()] }),
        ..Default::default()
    };
    story.datastream.update_connection_profile(Request::new(request)).await.expect("it begins");
    story.pass(5);
    let profile = get(&story, "returns").await.expect("it is there");
    assert!(matches!(
        profile.connectivity,
        Some(v1::connection_profile::Connectivity::ForwardSshConnectivity(_))
    ));
    assert_eq!(profile.display_name, "Returns");
}

#[tokio::test]
async fn private_connections_come_slowly_go_slowly_and_keep_their_routes_unless_forced() {
    let story = Story::begin();
    let vpc = v1::VpcPeeringConfig {
        vpc: "projects/p/global/networks/n".to_owned(),
        subnet: "10.1.0.0/29".to_owned(),
    };
    let wanted = v1::PrivateConnection {
        display_name: "Depot".to_owned(),
        vpc_peering_config: Some(vpc),
        ..Default::default()
    };
    let request = |id: &str| v1::CreatePrivateConnectionRequest {
        parent: HOME.to_owned(),
        private_connection_id: id.to_owned(),
        private_connection: Some(wanted.clone()),
        ..Default::default()
    };
    story.datastream.create_private_connection(Request::new(request("depot"))).await.expect("it begins");
    let name = format!("{HOME}/privateConnections/depot");
    let state = async || {
        let request = Request::new(v1::GetPrivateConnectionRequest { name: name.clone() });
        story.datastream.get_private_connection(request).await.map(|it| it.into_inner().state().as_str_name())
    };
    assert_eq!(state().await.expect("visible at once"), "CREATING");
    let route = v1::CreateRouteRequest {
        parent: name.clone(),
        route_id: "db".to_owned(),
        route: Some(v1::Route {
            display_name: "Database".to_owned(),
            destination_address: "10.9.0.1".to_owned(),
            destination_port: 5432,
            ..Default::default()
        }),
        ..Default::default()
    };
    let early = story.datastream.create_route(Request::new(route.clone())).await.expect_err("not ready");
    assert_eq!(reason(&early), "PRIVATE_CONNECTION_NOT_READY");
    story.pass(20);
    assert_eq!(state().await.expect("it is there"), "CREATED");
    story.datastream.create_route(Request::new(route)).await.expect("it begins");
    story.pass(5);

    let mut delete = v1::DeletePrivateConnectionRequest { name: name.clone(), ..Default::default() };
    let kept = story.datastream.delete_private_connection(Request::new(delete.clone())).await;
    assert_eq!(reason(&kept.expect_err("it has a route")), "HAS_ROUTES");
    delete.force = true;
    story.datastream.delete_private_connection(Request::new(delete)).await.expect("it begins");
    assert_eq!(state().await.expect("still visible"), "DELETING");
    story.pass(20);
    assert_eq!(state().await.expect_err("gone").code(), Code::NotFound);

    for id in ["a", "b", "c"] {
        story.datastream.create_private_connection(Request::new(request(id))).await.expect("up to five");
    }
    let sixth = story.datastream.create_private_connection(Request::new(request("e"))).await;
    assert_eq!(sixth.expect_err("five per project").code(), Code::ResourceExhausted);
}
