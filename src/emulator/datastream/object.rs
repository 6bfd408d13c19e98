//! Stream objects: reading and finding them, and how a stream that starts comes by them.

use jiff::Timestamp;
use tonic::Status;

use super::{
    backfill::Run,
    catalogue,
    name::{check, last_segment},
    pace::wire,
    refusal::{invalid, not_found},
    resource::{Resource as _, cut, get},
    selection::Selection,
    source::Kind,
    world::{Object, World},
};
use crate::{
    emulator::paging::Ask,
    pb::google::cloud::datastream::v1::{
        BackfillJob, ListStreamObjectsRequest, ListStreamObjectsResponse, LookupStreamObjectRequest, Stream,
        StreamObject,
        backfill_job::{State, Trigger},
        source_object_identifier::SourceIdentifier,
        stream::BackfillStrategy,
    },
};

/// Collections of an object's name.
pub(super) const OBJECT: &[&str] = &["projects", "locations", "streams", "objects"];
/// Most objects of all streams together; a stream that starts gets no more than there is room for.
const OBJECTS_MAX: usize = 100_000;

impl Object {
    /// Renders the object with its backfill as it is now.
    pub(super) fn render(&self, now: Timestamp) -> StreamObject {
        let mut shown = self.fixed.clone();
        if let Some(run) = &self.run {
            shown.backfill_job = Some(run.job(now));
        }
        shown
    }
}

/// Gets an object.
pub(super) fn get_object(
    world: &World,
    field: &str,
    name: &str,
    now: Timestamp,
) -> Result<StreamObject, Status> {
    check(field, name, OBJECT)?;
    world.objects.get(name).map(|it| it.render(now)).ok_or_else(|| not_found("StreamObject", name))
}

/// Lists one page of a stream's objects.
pub(super) fn list(
    world: &World,
    request: &ListStreamObjectsRequest,
    now: Timestamp,
) -> Result<ListStreamObjectsResponse, Status> {
    get::<Stream>(world, "parent", &request.parent)?;
    let list = ["StreamObject", &request.parent].join("\n");
    let objects = of_stream(world, &request.parent).map(|it| (it.fixed.name.as_str(), it));
    let ask = Ask { size: request.page_size, token: &request.page_token, list: &list };
    let page = cut(world, &ask, objects)?;
    let stream_objects = page.items.into_iter().map(|it| it.render(now)).collect();
    Ok(ListStreamObjectsResponse { stream_objects, next_page_token: page.next })
}

/// Finds an object by what it is called in the source.
pub(super) fn lookup(
    world: &World,
    request: &LookupStreamObjectRequest,
    now: Timestamp,
) -> Result<StreamObject, Status> {
    let stream = get::<Stream>(world, "parent", &request.parent)?;
    let wanted = request.source_object_identifier.as_ref();
    let Some(identifier) = wanted.and_then(|wanted| wanted.source_identifier.as_ref()) else {
        return Err(invalid("source_object_identifier", "needs exactly one kind of identifier"));
    };
    let kind = super::stream::kind(&stream);
    if kind.is_some_and(|kind| kind != Kind::Catalog && kind != Kind::of_identifier(identifier)) {
        return Err(invalid(
            "source_object_identifier",
            "is not for the kind of source that the stream reads",
        ));
    }
    of_stream(world, &request.parent)
        .find(|it| it.fixed.source_object.as_ref() == wanted)
        .map(|it| it.render(now))
        .ok_or_else(|| not_found("StreamObject", &format!("{} of {}", describe(identifier), request.parent)))
}

