//! Resource names: what shape they must have, and their parts.

use tonic::Status;

use super::status::wrong_field;

/// Longest resource name accepted, in bytes.
const NAME_BYTES_MAX: usize = 1000;

/// Checks that `name` is `collections[0]/*/collections[1]/*…` without wildcards.
pub(super) fn check(field: &str, name: &str, collections: &[&str]) -> Result<(), Status> {
    if fits(name, collections) {
        return Ok(());
    }
    let shape = collections.iter().map(|c| format!("{c}/*")).collect::<Vec<_>>().join("/");
    Err(wrong_field(field, format!("{name:?} must match {shape}")))
}

/// Returns the first `pairs` collection and id pairs of a name: the location of anything is `ancestor(name, 2)`.
pub(super) fn ancestor(name: &str, pairs: usize) -> &str {
    let end = name.match_indices('/').nth(pairs * 2 - 1).map_or(name.len(), |(at, _)| at);
    &name[..end]
}

/// Returns the last segment of a name.
pub(super) fn last_segment(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn fits(name: &str, collections: &[&str]) -> bool {
    let mut segments = name.split('/');
    let mut pairs = collections.iter().all(|collection| {
        segments.next() == Some(collection) && segments.next().is_some_and(|id| !id.is_empty() && id != "-")
    });
    pairs &= segments.next().is_none();
    pairs && name.len() <= NAME_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCATION: &[&str] = &["projects", "locations"];

    #[test]
    fn a_name_needs_every_collection_and_no_wildcard() {
        for good in ["projects/p/locations/l", "projects/example.com:p/locations/us-central1"] {
            assert!(check("parent", good, LOCATION).is_ok(), "{good}");
        }
        for bad in [
            "",
            "projects/p",
            "projects//locations/l",
            "projects/p/locations/-",
            "projects/p/locations/l/",
            "p/l",
        ] {
            assert!(check("parent", bad, LOCATION).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ancestor_is_cut_after_whole_pairs() {
        assert_eq!(ancestor("projects/p/locations/l/streams/s/objects/o", 2), "projects/p/locations/l");
        assert_eq!(
            ancestor("projects/p/locations/l/streams/s/objects/o", 3),
            "projects/p/locations/l/streams/s"
        );
        assert_eq!(ancestor("projects/p/locations/l", 2), "projects/p/locations/l");
    }
}
