//! Which entries somebody wants to see: a part of AIP-160.
//!
//! `principal = "alice" AND httpStatus >= 400 AND time >= "2026-01-01T00:00:00Z"`. Terms are joined by `AND` only; values
//! may stand without quotes where they have no space. `resourceNames = "projects/p"` means that and what is below it, and
//! `"projects/p*"` names that begin so.

use crate::{
    error::{Error, Result},
    store::audit::{Filter, ResourceFilter},
};

/// Bytes of a filter.
const BYTES_MAX: usize = 2048;
/// Terms of a filter.
const TERMS_MAX: usize = 16;

/// Reads a filter; an empty one wants everything.
///
/// # Errors
/// `INVALID_FIELD` for what is not understood: nothing is passed over.
pub fn parse(text: &str) -> Result<Filter> {
    if text.len() > BYTES_MAX {
        return Err(Error::limit(format!("filter: longer than {BYTES_MAX} bytes.")));
    }
    let words = words(text)?;
    let mut filter = Filter::default();
    let mut rest = words.as_slice();
    let mut terms = 0;
    while let [field, operator, value, behind @ ..] = rest {
        term(&mut filter, field, operator, value)?;
        terms += 1;
        rest = match behind {
            [] => return Ok(filter),
            [and, behind @ ..]
                if and.bare && and.text == "AND" && !behind.is_empty() && terms < TERMS_MAX =>
            {
                behind
            }
            _ => return Err(wrong("terms are joined by AND, up to 16 of them")),
        };
    }
    if rest.is_empty() { Ok(filter) } else { Err(wrong("a term is a field, an operator and a value")) }
}

fn term(filter: &mut Filter, field: &Word, operator: &Word, value: &Word) -> Result<()> {
    let text = value.text.clone();
    let only_equals =
        || (operator.text == "=").then_some(()).ok_or_else(|| wrong(&format!("{} takes = only", field.text)));
    match field.text.as_str() {
        "principal" => only_equals().map(|()| filter.principal.push(text)),
        "method" => only_equals().map(|()| filter.method.push(text)),
        "requestId" => only_equals().map(|()| filter.request_id.push(text)),
        "resourceNames" | "resourceName" => match operator.text.as_str() {
            ":" | "=" => named(text).map(|named| filter.resource.push(named)),
            _ => Err(wrong("resourceNames takes = and :")),
        },
        "httpStatus" => {
            let number: i32 = text.parse().map_err(|_| wrong("httpStatus is a number"))?;
            let (low, high) = filter.status.unwrap_or((0, i32::MAX));
            filter.status = Some(match operator.text.as_str() {
                "=" => (low.max(number), high.min(number)),
                ">=" => (low.max(number), high),
                ">" => (low.max(number.saturating_add(1)), high),
                "<=" => (low, high.min(number)),
                "<" => (low, high.min(number.saturating_sub(1))),
                _ => return Err(wrong("httpStatus takes =, <, <=, > and >=")),
            });
            Ok(())
        }
        "time" => {
            let at: jiff::Timestamp =
                text.parse().map_err(|_| wrong("time is a timestamp such as \"2026-01-01T00:00:00Z\""))?;
            let micros = at.as_microsecond();
            let later = micros.saturating_add(1);
            match operator.text.as_str() {
                ">=" => filter.from = Some(filter.from.map_or(micros, |from| from.max(micros))),
                ">" => filter.from = Some(filter.from.map_or(later, |from| from.max(later))),
                "<" => filter.before = Some(filter.before.map_or(micros, |before| before.min(micros))),
                "<=" => filter.before = Some(filter.before.map_or(later, |before| before.min(later))),
                _ => return Err(wrong("time takes <, <=, > and >=")),
            }
            Ok(())
        }
        other => Err(wrong(&format!(
            "there is no field {other:?}; there are principal, method, resourceNames, httpStatus, time, requestId"
        ))),
    }
}

/// Reads what a resource's name is to be. As AIP-160 writes "begins with"; a name does not end with a slash, so what does can
/// only be meant so, too.
fn named(text: String) -> Result<ResourceFilter> {
    let beginning = text.strip_suffix('*');
    if beginning.unwrap_or(&text).contains('*') {
        return Err(wrong(
            "in resourceNames * stands at the end only, for whatever follows; give what comes before the first",
        ));
    }
    match beginning {
        Some(beginning) => Ok(ResourceFilter::Beginning(beginning.to_owned())),
        None if text.is_empty() => {
            Err(wrong("resourceNames is compared with a name; give one, or * for any"))
        }
        None if text.ends_with('/') => Ok(ResourceFilter::Beginning(text)),
        None => Ok(ResourceFilter::Within(text)),
    }
}

