//! What the service adds to a connection: accounts and identities to be granted access on the other side.
//!
//! They belong to the connection for as long as it keeps its type. One that is deleted and created anew gets others.

use fastrand::Rng;

use super::super::hash;
use crate::pb::google::cloud::bigquery::connection::v1::{
    AzureProperties, Connection, aws_properties::AuthenticationMethod, connection::Properties,
};

/// Sets what only the service may set, whatever a caller sent; `before` is the connection as it was, if it was there.
pub(super) fn fill(connection: &mut Connection, before: Option<&Connection>, rng: &mut Rng) {
    let number = project_number(&connection.name);
    let before = before.and_then(|connection| connection.properties.as_ref());
    match &mut connection.properties {
        Some(Properties::CloudSql(sql)) => {
            sql.credential = None;
            sql.service_account_id =
                format!("service-{number}@gcp-sa-bigqueryconnection.iam.gserviceaccount.com");
        }
        Some(Properties::CloudResource(resource)) => {
            resource.service_account_id = match before {
                Some(Properties::CloudResource(before)) => before.service_account_id.clone(),
                _ => account(number, "condel", rng),
            };
        }
        Some(Properties::Spark(spark)) => {
            spark.service_account_id = match before {
                Some(Properties::Spark(before)) => before.service_account_id.clone(),
                _ => account(number, "consp", rng),
            };
        }
        Some(Properties::Aws(aws)) => {
            let before = match before {
                Some(Properties::Aws(before)) => before.authentication_method.as_ref(),
                _ => None,
            };
            fill_aws(aws.authentication_method.as_mut(), before, rng);
        }
        Some(Properties::Azure(azure)) => {
            let before = match before {
                Some(Properties::Azure(before)) => Some(before),
                _ => None,
            };
            fill_azure(azure, before, rng);
        }
        Some(Properties::SalesforceDataCloud(salesforce)) => {
            salesforce.identity = match before {
                Some(Properties::SalesforceDataCloud(before)) => before.identity.clone(),
                _ => digits(21, rng),
            };
        }
        Some(Properties::CloudSpanner(_)) | None => {}
    }
}

#[expect(deprecated, reason = "superseded, and still accepted")]
fn fill_aws(now: Option<&mut AuthenticationMethod>, before: Option<&AuthenticationMethod>, rng: &mut Rng) {
    match (now, before) {
        (Some(AuthenticationMethod::AccessRole(now)), Some(AuthenticationMethod::AccessRole(before))) => {
            now.identity.clone_from(&before.identity);
        }
        (Some(AuthenticationMethod::AccessRole(now)), _) => now.identity = digits(21, rng),
        (
            Some(AuthenticationMethod::CrossAccountRole(now)),
            Some(AuthenticationMethod::CrossAccountRole(before)),
        ) => {
            now.iam_user_id.clone_from(&before.iam_user_id);
            now.external_id.clone_from(&before.external_id);
        }
        (Some(AuthenticationMethod::CrossAccountRole(now)), _) => {
            now.iam_user_id = format!("arn:aws:iam::{}:user/bigquery", digits(12, rng));
            now.external_id = uuid(rng);
        }
        (None, _) => {}
    }
}

/// Without an application of the customer's own, one is registered for the connection.
fn fill_azure(azure: &mut AzureProperties, before: Option<&AzureProperties>, rng: &mut Rng) {
    let registered = azure.federated_application_client_id.is_empty();
    azure.identity = before.map_or_else(|| digits(21, rng), |before| before.identity.clone());
    match before {
        Some(before) if registered && !before.client_id.is_empty() => {
            azure.application.clone_from(&before.application);
            azure.client_id.clone_from(&before.client_id);
            azure.object_id.clone_from(&before.object_id);
        }
        _ if registered => {
            azure.application = format!("bigquery-{}", letters(8, rng));
            azure.client_id = uuid(rng);
            azure.object_id = uuid(rng);
        }
        _ => {
            azure.application.clear();
            azure.client_id.clear();
            azure.object_id.clear();
        }
    }
}

/// Makes up an id in the form of a random UUID.
pub(super) fn uuid(rng: &mut Rng) -> String {
    let bits = rng.u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The number of a project: always the same for the same id.
fn project_number(name: &str) -> u64 {
    let project = name.split('/').nth(1).unwrap_or_default();
    100_000_000_000 + hash::of(&[project]) % 900_000_000_000
}

fn account(number: u64, kind: &str, rng: &mut Rng) -> String {
    format!("bqcx-{number}-{}@gcp-sa-bigquery-{kind}.iam.gserviceaccount.com", letters(4, rng))
}

fn letters(count: usize, rng: &mut Rng) -> String {
    std::iter::repeat_with(|| rng.lowercase()).take(count).collect()
}

fn digits(count: usize, rng: &mut Rng) -> String {
    let rest = std::iter::repeat_with(|| rng.digit(10)).take(count - 1);
    std::iter::once('1').chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_ids_look_like_random_uuids() {
        let id = uuid(&mut Rng::with_seed(3));
        assert_eq!(id.len(), 36);
        assert_eq!((&id[14..15], id.split('-').count()), ("4", 5));
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
    }

    #[test]
    fn a_federated_connection_has_no_application_of_googles() {
        let mut rng = Rng::with_seed(3);
        let mut azure = AzureProperties::default();
        fill_azure(&mut azure, None, &mut rng);
        assert!(!azure.client_id.is_empty());
        let before = azure.clone();
        azure.federated_application_client_id = "mine".into();
        fill_azure(&mut azure, Some(&before), &mut rng);
        assert!(azure.client_id.is_empty());
        assert_eq!(azure.identity, before.identity);
    }
}
