//! What can be judged only when a VM is complete: what is unused, what is used twice, what must differ, what does not fit.

use std::sync::LazyLock;

use memchr::memmem;

use super::error::BuildError;
use super::inner::{Inner, KernelState};
use crate::backend::ReadOnlyImage;
use crate::opts::{Claim, Sort, Trait, Transport, Unique, unescape};
use crate::{QemuCommand, QemuVersion};

/// The longest command line that x86 and arm64 kernels keep; what is behind it is lost, and nobody says so. (`COMMAND_LINE_SIZE`,
/// arch/*/include/uapi/asm/setup.h: 2048 with NUL)
const MAX_CMDLINE: usize = 2047;

/// What QEMU's own MAC addresses begin with, and the last byte of the first of them. (`qemu_macaddr_default_if_unset`, net/net.c)
const AUTOMATIC_MAC: (&str, u8) = ("52:54:00:12:34:", 0x56);

impl Inner {
    /// Everything.
    pub(super) fn check(&mut self) {
        let mut errors = std::mem::take(&mut self.errors);
        self.check_parts(&mut errors);
        self.check_threads(&mut errors);
        check_claims(&self.command, &mut errors);
        self.check_counts(&mut errors);
        self.errors = errors;
    }

    fn is_at_least(&self, major: u16, minor: u16) -> bool {
        self.context.version.is_some_and(|version: QemuVersion| version.is_at_least(major, minor))
    }

    /// What nobody uses, and what too many do.
    fn check_parts(&self, errors: &mut Vec<BuildError>) {
        let mut idle_controller = false;
        for part in &self.command.scratch.noted.parts {
            if part.kind.sort == Sort::Free {
                continue;
            }
            if part.uses > part.most {
                errors.push(BuildError::UsedTwice {
                    what: part.kind.what,
                    id: part.id.to_string(),
                    user: part.kind.user,
                });
            }
            // Its ports are behind it, and one error is enough for all.
            let is_port = part.kind.sort == Sort::Port;
            let id = || if is_port { format!("port {}", part.next) } else { part.id.to_string() };
            let is_unused = part.uses == 0 && !part.is_spare;
            if is_unused && !(is_port && idle_controller) {
                errors.push(BuildError::Unused { what: part.kind.what, id: id(), user: part.kind.user });
            }
            if !is_port {
                idle_controller = is_unused;
            }
            if part.kind.sort == Sort::SharedImage && part.id.as_bytes().len() > ReadOnlyImage::MAX_NODE_NAME {
                errors.push(BuildError::NodeName { id: part.id.to_string() });
            }
        }
    }

    /// I/O threads: where they do not work.
    fn check_threads(&self, errors: &mut Vec<BuildError>) {
        let noted = &self.command.scratch.noted;
        let used = |claim: &Claim| match claim.kind {
            Unique::Use { part, mmio } => noted.parts.get(part as usize).map(|part| (part, mmio)),
            _ => None,
        };
        for claim in &noted.claims {
            let Some((thread, mmio)) = used(claim) else { continue };
            if thread.kind.sort != Sort::Thread {
                continue;
            }
            let id = || thread.id.to_string();
            let is_proven = thread.trait_of == Trait::Proven;
            let is_old = self.context.version.is_some() && !self.is_at_least(10, 0);
            if is_proven && is_old && !self.has_ioeventfd(mmio) {
                errors.push(BuildError::IoThreadVersion { id: id() });
            } else if !is_proven && !self.has_ioeventfd(mmio) && self.board.facts.transport == Transport::Pci {
                errors.push(BuildError::IoThreadOnMmio { id: id() });
            }
            let of_the_same = noted.claims.iter().filter(|other| other.text == claim.text).filter_map(used);
            let image =
                of_the_same.map(|(part, _)| part).find(|part| part.uses > 1 && part.kind.sort == Sort::SharedImage);
            if let Some(image) = image
                && !self.is_at_least(10, 0)
                && !errors.iter().any(|error| matches!(error, BuildError::SharedImageOnThread { .. }))
            {
                errors.push(BuildError::SharedImageOnThread { image: image.id.to_string(), id: id() });
            }
        }
    }

    fn has_ioeventfd(&self, mmio: bool) -> bool {
        !mmio || self.mmio_ioeventfd || self.is_at_least(10, 0)
    }

    fn check_counts(&self, errors: &mut Vec<BuildError>) {
        let version = self.context.version;
        self.board.check_cpus(version, self.cpus, errors);
        let boots = self.kernel != KernelState::None || self.kernel_elsewhere;
        self.board.check(version, (self.mmio_devices, self.pci_devices), boots, errors);
    }

    pub(super) fn check_cmdline(&mut self, len: usize) {
        // A microvm without ACPI announces each device there: ` virtio_mmio.device=512@0xfeb00e00:12`.
        let devices = if self.board.facts.announces_mmio { 37 * self.mmio_devices as usize } else { 0 };
        if len + devices > MAX_CMDLINE {
            self.error(BuildError::CmdlineTooLong { len, max: MAX_CMDLINE.saturating_sub(devices) });
        }
    }
}

/// Values that have to differ and do not.
fn check_claims(command: &QemuCommand, errors: &mut Vec<BuildError>) {
    let claims = &command.scratch.noted.claims;
    let mut kinds = 0_u32;
    for (count, claim) in claims.iter().enumerate() {
        // Most are the first of their kind.
        let kind = claim.kind.bit();
        if kinds & kind != 0 {
            let mut others = claims[..count].iter().filter(|earlier| may_clash(earlier, claim));
            errors.extend(others.find_map(|earlier| clash(command, earlier, claim)));
        }
        kinds |= kind;
    }
    if kinds & Unique::AutomaticMac.bit() != 0 {
        check_automatic_macs(command, errors);
    }
}

