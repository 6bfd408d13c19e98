//! A bearer token that lives in a file.
//!
//! The file is read again every [`REREAD`], and at once (at most every [`DOUBT`]) when the upstream refuses the token:
//! whoever rotates it need not restart anything. While it cannot be read, the last token stays.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::credentials::bearer;

/// How old a token from a file may become.
const REREAD: Duration = Duration::from_secs(30);
/// How old a token must be before a refusal makes us read the file again.
const DOUBT: Duration = Duration::from_secs(1);
/// The largest token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// A file with a token. `Debug` shows no token.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    read: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    token: HeaderValue,
    at: Instant,
}

impl TokenFile {
    /// Reads the token for the first time.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let token = read_token(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path: path.to_owned(), read: Mutex::new(Held { token, at: Instant::now() }) })
    }

    /// Returns the token.
    pub(super) fn token(&self) -> HeaderValue {
        self.read_again_after(REREAD)
    }

    /// Takes note that the upstream refused the token.
    pub(super) fn refused(&self) {
        self.read_again_after(DOUBT);
    }

    fn read_again_after(&self, age_max: Duration) -> HeaderValue {
        let mut held = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.saturating_duration_since(held.at) >= age_max {
            held.at = now;
            match read_token(&self.path) {
                Ok(token) => held.token = token,
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "token file cannot be read; the last token stays");
                }
            }
        }
        held.token.clone()
    }
}

fn read_token(path: &Path) -> io::Result<HeaderValue> {
    let mut text = String::new();
    File::open(path)?.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TOKEN_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {TOKEN_BYTES_MAX} bytes")));
    }
    bearer(text.trim()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rotated_file_is_read_again_and_a_lost_one_keeps_its_token() {
        let path = std::env::temp_dir().join(format!("causeway-token-{}", std::process::id()));
        std::fs::write(&path, "first\n").unwrap();
        let file = TokenFile::open(&path).unwrap();
        assert!(!format!("{file:?}").contains("first"));
        std::fs::write(&path, "second").unwrap();
        assert_eq!(file.token(), "Bearer first");
        tokio::time::advance(DOUBT).await;
        file.refused();
        assert_eq!(file.token(), "Bearer second");
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(REREAD).await;
        assert_eq!(file.token(), "Bearer second");
        assert!(TokenFile::open(&path).unwrap_err().contains("causeway-token"));
    }
}
