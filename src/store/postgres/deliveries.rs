//! Deliveries: each step for many of them in one statement.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};

use super::{webhook_endpoints, webhook_events};
use crate::{
    model::DeliveryState,
    store::{
        deliveries::{EndpointHealth, Leased, NewDelivery, Pace, Settled, Verdict, Wanted},
        time_of,
        webhook_events::{event_id, event_key},
    },
};

/// Makes deliveries of events. One that another replica took in the meantime is no longer undispatched when its row is
/// ours to look at. IS TRUE keeps "is it one of mine" a look into a hash; without it, it is a join, and a loop over both.
pub(super) const DISPATCH: &str =
    "-- deliveries.dispatch
     WITH mine AS (
         UPDATE events SET dispatched_at = $1 WHERE id = ANY($2) AND dispatched_at IS NULL RETURNING id
     )
     INSERT INTO webhook_deliveries
     (endpoint_id, event_id, type, state, due_at, leased, fence, attempts, step, created_at)
     SELECT new.endpoint_id, new.event_id, new.type, 0, CASE WHEN new.leased THEN $3 ELSE $1 END, new.leased,
            CASE WHEN new.leased THEN 1 ELSE 0 END, 0, 0, $1
     FROM UNNEST($4::text[], $5::bytea[], $6::text[], $7::boolean[]) AS new (endpoint_id, event_id, type, leased)
     WHERE (new.event_id IN (SELECT id FROM mine)) IS TRUE
     ON CONFLICT DO NOTHING
     RETURNING endpoint_id, event_id";

