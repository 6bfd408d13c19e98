//! Field mask paths between `snake_case`, as messages hold them, and `lowerCamelCase`, as JSON writes them.

/// Appends a path in lowerCamelCase. Returns `false` if reading it back would give another path.
pub(super) fn to_camel(path: &str, out: &mut String) -> bool {
    let mut raise = false;
    for letter in path.chars() {
        match letter {
            '_' if raise => return false,
            '_' => raise = true,
            'a'..='z' if raise => {
                out.push(letter.to_ascii_uppercase());
                raise = false;
            }
            'A'..='Z' => return false,
            _ if raise => return false,
            _ => out.push(letter),
        }
    }
    !raise
}

/// Reads the mask of a JSON body: camelCase paths, separated by commas. `None` if an underscore shows another spelling.
pub(super) fn from_json(text: &str) -> Option<Vec<String>> {
    let paths = text.split(',').filter(|path| !path.is_empty());
    paths.map(|path| (!path.contains('_')).then(|| to_snake(path))).collect()
}

/// Reads the mask of a query parameter, where clients send either spelling. Map keys in backticks stay as they are.
pub(super) fn from_query(text: &str) -> Vec<String> {
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
    paths
}

fn to_snake(path: &str) -> String {
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
        let snake = from_query("friendly_name,cloud_sql.database");
        assert_eq!(snake, ["friendly_name", "cloud_sql.database"]);
        assert_eq!(from_query("friendlyName, cloudSql.database,"), snake);
        assert_eq!(from_query("labels.`Aa,B`"), ["labels.`Aa,B`"]);
    }

    #[test]
    fn a_body_mask_is_camel_case_only() {
        assert_eq!(from_json("fooBar,a.bC").unwrap(), ["foo_bar", "a.b_c"]);
        assert_eq!(from_json("foo_bar"), None);
        assert_eq!(from_json("").unwrap(), Vec::<String>::new());
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
