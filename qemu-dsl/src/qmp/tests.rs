//! Sessions with peers that tests make up.

use std::io::{BufRead as _, BufReader, Write as _};

use super::*;

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 2, "minor": 1, "major": 9}}, "capabilities": []}}"#;

/// A session with a peer that answers each line with what `answer` makes of its id.
fn session(answer: impl Fn(&str, u64) -> String + Send + 'static) -> Result<Qmp, QmpError> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut out = theirs.try_clone().unwrap();
        writeln!(out, "{GREETING}").unwrap();
        for line in BufReader::new(theirs).lines() {
            let message: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let answer = answer(message["execute"].as_str().unwrap(), message["id"].as_u64().unwrap());
            if writeln!(out, "{answer}").is_err() {
                return;
            }
        }
    });
    Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::from_secs(5))
}

#[test]
fn replies_are_matched_by_id_with_events_and_late_replies_between() {
    let mut qmp = session(|command, id| match command {
        "late" => String::new(),
        "query-status" => format!(
            "{{\"return\": \"late\", \"id\": {}}}\n{{\"event\": \"STOP\"}}\n{{\"return\": {{\"status\": \"paused\"}}, \"id\": {id}}}",
            id - 1
        ),
        _ => format!("{{\"return\": {{}}, \"id\": {id}}}"),
    })
    .unwrap();
    assert_eq!(qmp.version(), QemuVersion::new(9, 1, 2));
    let late = qmp.execute("late", None, Duration::from_millis(10));
    assert!(matches!(late, Err(QmpError::Timeout { ref command, .. }) if command == "late"), "{late:?}");
    let status = qmp.execute("query-status", None, Duration::from_secs(5)).unwrap();
    assert_eq!(status["status"], "paused");
    let event = qmp.next_event(Duration::from_secs(5)).unwrap().unwrap();
    assert_eq!(event, Event { name: "STOP".to_owned(), data: Value::Null });
    assert_eq!(qmp.next_event(Duration::from_millis(1)).unwrap(), None);
}

#[test]
fn a_refusal_is_an_error_with_qemus_words() {
    let mut qmp = session(|command, id| match command {
        "nope" => format!("{{\"error\": {{\"class\": \"CommandNotFound\", \"desc\": \"no nope\"}}, \"id\": {id}}}"),
        _ => format!("{{\"return\": {{}}, \"id\": {id}}}"),
    })
    .unwrap();
    let error = qmp.execute("nope", None, Duration::from_secs(5)).unwrap_err();
    assert_eq!(error.to_string(), "QEMU refused `nope`: no nope (CommandNotFound)");
    let [nope, fine] = qmp.execute_all([("nope", None), ("fine", None)], Duration::from_secs(5)).unwrap();
    assert!(nope.is_err() && fine.is_ok());
}

#[test]
fn events_may_come_before_the_greeting() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"{\"event\": \"RESUME\"}\n").unwrap();
    writeln!(theirs, "{GREETING}").unwrap();
    theirs.write_all(b"{\"return\": {}, \"id\": 0}\n").unwrap();
    let mut qmp = Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::from_secs(5)).unwrap();
    assert_eq!(qmp.next_event(Duration::ZERO).unwrap().map(|event| event.name).as_deref(), Some("RESUME"));
}

/// A session with a peer that says all this, and then nothing more.
fn told(text: &str) -> Qmp {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let agreed = format!("{GREETING}\n{{\"return\": {{}}, \"id\": 0}}\n");
    theirs.write_all(agreed.as_bytes()).unwrap();
    let qmp = Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::MAX).unwrap();
    theirs.write_all(text.as_bytes()).unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    // Nobody reads the other end, and it stays open.
    std::mem::forget(theirs);
    qmp
}

#[test]
fn events_are_dropped_and_counted_and_the_end_is_known() {
    let event = |name: &str, data: &str| format!("{{\"event\": \"{name}\", \"data\": {data}}}\n");
    let mut text = event("BLOCK_IO_ERROR", "{\"nospace\": true}");
    text += &event("SHUTDOWN", "{\"guest\": true, \"reason\": \"guest-reset\"}");
    text += &event("GUEST_PANICKED", "{}");
    text += &(0..2000).map(|number| event("N", &number.to_string())).collect::<String>();
    let mut qmp = told(&text);
    qmp.drain(after(Duration::MAX));
    let (kept, dropped) = (qmp.events.len(), qmp.events_dropped());
    assert_eq!(kept as u64 + dropped, 2003);
    assert!((200..=MAX_EVENTS).contains(&kept), "{kept}");
    assert!(qmp.events_cost <= MEMORY / EVENTS_PART);
    let reason = ShutdownReason::GuestReset;
    assert_eq!(qmp.shutdown(), Some(&Shutdown { guest: true, reason }));
    assert!(qmp.guest_panicked() && qmp.nospace_errors() == 1);
    assert_eq!(qmp.next_event(Duration::ZERO).unwrap().unwrap().data, dropped - 3, "the oldest are dropped");
    qmp.set_memory_limit(0);
    assert!(qmp.events.len() < kept / 8, "{}", qmp.events.len());
    while qmp.events.pop_front().is_some_and(|event| event.data != 1998) {}
    assert_eq!(qmp.next_event(Duration::ZERO).unwrap().unwrap().data, 1999);
    assert!(matches!(qmp.next_event(Duration::MAX), Err(QmpError::Closed)));
}

