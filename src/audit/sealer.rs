//! Moves what has ended into the signed chain, a batch at a time.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Recorder;
use crate::{
    crypto::{Keys, Purpose, Signer},
    error::Result,
    store::Store,
};

/// Rows of the journal that one batch takes: few enough that chaining them holds nobody up.
pub(super) const ROWS_MAX: u32 = 128;
/// How often to look for what has ended: when nothing had, and while something has. Many small batches hold nobody up for
/// long.
const SEAL_EVERY: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(100)];
/// How long a log that is behind waits for those who call: nine times what a batch took, and as long as the batch once it has
/// been behind for [`PATIENCE`]. So a burst is not slowed down for its own log, and a load that never ends does not outrun it.
const SHARES: [u32; 2] = [9, 1];
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest such wait.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How often a log that does not take anything is spoken of.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Batches sealed before a list is read.
const CATCH_UP_BATCHES_MAX: usize = 24;

/// Seals. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    store: Store,
    signer: Arc<Signer>,
}

impl Sealer {
    /// Makes a sealer with the key of the audit log.
    pub fn new(store: Store, keys: &Keys) -> Self {
        Self { store, signer: Arc::new(keys.signer(Purpose::AuditSeal)) }
    }

    /// Seals what has ended, again and again, until `stop` is cancelled; then once more.
    pub async fn run(self, stop: CancellationToken) {
        let mut wait = SEAL_EVERY[0];
        let (mut behind_since, mut failed) = (None, None);
        loop {
            let stopped = stop.run_until_cancelled(sleep(wait)).await.is_none();
            wait = SEAL_EVERY[0];
            let began = Instant::now();
            match self.store.seal(&self.signer, ROWS_MAX).await {
                Ok(rows) => {
                    failed = None;
                    counter!("causeway_audit_sealed_total").increment(rows as u64);
                    wait = SEAL_EVERY[usize::from(rows > 0)];
                    if rows < ROWS_MAX as usize {
                        behind_since = None;
                    } else {
                        let since = *behind_since.get_or_insert(began);
                        wait =
                            (began.elapsed() * SHARES[usize::from(since.elapsed() > PATIENCE)]).min(WAIT_MAX);
                    }
                }
                Err(error) => {
                    counter!("causeway_audit_seal_failures_total").increment(1);
                    if failed.is_none_or(|at: Instant| at.elapsed() >= SAY_EVERY) {
                        failed = Some(Instant::now());
                        tracing::warn!(error = error.told(), "nothing can be added to the audit log");
                    }
                }
            }
            if stopped {
                return;
            }
        }
    }

    /// Brings the log up to what has ended by now, so that whoever reads it sees their own requests. A log that is far
    /// behind is brought nearer.
    ///
    /// # Errors
    /// The database is away.
    pub async fn catch_up(&self, recorder: &Recorder) -> Result<()> {
        recorder.flush().await;
        for _ in 0..CATCH_UP_BATCHES_MAX {
            if self.store.seal(&self.signer, ROWS_MAX).await? < ROWS_MAX as usize {
                break;
            }
        }
        Ok(())
    }
}
