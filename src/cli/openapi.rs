//! `causeway openapi`: the document that describes everything that is served.

use std::{fs, path::PathBuf};

use clap::Args;

use super::{ConfigArgs, Outcome, say};
use crate::{app, http::openapi, transcode::Transcoder};

/// Where the document of the known upstreams is kept in the repository.
const COMMITTED: &str = "openapi/causeway.json";

/// Lines shown of a difference.
const SHOWN_MAX: usize = 3;

/// Prints the OpenAPI document of what the configuration serves: the one at /openapi.json.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  causeway openapi                                   prints it, for the known upstreams
  causeway openapi --config causeway.toml            prints it, for what this configuration serves
  causeway openapi --write                           rewrites openapi/causeway.json
  causeway openapi --check                           fails if openapi/causeway.json is out of date")]
pub(super) struct Openapi {
    /// Compare with the file instead of printing, and fail if they differ.
    #[arg(long, conflicts_with = "write")]
    check: bool,

    /// Write the file instead of printing.
    #[arg(long)]
    write: bool,

    /// The file to compare with or to write.
    #[arg(long, value_name = "FILE", default_value = COMMITTED)]
    file: PathBuf,

    #[command(flatten)]
    config: ConfigArgs,
}

impl Openapi {
    pub(super) fn run(self) -> Outcome {
        // Nothing is served here, so nobody has to say who may call.
        let presumed = vec![("identity.mode".to_owned(), "none".to_owned())];
        let config = self.config.load(presumed).into_config()?;
        let catalog = app::catalog(&config)?;
        app::servable(&catalog, &Transcoder::new(&catalog.pool))?;
        let text = openapi::print(&catalog);
        let path = self.file.display();
        if self.write {
            return fs::write(&self.file, text).map_err(|error| format!("{path}: {error}").into());
        }
        if !self.check {
            return Ok(say(&text)?);
        }
        let kept = fs::read_to_string(&self.file).map_err(|error| format!("{path}: {error}"))?;
        match difference(&kept, &text) {
            None => Ok(()),
            Some(difference) => {
                Err(format!("{path} is out of date; rewrite it with: causeway openapi --write\n{difference}")
                    .into())
            }
        }
    }
}

/// Shows where two texts part; `None` if they do not.
fn difference(kept: &str, made: &str) -> Option<String> {
    if kept == made {
        return None;
    }
    let same = kept.lines().zip(made.lines()).take_while(|(kept, made)| kept == made).count();
    let mut shown = format!("from line {}:", same + 1);
    for (sign, text) in [('-', kept), ('+', made)] {
        for line in text.lines().skip(same).take(SHOWN_MAX) {
            shown.push_str(&format!("\n{sign} {line}"));
        }
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_where_it_begins() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\nd\n").unwrap(), "from line 2:\n- b\n+ c\n+ d");
        assert_eq!(difference("a\n", "a").unwrap(), "from line 2:");
    }
}
