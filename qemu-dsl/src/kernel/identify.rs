//! What kind of file a kernel is, and whether QEMU would take it for something else.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::elf;
use super::error::KernelError;
use crate::QemuVersion;
use crate::accel::Architecture;
use crate::bytes::{be32, has, le16, le32, read_at};
use crate::files::FileError;
use crate::text::visible_line;

/// How much of a file's beginning is looked at: as much as QEMU does for a multiboot header. (`hw/i386/multiboot.c`)
const HEAD: usize = 8192;

/// A kernel's file: what it is, as QEMU will see it. [`KernelImage::check`] tells whether QEMU can boot it.
///
/// ```
/// use std::io::Cursor;
/// use qemu_dsl::accel::Architecture;
/// use qemu_dsl::kernel::{KernelImage, KernelKind};
///
/// let image = KernelImage::from_reader("notes.txt".as_ref(), &mut Cursor::new("not a kernel"))?;
/// assert_eq!(image.kind(), &KernelKind::Unknown);
/// assert!(image.check(Architecture::X86_64, None).is_err());
/// # Ok::<(), qemu_dsl::kernel::KernelError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelImage {
    path: PathBuf,
    kind: KernelKind,
    arch: Option<KernelArch>,
    /// How long the file is, and how long it would have to be.
    cut: Option<(u64, u64)>,
}

/// The kinds of files. [`KernelImage`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelKind {
    /// An ELF file, such as Linux's `vmlinux`.
    Elf {
        /// Whether it has an entry point for PVH, without which QEMU does not start it on `x86_64`.
        pvh: bool,
        /// Whether its entry point is in the upper half of the address space, as that of Linux's `vmlinux` is. An `x86_64` kernel has
        /// another address for loading; one for arm64 has none.
        high: bool,
    },
    /// A kernel that multiboot loaders start, which QEMU's `x86_64` emulator is.
    Multiboot,
    /// Linux's format on x86.
    BzImage {
        /// The version of the boot protocol: 0x20f is 2.15.
        protocol: u16,
    },
    /// Linux's `Image` on arm64.
    Arm64Image,
    /// A compressed kernel with a decompressor for EFI, as `vmlinuz.efi` on arm64.
    Zboot {
        /// What it is compressed with: `gzip`, `zstd`, ... as the file names it.
        compression: String,
    },
    /// A kernel with U-Boot's header.
    UImage,
    /// Compressed by gzip as a whole.
    Gzip {
        /// What is in it, where somebody has looked.
        inside: Option<Box<KernelImage>>,
    },
    /// Compressed as a whole by something that QEMU never unpacks.
    Compressed {
        /// The format: `xz`, `zstd`, ...
        with: &'static str,
    },
    /// No byte.
    Empty,
    /// Nothing that this library knows.
    Unknown,
}

/// The processor that a kernel is for.
///
/// ```
/// use qemu_dsl::kernel::KernelArch;
/// assert_eq!(KernelArch::Aarch64.to_string(), "aarch64");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KernelArch {
    /// x86, 64 bits.
    X86_64,
    /// x86, 32 bits. The `x86_64` emulator runs it, too.
    I386,
    /// Arm, 64 bits.
    Aarch64,
    /// Arm, 32 bits.
    Arm,
    /// RISC-V.
    Riscv,
    /// Another, by ELF's number.
    Other(u16),
}

impl KernelArch {
    /// ELF's `e_machine`. (include/uapi/linux/elf-em.h)
    const fn of_elf(machine: u16) -> Self {
        match machine {
            3 => Self::I386,
            40 => Self::Arm,
            62 => Self::X86_64,
            183 => Self::Aarch64,
            243 => Self::Riscv,
            other => Self::Other(other),
        }
    }

    /// PE's `Machine`. (Microsoft, "PE Format", "Machine Types")
    const fn of_pe(machine: u16) -> Option<Self> {
        match machine {
            0x14c => Some(Self::I386),
            0x1c2 => Some(Self::Arm),
            0x8664 => Some(Self::X86_64),
            0xaa64 => Some(Self::Aarch64),
            0x5032 | 0x5064 => Some(Self::Riscv),
            _ => None,
        }
    }

    fn runs_on(self, arch: Architecture) -> bool {
        match arch {
            Architecture::X86_64 => matches!(self, Self::X86_64 | Self::I386),
            Architecture::Aarch64 => self == Self::Aarch64,
            Architecture::Riscv64 => self == Self::Riscv,
            Architecture::Other(_) => true,
        }
    }
}

impl fmt::Display for KernelArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::I386 => "i386",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
            Self::Riscv => "riscv",
            Self::Other(machine) => return write!(f, "another processor (ELF machine {machine})"),
        })
    }
}

