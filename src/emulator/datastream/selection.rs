//! Which objects of a source are meant: the include and exclude lists of streams, and what a discovery asks about.

use crate::pb::google::cloud::datastream::v1::{
    MongodbCluster, MysqlRdbms, OracleRdbms, PostgresqlRdbms, SalesforceOrg, SourceCatalog, SpannerDatabase,
    SqlServerRdbms, source_config::SourceStreamConfig, stream::backfill_all_strategy::ExcludedObjects,
};

/// Schemas, each with its tables; no tables means all of them, no schemas means everything there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection(Vec<(String, Vec<String>)>);

impl Selection {
    /// Whether nothing is named.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a table is named, alone or with all of its schema.
    pub(super) fn names(&self, schema: &str, table: &str) -> bool {
        self.0
            .iter()
            .any(|(s, tables)| s == schema && (tables.is_empty() || tables.iter().any(|t| t == table)))
    }

    /// Whether a table is meant: named, or everything is.
    pub(super) fn covers(&self, schema: &str, table: &str) -> bool {
        self.is_empty() || self.names(schema, table)
    }

    /// Returns the tables named one by one.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(schema, tables)| tables.iter().map(|table| (schema.as_str(), table.as_str())))
    }

    /// Reads what a stream includes and excludes.
    pub(super) fn of_stream(config: &SourceStreamConfig) -> (Self, Self) {
        macro_rules! both {
            ($config:expr) => {
                ($config.include_objects.as_ref().into(), $config.exclude_objects.as_ref().into())
            };
        }
        match config {
            SourceStreamConfig::OracleSourceConfig(config) => both!(config),
            SourceStreamConfig::MysqlSourceConfig(config) => both!(config),
            SourceStreamConfig::PostgresqlSourceConfig(config) => both!(config),
            SourceStreamConfig::SqlServerSourceConfig(config) => both!(config),
            SourceStreamConfig::SalesforceSourceConfig(config) => both!(config),
            SourceStreamConfig::MongodbSourceConfig(config) => both!(config),
            SourceStreamConfig::SpannerSourceConfig(config) => both!(config),
            SourceStreamConfig::DataverseSourceConfig(config) => both!(config),
            SourceStreamConfig::SalesforceMarketingCloudSourceConfig(config) => both!(config),
            SourceStreamConfig::ServiceNowSourceConfig(config) => both!(config),
            SourceStreamConfig::WorkdaySourceConfig(config) => both!(config),
        }
    }
}

impl From<&ExcludedObjects> for Selection {
    fn from(excluded: &ExcludedObjects) -> Self {
        match excluded {
            ExcludedObjects::OracleExcludedObjects(objects) => Some(objects).into(),
            ExcludedObjects::MysqlExcludedObjects(objects) => Some(objects).into(),
            ExcludedObjects::PostgresqlExcludedObjects(objects) => Some(objects).into(),
            ExcludedObjects::SqlServerExcludedObjects(objects) => Some(objects).into(),
            ExcludedObjects::SalesforceExcludedObjects(objects) => Some(objects).into(),
            ExcludedObjects::MongodbExcludedObjects(objects) => Some(objects).into(),
            ExcludedObjects::SpannerExcludedObjects(objects) => Some(objects).into(),
            ExcludedObjects::SaasExcludedObjects(objects) => Some(objects).into(),
        }
    }
}

macro_rules! from_tree {
    ($($from:ident: $schemas:ident.$schema:ident / $tables:ident.$table:ident;)*) => {$(
        impl From<Option<&$from>> for Selection {
            fn from(objects: Option<&$from>) -> Self {
                let schemas = objects.map(|objects| objects.$schemas.as_slice()).unwrap_or_default();
                let named = schemas.iter().map(|schema| {
                    let tables = schema.$tables.iter().map(|table| table.$table.clone()).collect();
                    (schema.$schema.clone(), tables)
                });
                Self(named.collect())
            }
        }
    )*};
}

macro_rules! from_list {
    ($($from:ident: $objects:ident.$name:ident;)*) => {$(
        impl From<Option<&$from>> for Selection {
            fn from(objects: Option<&$from>) -> Self {
                let names: Vec<String> =
                    objects.map(|it| it.$objects.iter().map(|it| it.$name.clone()).collect()).unwrap_or_default();
                if names.is_empty() { Self::default() } else { Self(vec![(String::new(), names)]) }
            }
        }
    )*};
}

from_tree! {
    OracleRdbms: oracle_schemas.schema / oracle_tables.table;
    MysqlRdbms: mysql_databases.database / mysql_tables.table;
    PostgresqlRdbms: postgresql_schemas.schema / postgresql_tables.table;
    SqlServerRdbms: schemas.schema / tables.table;
    MongodbCluster: databases.database / collections.collection;
    SpannerDatabase: schemas.schema / tables.table;
}

from_list! {
    SalesforceOrg: objects.object_name;
    SourceCatalog: objects.object_name;
}
