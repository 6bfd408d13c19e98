//! Changing a schema: one operation for some statements, which wait for those that were sent before.

use jiff::Timestamp;
use tonic::Status;

use super::{
    database::{check_limits, serving},
    ddl::Statement,
    id,
    metadata::{Kind, SchemaChange},
    operation::{Operation, Work, nothing},
    refusal::{gone, invalid},
    schema::{self, Statements},
    shapes::Described as _,
    time::after,
    world::World,
};
use crate::pb::google::{
    longrunning, rpc,
    spanner::admin::database::v1::{Database, UpdateDatabaseDdlRequest},
};

/// Begins to carry out statements.
pub(super) fn begin(
    world: &mut World,
    request: UpdateDatabaseDdlRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let target = request.database;
    serving(world, "database", &target)?;
    if request.statements.is_empty() {
        return Err(invalid("statements", "is required"));
    }
    check_limits(&request.statements, &request.proto_descriptors)?;
    let operation_id = Some(request.operation_id.as_str()).filter(|id| !id.is_empty());
    if let Some(id) = operation_id {
        id::check("operation_id", id, id::OPERATION)?;
    }
    let statements: Vec<Statement> =
        request.statements.iter().map(|text| Statement::parse(text)).collect::<Result<_, _>>()?;
    let mut planned = world.schemas.entry(target.clone()).or_default().planned.clone();
    let (fails_at, refusal) = rehearse(&mut planned, &statements, world.fate(&target));

    let (begins, each) = (queue_end(world, &target).max(now), world.pace.statement);
    let last = u32::try_from(fails_at.map_or(statements.len(), |place| place + 1)).unwrap_or(u32::MAX);
    let due = after(begins, each.saturating_mul(last));
    let change = SchemaChange {
        database: target.clone(),
        statements: statements.iter().map(|it| it.text.clone()).collect(),
        actions: statements.iter().map(Statement::info).collect(),
        each,
        fails_at,
    };
    let timing = change.timing();
    let (name, undone, to_the_end) = (target.clone(), target.clone(), statements.clone());
    let descriptors = request.proto_descriptors;
    let work = Work::at_the_end(move |world, _| {
        if !world.databases.contains_key(&name) {
            return Err(gone(Database::KIND, &name));
        }
        carry_out(world, &name, &to_the_end);
        if !descriptors.is_empty()
            && let Some(schema) = world.schemas.get_mut(&name)
        {
            schema.proto_descriptors = descriptors.into();
        }
        Ok(nothing())
    });
    // What took effect before a failure or a cancellation stays.
    let work = work
        .or_else(move |world, at| {
            carry_out(world, &undone, &statements[..timing.committed(begins, at)]);
            replan(world, &undone);
        })
        .refused(refusal);
    let operation = Operation::new(&target, Kind::UpdateSchema(change), (begins, due), work);
    let shown = world.begin(operation, operation_id, now)?;
    if let Some(schema) = world.schemas.get_mut(&target) {
        schema.planned = planned;
    }
    Ok(shown)
}

/// Carries statements out on a plan; returns which one fails, and why.
fn rehearse(
    plan: &mut Statements,
    statements: &[Statement],
    fate: Option<rpc::Status>,
) -> (Option<usize>, Option<rpc::Status>) {
    if fate.is_some() {
        return (Some(0), fate);
    }
    for (place, statement) in statements.iter().enumerate() {
        if let Err(why) = plan.apply(statement) {
            return (Some(place), Some(why));
        }
    }
    (None, None)
}

fn carry_out(world: &mut World, database: &str, statements: &[Statement]) {
    let Some(schema) = world.schemas.get_mut(database) else { return };
    for statement in statements {
        // What was rehearsed fails only when an earlier change was cancelled meanwhile; then it has no effect.
        if schema.now.apply(statement).is_ok()
            && let Some(database) = world.databases.get_mut(database)
        {
            schema::configure(database, statement);
        }
    }
}

/// Forgets what a change that ended early would have added to the plan, unless others build on it.
fn replan(world: &mut World, database: &str) {
    let waiting = world.running(database).any(|op| matches!(op.kind, Kind::UpdateSchema(_)));
    if !waiting && let Some(schema) = world.schemas.get_mut(database) {
        schema.planned = schema.now.clone();
    }
}

/// Returns when the last change that was sent before will have ended.
fn queue_end(world: &World, database: &str) -> Timestamp {
    let changes = world.running(database).filter(|op| matches!(op.kind, Kind::UpdateSchema(_)));
    changes.filter_map(Operation::ends).max().unwrap_or(Timestamp::MIN)
}
