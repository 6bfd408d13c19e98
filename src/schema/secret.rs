//! Which fields of a request are secret: never logged, never kept in the clear.
//!
//! Annotations are not enough, since most passwords in published APIs carry none: a field is also secret by its name.
//! What is marked can be more than a secret (a paging token that is just called `token`), never less.

use super::descriptor::{Behavior, Cardinality, Field, Kind, MessageId, Pool};

/// Messages within messages that are looked at one by one; deeper ones are secret as a whole if they hold a secret.
const DEPTH_MAX: usize = 16;
/// Paths of one request type; past it, fields that hold secrets are secret as a whole.
const PATHS_MAX: usize = 512;
/// Words that make a name secret wherever they stand in it.
const WORDS: &[&str] =
    &["password", "passwords", "passwd", "passphrase", "secret", "secrets", "credential", "credentials"];
/// Words that make a following `key` secret.
const KEYS: &[&str] = &["private", "client", "api", "access", "account", "signing", "encryption", "shared"];
/// Words that make a following `token` a place in a list and no secret.
const TOKENS: &[&str] = &["page", "next", "sync", "continuation", "resume"];

/// Which message types hold a secret, directly or further inside.
pub(super) struct SecretTypes(Vec<bool>);

impl SecretTypes {
    /// Looks at all types of the pool.
    pub(super) fn of(pool: &Pool) -> Self {
        let mut holds: Vec<bool> =
            pool.messages().map(|(_, message)| message.fields.iter().any(is_secret)).collect();
        // Spreads from a type to those that use it until nothing changes: at most as often as types nest.
        loop {
            let mut grown = false;
            for (id, message) in pool.messages() {
                let inner = || message.fields.iter().filter_map(|field| field.kind.message());
                if !holds[id.index()] && inner().any(|inner| holds[inner.index()]) {
                    holds[id.index()] = true;
                    grown = true;
                }
            }
            if !grown {
                return Self(holds);
            }
        }
    }

    /// Returns the paths of the secret fields in `message`, by original names. A path through a list or a map means every
    /// element. A field that holds its own type again is secret as a whole, so that no depth escapes.
    pub(super) fn paths(&self, pool: &Pool, message: MessageId) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect(pool, "", &mut vec![message], &mut paths);
        paths
    }

    fn collect(&self, pool: &Pool, prefix: &str, within: &mut Vec<MessageId>, paths: &mut Vec<String>) {
        let Some(message) = within.last().copied() else { return };
        for field in &pool.message(message).fields {
            let path =
                if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
            let inner = element(pool, field).filter(|inner| self.0[inner.index()]);
            match inner {
                _ if is_secret(field) => paths.push(path),
                Some(inner)
                    if !within.contains(&inner) && within.len() < DEPTH_MAX && paths.len() < PATHS_MAX =>
                {
                    within.push(inner);
                    self.collect(pool, &path, within, paths);
                    within.pop();
                }
                Some(_) => paths.push(path),
                None => {}
            }
        }
    }
}

/// Returns the message type of a field's values; of a map, that of the entries' values.
fn element(pool: &Pool, field: &Field) -> Option<MessageId> {
    match field.cardinality {
        Cardinality::Map(entry) => pool.message(entry).field("value")?.kind.message(),
        _ => field.kind.message(),
    }
}

fn is_secret(field: &Field) -> bool {
    let holds_text = !matches!(field.kind, Kind::Bool | Kind::Enum(_));
    field.is(Behavior::InputOnly) && field.kind != Kind::Bool || holds_text && is_secret_name(&field.name)
}

/// Whether what is called so is likely a secret.
pub fn is_secret_name(name: &str) -> bool {
    let words: Vec<String> = words(name);
    let last_two = |last: &str, before: &[&str]| match words.as_slice() {
        [.., first, second] => second == last && before.contains(&first.as_str()),
        _ => false,
    };
    words.iter().any(|word| WORDS.contains(&word.as_str()))
        || last_two("key", KEYS)
        || last_two("keys", KEYS)
        || matches!(words.last().map(String::as_str), Some("token" | "tokens")) && !last_two("token", TOKENS)
}

/// Cuts `snake_case` and `camelCase` into lower-case words.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && lower) {
            words.push(String::new());
        }
        lower = letter.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphanumeric()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_speak_of_secrets() {
        for name in [
            "password",
            "oracle_password",
            "secret_manager_stored_password",
            "private_key",
            "client_key",
            "security_token",
            "client_secret",
            "secret_version",
            "credential",
            "oauth_client_credentials",
            "token",
            "accessToken",
            "apiKey",
            "api_keys",
            "Passphrase",
            "secret_manager_stored_client_key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "name",
            "page_token",
            "next_page_token",
            "pageToken",
            "sync_token",
            "key",
            "kms_key_name",
            "primary_key",
            "secretary",
            "tokenizer",
            "monkey",
            "display_name",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
