//! What --dry-run, --explain and --print-facts print.

use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;

use qemu_dsl::QemuCommand;
use qemu_dsl::sandbox::Plan;
use qemu_dsl::vm::Explained;

use crate::Error;
use crate::input::{Facts, InputError};

pub(crate) fn shell(plan: &Plan) -> io::Result<()> {
    writeln!(io::stdout(), "{}", plan.command())
}

pub(crate) fn json(plan: &Plan) -> Result<(), Error> {
    let argv: Result<Vec<&str>, InputError> = plan
        .command()
        .args()
        .map(|arg| arg.to_str().ok_or_else(|| InputError::NotUtf8(arg.to_string_lossy().into_owned())))
        .collect();
    writeln!(io::stdout(), "{}", serde_json::json!(argv?))?;
    Ok(())
}

pub(crate) fn facts(facts: &Facts) -> io::Result<()> {
    if let Some(probed) = &facts.probed {
        for verdict in &probed.verdicts {
            eprintln!("{verdict}");
        }
    }
    let text = serde_json::to_string(&facts.facts).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{text}")
}

pub(crate) fn explanation(facts: &Facts, explained: &Explained) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match &facts.probed {
        Some(probed) => {
            writeln!(out, "What this host can do:")?;
            for verdict in &probed.verdicts {
                writeln!(out, "    {verdict}")?;
            }
        }
        None => writeln!(out, "The facts come from a file.")?,
    }
    writeln!(out, "\nThe command, option by option:")?;
    for (option, reason) in explained.options() {
        writeln!(out, "{}", words(option))?;
        writeln!(out, "    {}", reason.why())?;
        if let Some(fact) = reason.decided_by() {
            writeln!(out, "    decided by: {fact}")?;
        }
        if let Some(rule) = reason.version_rule() {
            writeln!(out, "    versions: {rule}")?;
        }
    }
    Ok(())
}

fn words<'a>(option: impl Iterator<Item = &'a std::ffi::OsStr>) -> String {
    let mut command = QemuCommand::default();
    for word in option {
        // The words come from a command, so they can be in one.
        if command.arg(word).is_err() {
            return String::from_utf8_lossy(word.as_bytes()).into_owned();
        }
    }
    command.to_string()
}
