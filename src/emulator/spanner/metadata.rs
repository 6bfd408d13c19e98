//! What operations tell about themselves: fourteen kinds of metadata, and any that nobody knows.

use std::time::Duration;

use jiff::Timestamp;
use prost_types::Any;

use super::{
    operation::Times,
    refusal::pack,
    time::{after, wire},
};
use crate::pb::google::spanner::admin::{
    database::v1::{
        self as database, BackupInfo, CopyBackupMetadata, CreateBackupMetadata, CreateDatabaseMetadata,
        DdlStatementActionInfo, OptimizeRestoredDatabaseMetadata, RestoreDatabaseMetadata, RestoreSourceType,
        UpdateDatabaseDdlMetadata, UpdateDatabaseMetadata, UpdateDatabaseRequest,
        restore_database_metadata::SourceInfo,
    },
    instance::v1::{
        self as instance, CreateInstanceConfigMetadata, CreateInstanceMetadata,
        CreateInstancePartitionMetadata, FulfillmentPeriod, Instance, InstanceConfig, InstancePartition,
        MoveInstanceMetadata, UpdateInstanceConfigMetadata, UpdateInstanceMetadata,
        UpdateInstancePartitionMetadata,
    },
};

/// What an operation does, with everything of its metadata that does not move.
pub(super) enum Kind {
    CreateInstance(Instance),
    UpdateInstance(Instance),
    MoveInstance {
        target_config: String,
    },
    CreateConfig(InstanceConfig),
    UpdateConfig(InstanceConfig),
    CreatePartition(InstancePartition),
    UpdatePartition(InstancePartition),
    CreateDatabase {
        database: String,
    },
    UpdateDatabase(UpdateDatabaseRequest),
    UpdateSchema(SchemaChange),
    CreateBackup {
        name: String,
        database: String,
    },
    CopyBackup {
        name: String,
        source: String,
    },
    Restore {
        name: String,
        from: BackupInfo,
        optimizing: String,
    },
    Optimize {
        name: String,
    },
    /// Metadata that does not move, of whatever type.
    Other(Any),
}

/// Schema statements that are carried out one after the other, each in the same time.
pub(super) struct SchemaChange {
    pub(super) database: String,
    pub(super) statements: Vec<String>,
    pub(super) actions: Vec<DdlStatementActionInfo>,
    pub(super) each: Duration,
    /// The statement that fails; those before it take effect.
    pub(super) fails_at: Option<usize>,
}

impl Kind {
    /// Whether a request to cancel has any effect.
    pub(super) fn can_be_cancelled(&self) -> bool {
        !matches!(self, Self::Optimize { .. })
    }

    /// Packs the metadata as it is at some time.
    pub(super) fn pack(&self, times: &Times) -> Any {
        let start_time = Some(wire(times.begins));
        let cancel_time = times.cancel_asked.map(wire);
        let end_time = times.ended.map(wire);
        let usual = FulfillmentPeriod::Normal.into();
        match self {
            Self::CreateInstance(it) => instance_any(
                "CreateInstanceMetadata",
                &CreateInstanceMetadata {
                    instance: Some(it.clone()),
                    start_time,
                    cancel_time,
                    end_time,
                    expected_fulfillment_period: usual,
                },
            ),
            Self::UpdateInstance(it) => instance_any(
                "UpdateInstanceMetadata",
                &UpdateInstanceMetadata {
                    instance: Some(it.clone()),
                    start_time,
                    cancel_time,
                    end_time,
                    expected_fulfillment_period: usual,
                },
            ),
            Self::MoveInstance { target_config } => {
                let (target_config, progress) = (target_config.clone(), Some(instance_progress(times)));
                instance_any(
                    "MoveInstanceMetadata",
                    &MoveInstanceMetadata { target_config, progress, cancel_time },
                )
            }
            Self::CreateConfig(it) => {
                let (instance_config, progress) = (Some(it.clone()), Some(instance_progress(times)));
                instance_any(
                    "CreateInstanceConfigMetadata",
                    &CreateInstanceConfigMetadata { instance_config, progress, cancel_time },
                )
            }
            Self::UpdateConfig(it) => {
                let (instance_config, progress) = (Some(it.clone()), Some(instance_progress(times)));
                instance_any(
                    "UpdateInstanceConfigMetadata",
                    &UpdateInstanceConfigMetadata { instance_config, progress, cancel_time },
                )
            }
            Self::CreatePartition(it) => {
                let instance_partition = Some(it.clone());
                instance_any(
                    "CreateInstancePartitionMetadata",
                    &CreateInstancePartitionMetadata {
                        instance_partition,
                        start_time,
                        cancel_time,
                        end_time,
                    },
                )
            }
            Self::UpdatePartition(it) => {
                let instance_partition = Some(it.clone());
                instance_any(
                    "UpdateInstancePartitionMetadata",
                    &UpdateInstancePartitionMetadata {
                        instance_partition,
                        start_time,
                        cancel_time,
                        end_time,
                    },
                )
            }
            _ => self.pack_database(times),
        }
    }

