//! Deliveries, row by row in one transaction of the one writer.

use std::collections::BTreeMap;

use sqlx::{Row as _, SqliteConnection};

use super::{Files, webhook_endpoints, webhook_events};
use crate::{
    model::DeliveryState,
    store::{
        deliveries::{EndpointHealth, Leased, NewDelivery, Pace, Settled, Verdict, Wanted},
        time_of,
        webhook_events::event_key,
    },
};

pub(in crate::store) async fn dispatch(
    files: &Files,
    events: &[String],
    deliveries: &[NewDelivery],
    now: i64,
    lease_until: i64,
) -> sqlx::Result<Vec<(String, String)>> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    let mut made = Vec::new();
    for event in events {
        let mine =
            sqlx::query("UPDATE events SET dispatched_at = $1 WHERE id = $2 AND dispatched_at IS NULL")
                .bind(now)
                .bind(event_key(event))
                .execute(&mut *transaction)
                .await?;
        if mine.rows_affected() == 0 {
            continue;
        }
        for new in deliveries.iter().filter(|new| new.event == *event) {
            let inserted = sqlx::query(
                "INSERT INTO webhook_deliveries
                 (endpoint_id, event_id, type, state, due_at, leased, fence, attempts, step, created_at)
                 VALUES ($1, $2, $3, 0, $4, $5, $6, 0, 0, $7) ON CONFLICT DO NOTHING",
            )
            .bind(&new.endpoint)
            .bind(event_key(&new.event))
            .bind(&new.kind)
            .bind(if new.leased { lease_until } else { now })
            .bind(new.leased)
            .bind(i64::from(new.leased))
            .bind(now)
            .execute(&mut *transaction)
            .await?;
            if inserted.rows_affected() == 1 {
                made.push((new.endpoint.clone(), new.event.clone()));
            }
        }
    }
    transaction.commit().await?;
    Ok(made)
}

pub(in crate::store) async fn claim(
    files: &Files,
    wanted: &[Wanted],
    now: i64,
    lease_until: i64,
) -> sqlx::Result<Vec<Leased>> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    let mut leased = Vec::new();
    for wanted in wanted {
        leased.extend(claim_of(&mut transaction, wanted, now, lease_until).await?);
    }
    transaction.commit().await?;
    Ok(leased)
}

async fn claim_of(
    connection: &mut SqliteConnection,
    wanted: &Wanted,
    now: i64,
    lease_until: i64,
) -> sqlx::Result<Vec<Leased>> {
    let endpoint: Option<(i64, i64)> = sqlx::query_as(
        "SELECT rate_due_at, (SELECT count(*) FROM webhook_deliveries
                              WHERE endpoint_id = $1 AND state = 0 AND leased AND due_at > $2)
         FROM webhook_endpoints WHERE id = $1 AND state = 0 AND paused_until <= $2",
    )
    .bind(&wanted.endpoint)
    .bind(now)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((rate_due_at, under_way)) = endpoint else { return Ok(Vec::new()) };
    let pace = wanted.rate.map(Pace::new);
    let mut slots = i64::from(wanted.slots);
    if let Some(concurrency) = wanted.concurrency {
        slots = slots.min(i64::from(concurrency) - under_way);
    }
    if let Some(pace) = pace {
        slots = slots.min(pace.allowed(rate_due_at, now));
    }
    let rows = sqlx::query(
        "SELECT event.id, event.project, event.kind, event.occurred_at, event.payload, event.upstream, event.source,
                delivery.fence + 1, delivery.step
         FROM webhook_deliveries delivery JOIN events event ON event.id = delivery.event_id
         WHERE delivery.endpoint_id = $1 AND delivery.state = 0 AND delivery.due_at <= $2
         ORDER BY delivery.due_at LIMIT $3",
    )
    .bind(&wanted.endpoint)
    .bind(now)
    .bind(slots.max(0))
    .fetch_all(&mut *connection)
    .await?;
    let mut leased = Vec::new();
    for row in &rows {
        let step: i32 = row.try_get(8)?;
        let one = Leased {
            event: webhook_events::event(row, 0)?,
            endpoint: wanted.endpoint.clone(),
            fence: row.try_get(7)?,
            step: step.try_into().unwrap_or_default(),
        };
        sqlx::query(
            "UPDATE webhook_deliveries SET due_at = $3, leased = TRUE, fence = $4 WHERE endpoint_id = $1 AND event_id = $2",
        )
        .bind(&one.endpoint)
        .bind(event_key(&one.event.id))
        .bind(lease_until)
        .bind(one.fence)
        .execute(&mut *connection)
        .await?;
        leased.push(one);
    }
    if let (Some(pace), false) = (pace, leased.is_empty()) {
        sqlx::query("UPDATE webhook_endpoints SET rate_due_at = $2 WHERE id = $1")
            .bind(&wanted.endpoint)
            .bind(pace.after(rate_due_at, now, i64::try_from(leased.len()).unwrap_or(i64::MAX)))
            .execute(&mut *connection)
            .await?;
    }
    Ok(leased)
}

