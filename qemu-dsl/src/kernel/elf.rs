//! ELF files, as far as booting one needs: for which processor, whether it is whole, and the note with the entry point of PVH.
//! (System V ABI, "Object Files"; Xen, `docs/misc/pvh.pandoc`)

use std::io::{self, Read, Seek};

use crate::bytes::{be16, has, le16, le32, le64, read_at};

/// `XEN_ELFNOTE_PHYS32_ENTRY`. (Xen, `xen/include/public/elfnote.h`)
const PHYS32_ENTRY: u32 = 18;
/// A kernel has about five program headers.
const MAX_HEADERS: u16 = 128;
/// A kernel's notes have about a kilobyte.
const MAX_NOTES: usize = 64 * 1024;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Elf {
    /// `e_machine`.
    pub(super) machine: u16,
    /// Whether there is an entry point for PVH.
    pub(super) pvh: bool,
    /// `e_entry`.
    pub(super) entry: u64,
    /// How long the file has to be.
    pub(super) end: u64,
}

/// One program header: where its part of the file is.
struct Part {
    kind: u32,
    offset: u64,
    size: u64,
    align: u64,
}

/// The sizes and places of fields, which differ between 32 and 64 bits.
struct Layout {
    header: u64,
    /// `e_phoff`, `e_phentsize`, `e_phnum`.
    table: (usize, usize, usize),
    wide: bool,
}

impl Layout {
    fn number(&self, bytes: &[u8], at: usize) -> Option<u64> {
        if self.wide { le64(bytes, at) } else { le32(bytes, at).map(u64::from) }
    }

    fn part(&self, header: &[u8]) -> Option<Part> {
        let (offset, size, align) = if self.wide { (8, 32, 48) } else { (4, 16, 28) };
        Some(Part {
            kind: le32(header, 0)?,
            offset: self.number(header, offset)?,
            size: self.number(header, size)?,
            align: self.number(header, align)?,
        })
    }
}

/// What an ELF file is; [`None`] for another file. Of a file that is cut off, `end` tells.
pub(super) fn read(head: &[u8], source: &mut (impl Read + Seek)) -> io::Result<Option<Elf>> {
    if !has(head, 0, b"\x7fELF") {
        return Ok(None);
    }
    let layout = match head.get(4) {
        Some(2) => Layout { header: 64, table: (32, 54, 56), wide: true },
        _ => Layout { header: 52, table: (28, 42, 44), wide: false },
    };
    let cut = Elf { machine: 0, pvh: false, entry: 0, end: layout.header };
    if head.get(5) == Some(&2) {
        // Highest byte first: no processor of ours, so nothing else matters.
        return Ok(Some(Elf { machine: be16(head, 18).unwrap_or_default(), ..cut }));
    }
    let (offset, size, count) = layout.table;
    let header = || Some((le16(head, 18)?, layout.number(head, 24)?, layout.number(head, offset)?));
    let (Some((machine, entry, table)), Some(size), Some(count)) = (header(), le16(head, size), le16(head, count))
    else {
        return Ok(Some(cut));
    };
    let mut elf = Elf { machine, entry, ..cut };
    elf.end = elf.end.max(table.saturating_add(u64::from(size) * u64::from(count)));
    for index in 0..u64::from(count.min(MAX_HEADERS)) {
        let header = read_at(source, table.saturating_add(index * u64::from(size)), usize::from(size))?;
        let Some(part) = layout.part(&header) else { continue };
        if matches!(part.kind, PT_LOAD | PT_NOTE) {
            elf.end = elf.end.max(part.offset.saturating_add(part.size));
        }
        if part.kind == PT_NOTE && !elf.pvh {
            let most = usize::try_from(part.size).unwrap_or(MAX_NOTES).min(MAX_NOTES);
            elf.pvh = has_pvh(&read_at(source, part.offset, most)?, part.align);
        }
    }
    Ok(Some(elf))
}

/// Whether the note is among these. QEMU rounds to the segment's alignment. (`get_elf_note_type`, `include/hw/elf_ops.h.inc`)
fn has_pvh(notes: &[u8], align: u64) -> bool {
    let align = if align == 8 { 8 } else { 4 };
    let mut at = 0_usize;
    loop {
        let (Some(name), Some(desc), Some(kind)) = (le32(notes, at), le32(notes, at + 4), le32(notes, at + 8)) else {
            return false;
        };
        if kind == PHYS32_ENTRY && has(notes, at + 12, b"Xen\0") {
            return true;
        }
        let round = |size: u32| (size as usize).checked_next_multiple_of(align);
        let (Some(name), Some(desc)) = (round(name), round(desc)) else { return false };
        let Some(next) = at.checked_add(12).and_then(|at| at.checked_add(name)?.checked_add(desc)) else {
            return false;
        };
        // Twelve bytes at least: this ends.
        at = next;
        if at >= notes.len() {
            return false;
        }
    }
}