pub(in crate::store) async fn dispatch(
    pool: &PgPool,
    events: &[String],
    deliveries: &[NewDelivery],
    now: i64,
    lease_until: i64,
) -> sqlx::Result<Vec<(String, String)>> {
    let column = |of: fn(&NewDelivery) -> &str| deliveries.iter().map(of).collect::<Vec<_>>();
    // Answered with what was made: an event may have been taken by another replica.
    let made: Vec<(String, Vec<u8>)> = sqlx::query_as(DISPATCH)
        .bind(now)
        .bind(events.iter().map(|id| event_key(id)).collect::<Vec<_>>())
        .bind(lease_until)
        .bind(column(|new| &new.endpoint))
        .bind(deliveries.iter().map(|new| event_key(&new.event)).collect::<Vec<_>>())
        .bind(column(|new| &new.kind))
        .bind(deliveries.iter().map(|new| new.leased).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    Ok(made.into_iter().map(|(endpoint, event)| (endpoint, event_id(&event))).collect())
}

pub(in crate::store) async fn claim(
    pool: &PgPool,
    wanted: &[Wanted],
    now: i64,
    lease_until: i64,
) -> sqlx::Result<Vec<Leased>> {
    let mut transaction = pool.begin().await?;
    let (mut slots, paces) = allowances(&mut transaction, wanted, now).await?;
    slots.retain(|_, slots| *slots > 0);
    let rows = sqlx::query(
        "-- deliveries.claim
         WITH due AS (
             SELECT next.endpoint_id, next.event_id
             FROM UNNEST($1::text[], $2::bigint[]) AS wanted (endpoint_id, slots)
             JOIN webhook_endpoints endpoint
               ON endpoint.id = ANY (ARRAY[wanted.endpoint_id]) AND endpoint.state = 0 AND endpoint.paused_until <= $3
             CROSS JOIN LATERAL (
                 SELECT endpoint_id, event_id FROM webhook_deliveries
                 WHERE endpoint_id = wanted.endpoint_id AND state = 0 AND due_at <= $3
                 ORDER BY due_at LIMIT wanted.slots FOR UPDATE SKIP LOCKED
             ) AS next
         )
         UPDATE webhook_deliveries delivery SET due_at = $4, leased = TRUE, fence = delivery.fence + 1
         FROM due JOIN events event ON event.id = ANY (ARRAY[due.event_id])
         WHERE delivery.endpoint_id = ANY (ARRAY[due.endpoint_id]) AND delivery.event_id = due.event_id
         RETURNING event.id, event.project, event.kind, event.occurred_at, event.payload, event.upstream, event.source,
                   delivery.endpoint_id, delivery.fence, delivery.step",
    )
    .bind(slots.keys().copied().collect::<Vec<_>>())
    .bind(slots.values().copied().collect::<Vec<_>>())
    .bind(now)
    .bind(lease_until)
    .fetch_all(&mut *transaction)
    .await?;
    let leased = rows.iter().map(leased).collect::<sqlx::Result<Vec<_>>>()?;
    for (endpoint, (pace, due_at)) in paces {
        let begun = leased.iter().filter(|leased| leased.endpoint == endpoint).count();
        if begun > 0 {
            sqlx::query("UPDATE webhook_endpoints SET rate_due_at = $2 WHERE id = $1")
                .bind(endpoint)
                .bind(pace.after(due_at, now, i64::try_from(begun).unwrap_or(i64::MAX)))
                .execute(&mut *transaction)
                .await?;
        }
    }
    transaction.commit().await?;
    Ok(leased)
}

fn leased(row: &PgRow) -> sqlx::Result<Leased> {
    let step: i32 = row.try_get(9)?;
    Ok(Leased {
        event: webhook_events::event(row, 0)?,
        endpoint: row.try_get(7)?,
        fence: row.try_get(8)?,
        step: step.try_into().unwrap_or_default(),
    })
}

type Allowances<'a> = (BTreeMap<&'a str, i64>, Vec<(&'a str, (Pace, i64))>);

/// Works out how many deliveries of each endpoint may begin. An endpoint with a limit is locked until the claim is done,
/// so that all replicas together keep it; who comes second passes it by.
async fn allowances<'a>(
    connection: &mut PgConnection,
    wanted: &'a [Wanted],
    now: i64,
) -> sqlx::Result<Allowances<'a>> {
    let is_limited = |wanted: &&Wanted| wanted.rate.is_some() || wanted.concurrency.is_some();
    let mut slots: BTreeMap<&str, i64> = wanted
        .iter()
        .filter(|wanted| !is_limited(wanted))
        .map(|wanted| (wanted.endpoint.as_str(), i64::from(wanted.slots)))
        .collect();
    let limited: HashMap<&str, &Wanted> =
        wanted.iter().filter(is_limited).map(|wanted| (wanted.endpoint.as_str(), wanted)).collect();
    let mut paces = Vec::new();
    if limited.is_empty() {
        return Ok((slots, paces));
    }
    let locked: Vec<(String, i64)> = sqlx::query_as(
        "SELECT id, rate_due_at FROM webhook_endpoints WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
    )
    .bind(limited.keys().copied().collect::<Vec<_>>())
    .fetch_all(&mut *connection)
    .await?;
    // In a statement of its own: it must see what was committed before the locks were ours.
    let under_way: Vec<(String, i64)> = sqlx::query_as(
        "SELECT endpoint_id, count(*) FROM webhook_deliveries
         WHERE endpoint_id = ANY($1) AND state = 0 AND leased AND due_at > $2 GROUP BY endpoint_id",
    )
    .bind(locked.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
    .bind(now)
    .fetch_all(&mut *connection)
    .await?;
    let under_way: HashMap<String, i64> = under_way.into_iter().collect();
    for (id, rate_due_at) in locked {
        let Some((endpoint, wanted)) = limited.get_key_value(id.as_str()) else { continue };
        let mut allowed = i64::from(wanted.slots);
        if let Some(concurrency) = wanted.concurrency {
            allowed = allowed.min(i64::from(concurrency) - under_way.get(&id).copied().unwrap_or_default());
        }
        if let Some(pace) = wanted.rate.map(Pace::new) {
            allowed = allowed.min(pace.allowed(rate_due_at, now));
            paces.push((*endpoint, (pace, rate_due_at)));
        }
        slots.insert(endpoint, allowed.max(0));
    }
    Ok((slots, paces))
}

pub(in crate::store) async fn settle(
    pool: &PgPool,
    verdicts: &[Verdict],
    now: i64,
    forgotten: i64,
) -> sqlx::Result<Settled> {
    let mut transaction = pool.begin().await?;
    // Endpoints before deliveries, and these in the order of their ids, as everybody takes them: whoever disables an endpoint
    // has it and wants its deliveries, and would wait for us while we wait for it.
    sqlx::query("SELECT 1 FROM webhook_endpoints WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE")
        .bind(
            verdicts
                .iter()
                .map(|verdict| verdict.endpoint.as_str())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>(),
        )
        .execute(&mut *transaction)
        .await?;
    let written = write(&mut transaction, verdicts, now).await?;
    let written: BTreeSet<(String, String)> = written.into_iter().collect();
    let mut endpoints: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
    for verdict in verdicts {
        if written.contains(&(verdict.endpoint.clone(), verdict.event.clone())) {
            let (succeeded, failed) = endpoints.entry(&verdict.endpoint).or_default();
            let success = verdict.state == DeliveryState::Succeeded;
            *succeeded |= success;
            *failed |= !success;
        }
    }
    let healthy: Vec<&str> = endpoints.iter().filter(|(_, how)| how.0).map(|(id, _)| *id).collect();
    let were_failing: Vec<(String, Option<i64>, Option<i64>)> = sqlx::query_as(
        "SELECT id, failing_since, down_since FROM webhook_endpoints
         WHERE id = ANY($1) AND (failing_since IS NOT NULL OR down_since IS NOT NULL)",
    )
    .bind(healthy)
    .fetch_all(&mut *transaction)
    .await?;
    let mut settled = Settled { written: written.len(), health: Vec::new() };
    settled.health.extend(were_failing.into_iter().map(|(endpoint, failing, down)| EndpointHealth {
        endpoint,
        failing_since: failing.map(time_of),
        down_since: down.map(time_of),
        succeeded: true,
    }));
    for (endpoint, _) in endpoints.iter().filter(|(_, (succeeded, failed))| *failed && !succeeded) {
        let since = webhook_endpoints::note_failure(&mut transaction, endpoint, now, forgotten).await?;
        settled.health.extend(since.map(|since| EndpointHealth {
            endpoint: (*endpoint).to_owned(),
            failing_since: Some(time_of(since)),
            down_since: None,
            succeeded: false,
        }));
    }
    transaction.commit().await?;
    Ok(settled)
}

/// Writes verdicts whose lease still holds, and their attempts. Each delivery is found by its key: `state + 0` keeps the index
/// of what is pending out of it, which the server took for the smaller one at times. It is not; until it is vacuumed it has
/// all that an endpoint was ever sent.
pub(super) const SETTLE: &str =
    "-- deliveries.settle
     WITH new AS (
         SELECT * FROM UNNEST($1::text[], $2::bytea[], $3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::integer[], $10::text[], $11::text[], $12::bytea[])
         AS new (endpoint_id, event_id, fence, state, due_at, step, started_at, took_us, status, error, detail, answer)
     ), written AS (
         UPDATE webhook_deliveries delivery
         SET state = new.state, due_at = new.due_at, leased = FALSE, step = new.step,
             attempts = delivery.attempts + 1, ended_at = CASE WHEN new.state = 0 THEN NULL ELSE $13::bigint END,
             last_status = new.status, last_error = new.error
         FROM new
         WHERE delivery.endpoint_id = ANY (ARRAY[new.endpoint_id]) AND delivery.event_id = new.event_id
           AND delivery.fence = new.fence AND delivery.state + 0 = 0 AND delivery.leased
         RETURNING delivery.endpoint_id, delivery.event_id, delivery.attempts AS number, new.started_at, new.took_us,
                   new.status, new.error, new.detail, new.answer
     ), attempts AS (
         INSERT INTO webhook_attempts (endpoint_id, event_id, number, started_at, took_us, status, error, detail, answer)
         SELECT * FROM written
         ON CONFLICT DO NOTHING
     )
     SELECT endpoint_id, event_id FROM written";

/// Writes verdicts, as [`SETTLE`] says; returns those that were in time.
async fn write(
    connection: &mut PgConnection,
    verdicts: &[Verdict],
    now: i64,
) -> sqlx::Result<Vec<(String, String)>> {
    let text = |of: fn(&Verdict) -> &str| verdicts.iter().map(of).collect::<Vec<_>>();
    let number = |of: fn(&Verdict) -> i64| verdicts.iter().map(of).collect::<Vec<_>>();
    let written: Vec<(String, Vec<u8>)> = sqlx::query_as(SETTLE)
        .bind(text(|verdict| &verdict.endpoint))
        .bind(verdicts.iter().map(|verdict| event_key(&verdict.event)).collect::<Vec<_>>())
        .bind(number(|verdict| verdict.fence))
        .bind(verdicts.iter().map(|verdict| verdict.state.number()).collect::<Vec<_>>())
        .bind(number(|verdict| verdict.due_at.as_microsecond()))
        .bind(number(|verdict| i64::from(verdict.step)))
        .bind(number(|verdict| verdict.attempt.started_at.as_microsecond()))
        .bind(number(|verdict| i64::try_from(verdict.attempt.took.as_micros()).unwrap_or(i64::MAX)))
        .bind(verdicts.iter().map(|verdict| verdict.attempt.status.map(i32::from)).collect::<Vec<_>>())
        .bind(text(|verdict| &verdict.attempt.error))
        .bind(text(|verdict| &verdict.attempt.detail))
        .bind(verdicts.iter().map(|verdict| verdict.attempt.answer.as_slice()).collect::<Vec<_>>())
        .bind(now)
        .fetch_all(connection)
        .await?;
    Ok(written.into_iter().map(|(endpoint, event)| (endpoint, event_id(&event))).collect())
}
