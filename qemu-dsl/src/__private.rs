//! What code that a derive has written calls, and nobody else: no part of the interface.

pub use crate::bus::{Device, Virtio};
pub use crate::opts::fields::{Fields, Kind, NOTHING, Note, Part, group, list, write, write_variant};
pub use crate::opts::{
    Head, Key, OptField, OptGroups, OptList, OptRead, OptReadField, OptReadList, OptReader, OptType, OptValue,
    OptWriter, QemuOpts, ReadError, ReadOpts, Schema, ValueError, ValueWriter, VariantSchema,
};

pub use std::default::Default;
