//! The migrations, in order. A number is given once and its file never changes; both dialects have the same numbers.

use super::migrate::Migration;

macro_rules! migrations {
    ($($number:literal $name:literal)*) => {
        &[$(Migration {
            number: $number,
            name: $name,
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
        },)*]
    };
}

/// Everything that makes an empty database a current one.
pub(super) const ALL: &[Migration] = migrations! {
    1 "0001_journal"
    2 "0002_keys"
    3 "0003_operations"
    4 "0004_webhooks"
    5 "0005_audit_refusals"
    6 "0006_keep_room"
    7 "0007_truncate"
    8 "0008_narrow_indexes"
    9 "0009_tell_recovery"
};
