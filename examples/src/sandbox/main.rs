//! Boots a sandbox microVM, talks to its guest agent, and ends it: `sandbox --help`.
//!
//! Exit status: 0 the guest answered, 1 the guest failed, 2 bad input, 3 QEMU failed, 4 timed out; 130 and 143 after
//! SIGINT and SIGTERM.

mod cli;
mod console;
mod input;
mod render;
mod run;

use std::process::ExitCode;

use clap::Parser as _;
use qemu_dsl::sandbox::{Plan, plan};

use cli::{Cli, Format};
use input::{Facts, InputError};

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
    let cli = Cli::parse();
    match sandbox(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error}");
            ExitCode::from(error.status())
        }
    }
}

fn sandbox(cli: &Cli) -> Result<(), Error> {
    let facts = Facts::new(cli)?;
    if cli.print_facts {
        return Ok(render::facts(&facts)?);
    }
    if cli.dry_run || cli.explain {
        let config = input::config(cli, input::planned_dir(cli)?, facts.facts.arch)?;
        let plan = plan(&config, &facts.facts).map_err(InputError::from)?;
        for remark in plan.remarks() {
            eprintln!("sandbox: note: {remark}");
        }
        if cli.explain {
            let explained = Plan::explain(&config, &facts.facts).map_err(InputError::from)?;
            return Ok(render::explanation(&facts, &explained)?);
        }
        return match cli.format {
            Format::Shell => Ok(render::shell(&plan)?),
            Format::Json => Ok(render::json(&plan)?),
        };
    }
    Ok(run::run(cli, &facts)?)
}
