//! What is told at the end.

use std::fmt::Write as _;
use std::time::Duration;

use qemu_dsl::launch::{CgroupReport, Ended};
use qemu_dsl::network::Counts;
use qemu_dsl::sandbox::Plan;

use crate::input::Facts;

/// What the guest said, and when.
pub(crate) struct Answer {
    /// In seconds, by its own clock.
    pub(crate) uptime: f64,
    pub(crate) after: Duration,
}

/// What limited the machine, and what that did.
pub(crate) struct Limited {
    /// Its control group, or why there was none.
    pub(crate) group: Result<CgroupReport, String>,
    /// What passed of its network, if it had one.
    pub(crate) network: Option<Counts>,
}

pub(crate) fn tell(plan: &Plan, facts: &Facts, answer: &Answer, ended: &Ended, limited: &Limited) {
    let accel = plan.accelerator().name();
    let why = facts.probed.as_ref().and_then(|probed| probed.verdicts.first());
    let why = why.map_or_else(|| "from the facts file".to_owned(), ToString::to_string);
    let group = match &limited.group {
        Ok(report) => limits(report),
        Err(reason) => format!("none: {reason}"),
    };
    let mut text = String::from("\nsandbox: the guest answered\n");
    for (what, value) in [
        ("accelerator", format!("{accel} ({why})")),
        ("machine", format!("{}, console {}", plan.machine().name(), plan.console().linux_name())),
        ("isolation", plan.isolation().to_string()),
        ("control group", group),
        (
            "boot time",
            format!(
                // As short as it is exact: the guest may say any number.
                "{:.2} s from start to answer; guest uptime {:?} s",
                answer.after.as_secs_f64(),
                answer.uptime
            ),
        ),
        ("end", format!("{}, {}: {}", ended.how, ended.status, ended.cause)),
        ("processes left", ended.processes_left.to_string()),
    ] {
        // Writing into a `String` does not fail.
        let _ = writeln!(text, "  {what:<15} {value}");
    }
    if let Some(counts) = &limited.network {
        let _ = writeln!(text, "  network         {}", frames(counts));
    }
    if ended.nospace_errors > 0 {
        let _ = writeln!(
            text,
            "  note            the host's disk was full: {} of the guest's writes failed",
            ended.nospace_errors
        );
    }
    crate::show(&text);
}

fn limits(report: &CgroupReport) -> String {
    let mut text = format!("{:.2} s of processor time", Duration::from_micros(report.cpu_usec).as_secs_f64());
    if let Some(peak) = report.memory_peak {
        let _ = write!(text, ", {} MiB of memory at most", peak >> 20);
    }
    for (count, what) in
        [(report.oom_kills, "ended for want of memory"), (report.pids_refused, "times no process could be made")]
    {
        if count > 0 {
            let _ = write!(text, ", {count} {what}");
        }
    }
    if report.cpu_throttled_usec > 0 {
        let waited = Duration::from_micros(report.cpu_throttled_usec).as_secs_f64();
        let _ = write!(text, ", {waited:.2} s held back");
    }
    text
}

/// What passed, and what did not, by reason.
fn frames(counts: &Counts) -> String {
    let (sent, received) = (counts.from_guest, counts.to_guest);
    let mut text = format!(
        "{} frames ({} KiB) from the guest, {} ({} KiB) to it; dropped {}",
        sent.frames,
        sent.bytes >> 10,
        received.frames,
        received.bytes >> 10,
        counts.total_dropped()
    );
    for (reason, count) in counts.all_dropped().filter(|(_, count)| *count > 0) {
        let _ = write!(text, "; {count} {reason}");
    }
    text
}
