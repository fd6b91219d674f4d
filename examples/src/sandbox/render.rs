//! What --dry-run, --explain and --print-facts print.

use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;

use qemu_dsl::QemuCommand;
use qemu_dsl::isolation::Isolation;
use qemu_dsl::sandbox::{OPEN_FILES, Plan};
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

pub(crate) fn facts(facts: &Facts) -> Result<(), Error> {
    if let Some(probed) = &facts.probed {
        for verdict in &probed.verdicts {
            crate::show(&format!("{verdict}\n"));
        }
        // Facts of a binary that runs no guest here would say that it does.
        probed.accelerator().map_err(InputError::from)?;
    }
    let text = serde_json::to_string(&facts.facts).map_err(io::Error::other)?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

pub(crate) fn explanation(facts: &Facts, plan: &Plan, explained: &Explained) -> io::Result<()> {
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
    writeln!(out, "\nWhat holds QEMU: {}.", plan.isolation())?;
    for level in Isolation::ALL.into_iter().filter(|level| *level > plan.isolation()) {
        writeln!(out, "    {level}: no; {}", render_missing(facts, level))?;
    }
    writeln!(
        out,
        "Always: no environment but PATH, LANG and TMPDIR; no core dump, {OPEN_FILES} open files, a bound on processes and on the \
         size of the disk's file; a host without memory ends it before its services."
    )?;
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

/// Why there is no such isolation.
fn render_missing(facts: &Facts, level: Isolation) -> String {
    let questions: &[&str] = if level == Isolation::Jail { &["bwrap"] } else { &["unshare", "unshare_user"] };
    let probed = facts.probed.as_ref();
    let verdicts = questions.iter().filter_map(|question| probed?.verdict(question));
    let told: Vec<String> = verdicts.filter(|verdict| !verdict.yes).map(ToString::to_string).collect();
    if told.is_empty() { "it was not asked for, or the facts do not have it".to_owned() } else { told.join("; ") }
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
