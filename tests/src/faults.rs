//! The faults that launches are tried with, and what becomes of each: the test draws from this table, and
//! `docs/reliability.md` is made from it.

use std::fmt::Write as _;

/// One way in which a machine can fail.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its name; the stand-in for QEMU knows those of its own.
    pub name: &'static str,
    /// What happens.
    pub what: &'static str,
    /// Who fails.
    pub by: By,
    /// What the library makes of it, as the test words it.
    pub outcome: &'static str,
    /// How often it is drawn: slow ones are drawn seldom.
    pub weight: u32,
}

/// Who fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A stand-in for QEMU.
    StandIn,
    /// A stand-in for QEMU, behind `unshare` in a process namespace of its own.
    Wrapped,
    /// A stand-in for QEMU, in the jail of the sandbox's QEMU.
    Jailed,
    /// Real QEMU without a machine.
    Qemu,
    /// Real QEMU with a guest.
    Guest,
    /// The same in the jail.
    JailedGuest,
    /// The launching process.
    Launcher,
    /// The launching process, of a stand-in in the jail.
    JailedLauncher,
}

impl By {
    /// Whether what is launched is in the jail.
    pub const fn is_jailed(self) -> bool {
        matches!(self, Self::Jailed | Self::JailedGuest | Self::JailedLauncher)
    }
}

const fn fault(by: By, name: &'static str, what: &'static str, outcome: &'static str, weight: u32) -> Fault {
    Fault { name, what, by, outcome, weight }
}

