//! The command line: one file per command.
//!
//! A command reads its arguments and the configuration, wires what it needs, and says on one line what went wrong. The
//! process exits with 0 only if the command did what it was asked to.
//!
//! What people read goes to standard output, what the process says about itself to standard error. Nothing here serves
//! a request: that is `app` and below.

mod audit;
mod check;
mod config_args;
mod dev;
mod emulator;
mod healthcheck;
mod keys;
mod live;
mod migrate;
mod openapi;
mod receiver;
mod serve;
mod table;
mod transcode;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::config_args::ConfigArgs;
use crate::error::told;

/// What a command returns: nothing, or what went wrong, with its causes.
type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The exit code of a command that failed. Wrong arguments exit with 2, as is usual.
const FAILED: u8 = 1;

/// Causeway: one REST facade over many gRPC services.
///
/// Callers speak JSON over HTTP; Causeway finds the gRPC method that a path belongs to, translates the request, calls
/// the service, and translates the answer back.
#[derive(Debug, Parser)]
#[command(name = "causeway", version, propagate_version = true, disable_help_subcommand = true)]
#[command(
    after_help = "Try it:\n  causeway dev\n  causeway <COMMAND> --help   explains a command, with examples"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Serve(serve::Serve),
    Check(check::Check),
    Migrate(migrate::Migrate),
    Keys(keys::KeysCommand),
    Audit(audit::Audit),
    Openapi(openapi::Openapi),
    Emulator(emulator::Emulator),
    Transcode(transcode::Transcode),
    Healthcheck(healthcheck::Healthcheck),
}

/// Runs the command that the arguments of this process name.
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Dev(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Migrate(command) => command.run(),
        Command::Keys(command) => command.run(),
        Command::Audit(command) => command.run(),
        Command::Openapi(command) => command.run(),
        Command::Emulator(command) => command.run(),
        Command::Transcode(command) => command.run(),
        Command::Healthcheck(command) => command.run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(io::stderr(), "causeway: {}", told(error.as_ref()));
            ExitCode::from(FAILED)
        }
    }
}

/// Writes text for people to standard output. A closed pipe (`causeway check | head`) is not a failure.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    is_read(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_read| ())
}

/// Tells whether there is still somebody to write for. Who closes the pipe has read enough, and nothing has failed.
fn is_read(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound_and_every_option_is_explained() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            assert!(command.get_after_help().is_some(), "{} has no examples", command.get_name());
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
