//! Who gets which path.
//!
//! Every binding is served under `/{upstream}/…`. Its bare path belongs to one upstream: to the only one that claims it,
//! else to the one that is `primary`. An upstream that is not configured gives way to those that are.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    binding::Binding,
    catalog::{Catalog, Owner, place},
    method::Method,
    problem::Problem,
    route::RouteTable,
    template::Template,
};

/// Paths shown of a conflict between two upstreams, which often share dozens.
const SHOWN_MAX: usize = 3;

/// Where a binding is found.
#[derive(Clone, Debug)]
pub struct Address<'c> {
    /// The method.
    pub method: &'c Method,
    /// One of its bindings.
    pub binding: &'c Binding,
    /// Whether it is the first of them.
    pub primary: bool,
    /// The binding's template, with the upstream's key in front if the bare path is not its own.
    pub template: Template,
}

/// A verb and the shape of a template: what only one method can have.
type Place = (String, String);

/// A binding that wants a place.
struct Claim<'c> {
    method: usize,
    binding: usize,
    owner: &'c Owner,
    template: Template,
    /// Under `/{upstream}/…`, where its bare twin has said all there is to say.
    prefixed: bool,
}

/// Why nobody gets a place.
enum Conflict<'c> {
    /// Several upstreams claim it, and not exactly one of them is primary.
    Upstreams(Vec<&'c str>),
    /// Two methods of one upstream claim it.
    Methods(usize, usize),
}

impl Catalog {
    /// Builds the route table; `make` turns a method's index and a binding's index into what is found there.
    ///
    /// # Errors
    /// Every path that is claimed twice, and the way out.
    pub fn routes<T>(&self, mut make: impl FnMut(usize, usize) -> T) -> Result<RouteTable<T>, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut table = RouteTable::new();
        let mut rivals: BTreeMap<Vec<&str>, Vec<&Place>> = BTreeMap::new();
        let claims = self.claims(&mut problems);
        for (at, claims) in &claims {
            match winner(claims) {
                Ok(claim) => {
                    let target = make(claim.method, claim.binding);
                    let free = table.insert(&at.0, &claim.template, target).is_ok();
                    debug_assert!(free, "places are told apart here as the table tells them apart");
                }
                Err(Conflict::Upstreams(keys)) => rivals.entry(keys).or_default().push(at),
                Err(Conflict::Methods(one, other)) => {
                    let (one, other) = (&self.methods[one], &self.methods[other]);
                    problems.push(Problem::new(
                        place(&one.upstream),
                        format!(
                            "{} and {} are both bound to {} {}",
                            one.full_name, other.full_name, at.0, at.1
                        ),
                        "give one of them another path by an http rule in service_config",
                    ));
                }
            }
        }
        problems.extend(rivals.into_iter().map(|(keys, places)| rivalry(&keys, &places)));
        if problems.is_empty() { Ok(table) } else { Err(problems) }
    }

    /// Finds the bindings that want a verb and a path of the gateway itself, as `own` tells them.
    pub fn trespasses<'t>(&self, own: impl IntoIterator<Item = (&'t str, Template)>) -> Vec<Problem> {
        let claims = self.claims(&mut Vec::new());
        let of = |verb: &str, template: &Template| claims.get(&(verb.to_owned(), template.shape()));
        let mut problems = Vec::new();
        for (verb, template) in own {
            // Whoever asks for a GET may ask for its HEAD.
            let head = (verb == "GET").then_some("HEAD");
            for verb in std::iter::once(verb).chain(head) {
                problems.extend(of(verb, &template).into_iter().flatten().map(|claim| {
                    let method = &self.methods[claim.method];
                    Problem::new(
                        format!("{}: {}", place(&method.upstream), method.full_name),
                        format!("{verb} {} is a path of the gateway itself", claim.template),
                        format!("give it another by an http rule in {}", self.rules_of(&method.upstream)),
                    )
                }));
            }
        }
        problems
    }

    /// Returns where each binding is found, in the order of methods and bindings: under its bare path, or under its
    /// upstream's key if another upstream has the bare one. Bindings that conflict are left out, and so are upstreams
    /// without a section in the configuration, unless there is no section at all.
    pub fn addresses(&self) -> Vec<Address<'_>> {
        let any_configured = self.owners.iter().any(|owner| owner.configured);
        let mut found: BTreeMap<(usize, usize), (bool, Template)> = BTreeMap::new();
        for claims in self.claims(&mut Vec::new()).values() {
            let Ok(claim) = winner(claims) else { continue };
            if any_configured && !claim.owner.configured {
                continue;
            }
            let known = found.get(&(claim.method, claim.binding));
            if known.is_none_or(|(prefixed, _)| *prefixed) {
                found.insert((claim.method, claim.binding), (claim.prefixed, claim.template.clone()));
            }
        }
        found
            .into_iter()
            .map(|((method, binding), (_, template))| Address {
                method: &self.methods[method],
                binding: &self.methods[method].bindings[binding],
                primary: binding == 0,
                template,
            })
            .collect()
    }

    fn claims(&self, problems: &mut Vec<Problem>) -> BTreeMap<Place, Vec<Claim<'_>>> {
        let mut claims: BTreeMap<Place, Vec<Claim<'_>>> = BTreeMap::new();
        for (method, facts) in self.methods.iter().enumerate() {
            let owner = self.owners.iter().find(|owner| owner.key == facts.upstream);
            let Some(owner) = owner else { continue };
            for (binding, rule) in facts.bindings.iter().enumerate() {
                let mut claim = |template: Template, prefixed: bool| {
                    let place = (rule.verb.clone(), template.shape());
                    claims.entry(place).or_default().push(Claim {
                        method,
                        binding,
                        owner,
                        template,
                        prefixed,
                    });
                };
                claim(rule.template.clone(), false);
                match rule.template.prefixed(&owner.key) {
                    Ok(template) => claim(template, true),
                    Err(error) => problems.push(Problem::new(
                        place(&owner.key),
                        format!("{} cannot be served under /{}: {}", rule.template, owner.key, error.why),
                        "use letters, digits, \"-\" and \"_\" in the key, and fewer segments in the path",
                    )),
                }
            }
        }
        claims
    }
}

