//! The test guests of the KVM proof.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::process::ExitStatus;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::accel::Architecture;

/// The status that isa-debug-exit makes of 0x21.
const X86_64_STATUS: i32 = 2 * 0x21 + 1;

/// `payload-x86_64.S`, assembled.
#[rustfmt::skip]
const X86_64: [u8; 254] = [
    0xfa, 0x2e, 0x66, 0x0f, 0x01, 0x16, 0xf8, 0x00, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0,
    0x66, 0xea, 0x18, 0x00, 0xff, 0xff, 0x08, 0x00, 0x66, 0xb8, 0x10, 0x00, 0x8e, 0xd8, 0x8e, 0xc0,
    0x8e, 0xd0, 0xbf, 0x00, 0x10, 0x00, 0x00, 0x31, 0xc0, 0xb9, 0x00, 0x18, 0x00, 0x00, 0xfc, 0xf3,
    0xab, 0xc7, 0x05, 0x00, 0x10, 0x00, 0x00, 0x03, 0x20, 0x00, 0x00, 0xc7, 0x05, 0x00, 0x20, 0x00,
    0x00, 0x03, 0x30, 0x00, 0x00, 0xc7, 0x05, 0x08, 0x20, 0x00, 0x00, 0x03, 0x40, 0x00, 0x00, 0xc7,
    0x05, 0x10, 0x20, 0x00, 0x00, 0x03, 0x50, 0x00, 0x00, 0xc7, 0x05, 0x18, 0x20, 0x00, 0x00, 0x03,
    0x60, 0x00, 0x00, 0xbf, 0x00, 0x30, 0x00, 0x00, 0xb8, 0x83, 0x00, 0x00, 0x00, 0xb9, 0x00, 0x08,
    0x00, 0x00, 0x89, 0x07, 0x05, 0x00, 0x00, 0x20, 0x00, 0x83, 0xc7, 0x08, 0xe2, 0xf4, 0x0f, 0x20,
    0xe0, 0x83, 0xc8, 0x20, 0x0f, 0x22, 0xe0, 0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x22, 0xd8, 0xb9,
    0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0d, 0x00, 0x01, 0x00, 0x00, 0x0f, 0x30, 0x0f, 0x20, 0xc0,
    0x0d, 0x00, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, 0xea, 0xaf, 0x00, 0xff, 0xff, 0x18, 0x00, 0x31,
    0xc0, 0x0f, 0xa2, 0x0f, 0x31, 0x0f, 0x20, 0xe0, 0x48, 0x0d, 0x00, 0x06, 0x00, 0x00, 0x0f, 0x22,
    0xe0, 0x66, 0x48, 0x0f, 0x6e, 0xc0, 0x66, 0x0f, 0xd4, 0xc0, 0xb0, 0x21, 0xe6, 0xf4, 0xf4, 0xeb,
    0xfd, 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x93, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xaf, 0x00, 0x1f, 0x00, 0xd8, 0x00, 0xff, 0xff,
];

/// The firmware's size: the last 64 KiB below 4 GiB.
const X86_64_FIRMWARE: usize = 0x1_0000;

/// A near jump from the reset vector, the last 16 bytes, to the start of the firmware.
const X86_64_RESET: [u8; 3] = [0xe9, 0x0d, 0x00];

/// One vector instruction, then PSCI's `SYSTEM_OFF`.
const AARCH64: [u32; 9] = [
    0xd2a0_0601, // movz x1, #0x30, lsl #16
    0xd518_1041, // msr  cpacr_el1, x1          vector instructions are allowed
    0xd503_3fdf, // isb
    0x4f00_0420, // movi v0.4s, #1
    0x4ea0_8400, // add  v0.4s, v0.4s, v0.4s
    0x5280_0100, // movz w0, #8
    0x72b0_8000, // movk w0, #0x8400, lsl #16   SYSTEM_OFF
    0xd400_0002, // hvc  #0
    0x1400_0000, // b    .
];

/// A test guest, in memory that ends with this value.
pub(super) struct Payload {
    arch: Architecture,
    image: File,
}

impl Payload {
    pub(super) fn write(arch: Architecture) -> io::Result<Self> {
        let mut image = File::from(memfd_create(c"qemu-dsl-test-guest", MFdFlags::MFD_CLOEXEC)?);
        let no_guest = || io::Error::new(io::ErrorKind::Unsupported, format!("there is no test guest for {arch}"));
        image.write_all(&firmware(arch).ok_or_else(no_guest)?)?;
        Ok(Self { arch, image })
    }

    /// What has to be passed on to QEMU.
    pub(super) fn fd(&self) -> RawFd {
        self.image.as_raw_fd()
    }

    /// The arguments that run it.
    pub(super) fn args(&self) -> Vec<String> {
        let firmware = format!("/proc/self/fd/{}", self.image.as_raw_fd());
        let machine: &[&str] = match self.arch {
            Architecture::X86_64 => &[
                "-M",
                "microvm,acpi=off",
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=4",
                "-serial",
                "none",
                "-bios",
            ],
            // The only other one that there is a guest for.
            _ => &["-M", "virt", "-serial", "none", "-bios"],
        };
        machine.iter().map(ToString::to_string).chain([firmware]).collect()
    }

    /// Whether QEMU's end is the one that the guest asked for. The aarch64 guest powers off, which QMP tells.
    pub(super) fn succeeded(&self, status: ExitStatus) -> bool {
        self.arch == Architecture::X86_64 && status.code() == Some(X86_64_STATUS)
    }
}

fn firmware(arch: Architecture) -> Option<Vec<u8>> {
    match arch {
        Architecture::X86_64 => {
            let mut image = vec![0xf4; X86_64_FIRMWARE];
            image[..X86_64.len()].copy_from_slice(&X86_64);
            image[X86_64_FIRMWARE - 16..][..X86_64_RESET.len()].copy_from_slice(&X86_64_RESET);
            Some(image)
        }
        Architecture::Aarch64 => Some(AARCH64.iter().flat_map(|instruction| instruction.to_le_bytes()).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are those of the source beside this file. binutils is where Rust has its linker from.
    #[test]
    fn the_bytes_are_the_assembled_source() {
        let dir = tempfile::tempdir().unwrap();
        let run = |program: &str, args: &[&str]| {
            let status = std::process::Command::new(program).args(args).current_dir(dir.path()).status();
            assert!(status.unwrap_or_else(|error| panic!("{program} (binutils): {error}")).success());
        };
        run("as", &["--64", "-o", "p.o", concat!(env!("CARGO_MANIFEST_DIR"), "/src/host/payload-x86_64.S")]);
        run("objcopy", &["-O", "binary", "-j", ".text", "p.o", "p.bin"]);
        let assembled = std::fs::read(dir.path().join("p.bin")).unwrap();
        assert_eq!(assembled, X86_64);
    }
}
