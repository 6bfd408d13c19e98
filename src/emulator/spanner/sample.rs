//! The Spanner of Acme, a shop: `acme-shop` keeps its ledger and its sessions there, `acme-data` the features of its
//! models. A backup is being made, a schema change has failed, a database has just been restored, as on any morning.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::{
    backup,
    database::encryption_info,
    setup::{SeedDatabase, SeedOperation, SeedWork, Setup},
    time::{after, before, wire},
};
use crate::pb::google::spanner::admin::{
    database::v1::{
        Backup, BackupInfo, BackupSchedule, BackupScheduleSpec, CrontabSpec, Database, DatabaseDialect,
        EncryptionConfig, FullBackupSpec, IncrementalBackupSpec, RestoreInfo, RestoreSourceType,
        backup::State as BackupState, backup_schedule::BackupTypeSpec, backup_schedule_spec::ScheduleSpec,
        database::State as DatabaseState, restore_info::SourceInfo,
    },
    instance::v1::{
        AutoscalingConfig, FreeInstanceMetadata, Instance, InstanceConfig, InstancePartition, ReplicaInfo,
        autoscaling_config::{
            AutoscalingLimits, AutoscalingTargets,
            autoscaling_limits::{MaxLimit, MinLimit},
        },
        free_instance_metadata::ExpireBehavior,
        instance::{DefaultBackupScheduleType, Edition, InstanceType, State},
        instance_config, instance_partition,
        replica_info::ReplicaType,
    },
};

const SHOP: &str = "projects/acme-shop";
const LEDGER: &str = "projects/acme-shop/instances/ledger";
const SESSIONS: &str = "projects/acme-shop/instances/sessions";
const FEATURES: &str = "projects/acme-data/instances/features";
/// A hour and a day.
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Returns Acme's Spanner as one would find it at `now`.
pub(in crate::emulator) fn setup(now: Timestamp) -> Setup {
    Setup {
        configs: vec![with_replica_in_america(), with_replica_in_california()],
        instances: vec![ledger(now), sessions(now), features(now), trial(now)],
        partitions: vec![americas(now), australia(now)],
        databases: databases(now),
        backups: backups(now),
        schedules: schedules(now),
        operations: operations(),
        ..Setup::default()
    }
}

fn ledger(now: Timestamp) -> Instance {
    let labels = [("env", "prod"), ("team", "payments")];
    Instance {
        node_count: 3,
        processing_units: 3000,
        default_backup_schedule_type: DefaultBackupScheduleType::Automatic.into(),
        ..instance(LEDGER, "Ledger", "custom-eur3-america", Edition::EnterprisePlus, &labels, (520, now))
    }
}

fn sessions(now: Timestamp) -> Instance {
    let labels = [("env", "prod"), ("team", "shop")];
    Instance {
        processing_units: 300,
        ..instance(SESSIONS, "Web sessions", "regional-europe-west1", Edition::Standard, &labels, (203, now))
    }
}

/// Grows when the models are trained.
fn features(now: Timestamp) -> Instance {
    let autoscaling = AutoscalingConfig {
        autoscaling_limits: Some(AutoscalingLimits {
            min_limit: Some(MinLimit::MinNodes(1)),
            max_limit: Some(MaxLimit::MaxNodes(8)),
        }),
        autoscaling_targets: Some(AutoscalingTargets {
            high_priority_cpu_utilization_percent: 65,
            storage_utilization_percent: 80,
            ..Default::default()
        }),
        asymmetric_autoscaling_options: Vec::new(),
    };
    let labels = [("env", "prod"), ("team", "data")];
    Instance {
        node_count: 2,
        processing_units: 2000,
        autoscaling_config: Some(autoscaling),
        ..instance(
            FEATURES,
            "Feature store",
            "regional-europe-west1",
            Edition::Enterprise,
            &labels,
            (88, now),
        )
    }
}

/// Somebody tries something.
fn trial(now: Timestamp) -> Instance {
    let name = format!("{SHOP}/instances/trial");
    let metadata = FreeInstanceMetadata {
        expire_time: Some(wire(after(now, 72 * DAY))),
        upgrade_time: None,
        expire_behavior: ExpireBehavior::RemoveAfterGracePeriod.into(),
    };
    Instance {
        processing_units: 100,
        instance_type: InstanceType::FreeInstance.into(),
        free_instance_metadata: Some(metadata),
        ..instance(&name, "Graph trial", "regional-us-central1", Edition::Unspecified, &[], (18, now))
    }
}

