//! Sections that count what we have on record.

use super::{Counts, Look};
use crate::{
    error::Result,
    identity::access,
    model::{Kind, Role},
    store::{
        Projects,
        operations::{Condition, Page, TextColumn},
    },
};

/// The newest operations that are counted.
const OPERATIONS_MAX: u32 = 20_000;
/// The newest tasks that are counted: each is looked into.
const TASKS_MAX: u32 = 500;

/// Operations, by state.
pub(super) async fn operations(look: &Look<'_>) -> Result<Counts> {
    may_list(look, "causeway.operations.list")?;
    let store = look.gateway.ledger.tracker.store();
    let mut counts = Counts::default();
    for (state, count) in store.operation_counts(look.project, OPERATIONS_MAX).await? {
        let count = u64::try_from(count).unwrap_or_default();
        counts.total += count;
        counts.each.insert(state, count);
    }
    counts.truncated = counts.total >= u64::from(OPERATIONS_MAX);
    Ok(counts)
}

/// Tasks, by the phase that their connector told last; by state where it told none.
pub(super) async fn tasks(look: &Look<'_>) -> Result<Counts> {
    may_list(look, "flyte.tasks.list")?;
    let tracker = &look.gateway.ledger.tracker;
    let kind =
        Condition::Text { column: TextColumn::Kind, value: Kind::FlyteTask.name().to_owned(), not: false };
    let page = Page {
        projects: Projects::One(look.project.to_owned()),
        conditions: vec![kind],
        rows_max: TASKS_MAX,
        ..Page::default()
    };
    let found = tracker.store().operations_page(&page).await?;
    let mut counts = Counts { truncated: found.len() >= TASKS_MAX as usize, ..Counts::default() };
    for it in &found {
        let shown = tracker.task_json(&look.gateway.transcoder, it);
        let phase = shown["phase"].as_str().unwrap_or(it.state.name());
        *counts.each.entry(phase.to_owned()).or_default() += 1;
        counts.total += 1;
    }
    Ok(counts)
}

/// Records are of the project as a whole.
fn may_list(look: &Look<'_>, permission: &str) -> Result<()> {
    let name = format!("projects/{}", look.project);
    access::require(look.caller.principal, permission, Role::Viewer, &name)
}
