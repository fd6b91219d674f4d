//! Files in the place of a kernel: what QEMU makes of each, and that the library says what it is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};
use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture::{self, Aarch64, X86_64};
use qemu_dsl::kernel::{self, KernelError, KernelKind, MmioDiscovery};
use tests::{Judged, Qemu, guest_dir, judge, minimal_guest_dir, qemus};

/// What QEMU does with a file.
#[derive(Debug, Clone, Copy)]
enum Qemus {
    /// It starts: rightly, or to run what is no kernel, without a word.
    Starts,
    /// It ends and says this.
    Says(&'static str),
}

struct Case {
    name: &'static str,
    arch: Architecture,
    bytes: Vec<u8>,
    qemus: fn(&Qemu) -> Qemus,
    /// A word of the library's error; [`None`] where there is none.
    error: fn(&Qemu) -> Option<&'static str>,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As Linux makes it, without the decompressor. (drivers/firmware/efi/libstub/zboot-header.S)
fn zboot(compression: &str, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap();
    let mut bytes = [b"MZ\0\0zimg", &64_u32.to_le_bytes()[..], &size.to_le_bytes()].concat();
    bytes.resize(24, 0);
    bytes.extend_from_slice(compression.as_bytes());
    bytes.resize(56, 0);
    bytes.extend_from_slice(&[0xcd, 0x23, 0x82, 0x81, 0, 0, 0, 0]);
    [&bytes, payload].concat()
}

/// The `vmlinux` without its notes: the segment that points to them is of another kind.
fn without_notes(vmlinux: &[u8]) -> Vec<u8> {
    let mut bytes = vmlinux.to_vec();
    let count = usize::from(u16::from_le_bytes([bytes[56], bytes[57]]));
    for header in 0..count {
        let kind = 64 + 56 * header;
        if bytes[kind] == 4 {
            bytes[kind] = 0;
        }
    }
    bytes
}

/// An arm64 program that is linked to the upper half, as `vmlinux` is.
fn high_elf() -> Vec<u8> {
    let mut bytes = vec![0; 0x300];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16..24].copy_from_slice(&[2, 0, 183, 0, 1, 0, 0, 0]);
    let address = 0xffff_8000_0800_0000_u64.to_le_bytes();
    bytes[24..32].copy_from_slice(&address);
    bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
    bytes[54..58].copy_from_slice(&[56, 0, 1, 0]);
    bytes[64..72].copy_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
    bytes[72..80].copy_from_slice(&0x200_u64.to_le_bytes());
    bytes[80..88].copy_from_slice(&address);
    bytes[88..96].copy_from_slice(&address);
    bytes[96..104].copy_from_slice(&0x100_u64.to_le_bytes());
    bytes[104..112].copy_from_slice(&0x100_u64.to_le_bytes());
    bytes
}

const TOO_OLD: &str = "linux kernel too old to load a ram disk";

fn starts(_: &Qemu) -> Qemus {
    Qemus::Starts
}

fn cases() -> Vec<Case> {
    let read = |path: PathBuf| std::fs::read(path).unwrap();
    let bzimage = read(guest_dir().join("vmlinuz-x86_64"));
    let arm64 = read(guest_dir().join("vmlinuz-aarch64"));
    let vmlinux = read(minimal_guest_dir().join("vmlinux-x86_64"));
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let x86 = |name, bytes, qemus, error| Case { name, arch: X86_64, bytes, qemus, error };
    let arm = |name, bytes, qemus, error| Case { name, arch: Aarch64, bytes, qemus, error };
    vec![
        x86("bzImage", bzimage.clone(), starts, |_| None),
        x86("vmlinux", vmlinux.clone(), starts, |_| None),
        x86("half a bzImage", half(&bzimage), starts, |_| Some("cut off")),
        x86("half a vmlinux", half(&vmlinux), |_| Qemus::Says("Error while loading elf kernel"), |_| Some("cut off")),
        x86("vmlinux without notes", without_notes(&vmlinux), |_| Qemus::Says("without PVH"), |_| Some("CONFIG_PVH=y")),
        x86("gzipped bzImage", gzip(&bzimage), |_| Qemus::Says(TOO_OLD), |_| Some("gunzip")),
        x86("Image", arm64.clone(), |_| Qemus::Says(TOO_OLD), |_| Some("is for aarch64")),
        x86("nothing", Vec::new(), |_| Qemus::Says("No such file or directory"), |_| Some("is empty")),
        x86("text", b"console=ttyS0\n".to_vec(), |_| Qemus::Says(TOO_OLD), |_| Some("use a bzImage")),
        arm("Image", arm64.clone(), starts, |_| None),
        arm("gzipped Image", gzip(&arm64), starts, |_| None),
        arm("gzipped bzImage", gzip(&bzimage[..1 << 20]), starts, |_| Some("is for x86_64")),
        arm("gzipped text", gzip(b"text"), starts, |_| Some("no kernel")),
        arm("bzImage", bzimage, starts, |_| Some("is for x86_64")),
        arm("nothing", Vec::new(), starts, |_| Some("is empty")),
        arm("text", b"console=ttyAMA0\n".to_vec(), starts, |_| Some("use an Image")),
        arm("vmlinux of arm64", high_elf(), starts, |_| Some("use the Image")),
        arm("zboot", zboot("gzip", &gzip(&arm64)), starts, |qemu| {
            (!qemu.version.is_at_least(8, 0)).then_some("does not unpack")
        }),
        arm(
            "half a zboot",
            half(&zboot("gzip", &gzip(&arm64))),
            |qemu| if qemu.version.is_at_least(8, 0) { Qemus::Says("corrupt") } else { Qemus::Starts },
            |_| Some("cut off"),
        ),
        arm(
            "zboot with xz",
            zboot("xzkern", b"\xfd7zXZ\0"),
            |qemu| if qemu.version.is_at_least(8, 0) { Qemus::Says("unable to handle") } else { Qemus::Starts },
            |_| Some("does not unpack"),
        ),
    ]
}

fn command(qemu: &Qemu, arch: Architecture, dir: &Path) -> QemuCommand {
    let mut command = QemuCommand::new(qemu.binary(arch)).unwrap();
    let machine: &[&str] = if arch == X86_64 { &["-M", "pc"] } else { &["-M", "virt", "-cpu", "cortex-a57"] };
    let qmp = format!("unix:{},server=on,wait=off", dir.join("qmp").display());
    for arg in machine.iter().chain(&["-nodefaults", "-display", "none", "-qmp", &qmp]) {
        command.arg(arg).unwrap();
    }
    for (flag, file) in [("-kernel", "kernel"), ("-initrd", "initrd")] {
        command.arg(flag).unwrap().arg(dir.join(file)).unwrap();
    }
    command
}

#[test]
fn qemu_misreads_what_the_library_names() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("initrd"), "initrd").unwrap();
    let path = dir.path().join("kernel");
    for case in cases() {
        std::fs::write(&path, &case.bytes).unwrap();
        for qemu in qemus() {
            let about = format!("{} on {}, QEMU {}", case.name, case.arch, qemu.version);
            match (judge(&command(&qemu, case.arch, dir.path()), &dir.path().join("qmp")), (case.qemus)(&qemu)) {
                (Judged::Accepted { .. }, Qemus::Starts) => {}
                (Judged::Rejected { stderr }, Qemus::Says(words)) if stderr.contains(words) => {}
                (judged, expected) => panic!("{about}: {judged:?}, and not {expected:?}"),
            }
            let checked = kernel::identify(&path).unwrap().check(case.arch, Some(qemu.version));
            match ((case.error)(&qemu), checked) {
                (None, Ok(())) => {}
                (Some(words), Err(error)) if error.to_string().contains(words) => {}
                (expected, checked) => panic!("{about}: {checked:?}, and not {expected:?}"),
            }
        }
    }
}

