//! The option syntax: `head,key=value,key=value`.
//!
//! ```
//! use qemu_dsl::opts::{self, QemuOpts, ReadOpts};
//!
//! /// `-device edu`, QEMU's teaching device.
//! #[derive(QemuOpts, Debug, PartialEq)]
//! #[qemu(implied = "edu", read)]
//! struct Edu {
//!     /// Address bits of the DMA engine.
//!     dma_mask: Option<u64>,
//!     label: String,
//! }
//!
//! let edu = Edu { dma_mask: Some(0xfff), label: "a,b".into() };
//! assert_eq!(opts::to_text(&edu)?, b"edu,dma-mask=4095,label=a,,b");
//! assert_eq!(Edu::read_opts(b"edu,dma-mask=4095,label=a,,b")?, edu);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What every serializer of this crate guarantees:
//!
//! - A comma in a value is doubled: `,,` is the only escape there is (QEMU, `util/qemu-option.c`, `get_opt_value`).
//! - User text never stands in an implied position: heads are names fixed in the source, everything else is `key=value`.
//!   (QEMU takes `a=b` in the first place for a key and a value, whatever was meant.)
//! - A NUL byte, which would end the argument, is an error.
//! - An option that the target version of QEMU lacks is an error, when the version is known.

mod decimal;
mod described;
mod error;
mod escape;
mod extra;
pub(crate) mod fields;
mod handle;
mod id;
mod json;
mod list;
mod noted;
mod read;
mod read_value;
mod schema;
mod size;
mod unique_keys;
mod value;
mod writer;

pub(crate) use decimal::Decimal;
pub use described::Described;
pub(crate) use described::family;
pub use error::{OptError, ReadError, ValueError};
pub(crate) use escape::{end_of_value, unescape};
pub use extra::{Extra, WithExtra};
pub use fields::Rule;
pub use handle::Handle;
pub(crate) use handle::{Issued, Part, PartKind, PartRef, Sort, Token, Trait, VmTag, handle, into_handle};
pub use id::{Id, IdError, IntoId};
pub use json::{JsonForm, to_json};
pub use list::{OptGroups, OptList};
pub(crate) use noted::{Claim, Noted, Role, Unique};
pub use qemu_dsl_macros::QemuOpts;
pub use read::{OptRead, OptReadField, OptReadList, OptReader, ReadOpts};
pub use schema::{FieldKind, FieldSchema, Head, OptType, Schema, VariantSchema};
pub use size::Size;
pub use value::{OptField, OptValue};
pub use writer::{Context, Key, OptWriter, Transport, ValueWriter};

/// Something that QEMU takes as `head,key=value,...`: a device, a back end, a machine type.
///
/// Derive it; see [the module](self) for an example and [`macro@QemuOpts`] for the attributes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no QEMU option syntax",
    label = "this type does not implement `QemuOpts`",
    note = "add `#[derive(QemuOpts)]` to `{Self}`"
)]
pub trait QemuOpts {
    /// The keys, their types and the versions that have them.
    const SCHEMA: &'static Schema;

    /// Writes the head, if there is one, and all options that are set.
    fn write_opts(&self, writer: &mut OptWriter<'_>);
}

impl<T: QemuOpts + ?Sized> QemuOpts for &T {
    const SCHEMA: &'static Schema = T::SCHEMA;

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        (**self).write_opts(writer);
    }
}

/// A group that is there or not.
impl<T: QemuOpts> QemuOpts for Option<T> {
    const SCHEMA: &'static Schema = T::SCHEMA;

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        if let Some(group) = self {
            group.write_opts(writer);
        }
    }
}

/// The text of `opts` on its own, as it would stand in one argument.
///
/// Inside a VM the text is written straight into the command; this is for tests and for wrappers that build commands
/// themselves.
///
/// # Errors
///
/// A value with a NUL byte; see [`OptError`].
///
/// ```
/// use qemu_dsl::backend::{Drive, Format};
/// let text = qemu_dsl::opts::to_text(&Drive::new("a,b.qcow2", Format::Qcow2))?;
/// assert_eq!(text, b"file=a,,b.qcow2,format=qcow2,if=none");
/// # Ok::<(), qemu_dsl::opts::OptError>(())
/// ```
pub fn to_text(opts: &impl QemuOpts) -> Result<Vec<u8>, OptError> {
    let mut out = Vec::new();
    let context = Context::default();
    let mut writer = OptWriter::new(&mut out, &context, None);
    opts.write_opts(&mut writer);
    writer.finish()?;
    Ok(out)
}
