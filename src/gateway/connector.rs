//! Whose mistake it is when a connector refuses a task: it calls everything INTERNAL and shows a Python traceback.

use crate::{
    error::{Code, Error},
    upstream::raised_by,
};

/// Classes of exceptions, what they are in our terms, and what is said about them.
const EXCEPTIONS: [(&str, Code, &str); 5] = [
    ("google.api_core.exceptions.BadRequest", Code::InvalidArgument, "BigQuery does not take this query"),
    (
        "google.api_core.exceptions.Forbidden",
        Code::PermissionDenied,
        "BigQuery does not let the connector run queries here",
    ),
    ("google.api_core.exceptions.NotFound", Code::NotFound, "BigQuery does not find what the query is about"),
    (
        "google.api_core.exceptions.TooManyRequests",
        Code::ResourceExhausted,
        "BigQuery takes no more queries now",
    ),
    (
        "ValueError",
        Code::InvalidArgument,
        "The connector cannot pass on a parameter of one of these types; flytekit's for BigQuery has no BYTES",
    ),
];
/// What a `ValueError` about types has in its words.
const TYPES: &str = "No transformers could reverse";
/// Characters of BigQuery's words about a query that its caller reads.
const WORDS_MAX: usize = 500;

/// Turns the refusal of a new task into what its caller can mend; anything else stays as it is.
pub(super) fn explained(error: Error) -> Error {
    if error.code() != Code::Internal || error.reason().is_some() {
        return error;
    }
    let told = error.told();
    let known = EXCEPTIONS.iter().find(|(class, ..)| {
        raised_by(&error) == Some(*class) && (*class != "ValueError" || told.contains(TYPES))
    });
    let Some((class, code, text)) = known else { return error };
    // What is wrong with a query is for whoever wrote it; other words may be about our own account.
    let words = if text.ends_with("query") { words(&told, class) } else { None };
    let text = words.map_or_else(|| format!("{text}."), |words| format!("{text}: {words}"));
    Error::upstream(*code, text, Vec::new()).with_source(error)
}

/// Returns what BigQuery says behind its status and the address that was asked: the first line of it.
fn words(told: &str, class: &str) -> Option<String> {
    let said = told.split_once(&format!("\n    {class}: "))?.1;
    let (asked, words) = said.lines().next()?.split_once(": ")?;
    asked.contains("://").then(|| words.chars().take(WORDS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::failed_with;

    fn refused(class: &str, words: &str) -> Error {
        explained(failed_with(&format!(
            "Traceback (most recent call last):\n      File \"x\", line 1\n    {class}: {words}\n"
        )))
    }

    #[test]
    fn a_refusal_says_whose_mistake_it_is() {
        let error = refused(
            "google.api_core.exceptions.BadRequest",
            "400 POST http://bigquery/jobs?prettyPrint=false: Syntax error: [1:1]\n\n    Location: EU",
        );
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.message(), "BigQuery does not take this query: Syntax error: [1:1]");
        assert!(error.told().contains("Traceback"), "the log has everything");
        let error = refused("google.api_core.exceptions.Forbidden", "403 POST http://b: User x@y lacks z");
        assert_eq!(error.code(), Code::PermissionDenied);
        assert!(!error.message().contains("x@y"));
        let error = refused("ValueError", "No transformers could reverse Flyte literal type");
        assert!(error.code() == Code::InvalidArgument && error.message().contains("BYTES"));
        for (class, words) in [("ValueError", "something else"), ("KeyError", "'ProjectID'")] {
            assert_eq!(refused(class, words).code(), Code::Internal, "{class}");
        }
    }
}
