//! Peers that never stop talking: every call comes back within its limit, and what they cost has a bound.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::launch::{Agent, AgentError, End, Launch};
use qemu_dsl::prelude::*;
use qemu_dsl::qmp::{Qmp, QmpError, ShutdownReason};
use tests::{minimal_guest_dir, qemus};

const GREETING: &str =
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 10}}, \"capabilities\": []}}\n";
const AGREED: &str = "{\"return\": {}, \"id\": 0}\n";
const EVENT: &str = "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"STOP\"}\n";
/// What the calls are given.
const LIMIT: Duration = Duration::from_millis(300);
/// How much later they may come back: two cores, and three threads that flood.
const SLACK: Duration = Duration::from_secs(1);
/// By how much a call may raise what this process has in memory: a peer's mebibyte, the threads of the test, the allocator's own.
const GROWTH_KIB: u64 = 2 << 10;

/// One test at a time: memory is counted for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value of `/proc/self/status`.
fn kib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A socket whose peer says `first`, and then something without an end, from three threads.
struct Flood {
    ours: UnixStream,
    theirs: UnixStream,
}

impl Flood {
    fn of(first: &str, line: &[u8]) -> Self {
        let flood = Self::silent(first);
        // A write of so much is whole in the stream whatever other threads write; of more, it is not.
        let chunk: Arc<[u8]> = line.repeat(8192_usize.div_ceil(line.len())).into();
        for _ in 0..if chunk.len() < 16384 { 3 } else { 1 } {
            let (mut out, chunk) = (flood.theirs.try_clone().unwrap(), Arc::clone(&chunk));
            std::thread::spawn(move || while out.write_all(&chunk).is_ok() {});
        }
        flood
    }

