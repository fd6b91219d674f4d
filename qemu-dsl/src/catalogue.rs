//! Every option that the library can write, as data: for documentation, for tools, and for the tests that compare each one
//! with what QEMU binaries say about themselves.
//!
//! ```
//! use qemu_dsl::catalogue::SCHEMAS;
//! let disk = SCHEMAS.iter().find(|described| described.of == "VirtioBlk").unwrap();
//! assert_eq!(disk.flag, "-device");
//! assert!(disk.schema.fields().any(|field| field.key.name == "queue-size"));
//! ```

pub use crate::opts::Described;

const FAMILIES: &[&[Described]] = &[
    crate::accel::ACCELERATORS,
    crate::machine::MACHINES,
    crate::cpu::MODELS,
    crate::vm::globals::NAMES,
    crate::vm::globals::MUXES,
    crate::vm::globals::MONITORS,
    crate::vm::globals::MACHINE_MEMORY,
    crate::vm::globals::CPUS,
    crate::seccomp::SECCOMP,
    crate::backend::DRIVES,
    crate::backend::BLOCKDEVS,
    crate::backend::CHARDEVS,
    crate::backend::NETDEVS,
    crate::backend::OBJECTS,
    crate::device::DEVICES,
];

const COUNT: usize = {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].len();
        family += 1;
    }
    count
};

/// The options of all of the library's types, by flag. [The module](self) has an example.
pub const SCHEMAS: &[Described] = &{
    let mut all = [FAMILIES[0][0]; COUNT];
    let (mut at, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let mut part = 0;
        while part < FAMILIES[family].len() {
            all[at] = FAMILIES[family][part];
            (at, part) = (at + 1, part + 1);
        }
        family += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A struct with a head of its own that is not listed would escape the comparison with QEMU.
    #[test]
    fn every_head_in_the_source_is_listed() {
        fn walk(dir: &std::path::Path, heads: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    walk(&entry, heads);
                    continue;
                }
                let text = std::fs::read_to_string(&entry).unwrap_or_default();
                for line in text.lines().filter(|line| line.starts_with("#[qemu(")) {
                    let head = line.split_once("device = \"").or_else(|| line.split_once("implied = \""));
                    heads.extend(head.and_then(|(_, rest)| rest.split('"').next()).map(ToOwned::to_owned));
                }
            }
        }
        let mut heads = Vec::new();
        walk(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut heads);
        assert!(heads.len() > 20, "{heads:?}");
        let listed = format!("{SCHEMAS:?}");
        for head in heads {
            assert!(listed.contains(&format!("(\"{head}\")")), "`{head}` is not in SCHEMAS");
        }
        for row in crate::machine::ALL.iter().copied().flatten() {
            let of = row.of.split("::").next();
            assert!(SCHEMAS.iter().any(|described| Some(described.of) == of), "`{}` is not in SCHEMAS", row.of);
        }
    }
}
