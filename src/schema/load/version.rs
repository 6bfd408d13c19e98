//! One symbol of two files that share a name: two versions of one file, as two teams compiled it at different times.
//!
//! What only one version has is added, so that each team is served what its own set says, and the order of the sets does
//! not matter. What both have must be the same in all that decides about bytes, JSON and paths. What only describes
//! (comments, resource types, types of results) is taken from the first that says it.

use super::{LoadError, Loader, MESSAGE_FIELDS_MAX, lower_camel, scope::Scope};
use crate::schema::{
    builtin::{EMBEDDED, MIXINS},
    descriptor::{
        Behavior, Cardinality, Enum, EnumId, Field, Kind, Message, MessageId, Pool, Rpc, Service, ServiceId,
        Value,
    },
    proto::{HttpRule, Pattern},
};

/// The compiler brings its own along, and versions of it did change names and numbers of features that no message of a
/// service has. The first is kept, with what others add.
const COMPILERS_OWN: &str = "google/protobuf/descriptor.proto";

/// The way out where two versions of a file contradict each other.
pub(super) const ONE_VERSION: &str =
    "make the sets from one version of the file, or from versions of which one only adds to the other";

/// The same where the gateway has the other version.
const OUR_VERSION: &str =
    "make the set from the version in the gateway's proto folder, or from one that only adds to that";

impl Loader {
    pub(super) fn settle_message(
        &mut self,
        scope: &Scope<'_>,
        id: MessageId,
        linked: Message,
    ) -> Result<(), LoadError> {
        if self.is_first(scope, &scope.name) {
            self.pool.messages[id.index()] = linked;
            return Ok(());
        }
        self.agree(scope, &scope.name, message_difference(&self.pool, self.pool.message(id), &linked))?;
        let home = &mut self.pool.messages[id.index()];
        join_message(home, linked);
        if home.fields.len() > MESSAGE_FIELDS_MAX {
            return Err(scope.error(&format!("more than {MESSAGE_FIELDS_MAX} fields")));
        }
        Ok(())
    }

    pub(super) fn settle_enum(
        &mut self,
        scope: &Scope<'_>,
        id: EnumId,
        linked: Enum,
    ) -> Result<(), LoadError> {
        if self.is_first(scope, &scope.name) {
            self.pool.enums[id.index()] = linked;
            return Ok(());
        }
        self.agree(scope, &scope.name, enum_difference(self.pool.enumeration(id), &linked))?;
        join_enum(&mut self.pool.enums[id.index()], linked);
        Ok(())
    }

    pub(super) fn settle_service(
        &mut self,
        scope: &Scope<'_>,
        id: ServiceId,
        linked: Service,
    ) -> Result<(), LoadError> {
        if self.is_first(scope, &scope.name) {
            self.pool.services[id.index()] = linked;
            return Ok(());
        }
        self.agree(scope, &scope.name, service_difference(&self.pool, self.pool.service(id), &linked))?;
        join_service(&mut self.pool.services[id.index()], linked);
        Ok(())
    }

    /// Adds an extension to the message that it extends.
    pub(super) fn settle_extension(
        &mut self,
        scope: &Scope<'_>,
        id: MessageId,
        field: Field,
    ) -> Result<(), LoadError> {
        self.is_first(scope, &field.name);
        let home = self.pool.message(id);
        let known = home.fields.iter().find(|known| known.name == field.name);
        if let Some(known) = known {
            let (before, here) = (describe(&self.pool, home, known), describe(&self.pool, home, &field));
            // Those of options decide about nothing: the gateway reads options by their numbers.
            let decides = before != here && !home.full_name.starts_with("google.protobuf.");
            return self.agree(scope, &field.name, decides.then_some((before, here)));
        }
        // Options of descriptor.proto are read by their numbers; as fields they would only be in the way.
        let free = home.fields.iter().all(|known| known.number != field.number);
        if home.fields.len() < MESSAGE_FIELDS_MAX && free {
            self.pool.messages[id.index()].fields.push(field);
        }
        Ok(())
    }

    /// Whether no other file has said what the symbol is; notes that this one has.
    fn is_first(&mut self, scope: &Scope<'_>, name: &str) -> bool {
        let sets = self.linked.entry(name.into()).or_default();
        sets.push(scope.file.set.clone());
        sets.len() == 1
    }

    /// Refuses a version that contradicts those before it. `difference` is what they say and what this one says.
    fn agree(
        &self,
        scope: &Scope<'_>,
        name: &str,
        difference: Option<(String, String)>,
    ) -> Result<(), LoadError> {
        let Some((before, here)) = difference.filter(|_| scope.file.file.name != COMPILERS_OWN) else {
            return Ok(());
        };
        let sets = self.linked.get(name).map_or(&[][..], Vec::as_slice);
        let others = sets.split_last().map(|(_, others)| others).unwrap_or_default();
        let way_out = if others.iter().any(|set| set == EMBEDDED.0) { OUR_VERSION } else { ONE_VERSION };
        let (set, file, others) = (&scope.file.set, &scope.file.file.name, others.join(" and "));
        Err(LoadError(format!(
            "{set} and {others} have versions of {file} that contradict each other: {name} has {here} in {set}, and \
             {before} in {others}; {way_out}"
        )))
    }
}

