//! Looking into a source: its schemas, tables and columns, as deep as asked.

use tonic::Status;

use super::{
    catalogue::{self, Column, Table},
    refusal::{invalid, precondition},
    resource::{check_parent, get},
    selection::Selection,
    source::Kind,
    world::World,
};
use crate::pb::google::cloud::datastream::v1::{
    ConnectionProfile, DiscoverConnectionProfileRequest, DiscoverConnectionProfileResponse, MongodbCluster,
    MongodbCollection, MongodbDatabase, MongodbField, MysqlColumn, MysqlDatabase, MysqlRdbms, MysqlTable,
    OracleColumn, OracleRdbms, OracleSchema, OracleTable, PostgresqlColumn, PostgresqlRdbms,
    PostgresqlSchema, PostgresqlTable, SalesforceField, SalesforceObject, SalesforceOrg, SourceCatalog,
    SourceObject, SourceProperty, SpannerColumn, SpannerDatabase, SpannerSchema, SpannerTable,
    SqlServerColumn, SqlServerRdbms, SqlServerSchema, SqlServerTable,
    discover_connection_profile_request as asked, discover_connection_profile_response::DataObject,
};

/// How far below the level asked about an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    Schemas,
    Tables,
    Columns,
}

/// Answers what a source holds.
pub(super) fn discover(
    world: &World,
    request: &DiscoverConnectionProfileRequest,
) -> Result<DiscoverConnectionProfileResponse, Status> {
    check_parent::<ConnectionProfile>(&request.parent)?;
    let profile = match &request.target {
        Some(asked::Target::ConnectionProfile(profile)) => profile.clone(),
        Some(asked::Target::ConnectionProfileName(name)) => get(world, "connection_profile_name", name)?,
        None => return Err(invalid("target", "a connection profile or its name is required")),
    };
    let Some(kind) = Kind::of_profile(&profile) else {
        return Err(precondition("NOT_A_SOURCE", &profile.name, "only sources can be looked into"));
    };
    let (asked_kind, selection) =
        request.data_object.as_ref().map(selected).unwrap_or((kind, Selection::default()));
    if asked_kind != kind {
        return Err(invalid("data_object", "does not fit the kind of the connection profile"));
    }
    let depth = depth(request, &selection)?;
    let tables =
        catalogue::tables(kind).into_iter().filter(|it| selection.covers(it.schema, it.name)).collect();
    Ok(DiscoverConnectionProfileResponse { data_object: Some(render(kind, tables, depth)) })
}

fn depth(request: &DiscoverConnectionProfileRequest, selection: &Selection) -> Result<Depth, Status> {
    let levels = match request.hierarchy {
        Some(asked::Hierarchy::FullHierarchy(true)) => 2,
        Some(asked::Hierarchy::HierarchyDepth(levels)) if levels < 0 => {
            return Err(invalid("hierarchy_depth", "must not be negative"));
        }
        Some(asked::Hierarchy::HierarchyDepth(levels)) => levels,
        _ => 0,
    };
    // Below a named table come its columns, below a named schema its tables.
    let level = match (selection.is_empty(), selection.tables().next()) {
        (true, _) => 0,
        (false, None) => 1,
        (false, Some(_)) => 2,
    };
    Ok([Depth::Schemas, Depth::Tables, Depth::Columns]
        [(level + levels.clamp(0, 2).unsigned_abs() as usize).min(2)])
}

fn selected(object: &asked::DataObject) -> (Kind, Selection) {
    match object {
        asked::DataObject::OracleRdbms(it) => (Kind::Oracle, Some(it).into()),
        asked::DataObject::MysqlRdbms(it) => (Kind::Mysql, Some(it).into()),
        asked::DataObject::PostgresqlRdbms(it) => (Kind::Postgresql, Some(it).into()),
        asked::DataObject::SqlServerRdbms(it) => (Kind::SqlServer, Some(it).into()),
        asked::DataObject::SalesforceOrg(it) => (Kind::Salesforce, Some(it).into()),
        asked::DataObject::MongodbCluster(it) => (Kind::Mongodb, Some(it).into()),
        asked::DataObject::SpannerDatabase(it) => (Kind::Spanner, Some(it).into()),
        asked::DataObject::SourceCatalog(it) => (Kind::Catalog, Some(it).into()),
    }
}