fn instance(
    name: &str,
    display_name: &str,
    config: &str,
    edition: Edition,
    labels: &[(&str, &str)],
    (days, now): (u32, Timestamp),
) -> Instance {
    let project = super::name::ancestor(name, 1);
    let labels: HashMap<_, _> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Instance {
        name: name.to_owned(),
        config: format!("{project}/instanceConfigs/{config}"),
        display_name: display_name.to_owned(),
        state: State::Ready.into(),
        labels,
        instance_type: InstanceType::Provisioned.into(),
        create_time: Some(wire(before(now, days * DAY))),
        update_time: Some(wire(before(now, days * DAY / 3))),
        edition: edition.into(),
        ..Default::default()
    }
}

/// Europe, and a replica for the analysts in America.
fn with_replica_in_america() -> InstanceConfig {
    let replica = |location: &str, kind: ReplicaType, leads| ReplicaInfo {
        location: location.to_owned(),
        r#type: kind.into(),
        default_leader_location: leads,
    };
    let voting = |location: &str, leads| vec![replica(location, ReplicaType::ReadWrite, leads); 2];
    let mut replicas = voting("europe-west1", true);
    replicas.extend(voting("europe-west4", false));
    replicas.push(replica("europe-north1", ReplicaType::Witness, false));
    replicas.push(replica("us-central1", ReplicaType::ReadOnly, false));
    InstanceConfig {
        name: format!("{SHOP}/instanceConfigs/custom-eur3-america"),
        display_name: "Europe with a read replica in Iowa".to_owned(),
        config_type: instance_config::Type::UserManaged.into(),
        replicas,
        base_config: format!("{SHOP}/instanceConfigs/eur3"),
        labels: HashMap::from([("team".to_owned(), "payments".to_owned())]),
        etag: "6f1f8c0a92d4e7b3".to_owned(),
        leader_options: vec!["europe-west1".to_owned(), "europe-west4".to_owned()],
        state: instance_config::State::Ready.into(),
        quorum_type: instance_config::QuorumType::MultiRegion.into(),
        storage_limit_per_processing_unit: 10_995_116_277,
        ..Default::default()
    }
}

/// Was planned for the analysts, and is not used.
fn with_replica_in_california() -> InstanceConfig {
    let replica = |location: &str, kind: ReplicaType| ReplicaInfo {
        location: location.to_owned(),
        r#type: kind.into(),
        default_leader_location: location == "us-east4",
    };
    let voting = ["us-east4", "us-east4", "us-east1", "us-east1"];
    let others = [replica("us-central1", ReplicaType::Witness), replica("us-west2", ReplicaType::ReadOnly)];
    InstanceConfig {
        name: format!("{SHOP}/instanceConfigs/custom-nam3-california"),
        display_name: "America with a read replica in California".to_owned(),
        replicas: voting
            .map(|location| replica(location, ReplicaType::ReadWrite))
            .into_iter()
            .chain(others)
            .collect(),
        base_config: format!("{SHOP}/instanceConfigs/nam3"),
        etag: "0d3b5a9e7c1f2468".to_owned(),
        leader_options: vec!["us-east4".to_owned(), "us-east1".to_owned()],
        ..with_replica_in_america()
    }
}

fn americas(now: Timestamp) -> InstancePartition {
    InstancePartition {
        name: format!("{LEDGER}/instancePartitions/americas"),
        config: format!("{SHOP}/instanceConfigs/nam3"),
        display_name: "American ledger".to_owned(),
        state: instance_partition::State::Ready.into(),
        create_time: Some(wire(before(now, 2 * DAY))),
        update_time: Some(wire(before(now, 2 * DAY))),
        referencing_databases: vec![format!("{LEDGER}/databases/ledger")],
        etag: "1b77a3c5e90d2f46".to_owned(),
        compute_capacity: Some(instance_partition::ComputeCapacity::NodeCount(1)),
        ..Default::default()
    }
}

/// Nobody has put anything there yet.
fn australia(now: Timestamp) -> InstancePartition {
    InstancePartition {
        name: format!("{LEDGER}/instancePartitions/australia"),
        config: format!("{SHOP}/instanceConfigs/regional-asia-northeast1"),
        display_name: "Australian ledger".to_owned(),
        referencing_databases: Vec::new(),
        etag: "5c9e1d7b3a80f264".to_owned(),
        ..americas(now)
    }
}

