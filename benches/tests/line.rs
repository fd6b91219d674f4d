//! What reading a hostile command line costs: no more memory than a small multiple of the text, and time in proportion to it.

use std::time::{Duration, Instant};

use benches::alloc::{Peak, most_held};
use qemu_dsl::line::{Item, Line};

#[global_allocator]
static ALLOCATOR: Peak = Peak;

/// A thousand problems, whatever the text's size.
const PROBLEMS: usize = 256 << 10;
/// The usual text: debug builds read a megabyte in half a second.
const SIZE: usize = 1 << 18;
/// One that nobody would send in good faith.
const LARGE: usize = 10 << 20;

/// Reads everything that is in a line, and returns how many entries that is.
fn read(line: &Line) -> usize {
    let mut count = 0;
    for item in line.items() {
        match item {
            Item::Option(option) => count += option.entries(None).filter(|entry| entry.span.end <= LARGE).count(),
            Item::Section(section) => count += section.entries().count(),
            _ => {}
        }
        count += 1;
    }
    std::hint::black_box((line.problems(None).len(), line.words().count()));
    count
}

/// One test, for what is held is counted on all threads.
#[test]
fn memory_and_time_are_in_proportion_to_the_text() {
    let filled = |start: &str, unit: &str, len: usize| {
        let mut text = start.as_bytes().to_vec();
        text.extend(unit.bytes().cycle().take(len.saturating_sub(start.len())));
        text
    };
    let units = [
        ("", "a "),
        ("", "-S "),
        ("", "-a\n"),
        ("-device ", "a,"),
        ("-device ", "a=b,,"),
        ("-drive ", ","),
        ("-append ", "'"),
        ("-append \"", "a"),
        ("-device ", "a\\,"),
        ("-device ", "'a=b',"),
        ("", "$a"),
        ("", "$("),
        ("", "`"),
        ("", "\\\n"),
        ("", "a>"),
        ("", "a;"),
        ("", "\n"),
        ("", "#\n"),
        ("", "\0"),
        ("-S", "\0-S"),
        ("-cpu ", "+a,"),
        ("-blockdev ", "a.b=1,"),
        ("-device {", "{"),
        ("-device {\"a\":[", "1,"),
        ("-device {\"a\":", "[["),
        ("-device {\"a\":{", "\"b\":1,"),
        ("-device {\"", "\\u0041"),
        ("[a]\n", "a = \"b\"\n"),
        ("[a]\n", "[b]\n"),
        ("[a]\n", "a"),
        ("", "*"),
        ("-name ", "\""),
    ];
    let forms: [fn(Vec<u8>) -> Line; 4] = [Line::shell, Line::lines, Line::config, Line::file];
    let mut spent = [Duration::ZERO; 2];
    for (start, unit) in units {
        for form in forms {
            for (size, spent) in [SIZE / 10, SIZE].into_iter().zip(&mut spent) {
                let text = filled(start, unit, size);
                let begun = Instant::now();
                // The text itself counts too: a line owns it.
                let (held, count) = most_held(|| read(&form(text)));
                *spent += begun.elapsed();
                assert!(
                    held + size <= 4 * size + PROBLEMS,
                    "{start:?} and {unit:?}: {held} bytes beside the text's {size}, {count} parts"
                );
            }
        }
    }
    for (start, unit) in [("", "-a $b "), ("-device ", "a=b,,c,"), ("-append '", "x")] {
        let text = filled(start, unit, LARGE);
        let (held, count) = most_held(|| read(&Line::shell(text)));
        assert!(held + LARGE <= 4 * LARGE, "{start:?} and {unit:?}: {held} bytes beside the text's, {count} parts");
    }
    println!("{spent:?}");
    // Ten times the text takes ten times as long; a square would be a hundred.
    assert!(spent[1] < spent[0] * 30, "{spent:?}");
}
