use std::io::{self, Cursor};

use proptest::prelude::*;

use super::*;
use crate::accel::Architecture::{Aarch64, X86_64};

fn image(bytes: &[u8]) -> KernelImage {
    KernelImage::from_reader("kernel".as_ref(), &mut Cursor::new(bytes)).unwrap()
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    bytes[at..at + what.len()].copy_from_slice(what);
}

/// A bzImage of one setup sector and three paragraphs.
fn some_bzimage() -> Vec<u8> {
    let mut bytes = vec![0; 1024 + 48];
    bytes[0x1f1] = 1;
    put(&mut bytes, 0x1f4, &3_u32.to_le_bytes());
    put(&mut bytes, 0x1fe, &[0x55, 0xaa]);
    put(&mut bytes, 0x202, b"HdrS");
    put(&mut bytes, 0x206, &0x20f_u16.to_le_bytes());
    put(&mut bytes, 0x236, &1_u16.to_le_bytes());
    bytes
}

/// An ELF file with one segment and the given notes.
fn some_elf(wide: bool, machine: u16, notes: &[u8]) -> Vec<u8> {
    let (header, size) = if wide { (64, 56) } else { (52, 32) };
    let notes_at = header + 2 * size;
    let mut bytes = vec![0; notes_at];
    put(&mut bytes, 0, &[0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1]);
    put(&mut bytes, 18, &machine.to_le_bytes());
    let number = |value: usize| (value as u64).to_le_bytes()[..if wide { 8 } else { 4 }].to_vec();
    let (offset, entry_size) = if wide { (32, 54) } else { (28, 42) };
    put(&mut bytes, 24, &number(0x100_0000));
    put(&mut bytes, offset, &number(header));
    put(&mut bytes, entry_size, &[u8::try_from(size).unwrap(), 0, 2, 0]);
    let (at, length) = if wide { (8, 32) } else { (4, 16) };
    for (index, kind, from, count) in [(0, 1_u8, notes_at + notes.len(), 16), (1, 4, notes_at, notes.len())] {
        let part = header + index * size;
        bytes[part] = kind;
        put(&mut bytes, part + at, &number(from));
        put(&mut bytes, part + length, &number(count));
    }
    [&bytes, notes, &[0x90; 16]].concat()
}

