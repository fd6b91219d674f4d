//! What a sandbox needs before QEMU starts: files that are what they should be, and a disk.

use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::backend::Format;
use qemu_dsl::files;
use qemu_dsl::image::{Allowed, Image, ImageError, Role};
use qemu_dsl::kernel::identify;
use qemu_dsl::launch::{Cgroup, CgroupLimits, Controller, Launch, WorkDir};
use qemu_dsl::sandbox::{Place, SandboxConfig};

use crate::cli::Cli;
use crate::input::{self, Facts, InputError};
use crate::interrupts::Interrupts;
use crate::run::RunError;

const KERNEL: &str = "scripts/setup guest makes one, --kernel-dir names another directory";
/// How long qemu-img may take to write a few tables.
const IMG_LIMIT: Duration = Duration::from_secs(30);

/// The work directory, locked, and QEMU's user.
pub(crate) fn place(cli: &Cli, facts: &Facts) -> Result<Place, InputError> {
    let mut options = Place::new();
    if let Some(user) = &cli.user {
        options = options.user(user);
    }
    if let Some(range) = &cli.uid_range {
        options = options.uids(range.clone());
    }
    if let Some(dir) = &cli.dir {
        if !dir.is_dir() {
            return Err(InputError::NoDir { path: dir.display().to_string() });
        }
        options = options.dir(dir);
    } else if let (_, Some(note)) = qemu_dsl::sandbox::work_parent(&facts.facts) {
        crate::tell(&format!("note: {note}"));
    }
    Ok(options.make(&cli.vm_id.parse()?, &facts.facts)?)
}

/// Looks at kernel and initramfs, and makes the disk or looks at the one that is there; how large it is for the guest.
pub(crate) fn files(
    cli: &Cli,
    config: &SandboxConfig,
    place: &Place,
    facts: &Facts,
    interrupts: &Interrupts,
) -> Result<u64, RunError> {
    let arch = facts.facts.arch;
    let file = |what, remedy| move |source| InputError::File { what, source, remedy };
    // A kernel that is not there has its own remedy; one that is there is looked into.
    files::open(config.kernel(arch)).map_err(file("guest kernel", KERNEL))?;
    let kernel = identify(config.kernel(arch)).and_then(|kernel| kernel.check(arch, facts.facts.qemu_version));
    kernel.map_err(InputError::from)?;
    files::open(config.initramfs(arch)).map_err(file("initramfs", KERNEL))?;
    let overlay = &config.paths().overlay;
    let disk = |source| InputError::Image { source, remedy: "" };
    let Some(base) = input::base(cli, arch) else {
        const OVERLAY: &str = "make it with `qemu-img create -f qcow2`, or leave out --dir";
        files::open(overlay).map_err(file("disk overlay", OVERLAY))?;
        let image = Image::read(overlay).map_err(disk)?;
        image.check(&Allowed::nothing()).map_err(|source| InputError::Image {
            remedy: match source {
                // For a file with all of its data there is no such option.
                ImageError::Names { role: Role::Backing, .. } => {
                    "; `--base FILE` names the one image that it may be made on"
                }
                _ => "",
            },
            source,
        })?;
        return Ok(image.virtual_size());
    };
    files::open(&base).map_err(file("root disk", KERNEL))?;
    let image = Image::read(&base).map_err(disk)?;
    image.check(&Allowed::nothing()).map_err(disk)?;
    if cli.dir.is_none() {
        make_overlay(place.dir(), &base, &image, interrupts)?;
    }
    let image = Image::read(overlay).map_err(disk)?;
    // Absolute: in the remedy, QEMU would read a relative name from the overlay's directory.
    let base = std::path::absolute(&base).unwrap_or(base);
    image.check(&Allowed::only(base)).map_err(disk)?;
    Ok(image.virtual_size())
}

/// An overlay on `base`, which is not opened for it: its size has been read already.
fn make_overlay(dir: &WorkDir, base: &Path, image: &Image, interrupts: &Interrupts) -> Result<(), RunError> {
    let failed = |reason: String| RunError::Input(InputError::Overlay(reason));
    // Absolute: QEMU reads a backing file's relative name from the overlay's directory.
    let base = std::fs::canonicalize(base).map_err(|error| failed(error.to_string()))?;
    let format = if matches!(image.format(), Format::Raw) { "raw" } else { "qcow2" };
    let mut command = QemuCommand::new("qemu-img").map_err(|error| failed(error.to_string()))?;
    let size = image.virtual_size().to_string();
    let overlay = dir.path().join("overlay.qcow2");
    let words = ["create", "-q", "-u", "-f", "qcow2", "-F", format, "-b"].map(AsRef::as_ref);
    for word in words.into_iter().chain([base.as_os_str(), overlay.as_os_str(), size.as_ref()]) {
        command.arg(word).map_err(|error| failed(error.to_string()))?;
    }
    let machine = Launch::new(&command).env_clear().start().map_err(|error| failed(error.to_string()))?;
    interrupts.end_with(machine.killer());
    let in_time = machine.wait(Instant::now() + IMG_LIMIT).is_some();
    let ended = machine.end(None).map_err(|error| failed(error.to_string()))?;
    interrupts.check()?;
    if !in_time {
        return Err(failed(format!("`qemu-img` was not done within {IMG_LIMIT:?}")));
    }
    if !ended.status.success() {
        return Err(failed(qemu_dsl::text::visible(ended.stderr.trim().as_bytes()).into_owned()));
    }
    Ok(())
}

/// What QEMU needs beside the guest's memory: its own, and under emulation the translated code.
const OVERHEAD: u64 = 512 << 20;
/// QEMU's threads, and the processes of the wrappers.
const TASKS: u64 = 256;
/// One virtual processor, and as much again for QEMU's other threads.
const CPU_PERCENT: u32 = 200;

/// A control group for QEMU, where a tree was named or delegated; why there is none, where there is none.
pub(crate) fn cgroup(cli: &Cli, place: &Place) -> Result<Result<Cgroup, String>, InputError> {
    let tree = match &cli.cgroup {
        Some(tree) => tree.clone(),
        None => match Cgroup::delegated() {
            Ok(tree) => tree,
            Err(error) => return Ok(Err(error.to_string())),
        },
    };
    let memory = (u64::from(cli.memory) << 20) + OVERHEAD;
    let all = CgroupLimits::new().memory(memory).pids(TASKS).cpu_percent(CPU_PERCENT).io_bytes(200 << 20);
    let (limits, missing) = all.available_in(&tree);
    // A tree that was asked for limits at least what a host cannot share out later.
    let is_needed = |controller: &Controller| matches!(controller, Controller::Memory | Controller::Pids);
    let limits = if cli.cgroup.is_some() && missing.iter().any(is_needed) { all } else { limits };
    match Cgroup::create(&tree, &cli.vm_id, &limits, place.path()) {
        Ok(group) => {
            for controller in missing {
                crate::tell(&format!(
                    "note: `{}` has no controller `{controller}`: that is not limited",
                    tree.display()
                ));
            }
            Ok(Ok(group))
        }
        // What was asked for is there, or nothing starts.
        Err(error) if cli.cgroup.is_some() => Err(error.into()),
        Err(error) => Ok(Err(error.to_string())),
    }
}
