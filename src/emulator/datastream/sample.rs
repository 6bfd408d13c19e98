//! The Datastream of Acme, a shop: `acme-data` copies the shop, the help desk, the ERP and the tills into BigQuery and
//! a lake. Some of it is healthy, some waits, some has failed, as on any morning.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use prost_types::Duration as WireDuration;

use super::{
    backfill::occurrence,
    catalogue,
    pace::{Pace, before, wire},
    setup::{SeedBackfill, SeedObject, SeedOperation, Setup},
    source::Kind,
};
use crate::pb::google::cloud::datastream::v1::{
    AvroFileFormat, BigQueryDestinationConfig, BigQueryProfile, ConnectionProfile, DestinationConfig, Error,
    GcsDestinationConfig, GcsProfile, MysqlProfile, MysqlSourceConfig, OracleProfile, OracleSourceConfig,
    PostgresqlProfile, PostgresqlSourceConfig, PrivateConnection, PrivateConnectivity, Route, SourceConfig,
    SqlServerProfile, SqlServerSourceConfig, StaticServiceIpConnectivity, Stream, VpcPeeringConfig,
    big_query_destination_config::{self as bigquery, DatasetConfig, WriteMode},
    connection_profile::{Connectivity, Profile},
    destination_config::DestinationStreamConfig,
    gcs_destination_config::FileFormat,
    mysql_source_config, oracle_source_config, private_connection,
    source_config::SourceStreamConfig,
    sql_server_source_config,
    stream::{BackfillAllStrategy, BackfillNoneStrategy, BackfillStrategy, State},
};

/// Where nearly everything is.
const HOME: &str = "projects/acme-data/locations/europe-west1";
/// Where the tills of the American stores are copied.
const AMERICA: &str = "projects/acme-data/locations/us-central1";
/// Seconds in a day.
const DAY: u64 = 86_400;

/// Returns Acme's Datastream as one would find it at `now`.
pub(in crate::emulator) fn setup(now: Timestamp) -> Setup {
    let streams = vec![shop(now), help_desk(now), erp(now), tills(now), archive(now)];
    let objects = [
        ("shop-to-bigquery", Kind::Postgresql, 41),
        ("help-desk-to-bigquery", Kind::Mysql, 73),
        ("erp-to-lake", Kind::Oracle, 120),
    ];
    let mut objects: Vec<SeedObject> =
        objects.into_iter().flat_map(|(stream, kind, days)| backfilled(stream, kind, days)).collect();
    objects.extend(untouched());
    Setup {
        pace: Pace::default(),
        profiles: profiles(now),
        private_connections: vec![office(now), branch(now)],
        routes: routes(now),
        streams,
        objects,
        operations: operations(),
    }
}

/// What the data platform's people did since yesterday.
fn operations() -> Vec<SeedOperation> {
    let operation = |id, stream: &str, verb, hours: u64, failure| SeedOperation {
        id: Some(id),
        stream: format!("{HOME}/streams/{stream}"),
        verb,
        ago: Duration::from_secs(hours * 3600),
        takes: Duration::from_secs(40),
        failure,
    };
    let logging = "supplemental logging is switched off for HR.PAYROLL_RUNS";
    vec![
        operation("operation-archive-paused", "shop-archive", "update", 26, None),
        operation("operation-erp-started", "erp-to-lake", "run", 3, Some(logging)),
        operation("operation-help-desk-changed", "help-desk-to-bigquery", "update", 2, None),
    ]
}

fn shop(now: Timestamp) -> Stream {
    let config = PostgresqlSourceConfig {
        replication_slot: "datastream_shop".to_owned(),
        publication: "datastream_all".to_owned(),
        max_concurrent_backfill_tasks: 4,
        ..Default::default()
    };
    let source = SourceStreamConfig::PostgresqlSourceConfig(config);
    let all = BackfillStrategy::BackfillAll(BackfillAllStrategy::default());
    let stream = stream(
        "shop-to-bigquery",
        "Shop to BigQuery",
        ("shop-postgres", source),
        warehouse("acme-data:shop", 60),
        all,
    );
    running(stream, 41, now)
}

