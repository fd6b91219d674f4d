//! What the sandbox is to be.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::confinement::Confinement;
use crate::Memory;
use crate::accel::Architecture;
use crate::backend::{SocketPath, SocketPathError};
use crate::kernel::MmioDiscovery;
use crate::opts::Id;
use crate::policy::{ExposedPort, NetworkMode, NetworkPolicy};

/// The memory that a sandbox can have, in MiB.
const MEMORY: std::ops::RangeInclusive<u32> = 128..=2048;

/// The name of a sandbox: 1 to 64 letters, digits, `-`, `.` and `_`. It becomes part of QEMU ids, hence the letters.
///
/// ```
/// use qemu_dsl::sandbox::VmId;
/// let id: VmId = "4f3c-job.1".parse()?;
/// assert_eq!(id.short(), "4f3c-job");
/// assert!("a,b".parse::<VmId>().is_err());
/// # Ok::<(), qemu_dsl::sandbox::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmId {
    text: String,
    iothread: Id,
}

impl VmId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first 8 bytes, for names of files.
    pub fn short(&self) -> &str {
        // All ASCII, so every cut is between characters.
        self.text.get(..8).unwrap_or(&self.text)
    }

    /// The name of what runs beside QEMU.
    #[cfg(feature = "host")]
    pub(super) fn gvproxy() -> Self {
        Self { text: "gvproxy".to_owned(), iothread: crate::id!("iothread0-gvproxy") }
    }

    /// The id of the VM's I/O thread.
    pub(crate) fn iothread(&self) -> Id {
        self.iothread
    }
}

impl FromStr for VmId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let bad = |reason: String| ConfigError::VmId { vm_id: text.to_owned(), reason };
        if text.is_empty() || text.len() > 64 {
            return Err(bad(format!("it has {} bytes, and 1 to 64 are possible", text.len())));
        }
        let iothread = Id::parse(&format!("iothread0-{text}"))
            .map_err(|_| bad("only letters, digits, `-`, `.` and `_` are possible, as in every QEMU id".to_owned()))?;
        Ok(Self { text: text.to_owned(), iothread })
    }
}

/// Which plan is made where several would work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// The table of [`sandbox`](super), exactly.
    #[default]
    Standard,
    /// What boots fastest in measurements. Under TCG on `x86_64` that is a microvm, for a guest kernel that is known to find its
    /// devices there, else `q35`; and a kernel that need not decompress itself, where there is one
    /// ([`SandboxConfig::pvh_kernel`]). Elsewhere it is the table's plan. Devices and channels are the same.
    Fast,
}

/// The names of the files in a work directory.
///
/// ```
/// assert!(qemu_dsl::sandbox::WORK_FILES.contains(&"qmp.sock"));
/// ```
pub const WORK_FILES: [&str; 6] =
    ["overlay.qcow2", "cmd.sock", "event.sock", "qmp.sock", "gvproxy.sock", "console.log"];

/// The files of a sandbox.
///
/// ```
/// use qemu_dsl::sandbox::SandboxConfig;
/// let config = SandboxConfig::new("job-1", "/run/vm", "/boot")?;
/// assert_eq!(config.paths().qmp, std::path::Path::new("/run/vm/qmp.sock"));
/// # Ok::<(), qemu_dsl::sandbox::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The work directory, which all but kernel and initramfs are in.
    pub work_dir: PathBuf,
    /// The root disk: an overlay that is thrown away.
    pub overlay: PathBuf,
    /// The channel for commands to the guest agent.
    pub cmd: PathBuf,
    /// The channel for events from the guest agent.
    pub event: PathBuf,
    /// QMP.
    pub qmp: PathBuf,
    /// gvproxy's socket.
    pub gvproxy: PathBuf,
    /// What the console showed.
    pub console_log: PathBuf,
    /// The kernel directory.
    pub kernel_dir: PathBuf,
}