    /// One byte of `text` at a time, without an end.
    fn drip(first: &str, text: &'static [u8]) -> Self {
        let flood = Self::silent(first);
        let mut out = flood.theirs.try_clone().unwrap();
        std::thread::spawn(move || {
            for byte in text.iter().cycle() {
                if out.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        flood
    }

    fn silent(first: &str) -> Self {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(first.as_bytes()).unwrap();
        Self { ours, theirs }
    }

    fn agent(&self) -> Agent {
        Agent::new(self.ours.try_clone().unwrap()).unwrap()
    }

    fn greet(&self) -> Result<Qmp, QmpError> {
        let ours = || self.ours.try_clone().unwrap().into();
        Qmp::over(ours(), ours(), LIMIT)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.theirs.shutdown(Shutdown::Both);
    }
}

/// What came of the calls: those that took too long or too much.
#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    /// Makes a call in a thread, for those that never return.
    fn call(&mut self, what: &str, flood: Flood, right: &str, call: impl FnOnce(&Flood) -> String + Send + 'static) {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = kib("VmHWM");
        let started = Instant::now();
        let theirs = flood.theirs.try_clone().unwrap();
        let (tell, told) = mpsc::channel();
        let caller = std::thread::spawn(move || {
            let said = call(&flood);
            let _ = tell.send((said, started.elapsed()));
        });
        let said = told.recv_timeout(LIMIT + SLACK + Duration::from_secs(5));
        let grown = kib("VmHWM").saturating_sub(before);
        let _ = theirs.shutdown(Shutdown::Both);
        caller.join().unwrap();
        match said {
            Ok((said, took)) => {
                println!("{what}: {said}, {took:?}, {grown} KiB");
                if said != right {
                    self.0.push(format!("{what}: {said}"));
                }
                if took > LIMIT + SLACK {
                    self.0.push(format!("{what}: took {took:?}"));
                }
            }
            Err(_) => self.0.push(format!("{what}: has not returned")),
        }
        if grown > GROWTH_KIB {
            self.0.push(format!("{what}: cost {grown} KiB"));
        }
    }

    fn end(self) {
        assert!(self.0.is_empty(), "{:#?}", self.0);
    }
}

fn word<T>(result: Result<T, QmpError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(QmpError::Timeout { .. }) => "timeout".to_owned(),
        Err(QmpError::TooLong { .. }) => "too long".to_owned(),
        Err(QmpError::Malformed { .. }) => "malformed".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

fn answer<T>(result: Result<T, AgentError>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(AgentError::Timeout) => "timeout".to_owned(),
        Err(AgentError::TooLong) => "too long".to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

fn soon() -> Instant {
    Instant::now() + LIMIT
}

#[test]
fn agents_that_never_stop() {
    let _alone = alone();
    let mut found = Found::default();
    let wait = |flood: &Flood| answer(flood.agent().wait_for("never", soon()));
    found.call("lines", Flood::of("", b"line of a guest\n"), "timeout", wait);
    found.call("blank lines", Flood::of("", b"\n"), "timeout", wait);
    found.call("a line without an end", Flood::of("", b"x"), "too long", wait);
    found.call("a drip", Flood::drip("", b"x"), "timeout", wait);
    found.call("a drip of lines", Flood::drip("", b"xxx\n"), "timeout", wait);
    let frame = |flood: &Flood| answer(flood.agent().next_frame(soon()));
    found.call("a frame that drips", Flood::drip("\0\u{8}\0\0", b"x"), "timeout", frame);
    found.call("a frame of too much", Flood::of("", b"\x7f"), "too long", frame);
    found.call("frames", Flood::of("", b"\0\0\0\x01x"), "ok", frame);
    found.call("a peer that does not read", Flood::silent(""), "timeout", |flood| {
        answer(flood.agent().send_frame(&vec![0; 1 << 20], soon()))
    });
    let line = |flood: &Flood| answer(flood.agent().next_line(soon()));
    // As long as can be; and one of which each byte would become three.
    for (what, byte, right) in [("a long line", b'x', "ok"), ("a long line that is no text", 0xff, "too long")] {
        let text = [vec![byte; 1 << 20], b"\n".to_vec()].concat();
        found.call(what, Flood::of("", &text), right, line);
    }
    let longest = [vec![0, 0x10, 0, 0], vec![b'x'; 1 << 20]].concat();
    found.call("a long frame", Flood::of("", &longest), "ok", frame);
    found.end();
}

#[test]
fn sessions_that_never_stop() {
    let _alone = alone();
    let mut found = Found::default();
    let agreed = format!("{GREETING}{AGREED}");
    let late = b"{\"return\": {}, \"id\": 987654}\n";
    let ask = |flood: &Flood| word(flood.greet().unwrap().execute("query-status", None, LIMIT));
    let wait = |flood: &Flood| match flood.greet().unwrap().next_event(LIMIT) {
        Ok(None) => "none".to_owned(),
        other => word(other),
    };
    found.call("events, and a command", Flood::of(&agreed, EVENT.as_bytes()), "timeout", ask);
    found.call("events", Flood::of(&agreed, EVENT.as_bytes()), "ok", wait);
    found.call("blank lines, and a command", Flood::of(&agreed, b"\n"), "timeout", ask);
    found.call("blank lines, and no event", Flood::of(&agreed, b"\r\n"), "none", wait);
    found.call("late replies, and a command", Flood::of(&agreed, late), "timeout", ask);
    found.call("late replies, and no event", Flood::of(&agreed, late), "none", wait);
    found.call("a drip", Flood::drip(&agreed, b"{"), "timeout", ask);
    let greet = |flood: &Flood| word(flood.greet());
    found.call("events instead of a greeting", Flood::of("", EVENT.as_bytes()), "timeout", greet);
    found.call("blank lines instead of a greeting", Flood::of("", b"\n"), "timeout", greet);
    found.call("a greeting that drips", Flood::drip("", b"{"), "timeout", greet);
    found.call("events instead of an agreement", Flood::of(GREETING, EVENT.as_bytes()), "timeout", greet);
    found.call("a peer that does not read", Flood::silent(&agreed), "timeout", |flood| {
        let long = serde_json::Value::from("x".repeat(512 << 10));
        word(flood.greet().unwrap().execute("nope", Some(long), LIMIT))
    });
    found.end();
}

/// Messages that are small in the stream and large in memory.
#[test]
fn messages_that_grow() {
    let _alone = alone();
    let mut found = Found::default();
    let agreed = format!("{GREETING}{AGREED}");
    let ask = |flood: &Flood| word(flood.greet().unwrap().execute("query-status", None, LIMIT));
    let event = |data: &str| format!("{{\"event\": \"BOMB\", \"data\": {data}}}\n");
    let list = |of: &str, length: usize| event(&format!("[{}{of}]", format!("{of},").repeat(length / (of.len() + 1))));
    for (what, of) in [("lists", "[0]"), ("objects", "{\"\":0}"), ("empty lists", "[]"), ("strings", "\"x\"")] {
        for length in [100 << 10, 1 << 20] {
            let bomb = list(of, length);
            found.call(&format!("{length} bytes of {what}"), Flood::of(&agreed, bomb.as_bytes()), "too long", ask);
        }
    }
    let text = event(&format!("\"{}\"", "\\n".repeat(500 << 10)));
    found.call("a text", Flood::of(&agreed, text.as_bytes()), "too long", ask);
    found.call("a message without an end", Flood::of(&agreed, b"  "), "too long", ask);
    for (depth, right) in [(1_000, "malformed"), (100_000, "too long")] {
        let text = format!("{}\n", "[".repeat(depth));
        found.call(&format!("{depth} levels"), Flood::of(&agreed, text.as_bytes()), right, ask);
    }
    // Each is fine by itself.
    let large = list("[0]", 8 << 10);
    found.call("large events", Flood::of(&agreed, large.as_bytes()), "timeout", ask);
    found.end();
}

/// A second client makes QEMU send events as fast as it can, and the first only ever runs commands.
#[test]
fn events_of_real_qemu_that_nobody_takes() {
    let _alone = alone();
    for qemu in qemus() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = ["first.sock", "second.sock"].map(|name| dir.path().join(name));
        let mut command = QemuCommand::new(qemu.binary(qemu_dsl::accel::Architecture::X86_64)).unwrap();
        for arg in ["-M", "none", "-nodefaults", "-display", "none"] {
            command.arg(arg).unwrap();
        }
        for socket in [&first, &second] {
            command.arg("-qmp").unwrap().arg(format!("unix:{},server=on,wait=off", socket.display())).unwrap();
        }
        let machine = Launch::new(&command).start().unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut qmp = machine.qmp(&first, deadline).unwrap();
        let mut other = machine.qmp(&second, deadline).unwrap();
        let before = kib("VmRSS");
        let mut sent = 0;
        while qmp.events_dropped() < 3000 {
            for [stop, cont] in
                (0..20).map(|_| other.execute_all([("stop", None), ("cont", None)], Duration::MAX).unwrap())
            {
                stop.unwrap();
                cont.unwrap();
            }
            sent += 40;
            qmp.status(Duration::MAX).unwrap();
            assert!(Instant::now() < deadline, "{} of {sent} events were dropped", qmp.events_dropped());
        }
        let grown = kib("VmRSS").saturating_sub(before);
        println!("QEMU {}: {sent} events, {} dropped, {grown} KiB", qemu.version, qmp.events_dropped());
        // Two sessions: the other one has its events too.
        assert!(grown <= 2 * GROWTH_KIB, "{grown} KiB");
        let newest = qmp.next_event(Duration::MAX).unwrap().unwrap();
        assert!(["STOP", "RESUME"].contains(&&*newest.name), "{newest:?}");
        // No limit is no limit, and no panic.
        while qmp.next_event(Duration::ZERO).unwrap().is_some() {}
        other.stop(Duration::MAX).unwrap();
        assert_eq!(qmp.next_event(Duration::MAX).unwrap().unwrap().name, "STOP");
        // One of the two tells QEMU to quit, and both hear why it ends.
        other.quit(Duration::MAX).unwrap();
        while qmp.next_event(Duration::MAX).is_ok() {}
        assert_eq!(qmp.shutdown().unwrap().reason, ShutdownReason::HostQmpQuit, "QEMU {}", qemu.version);
        drop(machine);
    }
}

/// A question to a real guest, whose answer comes too late.
#[test]
fn late_answers_of_a_real_guest() {
    let dir = tempfile::tempdir().unwrap();
    let guest = minimal_guest_dir();
    let [cmd, event, qmp] = ["cmd.sock", "event.sock", "qmp.sock"].map(|name| dir.path().join(name));
    let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(128));
    vm.no_reboot().qmp(SocketPath::new(&qmp).unwrap());
    let [kernel, initrd] = ["vmlinuz-x86_64", "initramfs-x86_64"].map(|name| guest.join(name));
    vm.kernel(Kernel::new(&kernel).initrd(&initrd).cmdline("panic=-1 reboot=t"));
    let (port, [commands, events]) = vm.virtio_serial();
    for (port, path, name) in [(commands, &cmd, "org.dualeai.cmd"), (events, &event, "org.dualeai.event")] {
        let socket = vm.chardev(Socket::listen(SocketPath::new(path).unwrap()));
        vm.add(VirtSerialPort::new(port, socket).name(name));
    }
    let console = vm.chardev(NullChardev {});
    let command = vm.virtconsole(port, console).build().unwrap();
    let mut machine = Launch::new(&command).start().unwrap();
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut session = machine.qmp(&qmp, deadline).unwrap();
    machine.agent(&event, deadline).unwrap().wait_for("ready", deadline).unwrap();
    let mut agent = machine.agent(&cmd, deadline).unwrap();
    let late = agent.ask("ping", Instant::now() + Duration::from_micros(50));
    assert!(matches!(late, Err(AgentError::Timeout)), "{late:?}");
    let spent = agent.ask("no-such-command", deadline);
    assert!(matches!(spent, Err(AgentError::Spent)), "{spent:?}");
    agent.synchronize("echo mark 1", "mark 1", deadline).unwrap();
    assert_eq!(agent.ask("no-such-command", deadline).unwrap(), "error unknown command");
    // The guest ends by itself, and says so to a session that nobody reads meanwhile.
    machine.powering_off();
    assert_eq!(agent.ask("poweroff", deadline).unwrap(), "bye");
    machine.wait(deadline).expect("the guest ends");
    while session.next_event(Duration::MAX).is_ok() {}
    let shutdown = session.shutdown().unwrap();
    assert!(shutdown.guest && shutdown.reason == ShutdownReason::GuestReset, "{shutdown:?}");
    assert_eq!(machine.end(Some(session)).unwrap().how, End::Itself);
}
