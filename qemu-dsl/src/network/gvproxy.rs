//! gvproxy: the process, and its control socket.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::NetworkError;
use crate::connect::connect_pinned;
use crate::deadline::left;
use crate::process::{CONFINED_OOM_SCORE, Environment, Limits, Output, Program, Watch};
use crate::status::ended_with;
use crate::{CommandError, QemuCommand};

/// The address of a guest in gvproxy's network.
const GUEST: &str = "192.168.127.2";
/// How long gvproxy may take to listen, and to answer.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// Pauses between looks at a socket that is not there yet. gvproxy's end interrupts them.
const PAUSE: Duration = Duration::from_millis(2);
/// How long its end may take once it has closed its connection.
const ENDING: Duration = Duration::from_millis(500);
/// The names of its sockets in its directory.
const FRAMES: &str = "frames.sock";
const CONTROL: &str = "control.sock";

/// A running gvproxy. Dropping it ends it, and removes its sockets. (`gvproxy -help`, 0.8)
#[derive(Debug)]
pub(super) struct Gvproxy {
    watch: Watch,
    stderr: Output,
    dir: PathBuf,
    /// The names of its sockets.
    sockets: Vec<String>,
}

impl Gvproxy {
    /// Starts it, and connects to where it takes frames: it takes one connection only.
    pub(super) fn start(
        program: &OsString,
        dir: &Path,
        wrapper: &[OsString],
    ) -> Result<(Self, UnixStream), NetworkError> {
        let failed = |source| NetworkError::Start { program: program.display().to_string(), source };
        let path = crate::programs::find(program).ok_or_else(|| failed(ErrorKind::NotFound.into()))?;
        let command = command(&path, dir, wrapper).map_err(|error| failed(io::Error::other(error)))?;
        // Left by a process that was killed; gvproxy itself would not listen then.
        for socket in [FRAMES, CONTROL] {
            let _ = std::fs::remove_file(dir.join(socket));
        }
        let program = Program {
            dir: Some(dir.to_owned()),
            environment: environment(),
            limits: Limits::confined(),
            oom_score_adj: Some(CONFINED_OOM_SCORE),
            ..Program::new(command)
        };
        let (watch, stdout, stderr) = Watch::start(program).map_err(failed)?;
        // It says nothing there, and must not wait for anybody to read it.
        Output::collect(stdout, None, None).map_err(failed)?;
        let stderr = Output::collect(stderr, None, None).map_err(failed)?;
        let sockets = vec![FRAMES.to_owned(), CONTROL.to_owned()];
        let gvproxy = Self { watch, stderr, dir: dir.to_owned(), sockets };
        let deadline = Instant::now() + LIMIT;
        gvproxy.connect(CONTROL, deadline)?;
        let frames = gvproxy.connect(FRAMES, deadline)?;
        Ok((gvproxy, frames))
    }

    /// Connects to one of its sockets as soon as it listens there.
    fn connect(&self, socket: &str, deadline: Instant) -> Result<UnixStream, NetworkError> {
        let path = self.dir.join(socket);
        loop {
            match connect_pinned(&path, left(deadline)) {
                Ok(stream) => return Ok(stream),
                // Its file is there a moment before it listens.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
                Err(source) => return Err(NetworkError::Socket { path, source }),
            }
            if let Some(ended) = self.ended((Instant::now() + PAUSE).min(deadline)) {
                return Err(ended);
            }
            if Instant::now() >= deadline {
                return Err(NetworkError::Timeout { path });
            }
        }
    }

    /// How it ended, once it has.
    fn ended(&self, deadline: Instant) -> Option<NetworkError> {
        let status = self.watch.wait(deadline)?;
        self.stderr.wait_for_end(Duration::from_millis(100));
        Some(NetworkError::Exited { status: ended_with(status), stderr: self.said() })
    }

    /// How it ended, once it has closed its connection.
    pub(super) fn gone(&self) -> NetworkError {
        self.ended(Instant::now() + ENDING).unwrap_or_else(|| NetworkError::Closed { stderr: self.said() })
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.stderr.kept()).trim().to_owned()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.watch.wait(Instant::now()).is_none()
    }

    /// Has it listen at a Unix socket and pass connections on to a port of the guest.
    pub(super) fn expose(&mut self, internal: u16, external: u16) -> Result<PathBuf, NetworkError> {
        // Relative to its working directory, whose path JSON might not be able to hold.
        let socket = format!("port-{external}.sock");
        let body = format!(r#"{{"local":"{socket}","remote":"tcp://{GUEST}:{internal}","protocol":"unix"}}"#);
        let path = self.dir.join(&socket);
        self.sockets.push(socket);
        match post(&self.dir.join(CONTROL), "/services/forwarder/expose", &body, LIMIT) {
            Ok(()) => Ok(path),
            Err(Refusal::Said(reason)) => Err(NetworkError::Port { port: external, reason }),
            // One that has ended says why better than its socket does.
            Err(Refusal::NoAnswer(reason)) => Err(self
                .ended(Instant::now())
                .unwrap_or_else(|| NetworkError::NoAnswer { path: self.dir.join(CONTROL), reason })),
        }
    }
}

