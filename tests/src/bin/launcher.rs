//! A process that launches and is then killed, or runs into a limit: `launcher HOW SOCKET PROGRAM ARGS...`.

use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};
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
    let started = match how.as_str() {
        // The thread that launches ends at once.
        "thread" => std::thread::spawn(move || Launch::new(&command).start()).join().expect("the thread ends"),
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
    let qmp = machine.qmp(socket, Instant::now() + Duration::from_secs(20)).expect("QMP");
    println!("ready");
    match how.as_str() {
        "panic" => panic!("on purpose"),
        "exit" => std::process::exit(0), // without dropping anything
        "abort" => std::process::abort(),
        "return" => {}
        _ => drop(machine.wait(Instant::now() + Duration::from_mins(1))),
    }
    drop(qmp);
}
