//! A stand-in for QEMU that fails in a certain way: `stand_in FAULT SOCKET TOKEN`. It listens at the socket and speaks as much QMP
//! as the fault leaves. The token is there for the tests to find its processes by.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, ExitCode, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

const EVENT: &[u8] =
    br#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RTC_CHANGE", "data": {"offset": 1}}"#;
const GREETING: &str =
    r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 10}, "package": ""}, "capabilities": []}}"#;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, fault, socket, token, ..] = &args[..] else { return ExitCode::from(64) };
    match fault.as_str() {
        "exit-at-once" => {
            eprintln!("qemu-system-x86_64: -device nope: 'nope' is not a valid device model name");
            return ExitCode::FAILURE;
        }
        "crash-at-once" => std::process::abort(),
        "hang-before-sockets" => hang(),
        "flood-stderr" => flood(std::io::stderr()),
        "flood-console" => flood(std::io::stdout()),
        "ignore-sigterm" => ignore_sigterm(),
        // Out of the process group and the session, as sudo and daemons do.
        "escaped-child" => {
            let own = std::env::current_exe().expect("a program");
            let child = Command::new("setsid").arg(own).args(["hang-before-sockets", socket, token]).spawn();
            drop(child.expect("setsid starts"));
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket).expect("the socket can be bound");
    if fault == "hang-after-sockets" {
        hang();
    }
    for client in listener.incoming().map_while(Result::ok) {
        if serve(fault, client, &listener) {
            let _ = std::fs::remove_file(socket);
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::FAILURE
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

/// Writes a line again and again, until nobody listens any more.
fn repeat(client: &mut UnixStream, line: &[u8]) {
    let lines = [line, b"\n"].concat().repeat(100);
    while client.write_all(&lines).is_ok() {}
}

/// Writes without an end, in a thread.
fn flood(mut to: impl std::io::Write + Send + 'static) {
    let chunk = vec![b'x'; 1 << 16];
    std::thread::spawn(move || while to.write_all(&chunk).is_ok() {});
}

/// Blocks the signal in all threads to come.
fn ignore_sigterm() {
    let mut signals = nix::sys::signal::SigSet::empty();
    signals.add(nix::sys::signal::Signal::SIGTERM);
    signals.thread_block().expect("a signal can be blocked");
}

/// A thread that sends events without an end, and between them the replies that it is handed.
struct Flood {
    replies: Sender<String>,
    sent: Receiver<()>,
}

impl Flood {
    fn start(mut client: UnixStream) -> Self {
        let ((replies, to_send), (tell, sent)) = (channel::<String>(), channel());
        let events = [EVENT, b"\n"].concat().repeat(100);
        std::thread::spawn(move || {
            while client.write_all(&events).is_ok() {
                if let Ok(reply) = to_send.try_recv()
                    && client.write_all(reply.as_bytes()).is_ok()
                {
                    let _ = tell.send(());
                }
            }
        });
        Self { replies, sent }
    }

    fn send(&self, reply: String) {
        let _ = self.replies.send(reply);
        // Until then, this process must not end.
        let _ = self.sent.recv();
    }
}

/// Whether the fault has happened.
static LOST: AtomicBool = AtomicBool::new(false);

/// Speaks QMP; whether the client told it to quit.
fn serve(fault: &str, mut client: UnixStream, listener: &UnixListener) -> bool {
    match fault {
        "garbage" => {
            let _ = client.write_all(b"\x00\xffgarbage{{{\n");
            return false;
        }
        "close-at-greeting" => return false,
        "silent" => hang(),
        "flood-greeting" => {
            repeat(&mut client, EVENT);
            return false;
        }
        _ => {}
    }
    let _ = writeln!(client, "{GREETING}");
    if fault == "stuck-in-accept" {
        drop(listener.accept().expect("another client"));
    }
    let lines = BufReader::new(client.try_clone().expect("a clone")).lines();
    let mut lines = lines.map_while(Result::ok);
    if fault == "first-command-lost" && !LOST.swap(true, Ordering::Relaxed) {
        lines.by_ref().for_each(drop);
    }
    let flood = (fault == "flood-events").then(|| Flood::start(client.try_clone().expect("a clone")));
    for line in lines {
        let message: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let (command, id) = (message["execute"].as_str().unwrap_or_default(), &message["id"]);
        let reply = match (fault, command) {
            ("close-mid-reply", "query-status") => {
                let _ = client.write_all(br#"{"return": {"status": "runn"#);
                return false;
            }
            ("exit-mid-reply", "query-status") => {
                let _ = client.write_all(br#"{"return": {"status": "runn"#);
                exit(7);
            }
            ("no-reply", "query-status") | ("ignore-sigterm" | "ignore-quit", "quit") => continue,
            ("huge-line", "query-status") => {
                let chunk = vec![b' '; 1 << 20];
                while client.write_all(&chunk).is_ok() {}
                return false;
            }
            ("flood-blank-lines", "query-status") => {
                repeat(&mut client, b"");
                return false;
            }
            ("flood-late-ids", "query-status") => {
                repeat(&mut client, br#"{"return": {"status": "old"}, "id": 987654}"#);
                return false;
            }
            ("flood-at-quit", "quit") => {
                repeat(&mut client, EVENT);
                return false;
            }
            ("large-reply", "query-status") => {
                let list = vec![serde_json::json!([0]); 20_000];
                serde_json::json!({ "return": list, "id": id })
            }
            ("late-replies", "query-status") => {
                let _ = writeln!(client, r#"{{"event": "RESUME", "timestamp": {{}}}}"#);
                let _ = writeln!(client, r#"{{"return": {{"status": "old"}}, "id": 987654}}"#);
                serde_json::json!({ "return": { "status": "running", "running": true }, "id": id })
            }
            (_, "query-status") => serde_json::json!({ "return": { "status": "running", "running": true }, "id": id }),
            ("stop-itself", "quit") => {
                let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
                continue;
            }
            _ => serde_json::json!({ "return": {}, "id": id }),
        };
        if let Some(flood) = &flood {
            flood.send(format!("{reply}\n"));
        } else {
            let _ = writeln!(client, "{reply}");
        }
        if command == "quit" {
            return true;
        }
    }
    false
}