/// Why a request was not done.
#[derive(Debug)]
enum Refusal {
    /// What gvproxy said.
    Said(String),
    /// It did not answer, and why.
    NoAnswer(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::NoAnswer(match error.kind() {
            // What the system says of a socket with a time limit.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("it had {LIMIT:?}"),
            _ => error.to_string(),
        })
    }
}

/// The longest answer that is looked at.
const MAX_ANSWER: usize = 64 * 1024;

/// One request to a control socket: HTTP without anything that needs a library. `limit` is for all of it, however the answer
/// comes.
fn post(control: &Path, path: &str, body: &str, limit: Duration) -> Result<(), Refusal> {
    let deadline = Instant::now() + limit;
    let late = || io::Error::from(ErrorKind::TimedOut);
    let left = || Some(left(deadline)).filter(|left| !left.is_zero()).ok_or_else(late);
    let mut stream = connect_pinned(control, limit)?;
    stream.set_write_timeout(Some(left()?))?;
    let length = body.len();
    // In one piece, which is far less than a socket holds: no second wait.
    let request = format!("POST {path} HTTP/1.0\r\nHost: gvproxy\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while answer.len() < MAX_ANSWER {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, text) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split_ascii_whitespace().nth(1) {
        Some("200") => Ok(()),
        _ if answer.trim().is_empty() => Err(Refusal::NoAnswer("it closed the connection".to_owned())),
        _ => {
            let said = if text.trim().is_empty() { head } else { text }.trim();
            Err(Refusal::Said(format!("gvproxy said: {said}")))
        }
    }
}

impl Drop for Gvproxy {
    fn drop(&mut self) {
        // Whoever cannot be killed is the kernel's matter; it listens no more to anybody here.
        let _ = self.watch.kill();
        // It has no time to remove them itself.
        for socket in &self.sockets {
            let _ = std::fs::remove_file(self.dir.join(socket));
        }
    }
}

/// What it needs: where programs are, for a wrapper, and the language of its messages.
fn environment() -> Environment {
    let added = ["PATH", "LANG"].into_iter().filter_map(|key| Some((key.into(), std::env::var_os(key)?)));
    Environment { cleared: true, added: added.collect() }
}

fn command(program: &Path, dir: &Path, wrapper: &[OsString]) -> Result<QemuCommand, CommandError> {
    let mut command = QemuCommand::default();
    for word in wrapper {
        command.arg(word)?;
    }
    command.arg(program)?.arg("-listen-qemu")?.arg(url(&dir.join(FRAMES)))?;
    command.arg("-listen")?.arg(url(&dir.join(CONTROL)))?.arg("-ssh-port")?.arg("-1")?;
    Ok(command)
}

/// What keeps gvproxy from the network where the guest is to reach nothing.
pub(super) fn without_network() -> Vec<OsString> {
    let user: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--user", "--map-current-user"] };
    [&["unshare"], user, &["--net", "--"]].concat().into_iter().map(OsString::from).collect()
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

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What comes of a request to a control socket that `serve` answers.
    fn posted(limit: Duration, serve: impl FnOnce(UnixStream) + Send) -> Result<(), Refusal> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| serve(listener.accept().unwrap().0));
            post(&path, "/x", "{}", limit)
        })
    }

    #[test]
    fn an_answer_is_yes_or_its_reason() {
        let answered = |text: &str| {
            posted(LIMIT, |mut client| {
                // The request has no answer before it has come.
                let _ = client.read(&mut [0; 1024]);
                let _ = client.write_all(text.as_bytes());
            })
        };
        assert!(answered("HTTP/1.0 200 OK\r\n\r\n").is_ok());
        let refused = answered("HTTP/1.0 500 Oh\r\n\r\nport taken\n");
        assert!(matches!(&refused, Err(Refusal::Said(said)) if said == "gvproxy said: port taken"), "{refused:?}");
        let silent = answered("");
        assert!(matches!(&silent, Err(Refusal::NoAnswer(why)) if why == "it closed the connection"), "{silent:?}");
    }

    /// The limit is for the whole answer and not for each piece of it.
    #[test]
    fn an_answer_in_drops_has_an_end() {
        let (limit, drip) = (Duration::from_millis(200), Duration::from_millis(10));
        let (sent, received) = std::sync::mpsc::channel();
        let result = posted(limit, |mut client| {
            // Five times as long as the limit, unless the other one hangs up before.
            let drops = (0..100).take_while(|_| {
                std::thread::sleep(drip);
                client.write_all(b"x").is_ok()
            });
            sent.send(drops.count()).unwrap();
        });
        assert!(matches!(&result, Err(Refusal::NoAnswer(why)) if why.starts_with("it had")), "{result:?}");
        assert!(received.recv().unwrap() < 100, "it hung up");
    }

    #[test]
    fn a_path_becomes_a_url_that_means_it() {
        assert_eq!(url(Path::new("/a b/%c#?/é")), "unix:///a%20b/%25c%23%3F/%C3%A9");
        assert_eq!(url(Path::new(OsStr::from_bytes(b"/\xff"))), "unix:///%FF");
    }
}