impl Paths {
    fn new(work_dir: PathBuf, kernel_dir: PathBuf) -> Result<Self, ConfigError> {
        let work_dir = plain(work_dir);
        without_nul("work directory", &work_dir)?;
        let [overlay, cmd, event, qmp, gvproxy, console_log] = WORK_FILES.map(|name| work_dir.join(name));
        for socket in [&cmd, &event, &qmp, &gvproxy] {
            SocketPath::new(socket)?;
        }
        Ok(Self { work_dir, overlay, cmd, event, qmp, gvproxy, console_log, kernel_dir })
    }
}

fn without_nul(what: &'static str, path: &Path) -> Result<(), ConfigError> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(ConfigError::NulInPath { what, path: path.to_string_lossy().into_owned() });
    }
    Ok(())
}

/// What the sandbox is to be. [The module](super) has an example.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    pub(super) vm_id: VmId,
    pub(super) paths: Paths,
    pub(super) kernel: [PathBuf; 2],
    pub(super) vmlinux: PathBuf,
    pub(super) has_vmlinux: bool,
    pub(super) initramfs: [PathBuf; 2],
    pub(super) memory: Memory,
    pub(super) allow_network: bool,
    pub(super) expose: Vec<ExposedPort>,
    pub(super) force_emulation: bool,
    pub(super) user: Option<String>,
    pub(super) qemu: Option<OsString>,
    pub(super) kernel_mmio: MmioDiscovery,
    pub(super) profile: Profile,
    pub(super) confinement: Confinement,
    pub(super) policy: NetworkPolicy,
}

/// Architectures in the order of [`SandboxConfig`]'s arrays.
pub(super) const ARCHITECTURES: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

fn of_architecture(of: &[PathBuf; 2], arch: Architecture) -> &Path {
    ARCHITECTURES.iter().zip(of).find(|(known, _)| **known == arch).map_or(Path::new(""), |(_, path)| path)
}

impl SandboxConfig {
    /// A sandbox with 256 MiB and without a network, with its files in `work_dir` and `vmlinuz-<arch>` and
    /// `initramfs-<arch>` in `kernel_dir`.
    ///
    /// # Errors
    ///
    /// A name that is no [`VmId`], and directories that QEMU cannot be given: with a NUL byte, or too long for a socket.
    pub fn new(vm_id: &str, work_dir: impl Into<PathBuf>, kernel_dir: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let kernel_dir = plain(kernel_dir.into());
        without_nul("kernel directory", &kernel_dir)?;
        let in_kernel_dir = |name: &str| ARCHITECTURES.map(|arch| kernel_dir.join(format!("{name}-{arch}")));
        Ok(Self {
            vm_id: vm_id.parse()?,
            kernel: in_kernel_dir("vmlinuz"),
            vmlinux: kernel_dir.join("vmlinux-x86_64"),
            has_vmlinux: false,
            initramfs: in_kernel_dir("initramfs"),
            paths: Paths::new(work_dir.into(), kernel_dir)?,
            memory: crate::mib!(256),
            allow_network: false,
            expose: Vec::new(),
            force_emulation: false,
            user: None,
            qemu: None,
            kernel_mmio: MmioDiscovery::Unknown,
            profile: Profile::Standard,
            confinement: Confinement::new(),
            policy: NetworkPolicy::new(),
        })
    }

    /// The same sandbox under another name, in another work directory.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use qemu_dsl::sandbox::SandboxConfig;
    /// let first = SandboxConfig::new("job-1", "/run/vm-1", "/boot")?.memory(512)?;
    /// let second = first.renamed("job-2", "/run/vm-2")?;
    /// assert_eq!(second.paths().qmp, std::path::Path::new("/run/vm-2/qmp.sock"));
    /// # Ok::<(), qemu_dsl::sandbox::ConfigError>(())
    /// ```
    pub fn renamed(&self, vm_id: &str, work_dir: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let paths = Paths::new(work_dir.into(), self.paths.kernel_dir.clone())?;
        Ok(Self { vm_id: vm_id.parse()?, paths, ..self.clone() })
    }

