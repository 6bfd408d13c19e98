//! Values that must not be seen.

use std::fmt;

/// What is printed in place of a secret.
pub(super) const HIDDEN: &str = "<hidden>";

/// A secret string. `Debug` hides it and there is no `Display`; whoever needs it says so by calling [`Self::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the secret itself. Never log the result.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// A URL that may carry a password. Prints without it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Wraps a URL.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the URL with its password. Never log the result.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_password(&self.0))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hides what stands between `scheme://user:` and the last `@`, and every query value that could be a password.
pub(super) fn without_password(text: &str) -> String {
    let (main, query) = match text.split_once('?') {
        Some((main, query)) => (main, Some(query)),
        None => (text, None),
    };
    let mut out = match (main.find("://"), main.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            let user = main[scheme + 3..at].split(':').next().unwrap_or_default();
            format!("{}{user}:{HIDDEN}{}", &main[..scheme + 3], &main[at..])
        }
        (None, Some(at)) => format!("{HIDDEN}{}", &main[at..]),
        _ => main.to_owned(),
    };
    for (i, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((key, _))
                if key.to_ascii_lowercase().contains("pass") || key.to_ascii_lowercase().contains("key") =>
            {
                out.push_str(&format!("{key}={HIDDEN}"));
            }
            _ => out.push_str(pair),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "<hidden>");
    }

    #[test]
    fn a_url_prints_without_its_password() {
        for (url, shown) in [
            ("postgres://app:s3cr@t@db:5432/causeway", "postgres://app:<hidden>@db:5432/causeway"),
            ("postgres://db/causeway", "postgres://db/causeway"),
            (
                "postgres://db/causeway?sslmode=verify-full&password=x",
                "postgres://db/causeway?sslmode=verify-full&password=<hidden>",
            ),
            ("redis://:pw@cache:6379", "redis://:<hidden>@cache:6379"),
            ("user:pw@host", "<hidden>@host"),
        ] {
            assert_eq!(SecretUrl::new(url.to_owned()).to_string(), shown);
        }
    }
}
