//! What reading option text costs: what is longer than Linux hands over is refused at once, and the rest holds a small multiple of its
//! length, in time that follows it.

use std::time::{Duration, Instant};

use benches::alloc::{Peak, most_held};
use qemu_dsl::opts::{self, OptError, QemuOpts, ReadError, ReadOpts as _};

#[global_allocator]
static ALLOCATOR: Peak = Peak;

/// Keys of many lengths, for "did you mean".
#[derive(QemuOpts, Debug, PartialEq)]
#[qemu(implied = "x", read)]
#[allow(dead_code)]
struct Options {
    a: Option<String>,
    b: Option<bool>,
    a_key_of_some_length: Option<u64>,
    another_key_of_some_length: Option<u64>,
    one_more_key_of_this_length: Option<String>,
}

/// One test, for what is held is counted on all threads.
#[test]
fn memory_and_time_are_in_proportion_to_the_text() {
    const MOST: usize = (128 << 10) - 1;
    let filled = |unit: &[u8], len: usize| -> Vec<u8> {
        let start = b"x,a=".iter().copied();
        start.chain(unit.iter().copied().cycle()).take(len).collect()
    };
    let read = |text: &[u8]| Options::read_opts(text);
    for unit in
        [&b"x"[..], b",,", b",", b",b", b",nob", b",a=1", b",\xff=1", b",=", b"\xff", b",k", b"=", b",a_key_of_some"]
    {
        let huge = filled(unit, 10 << 20);
        let (held, (error, took)) = most_held(|| {
            let started = Instant::now();
            (read(&huge).unwrap_err(), started.elapsed())
        });
        assert!(matches!(error, ReadError::TooLong { len, .. } if len == huge.len()), "{error}");
        assert!(held < 4096 && took < Duration::from_millis(100), "{held} bytes, {took:?}");

        let median = |text: &[u8]| {
            let mut times: Vec<Duration> = (0..5)
                .map(|_| {
                    let started = Instant::now();
                    let _ = std::hint::black_box(read(text));
                    started.elapsed()
                })
                .collect();
            times.sort();
            times[2]
        };
        let (short, long) = (filled(unit, MOST / 8), filled(unit, MOST));
        let (held, _) = most_held(|| read(&long).is_ok());
        let name = String::from_utf8_lossy(unit).into_owned();
        assert!(held <= 4 * MOST, "`{name}`: {held} bytes are held for {MOST}");
        let (short, long) = (median(&short), median(&long));
        // A square would be 64 times.
        assert!(long < 30 * short + Duration::from_millis(5), "`{name}`: {short:?} for an eighth, {long:?} for all");
    }
    // And what is written is refused by its length alone.
    let long = Options {
        a: Some("x".repeat(10 << 20)),
        b: None,
        a_key_of_some_length: None,
        another_key_of_some_length: None,
        one_more_key_of_this_length: None,
    };
    let written: Result<Vec<u8>, OptError> = opts::to_text(&long);
    assert!(written.is_ok_and(|text| text.len() > 10 << 20));
}