    /// Whether they differ in nothing that a plan shows but name and work directory.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.paths.kernel_dir == other.paths.kernel_dir
            && self.has_vmlinux == other.has_vmlinux
            && self.memory == other.memory
            && self.network() == other.network()
            && self.force_emulation == other.force_emulation
            && self.user == other.user
            && self.qemu == other.qemu
            && self.kernel_mmio == other.kernel_mmio
            && self.profile == other.profile
            && self.confinement == other.confinement
    }

    /// The memory in MiB: 128 to 2048.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Memory`] for any other number.
    pub fn memory(mut self, mib: u32) -> Result<Self, ConfigError> {
        let memory = Memory::from_mib(mib).ok().filter(|_| MEMORY.contains(&mib));
        self.memory = memory.ok_or(ConfigError::Memory { mib })?;
        Ok(self)
    }

    /// Whether the guest reaches what the host reaches.
    #[must_use]
    pub fn allow_network(mut self, allow: bool) -> Self {
        self.allow_network = allow;
        self
    }

    /// The ports of the guest that answer on the host.
    ///
    /// # Errors
    ///
    /// [`ConfigError::PortTwice`] for two guest ports on one port of the host.
    ///
    /// ```
    /// use qemu_dsl::sandbox::{ExposedPort, SandboxConfig};
    /// let web = ExposedPort { internal: 80, external: 8080 };
    /// let config = SandboxConfig::new("job-1", "/run/vm", "/boot")?;
    /// assert!(config.clone().expose([web]).is_ok());
    /// assert!(config.expose([web, web]).is_err());
    /// # Ok::<(), qemu_dsl::sandbox::ConfigError>(())
    /// ```
    pub fn expose(mut self, ports: impl IntoIterator<Item = ExposedPort>) -> Result<Self, ConfigError> {
        self.expose = ports.into_iter().collect();
        for (index, port) in self.expose.iter().enumerate() {
            if self.expose[..index].iter().any(|other| other.external == port.external) {
                return Err(ConfigError::PortTwice { port: port.external });
            }
        }
        Ok(self)
    }

    /// Uses TCG even where there is KVM or HVF.
    #[must_use]
    pub fn force_emulation(mut self, force: bool) -> Self {
        self.force_emulation = force;
        self
    }

    /// Runs QEMU as this user: a root launcher becomes it, any other asks `sudo`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::User`] for what is no user name: `sudo` would read `#0` or `-x` as something else.
    ///
    /// ```
    /// use qemu_dsl::sandbox::SandboxConfig;
    /// let config = SandboxConfig::new("job-1", "/run/vm", "/boot")?;
    /// assert!(config.clone().user("qemu-vm").is_ok());
    /// assert!(config.user("#0").is_err());
    /// # Ok::<(), qemu_dsl::sandbox::ConfigError>(())
    /// ```
    pub fn user(mut self, user: &str) -> Result<Self, ConfigError> {
        let mut bytes = user.bytes();
        let starts = bytes.next().is_some_and(|first| first.is_ascii_lowercase() || first == b'_');
        if !starts
            || !bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b))
            || user.len() > 32
        {
            return Err(ConfigError::User { user: user.to_owned() });
        }
        self.user = Some(user.to_owned());
        Ok(self)
    }

    /// The QEMU binary; without this, `qemu-system-<arch>` from `PATH`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::NulInPath`], and [`ConfigError::EmptyPath`].
    pub fn qemu(mut self, qemu: impl Into<OsString>) -> Result<Self, ConfigError> {
        let qemu = qemu.into();
        let what = "QEMU binary";
        if qemu.is_empty() {
            return Err(ConfigError::EmptyPath { what });
        }
        if qemu.as_bytes().contains(&0) {
            return Err(ConfigError::NulInPath { what, path: qemu.to_string_lossy().into_owned() });
        }
        self.qemu = Some(qemu);
        Ok(self)
    }

    /// What is known of the guest kernel's way to find virtio-mmio devices; `x86_64` only.
    #[must_use]
    pub fn kernel_mmio(mut self, kernel_mmio: MmioDiscovery) -> Self {
        self.kernel_mmio = kernel_mmio;
        self
    }

    /// Whether the kernel directory has `vmlinux-x86_64` too: the same kernel, uncompressed, which QEMU starts through PVH
    /// (`CONFIG_PVH=y`). Under TCG a kernel takes longer to decompress itself than to boot; [`Profile::Fast`] uses it there.
    #[must_use]
    pub fn pvh_kernel(mut self, is_there: bool) -> Self {
        self.has_vmlinux = is_there;
        self
    }

    /// Which plan is made where several would work.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// What the guest may reach, where it has a network that leads out. The plan does not depend on it: the filter that the frames
    /// pass does.
    #[must_use]
    pub fn network_policy(mut self, policy: NetworkPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// What the guest may reach.
    pub fn policy(&self) -> &NetworkPolicy {
        &self.policy
    }

    /// What holds QEMU, and what it sees of the host. [`Confinement`] has an example.
    #[must_use]
    pub fn confinement(mut self, confinement: Confinement) -> Self {
        self.confinement = confinement;
        self
    }

    /// The name of the sandbox.
    pub fn vm_id(&self) -> &VmId {
        &self.vm_id
    }

    /// The files of the sandbox.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// The guest kernel for an architecture: `vmlinuz-<arch>`. Empty for one that no sandbox is planned for.
    pub fn kernel(&self, arch: Architecture) -> &Path {
        of_architecture(&self.kernel, arch)
    }

    /// The initial RAM disk for an architecture: `initramfs-<arch>`.
    pub fn initramfs(&self, arch: Architecture) -> &Path {
        of_architecture(&self.initramfs, arch)
    }

    /// The ports of the guest that answer on the host.
    pub fn exposed(&self) -> &[ExposedPort] {
        &self.expose
    }

    /// What the guest can reach, and from where it can be reached.
    pub fn network(&self) -> NetworkMode {
        match (self.allow_network, self.expose.is_empty()) {
            (false, true) => NetworkMode::None,
            (false, false) => NetworkMode::Ports,
            (true, false) => NetworkMode::PortsAndInternet,
            (true, true) => NetworkMode::Internet,
        }
    }
}

