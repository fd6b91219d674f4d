//! Which backing file QEMU opens for an image. What the image itself names is a stranger's word.

use std::path::Path;

use super::block::{Format, ImagePath, Protocol};
use crate::opts::{FieldSchema, Head, Key, OptType, OptValue, OptWriter, QemuOpts, Schema};

/// The rule for one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backing<'a> {
    of: Format,
    rule: Rule<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Rule<'a> {
    /// What the image names.
    Named,
    /// None at all.
    None,
    /// This one, which stands alone.
    File(&'a Path, Format),
}

impl<'a> Backing<'a> {
    pub(super) fn named(of: Format) -> Self {
        Self { of, rule: Rule::Named }
    }

    pub(super) fn none(self) -> Self {
        Self { rule: Rule::None, ..self }
    }

    pub(super) fn file(self, file: &'a Path, format: Format) -> Self {
        Self { rule: Rule::File(file, format), ..self }
    }
}

const NONE: Key = Key::new("backing");
const DRIVER: Key = Key::new("backing.driver");
const FILE_DRIVER: Key = Key::new("backing.file.driver");
const FILENAME: Key = Key::new("backing.file.filename");
const BACKING_NONE: Key = Key::new("backing.backing");

impl QemuOpts for Backing<'_> {
    const SCHEMA: &'static Schema = &Schema::new(
        Head::None,
        &[
            FieldSchema::new(NONE, OptType::Text, "Empty: no backing file, whatever the image names."),
            FieldSchema::new(DRIVER, <Format as OptValue>::TYPE, "The format of the backing file."),
            FieldSchema::new(FILE_DRIVER, <Protocol as OptValue>::TYPE, "How the backing file is reached."),
            FieldSchema::new(FILENAME, OptType::Path, "The backing file."),
            FieldSchema::new(BACKING_NONE, OptType::Text, "Empty: the backing file has none of its own."),
        ],
    );

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        match self.rule {
            Rule::Named => {}
            // A raw image names nothing.
            Rule::None if self.of == Format::Raw => {}
            Rule::None => writer.option(&NONE, ""),
            Rule::File(..) if self.of == Format::Raw => writer.value(&DRIVER, |value| {
                value.refuse("a raw image has no backing file: use `Format::Qcow2` for the image above it");
            }),
            Rule::File(file, format) => {
                writer.option(&DRIVER, &format);
                writer.option(&FILE_DRIVER, &Protocol::File);
                writer.option(&FILENAME, &ImagePath(file));
                if format == Format::Qcow2 {
                    writer.option(&BACKING_NONE, "");
                }
            }
        }
    }
}