/// Builds one kind of tree: schemas with tables with columns, cut at the depth.
macro_rules! tree {
    ($tables:expr, $depth:expr, $root:ident.$schemas:ident = $schema:ident { $schema_name:ident, $in_schema:ident }
        = $table:ident { $table_name:ident, $in_table:ident } = |$column:pat_param, $place:pat_param| $build:expr) => {{
        let mut root = $root::default();
        for it in $tables {
            if root.$schemas.last().is_none_or(|last| last.$schema_name != it.schema) {
                root.$schemas.push($schema { $schema_name: it.schema.to_owned(), ..Default::default() });
            }
            if let Some(schema) = root.$schemas.last_mut().filter(|_| $depth >= Depth::Tables) {
                let columns = it.columns.into_iter().zip(1..).filter(|_| $depth == Depth::Columns);
                let $in_table = columns.map(|($column, $place): (Column, i32)| $build).collect();
                schema.$in_schema.push($table { $table_name: it.name.to_owned(), $in_table });
            }
        }
        root
    }};
}

/// Builds a column of the SQL kinds, which share most fields.
macro_rules! column {
    ($kind:ident, $it:ident, $place:ident) => {
        $kind {
            column: $it.name.to_owned(),
            data_type: $it.data_type.to_owned(),
            primary_key: $it.primary_key,
            nullable: !$it.primary_key,
            ordinal_position: $place,
            ..Default::default()
        }
    };
}

fn render(kind: Kind, tables: Vec<Table>, depth: Depth) -> DataObject {
    match kind {
        Kind::Oracle => DataObject::OracleRdbms(tree!(
            tables,
            depth,
            OracleRdbms.oracle_schemas = OracleSchema { schema, oracle_tables } =
                OracleTable { table, oracle_columns } = |it, place| column!(OracleColumn, it, place)
        )),
        Kind::Mysql => DataObject::MysqlRdbms(tree!(
            tables,
            depth,
            MysqlRdbms.mysql_databases = MysqlDatabase { database, mysql_tables } =
                MysqlTable { table, mysql_columns } = |it, place| column!(MysqlColumn, it, place)
        )),
        Kind::Postgresql => DataObject::PostgresqlRdbms(tree!(
            tables,
            depth,
            PostgresqlRdbms.postgresql_schemas = PostgresqlSchema { schema, postgresql_tables } =
                PostgresqlTable { table, postgresql_columns } =
                    |it, place| column!(PostgresqlColumn, it, place)
        )),
        Kind::SqlServer => DataObject::SqlServerRdbms(tree!(
            tables,
            depth,
            SqlServerRdbms.schemas = SqlServerSchema { schema, tables } =
                SqlServerTable { table, columns } = |it, place| column!(SqlServerColumn, it, place)
        )),
        Kind::Mongodb => DataObject::MongodbCluster(tree!(
            tables,
            depth,
            MongodbCluster.databases = MongodbDatabase { database, collections } =
                MongodbCollection { collection, fields } = |it, _| MongodbField { field: it.name.to_owned() }
        )),
        Kind::Spanner => DataObject::SpannerDatabase(tree!(
            tables,
            depth,
            SpannerDatabase.schemas = SpannerSchema { schema, tables } = SpannerTable { table, columns } =
                |it, place| SpannerColumn {
                    column: it.name.to_owned(),
                    data_type: it.data_type.to_owned(),
                    is_primary_key: it.primary_key,
                    ordinal_position: place.into(),
                }
        )),
        Kind::Salesforce => DataObject::SalesforceOrg(SalesforceOrg {
            objects: tables.into_iter().map(|it| salesforce(it, depth)).collect(),
        }),
        Kind::Catalog => DataObject::SourceCatalog(SourceCatalog {
            objects: tables.into_iter().map(|it| catalog(it, depth)).collect(),
        }),
    }
}

/// Sources without schemas begin at their objects: one level down are the fields.
fn salesforce(table: Table, depth: Depth) -> SalesforceObject {
    let columns = table.columns.into_iter().filter(|_| depth > Depth::Schemas);
    let fields = columns.map(|it| SalesforceField {
        name: it.name.to_owned(),
        data_type: it.data_type.to_owned(),
        nillable: !it.primary_key,
    });
    SalesforceObject { object_name: table.name.to_owned(), fields: fields.collect() }
}

fn catalog(table: Table, depth: Depth) -> SourceObject {
    let columns = table.columns.into_iter().filter(|_| depth > Depth::Schemas);
    let properties = columns.map(|it| SourceProperty {
        property_name: it.name.to_owned(),
        primary_key: it.primary_key,
        properties: Vec::new(),
    });
    SourceObject { object_name: table.name.to_owned(), properties: properties.collect() }
}