#[test]
fn the_guests_kernels_are_what_they_are() {
    let kind = |path: PathBuf| kernel::identify(&path).unwrap();
    assert!(matches!(kind(guest_dir().join("vmlinuz-x86_64")).kind(), KernelKind::BzImage { protocol: 0x20f }));
    assert_eq!(kind(guest_dir().join("vmlinuz-aarch64")).kind(), &KernelKind::Arm64Image);
    let vmlinux = minimal_guest_dir().join("vmlinux-x86_64");
    assert!(kind(vmlinux.clone()).is_pvh() && !kind(guest_dir().join("vmlinuz-x86_64")).is_pvh());
    let dir = tempfile::tempdir().unwrap();
    let stripped = dir.path().join("vmlinux");
    std::fs::write(&stripped, without_notes(&std::fs::read(vmlinux).unwrap())).unwrap();
    assert!(!kind(stripped).is_pvh());
}

#[test]
fn nothing_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in [&fifo, dir.path(), Path::new("/dev/zero"), Path::new("/no/such/file")] {
        assert!(matches!(kernel::identify(path), Err(KernelError::File(_))), "{}", path.display());
        assert!(kernel::read_config(path).is_err());
    }
}

#[test]
fn a_packed_configuration_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let packed = dir.path().join("config.gz");
    let plain = guest_dir().join("config-x86_64");
    std::fs::write(&packed, gzip(&std::fs::read(&plain).unwrap())).unwrap();
    let text = kernel::read_config(&packed).unwrap();
    assert_eq!(text, kernel::read_config(&plain).unwrap());
    assert_eq!(MmioDiscovery::from_config(&text), MmioDiscovery::AcpiOnly);
}
