//! `causeway transcode`: one message between JSON and binary, as the gateway would translate it.

mod conformance;

use std::io::{self, Read as _, Write as _};
use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};

use super::{Outcome, is_read};
use crate::error::nearest;
use crate::schema::{EMBEDDED, Pool};
use crate::transcode::{JsonOptions, Transcoder, UnknownFields};

/// The longest message that is read from standard input, in bytes: what an upstream may send.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// Translates one message from standard input to standard output.
///
/// `--to binary` reads JSON, `--to json` reads the protobuf wire format: exactly the translation that a request or a
/// response goes through, for looking into payloads.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  echo '{\"friendlyName\": \"sales\", \"cloudSql\": {\"type\": \"POSTGRES\"}}' |
    causeway transcode --message google.cloud.bigquery.connection.v1.Connection --to binary > connection.bin
  causeway transcode --message google.cloud.bigquery.connection.v1.Connection --to json < connection.bin
  causeway transcode --descriptor-set library.binpb --message acme.v1.Book --to json < book.bin")]
pub(super) struct Transcode {
    /// Full name of the message, e.g. google.cloud.datastream.v1.Stream.
    #[arg(long, value_name = "TYPE", required_unless_present = "conformance")]
    message: Option<String>,

    /// What to write.
    #[arg(long, value_name = "FORMAT", required_unless_present = "conformance")]
    to: Option<Format>,

    /// A file with further types (a serialised FileDescriptorSet, imports included); may be repeated.
    #[arg(long = "descriptor-set", value_name = "FILE")]
    descriptor_sets: Vec<PathBuf>,

    /// Print JSON on several lines.
    #[arg(long)]
    pretty: bool,

    /// Drop fields that the message does not have instead of refusing them.
    #[arg(long)]
    ignore_unknown: bool,

    /// Answer the runner of the protobuf conformance suite on standard input and output.
    #[arg(long, conflicts_with_all = ["message", "to", "pretty", "ignore_unknown"])]
    conformance: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// The proto3 JSON mapping.
    Json,
    /// The protobuf wire format.
    Binary,
}

impl Transcode {
    pub(super) fn run(self) -> Outcome {
        let pool = self.pool()?;
        let transcoder = Transcoder::new(&pool);
        if self.conformance {
            return Ok(conformance::run(io::stdin().lock(), io::stdout().lock(), &transcoder)?);
        }
        let name = self.message.as_deref().unwrap_or_default().trim_start_matches('.');
        let plan = transcoder.message(name).ok_or_else(|| unknown_message(name, &pool))?;
        let input = read_input()?;
        let mut output = Vec::new();
        match self.to {
            Some(Format::Json) => {
                let options = JsonOptions { pretty: self.pretty, ..JsonOptions::default() };
                plan.to_json(&input, &options, &mut output)?;
                output.push(b'\n');
            }
            Some(Format::Binary) | None => {
                let unknown = if self.ignore_unknown { UnknownFields::Ignore } else { UnknownFields::Reject };
                output = plan.to_wire(&input, unknown)?.bytes;
            }
        }
        is_read(io::stdout().lock().write_all(&output))?;
        Ok(())
    }

    /// Loads the built-in types and those of the files given.
    fn pool(&self) -> Result<Pool, Box<dyn std::error::Error + Send + Sync>> {
        let mut sets = Vec::new();
        for path in &self.descriptor_sets {
            let bytes =
                fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            sets.push((path.display().to_string(), bytes));
        }
        let mut all = vec![EMBEDDED];
        all.extend(sets.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
        Ok(Pool::load(&all)?)
    }
}

fn read_input() -> io::Result<Vec<u8>> {
    let mut input = Vec::new();
    io::stdin().lock().take(MESSAGE_BYTES_MAX + 1).read_to_end(&mut input)?;
    if input.len() as u64 > MESSAGE_BYTES_MAX {
        return Err(io::Error::other(format!("more than {MESSAGE_BYTES_MAX} bytes on standard input")));
    }
    Ok(input)
}

fn unknown_message(name: &str, pool: &Pool) -> String {
    let names = pool.messages().map(|(_, message)| &*message.full_name);
    match nearest(name, names) {
        Some(known) => format!("no descriptor set defines the message {name}; did you mean {known}?"),
        None => format!("no descriptor set defines the message {name}; add its set with --descriptor-set"),
    }
}
