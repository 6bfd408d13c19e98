//! Forgets operations that ended long ago, also where nothing is polled.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::pace;
use crate::{config, error::Result, store::Store};

/// How often what ended long ago is looked for, and how much of it is forgotten at once.
const FORGET_EVERY: Duration = Duration::from_secs(600);
const FORGET_ROWS_MAX: u32 = 1000;
/// Rounds of forgetting in a row.
const FORGET_ROUNDS_MAX: usize = 100;

/// Forgets operations.
pub struct Tidier {
    store: Store,
    retention: Duration,
}

impl Tidier {
    /// Forgets what ended before `operations.retention`.
    pub fn new(store: Store, config: &config::Operations) -> Self {
        Self { store, retention: config.retention }
    }

    /// Works until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.forget().await {
                tracing::debug!(error = error.told(), "old operations cannot be forgotten");
            }
            if stop.run_until_cancelled(sleep(FORGET_EVERY)).await.is_none() {
                return;
            }
        }
    }

    async fn forget(&self) -> Result<()> {
        let floor = self.store.now().as_microsecond().saturating_sub(pace::micros(self.retention));
        for _ in 0..FORGET_ROUNDS_MAX {
            if self.store.forget_operations(floor, FORGET_ROWS_MAX).await? < u64::from(FORGET_ROWS_MAX) {
                break;
            }
        }
        Ok(())
    }
}
