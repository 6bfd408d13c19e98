//! Field mask paths between `snake_case`, as messages hold them, and `lowerCamelCase`, as JSON writes them.

/// Appends a path in lowerCamelCase. Returns `false` if reading it back would give another path, or be refused.
pub(super) fn to_camel(path: &str, out: &mut String) -> bool {
    if !is_path(path) {
        return false;
    }
    let mut raise = false;
    for letter in path.chars() {
        match letter {
            '_' if raise => return false,
            '_' => raise = true,
            'a'..='z' if raise => {
                out.push(letter.to_ascii_uppercase());
                raise = false;
            }
            // A comma would make two paths of it.
            ',' | 'A'..='Z' => return false,
            _ if raise => return false,
            _ => out.push(letter),
        }
    }
    !raise
}

/// Reads the mask of a JSON body: camelCase paths, separated by commas. `None` if an underscore shows another spelling, or
/// if there is something that is no path.
pub(super) fn from_json(text: &str) -> Option<Vec<String>> {
    // Empty paths between commas say nothing, and every runtime skips them.
    let paths = text.split(',').filter(|path| !path.is_empty());
    paths.map(|path| (!path.contains('_') && is_path(path)).then(|| to_snake(path))).collect()
}

/// Whether this can be a path at all. What it leads to is for the upstream to know; but an upstream that skips what it
/// cannot read would take a mask for less, or for more, than the caller meant.
fn is_path(path: &str) -> bool {
    !path.starts_with('.')
        && !path.ends_with('.')
        && !path.contains("..")
        && !path.chars().any(|letter| letter.is_whitespace() || letter.is_control())
}

/// Reads a mask where clients send either spelling: a query parameter, or the mask of a request. Map keys in backticks
/// stay as they are. `None` if there is something that is no path.
pub(super) fn from_query(text: &str) -> Option<Vec<String>> {
    let mut paths = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        let path = paths.last_mut().expect("one path is always there");
        match letter {
            '`' => {
                quoted = !quoted;
                path.push(letter);
            }
            ',' if !quoted => paths.push(String::new()),
            'A'..='Z' if !quoted => {
                path.push('_');
                path.push(letter.to_ascii_lowercase());
            }
            _ => path.push(letter),
        }
    }
    paths.iter_mut().for_each(|path| *path = path.trim().to_owned());
    paths.retain(|path| !path.is_empty());
    let whole = !quoted && paths.iter().all(|path| path.contains('`') || is_path(path));
    whole.then_some(paths)
}

/// Writes a name in snake_case.
pub(super) fn to_snake(path: &str) -> String {
    let mut snake = String::with_capacity(path.len() + 4);
    for letter in path.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_query_mask_mean_the_same() {
        let snake = from_query("friendly_name,cloud_sql.database").unwrap();
        assert_eq!(snake, ["friendly_name", "cloud_sql.database"]);
        assert_eq!(from_query("friendlyName, cloudSql.database,").unwrap(), snake);
        assert_eq!(from_query("labels.`Aa, B`").unwrap(), ["labels.`Aa, B`"]);
        assert_eq!(from_query("*").unwrap(), ["*"]);
    }

    #[test]
    fn what_is_no_path_is_refused_in_either_place() {
        for mask in ["a b", "a..b", ".a", "a.", "a,b c", "a\u{0}"] {
            assert_eq!(from_query(mask), None, "{mask}");
            assert_eq!(from_json(mask), None, "{mask}");
        }
        assert_eq!(from_query("labels.`a"), None);
    }

    #[test]
    fn a_body_mask_is_camel_case_only() {
        assert_eq!(from_json("fooBar,a.bC").unwrap(), ["foo_bar", "a.b_c"]);
        assert_eq!(from_json("foo_bar"), None);
        assert_eq!(from_json("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_reading_refuses_is_not_printed_either() {
        for path in ["a\u{0}", "a b", ".a", "a.", "a..b", "a,b", "labels.`a b`"] {
            assert!(!to_camel(path, &mut String::new()), "{path}");
        }
        for path in ["", "a", "*", "foo_bar.b2", "_a", "zoë", "labels.`a-b`"] {
            let mut out = String::new();
            assert!(to_camel(path, &mut out), "{path}");
            let back = from_json(&out).unwrap_or_else(|| panic!("{path} is printed as {out}"));
            assert_eq!(back.concat(), path);
        }
    }

    #[test]
    fn paths_that_would_not_read_back_are_not_printed() {
        for path in ["fooBar", "foo__bar", "foo_3", "foo_"] {
            assert!(!to_camel(path, &mut String::new()), "{path}");
        }
        let mut out = String::new();
        assert!(to_camel("foo_bar.baz", &mut out));
        assert_eq!(out, "fooBar.baz");
    }
}
