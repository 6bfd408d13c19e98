//! An http rule, checked against the messages it speaks of.

use super::{
    descriptor::{Field, Kind, MessageId, Pool, Rpc},
    field_path::FieldPath,
    proto::HttpRule,
    template::Template,
};

/// Bindings of one method. More is a mistake in the rule.
const BINDINGS_MAX: usize = 64;

/// One verb and path of a method.
///
/// The routing header of a call made through it has one key per variable of the template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// HTTP verb: `GET`, … or a custom kind; `*` takes all.
    pub verb: String,
    /// Path.
    pub template: Template,
    /// What the HTTP body becomes.
    pub body: Body,
    /// The field of the response that is answered in its place.
    pub response_body: Option<String>,
}

/// What the HTTP body becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// The request message.
    All,
    /// This field of the request message.
    Field(String),
}

/// Reads a rule and its additional bindings, and says everything that is wrong with them.
pub(super) fn compile(pool: &Pool, rpc: &Rpc, rule: &HttpRule) -> Result<Vec<Binding>, Vec<String>> {
    let mut problems = Vec::new();
    let mut bindings = Vec::new();
    if rule.additional_bindings.len() >= BINDINGS_MAX {
        problems.push(format!("it has more than {BINDINGS_MAX} bindings"));
    }
    if rule.additional_bindings.iter().any(|more| !more.additional_bindings.is_empty()) {
        problems.push("an additional binding has additional bindings; put them side by side".to_owned());
    }
    for rule in std::iter::once(rule).chain(&rule.additional_bindings).take(BINDINGS_MAX) {
        match one(pool, rpc, rule) {
            Ok(binding) => bindings.push(binding),
            Err(why) => problems.push(why),
        }
    }
    if problems.is_empty() { Ok(bindings) } else { Err(problems) }
}

fn one(pool: &Pool, rpc: &Rpc, rule: &HttpRule) -> Result<Binding, String> {
    let (verb, path) = rule.pattern.as_ref().ok_or("a binding has no path")?.verb_and_path();
    let fail = |why: String| format!("{verb} {path}: {why}");
    if !is_verb(verb) {
        return Err(fail(format!("{verb:?} is no HTTP method")));
    }
    let template: Template = path.parse().map_err(|error| fail(format!("{error}")))?;
    for variable in template.variables() {
        check_variable(pool, rpc.input, variable).map_err(fail)?;
    }
    let body = match rule.body.as_str() {
        "" => Body::None,
        "*" => Body::All,
        name => Body::Field(top_field(pool, rpc.input, "body", name).map_err(fail)?.name.clone()),
    };
    let response_body = match rule.response_body.as_str() {
        "" => None,
        name => Some(top_field(pool, rpc.output, "response_body", name).map_err(fail)?.name.clone()),
    };
    Ok(Binding { verb: verb.to_owned(), template, body, response_body })
}

fn top_field<'p>(pool: &'p Pool, message: MessageId, key: &str, name: &str) -> Result<&'p Field, String> {
    let home = pool.message(message);
    home.field(name).ok_or_else(|| {
        let why = if name.contains('.') {
            "takes a field of the message itself, no path"
        } else {
            "does not exist"
        };
        format!("{key}: {name} {why} ({})", home.full_name)
    })
}

/// A variable stands for one text, so the field must be one value that has a text form in a path.
fn check_variable(pool: &Pool, message: MessageId, variable: &FieldPath) -> Result<(), String> {
    let field = variable.resolve(pool, message)?;
    if field.is_repeated() {
        return Err(format!("{variable}: a list or map cannot be in a path"));
    }
    match field.kind {
        Kind::Message(id) if !is_wrapper(&pool.message(id).full_name) => {
            Err(format!("{variable}: a message cannot be in a path"))
        }
        Kind::Group(_) => Err(format!("{variable}: a group cannot be in a path")),
        _ => Ok(()),
    }
}

/// Whether the type wraps one scalar, as those of `google/protobuf/wrappers.proto` do.
fn is_wrapper(full_name: &str) -> bool {
    const WRAPPED: &[&str] =
        &["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"];
    let wrapped = full_name.strip_prefix("google.protobuf.").and_then(|name| name.strip_suffix("Value"));
    wrapped.is_some_and(|name| WRAPPED.contains(&name))
}

/// Whether `text` is a token that can stand first in an HTTP request, or `*`.
fn is_verb(text: &str) -> bool {
    text == "*"
        || (!text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&b)))
}
