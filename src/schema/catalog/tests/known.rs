//! The upstreams that are built in.

use std::{collections::BTreeMap, fmt::Write as _};

use super::*;

#[test]
fn the_known_upstreams_have_the_published_bindings() {
    let catalog = builtins();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut table = String::new();
    for method in &catalog.methods {
        for binding in &method.bindings {
            *count.entry(&method.upstream).or_default() += 1;
            writeln!(table, "{}", line(method, binding)).unwrap();
        }
    }
    // Eight of the connection service; 26 of Datastream, four of its operations, two of its locations; five of Flyte's
    // tasks, two of its connectors; 21 of Spanner's instances, 33 of its databases, four for each of six collections.
    assert_eq!(
        count,
        BTreeMap::from([("bigqueryconnection", 8), ("datastream", 32), ("flyte", 7), ("spanner", 78)]),
        "{table}"
    );
    for published in [
        "google.cloud.bigquery.connection.v1.ConnectionService.CreateConnection\tPOST\t/v1/{parent=projects/*/locations/*}/connections\tconnection\t-",
        "google.cloud.bigquery.connection.v1.ConnectionService.SetIamPolicy\tPOST\t/v1/{resource=projects/*/locations/*/connections/*}:setIamPolicy\t*\t-",
        "google.cloud.bigquery.connection.v1.ConnectionService.UpdateConnection\tPATCH\t/v1/{name=projects/*/locations/*/connections/*}\tconnection\t-",
        "google.cloud.datastream.v1.Datastream.UpdateConnectionProfile\tPATCH\t/v1/{connection_profile.name=projects/*/locations/*/connectionProfiles/*}\tconnection_profile\t-",
        "google.cloud.datastream.v1.Datastream.FetchStaticIps\tGET\t/v1/{name=projects/*/locations/*}:fetchStaticIps\t-\t-",
        "google.cloud.datastream.v1.Datastream.StartBackfillJob\tPOST\t/v1/{object=projects/*/locations/*/streams/*/objects/*}:startBackfillJob\t*\t-",
        "google.longrunning.Operations.CancelOperation\tPOST\t/v1/{name=projects/*/locations/*/operations/*}:cancel\t*\t-",
        "google.longrunning.Operations.ListOperations\tGET\t/v1/{name=projects/*/locations/*}/operations\t-\t-",
        "google.cloud.location.Locations.ListLocations\tGET\t/v1/{name=projects/*}/locations\t-\t-",
        "google.spanner.admin.instance.v1.InstanceAdmin.UpdateInstance\tPATCH\t/v1/{instance.name=projects/*/instances/*}\t*\t-",
        "google.spanner.admin.database.v1.DatabaseAdmin.UpdateDatabaseDdl\tPATCH\t/v1/{database=projects/*/instances/*/databases/*}/ddl\t*\t-",
        "google.longrunning.Operations.CancelOperation\tPOST\t/v1/{name=projects/*/instances/*/operations/*}:cancel\t-\t-",
        "google.longrunning.Operations.ListOperations\tGET\t/v1/{name=projects/*/instanceConfigs/*/ssdCaches/*/operations}\t-\t-",
        "flyteidl.service.AsyncAgentService.CreateTask\tPOST\t/api/v1/agent/task\t*\t-",
        "flyteidl.service.AsyncAgentService.DeleteTask\tDELETE\t/api/v1/agent/task_executions/{task_category.name}/{task_category.version}/{resource_meta}\t-\t-",
        "flyteidl.service.AgentMetadataService.GetAgent\tGET\t/api/v1/agent/{name}\t-\t-",
    ] {
        assert!(table.lines().any(|line| line == published), "{published} is not in\n{table}");
    }
    // The annotated paths of the mixins belong to nobody.
    assert!(!table.contains("{name=operations") && !table.contains("{name=locations"), "{table}");
}

