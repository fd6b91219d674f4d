//! The network of a sandbox: gvproxy, and what keeps a guest from everything else that gvproxy can do.
//!
//! ```no_run
//! use qemu_dsl::network::{Network, NetworkOptions};
//! use qemu_dsl::policy::{NetworkMode, NetworkPolicy};
//!
//! let policy = NetworkPolicy::new().allow_name("example.org".parse()?);
//! let options = NetworkOptions::new(NetworkMode::Internet, "/run/vm-job-1.private", "/run/vm-job-1/gvproxy.sock");
//! let network = Network::start(options.policy(policy))?; // before QEMU, which connects to it
//! let report = network.end();
//! println!("{} frames did not pass", report.counts.total_dropped());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! QEMU's frames go to a socket of this process's, through a [`Filter`], and from there to gvproxy: gvproxy's own sockets are in a
//! directory that QEMU does not see. gvproxy's control API, which creates and removes the host's files, is out of the guest's reach;
//! so is what the [policy](crate::policy) does not allow. Exposed ports are open on the host's 127.0.0.1, by this process: gvproxy
//! itself opens none.
//!
//! A thread passes frames on, and one connections to ports; three more watch gvproxy and read what it says.

mod buffer;
mod frame;
mod gvproxy;
mod ports;
mod pump;
mod socket;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

pub use frame::{Counts, Dropped, Filter, Passed};
pub use pump::Pump;

use crate::policy::{ExposedPort, NetworkMode, NetworkPolicy};
use crate::programs::CannotStart;
use crate::text::{visible, visible_line};
use gvproxy::Gvproxy;
use ports::{Port, Ports};

/// What a network is to be. [The module](self) has an example.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    mode: NetworkMode,
    private_dir: PathBuf,
    socket: PathBuf,
    gvproxy: OsString,
    exposed: Vec<ExposedPort>,
    policy: NetworkPolicy,
    wrapper: Vec<OsString>,
    uid: Option<u32>,
    group: Option<u32>,
}

impl NetworkOptions {
    /// A network with the gvproxy from `PATH`, no exposed ports, and the default policy.
    ///
    /// `private_dir` is there already, belongs to this user alone, and is seen by gvproxy but not by QEMU: gvproxy's sockets are
    /// made in it. `socket` is where QEMU connects; it is made, and removed in the end.
    pub fn new(mode: NetworkMode, private_dir: impl Into<PathBuf>, socket: impl Into<PathBuf>) -> Self {
        Self {
            mode,
            private_dir: private_dir.into(),
            socket: socket.into(),
            gvproxy: "gvproxy".into(),
            exposed: Vec::new(),
            policy: NetworkPolicy::new(),
            wrapper: Vec::new(),
            uid: None,
            group: None,
        }
    }

    /// Another gvproxy.
    #[must_use]
    pub fn gvproxy(mut self, program: impl Into<OsString>) -> Self {
        self.gvproxy = program.into();
        self
    }

    /// The ports of the guest that answer on the host, in the modes that have ports.
    #[must_use]
    pub fn expose(mut self, ports: impl IntoIterator<Item = ExposedPort>) -> Self {
        self.exposed = ports.into_iter().collect();
        self
    }