/// Returns the first thing that two versions of a message say differently: in the first, and in the other.
fn message_difference(pool: &Pool, one: &Message, other: &Message) -> Option<(String, String)> {
    if one.map_entry != other.map_entry {
        let say =
            |message: &Message| if message.map_entry { "the entries of a map" } else { "fields of its own" };
        return Some((say(one).to_owned(), say(other).to_owned()));
    }
    // What one demands and the other does not know is demanded of callers of both.
    let lone = |message: &Message, than: &Message| {
        let mut required = message.fields.iter().filter(|field| field.cardinality == Cardinality::Required);
        required.find(|field| rival(than, field).is_none()).map(|field| describe(pool, message, field))
    };
    if let Some(before) = lone(one, other) {
        return Some((before, "no such field".to_owned()));
    }
    if let Some(here) = lone(other, one) {
        return Some(("no such field".to_owned(), here));
    }
    let mut pairs = other.fields.iter().filter_map(|field| Some((rival(one, field)?, field)));
    pairs.find_map(|(known, field)| {
        let (before, here) = (describe(pool, one, known), describe(pool, other, field));
        (before != here).then_some((before, here))
    })
}

/// Finds the field that has the number or a name of another one.
fn rival<'m>(message: &'m Message, field: &Field) -> Option<&'m Field> {
    let shares_name = |known: &Field| {
        [&known.name, &known.json_name].iter().any(|name| [&field.name, &field.json_name].contains(name))
    };
    message.fields.iter().find(|known| known.number == field.number || shares_name(known))
}

/// Says all that decides about a field's bytes and JSON, as a `.proto` file would.
fn describe(pool: &Pool, home: &Message, field: &Field) -> String {
    let label = match field.cardinality {
        // A version that tells absence apart from zero says more about the same bytes.
        Cardinality::Implicit | Cardinality::Explicit => "",
        Cardinality::Required => "required ",
        Cardinality::Repeated | Cardinality::Map(_) => "repeated ",
    };
    let oneof = field.oneof.and_then(|at| home.oneofs.get(at as usize));
    let oneof = oneof.map(|name| format!(" of oneof {name}")).unwrap_or_default();
    let json_name = if field.json_name == lower_camel(&field.name) || field.name.starts_with('[') {
        String::new()
    } else {
        format!(" [json_name = {:?}]", field.json_name)
    };
    let default = field.default.as_ref().map(|value| format!(" [default = {value:?}]")).unwrap_or_default();
    let packed = if field.packed && field.is_repeated() { " [packed = true]" } else { "" };
    let kind = kind_name(pool, field.kind);
    format!("{label}{kind} {} = {}{oneof}{json_name}{default}{packed}", field.name, field.number)
}

