//! Boots a sandbox microVM, talks to its guest agent, and ends it: `sandbox --help`.
//!
//! Exit status: 0 the guest answered, 1 the guest failed, 2 bad input, 3 QEMU failed, 4 timed out; 129, 130 and 143 after
//! SIGHUP, SIGINT and SIGTERM.

mod cli;
mod console;
mod input;
mod interrupts;
mod notes;
mod prepare;
mod render;
mod run;
mod shown;
mod sigchld;
mod summary;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use qemu_dsl::sandbox::{Plan, plan};
use qemu_dsl::text::visible;

use cli::{Cli, Format};
use input::{Facts, InputError};
use interrupts::Interrupts;
use run::RunError;

/// Why the program ends without an answer from the guest.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Run(#[from] run::RunError),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl Error {
    fn status(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Run(error) => error.status(),
            Self::Output(_) => 1,
        }
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match sandbox(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::from(error.status())
        }
    }
}

/// What clap says: help, and the version, to standard output, and what is wrong with the arguments, which it repeats.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        show(&error.render().to_string());
    } else {
        // Nobody may read it.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Says something to people; nobody may listen.
fn tell(text: &str) {
    show(&format!("sandbox: {text}\n"));
}

/// Writes to standard error, which may be closed, or full: that does not end a machine. Paths, facts files and what others have said
/// are in it: no terminal obeys them.
fn show(text: &str) {
    let _ = std::io::stderr().lock().write_all(visible(text.as_bytes()).as_bytes());
}

fn sandbox(cli: &Cli) -> Result<(), Error> {
    shown::check(cli)?;
    if !cli.print_facts {
        for note in notes::rules(&cli.policy()) {
            tell(&format!("note: {note}"));
        }
    }
    if cli.dry_run || cli.explain || cli.print_facts {
        return print(cli, &Facts::new(cli)?);
    }
    sigchld::tell_of_children();
    let interrupts = Interrupts::catch();
    let facts = interrupts.or(Facts::new(cli).map_err(RunError::from))?;
    Ok(run::run(cli, &facts, &interrupts)?)
}

/// What starts nothing and creates nothing.
fn print(cli: &Cli, facts: &Facts) -> Result<(), Error> {
    if cli.print_facts {
        return render::facts(facts);
    }
    let config = input::config(cli, &input::planned_dir(cli, &facts.facts)?, facts, None)?;
    let plan = plan(&config, &facts.facts).map_err(InputError::from)?;
    for remark in plan.remarks() {
        tell(&format!("note: {remark}"));
    }
    if cli.explain {
        let explained = Plan::explain(&config, &facts.facts).map_err(InputError::from)?;
        return Ok(render::explanation(facts, &config, &plan, &explained)?);
    }
    match cli.format {
        Format::Shell => Ok(render::shell(&plan)?),
        Format::Json => Ok(render::json(&plan)?),
    }
}
