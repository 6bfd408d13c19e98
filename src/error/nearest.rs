//! Which known name somebody probably meant: one answer for keys, fields, enum values and methods.

/// Characters of a name that is compared; longer ones are no slips of the hand, and the name may come from a stranger.
const NAME_CHARS_MAX: usize = 128;

/// Returns the candidate nearest to `name`, if it is near enough to be a slip of the hand: at most a third of its length
/// in inserted, removed, replaced or swapped characters. Case does not count.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().take(NAME_CHARS_MAX + 1).count();
    let limit = (length / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| length <= NAME_CHARS_MAX && candidate.len() <= NAME_CHARS_MAX)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Counts edits between two names (optimal string alignment), with three rows instead of a matrix.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, y) in b.iter().enumerate() {
            row[j + 1] =
                (last[j] + usize::from(!x.eq_ignore_ascii_case(y))).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = ["listen", "drain_timeout", "tls"];
        assert_eq!(nearest("listne", known), Some("listen"));
        assert_eq!(nearest("drain_timout", known), Some("drain_timeout"));
        assert_eq!(nearest("tsl", known), Some("tls"));
        assert_eq!(nearest("TLS", known), Some("tls"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }
}