fn databases(now: Timestamp) -> Vec<SeedDatabase> {
    let google = DatabaseDialect::GoogleStandardSql;
    let key = "projects/acme-shop/locations/europe/keyRings/ledger/cryptoKeys/ledger".to_owned();
    let keys = EncryptionConfig { kms_key_name: key, kms_key_names: Vec::new() };
    let ledger = Database {
        encryption_info: encryption_info(Some(&keys)),
        encryption_config: Some(keys),
        enable_drop_protection: true,
        ..database(LEDGER, "ledger", google, 512, now)
    };
    let backup_info = BackupInfo {
        backup: format!("{LEDGER}/backups/ledger-monday"),
        create_time: Some(wire(before(now, 2 * DAY))),
        source_database: format!("{LEDGER}/databases/ledger"),
        version_time: Some(wire(before(now, 2 * DAY))),
    };
    let restored = Database {
        restore_info: Some(RestoreInfo {
            source_type: RestoreSourceType::Backup.into(),
            source_info: Some(SourceInfo::BackupInfo(backup_info)),
        }),
        create_time: Some(wire(before(now, 2 * HOUR))),
        ..database(LEDGER, "ledger-rehearsal", google, 0, now)
    };
    let seed = |database: Database, statements: &[&str]| SeedDatabase {
        database,
        statements: statements.iter().map(|text| (*text).to_owned()).collect(),
    };
    vec![
        seed(ledger, LEDGER_SCHEMA),
        seed(restored, &LEDGER_SCHEMA[..3]),
        seed(
            database(LEDGER, "invoices", DatabaseDialect::Postgresql, 97, now),
            &[
                "CREATE TABLE invoices (id bigint NOT NULL, total numeric, PRIMARY KEY (id))",
                "CREATE INDEX invoices_by_total ON invoices (total)",
            ],
        ),
        seed(
            database(SESSIONS, "sessions", google, 203, now),
            &[
                "CREATE TABLE Sessions (\n  Id STRING(36) NOT NULL,\n  UserId INT64,\n  LastSeen TIMESTAMP NOT NULL,\n) PRIMARY KEY (Id), ROW DELETION POLICY (OLDER_THAN(LastSeen, INTERVAL 30 DAY))",
                "CREATE INDEX SessionsByUser ON Sessions(UserId)",
            ],
        ),
        seed(
            database(FEATURES, "features", google, 88, now),
            &[
                "CREATE TABLE CustomerFeatures (\n  CustomerId INT64 NOT NULL,\n  Segment STRING(MAX),\n  Lifetime FLOAT64,\n) PRIMARY KEY (CustomerId)",
                "CREATE CHANGE STREAM FeatureChanges FOR CustomerFeatures",
            ],
        ),
    ]
}

/// The ledger's schema; its first three statements are what was there on Monday.
const LEDGER_SCHEMA: &[&str] = &[
    "CREATE TABLE Accounts (\n  AccountId INT64 NOT NULL,\n  Owner STRING(MAX) NOT NULL,\n  Currency STRING(3) NOT NULL,\n) PRIMARY KEY (AccountId)",
    "CREATE TABLE Entries (\n  AccountId INT64 NOT NULL,\n  EntryId STRING(36) NOT NULL,\n  Amount NUMERIC NOT NULL,\n  BookedAt TIMESTAMP NOT NULL OPTIONS (allow_commit_timestamp = true),\n) PRIMARY KEY (AccountId, EntryId),\n  INTERLEAVE IN PARENT Accounts ON DELETE NO ACTION",
    "CREATE INDEX EntriesByTime ON Entries(BookedAt DESC) STORING (Amount)",
    "CREATE ROLE auditor",
    "GRANT SELECT ON TABLE Accounts, Entries TO ROLE auditor",
    "CREATE CHANGE STREAM LedgerChanges FOR ALL",
    "ALTER DATABASE ledger SET OPTIONS (version_retention_period = '7d')",
];

fn database(parent: &str, id: &str, dialect: DatabaseDialect, days: u32, now: Timestamp) -> Database {
    Database {
        name: format!("{parent}/databases/{id}"),
        state: DatabaseState::Ready.into(),
        create_time: Some(wire(before(now, days * DAY))),
        encryption_info: encryption_info(None),
        version_retention_period: "1h".to_owned(),
        database_dialect: dialect.into(),
        ..Default::default()
    }
}

