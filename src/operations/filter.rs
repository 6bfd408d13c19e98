//! Which operations somebody wants to see: a part of AIP-160.
//!
//! `done = false AND upstream = "spanner" AND target : "instances/prod" AND createTime >= "2026-01-01T00:00:00Z"`. Terms are
//! joined by `AND` only, which may be left out; `=` and `!=` compare, `:` means "contains" on `target`, `method` and
//! `upstreamName`, and "is" elsewhere.

use crate::{
    error::{Error, Result},
    model::{Kind, State},
    store::operations::{Comparison, Condition, TextColumn, TimeColumn},
};

/// Bytes of a filter.
const BYTES_MAX: usize = 2048;
/// Terms of a filter.
const TERMS_MAX: usize = 16;

/// What stands between a field and a value.
const OPERATORS: [&str; 7] = ["=", "!=", ":", "<", "<=", ">", ">="];

/// A word and where it begins, in characters from 1.
struct Word {
    text: String,
    at: usize,
    quoted: bool,
}

/// Reads a filter; an empty one wants everything.
///
/// # Errors
/// `INVALID_FIELD` with the position of what is not understood: nothing is passed over.
pub fn parse(text: &str) -> Result<Vec<Condition>> {
    if text.len() > BYTES_MAX {
        return Err(Error::limit(format!("filter: longer than {BYTES_MAX} bytes.")));
    }
    let words = words(text)?;
    let end = text.chars().count() + 1;
    let mut conditions = Vec::new();
    let mut rest = words.as_slice();
    while let Some(field) = rest.first() {
        if conditions.len() >= TERMS_MAX {
            return Err(wrong(field.at, &format!("more than {TERMS_MAX} terms")));
        }
        let operator = rest.get(1).ok_or_else(|| wrong(end, "expected =, !=, :, <, <=, > or >="))?;
        let value = rest.get(2).ok_or_else(|| wrong(end, "expected a value"))?;
        conditions.push(term(field, operator, value)?);
        rest = &rest[3..];
        if let Some(and) = rest.first().filter(|word| !word.quoted && word.text == "AND") {
            rest = &rest[1..];
            if rest.is_empty() {
                return Err(wrong(and.at, "nothing follows AND"));
            }
        }
    }
    Ok(conditions)
}

fn term(field: &Word, operator: &Word, value: &Word) -> Result<Condition> {
    if operator.text == ":" && !value.quoted && value.text == "*" {
        return Err(wrong(value.at, "whether something is there cannot be asked; compare it with a value"));
    }
    let names = |all: Vec<&str>| wrong(value.at, &format!("expected one of {}", all.join(", ")));
    let column = match field.text.as_str() {
        "done" => {
            let done = match value.text.as_str() {
                "true" => true,
                "false" => false,
                _ => return Err(names(vec!["true", "false"])),
            };
            return match operator.text.as_str() {
                "=" | ":" => Ok(Condition::Done(done)),
                "!=" => Ok(Condition::Done(!done)),
                _ => Err(wrong(operator.at, "done takes = and !=")),
            };
        }
        "createTime" | "create_time" => return time(TimeColumn::Create, operator, value),
        "updateTime" | "update_time" => return time(TimeColumn::Update, operator, value),
        "endTime" | "end_time" => return time(TimeColumn::End, operator, value),
        "state" => {
            State::from_name(&value.text)
                .ok_or_else(|| names(State::ALL.iter().map(|state| state.name()).collect()))?;
            TextColumn::State
        }
        "kind" => {
            Kind::from_name(&value.text)
                .ok_or_else(|| names(Kind::ALL.iter().map(|kind| kind.name()).collect()))?;
            TextColumn::Kind
        }
        "upstream" => TextColumn::Upstream,
        "upstreamName" | "upstream_name" => TextColumn::UpstreamName,
        "method" => TextColumn::Method,
        "target" => TextColumn::Target,
        other => {
            let other: String = other.chars().take(64).collect();
            return Err(wrong(
                field.at,
                &format!(
                    "there is no field {other:?}; there are done, state, kind, upstream, upstreamName, method, target, \
                     createTime, updateTime and endTime"
                ),
            ));
        }
    };
    let is_long = matches!(column, TextColumn::Target | TextColumn::Method | TextColumn::UpstreamName);
    let not = match operator.text.as_str() {
        ":" if is_long => return Ok(Condition::Has { column, part: value.text.clone() }),
        "=" | ":" => false,
        "!=" => true,
        _ => return Err(wrong(operator.at, &format!("{} takes = and !=", field.text))),
    };
    Ok(Condition::Text { column, value: value.text.clone(), not })
}