#[test]
fn methods_of_the_known_upstreams_know_what_they_are() {
    let catalog = builtins();
    // upstream, service and rpc; effect, collection and permission, items of the list.
    let connections = "google.cloud.bigquery.connection.v1.ConnectionService";
    let datastream = "google.cloud.datastream.v1.Datastream";
    let operations = "google.longrunning.Operations";
    let (tasks, connectors) = ("flyteidl.service.AsyncAgentService", "flyteidl.service.AgentMetadataService");
    let (reads, changes) = (Effect::ReadOnly, Effect::Mutation);
    let table = [
        (
            connections,
            "ListConnections",
            reads,
            "connections",
            "bigqueryconnection.connections.list",
            Some("connections"),
        ),
        (
            connections,
            "UpdateConnection",
            changes,
            "connections",
            "bigqueryconnection.connections.update",
            None,
        ),
        (
            connections,
            "GetIamPolicy",
            reads,
            "connections",
            "bigqueryconnection.connections.getIamPolicy",
            None,
        ),
        (
            connections,
            "SetIamPolicy",
            changes,
            "connections",
            "bigqueryconnection.connections.setIamPolicy",
            None,
        ),
        (
            connections,
            "TestIamPermissions",
            reads,
            "connections",
            "bigqueryconnection.connections.testIamPermissions",
            None,
        ),
        (datastream, "LookupStreamObject", reads, "objects", "datastream.objects.lookup", None),
        (datastream, "StartBackfillJob", changes, "objects", "datastream.objects.startBackfillJob", None),
        (datastream, "RunStream", changes, "streams", "datastream.streams.run", None),
        (datastream, "CreateRoute", changes, "routes", "datastream.routes.create", None),
        (
            datastream,
            "FetchStaticIps",
            reads,
            "staticIps",
            "datastream.staticIps.fetchStaticIps",
            Some("static_ips"),
        ),
        (operations, "ListOperations", reads, "operations", "datastream.operations.list", Some("operations")),
        (operations, "CancelOperation", changes, "operations", "datastream.operations.cancel", None),
        (operations, "DeleteOperation", changes, "operations", "datastream.operations.delete", None),
        (tasks, "CreateTask", changes, "tasks", "flyte.raw", None),
        (tasks, "GetTask", reads, "tasks", "flyte.raw", None),
        (tasks, "DeleteTask", changes, "tasks", "flyte.raw", None),
        (tasks, "GetTaskLogs", reads, "tasks", "flyte.raw", None),
        (connectors, "ListAgents", reads, "agents", "flyte.agents.list", Some("agents")),
    ];
    for (service, rpc, effect, collection, permission, items) in table {
        let upstream = permission.split('.').next().unwrap();
        let name = format!("{service}.{rpc}");
        let method = catalog.find(upstream, &name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(method.effect, effect, "{name}");
        assert_eq!((&*method.collection, &*method.permission), (collection, permission), "{name}");
        assert_eq!(method.list.as_ref().map(|list| &*list.items), items, "{name}");
        assert_eq!((method.name(), &*method.grpc_path), (rpc, &*format!("/{service}/{rpc}")));
    }
}

#[test]
fn operations_secrets_masks_and_scopes_are_known() {
    let catalog = builtins();
    let find = |upstream: &str, name: &str| catalog.find(upstream, name).unwrap_or_else(|| panic!("{name}"));
    let create = find("datastream", "google.cloud.datastream.v1.Datastream.CreateConnectionProfile");
    let running = create.long_running.as_ref().unwrap();
    assert_eq!(running.response_type.as_deref(), Some("google.cloud.datastream.v1.ConnectionProfile"));
    assert_eq!(running.metadata_type.as_deref(), Some("google.cloud.datastream.v1.OperationMetadata"));
    assert_eq!(running.hints.initial_poll_delay, Some(Duration::from_secs(2)));
    assert!(create.request_id);
    let delete = find("datastream", "google.cloud.datastream.v1.Datastream.DeleteStream");
    assert_eq!(delete.long_running.as_ref().unwrap().response_type.as_deref(), Some("google.protobuf.Empty"));
    for path in [
        "connection_profile.oracle_profile.password",
        "connection_profile.postgresql_profile.secret_manager_stored_password",
        "connection_profile.mysql_profile.ssl_config.client_key",
        "connection_profile.forward_ssh_connectivity.private_key",
    ] {
        assert!(
            create.secret_fields.iter().any(|secret| secret == path),
            "{path}: {:?}",
            create.secret_fields
        );
    }
    let update =
        find("bigqueryconnection", "google.cloud.bigquery.connection.v1.ConnectionService.UpdateConnection");
    assert!(
        update.secret_fields.iter().any(|path| path == "connection.cloud_sql.credential"),
        "{:?}",
        update.secret_fields
    );
    assert!(!update.secret_fields.iter().any(|path| path.contains("has_credential")));
    let mask = update.update_mask.as_ref().unwrap();
    assert_eq!((&*mask.field, mask.required, mask.derive), ("update_mask", true, false));
    // Long-running methods: eleven of Datastream, thirteen of Spanner, none of them in the mixin.
    assert_eq!(catalog.methods.iter().filter(|method| method.long_running.is_some()).count(), 24);
    let get = find("datastream", "google.longrunning.Operations.GetOperation");
    assert_eq!(get.oauth_scopes, ["https://www.googleapis.com/auth/cloud-platform"]);
    assert_eq!(get.secret_fields, [""; 0]);
    let list = find("datastream", "google.longrunning.Operations.ListOperations");
    assert_eq!(list.list, Some(List { items: "operations".to_owned(), unreachable: true }));
    assert_eq!(list.cache.enabled, Some(false));
}

#[test]
fn every_binding_is_found_on_its_own_path_and_under_its_prefix() {
    let catalog = builtins();
    let table = routes(&catalog);
    for (at, method) in catalog.methods.iter().enumerate() {
        for (index, binding) in method.bindings.iter().enumerate() {
            let path = binding.template.shape().replace("**", "a/b").replace('*', "x");
            for path in [path.clone(), format!("/{}{path}", method.upstream)] {
                let found =
                    table.find(&binding.verb, &path).unwrap_or_else(|error| panic!("{path}: {error}"));
                assert_eq!(*found.target, (at, index), "{path}");
            }
        }
    }
    let error = table.find("PUT", "/v1/projects/p/locations/l/connections/c").unwrap_err();
    assert_eq!(error.allow(), Some("DELETE, GET, PATCH"));
}