impl KernelImage {
    /// Looks at a file that is open already; `path` is for messages. No more than the beginning is read, and what it refers to of an
    /// ELF file's notes.
    ///
    /// # Errors
    ///
    /// Reading fails. A file that is no kernel is no error here: [`check`](Self::check) tells.
    pub fn from_reader(path: &Path, source: &mut (impl Read + Seek)) -> Result<Self, KernelError> {
        Self::look(path, source).map_err(|error| FileError::read(path)(error).into())
    }

    fn look(path: &Path, source: &mut (impl Read + Seek)) -> std::io::Result<Self> {
        let length = source.seek(SeekFrom::End(0))?;
        let head = read_at(source, 0, HEAD)?;
        let found = |kind, arch, needs: u64| Self {
            path: path.to_owned(),
            kind,
            arch,
            cut: (needs > length).then_some((length, needs)),
        };
        if head.is_empty() {
            return Ok(found(KernelKind::Empty, None, 0));
        }
        // In the order in which QEMU looks. (`x86_load_linux`, hw/i386/x86-common.c)
        if has(&head, 0x202, b"HdrS") {
            let (kind, arch, needs) = bzimage(&head);
            return Ok(found(kind, Some(arch), needs));
        }
        if is_multiboot(&head) {
            return Ok(found(KernelKind::Multiboot, Some(KernelArch::I386), 0));
        }
        if let Some(elf) = elf::read(&head, source)? {
            let arch = Some(elf.machine).filter(|machine| *machine != 0).map(KernelArch::of_elf);
            return Ok(found(KernelKind::Elf { pvh: elf.pvh, high: elf.entry >> 63 == 1 }, arch, elf.end));
        }
        // Linux before 6.2 wrote no magic number, and QEMU does not take such a file for one.
        if has(&head, 0, b"MZ") && has(&head, 4, b"zimg") && has(&head, 56, b"\xcd\x23\x82\x81") {
            let (kind, arch, needs) = zboot(&head, source)?;
            return Ok(found(kind, arch, needs));
        }
        if has(&head, 56, b"ARM\x64") {
            return Ok(found(KernelKind::Arm64Image, Some(KernelArch::Aarch64), 0));
        }
        if be32(&head, 0) == Some(0x2705_1956) {
            return Ok(found(KernelKind::UImage, uimage_arch(&head), 0));
        }
        let kind = match compression(&head) {
            Some("gzip") => KernelKind::Gzip { inside: None },
            Some(with) => KernelKind::Compressed { with },
            None => KernelKind::Unknown,
        };
        Ok(found(kind, None, 0))
    }

    /// What it is.
    pub fn kind(&self) -> &KernelKind {
        &self.kind
    }

    /// The processor that it is for, where the file tells.
    pub fn arch(&self) -> Option<KernelArch> {
        self.arch
    }

    /// Whether it is an ELF file that QEMU starts directly on `x86_64`, through PVH.
    pub fn is_pvh(&self) -> bool {
        matches!(self.kind, KernelKind::Elf { pvh: true, .. })
            && self.arch.is_some_and(|arch| arch.runs_on(Architecture::X86_64))
            && self.cut.is_none()
    }

    #[cfg(feature = "host")]
    pub(super) fn holds(&mut self, inside: Self) {
        // Of what is inside only the beginning is known, so nothing is known to be missing.
        self.kind = KernelKind::Gzip { inside: Some(Box::new(Self { cut: None, ..inside })) };
    }

