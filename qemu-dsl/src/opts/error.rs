use super::IdError;
use crate::QemuVersion;

/// Why an option cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptError {
    /// A value holds a NUL byte, which would end the argument there.
    #[error("the value of `{option}` holds a NUL byte at offset {offset}: a NUL ends an argument, so remove it")]
    Nul {
        /// The option's key.
        option: String,
        /// Where the NUL is, in bytes from the start of the value.
        offset: usize,
    },
    /// The target QEMU is older than the option.
    #[error("`{option}` needs QEMU {since} or later, and the target is {version}: leave it out or use a newer QEMU")]
    TooOld {
        /// The option's key.
        option: String,
        /// The first version that has it, as `major.minor`.
        since: &'static str,
        /// The target's version.
        version: QemuVersion,
    },
    /// The option was removed before the target QEMU's version.
    #[error(
        "`{option}` was removed after QEMU {until}, and the target is {version}: leave it out or use its successor"
    )]
    TooNew {
        /// The option's key.
        option: String,
        /// The last version that has it, as `major.minor`.
        until: &'static str,
        /// The target's version.
        version: QemuVersion,
    },
    /// A handle that another VM returned.
    #[error(
        "`{option}` refers to `{id}`, which belongs to another VM: add it to this VM and use the handle that returns"
    )]
    ForeignHandle {
        /// The option's key.
        option: String,
        /// The id of what the handle stands for.
        id: String,
    },
    /// An implied head behind other options, where QEMU would read it as something else.
    #[error("`{head}` must be the first part of its argument: put the flattened field first, or give the enum a `tag`")]
    HeadNotFirst {
        /// The head.
        head: &'static str,
    },
    /// A value that QEMU does not take; raised by a type's own [`OptValue`](super::OptValue).
    #[error("the value of `{option}` is not possible: {reason}")]
    Value {
        /// The option's key.
        option: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// Why a text is not the value of an option.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Not one of the words that the option takes.
    #[error("expected {expected}")]
    Expected {
        /// What would have been right.
        expected: String,
    },
    /// Text that is not UTF-8 where the type needs it.
    #[error("expected UTF-8 text")]
    NotUtf8,
    /// Not an id.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl ValueError {
    /// An error that says what would have been right.
    ///
    /// ```
    /// use qemu_dsl::opts::ValueError;
    /// assert_eq!(ValueError::expected("`on` or `off`").to_string(), "expected `on` or `off`");
    /// ```
    pub fn expected(what: impl Into<String>) -> Self {
        Self::Expected { expected: what.into() }
    }
}

/// Why an argument's text cannot be read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The head is another one.
    #[error("the text starts with `{found}`, and `{expected}` was expected")]
    Head {
        /// The heads that are possible.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// An option stands where a name belongs.
    #[error("the text starts with `{found}`, and the name must come first: `{expected}`")]
    NoHead {
        /// The names that are possible.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A text that no program could be given as an argument.
    #[error("the text has {len} bytes, and an argument has at most {max}")]
    TooLong {
        /// How many bytes it has.
        len: usize,
        /// The most.
        max: usize,
    },
    /// A NUL byte, which no argument can hold.
    #[error("the text holds a NUL byte at offset {offset}, and no argument can: remove it")]
    Nul {
        /// Where it is.
        offset: usize,
    },
    /// A required option is not there.
    #[error("the option `{option}` is missing")]
    Missing {
        /// The option's key.
        option: String,
    },
    /// A value that the option does not take.
    #[error("the option `{option}` at byte {offset} has the value `{value}`: {source}")]
    Value {
        /// The option's key.
        option: String,
        /// Where its value starts in the text.
        offset: usize,
        /// The value, as far as it can be shown.
        value: String,
        /// Why not.
        source: ValueError,
    },
    /// Options that the type does not have.
    #[error("there is no option `{option}` (at byte {offset}){}", suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    Unknown {
        /// The key.
        option: String,
        /// Where it stands in the text.
        offset: usize,
        /// A key that exists and looks similar.
        suggestion: Option<String>,
    },
}
