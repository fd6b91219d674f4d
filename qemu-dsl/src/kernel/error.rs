//! What is wrong with a kernel's file.

use std::path::PathBuf;

use super::KernelArch;
use crate::QemuVersion;
use crate::accel::Architecture;
use crate::files::FileError;

/// Why QEMU would not boot a kernel's file. Each says what the file is, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// It cannot be read, or is no file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It has no byte. QEMU says that it is not there.
    #[error("the kernel `{}` is empty: build or copy it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Its end is missing: its headers speak of more.
    #[error("the kernel `{}` is cut off: it has {has} bytes, and its headers speak of {needs}: copy it again", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// How long it is.
        has: u64,
        /// How long it would have to be.
        needs: u64,
    },
    /// It is for another processor. QEMU says that it is too old, or runs it without a word.
    #[error("the kernel `{}` is for {is}, and the machine is {arch}: use one that is for {arch}", path.display())]
    Arch {
        /// The file.
        path: PathBuf,
        /// What it is for.
        is: KernelArch,
        /// The machine's architecture.
        arch: Architecture,
    },
    /// An ELF file without an entry point that QEMU could use on `x86_64`.
    #[error(
        "the kernel `{}` is an ELF file without a PVH entry point, which QEMU needs: use the bzImage (arch/x86/boot/bzImage), or build it with CONFIG_PVH=y",
        path.display()
    )]
    NoPvh {
        /// The file.
        path: PathBuf,
    },
    /// An ELF file that is linked to the upper half of the address space, which QEMU's aarch64 loader cannot place.
    #[error(
        "the kernel `{}` is an ELF file without physical addresses, as vmlinux is on arm64: use the Image (arch/arm64/boot/Image)",
        path.display()
    )]
    HighElf {
        /// The file.
        path: PathBuf,
    },
    /// Compressed, and QEMU does not unpack it.
    #[error("the kernel `{}` is compressed with {with}, and QEMU does not unpack that: unpack it with `{tool}`", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The format.
        with: &'static str,
        /// The program that unpacks it.
        tool: &'static str,
    },
    /// An EFI zboot kernel that QEMU does not unpack. Before 8.0 it runs the compressed bytes, without a word.
    #[error(
        "the kernel `{}` is an EFI zboot image with {compression}, which QEMU{} does not unpack: use the Image (arch/arm64/boot/Image), or a QEMU that does (8.0 for gzip, 11.1 for zstd)",
        path.display(),
        version.map(|version| format!(" {version}")).unwrap_or_default()
    )]
    Zboot {
        /// The file.
        path: PathBuf,
        /// The compression, by its name in the file.
        compression: String,
        /// The version of QEMU, where it is known.
        version: Option<QemuVersion>,
    },
    /// Nothing that this library knows.
    #[error("`{}` is no kernel that QEMU boots on {arch}: use {}", path.display(), wanted(*arch))]
    Unknown {
        /// The file.
        path: PathBuf,
        /// The machine's architecture.
        arch: Architecture,
    },
}

fn wanted(arch: Architecture) -> &'static str {
    match arch {
        Architecture::X86_64 => "a bzImage, or a vmlinux with a PVH entry point",
        Architecture::Aarch64 => "an Image (arch/arm64/boot/Image), or that compressed with gzip",
        _ => "a kernel of that architecture",
    }
}
