//! The command line.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use qemu_dsl::isolation::Isolation;
use qemu_dsl::policy::{ExposedPort, HostName, NetworkPolicy, Rule};

/// Boots a sandbox microVM, talks to its guest agent, and ends it.
#[derive(Debug, Parser)]
#[command(
    name = "sandbox",
    version,
    after_help = "Exit status: 0 the guest answered, 1 the guest failed, 2 bad input, 3 QEMU failed, 4 timed out; 129, 130 and 143 \
                  after SIGHUP, SIGINT and SIGTERM."
)]
pub(crate) struct Cli {
    /// The name of the VM: 1 to 64 letters, digits, `-`, `.`, `_`
    #[arg(long, value_name = "ID", default_value = "sandbox", allow_hyphen_values = true)]
    pub(crate) vm_id: String,

    /// The work directory, with overlay.qcow2 in it; without this a new one is made, with a new overlay, and removed
    #[arg(long, value_name = "DIR", allow_hyphen_values = true)]
    pub(crate) dir: Option<PathBuf>,

    /// The directory of vmlinuz-ARCH, initramfs-ARCH, and maybe config-ARCH and rootfs-ARCH.qcow2
    #[arg(long, value_name = "DIR", default_value = "target/guest", allow_hyphen_values = true)]
    pub(crate) kernel_dir: PathBuf,

    /// The guest's memory in MiB: 128 to 2048
    #[arg(long, value_name = "MIB", default_value_t = 256, allow_negative_numbers = true)]
    pub(crate) memory: u32,

    /// Lets the guest reach what the host reaches, but for private, link-local and other special addresses
    #[arg(long)]
    pub(crate) allow_network: bool,

    /// Lets the guest reach these addresses, and nothing else that no other option allows; may be repeated
    #[arg(long, value_name = "CIDR[:PORT]")]
    pub(crate) net_allow: Vec<Rule>,

    /// Keeps the guest from these addresses; the longest prefix decides, and this one of equals; may be repeated
    #[arg(long, value_name = "CIDR[:PORT]")]
    pub(crate) net_deny: Vec<Rule>,

    /// Lets the guest look up this name, and reach its addresses, and nothing else that no other option allows: example.org, or
    /// *.example.org; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) net_allow_name: Vec<HostName>,

    /// Lets the guest reach services on the host's 127.0.0.1, as 192.168.127.254
    #[arg(long)]
    pub(crate) allow_host_loopback: bool,

    /// Makes a port of the guest answer on a port of the host; may be repeated
    #[arg(long, value_name = "INTERNAL:EXTERNAL")]
    pub(crate) expose: Vec<ExposedPort>,

    /// Runs QEMU as this user: root becomes it, others ask sudo, which a jail does not let work
    #[arg(long, value_name = "USER", allow_hyphen_values = true)]
    pub(crate) user: Option<String>,

    /// The user ids that QEMU of a root launcher may get, one for each VM; without this, 65536 from 1879048192
    #[arg(long, value_name = "FIRST-LAST", value_parser = uid_range)]
    pub(crate) uid_range: Option<RangeInclusive<u32>>,

    /// What holds QEMU: jail, namespaces or none; without this, the strongest that the host has
    #[arg(long, value_name = "LEVEL")]
    pub(crate) isolation: Option<Isolation>,

    /// Refuses to start with less than this
    #[arg(long, value_name = "LEVEL")]
    pub(crate) require_isolation: Option<Isolation>,

    /// Shows QEMU this file or directory in its jail, for reading; may be repeated
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub(crate) jail_read: Vec<PathBuf>,

    /// A cgroup v2 tree that was delegated to this user, to limit the VM in; without this, the program's own group if it was
    #[arg(long, value_name = "DIR", allow_hyphen_values = true)]
    pub(crate) cgroup: Option<PathBuf>,

    /// The image that the disk is made on, or that an overlay in --dir may name; without this, rootfs-ARCH.qcow2 of the kernel
    /// directory, for new disks alone
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) base: Option<PathBuf>,

    /// The QEMU binary; without this, qemu-system-ARCH from PATH
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub(crate) qemu: Option<OsString>,

    /// gvproxy, for a network
    #[arg(long, value_name = "PATH", default_value = "gvproxy", allow_hyphen_values = true)]
    pub(crate) gvproxy: OsString,

    /// Uses emulation even where there is hardware acceleration
    #[arg(long)]
    pub(crate) emulate: bool,

    /// Uses the quickest plan that real boots have shown to work, instead of the standard one
    #[arg(long)]
    pub(crate) fast: bool,

    /// How long the guest may take to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,

    /// Prints the command and starts nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// How --dry-run prints the command
    #[arg(long, value_enum, default_value_t = Format::Shell)]
    pub(crate) format: Format,

    /// Prints each option of the command with its reason, and starts nothing
    #[arg(long)]
    pub(crate) explain: bool,

    /// Uses the facts in this file instead of probing the host
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub(crate) facts: Option<PathBuf>,

    /// Prints the facts of this host, in the form that --facts reads
    #[arg(long)]
    pub(crate) print_facts: bool,
}

impl Cli {
    /// What the guest may reach.
    pub(crate) fn policy(&self) -> NetworkPolicy {
        let mut policy = NetworkPolicy::new().allow_host_loopback(self.allow_host_loopback);
        policy = self.net_allow.iter().copied().fold(policy, NetworkPolicy::allow);
        policy = self.net_deny.iter().copied().fold(policy, NetworkPolicy::deny);
        self.net_allow_name.iter().cloned().fold(policy, NetworkPolicy::allow_name)
    }

    /// Whether the guest reaches anything at all: who says what, says that.
    pub(crate) fn has_internet(&self) -> bool {
        self.allow_network || !self.net_allow.is_empty() || !self.net_allow_name.is_empty() || self.allow_host_loopback
    }
}

fn uid_range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let numbers = text.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
    numbers.ok_or_else(|| "write FIRST-LAST, such as 1879048192-1879048447".to_owned())
}

/// How a command is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// For pasting into a shell.
    Shell,
    /// The arguments as a JSON array of strings.
    Json,
}
