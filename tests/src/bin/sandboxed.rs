//! A process that launches a sandbox, as whoever runs this: `sandboxed ISOLATION USER PARENT QEMU [GVPROXY]`. It prints the process
//! id of what it started, and the work directory; and ends the sandbox when its standard input ends.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::host::{ProbeOptions, probe_now};
use qemu_dsl::isolation::Isolation;
use qemu_dsl::kernel::MmioDiscovery;
use qemu_dsl::sandbox::{Confinement, Place, Profile, SandboxConfig, SandboxNetwork, limits, plan};
use tests::minimal_guest_dir;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, level, user, parent, qemu, gvproxy @ ..] = &args[..] else {
        panic!("sandboxed ISOLATION USER PARENT QEMU [GVPROXY]")
    };
    let level: Isolation = level.parse()?;
    let probed = probe_now(&ProbeOptions::new().qemu(qemu).force_emulation(true))?;
    let facts = &probed.facts;
    let mut options = Place::new().parent(parent);
    if user != "-" {
        options = options.user(user);
    }
    let place = options.make(&"escaped".parse()?, facts)?;
    let guest = minimal_guest_dir();
    std::fs::copy(guest.join("rootfs-x86_64.qcow2"), place.path().join("overlay.qcow2"))?;
    let mut confinement = Confinement::new().isolation(level);
    if let Some(tree) = Path::new(qemu).ancestors().nth(2).filter(|tree| tree.is_absolute()) {
        confinement = confinement.read(tree);
    }
    let mut config = SandboxConfig::new("escaped", place.path(), &guest)?
        .qemu(qemu)?
        .kernel_mmio(MmioDiscovery::CommandLine)
        .profile(Profile::Fast)
        .allow_network(!gvproxy.is_empty())
        .confinement(place.confinement(confinement));
    if user != "-" {
        config = config.user(user)?;
    }
    let plan = plan(&config, facts)?;
    let log = place.dir().create_file("console.log")?;
    let program = gvproxy.first().map_or("gvproxy", String::as_str);
    let network = SandboxNetwork::start(OsStr::new(program), &config, facts, &plan, &place)?;
    place.hand_over()?;
    let machine = plan.launcher().limits(limits(Some(16 << 20))).console_file(log).start()?;
    let connect = || machine.qmp(&config.paths().qmp, Instant::now() + Duration::from_mins(1));
    drop(connect()?);
    println!("{} {}", machine.pid(), place.path().display());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let qmp = connect()?;
    let ended = machine.end(Some(qmp))?;
    drop(network);
    println!("ended by {}, {} left", ended.how, ended.processes_left);
    Ok(())
}
