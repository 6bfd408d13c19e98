//! Kinds of sources: which settings belong to which profile, and how each kind names its objects.

use crate::pb::google::cloud::datastream::v1::{
    ConnectionProfile, SourceObjectIdentifier,
    connection_profile::Profile,
    source_config::SourceStreamConfig,
    source_object_identifier::{
        MongodbObjectIdentifier, MysqlObjectIdentifier, OracleObjectIdentifier, PostgresqlObjectIdentifier,
        SalesforceObjectIdentifier, SourceIdentifier, SpannerObjectIdentifier, SqlServerObjectIdentifier,
    },
};

/// A kind of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Oracle,
    Mysql,
    Postgresql,
    SqlServer,
    Salesforce,
    Mongodb,
    Spanner,
    /// The sources that speak of a catalog of objects: Dataverse, Marketing Cloud, ServiceNow, Workday.
    Catalog,
}

impl Kind {
    /// Returns the kind of source that a profile reaches; `None` for destinations.
    pub(super) fn of_profile(profile: &ConnectionProfile) -> Option<Self> {
        match profile.profile.as_ref()? {
            Profile::OracleProfile(_) => Some(Self::Oracle),
            Profile::MysqlProfile(_) => Some(Self::Mysql),
            Profile::PostgresqlProfile(_) => Some(Self::Postgresql),
            Profile::SqlServerProfile(_) => Some(Self::SqlServer),
            Profile::SalesforceProfile(_) => Some(Self::Salesforce),
            Profile::MongodbProfile(_) => Some(Self::Mongodb),
            Profile::SpannerProfile(_) => Some(Self::Spanner),
            Profile::DataverseProfile(_)
            | Profile::SalesforceMarketingCloudProfile(_)
            | Profile::ServiceNowProfile(_)
            | Profile::WorkdayProfile(_) => Some(Self::Catalog),
            Profile::GcsProfile(_) | Profile::BigqueryProfile(_) => None,
        }
    }

    /// Returns the kind of source that settings are for.
    pub(super) fn of_config(config: &SourceStreamConfig) -> Self {
        match config {
            SourceStreamConfig::OracleSourceConfig(_) => Self::Oracle,
            SourceStreamConfig::MysqlSourceConfig(_) => Self::Mysql,
            SourceStreamConfig::PostgresqlSourceConfig(_) => Self::Postgresql,
            SourceStreamConfig::SqlServerSourceConfig(_) => Self::SqlServer,
            SourceStreamConfig::SalesforceSourceConfig(_) => Self::Salesforce,
            SourceStreamConfig::MongodbSourceConfig(_) => Self::Mongodb,
            SourceStreamConfig::SpannerSourceConfig(_) => Self::Spanner,
            SourceStreamConfig::DataverseSourceConfig(_)
            | SourceStreamConfig::SalesforceMarketingCloudSourceConfig(_)
            | SourceStreamConfig::ServiceNowSourceConfig(_)
            | SourceStreamConfig::WorkdaySourceConfig(_) => Self::Catalog,
        }
    }

    /// Returns the kind of source that an identifier is for.
    pub(super) fn of_identifier(identifier: &SourceIdentifier) -> Self {
        match identifier {
            SourceIdentifier::OracleIdentifier(_) => Self::Oracle,
            SourceIdentifier::MysqlIdentifier(_) => Self::Mysql,
            SourceIdentifier::PostgresqlIdentifier(_) => Self::Postgresql,
            SourceIdentifier::SqlServerIdentifier(_) => Self::SqlServer,
            SourceIdentifier::SalesforceIdentifier(_) => Self::Salesforce,
            SourceIdentifier::MongodbIdentifier(_) => Self::Mongodb,
            SourceIdentifier::SpannerIdentifier(_) => Self::Spanner,
        }
    }

    /// Whether rows can be picked by a SQL condition.
    pub(super) fn speaks_sql(self) -> bool {
        matches!(self, Self::Oracle | Self::Mysql | Self::Postgresql | Self::SqlServer | Self::Spanner)
    }

    /// Names an object in the source's terms. Catalogs have no identifier of their own and borrow Salesforce's.
    pub(super) fn identifier(self, schema: &str, table: &str) -> SourceObjectIdentifier {
        let (schema, table) = (schema.to_owned(), table.to_owned());
        let identifier = match self {
            Self::Oracle => SourceIdentifier::OracleIdentifier(OracleObjectIdentifier { schema, table }),
            Self::Mysql => {
                SourceIdentifier::MysqlIdentifier(MysqlObjectIdentifier { database: schema, table })
            }
            Self::Postgresql => {
                SourceIdentifier::PostgresqlIdentifier(PostgresqlObjectIdentifier { schema, table })
            }
            Self::SqlServer => {
                SourceIdentifier::SqlServerIdentifier(SqlServerObjectIdentifier { schema, table })
            }
            Self::Salesforce | Self::Catalog => {
                SourceIdentifier::SalesforceIdentifier(SalesforceObjectIdentifier { object_name: table })
            }
            Self::Mongodb => SourceIdentifier::MongodbIdentifier(MongodbObjectIdentifier {
                database: schema,
                collection: table,
            }),
            Self::Spanner => SourceIdentifier::SpannerIdentifier(SpannerObjectIdentifier { schema, table }),
        };
        SourceObjectIdentifier { source_identifier: Some(identifier) }
    }
}