fn time(column: TimeColumn, operator: &Word, value: &Word) -> Result<Condition> {
    let at: jiff::Timestamp = value
        .text
        .parse()
        .map_err(|_| wrong(value.at, "expected a timestamp such as \"2026-01-01T00:00:00Z\""))?;
    let comparison = match operator.text.as_str() {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        "=" | ":" => Comparison::Equal,
        "!=" => Comparison::NotEqual,
        ">=" => Comparison::GreaterOrEqual,
        ">" => Comparison::Greater,
        _ => return Err(wrong(operator.at, "times take =, !=, <, <=, > and >=")),
    };
    Ok(Condition::Time { column, comparison, value: at.as_microsecond() })
}

fn words(text: &str) -> Result<Vec<Word>> {
    let mut words = Vec::new();
    let mut letters = text.chars().zip(1..).peekable();
    while let Some((letter, at)) = letters.next() {
        let mut word = Word { text: String::new(), at, quoted: false };
        match letter {
            space if space.is_whitespace() => continue,
            quote @ ('"' | '\'') => {
                word.quoted = true;
                loop {
                    match letters.next() {
                        Some(('\\', _)) => word.text.extend(letters.next().map(|(letter, _)| letter)),
                        Some((end, _)) if end == quote => break,
                        Some((inside, _)) => word.text.push(inside),
                        None => return Err(wrong(at, "this quote is not closed")),
                    }
                }
            }
            ':' | '=' => word.text.push(letter),
            '<' | '>' | '!' => {
                word.text.push(letter);
                word.text.extend(letters.next_if(|(next, _)| *next == '=').map(|(next, _)| next));
            }
            '(' | ')' => return Err(wrong(at, "parentheses are not understood here; join terms by AND")),
            letter => {
                word.text.push(letter);
                // A colon within a bare value is part of it, as in a timestamp; behind a field it is an operator.
                let value =
                    words.last().is_some_and(|word: &Word| !word.quoted && OPERATORS.contains(&&*word.text));
                while let Some((next, _)) = letters.next_if(|(next, _)| {
                    !next.is_whitespace() && !"=<>!()\"'".contains(*next) && (value || *next != ':')
                }) {
                    word.text.push(next);
                }
            }
        }
        words.push(word);
    }
    Ok(words)
}

fn wrong(at: usize, why: &str) -> Error {
    Error::invalid_field("filter", format!("at character {at}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read() {
        let conditions = parse(
            "done=false AND state = RUNNING kind != 'FLYTE_TASK' AND target:instances/a AND createTime>=2026-01-01T00:00:00Z",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(conditions.len(), 5);
        assert_eq!(conditions[0], Condition::Done(false));
        assert_eq!(
            conditions[3],
            Condition::Has { column: TextColumn::Target, part: "instances/a".to_owned() }
        );
        assert!(parse("  ").unwrap().is_empty());
    }

    /// Part of a method's name found nothing, and said nothing.
    #[test]
    fn what_has_many_parts_contains_them() {
        let has = |column| Condition::Has { column, part: "Backfill".to_owned() };
        assert_eq!(parse("method:Backfill").unwrap(), [has(TextColumn::Method)]);
        assert_eq!(parse("upstreamName : \"Backfill\"").unwrap(), [has(TextColumn::UpstreamName)]);
        let is = Condition::Text { column: TextColumn::Upstream, value: "flyte".to_owned(), not: false };
        assert_eq!(parse("upstream:flyte").unwrap(), [is]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, place) in [
            ("nonsense = 1", "at character 1:"),
            ("done = maybe", "at character 8:"),
            ("done < true", "at character 6:"),
            ("done", "at character 5:"),
            ("done =", "at character 7:"),
            ("state = SLEEPING", "at character 9:"),
            ("createTime > yesterday", "at character 14:"),
            ("done = true AND", "at character 13:"),
            ("target : \"a", "at character 10:"),
            ("(done = true)", "at character 1:"),
            ("done = true OR done = false", "at character 13:"),
            ("target:*", "at character 8:"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.message().contains(place), "{text}: {error}");
        }
        assert!(parse(&"done = true ".repeat(17)).is_err());
        assert!(parse(&"x".repeat(3000)).is_err());
    }
}