fn help_desk(now: Timestamp) -> Stream {
    let cdc_method = Some(mysql_source_config::CdcMethod::Gtid(mysql_source_config::Gtid {}));
    let source =
        SourceStreamConfig::MysqlSourceConfig(MysqlSourceConfig { cdc_method, ..Default::default() });
    let all = BackfillStrategy::BackfillAll(BackfillAllStrategy::default());
    let to = warehouse("acme-data:help_desk", 900);
    running(
        stream("help-desk-to-bigquery", "Help desk to BigQuery", ("help-desk-mysql", source), to, all),
        73,
        now,
    )
}

/// Held by a problem since this morning.
fn erp(now: Timestamp) -> Stream {
    let config = OracleSourceConfig {
        max_concurrent_cdc_tasks: 5,
        cdc_method: Some(oracle_source_config::CdcMethod::LogMiner(oracle_source_config::LogMiner {})),
        ..Default::default()
    };
    let source = SourceStreamConfig::OracleSourceConfig(config);
    let all = BackfillStrategy::BackfillAll(BackfillAllStrategy::default());
    let mut stream = running(
        stream("erp-to-lake", "ERP to the lake", ("erp-oracle", source), lake("/erp"), all),
        120,
        now,
    );
    let at = before(now, Duration::from_secs(3 * 3600));
    stream.set_state(State::Failed);
    stream.errors.push(Error {
        reason: "ORACLE_CDC_SUPPLEMENTAL_LOG_DATA_MISSING".to_owned(),
        error_uuid: occurrence(&stream.name, at),
        message: "Supplemental logging is switched off for HR.PAYROLL_RUNS.".to_owned(),
        error_time: Some(wire(at)),
        details: HashMap::from([("table".to_owned(), "HR.PAYROLL_RUNS".to_owned())]),
    });
    stream
}

/// Prepared and never started.
fn tills(now: Timestamp) -> Stream {
    let cdc_method = Some(sql_server_source_config::CdcMethod::TransactionLogs(Default::default()));
    let source =
        SourceStreamConfig::SqlServerSourceConfig(SqlServerSourceConfig { cdc_method, ..Default::default() });
    let all = BackfillStrategy::BackfillAll(BackfillAllStrategy::default());
    let to = warehouse("acme-data:tills", 3600);
    let mut stream = stream("tills-to-bigquery", "Tills to BigQuery", ("tills-sql-server", source), to, all);
    move_to_america(&mut stream);
    stream.create_time = Some(wire(before(now, Duration::from_secs(2 * DAY))));
    stream.set_state(State::NotStarted);
    stream
}

/// Changes only, paused since the shop has a new home.
fn archive(now: Timestamp) -> Stream {
    let config = PostgresqlSourceConfig {
        replication_slot: "datastream_archive".to_owned(),
        publication: "datastream_all".to_owned(),
        ..Default::default()
    };
    let source = SourceStreamConfig::PostgresqlSourceConfig(config);
    let none = BackfillStrategy::BackfillNone(BackfillNoneStrategy {});
    let to = lake("/shop-archive");
    let mut stream =
        running(stream("shop-archive", "Shop archive", ("shop-postgres", source), to, none), 400, now);
    stream.set_state(State::Paused);
    stream
}

/// Every table of a source, backfilled when the stream was new; the tables with `fail` in their name failed, and one
/// that is large is still being copied.
fn backfilled(stream: &str, kind: Kind, days: u64) -> impl Iterator<Item = SeedObject> {
    let stream = format!("{HOME}/streams/{stream}");
    catalogue::tables(kind).into_iter().map(move |table| {
        let minutes = 3 + table.name.len() as u64;
        let (ago, active) = match table.name {
            "events" => (120, 3600),
            "PAYROLL_RUNS" => return object(&stream, &table, SeedBackfill::Unsupported),
            _ => (days * DAY, minutes * 60),
        };
        let (ago, active) = (Duration::from_secs(ago), Duration::from_secs(active));
        object(&stream, &table, SeedBackfill::Automatic { ago, active })
    })
}

