//! What a connection and its names must look like. Every fault that is found is named, not only the first.

use tonic::Status;

use super::super::status::Refusal;
use crate::pb::google::cloud::bigquery::connection::v1::{
    AwsProperties, CloudSpannerProperties, CloudSqlProperties, Connection,
    aws_properties::AuthenticationMethod, cloud_sql_properties::DatabaseType, connection::Properties,
};

/// Longest id of a connection.
const ID_BYTES_MAX: usize = 256;
/// Longest name that is looked at; no more of it is quoted in errors.
const NAME_BYTES_MAX: usize = 1024;

/// Checks `projects/*/locations/*`.
pub(super) fn parent(name: &str) -> Result<(), Status> {
    let parts: Vec<_> = name.splitn(5, '/').collect();
    match parts[..] {
        ["projects", project, "locations", place]
            if segment(project) && location(place) && name.len() <= NAME_BYTES_MAX =>
        {
            Ok(())
        }
        _ => Err(bad_name("parent", name, "projects/*/locations/*")),
    }
}

/// Checks `projects/*/locations/*/connections/*`; `field` is what the request calls it.
pub(super) fn name(field: &str, name: &str) -> Result<(), Status> {
    let parts: Vec<_> = name.splitn(7, '/').collect();
    match parts[..] {
        ["projects", project, "locations", place, "connections", id]
            if segment(project) && location(place) && segment(id) && name.len() <= NAME_BYTES_MAX =>
        {
            Ok(())
        }
        _ => Err(bad_name(field, name, "projects/*/locations/*/connections/*")),
    }
}

/// Checks the id that a caller chose; an empty one leaves it to the service. No name has a `-` alone in it: what is called
/// so could be neither read nor deleted.
pub(super) fn id(id: &str) -> Result<(), Status> {
    let legal =
        id != "-" && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if legal && id.len() <= ID_BYTES_MAX {
        return Ok(());
    }
    let description =
        format!("may hold letters, digits, - and _, at most {ID_BYTES_MAX} of them, and is not - alone");
    Err(Refusal::invalid("Invalid connection id").field("connection_id", description).status())
}

/// Checks what a connection consists of.
pub(super) fn connection(connection: &Connection) -> Result<(), Status> {
    let refusal = Refusal::invalid("Invalid connection");
    let refusal = match &connection.properties {
        None => refusal.field("connection.properties", "exactly one connection type must be set"),
        Some(Properties::CloudSql(sql)) => cloud_sql(refusal, sql),
        Some(Properties::CloudSpanner(spanner)) => cloud_spanner(refusal, spanner),
        Some(Properties::Aws(properties)) => aws(refusal, properties),
        Some(
            Properties::Azure(_)
            | Properties::CloudResource(_)
            | Properties::Spark(_)
            | Properties::SalesforceDataCloud(_),
        ) => refusal,
    };
    if refusal.has_fields() { Err(refusal.status()) } else { Ok(()) }
}

