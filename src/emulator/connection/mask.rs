//! What an update changes. Paths are the original field names, relative to the connection.
//!
//! Over gRPC nothing else is valid: a gateway that passes camelCase paths on must find out here.

use tonic::Status;

use super::super::{limits::EMULATOR_MASK_PATHS_MAX, status::Refusal};
use crate::pb::google::cloud::bigquery::connection::v1::{
    AwsProperties, AzureProperties, CloudSpannerProperties, CloudSqlProperties, Connection,
    SalesforceDataCloudProperties, SparkProperties, aws_properties::AuthenticationMethod,
    connection::Properties,
};

/// Overwrites the named fields of `old` with those of `new`. Returns whether any property of a connection type was
/// among them. Fields that only the service sets may be named and are left alone.
///
/// # Errors
/// INVALID_ARGUMENT for an empty mask and for paths that do not exist; `old` is then half changed, so pass a copy.
pub(super) fn apply(old: &mut Connection, new: &Connection, paths: &[String]) -> Result<bool, Status> {
    if paths.is_empty() {
        return Err(Refusal::invalid("Invalid update mask").field("update_mask", "is required").status());
    }
    if paths.len() > EMULATOR_MASK_PATHS_MAX {
        let most = format!("at most {EMULATOR_MASK_PATHS_MAX} paths");
        return Err(Refusal::invalid("Invalid update mask").field("update_mask", most).status());
    }
    let mut properties = false;
    let mut refusal = Refusal::invalid("Invalid update mask");
    for path in paths {
        match one(old, new, path) {
            Change::Plain => {}
            Change::Property => properties = true,
            Change::Unknown => {
                let shown = &path[..path.floor_char_boundary(200)];
                refusal = refusal.field("update_mask", format!("unknown path {shown:?}"));
            }
        }
    }
    if refusal.has_fields() { Err(refusal.status()) } else { Ok(properties) }
}

/// What a path named.
enum Change {
    Plain,
    Property,
    Unknown,
}

/// Overwrites one member of the oneof, as a whole or a field of it.
macro_rules! member {
    ($old:ident, $new:ident, $rest:ident, $variant:ident, $fields:expr) => {{
        let source = match &$new.properties {
            Some(Properties::$variant(source)) => Some(source),
            _ => None,
        };
        match ($rest, source) {
            (None, Some(source)) => $old.properties = Some(Properties::$variant(source.clone())),
            (None, None) if matches!($old.properties, Some(Properties::$variant(_))) => {
                $old.properties = None
            }
            (None, None) => {}
            (Some(rest), source) => {
                let mut target = match $old.properties.take() {
                    Some(Properties::$variant(target)) => target,
                    _ => Default::default(),
                };
                let known = $fields(&mut target, &source.cloned().unwrap_or_default(), rest);
                $old.properties = Some(Properties::$variant(target));
                if !known {
                    return Change::Unknown;
                }
            }
        }
        Change::Property
    }};
}

fn one(old: &mut Connection, new: &Connection, path: &str) -> Change {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    match (head, rest) {
        ("*", None) => {
            old.friendly_name.clone_from(&new.friendly_name);
            old.description.clone_from(&new.description);
            old.properties.clone_from(&new.properties);
            Change::Property
        }
        ("friendly_name", None) => {
            old.friendly_name.clone_from(&new.friendly_name);
            Change::Plain
        }
        ("description", None) => {
            old.description.clone_from(&new.description);
            Change::Plain
        }
        ("name" | "creation_time" | "last_modified_time" | "has_credential", None) => Change::Plain,
        ("cloud_sql", rest) => member!(old, new, rest, CloudSql, cloud_sql),
        ("aws", rest) => member!(old, new, rest, Aws, aws),
        ("azure", rest) => member!(old, new, rest, Azure, azure),
        ("cloud_spanner", rest) => member!(old, new, rest, CloudSpanner, cloud_spanner),
        ("cloud_resource", rest) => {
            member!(old, new, rest, CloudResource, |_: &mut _, _: &_, path| path == "service_account_id")
        }
        ("spark", rest) => member!(old, new, rest, Spark, spark),
        ("salesforce_data_cloud", rest) => member!(old, new, rest, SalesforceDataCloud, salesforce),
        _ => Change::Unknown,
    }
}

fn cloud_sql(old: &mut CloudSqlProperties, new: &CloudSqlProperties, path: &str) -> bool {
    let credential = || new.credential.clone().unwrap_or_default();
    match path {
        "instance_id" => old.instance_id.clone_from(&new.instance_id),
        "database" => old.database.clone_from(&new.database),
        "type" => old.r#type = new.r#type,
        "credential" => old.credential.clone_from(&new.credential),
        "credential.username" => old.credential.get_or_insert_default().username = credential().username,
        "credential.password" => old.credential.get_or_insert_default().password = credential().password,
        "service_account_id" => {}
        _ => return false,
    }
    true
}

fn cloud_spanner(old: &mut CloudSpannerProperties, new: &CloudSpannerProperties, path: &str) -> bool {
    match path {
        "database" => old.database.clone_from(&new.database),
        "use_parallelism" => old.use_parallelism = new.use_parallelism,
        "max_parallelism" => old.max_parallelism = new.max_parallelism,
        "use_serverless_analytics" => old.use_serverless_analytics = new.use_serverless_analytics,
        "use_data_boost" => old.use_data_boost = new.use_data_boost,
        "database_role" => old.database_role.clone_from(&new.database_role),
        _ => return false,
    }
    true
}