    /// What the guest may reach, in the modes with the internet.
    #[must_use]
    pub fn policy(mut self, policy: NetworkPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The command that goes before gvproxy's, such as that of a jail. It leaves the working directory as it is, and with
    /// [`NetworkMode::Ports`] it is to keep gvproxy from every network. Without this, `unshare --net` does that.
    #[must_use]
    pub fn wrapper(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.wrapper = words.into_iter().map(Into::into).collect();
        self
    }

    /// The group that may connect beside this user: that of a QEMU which runs as another one.
    #[must_use]
    pub fn group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// The user whose QEMU connects; others are sent away. Without this, the rights of `socket` (0660) decide.
    #[must_use]
    pub fn uid(mut self, uid: u32) -> Self {
        self.uid = Some(uid);
        self
    }
}

/// Why there is no network, or no more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The mode is [`NetworkMode::None`].
    #[error("a sandbox without a network needs none: choose a mode with ports or the internet")]
    None,
    /// gvproxy cannot be started.
    #[error("{}: install gvproxy, or leave the network out", CannotStart::new(program.as_ref(), source))]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// gvproxy ended.
    #[error("gvproxy ended with {status}; it said:\n{}", visible(stderr.as_bytes()))]
    Exited {
        /// How it ended.
        status: String,
        /// The end of its standard error. What a guest does can make it say anything.
        stderr: String,
    },
    /// gvproxy closed its connection, and runs on.
    #[error("gvproxy takes no more frames; it said:\n{}", visible(stderr.as_bytes()))]
    Closed {
        /// The end of its standard error. What a guest does can make it say anything.
        stderr: String,
    },
    /// gvproxy does not listen in time.
    #[error("gvproxy did not listen at `{}` within {:?}", path.display(), gvproxy::LIMIT)]
    Timeout {
        /// Its socket.
        path: PathBuf,
    },
    /// gvproxy does not do what it is told over its control socket.
    #[error("gvproxy did not answer at `{}`: {}", path.display(), visible_line(reason.as_bytes()))]
    NoAnswer {
        /// Its socket.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A socket cannot be made, or not be connected to.
    #[error("the socket `{}` cannot be used: {source}; use a directory {}", path.display(), directory(source))]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A port of the host cannot be had.
    #[error("port {port} of the host cannot be opened: {}; expose the guest's port on another one", visible_line(reason.as_bytes()))]
    Port {
        /// The port.
        port: u16,
        /// Why not.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("a thread for the network cannot be started: {0}")]
    Thread(io::Error),
}

/// The directory that a socket needs which cannot be used where it is.
fn directory(error: &io::Error) -> &'static str {
    if error.raw_os_error() == Some(nix::libc::ENAMETOOLONG) { "with a short path" } else { "of your own" }
}

/// What came of a network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NetworkReport {
    /// What passed, and what did not.
    pub counts: Counts,
    /// How gvproxy ended, where it ended before the network did.
    pub failure: Option<String>,
}

/// A running network. Dropping it ends it: ports and connections are closed, gvproxy is killed, and the sockets are removed.
#[derive(Debug)]
pub struct Network {
    // In this order they end: whoever uses another one first.
    ports: Option<Ports>,
    pump: Pump,
    gvproxy: Gvproxy,
}

impl Network {
    /// Starts gvproxy, and takes connections of QEMU's from then on.
    ///
    /// # Errors
    ///
    /// [`NetworkError`]; nothing is left running then.
    pub fn start(options: NetworkOptions) -> Result<Self, NetworkError> {
        let NetworkOptions { mode, private_dir, socket, gvproxy, exposed, policy, mut wrapper, uid, group } = options;
        let exposed = match mode {
            NetworkMode::None => return Err(NetworkError::None),
            NetworkMode::Ports | NetworkMode::PortsAndInternet => exposed,
            NetworkMode::Internet => Vec::new(),
        };
        if wrapper.is_empty() && mode == NetworkMode::Ports {
            wrapper = gvproxy::without_network();
        }
        let taken = |port: &ExposedPort, reason: String| NetworkError::Port { port: port.external, reason };
        let mut listeners = Vec::with_capacity(exposed.len());
        for port in &exposed {
            listeners.push(ports::listen(port.external).map_err(|error| taken(port, error.to_string()))?);
        }
        let (mut gvproxy, frames) = Gvproxy::start(&gvproxy, &private_dir, &wrapper)?;
        let mut ports = Vec::with_capacity(exposed.len());
        for (port, listener) in exposed.iter().zip(listeners) {
            let to = gvproxy.expose(port.internal, port.external)?;
            ports.push(Port { listener, to });
        }
        let filter = Filter::new(mode, &exposed, policy);
        let pump = Pump::start(&socket, frames, filter, uid)
            .map_err(|source| NetworkError::Socket { path: socket.clone(), source })?;
        if let Some(group) = group {
            // Nobody else can put another file there yet: the directory is given away last.
            let given = std::os::unix::fs::lchown(&socket, None, Some(group));
            given.map_err(|source| NetworkError::Socket { path: socket, source })?;
        }
        let ports = if ports.is_empty() { None } else { Some(Ports::start(ports).map_err(NetworkError::Thread)?) };
        Ok(Self { ports, pump, gvproxy })
    }

    /// Whether frames are passed on: whether gvproxy lives.
    pub fn is_alive(&self) -> bool {
        self.pump.is_alive() && self.gvproxy.is_alive()
    }

    /// Waits until there is no network any more, until `deadline`: why.
    pub fn wait(&self, deadline: Instant) -> Option<NetworkError> {
        self.pump.wait(deadline).then(|| self.gvproxy.gone())
    }

    /// What passed so far, and what did not.
    pub fn counts(&self) -> Counts {
        self.pump.counts()
    }

    /// Ends it.
    pub fn end(self) -> NetworkReport {
        let Self { ports, pump, gvproxy } = self;
        drop(ports);
        let failure = (!pump.is_alive()).then(|| gvproxy.gone().to_string());
        NetworkReport { counts: pump.end(), failure }
    }
}
