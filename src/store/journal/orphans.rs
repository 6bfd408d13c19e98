//! What a gateway began that is no longer alive.

use std::{pin::Pin, sync::Arc};

use super::{
    Effects, IntentId, Settlement,
    batch::{Batch, ROWS_MAX, SettleRow},
    writer,
};
use crate::{
    error::Result,
    model::Entry,
    store::{Store, both, postgres::journal::Line},
};

/// An intent whose gateway is gone. Nobody knows whether what it says was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Id of the intent.
    pub id: IntentId,
    /// When it was opened, in microseconds since 1970.
    pub opened_at: i64,
    /// What was about to happen.
    pub entry: Entry,
}

/// Finds out what came of an orphan: what is to be written about it, if anything can be told.
///
/// An error means that nobody answered, and that asking again may help.
pub type Recover = Arc<
    dyn Fn(Orphan) -> Pin<Box<dyn Future<Output = Result<Option<(Settlement, Effects)>>> + Send>>
        + Send
        + Sync,
>;

/// The gateways that live, to be compared with those of another time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Living(Vec<Vec<u8>>);

impl Store {
    /// Finds the gateways whose intents are not orphans.
    ///
    /// # Errors
    /// The database is away.
    pub async fn living(&self) -> Result<Living> {
        both!(self, intents::living(self.abandoned_before())).map(Living)
    }

    /// Finds intents whose gateways are gone, oldest first. Looks through the whole journal, which after a burst is large:
    /// whoever asks often asks [`Self::living`] first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn orphans(&self, rows_max: u32) -> Result<Vec<Orphan>> {
        let before = self.abandoned_before();
        let rows: Vec<(Vec<u8>, i64, String)> = both!(self, intents::orphans(before, rows_max))?;
        let orphan = |(id, opened_at, entry): (Vec<u8>, i64, String)| {
            let entry = serde_json::from_str(&entry).unwrap_or_default();
            Some(Orphan { id: id.try_into().ok()?, opened_at, entry })
        };
        Ok(rows.into_iter().filter_map(orphan).collect())
    }

    /// Finds what gateways that live have begun and not ended, in no order; `None` if it is more than `rows_max`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn under_way(&self, rows_max: u32) -> Result<Option<Vec<Entry>>> {
        let now = self.now().as_microsecond();
        let rows = both!(self, intents::under_way(now, rows_max.saturating_add(1)))?;
        let all = rows.iter().map(|entry| serde_json::from_str(entry).unwrap_or_default()).collect();
        Ok(Some(all).filter(|all: &Vec<Entry>| all.len() <= rows_max as usize))
    }

    /// Closes orphans, each with what could be found out about it. One that another replica has closed stays as it is.
    ///
    /// # Errors
    /// The database is away.
    pub async fn close_orphans(&self, found: Vec<(IntentId, Settlement, Effects)>) -> Result<()> {
        let closed_at = self.now().as_microsecond();
        let settles = found
            .into_iter()
            .map(|(id, settlement, effects)| SettleRow {
                id,
                closed_at,
                outcome: serde_json::to_string(&settlement.outcome).expect("plain data prints as JSON"),
                key: None,
                effects,
            })
            .collect::<Vec<_>>();
        // Each stands alone, so what is written before the database goes away may stay.
        for some in settles.chunks(ROWS_MAX) {
            let batch = Batch { settles: some.to_vec(), ..Batch::default() };
            writer::flush(self, &mut Line::default(), &batch).await.map_err(writer::error_of)?;
        }
        Ok(())
    }
}
