//! Which resources a pattern means.

use crate::model::Pattern;

/// The name by which callers ask for all members of a collection at once.
const ALL_OF_THEM: &str = "-";

/// Whether `pattern` means all of what `name` names: a resource, everything read through a `-`, or, where `name` is a
/// pattern itself, everything that one means.
///
/// A `*` in `name` can only be met by a `*` of the pattern, which would meet any other text in its place too; that is why
/// one comparison serves for all three.
pub(super) fn covers(pattern: &Pattern, name: &str) -> bool {
    if pattern.is_everything() {
        return true;
    }
    let mut names = name.split('/');
    pattern.as_str().split('/').all(|wanted| match names.next() {
        Some(ALL_OF_THEM) => wanted == "*",
        Some(segment) => matches(wanted.as_bytes(), segment.as_bytes()),
        None => false,
    })
}

/// Whether `pattern` means something that `name` may name, where a `-` names any. What is below either counts: a longer
/// pattern means a part of what the name stands for.
pub(super) fn meets(pattern: &Pattern, name: &str) -> bool {
    pattern.is_everything()
        || pattern
            .as_str()
            .split('/')
            .zip(name.split('/'))
            .all(|(wanted, segment)| segment == ALL_OF_THEM || matches(wanted.as_bytes(), segment.as_bytes()))
}

/// Returns the glob over ids of projects in which all of a collection is meant, such as `acme-*` by `projects/acme-*`.
/// `None` where the pattern means nothing of it, or only some.
pub(super) fn projects<'p>(pattern: &'p Pattern, collection: &str) -> Option<&'p str> {
    if pattern.is_everything() {
        return Some("*");
    }
    let is = |wanted: &str, literal: &str| matches(wanted.as_bytes(), literal.as_bytes());
    let mut parts = pattern.as_str().split('/');
    parts.next().filter(|first| is(first, "projects"))?;
    let ids = parts.next().unwrap_or("*");
    let below = parts.next().is_none_or(|part| is(part, collection)) && parts.all(|part| part == "*");
    below.then_some(ids)
}

/// Whether one segment matches. Every `*` takes as little as it can and is given more only while the last of them still
/// has some, so the work is at most the product of both lengths.
fn matches(mut wanted: &[u8], mut segment: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (wanted.split_first(), segment.split_first()) {
            (Some((b'*', rest)), _) => {
                retry = Some((rest, segment));
                wanted = rest;
            }
            (Some((a, wanted_rest)), Some((b, segment_rest))) if a == b => {
                (wanted, segment) = (wanted_rest, segment_rest);
            }
            (None, None) => return true,
            _ => match retry {
                Some((after, [_, more @ ..])) => {
                    retry = Some((after, more));
                    (wanted, segment) = (after, more);
                }
                _ => return false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_matches_and_what_is_below() {
        for (pattern, name, expected) in [
            ("*", "anything/at/all", true),
            ("*", "", true),
            ("projects/acme-*", "projects/acme-1", true),
            ("projects/acme-*", "projects/acme-1/locations/us/streams/s", true),
            ("projects/acme-*", "projects/acme", false),
            ("projects/acme-*", "projects/acme-", true),
            ("projects/acme-*", "projects/other", false),
            ("projects/acme-*", "projects/other/locations/acme-1", false),
            ("projects/acme-*", "projects", false),
            ("projects/acme", "projects/acme-1", false),
            ("projects/acme", "Projects/acme", false),
            ("projects/acme", "projects/ACME", false),
            ("projects/acme", "projects/acme%2Fx", false),
            ("projects/*", "projects/a%2Fb", true),
            ("projects/*/locations/eu-*", "projects/p/locations/eu-1/streams/s", true),
            ("projects/*/locations/eu-*", "projects/p/locations/us-1", false),
            ("projects/*/locations/eu-*", "projects/p", false),
            ("projects/a*b*c", "projects/axxbyybzc", true),
            ("projects/a*b*c", "projects/axxbyybz", false),
            ("projects/*a", "projects/aaab", false),
            ("projects/*a", "projects/aaaba", true),
        ] {
            assert_eq!(covers(&pattern.parse().unwrap(), name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_dash_asks_for_all_and_needs_all() {
        for (pattern, name, expected) in [
            ("projects/*", "projects/-", true),
            ("projects/acme-*", "projects/-", false),
            ("projects/acme-*", "projects/-/locations/us", false),
            ("projects/acme-*", "projects/acme-1/locations/-", true),
            ("projects/acme-*/locations/eu-*", "projects/acme-1/locations/-", false),
            ("projects/acme-*/locations/*", "projects/acme-1/locations/-/streams/-", true),
        ] {
            assert_eq!(covers(&pattern.parse().unwrap(), name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_meets_what_it_may_mean_a_part_of() {
        for (pattern, name, expected) in [
            ("*", "projects/p/locations/-", true),
            ("projects/p", "projects/p/locations/-", true),
            ("projects/q", "projects/p/locations/-", false),
            ("projects/p*/locations/eu-*", "projects/p/locations/-", true),
            ("projects/p/locations/eu/streams/s", "projects/p/locations/-", true),
            ("projects/p/locations/eu/streams/s", "projects/p/locations/-/streams/-", true),
            ("projects/p/locations/eu/streams/s", "projects/p/locations/us/streams/-", false),
            ("projects/p/instances/i", "projects/p/locations/-", false),
        ] {
            assert_eq!(meets(&pattern.parse().unwrap(), name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_covers_another_only_if_it_means_at_least_as_much() {
        for (pattern, other, expected) in [
            ("*", "*", true),
            ("projects/*", "*", false),
            ("projects/*", "projects/acme-*", true),
            ("projects/acme-*", "projects/acme-*", true),
            ("projects/acme-*", "projects/acme*", false),
            ("projects/acme-*", "projects/*", false),
            ("projects/*-x", "projects/a*", false),
            ("projects/*-x", "projects/a*-x", true),
            ("projects/acme-*", "projects/acme-1/locations/*", true),
        ] {
            assert_eq!(covers(&pattern.parse().unwrap(), other), expected, "{pattern} {other}");
        }
    }

    #[test]
    fn a_pattern_means_a_collection_in_some_projects() {
        for (pattern, expected) in [
            ("*", Some("*")),
            ("projects/*", Some("*")),
            ("projects/acme-*", Some("acme-*")),
            ("projects/acme", Some("acme")),
            ("p*s/acme", Some("acme")),
            ("projects/acme/operations", Some("acme")),
            ("projects/acme/o*/*", Some("acme")),
            ("projects/acme/operations/1*", None),
            ("projects/acme/locations/eu", None),
            ("folders/acme", None),
        ] {
            assert_eq!(projects(&pattern.parse().unwrap(), "operations"), expected, "{pattern}");
        }
    }

    #[test]
    fn hostile_patterns_cost_little() {
        let pattern = format!("projects/{}b", "a*".repeat(200)).parse().unwrap();
        assert!(!covers(&pattern, &format!("projects/{}", "a".repeat(16_000))));
    }
}
