//! The guest kernel: `-kernel`, `-initrd`, `-append`, what a kernel's file is, and what a kernel can discover.

#[cfg(feature = "host")]
mod config;
mod elf;
mod error;
mod identify;

use std::ffi::OsStr;
use std::path::Path;

#[cfg(feature = "host")]
pub use config::{ConfigError, read_config};
pub use error::KernelError;
pub use identify::{KernelArch, KernelImage, KernelKind};

/// The kernel that the VM boots directly, without a boot loader.
///
/// The builder puts `console=` before the command line, for the console that the VM has; a command line that sets it again
/// is an error, unless it is [`own_console`](Self::own_console). QEMU takes all three texts as they are: no escaping is needed, and any byte but NUL is fine.
///
/// ```
/// use qemu_dsl::prelude::*;
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(128));
/// vm.kernel(Kernel::new("vmlinuz").initrd("initrd.img").cmdline("root=/dev/vda ro"));
/// let console = vm.chardev(Stdio::new());
/// let command = vm.isa_serial_console(console).build()?;
/// assert!(command.to_string().ends_with("-append 'console=ttyS0 root=/dev/vda ro'"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Kernel<'a> {
    pub(crate) image: &'a Path,
    pub(crate) initrd: Option<&'a Path>,
    pub(crate) cmdline: Option<&'a OsStr>,
    /// Whether the builder writes `console=`.
    pub(crate) is_linux: bool,
}

/// What can be given where a [`Kernel`] is wanted: that. The trait is there for its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Kernel`",
    label = "expected a `Kernel`",
    note = "write `Kernel::new(path)`; `initrd` and `cmdline` are methods of it"
)]
pub trait IntoKernel<'a> {
    #[doc(hidden)]
    fn into_kernel(self) -> Kernel<'a>;
}

#[diagnostic::do_not_recommend]
impl<'a> IntoKernel<'a> for Kernel<'a> {
    fn into_kernel(self) -> Self {
        self
    }
}

impl<'a> Kernel<'a> {
    /// The kernel image at `image`: a bzImage or PVH vmlinux on `x86_64`, an Image on aarch64.
    pub fn new(image: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self { image: image.as_ref(), initrd: None, cmdline: None, is_linux: true }
    }

    /// The initial RAM disk.
    #[must_use]
    pub fn initrd(mut self, initrd: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        self.initrd = Some(initrd.as_ref());
        self
    }

    /// Leaves the command line as it is: no `console=` is put before it, and it may hold any. For kernels that are not Linux, and for
    /// consoles with settings of their own, such as `console=ttyS0,115200`.
    ///
    /// ```
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(128));
    /// vm.kernel(Kernel::new("vmlinuz").cmdline("console=tty0 console=ttyS0,115200").own_console());
    /// let console = vm.chardev(Stdio::new());
    /// let command = vm.isa_serial_console(console).build()?;
    /// assert!(command.to_string().ends_with("-append 'console=tty0 console=ttyS0,115200'"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn own_console(mut self) -> Self {
        self.is_linux = false;
        self
    }

    /// The kernel command line, without `console=` where the VM has a console.
    #[must_use]
    pub fn cmdline(mut self, cmdline: &'a (impl AsRef<OsStr> + ?Sized)) -> Self {
        self.cmdline = Some(cmdline.as_ref());
        self
    }
}

/// Looks at a kernel's file: what it is, and what is in it if it is compressed with gzip. Nothing is waited for: a FIFO or a
/// device is an error at once.
///
/// # Errors
///
/// The file cannot be read, or is no file.
///
/// ```no_run
/// use qemu_dsl::accel::Architecture;
/// use qemu_dsl::{QemuVersion, kernel};
/// kernel::identify("vmlinuz".as_ref())?.check(Architecture::Aarch64, Some(QemuVersion::new(7, 2, 0)))?;
/// # Ok::<(), kernel::KernelError>(())
/// ```
#[cfg(feature = "host")]
pub fn identify(path: &Path) -> Result<KernelImage, KernelError> {
    use std::io::Seek as _;
    let failed = |error| KernelError::from(crate::files::FileError::read(path)(error));
    let mut file = crate::files::open(path)?;
    let mut image = KernelImage::from_reader(path, &mut file)?;
    if matches!(image.kind(), KernelKind::Gzip { .. }) {
        file.rewind().map_err(failed)?;
        image.holds(KernelImage::from_reader(path, &mut std::io::Cursor::new(unpacked(file)))?);
    }
    Ok(image)
}