struct Word {
    text: String,
    bare: bool,
}

fn words(text: &str) -> Result<Vec<Word>> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut word = Word { text: String::new(), bare: true };
        match letter {
            space if space.is_whitespace() => continue,
            quote @ ('"' | '\'') => {
                word.bare = false;
                loop {
                    match letters.next() {
                        Some('\\') => word.text.extend(letters.next()),
                        Some(end) if end == quote => break,
                        Some(inside) => word.text.push(inside),
                        None => return Err(wrong("a quote is not closed")),
                    }
                }
            }
            ':' | '=' => word.text.push(letter),
            '<' | '>' | '!' => {
                word.text.push(letter);
                word.text.extend(letters.next_if_eq(&'='));
            }
            '(' | ')' => return Err(wrong("parentheses are not understood; join terms by AND")),
            first => {
                word.text.push(first);
                while let Some(more) =
                    letters.next_if(|next| !next.is_whitespace() && !":=<>!()\"'".contains(*next))
                {
                    word.text.push(more);
                }
            }
        }
        words.push(word);
    }
    Ok(words)
}

fn wrong(why: &str) -> Error {
    Error::invalid_field("filter", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_narrow_what_is_wanted() {
        let filter = parse(
            r#"principal="alice" AND method = a.b.C AND httpStatus >= 400 AND httpStatus<500
               AND resourceNames : "projects/p/*" AND time > "2026-01-01T00:00:00Z" AND requestId = 'x y'"#,
        )
        .unwrap();
        assert_eq!(filter.principal, ["alice"]);
        assert_eq!(filter.method, ["a.b.C"]);
        assert_eq!(filter.status, Some((400, 499)));
        assert_eq!(filter.resource, [ResourceFilter::Beginning("projects/p/".to_owned())]);
        assert_eq!(filter.request_id, ["x y"]);
        assert_eq!(filter.from, Some(1_767_225_600_000_001));
        assert_eq!(parse("  ").unwrap(), Filter::default());
    }

    #[test]
    fn a_name_means_what_is_below_it_and_a_star_what_begins_so() {
        let within = |name: &str| ResourceFilter::Within(name.to_owned());
        let beginning = |text: &str| ResourceFilter::Beginning(text.to_owned());
        for (text, named) in [
            ("resourceNames = projects/p/things/web", within("projects/p/things/web")),
            ("resourceNames : projects/p/things/web", within("projects/p/things/web")),
            ("resourceNames = projects/p/things/web*", beginning("projects/p/things/web")),
            ("resourceNames = projects/p/things/*", beginning("projects/p/things/")),
            ("resourceNames = projects/p/things/", beginning("projects/p/things/")),
            ("resourceNames : *", beginning("")),
        ] {
            assert_eq!(parse(text).unwrap().resource, [named], "{text}");
        }
    }

    /// It was taken for a letter, and found nothing.
    #[test]
    fn a_star_within_a_name_is_refused_with_the_way_out() {
        for text in ["resourceNames = projects/*/things/web", "resourceNames : p**"] {
            let error = parse(text).expect_err(text);
            assert!(error.message().contains("give what comes before"), "{text}: {error}");
        }
    }

    /// The last took the place of the others.
    #[test]
    fn of_terms_on_one_field_all_must_be_true() {
        let filter = parse("principal = a AND principal = b AND method = m AND method = n").unwrap();
        assert_eq!((filter.principal.len(), filter.method.len()), (2, 2));
        let filter = parse("resourceNames = p/q AND resourceNames = p AND requestId = r AND requestId = s");
        let filter = filter.unwrap();
        assert_eq!((filter.resource.len(), filter.request_id.len()), (2, 2));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "principal",
            "principal = ",
            "principal != alice",
            "color = red",
            "principal = a OR principal = b",
            "principal = a principal = b",
            "principal = a AND",
            "httpStatus = many",
            "time > yesterday",
            "time = \"2026-01-01T00:00:00Z\"",
            "(principal = a)",
            "principal = \"a",
            "resourceNames = \"\"",
            "resourceNames > a",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
