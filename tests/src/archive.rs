//! Archives as the kernel unpacks them at its start: further ones behind the first add files, and replace them.
//! (Documentation/driver-api/early-userspace/buffer-format.rst)

/// Appends an archive with these executable files.
///
/// # Panics
///
/// For a file of 4 GiB.
pub fn append(initramfs: &mut Vec<u8>, files: &[(&str, &[u8])]) {
    initramfs.resize(initramfs.len().next_multiple_of(4), 0);
    for (name, content) in files {
        entry(initramfs, name, 0o100_755, content);
    }
    entry(initramfs, "TRAILER!!!", 0, b"");
}

fn entry(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let length = |bytes: usize| u32::try_from(bytes).expect("files of less than 4 GiB");
    let fields = [0, mode, 0, 0, 1, 0, length(content.len()), 0, 0, 0, 0, length(name.len() + 1), 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    for part in [format!("{name}\0").as_bytes(), content] {
        archive.extend_from_slice(part);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
}
