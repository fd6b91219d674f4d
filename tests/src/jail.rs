//! The jail of the sandbox's QEMU, for other programs.

use std::ffi::OsString;
use std::path::Path;

use qemu_dsl::HostFacts;
use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::isolation::Isolation;
use qemu_dsl::sandbox::{Confinement, Place, SandboxConfig, plan};

use crate::minimal_guest_dir;

/// Facts of a host that has a jail, whoever runs this there.
pub fn facts() -> HostFacts {
    let facts = HostFacts::new(Architecture::X86_64, Os::Linux).with_accel(Acceleration::Tcg);
    facts.with_bwrap(true).with_root(nix::unistd::geteuid().is_root())
}

/// A new work directory in `parent`, and whoever a root launcher's program becomes, who may write to it.
///
/// # Panics
///
/// When it cannot be made.
pub fn place(parent: &Path) -> Place {
    let place = Place::new().parent(parent).make(&"faults".parse().expect("a name"), &facts());
    let place = place.unwrap_or_else(|error| panic!("{error}"));
    if let Some((_, group)) = place.user() {
        place.dir().give_to_group(group, &[]).expect("root may give it");
    }
    place
}

/// The words that the sandbox's plan puts before QEMU, for a `program` that runs in a place, and sees itself and the minimal guest.
///
/// # Panics
///
/// When there is no plan.
pub fn words(place: &Place, program: &Path) -> Vec<OsString> {
    let mut confinement = Confinement::new().isolation(Isolation::Jail);
    // What has no path is in /usr, which every jail shows.
    if program.is_absolute() {
        confinement = confinement.read(program);
    }
    let config = SandboxConfig::new("faults", place.path(), minimal_guest_dir()).expect("a good configuration");
    let config = config.qemu(program).expect("a program").confinement(place.confinement(confinement));
    let plan = plan(&config, &facts()).unwrap_or_else(|error| panic!("{error}"));
    let words: Vec<OsString> = plan.command().args().map(Into::into).collect();
    // It is also what the jail shows.
    let at = words.iter().rposition(|word| word == program).expect("the program is in its plan");
    words[..at].to_vec()
}
