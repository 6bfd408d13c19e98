//! What of a URL is no credential.

use url::Url;

/// Returns scheme, host and port, if it is not that of the scheme: chat services have credentials in the path. Read by the
/// parser of those who connect. `None` for what has no host.
pub fn origin(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}
