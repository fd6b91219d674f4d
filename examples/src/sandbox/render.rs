//! What --dry-run, --explain and --print-facts print.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;

use qemu_dsl::QemuCommand;
use qemu_dsl::isolation::Isolation;
use qemu_dsl::launch::CONFINED_OPEN_FILES;
use qemu_dsl::policy::SPECIAL_RANGES;
use qemu_dsl::sandbox::{NetworkMode, Plan, SandboxConfig};
use qemu_dsl::text::visible_line;
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

pub(crate) fn explanation(facts: &Facts, config: &SandboxConfig, plan: &Plan, explained: &Explained) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match &facts.probed {
        Some(probed) => {
            writeln!(out, "What this host can do:")?;
            for verdict in &probed.verdicts {
                writeln!(out, "    {}", visible_line(verdict.to_string().as_bytes()))?;
            }
        }
        None => writeln!(out, "The facts come from a file.")?,
    }
    writeln!(out, "\nWhat holds QEMU: {}.", plan.isolation())?;
    for level in Isolation::ALL.into_iter().filter(|level| *level > plan.isolation()) {
        writeln!(out, "    {level}: no; {}", visible_line(render_missing(facts, level).as_bytes()))?;
    }
    writeln!(
        out,
        "Always: no environment but PATH, LANG and TMPDIR; no core dump, {CONFINED_OPEN_FILES} open files, a bound on processes and on the \
         size of the disk's file; a host without memory ends it before its services."
    )?;
    reached(&mut out, config)?;
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

/// What the guest reaches, and what not, and why.
fn reached(out: &mut impl Write, config: &SandboxConfig) -> io::Result<()> {
    let policy = config.policy();
    match config.network() {
        NetworkMode::None => return writeln!(out, "\nWhat the guest reaches: nothing; it has no network device."),
        NetworkMode::Ports => return writeln!(out, "\nWhat the guest reaches: nothing; exposed ports lead in."),
        NetworkMode::Internet | NetworkMode::PortsAndInternet => {}
    }
    let rest = if policy.is_list() {
        "what is allowed, and nothing else"
    } else {
        "what the host reaches, but for what is denied"
    };
    writeln!(out, "\nWhat the guest reaches: {rest}. The longest prefix decides, and a denial of equals.")?;
    for (allowed, rule) in policy.rules() {
        writeln!(out, "    {} {rule}", if *allowed { "allowed:" } else { "denied: " })?;
    }
    for name in policy.names() {
        writeln!(out, "    allowed: {name}, and the addresses that DNS names for it")?;
    }
    for range in SPECIAL_RANGES {
        let opened = if range.can_be_allowed() { "unless a rule within it allows it" } else { "whatever is allowed" };
        writeln!(out, "    denied:  {range}, {opened}: {}", range.what())?;
    }
    let loopback = if policy.host_loopback() { "allowed" } else { "denied, without --allow-host-loopback" };
    writeln!(out, "    {loopback}: 192.168.127.254, which is the host's 127.0.0.1")
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
