//! What an emulator holds at most: it lives in memory, and whoever reaches its port could fill it.

use std::time::Duration;

/// Connections kept. Creating one more answers RESOURCE_EXHAUSTED.
pub const EMULATOR_CONNECTIONS_MAX: usize = 100_000;

/// Bytes of one IAM policy on the wire, as at the real service "some tens of KB".
pub const EMULATOR_POLICY_BYTES_MAX: usize = 64 * 1024;

/// Permissions tested in one call.
pub const EMULATOR_PERMISSIONS_MAX: usize = 100;

/// Paths in one update mask.
pub const EMULATOR_MASK_PATHS_MAX: usize = 100;

/// Calls kept with metadata and bytes; the oldest go first.
pub const EMULATOR_CALLS_MAX: usize = 1_024;

/// Bytes kept of one request.
pub const EMULATOR_CALL_BYTES_MAX: usize = 64 * 1024;

/// Metadata entries kept of one call.
pub const EMULATOR_CALL_METADATA_MAX: usize = 64;

/// Different rpc names counted; the rest is counted under `(other)`.
pub const EMULATOR_RPC_NAMES_MAX: usize = 512;

/// Faults in force at a time.
pub const EMULATOR_FAULTS_MAX: usize = 256;

/// Bytes of one message that is received or sent.
pub const EMULATOR_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long calls under way may take to finish once an emulator stops.
pub const EMULATOR_STOP_MAX: Duration = Duration::from_secs(5);
