//! A process that launches and is then killed, or runs into a limit: `launcher HOW SOCKET PROGRAM ARGS...`. With HOW `log` it logs
//! the console beside the socket; `threads-N` leaves room for N threads.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use qemu_dsl::QemuCommand;
use qemu_dsl::launch::Launch;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, how, socket, program, rest @ ..] = &args[..] else { panic!("launcher HOW SOCKET PROGRAM ARGS...") };
    let mut command = QemuCommand::new(program).expect("a program");
    for arg in rest {
        command.arg(arg).expect("an argument");
    }
    let mut open = Vec::new();
    match how.as_str() {
        "few-files" => setrlimit(Resource::RLIMIT_NOFILE, 16, 16).expect("a limit can be lowered"),
        "no-file-left" => {
            setrlimit(Resource::RLIMIT_NOFILE, 64, 64).expect("a limit can be lowered");
            while let Ok(file) = std::fs::File::open("/dev/null") {
                open.push(file);
            }
        }
        _ => {}
    }
    let log = Path::new(socket).with_file_name("console.log");
    let _full = how.strip_prefix("threads-").map(|left| Full::of_threads(left.parse().expect("a number")));
    let started = match how.as_str() {
        // The thread that launches ends at once.
        "thread" => std::thread::spawn(move || Launch::new(&command).start()).join().expect("the thread ends"),
        "log" => Launch::new(&command).console_log(&log).start(),
        _ => Launch::new(&command).start(),
    };
    let machine = match started {
        Ok(machine) => machine,
        Err(error) => {
            drop(open);
            println!("{error}");
            return;
        }
    };
    if how == "end" {
        // The program becomes `sleep`, as whoever that is; there is no event for it.
        let name = format!("/proc/{}/comm", machine.pid());
        while std::fs::read_to_string(&name).is_ok_and(|name| name.trim() != "sleep") {
            std::thread::yield_now();
        }
        match machine.end(None) {
            Ok(ended) => println!("ended by {}", ended.how),
            Err(error) => println!("{error}"),
        }
        return;
    }
    let mut qmp = match machine.qmp(socket, Instant::now() + Duration::from_secs(20)) {
        Ok(qmp) => qmp,
        Err(error) => {
            println!("{error}");
            return;
        }
    };
    println!("ready");
    match how.as_str() {
        "panic" => panic!("on purpose"),
        "exit" => std::process::exit(0), // without dropping anything
        "abort" => std::process::abort(),
        "return" => {}
        how if how.starts_with("threads-") => {}
        "log" => {
            let limit = getrlimit(Resource::RLIMIT_FSIZE).expect("a limit").0;
            // Until the log is full, and what comes after it is read.
            while std::fs::metadata(&log).expect("a log").len() < limit || machine.console().len() < 1 << 16 {
                std::thread::yield_now();
            }
            qmp.status(Duration::from_secs(20)).expect("an answer");
            println!("ended by {}", machine.end(Some(qmp)).expect("it ends").how);
            return;
        }
        _ => drop(machine.wait(Instant::now() + Duration::from_mins(1))),
    }
    drop(qmp);
}

/// All threads that this user may have but a few.
struct Full {
    _wait: Vec<mpsc::Sender<()>>,
}

impl Full {
    fn of_threads(left: usize) -> Self {
        let mut waiting = Vec::new();
        let mut threads = Vec::new();
        loop {
            let (sender, receiver) = mpsc::channel::<()>();
            // Each ends when its sender is dropped.
            let wait = move || receiver.recv().is_ok();
            match std::thread::Builder::new().stack_size(1 << 16).spawn(wait) {
                Ok(thread) => threads.push(thread),
                Err(_) => break,
            }
            waiting.push(sender);
        }
        for _ in 0..left {
            waiting.pop();
            threads.pop().expect("a thread").join().expect("it ends");
        }
        Self { _wait: waiting }
    }
}
