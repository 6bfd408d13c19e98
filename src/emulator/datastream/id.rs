//! The ids that callers may choose, and the shape of a location.

use tonic::Status;

use super::refusal::invalid;

/// Longest id of a resource, in characters.
const ID_CHARS_MAX: usize = 60;

/// Shape of a location.
pub(super) const LOCATION: &[&str] = &["projects", "locations"];

/// Checks an id that a caller chose for a new resource.
pub(super) fn check_id(field: &str, id: &str) -> Result<(), Status> {
    let letter = id.starts_with(|c: char| c.is_ascii_lowercase());
    let clean = id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if letter && clean && id.len() <= ID_CHARS_MAX && !id.ends_with('-') {
        return Ok(());
    }
    let rule = "must be 1 to 60 lowercase letters, digits and hyphens, start with a letter and not end with a hyphen";
    Err(invalid(field, format!("{id:?} {rule}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_lowercase_and_short() {
        assert!(check_id("stream_id", "orders-to-bq").is_ok());
        for bad in ["", "Orders", "1st", "a b", "a/b", "trailing-", &"a".repeat(61)] {
            assert!(check_id("stream_id", bad).is_err(), "{bad}");
        }
    }
}