/// A relative path that starts with a hyphen looks like an option in messages and to other tools: `./` goes before it.
fn plain(path: PathBuf) -> PathBuf {
    if path.as_os_str().as_bytes().starts_with(b"-") {
        PathBuf::from(OsString::from_vec([b"./", path.as_os_str().as_bytes()].concat()))
    } else {
        path
    }
}

/// Why a sandbox cannot be like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A name that is no [`VmId`].
    #[error("`{}` cannot be a VM id: {reason}", vm_id.escape_debug())]
    VmId {
        /// The name.
        vm_id: String,
        /// Why not.
        reason: String,
    },
    /// Too little or too much memory.
    #[error("{mib} MiB of memory are not possible: choose 128 to 2048")]
    Memory {
        /// The memory in MiB.
        mib: u32,
    },
    /// Two guest ports on one port of the host.
    #[error("the host's port {port} is exposed twice: give each guest port its own")]
    PortTwice {
        /// The port.
        port: u16,
    },
    /// Not a user name.
    #[error("`{}` is no user name: a lower-case letter or `_`, then lower-case letters, digits, `-`, `_` and `.`; at most 32", user.escape_debug())]
    User {
        /// The text.
        user: String,
    },
    /// A directory whose sockets would have too long paths.
    #[error(transparent)]
    Socket(#[from] SocketPathError),
    /// A NUL byte in a path.
    #[error("the {what} `{}` holds a NUL byte, which no path can: remove it", path.escape_debug())]
    NulInPath {
        /// Which path.
        what: &'static str,
        /// The path.
        path: String,
    },
    /// An empty path.
    #[error("the path of the {what} is empty")]
    EmptyPath {
        /// Which path.
        what: &'static str,
    },
}
