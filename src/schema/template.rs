//! Path templates of `google.api.http`: `/v1/{name=projects/*/locations/*}:cancel`.
//!
//! The grammar is the published one, with `**` anywhere and not only last, and `/` alone for the root:
//!
//! ```text
//! template = "/" [ segment { "/" segment } [ ":" literal ] ]
//! segment  = "*" | "**" | literal | "{" field path [ "=" segment { "/" segment } ] "}"     (no variable in a variable)
//! ```
//!
//! A parsed template is flat: a row of segments, and variables that each cover a range of them. What is printed is what
//! was parsed, so a template can be shown to people as its author wrote it.

use std::{fmt, ops::Range, str::FromStr};

use super::field_path::FieldPath;

/// Segments of one template.
pub const TEMPLATE_SEGMENTS_MAX: usize = 64;
/// Variables of one template. Captures are kept inline, so this bounds their size.
pub const VARIABLES_MAX: usize = 8;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<FieldPath>,
    spans: Vec<Span>,
    custom_verb: Option<Box<str>>,
}

/// One part between slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Exactly this text.
    Literal(Box<str>),
    /// `*`: one segment, whatever it is.
    Any,
    /// `**`: any number of segments, also none.
    AnyDepth,
}

/// The segments that one variable covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Span {
    range: Range<usize>,
    /// Written `{x}` and not `{x=*}`, which means the same.
    bare: bool,
}

/// Where a text stops being a template, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Byte offset into the text.
    pub position: usize,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.position + 1, self.why)
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Returns the segments, those inside variables too.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the variables in order of appearance.
    pub fn variables(&self) -> &[FieldPath] {
        &self.variables
    }

    /// Returns the segments that the variable at `index` covers.
    pub fn span(&self, index: usize) -> Range<usize> {
        self.spans[index].range.clone()
    }

    /// Returns the part after the colon, e.g. `cancel`.
    pub fn custom_verb(&self) -> Option<&str> {
        self.custom_verb.as_deref()
    }

    /// Whether the variable at `index` is exactly one segment, so that `%2F` in it is decoded.
    pub(super) fn is_single(&self, index: usize) -> bool {
        let range = self.span(index);
        range.len() == 1 && self.segments[range.start] != Segment::AnyDepth
    }

    /// Prints the template without its variables: two templates of one shape match the same paths.
    pub fn shape(&self) -> String {
        let mut text = String::new();
        self.print(&mut text, &[]).expect("writing to a string does not fail");
        text
    }

    /// Returns the template with one more literal in front: `/{literal}/…`.
    ///
    /// # Errors
    /// `literal` cannot be a segment, or there are too many.
    pub fn prefixed(&self, literal: &str) -> Result<Self, TemplateError> {
        if let Some(position) = literal.bytes().position(|byte| !is_literal(byte)) {
            return Err(TemplateError { position, why: format!("{literal:?} cannot be a path segment") });
        }
        if literal.is_empty() || self.segments.len() == TEMPLATE_SEGMENTS_MAX {
            return Err(TemplateError {
                position: 0,
                why: format!("{literal:?} cannot be put before {self}"),
            });
        }
        let mut prefixed = self.clone();
        prefixed.segments.insert(0, Segment::Literal(literal.into()));
        for span in &mut prefixed.spans {
            span.range = span.range.start + 1..span.range.end + 1;
        }
        Ok(prefixed)
    }

    fn print(&self, out: &mut impl fmt::Write, spans: &[Span]) -> fmt::Result {
        if self.segments.is_empty() {
            out.write_char('/')?;
        }
        let mut bare = false;
        for (at, segment) in self.segments.iter().enumerate() {
            out.write_char('/')?;
            if let Some(index) = spans.iter().position(|span| span.range.start == at) {
                write!(out, "{{{}", self.variables[index])?;
                bare = spans[index].bare;
                out.write_str(if bare { "" } else { "=" })?;
            }
            if !bare {
                write!(out, "{segment}")?;
            }
            if spans.iter().any(|span| span.range.end == at + 1) {
                out.write_char('}')?;
                bare = false;
            }
        }
        match &self.custom_verb {
            Some(verb) => write!(out, ":{verb}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, &self.spans)
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal(text) => text,
            Self::Any => "*",
            Self::AnyDepth => "**",
        })
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let template =
            Template { segments: Vec::new(), variables: Vec::new(), spans: Vec::new(), custom_verb: None };
        Parser { text, at: 0, template }.parse()
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    template: Template,
}