/// Decides who gets a place. `claims` is not empty.
fn winner<'a, 'c>(claims: &'a [Claim<'c>]) -> Result<&'a Claim<'c>, Conflict<'c>> {
    let configured = claims.iter().any(|claim| claim.owner.configured);
    let serious: Vec<&Claim<'_>> =
        claims.iter().filter(|claim| claim.owner.configured == configured).collect();
    let mut keys: Vec<&str> = Vec::new();
    for (at, claim) in serious.iter().enumerate() {
        let same = serious[..at].iter().find(|other| other.owner.key == claim.owner.key);
        match same {
            Some(other) if !claim.prefixed => return Err(Conflict::Methods(other.method, claim.method)),
            Some(_) => {}
            None => keys.push(&claim.owner.key),
        }
    }
    if keys.len() == 1 || !configured {
        return Ok(serious[0]);
    }
    let mut primaries = serious.iter().filter(|claim| claim.owner.primary);
    match (primaries.next(), primaries.next()) {
        (Some(claim), None) => Ok(claim),
        _ => Err(Conflict::Upstreams(keys)),
    }
}

fn rivalry(keys: &[&str], places: &[&Place]) -> Problem {
    let names: Vec<String> = keys.iter().map(|key| place(key)).collect();
    let mut what = "claim the same paths: ".to_owned();
    for (at, (verb, shape)) in places.iter().take(SHOWN_MAX).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(what, "{comma}{verb} {shape}").expect("writing to a string does not fail");
    }
    if places.len() > SHOWN_MAX {
        write!(what, " and {} more", places.len() - SHOWN_MAX).expect("writing to a string does not fail");
    }
    Problem::new(
        names.join(" and "),
        what,
        format!(
            "set primary = true for exactly one of them; all are also served under their own prefix, such as /{}/…",
            keys[0]
        ),
    )
}
