//! Character devices: `-chardev`.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::opts::{OptType, OptValue, PartKind, QemuOpts, Role, Sort, Unique, ValueWriter, handle, into_handle};

handle! {
    /// A character device of a VM, for one front end. [`Vm::chardev`](crate::Vm::chardev) returns it.
    #[must_use = "a character device that no console, port or monitor has is reached by nobody"]
    Chardev, "chardev", PartKind {
        flag: "-chardev",
        prefix: "chardev",
        what: "the character device",
        user: "one console, port or monitor",
        is_shared: false, sort: Sort::Counted,
    }
}

into_handle! {
    IntoChardev, into_chardev, Chardev, "expected a `Chardev`",
    "add the character device to the VM first, and use what that returns: `let stdio = vm.chardev(Stdio::new());`"
}

/// What can be added with [`Vm::chardev`](crate::Vm::chardev): the back ends of this module, and those of wrapper authors.
///
/// ```
/// use qemu_dsl::backend::ChardevBackend;
/// use qemu_dsl::prelude::*;
///
/// /// A pseudo-terminal.
/// #[derive(QemuOpts)]
/// #[qemu(implied = "pty")]
/// struct Pty {}
/// impl ChardevBackend for Pty {}
///
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let console = vm.chardev(Pty {});
/// let vm = vm.isa_serial_console(console);
/// assert!(vm.build().unwrap().to_string().contains("-chardev pty,id=chardev0"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no character device back end",
    label = "not a character device",
    note = "use `Socket`, `Stdio`, `LogFile` or `NullChardev`; for your own type, implement `ChardevBackend`"
)]
pub trait ChardevBackend: QemuOpts {
    /// Whether it takes the standard input of QEMU, which only one can.
    const TAKES_STDIO: bool = false;
    /// Whether it both reads and writes, as a monitor needs it.
    const TALKS_BOTH_WAYS: bool = true;
}

/// The path of a Unix socket: at most 107 bytes, the limit of Linux, or 103, that of macOS. (`UNIX_PATH_MAX`,
/// `include/uapi/linux/un.h`; `man 4 unix` of macOS)
///
/// ```
/// use qemu_dsl::backend::SocketPath;
/// let path = SocketPath::new("/run/vm/qmp.sock")?;
/// assert!(SocketPath::new(&"x".repeat(108)).is_err());
/// # Ok::<(), qemu_dsl::backend::SocketPathError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketPath<'a>(&'a Path);

impl<'a> SocketPath<'a> {
    /// The most bytes that the path of a Unix socket can have.
    pub const MAX: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

    /// Checks the path.
    ///
    /// # Errors
    ///
    /// [`SocketPathError`] when it is empty, too long, or holds a NUL byte.
    pub fn new(path: &'a (impl AsRef<OsStr> + ?Sized)) -> Result<Self, SocketPathError> {
        let path = path.as_ref();
        let shown = || path.to_string_lossy().into_owned();
        if path.is_empty() {
            Err(SocketPathError::Empty)
        } else if memchr::memchr(0, path.as_bytes()).is_some() {
            Err(SocketPathError::Nul { path: shown() })
        } else if path.len() > Self::MAX {
            Err(SocketPathError::TooLong { path: shown(), len: path.len() })
        } else {
            Ok(Self(Path::new(path)))
        }
    }

    /// A path that was checked before.
    pub(crate) fn checked(path: &'a Path) -> Self {
        debug_assert!(Self::new(path).is_ok());
        Self(path)
    }

    /// The path.
    pub const fn as_path(self) -> &'a Path {
        self.0
    }
}

impl OptValue for SocketPath<'_> {
    const TYPE: OptType = OptType::Path;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        self.0.write_value(value);
    }
}

/// What can be given where a [`SocketPath`] is wanted: a `SocketPath`. The trait is there for its message; it has no example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `SocketPath`",
    label = "expected a `SocketPath`",
    note = "write `SocketPath::new(path)?`: the kernel allows 107 bytes, and QEMU would fail only at the start"
)]
pub trait IntoSocketPath<'a> {
    #[doc(hidden)]
    fn into_socket_path(self) -> SocketPath<'a>;
}

#[diagnostic::do_not_recommend]
impl<'a> IntoSocketPath<'a> for SocketPath<'a> {
    fn into_socket_path(self) -> SocketPath<'a> {
        self
    }
}

/// Why a path cannot be a socket's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SocketPathError {
    /// An empty path.
    #[error("the path of a socket cannot be empty")]
    Empty,
    /// More than [`SocketPath::MAX`] bytes.
    #[error(
        "the socket path `{path}` has {len} bytes, and the kernel allows {}: use a shorter directory",
        SocketPath::MAX
    )]
    TooLong {
        /// The path.
        path: String,
        /// How many bytes it has.
        len: usize,
    },
    /// A NUL byte.
    #[error("the socket path `{}` holds a NUL byte: remove it", path.escape_debug())]
    Nul {
        /// The path.
        path: String,
    },
}

/// A Unix socket: `-chardev socket`.
///
/// ```
/// use qemu_dsl::backend::{Socket, SocketPath};
/// use qemu_dsl::opts;
/// let socket = Socket::listen(SocketPath::new("/run/vm/cmd.sock")?);
/// assert_eq!(opts::to_text(&socket)?, b"socket,path=/run/vm/cmd.sock,server=on,wait=off");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(implied = "socket")]
pub struct Socket<'a> {
    /// The path.
    path: EndPath<'a>,
    /// Whether QEMU listens, or connects.
    server: Option<bool>,
    /// Whether QEMU waits for the first client before the VM starts.
    wait: Option<bool>,
}

