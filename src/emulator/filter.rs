//! List filters: the part of AIP-160 that people use. `state = RUNNING AND labels.team = "data"`.
//!
//! Terms are `field op value` with `= != < > <= >= :`, joined by `AND` and `OR` (which binds tighter), negated by `NOT`
//! or `-`, and grouped by parentheses; terms in sequence mean AND. Two numbers compare as numbers, everything else as
//! text. Functions are refused.

use tonic::Status;

use super::status::wrong_field;

/// Longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 2000;
/// Deepest nesting of parentheses and negations.
const DEPTH_MAX: usize = 32;
const OPS: [&str; 7] = ["!=", "<=", ">=", "=", "<", ">", ":"];

/// A parsed filter.
#[derive(Debug)]
pub(super) struct Filter {
    root: Node,
    case: Case,
}

/// Whether upper and lower case are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Matters,
    Ignored,
}

#[derive(Debug)]
enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Term { field: String, op: &'static str, value: String },
}

impl Filter {
    /// Parses a filter whose fields begin with one of `roots`.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for text that is no filter, is too long or names another field.
    pub(super) fn parse(text: &str, roots: &[&str], case: Case) -> Result<Self, Status> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(invalid(format!("is longer than {FILTER_BYTES_MAX} bytes")));
        }
        let mut parser = Parser { rest: text.trim_start(), roots, case };
        let root = parser.all(0)?;
        if !parser.rest.is_empty() {
            return Err(parser.lost());
        }
        Ok(Self { root, case })
    }

    /// Whether something matches, given how to read its fields; an absent field is `None`.
    pub(super) fn matches(&self, read: impl Fn(&str) -> Option<String>) -> bool {
        self.root.holds(&read, self.case)
    }
}

struct Parser<'t> {
    rest: &'t str,
    roots: &'t [&'t str],
    case: Case,
}

impl Parser<'_> {
    fn all(&mut self, depth: usize) -> Result<Node, Status> {
        let mut nodes = Vec::new();
        while !self.rest.is_empty() && !self.rest.starts_with(')') {
            if self.word("AND") {
                if nodes.is_empty() || self.rest.is_empty() || self.rest.starts_with(')') {
                    return Err(self.lost());
                }
                continue;
            }
            nodes.push(self.any(depth)?);
        }
        Ok(Node::All(nodes))
    }

    fn any(&mut self, depth: usize) -> Result<Node, Status> {
        let first = self.factor(depth)?;
        if !self.word("OR") {
            return Ok(first);
        }
        let mut nodes = vec![first, self.factor(depth)?];
        while self.word("OR") {
            nodes.push(self.factor(depth)?);
        }
        Ok(Node::Any(nodes))
    }

    fn factor(&mut self, depth: usize) -> Result<Node, Status> {
        if depth == DEPTH_MAX {
            return Err(invalid(format!("is nested more than {DEPTH_MAX} deep")));
        }
        if self.word("NOT") || self.symbol('-') {
            return Ok(Node::Not(Box::new(self.factor(depth + 1)?)));
        }
        if !self.symbol('(') {
            return self.term();
        }
        let inner = self.all(depth + 1)?;
        if self.symbol(')') { Ok(inner) } else { Err(self.lost()) }
    }

    fn term(&mut self) -> Result<Node, Status> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "._@-/".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (field, tail) = (&self.rest[..end], self.rest[end..].trim_start());
        let op = OPS.into_iter().find(|op| tail.starts_with(op)).filter(|_| end > 0);
        let op = op.ok_or_else(|| self.lost())?;
        let (value, rest) = value(tail[op.len()..].trim_start()).ok_or_else(|| self.lost())?;
        let root = field.split('.').next().unwrap_or_default();
        let known = match self.case {
            Case::Matters => self.roots.contains(&root),
            Case::Ignored => self.roots.iter().any(|known| known.eq_ignore_ascii_case(root)),
        };
        if !known {
            return Err(invalid(format!("unknown field {field:?}")));
        }
        let field = field.to_owned();
        self.rest = rest.trim_start();
        Ok(Node::Term { field, op, value })
    }

    fn word(&mut self, word: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        if !rest.is_empty() && !rest.starts_with(|c: char| c.is_whitespace() || c == '(') {
            return false;
        }
        self.rest = rest.trim_start();
        true
    }

    fn symbol(&mut self, symbol: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(symbol) else { return false };
        self.rest = rest.trim_start();
        true
    }

    fn lost(&self) -> Status {
        match self.rest {
            "" => invalid("ends where a term is missing"),
            rest => invalid(format!("cannot be parsed at {rest:?}")),
        }
    }
}

impl Node {
    fn holds(&self, read: &impl Fn(&str) -> Option<String>, case: Case) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(read, case)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(read, case)),
            Self::Not(node) => !node.holds(read, case),
            Self::Term { field, op, value } => match (read(field), case) {
                (None, _) => *op == "!=",
                (Some(_), _) if *op == ":" && value == "*" => true,
                (Some(actual), Case::Matters) => compare(op, value, &actual),
                (Some(actual), Case::Ignored) => compare(op, &value.to_lowercase(), &actual.to_lowercase()),
            },
        }
    }
}

fn compare(op: &str, wanted: &str, actual: &str) -> bool {
    match op {
        "=" => like(wanted, actual),
        "!=" => !like(wanted, actual),
        ":" => actual.contains(wanted.trim_matches('*')),
        _ => {
            let order = match (actual.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(actual), Ok(wanted)) => actual.partial_cmp(&wanted),
                _ => Some(actual.cmp(wanted)),
            };
            order.is_some_and(|order| match op {
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                _ => order.is_ge(),
            })
        }
    }
}

fn invalid(description: impl Into<String>) -> Status {
    wrong_field("filter", description)
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
            "size" => Some("9".to_owned()),
            _ => None,
        };
        Filter::parse(filter, &["state", "labels", "name", "size"], Case::Matters)
            .ok()
            .map(|filter| filter.matches(read))
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
            ("(state = RUNNING)", Some(true)),
            ("(state = PAUSED) OR (NOT (state = PAUSED) AND labels.team:data)", Some(true)),
            ("NOT(state = RUNNING)", Some(false)),
            ("size < 10", Some(true)),
            ("size >= 10", Some(false)),
            ("(state = RUNNING", None),
            ("state = RUNNING)", None),
            (r#"state = "RUNNING"#, None),
        ] {
            assert_eq!(holds(filter), expected, "{filter}");
        }
    }
}
