//! Reads small documents.

use std::time::Duration;

use reqwest::{Client, redirect};
use tokio_rustls::rustls::crypto::ring;

use crate::error::{Error, Result};

/// How long a whole fetch may take.
const FETCH_TIME_MAX: Duration = Duration::from_secs(5);
/// How long connecting may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// Fetches documents over HTTPS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetcher {
    client: Client,
}

impl Fetcher {
    /// Prepares the client; the roots of trust are the machine's.
    ///
    /// # Errors
    /// The machine has no roots that can be used.
    pub fn new() -> Result<Self> {
        // Whoever came first chose the same: ring is the only one that is linked.
        let _ = ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(FETCH_TIME_MAX)
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client })
    }

    /// Reads the document at `url`, of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// It cannot be reached, answers with anything but 200, is too large, or takes too long. For the log: the message
    /// names the URL.
    pub async fn get(&self, url: &str, bytes_max: usize) -> Result<Vec<u8>> {
        let failed = |why: String| Error::internal(format!("{url}: {why}"));
        let mut response = self.client.get(url).send().await.map_err(|error| failed(words(&error)))?;
        if response.status() != 200 {
            return Err(failed(format!("answered {}", response.status().as_u16())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(words(&error)))? {
            if body.len() + chunk.len() > bytes_max {
                return Err(failed(format!("has more than {bytes_max} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Tells an error with its causes: the outermost says hardly anything.
fn words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
