//! `[telemetry]`: what the process says about itself.

use super::section::Section;
use super::setting::words;

words! {
    /// How log lines look.
    pub enum LogFormat {
        /// For people; coloured on a terminal.
        Text = "text",
        /// One JSON object per line, for machines.
        Json = "json",
    }
}

/// What the process says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// `log`.
    pub log: Log,
}

/// The log, on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `log.format`: default text.
    pub format: LogFormat,
    /// `log.filter`: what is logged, e.g. `info,causeway::upstream=debug`. Default `info`.
    pub filter: String,
}

impl Telemetry {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self { log: s.section("log", Log::read) }
    }
}

impl Log {
    fn read(s: &mut Section<'_>) -> Self {
        let format = s.value("format", LogFormat::Text);
        let filter = s.value("filter", "info".to_owned());
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&filter) {
            s.wrong("filter", format!("{error}; expected levels such as info or causeway=debug,warn"));
        }
        Self { format, filter }
    }
}
