//! Connections to start with: those of a company one can imagine, and any number that are all alike.

use jiff::{Timestamp, ToSpan as _};

use crate::pb::google::cloud::bigquery::connection::v1::{
    AwsAccessRole, AwsProperties, AzureProperties, CloudResourceProperties, CloudSpannerProperties,
    CloudSqlCredential, CloudSqlProperties, Connection, MetastoreServiceConfig,
    SalesforceDataCloudProperties, SparkProperties, aws_properties::AuthenticationMethod,
    cloud_sql_properties::DatabaseType, connection::Properties,
};

/// The connections of Acme, a shop: `acme-data` holds the warehouse, `acme-shop` the shop's systems.
pub(in super::super) fn connections(now: Timestamp) -> Vec<Connection> {
    let eu = "projects/acme-data/locations/eu";
    let west = "projects/acme-data/locations/europe-west1";
    vec![
        Sample(eu, "shop-orders", 412, "Shop orders", "Orders and payments of the shop, read replica").of(
            cloud_sql("acme-shop:europe-west1:orders-replica", "orders", DatabaseType::Postgres, "bq_reader"),
            now,
        ),
        Sample(eu, "shop-catalogue", 398, "Shop catalogue", "Products, prices and stock").of(
            cloud_sql("acme-shop:europe-west1:catalogue", "catalogue", DatabaseType::Mysql, "bq_reader"),
            now,
        ),
        Sample(eu, "support-tickets", 73, "Support tickets", "Tickets since the move off the old help desk")
            .of(
                cloud_sql("acme-shop:europe-west1:support", "tickets", DatabaseType::Postgres, "analytics"),
                now,
            ),
        Sample(eu, "lake", 520, "Data lake", "BigLake tables over gs://acme-lake").of(cloud_resource(), now),
        Sample(eu, "remote-functions", 140, "Remote functions", "Geocoding and currency conversion")
            .of(cloud_resource(), now),
        Sample(eu, "crm", 31, "Customer data", "Profiles and segments from Salesforce").of(salesforce(), now),
        Sample(west, "ledger", 266, "Ledger", "Double-entry ledger in Spanner, read through Data Boost")
            .of(spanner("projects/acme-shop/instances/ledger/databases/ledger"), now),
        Sample(west, "notebooks", 58, "Spark notebooks", "Stored procedures for Apache Spark")
            .of(spark(), now),
        Sample("projects/acme-data/locations/aws-us-east-1", "web-logs", 203, "Web logs", "CDN logs in S3")
            .of(aws("arn:aws:iam::123456789012:role/acme-bigquery-logs"), now),
        Sample(
            "projects/acme-data/locations/azure-eastus2",
            "billing",
            89,
            "Billing exports",
            "Azure cost exports",
        )
        .of(azure(), now),
        Sample("projects/acme-shop/locations/us", "returns", 17, "Returns", "Returns desk, US warehouse").of(
            cloud_sql("acme-shop:us-central1:returns", "returns", DatabaseType::Postgres, "bq_reader"),
            now,
        ),
        Sample("projects/acme-ml/locations/us", "models", 12, "Models", "Remote models on Vertex AI")
            .of(cloud_resource(), now),
    ]
}

/// `count` Cloud SQL connections under a parent, named `{prefix}-00000` and so on.
pub(in super::super) fn many(
    parent: &str,
    prefix: &str,
    count: usize,
    now: Timestamp,
) -> impl Iterator<Item = Connection> {
    (0..count).map(move |number| {
        let id = format!("{prefix}-{number:05}");
        let title = format!("Shard {number}");
        Sample(parent, &id, 30, &title, "One of many equal shards")
            .of(cloud_sql("acme-shop:europe-west1:shards", &id, DatabaseType::Postgres, "bq_reader"), now)
    })
}

/// Parent, id, age in days, friendly name, description.
struct Sample<'a>(&'a str, &'a str, i64, &'a str, &'a str);

impl Sample<'_> {
    fn of(self, properties: Properties, now: Timestamp) -> Connection {
        let Self(parent, id, days, friendly_name, description) = self;
        let created = now.checked_sub((days * 24).hours()).unwrap_or(now);
        // Changed once, half-way between then and now.
        let changed = created.as_millisecond() + (now.as_millisecond() - created.as_millisecond()) / 2;
        Connection {
            name: format!("{parent}/connections/{id}"),
            friendly_name: friendly_name.to_owned(),
            description: description.to_owned(),
            creation_time: created.as_millisecond(),
            last_modified_time: changed,
            has_credential: false,
            properties: Some(properties),
        }
    }
}

fn cloud_sql(instance: &str, database: &str, kind: DatabaseType, user: &str) -> Properties {
    let credential = CloudSqlCredential { username: user.to_owned(), password: "sample".to_owned() };
    Properties::CloudSql(CloudSqlProperties {
        instance_id: instance.to_owned(),
        database: database.to_owned(),
        r#type: kind.into(),
        credential: Some(credential),
        service_account_id: String::new(),
    })
}

fn cloud_resource() -> Properties {
    Properties::CloudResource(CloudResourceProperties::default())
}

fn spanner(database: &str) -> Properties {
    Properties::CloudSpanner(CloudSpannerProperties {
        database: database.to_owned(),
        use_parallelism: true,
        max_parallelism: 16,
        use_data_boost: true,
        database_role: "analytics_reader".to_owned(),
        ..Default::default()
    })
}

fn spark() -> Properties {
    let metastore_service = "projects/acme-data/locations/europe-west1/services/hive".to_owned();
    Properties::Spark(SparkProperties {
        metastore_service_config: Some(MetastoreServiceConfig { metastore_service }),
        ..Default::default()
    })
}

fn aws(role: &str) -> Properties {
    let role = AwsAccessRole { iam_role_id: role.to_owned(), ..Default::default() };
    Properties::Aws(AwsProperties { authentication_method: Some(AuthenticationMethod::AccessRole(role)) })
}

fn azure() -> Properties {
    Properties::Azure(AzureProperties {
        customer_tenant_id: "8d2b1f0e-5a51-4c6e-9f6a-0a7c5d3e2b14".to_owned(),
        federated_application_client_id: "c41c7f3a-93d6-4b52-8a0f-6f1e9b7d2c05".to_owned(),
        ..Default::default()
    })
}

fn salesforce() -> Properties {
    Properties::SalesforceDataCloud(SalesforceDataCloudProperties {
        instance_uri: "https://acme.my.salesforce.com".to_owned(),
        tenant_id: "a360/prod/7c1e".to_owned(),
        ..Default::default()
    })
}