/// Whether it is worth to look closer, which it hardly ever is.
fn may_clash(earlier: &Claim, claim: &Claim) -> bool {
    earlier.kind.bit() == claim.kind.bit()
        && (earlier.text.len() == claim.text.len() || earlier.escaped != claim.escaped)
}

fn clash(command: &QemuCommand, earlier: &Claim, claim: &Claim) -> Option<BuildError> {
    let same = || same_text(command, earlier, claim);
    match (earlier.kind, claim.kind) {
        (Unique::Path(first), Unique::Path(second)) => {
            let clashes = (first.is_exclusive() || second.is_exclusive()) && same();
            clashes.then(|| BuildError::SamePath {
                path: text(command, claim),
                first: first.words(),
                second: second.words(),
            })
        }
        (first, second) if first != second => None,
        (Unique::PortName(_), _) => same().then(|| BuildError::PortName { name: text(command, claim) }),
        (Unique::DiskSerial, _) => same().then(|| BuildError::SameSerial { serial: text(command, claim) }),
        (Unique::Mac, _) => same().then(|| BuildError::SameMac { mac: text(command, claim) }),
        (Unique::Named(what), _) => same().then(|| BuildError::SameValue { what, value: text(command, claim) }),
        (Unique::BootIndex(index), _) => Some(BuildError::SameBootIndex { index }),
        (Unique::Chassis(chassis, slot), _) => Some(BuildError::SameChassis { chassis, slot }),
        (Unique::Single(device), _) => Some(BuildError::Single { device }),
        (Unique::Fd(fd), _) => Some(BuildError::SameDescriptor { fd }),
        (Unique::AutomaticMac | Unique::Path(_) | Unique::Use { .. }, _) => None,
    }
}

/// The text of a claim, as it was before it was escaped.
fn text(command: &QemuCommand, claim: &Claim) -> String {
    let text = command.bytes(claim.text.clone());
    let plain = if claim.escaped { unescape(text) } else { text.into() };
    String::from_utf8_lossy(&plain).into_owned()
}

fn same_text(command: &QemuCommand, one: &Claim, other: &Claim) -> bool {
    let (a, b) = (command.bytes(one.text.clone()), command.bytes(other.text.clone()));
    let (escaped, plain) = if one.escaped { (a, b) } else { (b, a) };
    if one.escaped == other.escaped || escaped.len() <= plain.len() {
        return a == b;
    }
    // Each comma stands twice in the one, once in the other. From behind: paths begin with the same directory.
    let mut rest = escaped.iter().rev();
    plain.iter().rev().all(|byte| rest.next() == Some(byte) && (*byte != b',' || rest.next() == Some(byte)))
        && rest.next().is_none()
}

/// An address that QEMU gives to one device, and the definition to another.
fn check_automatic_macs(command: &QemuCommand, errors: &mut Vec<BuildError>) {
    let mut taken = [false; 256];
    for claim in &command.scratch.noted.claims {
        let given = match claim.kind {
            Unique::Mac => command.bytes(claim.text.clone()),
            Unique::AutomaticMac => {
                if let Some(free) = (usize::from(AUTOMATIC_MAC.1)..0xff).find(|last| !taken[*last]) {
                    taken[free] = true;
                }
                continue;
            }
            _ => continue,
        };
        let last = given.strip_prefix(AUTOMATIC_MAC.0.as_bytes());
        let last = last.and_then(|last| u8::from_str_radix(std::str::from_utf8(last).ok()?, 16).ok());
        if let Some(last) = last
            && std::mem::replace(&mut taken[usize::from(last)], true)
        {
            errors.push(BuildError::AutomaticMac { mac: text(command, claim) });
        }
    }
}

/// The parameters that set the console, as Linux reads them; `--` ends its own. (`next_arg`, lib/cmdline.c; `parse_args`,
/// kernel/params.c)
pub(super) fn console_parameters(cmdline: &[u8], console: &'static str) -> Vec<BuildError> {
    // Made once: making it takes longer than looking.
    static CONSOLE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"console="));
    if CONSOLE.find(cmdline).is_none() {
        return Vec::new();
    }
    let mut errors = Vec::new();
    let mut rest = cmdline;
    loop {
        let start = rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len());
        rest = &rest[start..];
        let mut in_quotes = false;
        let end = rest.iter().position(|&byte| {
            in_quotes ^= byte == b'"';
            is_space(byte) && !in_quotes
        });
        let (word, more) = rest.split_at(end.unwrap_or(rest.len()));
        if word.is_empty() || word == b"--" {
            return errors;
        }
        let parameter = word.strip_prefix(b"\"").unwrap_or(word);
        if parameter.starts_with(b"console=") {
            errors
                .push(BuildError::ConsoleInCmdline { parameter: String::from_utf8_lossy(word).into_owned(), console });
        }
        rest = more;
    }
}

/// Linux's `isspace`: Latin-1's space without breaks is one. (lib/ctype.c)
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0d | 0xa0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn console_is_found_as_linux_finds_it() {
        let found = |text: &[u8]| console_parameters(text, "ttyS0").len();
        for (text, count) in [
            (&b"console=tty0 quiet"[..], 1),
            (b"\"console=tty0\" quiet", 1),
            (b"quiet\x0bconsole=tty0", 1),
            (b"quiet\xa0console=tty0", 1),
            (b"console=ttyS0 console=tty0", 2),
            (b"rdinit=/x -- console=foo", 0),
            (b"dyndbg=\"file a +p; console=b\"", 0),
            (b"netconsole=x earlyconsole=y", 0),
            (b"a\"b console=tty0", 0),
            (b"", 0),
        ] {
            assert_eq!(found(text), count, "{}", text.escape_ascii());
        }
    }
}