fn cloud_sql(mut refusal: Refusal, sql: &CloudSqlProperties) -> Refusal {
    // A project of an organisation's domain has a colon of its own: `example.com:project:location:instance`.
    let parts: Vec<_> = sql.instance_id.split(':').collect();
    if !matches!(parts.len(), 3 | 4) || parts.iter().any(|part| part.is_empty()) {
        refusal = refusal.field("connection.cloud_sql.instance_id", "must be project:location:instance");
    }
    if sql.database.is_empty() {
        refusal = refusal.field("connection.cloud_sql.database", "is required");
    }
    if !matches!(DatabaseType::try_from(sql.r#type), Ok(DatabaseType::Postgres | DatabaseType::Mysql)) {
        refusal = refusal.field("connection.cloud_sql.type", "must be POSTGRES or MYSQL");
    }
    refusal
}

fn cloud_spanner(mut refusal: Refusal, spanner: &CloudSpannerProperties) -> Refusal {
    if spanner.database.is_empty() {
        refusal = refusal.field("connection.cloud_spanner.database", "is required");
    }
    if spanner.use_data_boost && !spanner.use_parallelism {
        refusal = refusal.field("connection.cloud_spanner.use_data_boost", "needs use_parallelism");
    }
    let apart = spanner.use_data_boost || spanner.use_serverless_analytics;
    if spanner.max_parallelism < 0 {
        refusal = refusal.field("connection.cloud_spanner.max_parallelism", "must not be negative");
    } else if spanner.max_parallelism > 0 && !(spanner.use_parallelism && apart) {
        let needs = "needs use_parallelism, and use_data_boost or use_serverless_analytics";
        refusal = refusal.field("connection.cloud_spanner.max_parallelism", needs);
    }
    if !role(&spanner.database_role) {
        let shape = "must be a letter followed by letters, digits and _";
        refusal = refusal.field("connection.cloud_spanner.database_role", shape);
    }
    refusal
}

fn aws(refusal: Refusal, aws: &AwsProperties) -> Refusal {
    let (field, role) = match &aws.authentication_method {
        None => return refusal.field("connection.aws", "an authentication method must be set"),
        Some(AuthenticationMethod::AccessRole(role)) => ("access_role", &role.iam_role_id),
        #[expect(deprecated, reason = "superseded, and still accepted")]
        Some(AuthenticationMethod::CrossAccountRole(role)) => ("cross_account_role", &role.iam_role_id),
    };
    if role.is_empty() {
        return refusal.field(format!("connection.aws.{field}.iam_role_id"), "is required");
    }
    refusal
}

/// A database role, or none.
fn role(role: &str) -> bool {
    let mut bytes = role.bytes();
    bytes.next().is_none_or(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn segment(text: &str) -> bool {
    !text.is_empty() && text != "-" && !text.contains('/')
}

/// `-` is no location here: reading across locations is not something this service offers.
fn location(text: &str) -> bool {
    segment(text)
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn bad_name(field: &str, name: &str, pattern: &str) -> Status {
    let shown = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
    Refusal::invalid(format!("Invalid resource name {shown:?}"))
        .field(field, format!("must match {pattern}"))
        .status()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_exactly_their_parts() {
        for good in ["projects/p/locations/eu", "projects/example.com:p/locations/aws-us-east-1"] {
            parent(good).expect(good);
        }
        for bad in
            ["", "projects/p", "projects/p/locations/-", "projects/p/locations/EU", "projects//locations/eu"]
        {
            assert!(parent(bad).is_err(), "{bad}");
        }
        name("name", "projects/p/locations/eu/connections/c").expect("a whole name");
        for bad in ["projects/p/locations/eu/connections/", "projects/p/locations/eu/connections/a/b", "x"] {
            assert!(name("name", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_that_no_name_can_have_is_refused() {
        for good in ["", "c", "-c", "a_b-9", "--"] {
            id(good).expect(good);
            assert!(
                good.is_empty()
                    || name("name", &format!("projects/p/locations/eu/connections/{good}")).is_ok()
            );
        }
        for bad in ["-", "a b", "a/b", &"a".repeat(ID_BYTES_MAX + 1)] {
            assert!(id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let sql = CloudSqlProperties { instance_id: "a:b".into(), r#type: 9, ..Default::default() };
        let refusal = cloud_sql(Refusal::invalid(""), &sql);
        let status = refusal.status();
        let text = String::from_utf8_lossy(status.details()).into_owned();
        for field in ["instance_id", "database", "type"] {
            assert!(text.contains(&format!("connection.cloud_sql.{field}")), "{field}");
        }
    }

    #[test]
    fn spanner_switches_depend_on_one_another() {
        let spanner = |use_parallelism, use_data_boost, max_parallelism| CloudSpannerProperties {
            database: "projects/p/instances/i/databases/d".into(),
            use_parallelism,
            use_data_boost,
            max_parallelism,
            ..Default::default()
        };
        for (properties, good) in [
            (spanner(false, false, 0), true),
            (spanner(true, true, 8), true),
            (spanner(true, false, 8), false),
            (spanner(false, true, 0), false),
            (spanner(true, true, -1), false),
        ] {
            assert_eq!(
                !cloud_spanner(Refusal::invalid(""), &properties).has_fields(),
                good,
                "{properties:?}"
            );
        }
        assert!(role("") && role("reader_1") && !role("1reader") && !role("a-b"));
    }
}
