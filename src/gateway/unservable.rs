//! What descriptors and rules say, and what no request could be served by: found before anything is opened.

use super::{announcement, route::request_plan};
use crate::{
    error::{Result, nearest},
    schema::{Binding, Catalog, Method, Problem},
    transcode::Transcoder,
    webhooks::event_type::EventType,
};

/// Finds all that keeps the methods of a catalog from being served, beside paths that are claimed twice.
pub fn unservable(catalog: &Catalog, transcoder: &Transcoder) -> Vec<Problem> {
    let mut problems = Vec::new();
    for method in &catalog.methods {
        let misfits = method.bindings.iter().filter_map(|binding| {
            let error = fits(transcoder, method, binding).err()?;
            Some(Problem::new(
                format!("upstreams.{}: {}", method.upstream, method.full_name),
                format!("{} {}: {}", binding.verb, binding.template, error.told()),
                format!("give it another by an http rule in {}", catalog.rules_of(&method.upstream)),
            ))
        });
        problems.extend(misfits);
        // A rule may be about many methods; it is wrong once.
        problems.extend(untold(method).filter(|problem| !problems.contains(problem)));
    }
    problems
}

/// Makes the plans of a binding, as its route does.
fn fits(transcoder: &Transcoder, method: &Method, binding: &Binding) -> Result<()> {
    request_plan(transcoder, method, binding)?;
    transcoder.response(method.output, binding.response_body.as_deref())?;
    Ok(())
}

/// Says that a rule names an event that no rule can.
fn untold(method: &Method) -> Option<Problem> {
    let tells = method.tells.as_ref().filter(|tells| announcement::find(tells).is_none())?;
    let names: Vec<&str> = EventType::of_rules().map(|known| known.name).collect();
    let meant =
        nearest(&tells.event, names.iter().copied()).map(|name| format!("did you mean {name}? Otherwise "));
    Some(Problem::new(
        &tells.place,
        format!("tells: {:?} is no type of event that a rule can tell", tells.event),
        format!("{}name one of {}, or leave it out", meant.unwrap_or_default(), names.join(", ")),
    ))
}