fn note(name: &[u8], kind: u32, desc: &[u8]) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let mut note = [size(name), size(desc), kind.to_le_bytes()].concat();
    for part in [name, desc] {
        note.extend_from_slice(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

fn pvh() -> Vec<u8> {
    [note(b"Linux\0", 256, b"xyz"), note(b"Xen\0", 6, b"linux"), note(b"Xen\0", 18, &[0; 8])].concat()
}

/// A zboot image with a payload of 16 bytes.
fn some_zboot(compression: &str) -> Vec<u8> {
    let mut bytes = vec![0; 96];
    put(&mut bytes, 0, b"MZ\0\0zimg");
    put(&mut bytes, 8, &[80, 0, 0, 0, 16, 0, 0, 0]);
    put(&mut bytes, 24, compression.as_bytes());
    put(&mut bytes, 56, &[0xcd, 0x23, 0x82, 0x81, 64, 0, 0, 0]);
    put(&mut bytes, 64, b"PE\0\0\x64\xaa");
    bytes
}

fn some_arm64() -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    put(&mut bytes, 56, b"ARM\x64");
    bytes
}

const EIGHT: Option<QemuVersion> = Some(QemuVersion::new(8, 0, 0));
const SEVEN: Option<QemuVersion> = Some(QemuVersion::new(7, 2, 22));

#[test]
fn each_kind_is_known_and_boots_where_it_should() {
    let (wide, narrow) = (some_elf(true, 62, &pvh()), some_elf(false, 3, &pvh()));
    let high = {
        let mut elf = some_elf(true, 183, &[]);
        put(&mut elf, 24, &0xffff_8000_8000_0000_u64.to_le_bytes());
        elf
    };
    for (bytes, arch, boots) in [
        (some_bzimage(), Some(KernelArch::X86_64), [true, false]),
        (wide, Some(KernelArch::X86_64), [true, false]),
        (narrow, Some(KernelArch::I386), [true, false]),
        (some_elf(true, 62, &[]), Some(KernelArch::X86_64), [false, false]),
        (some_elf(true, 62, &note(b"Xen\0", 17, b"")), Some(KernelArch::X86_64), [false, false]),
        (some_elf(true, 183, &[]), Some(KernelArch::Aarch64), [false, true]),
        (high, Some(KernelArch::Aarch64), [false, false]),
        (some_arm64(), Some(KernelArch::Aarch64), [false, true]),
        (some_zboot("gzip"), Some(KernelArch::Aarch64), [false, true]),
        (some_zboot("zstd"), Some(KernelArch::Aarch64), [false, false]),
        (some_zboot("xz"), Some(KernelArch::Aarch64), [false, false]),
        (some_zboot("gzip")[..56].to_vec(), None, [false, false]),
        (b"\x1f\x8b\x08".to_vec(), None, [false, true]),
        (b"\xfd7zXZ\0".to_vec(), None, [false, false]),
        (b"\x28\xb5\x2f\xfd".to_vec(), None, [false, false]),
        (b"text".to_vec(), None, [false, false]),
        (Vec::new(), None, [false, false]),
    ] {
        let image = image(&bytes);
        assert_eq!(image.arch(), arch, "{image:?}");
        assert_eq!([X86_64, Aarch64].map(|arch| image.check(arch, EIGHT).is_ok()), boots, "{image:?}");
    }
    let multiboot = [0x1bad_b002_u32, 0, 0xe452_4ffe].map(u32::to_le_bytes).concat();
    assert_eq!(image(&multiboot).kind(), &KernelKind::Multiboot);
    assert_eq!(image(&[multiboot, vec![0]].concat()).check(X86_64, None).map_err(|error| error.to_string()), Ok(()));
    assert!(matches!(
        image(&[0x1bad_b002_u32, 1, 0xe452_4ffe].map(u32::to_le_bytes).concat()).kind(),
        KernelKind::Unknown
    ));
}

#[test]
fn zboot_needs_qemu_8() {
    let image = image(&some_zboot("gzip"));
    assert!(image.check(Aarch64, EIGHT).is_ok() && image.check(Aarch64, None).is_ok());
    let error = image.check(Aarch64, SEVEN).unwrap_err();
    assert!(error.to_string().contains("which QEMU 7.2.22 does not unpack"), "{error}");
}

#[test]
fn what_is_cut_off_is_noticed() {
    for whole in [some_bzimage(), some_elf(true, 62, &pvh()), some_elf(false, 3, &pvh())] {
        assert!(image(&whole).check(X86_64, None).is_ok());
        let error = image(&whole[..whole.len() - 16]).check(X86_64, None).unwrap_err();
        assert!(matches!(error, KernelError::Cut { .. }), "{error}");
    }
    let zboot = some_zboot("gzip");
    assert!(matches!(image(&zboot[..95]).check(Aarch64, None), Err(KernelError::Cut { has: 95, needs: 96, .. })));
    assert!(matches!(image(b"\x7fELF").check(X86_64, None), Err(KernelError::Cut { .. })));
}

#[test]
fn fields_of_a_stranger_do_not_lead_astray() {
    // A table of program headers at the end of the address space, and notes of four gigabytes.
    let mut elf = some_elf(true, 62, &pvh());
    put(&mut elf, 32, &u64::MAX.to_le_bytes());
    assert!(matches!(image(&elf).check(X86_64, None), Err(KernelError::Cut { .. })));
    let notes = [&u32::MAX.to_le_bytes()[..], &u32::MAX.to_le_bytes(), &1_u32.to_le_bytes()].concat();
    assert_eq!(image(&some_elf(true, 62, &notes)).kind(), &KernelKind::Elf { pvh: false, high: false });
    let name = image(&some_zboot("a\u{1b}[31m"));
    assert!(!name.check(Aarch64, None).unwrap_err().to_string().contains('\u{1b}'));
}

/// A file without an end, which counts what is read of it.
struct Endless {
    head: Vec<u8>,
    at: u64,
    read: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(self.at).unwrap_or(usize::MAX).min(self.head.len());
        let known = &self.head[from..];
        let count = known.len().min(buffer.len());
        buffer[..count].copy_from_slice(&known[..count]);
        buffer[count..].fill(0);
        self.at += buffer.len() as u64;
        self.read += buffer.len();
        Ok(buffer.len())
    }
}

impl Seek for Endless {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(_) | SeekFrom::Current(_) => u64::MAX / 4,
        };
        Ok(self.at)
    }
}

/// However long the tables say that they are, little is read.
#[test]
fn little_is_read_of_a_long_file() {
    let mut head = vec![0; 64 + 56 * 256];
    put(&mut head, 0, &some_elf(true, 62, &[])[..64]);
    put(&mut head, 56, &u16::MAX.to_le_bytes());
    for header in head[64..].chunks_exact_mut(56) {
        put(header, 0, &4_u32.to_le_bytes());
        put(header, 8, &0x1_0000_u64.to_le_bytes());
        put(header, 32, &(u64::MAX / 8).to_le_bytes());
    }
    let mut source = Endless { head, at: 0, read: 0 };
    assert!(!KernelImage::from_reader("kernel".as_ref(), &mut source).unwrap().is_pvh());
    // 128 program headers, and 64 KiB of notes for each; read in pieces, so that a little more may be asked for.
    assert!(source.read <= 2 * HEAD + 128 * (2 * 56 + 2 * 64 * 1024), "{}", source.read);
}

proptest! {
    #[test]
    fn any_bytes_have_an_answer(
        which in 0_usize..6,
        damage in proptest::collection::vec((4_usize..200, any::<u8>()), 0..12),
        cut in 0_usize..1200,
    ) {
        let mut bytes = match which {
            0 => some_bzimage(),
            1 => some_elf(true, 62, &pvh()),
            2 => some_elf(false, 3, &pvh()),
            3 => some_zboot("gzip"),
            4 => some_arm64(),
            _ => vec![0x7f; 128],
        };
        for (at, byte) in damage {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(cut);
        let image = image(&bytes);
        for arch in [X86_64, Aarch64] {
            let _ = image.check(arch, SEVEN).map_err(|error| error.to_string());
        }
    }
}
