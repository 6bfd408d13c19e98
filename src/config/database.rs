//! `[database]`: where records are kept.

use std::path::PathBuf;

use super::secret::SecretUrl;
use super::section::Section;
use super::source;

/// How a connection to Postgres may be secured.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// `url`: `postgres://…` or `sqlite://…`. Without it records are kept in a temporary file.
    pub url: Option<SecretUrl>,
    /// `migrate`: whether `serve` brings the schema up to date when it starts. Default true.
    pub migrate: bool,
    /// `connections_max`: connections to Postgres. Default 16.
    pub connections_max: u32,
    /// Where a temporary file is made. Not a key: the system says it.
    pub temporary_folder: PathBuf,
}

impl Database {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let url = s.optional::<SecretUrl>("url");
        if let Some(why) = url.as_ref().and_then(|url| flaw(url.expose())) {
            s.wrong("url", why);
        }
        Self {
            url,
            migrate: s.value("migrate", true),
            connections_max: s.bounded("connections_max", 16, 4..=1000),
            temporary_folder: source::temporary_folder(),
        }
    }
}

/// Finds what is wrong with a URL before anybody connects: `check` says what `serve` would. The value is not repeated, which may
/// hold a password.
fn flaw(url: &str) -> Option<String> {
    if url.starts_with("sqlite://") {
        return None;
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Some("expected a URL that begins with postgres:// or sqlite://".to_owned());
    }
    let url = match url::Url::parse(url) {
        Ok(url) => url,
        Err(error) => return Some(format!("this is no URL: {error}")),
    };
    url.query_pairs().find_map(|(key, value)| match &*key {
        "sslmode" | "ssl-mode" if !SSL_MODES.contains(&&*value.to_ascii_lowercase()) => {
            Some(format!("{key}: expected one of {}", SSL_MODES.join(", ")))
        }
        // The driver logs what it does not know, with its value.
        "sslpassword" => Some("sslpassword: name a key that is not encrypted by sslkey".to_owned()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_connected_with_is_found() {
        for right in [
            "sqlite://causeway.db",
            "postgres://u:p@db:5432/causeway?sslmode=verify-full&sslkey=k&connect_timeout=3",
            "postgresql:///causeway?host=/run/postgresql",
        ] {
            assert_eq!(flaw(right), None, "{right}");
        }
        for (wrong, why) in [
            ("mysql://db/causeway", "expected a URL that begins with"),
            ("postgres://u:secret@db:notaport/causeway", "invalid port"),
            ("postgres://db/causeway?sslmode=secret", "sslmode: expected one of disable"),
            ("postgres://db/causeway?sslpassword=secret", "sslkey"),
        ] {
            let found = flaw(wrong).unwrap_or_default();
            assert!(found.contains(why) && !found.contains("secret"), "{wrong}: {found}");
        }
    }
}