/// The tables of the archive, which copies changes only.
fn untouched() -> impl Iterator<Item = SeedObject> {
    let stream = format!("{HOME}/streams/shop-archive");
    let tables = catalogue::tables(Kind::Postgresql).into_iter().filter(|table| table.schema == "billing");
    tables.map(move |table| object(&stream, &table, SeedBackfill::NotStarted))
}

fn object(stream: &str, table: &catalogue::Table, backfill: SeedBackfill) -> SeedObject {
    SeedObject {
        stream: stream.to_owned(),
        schema: table.schema.to_owned(),
        table: table.name.to_owned(),
        backfill,
        errors: Vec::new(),
    }
}

fn stream(
    id: &str,
    display_name: &str,
    (profile, source): (&str, SourceStreamConfig),
    destination_config: DestinationConfig,
    backfill: BackfillStrategy,
) -> Stream {
    Stream {
        name: format!("{HOME}/streams/{id}"),
        display_name: display_name.to_owned(),
        labels: labels(&[("team", "data-platform"), ("env", "prod")]),
        source_config: Some(SourceConfig {
            source_connection_profile: format!("{HOME}/connectionProfiles/{profile}"),
            source_stream_config: Some(source),
        }),
        destination_config: Some(destination_config),
        backfill_strategy: Some(backfill),
        ..Default::default()
    }
}

fn running(mut stream: Stream, days: u64, now: Timestamp) -> Stream {
    stream.create_time = Some(wire(before(now, Duration::from_secs(days * DAY + 600))));
    stream.set_state(State::Running);
    stream
}

fn warehouse(dataset: &str, freshness_secs: i64) -> DestinationConfig {
    let config = BigQueryDestinationConfig {
        data_freshness: Some(WireDuration { seconds: freshness_secs, nanos: 0 }),
        dataset_config: Some(DatasetConfig::SingleTargetDataset(bigquery::SingleTargetDataset {
            dataset_id: dataset.to_owned(),
        })),
        write_mode: Some(WriteMode::Merge(bigquery::Merge {})),
        ..Default::default()
    };
    DestinationConfig {
        destination_connection_profile: format!("{HOME}/connectionProfiles/warehouse"),
        destination_stream_config: Some(DestinationStreamConfig::BigqueryDestinationConfig(config)),
    }
}

fn lake(path: &str) -> DestinationConfig {
    let config = GcsDestinationConfig {
        path: path.to_owned(),
        file_rotation_mb: 50,
        file_rotation_interval: Some(WireDuration { seconds: 60, nanos: 0 }),
        file_format: Some(FileFormat::AvroFileFormat(AvroFileFormat {})),
    };
    DestinationConfig {
        destination_connection_profile: format!("{HOME}/connectionProfiles/lake"),
        destination_stream_config: Some(DestinationStreamConfig::GcsDestinationConfig(config)),
    }
}

/// Moves a stream and the profiles it uses to where American data must stay.
fn move_to_america(stream: &mut Stream) {
    stream.name = stream.name.replace(HOME, AMERICA);
    if let Some(source) = &mut stream.source_config {
        source.source_connection_profile = source.source_connection_profile.replace(HOME, AMERICA);
    }
    if let Some(destination) = &mut stream.destination_config {
        destination.destination_connection_profile =
            destination.destination_connection_profile.replace(HOME, AMERICA);
    }
}

