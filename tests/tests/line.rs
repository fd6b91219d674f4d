//! A command line as data: nothing is lost, a shell finds the same words, and QEMU the same options.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use proptest::collection::vec;
use proptest::prelude::*;
use qemu_dsl::flag::Syntax;
use qemu_dsl::line::{EntryKind, Form, Item, Line, LineTarget, Problem};
use qemu_dsl::sandbox::plan;
use qemu_dsl::{QemuCommand, QemuVersion};
use tests::lines::LINES;
use tests::plans::{configs, hosts};

/// What holds of every line, whatever stands in it.
fn nothing_is_lost(line: &Line) {
    let mut at = 0;
    for item in line.items() {
        let span = item.span();
        assert!(at <= span.start && span.start <= span.end && span.end <= line.source().len(), "{span:?} behind {at}");
        at = span.end;
        if let Item::Option(option) = &item {
            let word = option.word.span();
            assert_eq!(&line.source()[word], option.word.raw());
            entries_are_the_argument(line, option);
        }
    }
    for problem in line.problems(None) {
        assert!(problem.span().end <= line.source().len());
        assert!(!problem.to_string().is_empty());
    }
    std::hint::black_box(line.to_string());
}

/// The entries with commas between them are the whole argument, and their values are where they say.
fn entries_are_the_argument(line: &Line, option: &qemu_dsl::line::Opt<'_>) {
    let Some(value) = &option.value else { return };
    let entries: Vec<_> = option.entries(None).collect();
    for entry in &entries {
        assert!(value.span().start <= entry.span.start && entry.span.end <= value.span().end, "{entry:?}");
        assert!(entry.span.start <= entry.value_span.start || entry.kind == EntryKind::Json, "{entry:?}");
        assert!(entry.value_span.end <= entry.span.end.max(entry.value_span.start), "{entry:?}");
    }
    let is_plain = value.raw() == value.text();
    let is_list = matches!(option.syntax(None), Syntax::Opts(_) | Syntax::Keyval(_) | Syntax::Netdev | Syntax::Cpu);
    if is_plain
        && is_list
        && !entries.iter().any(|entry| entry.kind == EntryKind::Json)
        && value.text().first() != Some(&b'{')
    {
        let parts: Vec<_> = entries.iter().map(|entry| &line.source()[entry.span.clone()]).collect();
        let joined = parts.join(&b','.to_owned());
        let text = value.text();
        // A comma at the end ends the last one.
        assert!(
            joined == text || [&joined[..], b","].concat() == text,
            "{} and {}",
            joined.escape_ascii(),
            text.escape_ascii()
        );
    }
}

#[test]
fn lines_of_all_kinds_print_back_and_are_understood() {
    for text in LINES {
        let line = Line::file(*text);
        assert_eq!(line.to_string(), *text);
        assert_eq!(line.source(), text.as_bytes());
        nothing_is_lost(&line);
        assert!(line.options().count() > 1, "{text}");
        for option in line.options() {
            assert!(option.flag.is_some(), "{text}: {}", option.name().escape_ascii());
            assert!(option.entries(None).all(|entry| entry.kind != EntryKind::Refused), "{text}");
        }
        // The same words in every form are the same line.
        let words: Vec<OsString> = line.words().map(|word| word.as_os_str().to_owned()).collect();
        let argv = Line::argv(&words);
        nothing_is_lost(&argv);
        assert!(argv.words().map(|word| word.as_os_str().to_owned()).eq(words.iter().cloned()));
        assert!(
            line.options().map(|option| option.name().to_vec()).eq(argv.options().map(|option| option.name().to_vec()))
        );
        assert_eq!(Line::file(argv.source()).form(), Form::Argv);
        let one_a_line = words.join(&OsString::from("\n")).into_vec();
        if !words.iter().any(|word| word.as_bytes().contains(&b'\n')) {
            let lines = Line::lines(one_a_line);
            assert!(lines.words().map(|word| word.as_os_str().to_owned()).eq(words.iter().cloned()));
        }
    }
}

#[test]
fn what_a_shell_would_replace_is_told() {
    let line = Line::file(LINES[10]);
    let problems = line.problems(None);
    let expansions: Vec<_> = problems.iter().filter(|problem| matches!(problem, Problem::Expansion { .. })).collect();
    let shown: Vec<_> = expansions.iter().map(|problem| &LINES[10][problem.span()]).collect();
    assert_eq!(shown, ["${RAM:-512}", "$(pwd)", "$@"]);
    let others: Vec<_> = problems
        .iter()
        .filter(|problem| matches!(problem, Problem::Other { .. }))
        .map(|problem| &LINES[10][problem.span()])
        .collect();
    assert_eq!(others, ["#!/bin/sh\nset -e\ncd /images &&", "| tee log"]);
    assert!(line.items().any(|item| matches!(item, Item::Environment(word) if word.text() == b"QEMU_AUDIO_DRV=none")));
}