    fn pack_database(&self, times: &Times) -> Any {
        let cancel_time = times.cancel_asked.map(wire);
        let progress = Some(database_progress(times));
        match self {
            Self::CreateDatabase { database } => {
                database_any("CreateDatabaseMetadata", &CreateDatabaseMetadata { database: database.clone() })
            }
            Self::UpdateDatabase(request) => {
                let request = Some(request.clone());
                database_any(
                    "UpdateDatabaseMetadata",
                    &UpdateDatabaseMetadata { request, progress, cancel_time },
                )
            }
            Self::UpdateSchema(change) => database_any("UpdateDatabaseDdlMetadata", &change.metadata(times)),
            Self::CreateBackup { name, database } => {
                let (name, database) = (name.clone(), database.clone());
                database_any(
                    "CreateBackupMetadata",
                    &CreateBackupMetadata { name, database, progress, cancel_time },
                )
            }
            Self::CopyBackup { name, source } => {
                let (name, source_backup) = (name.clone(), source.clone());
                database_any(
                    "CopyBackupMetadata",
                    &CopyBackupMetadata { name, source_backup, progress, cancel_time },
                )
            }
            Self::Restore { name, from, optimizing } => {
                let metadata = RestoreDatabaseMetadata {
                    name: name.clone(),
                    source_type: RestoreSourceType::Backup.into(),
                    progress,
                    cancel_time,
                    optimize_database_operation_name: optimizing.clone(),
                    source_info: Some(SourceInfo::BackupInfo(from.clone())),
                };
                database_any("RestoreDatabaseMetadata", &metadata)
            }
            Self::Optimize { name } => {
                let metadata = OptimizeRestoredDatabaseMetadata { name: name.clone(), progress };
                database_any("OptimizeRestoredDatabaseMetadata", &metadata)
            }
            Self::Other(any) => any.clone(),
            // Instances and what belongs to them were packed before.
            _ => Any::default(),
        }
    }
}

/// When the statements of a change take effect.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    each: Duration,
    count: usize,
}

impl Timing {
    /// Returns how many statements have taken effect at `at` when the first begins at `begins`.
    pub(super) fn committed(self, begins: Timestamp, at: Timestamp) -> usize {
        let passed = at.duration_since(begins).as_millis().max(0);
        let each = i128::try_from(self.each.as_millis()).unwrap_or(i128::MAX).max(1);
        usize::try_from(passed / each).unwrap_or(usize::MAX).min(self.count)
    }
}

impl SchemaChange {
    /// Tells when the statements take effect that do.
    pub(super) fn timing(&self) -> Timing {
        Timing { each: self.each, count: self.fails_at.unwrap_or(self.statements.len()) }
    }

    fn metadata(&self, times: &Times) -> UpdateDatabaseDdlMetadata {
        let committed = self.timing().committed(times.begins, times.at);
        let begin = |place: usize| {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            after(times.begins, self.each.saturating_mul(place))
        };
        let progress = (0..self.statements.len()).map(|place| {
            if place < committed {
                return progress(100, begin(place), Some(begin(place + 1)));
            }
            if times.at < begin(place) {
                return database::OperationProgress::default();
            }
            let passed = times.at.duration_since(begin(place)).as_millis().max(0);
            let each = i128::try_from(self.each.as_millis()).unwrap_or(i128::MAX).max(1);
            let percent = i32::try_from((passed * 100 / each).min(99)).unwrap_or(99);
            progress(percent, begin(place), times.ended)
        });
        UpdateDatabaseDdlMetadata {
            database: self.database.clone(),
            statements: self.statements.clone(),
            commit_timestamps: (1..=committed).map(|place| wire(begin(place))).collect(),
            throttled: false,
            progress: progress.collect(),
            actions: self.actions.clone(),
        }
    }
}

fn progress(progress_percent: i32, start: Timestamp, end: Option<Timestamp>) -> database::OperationProgress {
    database::OperationProgress { progress_percent, start_time: Some(wire(start)), end_time: end.map(wire) }
}

fn database_progress(times: &Times) -> database::OperationProgress {
    progress(times.percent, times.begins, times.ended)
}

fn instance_progress(times: &Times) -> instance::OperationProgress {
    instance::OperationProgress {
        progress_percent: times.percent,
        start_time: Some(wire(times.begins)),
        end_time: times.ended.map(wire),
    }
}

fn instance_any(name: &str, message: &impl prost::Message) -> Any {
    pack(&format!("google.spanner.admin.instance.v1.{name}"), message)
}

fn database_any(name: &str, message: &impl prost::Message) -> Any {
    pack(&format!("google.spanner.admin.database.v1.{name}"), message)
}