fn profiles(now: Timestamp) -> Vec<ConnectionProfile> {
    let office = PrivateConnectivity { private_connection: format!("{HOME}/privateConnections/office") };
    let office = Some(Connectivity::PrivateConnectivity(office));
    let internet = Some(Connectivity::StaticServiceIpConnectivity(StaticServiceIpConnectivity {}));
    let user = || "datastream".to_owned();
    let shop = Profile::PostgresqlProfile(PostgresqlProfile {
        hostname: "orders.db.acme.example".to_owned(),
        port: 5432,
        username: user(),
        database: "orders".to_owned(),
        secret_manager_stored_password: "projects/acme-data/secrets/shop-postgres/versions/3".to_owned(),
        ..Default::default()
    });
    let help_desk = Profile::MysqlProfile(MysqlProfile {
        hostname: "support.db.acme.example".to_owned(),
        port: 3306,
        username: user(),
        ..Default::default()
    });
    let erp = Profile::OracleProfile(OracleProfile {
        hostname: "10.20.0.7".to_owned(),
        port: 1521,
        username: "DATASTREAM".to_owned(),
        database_service: "ACMEERP".to_owned(),
        ..Default::default()
    });
    let tills = Profile::SqlServerProfile(SqlServerProfile {
        hostname: "tills.us.db.acme.example".to_owned(),
        port: 1433,
        username: user(),
        database: "tills".to_owned(),
        ..Default::default()
    });
    let lake = Profile::GcsProfile(GcsProfile {
        bucket: "acme-lake".to_owned(),
        root_path: "/datastream".to_owned(),
    });
    let bigquery = || Profile::BigqueryProfile(BigQueryProfile {});
    let at = Some(wire(before(now, Duration::from_secs(410 * DAY))));
    let profile = |parent: &str, id: &str, display_name: &str, profile, connectivity| ConnectionProfile {
        name: format!("{parent}/connectionProfiles/{id}"),
        display_name: display_name.to_owned(),
        create_time: at,
        labels: labels(&[("team", "data-platform")]),
        profile: Some(profile),
        connectivity,
        ..Default::default()
    };
    vec![
        profile(HOME, "shop-postgres", "Shop orders (PostgreSQL)", shop, internet.clone()),
        profile(HOME, "help-desk-mysql", "Help desk (MySQL)", help_desk, internet.clone()),
        profile(HOME, "erp-oracle", "ERP in the office (Oracle)", erp, office),
        profile(AMERICA, "tills-sql-server", "American tills (SQL Server)", tills, internet),
        profile(HOME, "lake", "Lake", lake, None),
        profile(HOME, "warehouse", "Warehouse", bigquery(), None),
        profile(AMERICA, "warehouse", "Warehouse", bigquery(), None),
        // Nothing uses it.
        profile(AMERICA, "spare", "Spare", bigquery(), None),
    ]
}

fn office(now: Timestamp) -> PrivateConnection {
    PrivateConnection {
        name: format!("{HOME}/privateConnections/office"),
        create_time: Some(wire(before(now, Duration::from_secs(500 * DAY)))),
        display_name: "Office network".to_owned(),
        state: private_connection::State::Created.into(),
        vpc_peering_config: Some(VpcPeeringConfig {
            vpc: "projects/acme-network/global/networks/office".to_owned(),
            subnet: "10.20.255.0/29".to_owned(),
        }),
        ..Default::default()
    }
}

/// To an office that was given up: nothing uses it any more.
fn branch(now: Timestamp) -> PrivateConnection {
    PrivateConnection {
        name: format!("{HOME}/privateConnections/branch"),
        create_time: Some(wire(before(now, Duration::from_secs(420 * DAY)))),
        display_name: "Branch office, closed".to_owned(),
        state: private_connection::State::Created.into(),
        vpc_peering_config: Some(VpcPeeringConfig {
            vpc: "projects/acme-network/global/networks/branch".to_owned(),
            subnet: "10.22.255.0/29".to_owned(),
        }),
        ..Default::default()
    }
}

fn routes(now: Timestamp) -> Vec<Route> {
    let route = Route {
        name: format!("{HOME}/privateConnections/office/routes/erp"),
        create_time: Some(wire(before(now, Duration::from_secs(499 * DAY)))),
        display_name: "ERP database".to_owned(),
        destination_address: "10.20.0.7".to_owned(),
        destination_port: 1521,
        ..Default::default()
    };
    vec![route]
}

fn labels(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