/// All faults.
pub const FAULTS: &[Fault] = &[
    fault(By::StandIn, "none", "everything works", "ended by QMP quit", 40),
    fault(
        By::StandIn,
        "exit-at-once",
        "QEMU ends at once, with a message",
        "Exited, with status, message and argument",
        60,
    ),
    fault(By::StandIn, "crash-at-once", "QEMU aborts at once", "Exited, with the signal", 30),
    fault(By::StandIn, "hang-before-sockets", "QEMU hangs before it listens", "Timeout at the deadline", 20),
    fault(By::StandIn, "hang-after-sockets", "QEMU listens and never accepts", "QMP timeout at the deadline", 20),
    fault(By::StandIn, "silent", "QEMU accepts and sends no greeting", "QMP timeout at the deadline", 20),
    fault(By::StandIn, "stuck-in-accept", "QEMU 5.2 and 7.2 wait for another client", "ended by QMP quit", 10),
    fault(By::StandIn, "first-command-lost", "QEMU 5.2 loses the first command", "ended by QMP quit", 5),
    fault(By::StandIn, "close-at-greeting", "QEMU closes QMP instead of a greeting", "QMP closed", 30),
    fault(By::StandIn, "garbage", "QEMU's greeting is garbage", "QMP malformed", 30),
    fault(By::StandIn, "close-mid-reply", "QEMU closes QMP in the middle of a reply", "QMP closed", 30),
    fault(By::StandIn, "exit-mid-reply", "QEMU ends in the middle of a reply", "QMP closed", 30),
    fault(By::StandIn, "no-reply", "QEMU does not reply to a command", "QMP timeout at the deadline", 20),
    fault(By::StandIn, "huge-line", "QEMU's reply has no end", "QMP too long", 6),
    fault(By::StandIn, "late-replies", "events and replies to nobody come before the reply", "ended by QMP quit", 30),
    fault(By::StandIn, "flood-events", "QEMU sends events without an end", "ended by QMP quit", 10),
    fault(
        By::StandIn,
        "flood-greeting",
        "QEMU sends events without an end instead of a greeting",
        "QMP timeout at the deadline",
        10,
    ),
    fault(
        By::StandIn,
        "flood-blank-lines",
        "QEMU sends blank lines without an end instead of a reply",
        "QMP timeout at the deadline",
        10,
    ),
    fault(
        By::StandIn,
        "flood-late-ids",
        "QEMU sends replies to nobody without an end instead of a reply",
        "QMP timeout at the deadline",
        10,
    ),
    fault(By::StandIn, "large-reply", "QEMU's reply is small, and becomes large when it is parsed", "QMP too long", 10),
    fault(
        By::StandIn,
        "flood-at-quit",
        "QEMU sends events without an end instead of a reply to quit",
        "ended by SIGTERM",
        2,
    ),
    fault(By::StandIn, "flood-stderr", "QEMU floods its standard error", "ended by QMP quit", 20),
    fault(By::StandIn, "flood-console", "QEMU floods its console", "ended by QMP quit", 20),
    fault(By::StandIn, "ignore-quit", "QEMU does not reply to quit", "ended by SIGTERM", 2),
    fault(By::StandIn, "ignore-sigterm", "QEMU replies neither to quit nor to SIGTERM", "ended by SIGKILL", 2),
    fault(By::StandIn, "stop-itself", "QEMU is stopped (SIGSTOP)", "ended by SIGKILL", 2),
    fault(
        By::StandIn,
        "escaped-child",
        "QEMU leaves a process behind, in a session of its own",
        "ended by QMP quit",
        20,
    ),
    fault(By::StandIn, "console-log-full", "the disk of the console log is full", "ended by QMP quit", 20),
    fault(By::StandIn, "no-program", "there is no such program", "Start, with a remedy", 20),
    fault(By::StandIn, "dropped", "the handle is dropped", "killed", 40),
    fault(
        By::StandIn,
        "stranger",
        "another process listens at the socket already",
        "Stranger, with its process id",
        20,
    ),
    fault(By::Wrapped, "none", "everything works", "ended by QMP quit", 20),
    fault(By::Wrapped, "exit-at-once", "QEMU ends at once", "Exited, with status, message and argument", 20),
    fault(By::Wrapped, "hang-before-sockets", "QEMU hangs", "Timeout at the deadline", 10),
    fault(
        By::Wrapped,
        "escaped-child",
        "QEMU leaves a process behind, in a session of its own",
        "ended by QMP quit",
        10,
    ),
    fault(By::Wrapped, "dropped", "the handle is dropped", "killed", 20),
    fault(By::Jailed, "none", "everything works", "ended by QMP quit", 10),
    fault(
        By::Jailed,
        "exit-at-once",
        "QEMU ends at once, with a message",
        "Exited, with status, message and argument",
        15,
    ),
    fault(By::Jailed, "crash-at-once", "QEMU aborts at once", "Exited, with the signal", 7),
    fault(By::Jailed, "hang-before-sockets", "QEMU hangs before it listens", "Timeout at the deadline", 5),
    fault(By::Jailed, "hang-after-sockets", "QEMU listens and never accepts", "QMP timeout at the deadline", 5),
    fault(By::Jailed, "silent", "QEMU accepts and sends no greeting", "QMP timeout at the deadline", 5),
    fault(By::Jailed, "stuck-in-accept", "QEMU 5.2 and 7.2 wait for another client", "ended by QMP quit", 2),
    fault(By::Jailed, "first-command-lost", "QEMU 5.2 loses the first command", "ended by QMP quit", 1),
    fault(By::Jailed, "close-at-greeting", "QEMU closes QMP instead of a greeting", "QMP closed", 7),
    fault(By::Jailed, "garbage", "QEMU's greeting is garbage", "QMP malformed", 7),
    fault(By::Jailed, "close-mid-reply", "QEMU closes QMP in the middle of a reply", "QMP closed", 7),
    fault(By::Jailed, "exit-mid-reply", "QEMU ends in the middle of a reply", "QMP closed", 7),
    fault(By::Jailed, "no-reply", "QEMU does not reply to a command", "QMP timeout at the deadline", 5),
    fault(By::Jailed, "huge-line", "QEMU's reply has no end", "QMP too long", 1),
    fault(By::Jailed, "late-replies", "events and replies to nobody come before the reply", "ended by QMP quit", 7),
    fault(By::Jailed, "flood-events", "QEMU sends events without an end", "ended by QMP quit", 2),
    fault(
        By::Jailed,
        "flood-greeting",
        "QEMU sends events without an end instead of a greeting",
        "QMP timeout at the deadline",
        2,
    ),
    fault(
        By::Jailed,
        "flood-blank-lines",
        "QEMU sends blank lines without an end instead of a reply",
        "QMP timeout at the deadline",
        2,
    ),
    fault(
        By::Jailed,
        "flood-late-ids",
        "QEMU sends replies to nobody without an end instead of a reply",
        "QMP timeout at the deadline",
        2,
    ),
    fault(By::Jailed, "large-reply", "QEMU's reply is small, and becomes large when it is parsed", "QMP too long", 2),
    fault(
        By::Jailed,
        "flood-at-quit",
        "QEMU sends events without an end instead of a reply to quit",
        "ended by SIGTERM",
        1,
    ),
    fault(By::Jailed, "flood-stderr", "QEMU floods its standard error", "ended by QMP quit", 5),
    fault(By::Jailed, "flood-console", "QEMU floods its console", "ended by QMP quit", 5),
    fault(By::Jailed, "ignore-quit", "QEMU does not reply to quit", "ended by SIGTERM", 1),
    fault(
        By::Jailed,
        "ignore-sigterm",
        "QEMU replies neither to quit nor to SIGTERM, which ends bwrap, and all with it",
        "ended by SIGTERM",
        1,
    ),
    fault(
        By::Jailed,
        "stop-itself",
        "QEMU is stopped (SIGSTOP); SIGTERM ends bwrap, and all with it",
        "ended by SIGTERM",
        1,
    ),
    fault(By::Jailed, "escaped-child", "QEMU leaves a process behind, in a session of its own", "ended by QMP quit", 5),
    fault(By::Jailed, "console-log-full", "the disk of the console log is full", "ended by QMP quit", 5),
    fault(By::Jailed, "no-program", "there is no such program", "Exited, with status and message", 5),
    fault(By::Jailed, "dropped", "the handle is dropped", "killed", 10),
    fault(By::Jailed, "stranger", "another process listens at the socket already", "Stranger, with its process id", 5),
    fault(By::Jailed, "killed", "somebody kills bwrap", "Exited, with the signal", 5),
    fault(By::Jailed, "killed-inside", "somebody kills QEMU itself", "Exited, with the signal", 5),
    fault(By::Jailed, "stopped", "somebody stops bwrap (SIGSTOP), which then does not end", "ended by SIGKILL", 1),
    fault(By::Jailed, "thread-ends", "the thread that launched QEMU ends", "ended by QMP quit", 5),
    fault(By::Qemu, "none", "everything works", "ended by QMP quit", 60),
    fault(By::Qemu, "bad-option", "an option that QEMU does not know", "Exited, with status, message and argument", 40),
    fault(By::Qemu, "dropped", "the handle is dropped", "killed", 40),
    fault(By::Qemu, "stale-socket", "a socket of an earlier QEMU is there still", "ended by QMP quit", 20),
    fault(By::Qemu, "killed", "somebody kills QEMU", "QMP closed", 20),
    fault(By::Qemu, "stopped", "somebody stops QEMU (SIGSTOP)", "QMP timeout at the deadline", 10),
    fault(By::Qemu, "thread-ends", "the thread that launched QEMU ends", "ended by QMP quit", 20),
    fault(By::Launcher, "kill", "the launching process is killed (SIGKILL)", "QEMU ends", 10),
    fault(By::Launcher, "term", "the launching process gets SIGTERM", "QEMU ends", 6),
    fault(By::Launcher, "thread", "the launching thread has ended, then the process is killed", "QEMU ends", 6),
    fault(By::Launcher, "panic", "the launching process panics", "QEMU ends", 6),
    fault(By::Launcher, "abort", "the launching process aborts", "QEMU ends", 6),
    fault(By::Launcher, "exit", "the launching process exits and drops nothing", "QEMU ends", 6),
    fault(By::Launcher, "few-files", "16 open files are allowed", "Limit, with a remedy", 6),
    fault(By::Launcher, "no-file-left", "no file descriptor is left", "Start, with the reason", 6),
    fault(By::JailedLauncher, "kill", "the launching process is killed (SIGKILL)", "QEMU ends", 3),
    fault(By::JailedLauncher, "term", "the launching process gets SIGTERM", "QEMU ends", 3),
    fault(By::JailedLauncher, "thread", "the launching thread has ended, then the process is killed", "QEMU ends", 3),
    fault(By::JailedLauncher, "panic", "the launching process panics", "QEMU ends", 3),
    fault(By::JailedLauncher, "abort", "the launching process aborts", "QEMU ends", 3),
    fault(By::JailedLauncher, "exit", "the launching process exits and drops nothing", "QEMU ends", 3),
];