/// The path of a socket, at whose one end QEMU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EndPath<'a> {
    path: SocketPath<'a>,
    listens: bool,
}

impl OptValue for EndPath<'_> {
    const TYPE: OptType = OptType::Path;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        if !self.listens {
            return self.path.write_value(value);
        }
        value.unique(Unique::Path(Role::Listens), |value| self.path.write_value(value));
    }
}

impl<'a> Socket<'a> {
    /// QEMU listens, and the VM starts without waiting for a client.
    pub fn listen(path: impl IntoSocketPath<'a>) -> Self {
        Self { path: EndPath { path: path.into_socket_path(), listens: true }, server: Some(true), wait: Some(false) }
    }

    /// QEMU connects to a socket that somebody else listens on.
    pub fn connect(path: impl IntoSocketPath<'a>) -> Self {
        Self { path: EndPath { path: path.into_socket_path(), listens: false }, server: None, wait: None }
    }
}

impl ChardevBackend for Socket<'_> {}

/// A Unix socket that this process listens on already, and passes on to QEMU: clients can connect before QEMU is there, and
/// nobody else can take the path. (QEMU documentation, "Invocation", `-chardev socket,fd=`)
///
/// Make the listener non-blocking: a QEMU before 10.0 can otherwise wait for ever for a second client of its QMP.
///
/// ```
/// use std::os::unix::net::UnixListener;
/// use qemu_dsl::backend::PassedSocket;
/// use qemu_dsl::prelude::*;
///
/// # let dir = std::env::temp_dir().join(format!("qemu-dsl-passed-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let path = dir.join("qmp.sock");
/// let listener = UnixListener::bind(&path)?;
/// listener.set_nonblocking(true)?;
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let chardev = vm.chardev(PassedSocket::new(&listener));
/// vm.qmp_on(chardev);
/// let command = vm.build()?;
/// // Launch::new(&command).pass_fd(&listener).start()?;
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(QemuOpts, Debug)]
#[qemu(implied = "socket")]
pub struct PassedSocket<'a> {
    /// The number of the file descriptor.
    fd: FdName<'a>,
    /// Whether clients connect.
    server: bool,
    /// Whether QEMU waits for the first client before the VM starts.
    wait: bool,
}

/// A file descriptor by its number, where QEMU reads text: it could also be a name that a monitor command has given.
#[derive(Debug)]
struct FdName<'a>(BorrowedFd<'a>);

impl OptValue for FdName<'_> {
    const TYPE: OptType = OptType::Text;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        let number = self.0.as_raw_fd();
        value.claim(Unique::Fd(number));
        value.integer(number);
    }
}

impl<'a> PassedSocket<'a> {
    /// The socket that `listener` listens on. The command holds its number only, so keep the listener until QEMU has been started.
    pub fn new(listener: &'a std::os::unix::net::UnixListener) -> Self {
        Self { fd: FdName(listener.as_fd()), server: true, wait: false }
    }
}

impl ChardevBackend for PassedSocket<'_> {}

/// Standard input and output of QEMU: `-chardev stdio`.
///
/// ```
/// use qemu_dsl::backend::Stdio;
/// use qemu_dsl::opts;
/// assert_eq!(opts::to_text(&Stdio::new().mux(true).signal(false))?, b"stdio,mux=on,signal=off");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "stdio", build = "Standard input and output, with QEMU's defaults.")]
pub struct Stdio {
    /// Whether several front ends share it; Ctrl-A switches between them.
    mux: Option<bool>,
    /// Whether Ctrl-C ends QEMU rather than reaching the guest.
    signal: Option<bool>,
}

impl ChardevBackend for Stdio {
    const TAKES_STDIO: bool = true;
}

/// A file that output goes to: `-chardev file`.
///
/// ```
/// use qemu_dsl::backend::LogFile;
/// use qemu_dsl::opts;
/// assert_eq!(opts::to_text(&LogFile::new("console, 1.log"))?, b"file,path=console,, 1.log");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(implied = "file", build = "The file at `path`, emptied first.")]
pub struct LogFile<'a> {
    /// The file.
    #[qemu(with = |path: &'a (impl AsRef<Path> + ?Sized)| LogPath(path.as_ref()))]
    path: LogPath<'a>,
    /// Whether output is appended to what the file holds.
    append: Option<bool>,
}

/// The path of a file that QEMU writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LogPath<'a>(&'a Path);

impl OptValue for LogPath<'_> {
    const TYPE: OptType = OptType::Path;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        if self.0.as_os_str().is_empty() {
            return value.refuse("a log file needs a path, and this one is empty");
        }
        // Devices such as `/dev/null` take the output of any number.
        if self.0.starts_with("/dev") {
            return self.0.write_value(value);
        }
        value.unique(Unique::Path(Role::Log), |value| self.0.write_value(value));
    }
}

impl ChardevBackend for LogFile<'_> {
    const TALKS_BOTH_WAYS: bool = false;
}

/// A character device that takes everything and says nothing: `-chardev null`.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::backend::NullChardev {}).unwrap(), b"null");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "null")]
pub struct NullChardev {}

impl ChardevBackend for NullChardev {
    const TALKS_BOTH_WAYS: bool = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_paths_have_the_kernels_limit() {
        assert!(SocketPath::new(&"x".repeat(107)).is_ok());
        assert!(matches!(SocketPath::new(&"x".repeat(108)), Err(SocketPathError::TooLong { len: 108, .. })));
        assert_eq!(SocketPath::new(""), Err(SocketPathError::Empty));
        assert!(matches!(SocketPath::new("a\0b"), Err(SocketPathError::Nul { .. })));
    }
}
