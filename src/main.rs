//! The executable: everything it does is in [`causeway::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    causeway::cli::run()
}