/// The beginning of what is packed in a file, as far as it can be unpacked: damage behind it is QEMU's to find, which says so.
#[cfg(feature = "host")]
fn unpacked(file: impl std::io::Read) -> Vec<u8> {
    use std::io::Read as _;
    // A file can be made so that a lot of it says nothing.
    const PACKED: u64 = 1 << 20;
    const UNPACKED: u64 = 64 * 1024;
    let mut head = Vec::new();
    let _ = flate2::read::GzDecoder::new(file.take(PACKED)).take(UNPACKED).read_to_end(&mut head);
    head
}

/// Whether an x86 guest kernel finds virtio-mmio devices that stand on its command line, which is how a microvm without
/// ACPI announces them.
///
/// ```
/// use qemu_dsl::kernel::MmioDiscovery;
/// let debian = "CONFIG_VIRTIO_MMIO=m\n# CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is not set\n";
/// assert_eq!(MmioDiscovery::from_config(debian), MmioDiscovery::AcpiOnly);
/// assert_eq!(MmioDiscovery::from_config("CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y\n"), MmioDiscovery::CommandLine);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MmioDiscovery {
    /// `CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=y`: it does.
    CommandLine,
    /// It does not, but it has virtio-mmio and finds the devices through ACPI.
    AcpiOnly,
    /// It has no virtio-mmio at all: it needs PCI.
    None,
    /// There is no configuration to read.
    Unknown,
}

/// Whether the text of a kernel's `.config` sets an option.
fn sets(config: &str, name: &str) -> bool {
    let mut lines = config.lines();
    lines.any(|line| line.strip_prefix(name).is_some_and(|value| matches!(value.trim_end(), "=y" | "=m")))
}

/// Whether an uncompressed `x86_64` kernel with this `.config` can be started directly, through PVH. (QEMU documentation, "x86
/// specific", "Direct Linux boot"; Xen, `docs/misc/pvh.pandoc`)
///
/// ```
/// assert!(qemu_dsl::kernel::has_pvh("CONFIG_PVH=y\n"));
/// ```
pub fn has_pvh(config: &str) -> bool {
    sets(config, "CONFIG_PVH")
}

impl MmioDiscovery {
    /// What the text of a kernel's `.config` says.
    pub fn from_config(config: &str) -> Self {
        let is_set = |name: &str| sets(config, name);
        if !config.lines().any(|line| line.starts_with("CONFIG_") || line.starts_with("# CONFIG_")) {
            Self::Unknown
        } else if is_set("CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES") {
            Self::CommandLine
        } else if is_set("CONFIG_VIRTIO_MMIO") {
            Self::AcpiOnly
        } else {
            Self::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packed file without an end, of blocks that hold nothing.
    #[cfg(feature = "host")]
    #[test]
    fn little_is_unpacked() {
        use std::io::Read as _;
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
        let blocks = [0, 0, 0, 0xff, 0xff].repeat(1 << 20);
        let mut file = std::io::Read::take((&header[..]).chain(&blocks[..]), u64::MAX);
        assert!(unpacked(&mut file).is_empty());
        assert!(u64::MAX - file.limit() <= 1 << 20);
    }

    #[test]
    fn reads_a_kernels_configuration() {
        let none = "CONFIG_64BIT=y\n# CONFIG_VIRTIO_MMIO is not set\n";
        assert_eq!(MmioDiscovery::from_config(none), MmioDiscovery::None);
        assert_eq!(MmioDiscovery::from_config("CONFIG_VIRTIO_MMIO=m\n"), MmioDiscovery::AcpiOnly);
        assert_eq!(MmioDiscovery::from_config("CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES=n\n"), MmioDiscovery::None);
        assert_eq!(MmioDiscovery::from_config("\u{7f}ELF"), MmioDiscovery::Unknown);
        assert_eq!(MmioDiscovery::from_config(""), MmioDiscovery::Unknown);
    }
}