    /// Whether QEMU boots this on a machine of `arch`. `version` is QEMU's, where it is known. What QEMU would load as something else, or
    /// refuse with words about something else, is an error.
    ///
    /// # Errors
    ///
    /// [`KernelError`] says what the file is, and what to do.
    pub fn check(&self, arch: Architecture, version: Option<QemuVersion>) -> Result<(), KernelError> {
        let path = || self.path.clone();
        let unknown = || Err(KernelError::Unknown { path: path(), arch });
        if let Some((has, needs)) = self.cut {
            return Err(KernelError::Cut { path: path(), has, needs });
        }
        if let Some(is) = self.arch.filter(|is| !is.runs_on(arch)) {
            return Err(KernelError::Arch { path: path(), is, arch });
        }
        let x86 = arch == Architecture::X86_64;
        if !x86 && arch != Architecture::Aarch64 && self.kind != KernelKind::Empty {
            return Ok(()); // what QEMU makes of kernels there has not been measured
        }
        match &self.kind {
            KernelKind::Empty => Err(KernelError::Empty { path: path() }),
            KernelKind::Elf { pvh: false, .. } if x86 => Err(KernelError::NoPvh { path: path() }),
            KernelKind::Elf { high: true, .. } if !x86 => Err(KernelError::HighElf { path: path() }),
            KernelKind::Elf { .. } | KernelKind::BzImage { .. } | KernelKind::Multiboot | KernelKind::Arm64Image => {
                Ok(())
            }
            KernelKind::UImage if !x86 => Ok(()),
            KernelKind::Zboot { compression } if !x86 => {
                // Measured: 10.0 has no zstd, and 11.1 has. Between them QEMU says so itself.
                let since = match compression.as_str() {
                    "gzip" => Some((8, 0)),
                    "zstd" => Some((10, 1)),
                    _ => None,
                };
                let taken =
                    since.is_some_and(|(major, minor)| version.is_none_or(|qemu| qemu.is_at_least(major, minor)));
                if taken {
                    return Ok(());
                }
                Err(KernelError::Zboot { path: path(), compression: compression.clone(), version })
            }
            KernelKind::Gzip { inside } if !x86 => match inside {
                None => Ok(()),
                Some(inside) if inside.kind == KernelKind::Arm64Image => Ok(()),
                Some(inside) => Err(inside.check(arch, version).err().unwrap_or(KernelError::Compressed {
                    path: path(),
                    with: "gzip",
                    tool: "gunzip",
                })),
            },
            KernelKind::Gzip { .. } => Err(KernelError::Compressed { path: path(), with: "gzip", tool: "gunzip" }),
            KernelKind::Compressed { with } => {
                let tool = if *with == "zstd" { "unzstd" } else { "unxz" };
                let tool = match *with {
                    "bzip2" => "bunzip2",
                    "lz4" => "unlz4",
                    _ => tool,
                };
                Err(KernelError::Compressed { path: path(), with, tool })
            }
            KernelKind::Zboot { .. } | KernelKind::UImage | KernelKind::Unknown => unknown(),
        }
    }
}

/// (Linux, Documentation/arch/x86/boot.rst)
fn bzimage(head: &[u8]) -> (KernelKind, KernelArch, u64) {
    let protocol = le16(head, 0x206).unwrap_or_default();
    let sectors = match head.get(0x1f1) {
        // "If this field contains 0, the real value is 4."
        None | Some(0) => 4,
        Some(sectors) => u64::from(*sectors),
    };
    // In units of 16 bytes; the last one need not be full.
    let paragraphs = u64::from(le32(head, 0x1f4).unwrap_or_default());
    let needs = (sectors + 1) * 512 + (paragraphs * 16).saturating_sub(15);
    // XLF_KERNEL_64, since protocol 2.12.
    let wide = protocol >= 0x20c && le16(head, 0x236).is_some_and(|flags| flags & 1 != 0);
    (KernelKind::BzImage { protocol }, if wide { KernelArch::X86_64 } else { KernelArch::I386 }, needs)
}

/// Magic number and flags, and a checksum that makes the three zero. (Multiboot Specification 0.6.96, "The layout of Multiboot
/// header")
fn is_multiboot(head: &[u8]) -> bool {
    (0..head.len()).step_by(4).any(|at| {
        le32(head, at) == Some(0x1bad_b002)
            && le32(head, at + 4)
                .zip(le32(head, at + 8))
                .is_some_and(|(flags, sum)| 0x1bad_b002_u32.wrapping_add(flags).wrapping_add(sum) == 0)
    })
}

/// (Linux, drivers/firmware/efi/libstub/zboot-header.S; QEMU, `unpack_efi_zboot_image`)
fn zboot(head: &[u8], source: &mut (impl Read + Seek)) -> std::io::Result<(KernelKind, Option<KernelArch>, u64)> {
    let name = head.get(24..56).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let compression = visible_line(name).into_owned();
    let needs = le32(head, 8)
        .zip(le32(head, 12))
        .map_or(u64::from(u32::MAX), |(offset, size)| u64::from(offset) + u64::from(size));
    let arch = match le32(head, 60) {
        Some(offset) if offset != 0 => {
            let pe = read_at(source, u64::from(offset), 6)?;
            le16(&pe, 4).filter(|_| has(&pe, 0, b"PE\0\0")).and_then(KernelArch::of_pe)
        }
        _ => None,
    };
    Ok((KernelKind::Zboot { compression }, arch, needs))
}

/// (U-Boot, include/image.h, `ih_arch`)
fn uimage_arch(head: &[u8]) -> Option<KernelArch> {
    match head.get(29)? {
        2 => Some(KernelArch::Arm),
        3 => Some(KernelArch::I386),
        22 => Some(KernelArch::Aarch64),
        24 => Some(KernelArch::X86_64),
        26 => Some(KernelArch::Riscv),
        _ => None,
    }
}

/// What a whole file is compressed with, by its first bytes. (`man 5 magic`)
pub(super) fn compression(head: &[u8]) -> Option<&'static str> {
    const MAGICS: [(&[u8], &str); 6] = [
        (b"\x1f\x8b", "gzip"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"\x02\x21\x4c\x18", "lz4"),
    ];
    MAGICS.iter().find(|(magic, _)| has(head, 0, magic)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests;
