//! From the comments of protos to the text of the document.

use std::collections::HashSet;

use crate::schema::{Comment, Pool};

/// Turns comments into Markdown that speaks JSON: fields are called as callers write them.
pub(super) struct Prose {
    /// Original names of all fields that are called otherwise in JSON.
    renamed: HashSet<String>,
}

impl Prose {
    pub(super) fn new(pool: &Pool) -> Self {
        let fields = pool.messages().flat_map(|(_, message)| &message.fields);
        let renamed = fields.filter(|field| field.name.contains('_')).map(|field| field.name.clone());
        Self { renamed: renamed.collect() }
    }

    /// Returns the whole comment; empty without one.
    pub(super) fn text(&self, comment: &Comment) -> String {
        let unwrapped = unwrap(comment.as_deref().unwrap_or_default());
        let mut text = String::with_capacity(unwrapped.len());
        // Every second part stands between backticks.
        for (at, part) in unwrapped.split('`').enumerate() {
            if at > 0 {
                text.push('`');
            }
            let code = at % 2 == 1;
            let field = code && part.split('.').any(|name| self.renamed.contains(name));
            if field { text.push_str(&lower_camel(part)) } else { text.push_str(part) }
        }
        text
    }

    /// Returns the first sentence without its full stop, and the rest.
    pub(super) fn summary(&self, comment: &Comment) -> (String, String) {
        let text = self.text(comment);
        let first = text.split("\n\n").next().unwrap_or_default();
        let end = sentence_end(first).unwrap_or(first.len());
        let summary = first[..end].trim_end_matches('.').replace('\n', " ");
        (summary, text[end..].trim_start_matches('.').trim().to_owned())
    }
}

/// Joins the lines of each paragraph; lists and indented lines stay as they are.
fn unwrap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut kept = true;
    for line in text.lines() {
        let stays = line.is_empty() || line.starts_with([' ', '-', '*', '|', '#']);
        if !out.is_empty() {
            out.push(if stays || kept { '\n' } else { ' ' });
        }
        out.push_str(line.trim_end());
        kept = line.is_empty();
    }
    out
}

/// Finds the end of the first sentence: a full stop before a space and a capital letter or a backtick.
fn sentence_end(text: &str) -> Option<usize> {
    text.match_indices(". ").map(|(at, _)| at + 1).find(|end| {
        let next = text[*end..].trim_start().chars().next();
        next.is_some_and(|letter| letter.is_uppercase() || letter == '`')
    })
}

/// Writes a name, or a path of names, as JSON does.
pub(super) fn lower_camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raise = false;
    for letter in name.chars() {
        match letter {
            '_' => raise = true,
            letter if raise => {
                out.extend(letter.to_uppercase());
                raise = false;
            }
            letter => out.push(letter),
        }
    }
    out
}

/// Joins paragraphs, leaving out those that are empty.
pub(super) fn paragraphs(parts: impl IntoIterator<Item = String>) -> String {
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n\n")
}

/// Lists names as code: `a`, `b` and `c`.
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [most @ .., last] => {
            let most: Vec<String> = most.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", most.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prose() -> Prose {
        Prose { renamed: ["page_size".to_owned(), "data_freshness".to_owned()].into() }
    }

    #[test]
    fn fields_are_called_as_callers_write_them() {
        let comment = Some("See `page_size` and `a.data_freshness`, not page_size or `no_field`.".into());
        assert_eq!(
            prose().text(&comment),
            "See `pageSize` and `a.dataFreshness`, not page_size or `no_field`."
        );
    }

    #[test]
    fn the_first_sentence_is_the_summary() {
        let comment = Some("Gets a thing, e.g. one\nof v1.2. Costs nothing.\n\nMore\nhere:\n- a\n- b".into());
        let (summary, rest) = prose().summary(&comment);
        assert_eq!(summary, "Gets a thing, e.g. one of v1.2");
        assert_eq!(rest, "Costs nothing.\n\nMore here:\n- a\n- b");
        assert_eq!(prose().summary(&None), (String::new(), String::new()));
    }
}