#[test]
fn no_event_pushes_out_others_for_nothing() {
    let mut qmp = told(&format!("{{\"event\": \"A\"}}\n{{\"event\": \"B\", \"data\": [[0]{}]}}\n", ",[0]".repeat(900)));
    qmp.drain(after(Duration::MAX));
    assert_eq!((qmp.events.len(), qmp.events_dropped()), (1, 1));
    assert_eq!(qmp.next_event(Duration::ZERO).unwrap().unwrap().name, "A");
}

#[test]
fn long_messages_need_permission() {
    let reply = format!("{{\"id\": 1, \"return\": [[0]{}]}}\n{{\"id\": 2, \"return\": 5}}\n", ",[0]".repeat(9000));
    let mut qmp = told(&reply);
    let error = qmp.execute("query-qmp-schema", None, Duration::MAX).unwrap_err();
    assert!(matches!(error, QmpError::TooLong { limit: MEMORY }), "{error}");
    assert!(error.to_string().contains("1048576 bytes") && error.to_string().contains("set_memory_limit"), "{error}");
    // The reply to the next command is there.
    let error = qmp.execute("query-status", None, Duration::MAX).unwrap_err();
    assert!(matches!(error, QmpError::Unusable), "{error}");
    assert!(matches!(qmp.next_event(Duration::MAX), Err(QmpError::Unusable)));
    let mut qmp = told(&reply);
    qmp.set_memory_limit(16 << 20);
    let reply = qmp.execute("query-qmp-schema", None, Duration::MAX).unwrap();
    assert_eq!(reply.as_array().map(Vec::len), Some(9001));
    assert_eq!(qmp.execute("query-status", None, Duration::MAX).unwrap(), 5);
}

#[test]
fn a_command_that_is_cut_off_is_not_gone_on_with() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    writeln!(theirs, "{GREETING}\n{{\"return\": {{}}, \"id\": 0}}").unwrap();
    let mut qmp = Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::MAX).unwrap();
    let long = Value::from("x".repeat(4 << 20));
    let error = qmp.execute("nope", Some(long), Duration::from_millis(20)).unwrap_err();
    assert!(matches!(error, QmpError::Timeout { .. }), "{error}");
    assert!(matches!(qmp.quit(Duration::MAX), Err(QmpError::Unusable)));
}

#[test]
fn quit_is_heard_or_it_is_not() {
    let mut qmp = told("{\"return\": {}, \"id\": 1}\n");
    qmp.quit_answered(Duration::MAX).unwrap();
    let shutdown = |reason| format!("{{\"event\": \"SHUTDOWN\", \"data\": {{\"reason\": \"{reason}\"}}}}\n");
    told(&shutdown("host-qmp-quit")).quit_answered(Duration::MAX).unwrap();
    let mut qmp = told(&shutdown("guest-shutdown"));
    let closed = qmp.quit_answered(Duration::MAX);
    assert!(matches!(closed, Err(QmpError::Closed)), "{closed:?}");
    assert_eq!(qmp.shutdown().unwrap().reason, ShutdownReason::GuestShutdown);
    // Closed before it can be written, too.
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    writeln!(theirs, "{GREETING}\n{{\"return\": {{}}, \"id\": 0}}\n{}", shutdown("guest-reset")).unwrap();
    let mut qmp = Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::MAX).unwrap();
    drop(theirs);
    assert!(matches!(qmp.quit_answered(Duration::MAX), Err(QmpError::Closed)));
    assert_eq!(qmp.shutdown().unwrap().reason, ShutdownReason::GuestReset);
}

#[test]
fn several_commands_have_one_limit() {
    let mut qmp = session(|command, id| {
        if command == "slow" {
            std::thread::sleep(Duration::from_millis(60));
        }
        format!("{{\"return\": {{}}, \"id\": {id}}}")
    })
    .unwrap();
    let started = Instant::now();
    let error = qmp.execute_all([(); 8].map(|()| ("slow", None)), Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, QmpError::Timeout { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_millis(400), "{:?}", started.elapsed());
}

#[test]
fn what_qemu_says_is_shown_and_not_obeyed() {
    let mut qmp = told("{\"error\": {\"class\": \"C\", \"desc\": \"\\u001b[31m\\u009b\\u202e\\n\"}, \"id\": 1}\n");
    let error = qmp.execute("nope", None, Duration::MAX).unwrap_err();
    assert_eq!(error.to_string(), "QEMU refused `nope`: ^[[31m\\u{9b}\\u{202e}^J (C)");
    assert!(matches!(error, QmpError::Refused { desc, .. } if desc == "\u{1b}[31m\u{9b}\u{202e}\n"));
    let error = told("\u{1b}c\n").execute("nope", None, Duration::MAX).unwrap_err();
    assert_eq!(error.to_string(), "QEMU sent what is not QMP: `^[c`");
}

#[test]
fn garbage_and_a_closed_session_are_errors() {
    let error = session(|_, _| "garbage".to_owned()).unwrap_err();
    assert!(matches!(error, QmpError::Malformed { ref text } if text == "garbage"), "{error}");
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let error = Qmp::over(ours.try_clone().unwrap().into(), ours.into(), Duration::from_secs(5)).unwrap_err();
    assert!(matches!(error, QmpError::Closed), "{error}");
}
