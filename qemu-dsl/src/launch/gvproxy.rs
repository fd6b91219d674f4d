//! gvproxy, the user-mode network of the sandbox.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::relay::Relay;
use crate::connect::connect;
use crate::process::{Output, Program, Watch};
use crate::sandbox::{ExposedPort, NetworkMode, SandboxConfig};
use crate::status::ended_with;
use crate::{CommandError, QemuCommand};

/// The guest's address in gvproxy's network.
const GUEST: &str = "192.168.127.2";
/// How long gvproxy may take to listen, and to answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Pauses between looks at a socket that is not there yet. gvproxy's end interrupts them.
const PAUSE: Duration = Duration::from_millis(2);

/// A running gvproxy, which carries the frames of a guest. Dropping it ends it. (`gvproxy -help`, 0.8)
///
/// Its three modes are those of [`NetworkMode`]. Where the guest is to reach nothing, gvproxy runs in a network namespace of its
/// own that leads nowhere, and ports of the host are passed on to Unix sockets of it: whatever gvproxy would let through,
/// there is nothing behind it. Ports are open on the host's loopback address only.
///
/// ```no_run
/// use qemu_dsl::launch::Gvproxy;
/// use qemu_dsl::sandbox::SandboxConfig;
///
/// let config = SandboxConfig::new("job-1", "/run/vm-job-1", "/boot")?.allow_network(true);
/// let network = Gvproxy::start("gvproxy".as_ref(), &config)?; // before QEMU, which connects to it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gvproxy {
    watch: Watch,
    stderr: Output,
    socket: PathBuf,
    control: PathBuf,
    relays: Vec<Relay>,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GvproxyError {
    /// gvproxy cannot be started.
    #[error("`{program}` cannot be started: {source}; install gvproxy, or leave the network out")]
    Start {
        /// The program.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// gvproxy ended.
    #[error("gvproxy ended with {status}; it said:\n{stderr}")]
    Exited {
        /// How it ended.
        status: String,
        /// The end of its standard error.
        stderr: String,
    },
    /// gvproxy does not listen in time.
    #[error("gvproxy did not listen at `{path}` within {LIMIT:?}")]
    Timeout {
        /// Its socket.
        path: String,
    },
    /// A port of the host cannot be had.
    #[error("port {port} of the host cannot be opened: {reason}; expose the guest's port on another one")]
    Port {
        /// The port.
        port: u16,
        /// Why not.
        reason: String,
    },
}

impl Gvproxy {
    /// Starts gvproxy as the configuration wants it, and waits until it listens; [`None`] without a network.
    ///
    /// # Errors
    ///
    /// [`GvproxyError`]; nothing is left running then.
    pub fn start(program: &OsStr, config: &SandboxConfig) -> Result<Option<Self>, GvproxyError> {
        let mode = config.network();
        if mode == NetworkMode::None {
            return Ok(None);
        }
        let paths = config.paths();
        let control = paths.work_dir.join("gvproxy-control.sock");
        for socket in [&control, &paths.gvproxy] {
            let _ = std::fs::remove_file(socket);
        }
        let failed = |source| GvproxyError::Start { program: program.display().to_string(), source };
        let path = crate::programs::find(program).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let command =
            command(&path, mode, &paths.gvproxy, &control).map_err(|error| failed(io::Error::other(error)))?;
        let program = Program { dir: Some(paths.work_dir.clone()), ..Program::new(command) };
        let (watch, stdout, stderr) = Watch::start(program).map_err(failed)?;
        // It says nothing there, and must not wait for anybody to read it.
        Output::collect(stdout, None, None).map_err(failed)?;
        let stderr = Output::collect(stderr, None, None).map_err(failed)?;
        let mut gvproxy = Self { watch, stderr, socket: paths.gvproxy.clone(), control, relays: Vec::new() };
        let deadline = Instant::now() + LIMIT;
        for socket in [gvproxy.control.clone(), gvproxy.socket.clone()] {
            gvproxy.wait_for(&socket, deadline)?;
        }
        for port in config.exposed() {
            gvproxy.expose(*port, mode, &paths.work_dir)?;
        }
        Ok(Some(gvproxy))
    }

    /// Waits until gvproxy listens at a socket: without connecting to it, for it takes one connection only.
    fn wait_for(&self, socket: &Path, deadline: Instant) -> Result<(), GvproxyError> {
        loop {
            if listens(self.watch.pid(), socket) {
                return Ok(());
            }
            if let Some(status) = self.watch.wait((Instant::now() + PAUSE).min(deadline)) {
                self.stderr.wait_for_end(Duration::from_millis(100));
                let stderr = String::from_utf8_lossy(&self.stderr.kept()).trim().to_owned();
                return Err(GvproxyError::Exited { status: ended_with(status), stderr });
            }
            if Instant::now() >= deadline {
                return Err(GvproxyError::Timeout { path: socket.display().to_string() });
            }
        }
    }

    fn expose(&mut self, port: ExposedPort, mode: NetworkMode, work_dir: &Path) -> Result<(), GvproxyError> {
        let ExposedPort { internal, external } = port;
        let failed = |reason: String| GvproxyError::Port { port: external, reason };
        let body = if mode == NetworkMode::Ports {
            // Relative to its working directory, whose path JSON might not be able to hold.
            format!(r#"{{"local":"port-{external}.sock","remote":"tcp://{GUEST}:{internal}","protocol":"unix"}}"#)
        } else {
            format!(r#"{{"local":"127.0.0.1:{external}","remote":"{GUEST}:{internal}","protocol":"tcp"}}"#)
        };
        self.post("/services/forwarder/expose", &body).map_err(failed)?;
        if mode == NetworkMode::Ports {
            let relay = Relay::start(external, &work_dir.join(format!("port-{external}.sock")));
            self.relays.push(relay.map_err(|error| failed(error.to_string()))?);
        }
        Ok(())
    }

    /// One request to gvproxy's control socket: HTTP without anything that needs a library.
    fn post(&self, path: &str, body: &str) -> Result<(), String> {
        let asked = || -> io::Result<String> {
            let mut stream = connect(&self.control, LIMIT)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            let length = body.len();
            write!(stream, "POST {path} HTTP/1.0\r\nHost: gvproxy\r\nContent-Length: {length}\r\n\r\n{body}")?;
            let mut answer = String::new();
            stream.take(64 * 1024).read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = asked().map_err(|error| error.to_string())?;
        let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        match head.split_ascii_whitespace().nth(1) {
            Some("200") => Ok(()),
            _ => Err(format!("gvproxy said: {}", if text.trim().is_empty() { head } else { text }.trim())),
        }
    }
}

impl Drop for Gvproxy {
    fn drop(&mut self) {
        self.relays.clear();
        let _ = self.watch.kill();
        // It has no time to remove them itself.
        for socket in [&self.socket, &self.control] {
            let _ = std::fs::remove_file(socket);
        }
        if let Some(dir) = self.control.parent()
            && let Ok(entries) = std::fs::read_dir(dir)
        {
            let ports = entries.flatten().map(|entry| entry.path()).filter(|path| {
                let name = path.file_name().unwrap_or_default().as_bytes();
                name.starts_with(b"port-") && name.ends_with(b".sock")
            });
            for port in ports {
                let _ = std::fs::remove_file(port);
            }
        }
    }
}

/// gvproxy, and where the guest is to reach nothing, the namespace that it runs in.
fn command(program: &Path, mode: NetworkMode, socket: &Path, control: &Path) -> Result<QemuCommand, CommandError> {
    let mut command = QemuCommand::default();
    if mode == NetworkMode::Ports {
        command.arg("unshare")?;
        if !nix::unistd::geteuid().is_root() {
            command.arg("--user")?.arg("--map-current-user")?;
        }
        command.arg("--net")?.arg("--")?;
    }
    command.arg(program)?.arg("-listen-qemu")?.arg(url(socket))?;
    command.arg("-listen")?.arg(url(control))?.arg("-ssh-port")?.arg("-1")?;
    Ok(command)
}

/// A path as gvproxy wants it: a URL, in which everything but plain letters is encoded.
fn url(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut url = "unix://".to_owned();
    for &byte in absolute.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_') {
            url.push(char::from(byte));
        } else {
            // Writing into a `String` does not fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Whether somebody listens at a Unix socket. A socket's file is there a moment before its owner listens, so Linux is asked for
/// the flag, in the network namespace of the process `pid`. (`SO_ACCEPTCON`, `/proc/PID/net/unix`; `man 5 proc`)
fn listens(pid: u32, socket: &Path) -> bool {
    if !socket.exists() {
        return false;
    }
    let Ok(sockets) = std::fs::read(format!("/proc/{pid}/net/unix")) else { return true };
    let path = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
    let path = path.as_os_str().as_bytes();
    sockets.split(|byte| *byte == b'\n').filter(|line| line.ends_with(path)).any(|line| {
        let flags = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).nth(3);
        flags.is_some_and(|flags| flags == b"00010000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_url_that_means_it() {
        assert_eq!(url(Path::new("/a b/%c#?/é")), "unix:///a%20b/%25c%23%3F/%C3%A9");
        assert_eq!(url(Path::new(OsStr::from_bytes(b"/\xff"))), "unix:///%FF");
    }

    #[test]
    fn knows_who_listens() {
        let dir = std::env::temp_dir().join(format!("qemu-dsl-listens-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("s");
        assert!(!listens(std::process::id(), &socket));
        let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(listens(std::process::id(), &socket));
        drop(listener);
        assert!(!listens(std::process::id(), &socket), "the file is there, and nobody listens");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