#[test]
fn a_configuration_file_is_read_as_qemu_reads_it() {
    let text = "# mine\n[device \"a\"]\n  driver = \"e1000\"\n\tmac=\"x\"\n\n[machine]\n  type = \"q35\"\n[nothing]\n";
    let line = Line::config(text);
    nothing_is_lost(&line);
    let items: Vec<_> = line.items().collect();
    let sections: Vec<_> =
        items.iter().filter_map(|item| if let Item::Section(section) = item { Some(section) } else { None }).collect();
    assert_eq!(
        sections.iter().map(|section| section.group()).collect::<Vec<_>>(),
        [&b"device"[..], b"machine", b"nothing"]
    );
    assert_eq!(sections[1].flag().map(|flag| flag.name), Some("machine"));
    let problems: Vec<_> = line.problems(None).iter().map(|problem| text[problem.span()].to_owned()).collect();
    // Without spaces around the `=` it is no line.
    assert_eq!(problems, ["\tmac=\"x\"", "[nothing]\n"]);
}

/// What the library writes has switches that the target has, with arguments where they take one, and ids that exist.
#[test]
fn the_librarys_own_plans_are_lines_without_problems() {
    let mut count = 0;
    for version in [QemuVersion::new(5, 2, 0), QemuVersion::new(7, 2, 0), QemuVersion::new(11, 1, 0)] {
        for facts in hosts(Some(version)) {
            for config in configs(Path::new("/w"), Path::new("/g")) {
                let Ok(plan) = plan(&config, &facts) else { continue };
                let line = Line::argv(plan.command().args());
                assert_eq!(line.problems(Some(version)), [], "{line}");
                let meaning = line.meaning_for(LineTarget::of(&line).version(version));
                assert!(meaning.is_complete, "{line}");
                for reference in meaning.references() {
                    assert!(reference.to.is_some(), "{reference:?}\n{line}");
                }
                count += 1;
            }
        }
    }
    assert!(count > 100, "only {count} plans");
}

/// Text with everything in it that means something to a shell, but for what it replaces and what ends a command.
fn shell_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-c=,.-]{1,3}",
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("\\\n".to_owned()),
        Just(" ".to_owned()),
        Just("\t".to_owned()),
        Just("$'".to_owned()),
        Just("\\n".to_owned()),
        Just("\\x41".to_owned()),
        Just("\\101".to_owned()),
        Just("\\u00e9".to_owned()),
        Just("#".to_owned()),
        Just("$".to_owned()),
        Just("ä".to_owned()),
    ];
    vec(part, 0..14).prop_map(|parts| parts.concat())
}

/// The words that bash finds, if it takes the text for one command.
fn by_bash(text: &str) -> Option<Vec<Vec<u8>>> {
    let script = format!("printf '%s\\0' - {text}\n");
    let output = Command::new("bash").arg("-c").arg(script).stderr(Stdio::null()).output().expect("bash runs");
    let words: Vec<Vec<u8>> = output.stdout.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    output.status.success().then(|| words[1..words.len() - 1].to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_shell_finds_the_same_words(text in shell_text()) {
        let line = Line::shell(format!("kvm - {text}\n"));
        let unclear = line.problems(None).into_iter().any(|problem| matches!(problem, Problem::Expansion { .. } | Problem::Other { .. }));
        let open = line.problems(None).into_iter().any(|problem| matches!(problem, Problem::Open { .. }));
        if !unclear {
            let found: Vec<Vec<u8>> = line.words().skip(2).map(|word| word.text().to_vec()).collect();
            let expected = by_bash(&text);
            prop_assert_eq!(open, expected.is_none());
            if let Some(expected) = expected {
                prop_assert_eq!(found, expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_none_is_lost(
        text in vec(prop_oneof![Just(b'-'), Just(b','), Just(b'='), Just(b'\''), Just(b'"'), Just(b'\\'), Just(b'$'), Just(b'\n'), Just(b' '), Just(b'{'), Just(b'['), any::<u8>()], 0..80),
        start in prop_oneof![Just(""), Just("-device "), Just("-blockdev {"), Just("[a]\n"), Just("-serial "), Just("-cpu "), Just("-display vnc="), Just("-global ")],
    ) {
        let text = [start.as_bytes(), &text].concat();
        for line in [Line::shell(text.clone()), Line::lines(text.clone()), Line::config(text.clone()), Line::file(text.clone()), Line::argv([OsString::from_vec(text.clone())])] {
            nothing_is_lost(&line);
        }
        prop_assert!(Line::shell(text.clone()).source() == text);
    }

    #[test]
    fn lines_that_are_cut_and_changed_are_read_all_the_same(index in 0..LINES.len(), from in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = LINES[index].as_bytes().to_vec();
        let at = from.index(text.len());
        text[at] = byte;
        nothing_is_lost(&Line::file(text.clone()));
        nothing_is_lost(&Line::shell(text[at..].to_vec()));
        nothing_is_lost(&Line::shell(text[..at].to_vec()));
    }

    #[test]
    fn what_the_library_writes_for_a_shell_it_reads(words in vec(vec(1..=255_u8, 0..12), 1..6)) {
        let mut command = QemuCommand::new("qemu-system-x86_64").unwrap();
        for word in &words {
            command.arg(OsString::from_vec(word.clone())).unwrap();
        }
        let line = Line::shell(command.to_shell());
        let found: Vec<Vec<u8>> = line.words().skip(1).map(|word| word.text().to_vec()).collect();
        prop_assert_eq!(found, words);
        prop_assert_eq!(line.problems(None).into_iter().filter(|problem| matches!(problem, Problem::Expansion { .. } | Problem::Open { .. } | Problem::Pattern { .. })).count(), 0);
    }
}