fn kind_name(pool: &Pool, kind: Kind) -> String {
    match kind {
        Kind::Message(id) => pool.message(id).full_name.to_string(),
        Kind::Group(id) => format!("group {}", pool.message(id).full_name),
        Kind::Enum(id) => pool.enumeration(id).full_name.to_string(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

/// Returns the first thing that two versions of an enum say differently.
fn enum_difference(one: &Enum, other: &Enum) -> Option<(String, String)> {
    let closed = |home: &Enum| if home.closed { "closed values" } else { "open values" };
    if one.closed != other.closed {
        return Some((closed(one).to_owned(), closed(other).to_owned()));
    }
    let first = |home: &Enum| home.values.first().map(|value| value.number);
    if first(one) != first(other) {
        let say = |home: &Enum| format!("{} first", home.values.first().map_or("no value", |v| &v.name));
        return Some((say(one), say(other)));
    }
    let say = |value: &Value| format!("{} = {}", value.name, value.number);
    // Of several names for a number the first is printed.
    let printed = |home: &Enum, number| home.values.iter().position(|value| value.number == number);
    let reprinted = other.values.iter().find_map(|value| {
        let before = &one.values[printed(one, value.number)?];
        let here = &other.values[printed(other, value.number)?];
        (before.name != here.name).then(|| (say(before), say(here)))
    });
    if reprinted.is_some() {
        return reprinted;
    }
    other.values.iter().find_map(|value| {
        let known = one.values.iter().find(|known| known.name == value.name)?;
        (say(known) != say(value)).then(|| (say(known), say(value)))
    })
}

/// Returns the first thing that two versions of a service say differently.
fn service_difference(pool: &Pool, one: &Service, other: &Service) -> Option<(String, String)> {
    let say = |rpc: &Rpc| {
        let stream = |is: bool| if is { "stream " } else { "" };
        let name = |id: MessageId| &pool.message(id).full_name;
        format!(
            "rpc {}({}{}) returns ({}{})",
            rpc.name,
            stream(rpc.client_streaming),
            name(rpc.input),
            stream(rpc.server_streaming),
            name(rpc.output)
        )
    };
    let bound_by_annotations = !MIXINS.contains(&&*one.full_name);
    other.methods.iter().find_map(|rpc| {
        let known = one.methods.iter().find(|known| known.name == rpc.name)?;
        if say(known) != say(rpc) {
            return Some((say(known), say(rpc)));
        }
        let (Some(before), Some(here)) = (&known.http, &rpc.http) else { return None };
        (bound_by_annotations && !is_more(before, here) && !is_more(here, before)).then(|| {
            let rule = |rule: &HttpRule| format!("rpc {} at {}", rpc.name, describe_rule(rule));
            (rule(before), rule(here))
        })
    })
}

/// Whether a rule has all bindings of another one, and the same first one.
fn is_more(rule: &HttpRule, than: &HttpRule) -> bool {
    let first = |rule: &HttpRule| HttpRule { additional_bindings: Vec::new(), ..rule.clone() };
    let more = &rule.additional_bindings;
    first(rule) == first(than) && than.additional_bindings.iter().all(|binding| more.contains(binding))
}

/// Says all bindings of a rule: verb, path, and what becomes of the bodies.
fn describe_rule(rule: &HttpRule) -> String {
    let (verb, path) = rule.pattern.as_ref().map(Pattern::verb_and_path).unwrap_or_default();
    let part =
        |key: &str, value: &str| if value.is_empty() { String::new() } else { format!(" {key} {value:?}") };
    let one = [part("body", &rule.body), part("response_body", &rule.response_body)].concat();
    let more = rule.additional_bindings.iter().map(|rule| format!(", {}", describe_rule(rule)));
    format!("{verb} {path}{one}{}", more.collect::<String>())
}

fn join_message(home: &mut Message, later: Message) {
    for mut field in later.fields {
        if rival(home, &field).is_some() {
            let same = |known: &&mut Field| known.number == field.number && known.name == field.name;
            if let Some(known) = home.fields.iter_mut().find(same) {
                join_field(known, field);
            }
            continue;
        }
        let oneof = field.oneof.and_then(|at| later.oneofs.get(at as usize));
        field.oneof = oneof.and_then(|name| {
            let at = home.oneofs.iter().position(|known| known == name).unwrap_or(home.oneofs.len());
            if at == home.oneofs.len() {
                home.oneofs.push(name.clone());
            }
            u32::try_from(at).ok()
        });
        home.fields.push(field);
    }
    home.resource = home.resource.take().or(later.resource);
    home.comment = home.comment.take().or(later.comment);
}

fn join_field(known: &mut Field, later: Field) {
    // Both count: INPUT_ONLY keeps a field secret. But what one version can do without is not required.
    known.behavior.retain(|behavior| *behavior != Behavior::Required || later.is(Behavior::Required));
    let is_new = |behavior: &Behavior| *behavior != Behavior::Required && !known.behavior.contains(behavior);
    let added = later.behavior.into_iter().filter(is_new);
    known.behavior.extend(added.collect::<Vec<_>>());
    if known.cardinality == Cardinality::Implicit {
        known.cardinality = later.cardinality;
    }
    known.reference = known.reference.take().or(later.reference);
    known.deprecated |= later.deprecated;
    known.comment = known.comment.take().or(later.comment);
}

fn join_enum(home: &mut Enum, later: Enum) {
    for value in later.values {
        match home.values.iter_mut().find(|known| known.name == value.name) {
            Some(known) => {
                known.deprecated |= value.deprecated;
                known.comment = known.comment.take().or(value.comment);
            }
            None => home.values.push(value),
        }
    }
    home.comment = home.comment.take().or(later.comment);
}

fn join_service(home: &mut Service, later: Service) {
    for rpc in later.methods {
        match home.methods.iter_mut().find(|known| known.name == rpc.name) {
            Some(known) => {
                let more = known
                    .http
                    .as_ref()
                    .zip(rpc.http.as_ref())
                    .is_some_and(|(known, rule)| is_more(rule, known));
                known.http = if more { rpc.http } else { known.http.take().or(rpc.http) };
                known.operation_info = known.operation_info.take().or(rpc.operation_info);
                known.no_side_effects |= rpc.no_side_effects;
                known.deprecated |= rpc.deprecated;
                known.comment = known.comment.take().or(rpc.comment);
            }
            None => home.methods.push(rpc),
        }
    }
    if home.default_host.is_empty() {
        home.default_host = later.default_host;
    }
    for scope in later.oauth_scopes {
        if !home.oauth_scopes.contains(&scope) {
            home.oauth_scopes.push(scope);
        }
    }
    home.comment = home.comment.take().or(later.comment);
}

#[cfg(test)]
mod tests;
