//! List filters: the part of AIP-160 that people use. `state = RUNNING AND labels.team = "data"`.
//!
//! Terms are `field op value` with `= != < > <= >= :`, joined by `AND` and `OR` (which binds tighter), negated by `NOT`
//! or `-`; terms in sequence mean AND. Functions and parentheses are refused.

use tonic::Status;

use super::refusal::invalid;

/// Longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 2000;

/// A parsed filter: every group must hold, a group holds when one of its terms does.
#[derive(Debug, Default)]
pub(super) struct Filter(Vec<Vec<Term>>);

#[derive(Debug)]
struct Term {
    negated: bool,
    field: String,
    op: &'static str,
    value: String,
}

const OPS: [&str; 7] = ["!=", "<=", ">=", "=", "<", ">", ":"];

impl Filter {
    /// Parses a filter whose fields begin with one of `roots`.
    pub(super) fn parse(text: &str, roots: &[&str]) -> Result<Self, Status> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(invalid("filter", format!("is longer than {FILTER_BYTES_MAX} bytes")));
        }
        let mut groups: Vec<Vec<Term>> = Vec::new();
        let (mut rest, mut joined, mut dangling) = (text.trim_start(), false, false);
        while !rest.is_empty() {
            if let Some(next) = word(rest, "AND").or_else(|| word(rest, "OR")) {
                if groups.is_empty() || dangling {
                    return Err(invalid("filter", format!("a term is missing before {rest:?}")));
                }
                (joined, dangling, rest) = (rest.starts_with("OR"), true, next);
                continue;
            }
            let (term, next) = Term::parse(rest)?;
            let root = term.field.split('.').next().unwrap_or_default();
            if !roots.contains(&root) {
                return Err(invalid("filter", format!("unknown field {:?}", term.field)));
            }
            match groups.last_mut() {
                Some(group) if joined => group.push(term),
                _ => groups.push(vec![term]),
            }
            (joined, dangling, rest) = (false, false, next);
        }
        if dangling {
            return Err(invalid("filter", "ends in an operator"));
        }
        Ok(Self(groups))
    }

    /// Whether something matches, given how to read its fields; an absent field is `None`.
    pub(super) fn matches(&self, read: impl Fn(&str) -> Option<String>) -> bool {
        self.0.iter().all(|group| group.iter().any(|term| term.matches(read(&term.field))))
    }
}

impl Term {
    fn parse(text: &str) -> Result<(Self, &str), Status> {
        let fail = || invalid("filter", format!("cannot be parsed at {text:?}"));
        let (negated, body) = match word(text, "NOT").or_else(|| text.strip_prefix('-')) {
            Some(body) => (true, body),
            None => (false, text),
        };
        let is_part = |c: char| c.is_ascii_alphanumeric() || "._@-/".contains(c);
        let end = body.find(|c| !is_part(c)).ok_or_else(fail)?;
        let (field, tail) = (&body[..end], body[end..].trim_start());
        let op = OPS.into_iter().find(|op| tail.starts_with(op)).filter(|_| end > 0).ok_or_else(fail)?;
        let (value, rest) = value(tail[op.len()..].trim_start()).ok_or_else(fail)?;
        Ok((Self { negated, field: field.to_owned(), op, value }, rest.trim_start()))
    }

    fn matches(&self, actual: Option<String>) -> bool {
        let held = match actual {
            None => self.op == "!=",
            Some(_) if self.op == ":" && self.value == "*" => true,
            Some(actual) => self.compare(&actual),
        };
        held != self.negated
    }

    fn compare(&self, actual: &str) -> bool {
        let wanted = self.value.as_str();
        match self.op {
            "=" => like(wanted, actual),
            "!=" => !like(wanted, actual),
            ":" => actual.contains(wanted),
            "<" => actual < wanted,
            "<=" => actual <= wanted,
            ">" => actual > wanted,
            _ => actual >= wanted,
        }
    }
}

/// Compares with one `*` allowed at either end of `pattern`.
fn like(pattern: &str, actual: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some(_)) if pattern.len() > 1 => actual.contains(&pattern[1..pattern.len() - 1]),
        (Some(tail), _) => actual.ends_with(tail),
        (_, Some(head)) => actual.starts_with(head),
        _ => pattern == actual,
    }
}

fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.strip_prefix(word).filter(|rest| rest.starts_with(char::is_whitespace)).map(str::trim_start)
}

fn value(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut escaped = false;
        let mut out = String::new();
        for (at, c) in quoted.char_indices() {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => return Some((out, &quoted[at + 1..])),
                c => {
                    out.push(c);
                    escaped = false;
                }
            }
        }
        return None;
    }
    let end = text.find(|c: char| c.is_whitespace() || c == ')' || c == '(').unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(filter: &str) -> Option<bool> {
        let read = |field: &str| match field {
            "state" => Some("RUNNING".to_owned()),
            "labels.team" => Some("data platform".to_owned()),
            _ => None,
        };
        Filter::parse(filter, &["state", "labels", "name"]).ok().map(|filter| filter.matches(read))
    }

    #[test]
    fn terms_join_as_the_grammar_says() {
        for (filter, expected) in [
            ("", Some(true)),
            ("state=RUNNING", Some(true)),
            ("state != RUNNING", Some(false)),
            ("NOT state = RUNNING", Some(false)),
            ("-state:PAUSED", Some(true)),
            (r#"labels.team = "data platform" state = RUN*"#, Some(true)),
            (r#"state = PAUSED OR labels.team : "data" AND state = RUNNING"#, Some(true)),
            ("state = RUNNING AND labels.owner = x", Some(false)),
            ("labels.owner:*", Some(false)),
            ("AND state = RUNNING", None),
            ("state = RUNNING OR", None),
            ("state = RUNNING OR ", None),
            ("unknown = 1", None),
            ("state", None),
            ("= 1", None),
            ("(state = RUNNING)", None),
            (r#"state = "RUNNING"#, None),
        ] {
            assert_eq!(holds(filter), expected, "{filter}");
        }
    }
}
