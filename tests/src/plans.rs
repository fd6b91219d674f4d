//! Every configuration and host that changes a sandbox's plan.

use std::path::Path;

use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::kernel::MmioDiscovery;
use qemu_dsl::sandbox::{ExposedPort, Profile, SandboxConfig};
use qemu_dsl::{HostFacts, QemuVersion};

/// Facts of a host without anything.
pub fn bare(arch: Architecture, os: Os, accel: Acceleration) -> HostFacts {
    HostFacts::new(arch, os).with_accel(accel)
}

/// All hosts: each architecture, system and accelerator that go together, with each fact on and off.
pub fn hosts(version: Option<QemuVersion>) -> Vec<HostFacts> {
    let mut hosts = Vec::new();
    for arch in [Architecture::X86_64, Architecture::Aarch64] {
        for (os, accel) in [
            (Os::Linux, Acceleration::Kvm),
            (Os::Linux, Acceleration::Tcg),
            (Os::Macos, Acceleration::Hvf),
            (Os::Macos, Acceleration::Tcg),
        ] {
            // Each fact of the machine, and beside them each of its isolation.
            for bits in (0..16_u8).chain((1..8).map(|bits| bits << 4 | 15)) {
                let host = bare(arch, os, accel).with_tsc_deadline(bits & 1 != 0).with_io_uring(bits & 2 != 0);
                let host = host.with_unshare(bits & 4 != 0).with_seccomp(bits & 8 != 0);
                let host = host.with_unshare_user(bits & 16 != 0).with_bwrap(bits & 32 != 0).with_root(bits & 64 != 0);
                hosts.push(host.with_qemu_version(version));
            }
        }
    }
    hosts
}

/// All configurations: network modes, guest kernels, profiles, emulation.
///
/// # Panics
///
/// When `dir` is too long for a socket.
pub fn configs(dir: &Path, kernel_dir: &Path) -> Vec<SandboxConfig> {
    let port = ExposedPort { internal: 80, external: 8080 };
    let base = SandboxConfig::new("vm-1", dir, kernel_dir).expect("the directory fits");
    let mut configs = Vec::new();
    for (allow, expose) in [(false, false), (false, true), (true, true), (true, false)] {
        for kernel in [MmioDiscovery::CommandLine, MmioDiscovery::AcpiOnly, MmioDiscovery::None, MmioDiscovery::Unknown]
        {
            for profile in [Profile::Standard, Profile::Fast] {
                let config = base.clone().allow_network(allow).kernel_mmio(kernel).profile(profile);
                configs.push(config.expose(expose.then_some(port)).expect("one port"));
            }
        }
    }
    configs
}