/// Two that are complete, and one that is being made.
fn backups(now: Timestamp) -> Vec<Backup> {
    let nightly = format!("{LEDGER}/databases/ledger/backupSchedules/nightly");
    let of =
        |parent: &str, id: &str, database: &str, ago: Duration, kept: Duration, schedule: Option<&str>| {
            let source = format!("{parent}/databases/{database}");
            let began = before(now, ago);
            Backup {
                database: source.clone(),
                version_time: Some(wire(began)),
                expire_time: Some(wire(after(began, kept))),
                state: BackupState::Ready.into(),
                database_dialect: DatabaseDialect::GoogleStandardSql.into(),
                backup_schedules: schedule.map(str::to_owned).into_iter().collect(),
                ..backup::new(&format!("{parent}/backups/{id}"), None, &source, began)
            }
        };
    let mut running = of(LEDGER, "ledger-before-migration", "ledger", HOUR / 3, 30 * DAY, None);
    running.set_state(BackupState::Creating);
    vec![
        of(LEDGER, "ledger-monday", "ledger", 2 * DAY, 14 * DAY, Some(&nightly)),
        running,
        of(SESSIONS, "sessions-weekly", "sessions", 3 * DAY, 60 * DAY, None),
    ]
}

fn schedules(now: Timestamp) -> Vec<BackupSchedule> {
    let schedule = |name: String, text: &str, days: i64, kind| BackupSchedule {
        name,
        retention_duration: Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 }),
        encryption_config: None,
        spec: Some(BackupScheduleSpec {
            schedule_spec: Some(ScheduleSpec::CronSpec(CrontabSpec {
                text: text.to_owned(),
                time_zone: "UTC".to_owned(),
                creation_window: Some(prost_types::Duration { seconds: 4 * 3600, nanos: 0 }),
            })),
        }),
        update_time: Some(wire(before(now, 120 * DAY))),
        backup_type_spec: Some(kind),
    };
    let full = BackupTypeSpec::FullBackupSpec(FullBackupSpec {});
    let incremental = BackupTypeSpec::IncrementalBackupSpec(IncrementalBackupSpec {});
    vec![
        schedule(format!("{LEDGER}/databases/ledger/backupSchedules/nightly"), "0 2 * * *", 14, full),
        schedule(
            format!("{FEATURES}/databases/features/backupSchedules/four-hourly"),
            "30 */4 * * *",
            3,
            incremental,
        ),
    ]
}

/// What the shop's people did in the last days, in every collection of operations.
fn operations() -> Vec<SeedOperation> {
    let did = |id, target: &str, work, ago: Duration, takes: Duration, failure| SeedOperation {
        id: Some(id),
        target: target.to_owned(),
        work,
        ago,
        takes,
        failure,
    };
    let statements =
        |texts: &[&str]| SeedWork::UpdateSchema(texts.iter().map(|text| (*text).to_owned()).collect());
    let minute = HOUR / 60;
    let config = format!("{SHOP}/instanceConfigs/custom-eur3-america");
    let ledger = format!("{LEDGER}/databases/ledger");
    vec![
        did("_auto_config_created", &config, SeedWork::Create, 6 * DAY, 9 * minute, None),
        did(
            "_auto_cache_grown",
            &format!("{config}/ssdCaches/sessions"),
            SeedWork::Update,
            5 * DAY,
            12 * minute,
            None,
        ),
        did("_auto_ledger_grown", LEDGER, SeedWork::Update, 26 * HOUR, 4 * minute, None),
        did("_auto_features_grown", FEATURES, SeedWork::Update, 3 * HOUR, 2 * minute, None),
        did(
            "_auto_americas_created",
            &format!("{LEDGER}/instancePartitions/americas"),
            SeedWork::Create,
            2 * DAY,
            6 * minute,
            None,
        ),
        did(
            "add_auditor",
            &ledger,
            statements(&["CREATE ROLE auditor", "GRANT SELECT ON TABLE Accounts, Entries TO ROLE auditor"]),
            20 * HOUR,
            minute,
            None,
        ),
        did(
            "index_by_amount",
            &ledger,
            statements(&["CREATE UNIQUE INDEX EntriesByAmount ON Entries(Amount)"]),
            4 * HOUR,
            3 * minute,
            Some("UNIQUE index EntriesByAmount: found 2 entries with the same key"),
        ),
        did(
            "_auto_rehearsal_optimized",
            &format!("{LEDGER}/databases/ledger-rehearsal"),
            SeedWork::Optimize,
            2 * HOUR,
            90 * minute,
            None,
        ),
        did(
            "_auto_monday_made",
            &format!("{LEDGER}/backups/ledger-monday"),
            SeedWork::Create,
            2 * DAY,
            50 * minute,
            None,
        ),
        did(
            "_auto_before_migration",
            &format!("{LEDGER}/backups/ledger-before-migration"),
            SeedWork::Create,
            HOUR / 3,
            HOUR,
            None,
        ),
        did(
            "_auto_sessions_created",
            &format!("{SESSIONS}/databases/sessions"),
            SeedWork::Create,
            5 * DAY,
            minute,
            None,
        ),
    ]
}