/// What guests are tried with, in turn.
pub const GUEST_FAULTS: &[Fault] = &[
    fault(By::Guest, "power-off", "the guest powers off", "ended by itself", 1),
    fault(By::Guest, "dropped", "the handle is dropped while the guest boots", "killed", 1),
    fault(By::Guest, "quit", "QMP quit while the guest boots", "ended by QMP quit", 1),
    fault(By::Guest, "killed", "somebody kills QEMU while the guest boots", "Exited, with the signal", 1),
    fault(By::Guest, "impatient", "the deadline passes before the agent answers", "agent timeout at the deadline", 1),
    fault(By::JailedGuest, "power-off", "the guest powers off", "ended by itself", 1),
    fault(By::JailedGuest, "dropped", "the handle is dropped while the guest boots", "killed", 1),
    fault(By::JailedGuest, "quit", "QMP quit while the guest boots", "ended by QMP quit", 1),
    fault(By::JailedGuest, "killed", "somebody kills QEMU while the guest boots", "Exited, with the signal", 1),
    fault(
        By::JailedGuest,
        "impatient",
        "the deadline passes before the agent answers",
        "agent timeout at the deadline",
        1,
    ),
];

/// `docs/reliability.md`.
pub fn markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for (by, title) in [
        (By::StandIn, "A stand-in for QEMU fails"),
        (By::Wrapped, "The same behind `unshare --pid --fork --kill-child`"),
        (By::Jailed, "The same in the jail"),
        (By::Qemu, "Real QEMU fails"),
        (By::Guest, "Real QEMU with a guest"),
        (By::JailedGuest, "Real QEMU with a guest in the jail"),
        (By::Launcher, "The launching process fails"),
        (By::JailedLauncher, "The launching process fails, and QEMU is in the jail"),
    ] {
        let _ = write!(page, "\n### {title}\n\n| fault | what happens | outcome |\n|---|---|---|\n");
        for fault in FAULTS.iter().chain(GUEST_FAULTS).filter(|fault| fault.by == by) {
            let _ = writeln!(page, "| {} | {} | {} |", fault.name, fault.what, fault.outcome);
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Reliability

What the library promises of a machine that it has launched: it says within milliseconds when QEMU fails, waits for nothing without a
limit, and leaves no process, socket or directory.

## How a machine ends

| step | when | reported as |
|---|---|---|
| the guest powers off | the agent or the power button told it to; 5 s at most | `End::Itself`, `End::PowerDown` |
| QMP `quit` | 5 s at most | `End::Quit` |
| SIGTERM to the process group | 2 s at most | `End::Term` |
| SIGKILL to the process group and all that came of it | 2 s at most | `End::Kill` |

Descendants are looked up before the first step, and go with the program, also those that have left its group. `Ended::processes_left`
counts what is alive after the last one. It is looked up, not assumed. In a jail SIGTERM ends bubblewrap, and the kernel then ends
everything in its process namespace: a QEMU there that ignores SIGTERM is gone too.

**Why it ended** is `Ended::cause`: what QEMU said over QMP (powered off, rebooted, panicked), or its status and the host tell (a signal,
the seccomp filter, a resource limit, no memory left). A signal behind a wrapper is told as such: `sudo` and bubblewrap end with 128 and its number,
and `unshare` of util-linux with 1 and a complaint of its own.

**What cannot be ended** is `LaunchError::Alive`, with the reason, 2 s after SIGKILL: a process that somebody traces and does not let go of, that
runs as a user whose processes this one may not signal, or that waits in the kernel for a device. All else of the machine is gone then.

**What cannot be seen** is not touched. Where /proc is that of another process namespace, its numbers are others' here: nothing is started
(`LaunchError::NoProc`), and probes end no more than the process groups of what they start.

## What ends QEMU with its launcher

| tie | covers | since |
|---|---|---|
| `PR_SET_PDEATHSIG`, which the child sets before it executes QEMU | the launching process dies, in whatever way; the *thread* that launched may end | Linux |
| `unshare --kill-child` | the same, through a wrapper; a process namespace ends with its first process | util-linux 2.32 |
| `bwrap --die-with-parent` and its process namespace | the same, in the jail, whatever QEMU has started there | bubblewrap 0.1.8 |
| `setpriv --pdeathsig KILL` | a change of the user, for which the kernel clears the first tie | util-linux 2.33 |
| `-run-with exit-with-parent=on` (`Launch::exit_with_parent`) | the same, behind `sudo` | QEMU 10.2 |
| `Machine`'s `Drop` | a panic, an early return | |

## Signals

The program `sandbox` ends its machine at SIGHUP, SIGINT and SIGTERM, at every moment: also while the disk is made or QEMU is asked what it
can do. It removes its directory and ends with status 129, 130 or 143. What does not come to an end within 10 s, as a file system that does not
answer, is left, and the program ends all the same. SIGXFSZ (a limit of file sizes) costs the console's log, and nothing else.

## Directories

A work directory is locked (`flock`) while its owner lives, so a second machine in it is an error that names the first, before anything is
touched. A launcher that is killed with SIGKILL leaves its directory, without the lock: the next one that is made in the same place
removes it.

## Another user's QEMU

Files that root or the launcher writes, `console.log` and the disk, are made while the directory is the launcher's own (mode 0700). Then it is
given to the group that QEMU runs in, with the disk (`Place::hand_over`, mode 3770): QEMU can make its sockets there, and can
neither remove nor replace what is not its own. QEMU's umask is 007, so that its sockets are for user and group.

A root launcher's QEMU changes its user with `setpriv`, in a jail or not. Of an ordinary launcher the plan is `sudo -u qemu-vm stdbuf -oL
qemu-system-...`. `sudo` adds its own umask, 0022 by default, and a socket needs the right to write: sudoers needs `Defaults umask=0007,
umask_override` then.

## Faults and outcomes

Made by `cargo run -p tests --bin reliability` from the table that the test draws from. `cargo test -p tests --test faults` launches
1,000 times and more, with faults drawn at random, and looks after each for processes, sockets and directories that are left, and for
the right error within its deadline. It prints its seed; `QEMU_DSL_SEED=...` repeats a run. Everything that happens in a jail happens in
root's, and in that of an ordinary user, which is made differently.
";