pub(in crate::store) async fn settle(
    files: &Files,
    verdicts: &[Verdict],
    now: i64,
    forgotten: i64,
) -> sqlx::Result<Settled> {
    let mut writer = files.writer().await?;
    let mut transaction = writer.begin().await?;
    let mut settled = Settled::default();
    let mut endpoints: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for verdict in verdicts {
        if write(&mut transaction, verdict, now).await? {
            settled.written += 1;
            let (succeeded, failed) = endpoints.entry(&verdict.endpoint).or_default();
            let success = verdict.state == DeliveryState::Succeeded;
            *succeeded |= success;
            *failed |= !success;
        }
    }
    for (endpoint, (succeeded, _)) in endpoints {
        let (failing_since, down_since) = if succeeded {
            outage(&mut transaction, endpoint).await?
        } else {
            (webhook_endpoints::note_failure(&mut transaction, endpoint, now, forgotten).await?, None)
        };
        if failing_since.is_some() || down_since.is_some() {
            settled.health.push(EndpointHealth {
                endpoint: endpoint.to_owned(),
                failing_since: failing_since.map(time_of),
                down_since: down_since.map(time_of),
                succeeded,
            });
        }
    }
    transaction.commit().await?;
    Ok(settled)
}

/// Writes a verdict and its attempt, if the lease still holds.
async fn write(connection: &mut SqliteConnection, verdict: &Verdict, now: i64) -> sqlx::Result<bool> {
    let attempt = &verdict.attempt;
    let number: Option<i32> = sqlx::query_scalar(
        "UPDATE webhook_deliveries
         SET state = $4, due_at = $5, leased = FALSE, step = $6, attempts = attempts + 1, ended_at = $7,
             last_status = $8, last_error = $9
         WHERE endpoint_id = $1 AND event_id = $2 AND fence = $3 AND state = 0 AND leased RETURNING attempts",
    )
    .bind(&verdict.endpoint)
    .bind(event_key(&verdict.event))
    .bind(verdict.fence)
    .bind(verdict.state.number())
    .bind(verdict.due_at.as_microsecond())
    .bind(verdict.step)
    .bind((verdict.state != DeliveryState::Pending).then_some(now))
    .bind(attempt.status.map(i32::from))
    .bind(&attempt.error)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(number) = number else { return Ok(false) };
    sqlx::query(
        "INSERT INTO webhook_attempts (endpoint_id, event_id, number, started_at, took_us, status, error, detail, answer)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(&verdict.endpoint)
    .bind(event_key(&verdict.event))
    .bind(number)
    .bind(attempt.started_at.as_microsecond())
    .bind(i64::try_from(attempt.took.as_micros()).unwrap_or(i64::MAX))
    .bind(attempt.status.map(i32::from))
    .bind(&attempt.error)
    .bind(&attempt.detail)
    .bind(&attempt.answer)
    .execute(connection)
    .await?;
    Ok(true)
}

/// Returns since when an endpoint has been failing, and since when it had been when it was disabled.
async fn outage(connection: &mut SqliteConnection, id: &str) -> sqlx::Result<(Option<i64>, Option<i64>)> {
    let since = sqlx::query_as("SELECT failing_since, down_since FROM webhook_endpoints WHERE id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(since.unwrap_or_default())
}