/// Gives a stream the objects that its source and its settings call for; those it has are kept.
pub(super) fn discover(world: &mut World, stream: &Stream, now: Timestamp) {
    let (Some(kind), Some(config)) = (super::stream::kind(stream), super::stream::config(stream)) else {
        return;
    };
    let (include, exclude) = Selection::of_stream(config);
    let found = catalogue::tables(kind).into_iter().map(|it| (it.schema.to_owned(), it.name.to_owned()));
    let listed = include.tables().map(|(schema, table)| (schema.to_owned(), table.to_owned()));
    let mut wanted: Vec<(String, String)> = found.chain(listed).collect();
    wanted.retain(|(schema, table)| include.covers(schema, table) && !exclude.names(schema, table));
    wanted.sort();
    wanted.dedup();
    let room = OBJECTS_MAX.saturating_sub(world.objects.len());
    let automatic = Automatic::of(stream);
    for (schema, table) in wanted.into_iter().take(room) {
        let run = automatic
            .covers(&schema, &table)
            .then(|| Run::start(Trigger::Automatic, &display_name(&schema, &table), &world.pace, now));
        add(world, stream.name(), kind, (&schema, &table), run, now);
    }
}

/// Adds an object to a stream unless it is there, and returns its name.
pub(super) fn add(
    world: &mut World,
    stream: &str,
    kind: Kind,
    (schema, table): (&str, &str),
    run: Option<Run>,
    now: Timestamp,
) -> String {
    let display_name = display_name(schema, table);
    let id: String = display_name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let name = format!("{stream}/objects/{id}");
    let fixed = StreamObject {
        name: name.clone(),
        create_time: Some(wire(now)),
        update_time: Some(wire(now)),
        display_name,
        backfill_job: Some(BackfillJob { state: State::NotStarted.into(), ..Default::default() }),
        source_object: Some(kind.identifier(schema, table)),
        ..Default::default()
    };
    world.objects.entry(name.clone()).or_insert(Object { fixed, run });
    name
}

/// Returns the objects of a stream in the order of their names.
pub(super) fn of_stream<'a>(world: &'a World, stream: &str) -> impl Iterator<Item = &'a Object> {
    let prefix = format!("{stream}/objects/");
    world.objects.range(prefix.clone()..).map_while(move |(name, it)| name.starts_with(&prefix).then_some(it))
}

fn display_name(schema: &str, table: &str) -> String {
    if schema.is_empty() { table.to_owned() } else { format!("{schema}.{table}") }
}

/// Names what is looked for in the words of its source. What is empty is left out.
fn describe(identifier: &SourceIdentifier) -> String {
    let (outer, inner) = match identifier {
        SourceIdentifier::OracleIdentifier(it) => (("schema", &it.schema), ("table", &it.table)),
        SourceIdentifier::MysqlIdentifier(it) => (("database", &it.database), ("table", &it.table)),
        SourceIdentifier::PostgresqlIdentifier(it) => (("schema", &it.schema), ("table", &it.table)),
        SourceIdentifier::SqlServerIdentifier(it) => (("schema", &it.schema), ("table", &it.table)),
        SourceIdentifier::SalesforceIdentifier(it) => return format!("object {}", it.object_name),
        SourceIdentifier::MongodbIdentifier(it) => {
            (("database", &it.database), ("collection", &it.collection))
        }
        SourceIdentifier::SpannerIdentifier(it) => (("schema", &it.schema), ("table", &it.table)),
    };
    let named = [outer, inner].into_iter().filter(|(_, name)| !name.is_empty());
    named.map(|(word, name)| format!("{word} {name}")).collect::<Vec<_>>().join(", ")
}

/// Which objects a stream backfills without being asked.
enum Automatic {
    AllBut(Selection),
    None,
}

impl Automatic {
    fn of(stream: &Stream) -> Self {
        match &stream.backfill_strategy {
            Some(BackfillStrategy::BackfillAll(all)) => {
                Self::AllBut(all.excluded_objects.as_ref().map(Selection::from).unwrap_or_default())
            }
            _ => Self::None,
        }
    }

    fn covers(&self, schema: &str, table: &str) -> bool {
        matches!(self, Self::AllBut(excluded) if !excluded.names(schema, table))
    }
}

/// Returns the name of the stream that an object belongs to.
pub(super) fn stream_of(object: &str) -> &str {
    object.strip_suffix(last_segment(object)).and_then(|it| it.strip_suffix("/objects/")).unwrap_or_default()
}