impl Parser<'_> {
    fn parse(mut self) -> Result<Template, TemplateError> {
        self.expect(b'/', "a template begins with \"/\"")?;
        if self.at < self.text.len() {
            self.segments(Self::segment)?;
        }
        if self.take(b':') {
            let verb = self.literal("a custom verb")?;
            self.template.custom_verb = Some(verb);
        }
        match self.text[self.at..].chars().next() {
            None => Ok(self.template),
            Some(letter) => Err(self.error(format!("unexpected {letter:?}"))),
        }
    }

    fn segments(
        &mut self,
        one: impl Fn(&mut Self) -> Result<(), TemplateError>,
    ) -> Result<(), TemplateError> {
        loop {
            one(self)?;
            if !self.take(b'/') {
                return Ok(());
            }
        }
    }

    fn segment(&mut self) -> Result<(), TemplateError> {
        if self.peek() == Some(b'{') { self.variable() } else { self.plain() }
    }

    fn variable(&mut self) -> Result<(), TemplateError> {
        self.at += 1;
        if self.template.variables.len() == VARIABLES_MAX {
            return Err(self.error(format!("a template has at most {VARIABLES_MAX} variables")));
        }
        let length = self.text[self.at..].find(['=', '}']).unwrap_or(self.text.len() - self.at);
        let path: FieldPath =
            self.text[self.at..self.at + length].parse().map_err(|why: String| self.error(why))?;
        if self.template.variables.contains(&path) {
            return Err(self.error(format!("the variable {path} appears twice")));
        }
        self.at += length;
        let start = self.template.segments.len();
        let bare = !self.take(b'=');
        if bare {
            self.push(Segment::Any)?;
        } else {
            self.segments(Self::plain)?;
        }
        self.expect(b'}', "the variable is not closed by \"}\"")?;
        self.template.variables.push(path);
        self.template.spans.push(Span { range: start..self.template.segments.len(), bare });
        Ok(())
    }

    /// Parses a segment that is no variable.
    fn plain(&mut self) -> Result<(), TemplateError> {
        if self.take(b'*') {
            let segment = if self.take(b'*') { Segment::AnyDepth } else { Segment::Any };
            return self.push(segment);
        }
        if self.peek() == Some(b'{') {
            return Err(self.error("a variable cannot hold another"));
        }
        let start = self.at;
        let literal = self.literal("a segment")?;
        if matches!(&*literal, "." | "..") {
            return Err(TemplateError { position: start, why: format!("{literal:?} never matches a path") });
        }
        self.push(Segment::Literal(literal))
    }

    fn literal(&mut self, what: &str) -> Result<Box<str>, TemplateError> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(|byte| !is_literal(byte)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.error(format!("{what} is missing")));
        }
        self.at += length;
        Ok(rest[..length].into())
    }

    fn push(&mut self, segment: Segment) -> Result<(), TemplateError> {
        if self.template.segments.len() == TEMPLATE_SEGMENTS_MAX {
            return Err(self.error(format!("a template has at most {TEMPLATE_SEGMENTS_MAX} segments")));
        }
        self.template.segments.push(segment);
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, why: &str) -> Result<(), TemplateError> {
        if self.take(byte) { Ok(()) } else { Err(self.error(why)) }
    }

    fn error(&self, why: impl Into<String>) -> TemplateError {
        TemplateError { position: self.at, why: why.into() }
    }
}

/// The characters of a URL segment that need no encoding, without those that the grammar uses itself.
fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()+,;@".contains(&byte)
}

#[cfg(test)]
pub(super) mod tests;
