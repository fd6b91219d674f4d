//! A process that launches a sandbox, as whoever runs this: `sandboxed ISOLATION USER PARENT QEMU`. It prints the work directory and
//! the process id of what it started, and ends the sandbox when its standard input ends.

use std::io::Read as _;
use std::time::{Duration, Instant};

use qemu_dsl::HostFacts;
use qemu_dsl::host::{ProbeOptions, probe_now};
use qemu_dsl::isolation::Isolation;
use qemu_dsl::kernel::MmioDiscovery;
use qemu_dsl::sandbox::{Confinement, Place, Profile, SandboxConfig, plan};
use tests::minimal_guest_dir;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, level, user, parent, qemu] = &args[..] else { panic!("sandboxed ISOLATION USER PARENT QEMU") };
    let level: Isolation = level.parse()?;
    let facts: HostFacts = probe_now(&ProbeOptions::new().qemu(qemu).force_emulation(true))?.facts.clone();
    let facts = facts.with_bwrap(true).with_unshare_user(true).with_root(nix::unistd::geteuid().is_root());
    let mut options = Place::new().parent(parent);
    if user != "-" {
        options = options.user(user);
    }
    let place = options.make(&"escaped".parse()?, &facts)?;
    let guest = minimal_guest_dir();
    let overlay = place.path().join("overlay.qcow2");
    std::fs::copy(guest.join("rootfs-x86_64.qcow2"), overlay)?;
    place.hand_over()?;
    let mut confinement = Confinement::new().isolation(level);
    if let Some(tree) = std::path::Path::new(qemu).ancestors().nth(2).filter(|tree| tree.is_absolute()) {
        confinement = confinement.read(tree);
    }
    let config = SandboxConfig::new("escaped", place.path(), &guest)?
        .qemu(qemu)?
        .kernel_mmio(MmioDiscovery::CommandLine)
        .profile(Profile::Fast)
        .confinement(place.confinement(confinement));
    let config = if user == "-" { config } else { config.user(user)? };
    let plan = plan(&config, &facts)?;
    assert_eq!(plan.isolation(), level);
    let machine = plan.launcher().console_file(place.dir().create_file("console.log")?).start()?;
    let qmp = machine.qmp(&config.paths().qmp, Instant::now() + Duration::from_mins(1))?;
    drop(qmp);
    println!("{} {}", machine.pid(), place.path().display());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let qmp = machine.qmp(&config.paths().qmp, Instant::now() + Duration::from_mins(1))?;
    let ended = machine.end(Some(qmp))?;
    println!("ended by {}, {} left", ended.how, ended.processes_left);
    Ok(())
}