#[expect(deprecated, reason = "superseded, and still accepted")]
fn aws(old: &mut AwsProperties, new: &AwsProperties, path: &str) -> bool {
    use AuthenticationMethod::{AccessRole, CrossAccountRole};
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let (old, new) = (&mut old.authentication_method, &new.authentication_method);
    match (head, rest) {
        ("access_role", None) => match new {
            Some(AccessRole(_)) => old.clone_from(new),
            _ if matches!(old, Some(AccessRole(_))) => *old = None,
            _ => {}
        },
        ("cross_account_role", None) => match new {
            Some(CrossAccountRole(_)) => old.clone_from(new),
            _ if matches!(old, Some(CrossAccountRole(_))) => *old = None,
            _ => {}
        },
        ("access_role", Some("iam_role_id")) => {
            let mut role = if let Some(AccessRole(role)) = old.take() { role } else { Default::default() };
            role.iam_role_id =
                if let Some(AccessRole(new)) = new { new.iam_role_id.clone() } else { String::new() };
            *old = Some(AccessRole(role));
        }
        ("cross_account_role", Some("iam_role_id")) => {
            let mut role =
                if let Some(CrossAccountRole(role)) = old.take() { role } else { Default::default() };
            role.iam_role_id =
                if let Some(CrossAccountRole(new)) = new { new.iam_role_id.clone() } else { String::new() };
            *old = Some(CrossAccountRole(role));
        }
        ("access_role", Some("identity")) | ("cross_account_role", Some("iam_user_id" | "external_id")) => {}
        _ => return false,
    }
    true
}

fn azure(old: &mut AzureProperties, new: &AzureProperties, path: &str) -> bool {
    match path {
        "customer_tenant_id" => old.customer_tenant_id.clone_from(&new.customer_tenant_id),
        "redirect_uri" => old.redirect_uri.clone_from(&new.redirect_uri),
        "federated_application_client_id" => {
            old.federated_application_client_id.clone_from(&new.federated_application_client_id);
        }
        "application" | "client_id" | "object_id" | "identity" => {}
        _ => return false,
    }
    true
}

fn spark(old: &mut SparkProperties, new: &SparkProperties, path: &str) -> bool {
    match path {
        "metastore_service_config" => old.metastore_service_config.clone_from(&new.metastore_service_config),
        "metastore_service_config.metastore_service" => {
            let new = new.metastore_service_config.clone().unwrap_or_default();
            old.metastore_service_config.get_or_insert_default().metastore_service = new.metastore_service;
        }
        "spark_history_server_config" => {
            old.spark_history_server_config.clone_from(&new.spark_history_server_config);
        }
        "spark_history_server_config.dataproc_cluster" => {
            let new = new.spark_history_server_config.clone().unwrap_or_default();
            old.spark_history_server_config.get_or_insert_default().dataproc_cluster = new.dataproc_cluster;
        }
        "service_account_id" => {}
        _ => return false,
    }
    true
}

fn salesforce(
    old: &mut SalesforceDataCloudProperties,
    new: &SalesforceDataCloudProperties,
    path: &str,
) -> bool {
    match path {
        "instance_uri" => old.instance_uri.clone_from(&new.instance_uri),
        "tenant_id" => old.tenant_id.clone_from(&new.tenant_id),
        "identity" => {}
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(database: &str) -> Connection {
        let sql = CloudSqlProperties { database: database.into(), ..Default::default() };
        Connection { properties: Some(Properties::CloudSql(sql)), ..Default::default() }
    }

    fn paths(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn only_named_fields_change() {
        let mut old = Connection { friendly_name: "old".into(), description: "old".into(), ..sql("old") };
        let new = Connection { friendly_name: "new".into(), description: "new".into(), ..sql("new") };
        let touched = apply(&mut old, &new, &paths(&["description"])).expect("a known path");
        assert!(!touched);
        assert_eq!((old.friendly_name.as_str(), old.description.as_str()), ("old", "new"));
        assert_eq!(old.properties, sql("old").properties);
        assert!(apply(&mut old, &new, &paths(&["cloud_sql.database"])).expect("a known path"));
        assert_eq!(old.properties, sql("new").properties);
    }

    #[test]
    fn a_named_field_that_is_missing_is_cleared() {
        let mut old = Connection { description: "old".into(), ..sql("old") };
        apply(&mut old, &Connection::default(), &paths(&["description", "cloud_sql"])).expect("known paths");
        assert_eq!(old, Connection::default());
    }

    #[test]
    fn unknown_paths_are_refused_and_output_only_ones_ignored() {
        let ignored = ["name", "has_credential", "creation_time", "cloud_sql.service_account_id"];
        apply(&mut sql("old"), &sql("new"), &paths(&ignored)).expect("ignored");
        let refused =
            ["friendlyName", "cloudSql.database", "cloud_sql.nope", "description.x", "", "cloud_sql."];
        for path in refused {
            let status = apply(&mut sql("old"), &sql("new"), &paths(&[path])).expect_err(path);
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
        }
        apply(&mut sql("old"), &sql("new"), &[]).expect_err("no mask");
    }

    #[test]
    fn every_type_has_its_fields() {
        let all = [
            "aws.access_role.iam_role_id",
            "aws.access_role",
            "aws.cross_account_role.iam_role_id",
            "azure.customer_tenant_id",
            "azure.federated_application_client_id",
            "cloud_spanner.use_data_boost",
            "cloud_spanner.max_parallelism",
            "cloud_resource",
            "spark.metastore_service_config.metastore_service",
            "spark.spark_history_server_config",
            "salesforce_data_cloud.tenant_id",
            "*",
        ];
        for path in all {
            let touched = apply(&mut Connection::default(), &sql("new"), &paths(&[path])).expect(path);
            assert!(touched, "{path}");
        }
    }
}
