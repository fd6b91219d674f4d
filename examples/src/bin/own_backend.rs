//! For authors of QEMU wrappers: back ends that the library does not know, with handles that are counted and checked like its own.

use std::path::PathBuf;

use qemu_dsl::backend::{Backend, BackendKind, NetBackend, Part, RngBackend};
use qemu_dsl::prelude::*;

/// A tap device of the host: another way to a handle that the library has, for every network device.
#[derive(QemuOpts)]
#[qemu(implied = "tap")]
struct Tap {
    ifname: String,
    script: Script,
    downscript: Script,
}
impl Backend for Tap {
    type Handle = NetBackend;
}

#[derive(QemuOpts)]
#[qemu(value)]
enum Script {
    No,
}

/// Random numbers of QEMU's own making.
#[derive(QemuOpts)]
#[qemu(implied = "rng-builtin")]
struct Builtin {}
impl Backend for Builtin {
    type Handle = RngBackend;
}

/// Directories of the host: a kind of its own, for `Virtio9p` and nothing else.
struct Fsdev;
impl BackendKind for Fsdev {
    const FLAG: &'static str = "-fsdev";
    const PREFIX: &'static str = "fsdev";
    const WHAT: &'static str = "the shared directory";
    const USER: &'static str = "one `Virtio9p`";
}

/// A directory of the host.
#[derive(QemuOpts)]
#[qemu(implied = "local", rename_all = "snake_case")]
struct Directory {
    path: PathBuf,
    security_model: SecurityModel,
    /// Whether the guest may only read. QEMU writes this key so.
    readonly: bool,
}
impl Backend for Directory {
    type Handle = Part<Fsdev>;
}

#[derive(QemuOpts)]
#[qemu(value)]
enum SecurityModel {
    None,
}

/// The guest mounts it by its tag.
#[derive(QemuOpts)]
#[qemu(device = "virtio-9p", virtio, rename_all = "snake_case")]
struct Virtio9p {
    fsdev: Part<Fsdev>,
    mount_tag: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(256));
    let net = vm.backend(Tap { ifname: "tap0".into(), script: Script::No, downscript: Script::No });
    vm.add(VirtioNet::new(net));
    let random = vm.backend(Builtin {});
    vm.add(VirtioRng::new(random));
    let directory = Directory { path: "/srv/data".into(), security_model: SecurityModel::None, readonly: true };
    let fsdev = vm.backend_as(id!("data"), directory);
    vm.add(Virtio9p { fsdev, mount_tag: "data".into() });
    println!("{}", vm.build()?);
    Ok(())
}
