//! The serializer against an independent parser: what goes in comes out, and nothing else changes.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use qemu_dsl::opts::{self, OptError, QemuOpts, ReadOpts, Size};
use tests::parse::parse;

#[derive(QemuOpts, Debug, Clone, PartialEq)]
#[qemu(implied = "thing", rename_all = "kebab-case", read)]
struct Thing {
    path: PathBuf,
    name: Option<OsString>,
    on_fire: bool,
    count: Option<u64>,
    offset: i32,
    size: Size,
    #[qemu(rename = "bps_max")]
    limit: Option<u32>,
    #[qemu(flatten, prefix = "addr.")]
    addr: Addr,
    kind: Kind,
}

#[derive(QemuOpts, Debug, Clone, PartialEq)]
#[qemu(tag = "type", read)]
enum Addr {
    Unix { path: PathBuf },
    Inet { host: String, port: u16 },
    None,
}

#[derive(QemuOpts, Debug, Clone, Copy, PartialEq)]
#[qemu(value, read)]
enum Kind {
    IoUring,
    #[qemu(rename = "native_io")]
    Native,
}

/// Bytes that make trouble, more often than chance would have it.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b','), Just(b'='), Just(b'"'), Just(b'\n'), Just(b'-'), Just(b' '), 1..=255_u8];
    vec(byte, 0..40)
}

fn os_text() -> impl Strategy<Value = OsString> {
    text().prop_map(OsString::from_vec)
}

fn thing() -> impl Strategy<Value = Thing> {
    let addr = prop_oneof![
        os_text().prop_map(|path| Addr::Unix { path: path.into() }),
        (text(), any::<u16>())
            .prop_map(|(host, port)| Addr::Inet { host: String::from_utf8_lossy(&host).into_owned(), port }),
        Just(Addr::None),
    ];
    let numbers = (proptest::option::of(any::<u64>()), any::<i32>(), any::<u64>(), proptest::option::of(any::<u32>()));
    let kind = prop_oneof![Just(Kind::IoUring), Just(Kind::Native)];
    (os_text(), proptest::option::of(os_text()), any::<bool>(), numbers, addr, kind).prop_map(
        |(path, name, on_fire, (count, offset, size, limit), addr, kind)| Thing {
            path: path.into(),
            name,
            on_fire,
            count,
            offset,
            size: Size::bytes(size),
            limit,
            addr,
            kind,
        },
    )
}

fn bytes(text: impl Into<OsString>) -> Vec<u8> {
    text.into().into_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn an_independent_parser_reads_what_was_written(thing in thing()) {
        let parsed = parse(&opts::to_text(&thing).unwrap());
        prop_assert_eq!(parsed.head.as_deref(), Some(&b"thing"[..]));
        let mut expected: Vec<(&str, Vec<u8>)> = vec![("path", bytes(thing.path.clone()))];
        expected.extend(thing.name.clone().map(|name| ("name", bytes(name))));
        expected.push(("on-fire", if thing.on_fire { "on" } else { "off" }.into()));
        expected.extend(thing.count.map(|count| ("count", count.to_string().into())));
        expected.push(("offset", thing.offset.to_string().into()));
        expected.push(("size", thing.size.to_string().into()));
        expected.extend(thing.limit.map(|limit| ("bps_max", limit.to_string().into())));
        match &thing.addr {
            Addr::Unix { path } => expected.extend([("addr.type", b"unix".to_vec()), ("addr.path", bytes(path.clone()))]),
            Addr::Inet { host, port } => expected.extend([
                ("addr.type", b"inet".to_vec()),
                ("addr.host", host.clone().into()),
                ("addr.port", port.to_string().into()),
            ]),
            Addr::None => expected.push(("addr.type", b"none".to_vec())),
        }
        expected.push(("kind", match thing.kind { Kind::IoUring => "io-uring", Kind::Native => "native_io" }.into()));
        let expected: Vec<(Vec<u8>, Vec<u8>)> = expected.into_iter().map(|(key, value)| (key.into(), value)).collect();
        prop_assert_eq!(parsed.options, expected);
    }

    #[test]
    fn the_library_reads_what_it_wrote(thing in thing()) {
        let text = opts::to_text(&thing).unwrap();
        prop_assert_eq!(Thing::read_opts(&text).unwrap(), thing);
    }

    #[test]
    fn a_nul_is_refused_and_named(before in text(), after in text()) {
        let path = OsString::from_vec([&before[..], b"\0", &after].concat());
        let edu = Path { path: path.into() };
        prop_assert_eq!(opts::to_text(&edu), Err(OptError::Nul { option: "path".to_owned(), offset: before.len() }));
    }

    #[test]
    fn reading_never_panics(text in vec(any::<u8>(), 0..80)) {
        let _ = Thing::read_opts(&text);
    }
}

#[derive(QemuOpts)]
#[qemu(implied = "edu")]
struct Path {
    path: PathBuf,
}

#[test]
fn mistakes_in_text_are_named_with_their_place() {
    let read = |text: &str| Thing::read_opts(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(read("think,path=x"), "the text starts with `think`, and `thing` was expected");
    assert_eq!(read("thing,name=x"), "the option `path` is missing");
    assert_eq!(
        read("thing,path=x,on-fire=maybe"),
        "the option `on-fire` at byte 21 has the value `maybe`: expected `on` or `off`"
    );
    let good = "thing,path=x,on-fire=on,offset=1,size=1M,addr.type=none,kind=io-uring";
    assert_eq!(read(&format!("{good},cuont=1")), "there is no option `cuont` (at byte 70); did you mean `count`?");
    assert_eq!(
        read(&good.replace("none", "tcp")),
        "the text starts with `tcp`, and `unix`, `inet`, `none` was expected"
    );
}

#[test]
fn options_that_may_be_missing() {
    #[derive(QemuOpts, Debug, PartialEq)]
    #[qemu(implied = "edu", read)]
    struct Edu<'a> {
        #[qemu(skip_if = "str::is_empty")]
        label: Cow<'a, str>,
        #[qemu(skip)]
        note: u8,
        #[qemu(since = "9.2", until = "10.1")]
        new: Option<bool>,
    }
    let empty = Edu { label: "".into(), note: 7, new: None };
    assert_eq!(opts::to_text(&empty).unwrap(), b"edu");
    assert_eq!(Edu::read_opts(b"edu").unwrap(), Edu { note: 0, ..empty });
    let label = Edu { label: "x".into(), note: 0, new: Some(true) };
    assert_eq!(opts::to_text(&label).unwrap(), b"edu,label=x,new=on");
}

#[test]
fn what_qemu_reads_otherwise_is_refused() {
    #[derive(QemuOpts, Debug, PartialEq)]
    #[qemu(implied = "edu", read)]
    struct Edu {
        count: Option<i64>,
        text: Option<String>,
        note: Option<bool>,
    }
    let read = |text: &[u8]| Edu::read_opts(text).map_err(|error| error.to_string());
    let edu = Edu { count: None, text: None, note: None };
    assert_eq!(read(b"edu,count=0").unwrap(), Edu { count: Some(0), ..edu });
    let octal = "a whole number of type i64 without a zero before it, which makes QEMU read it as octal";
    for number in ["010", "-010", "00"] {
        let text = format!("edu,count={number}");
        assert_eq!(
            read(text.as_bytes()).unwrap_err(),
            format!("the option `count` at byte 10 has the value `{number}`: expected {octal}")
        );
    }
    for number in ["0x10", " 5", "5k", "+5", ""] {
        assert!(read(format!("edu,count={number}").as_bytes()).is_err(), "{number}");
    }
    assert_eq!(read(b"edu,nonsense").unwrap_err(), "there is no option `nonsense` (at byte 4)");
    assert_eq!(read(b"edu,nonote").unwrap().note, Some(false));
    let no_head = "the text starts with `count=1`, and the name must come first: `edu`";
    assert_eq!(read(b"count=1,note=on").unwrap_err(), no_head);
    assert_eq!(
        read(b"edu,text=a\0b").unwrap_err(),
        "the text holds a NUL byte at offset 10, and no argument can: remove it"
    );
    let long = [&b"edu,text="[..], &vec![b'x'; 128 << 10]].concat();
    assert_eq!(read(&long).unwrap_err(), "the text has 131081 bytes, and an argument has at most 131071");
    // A long key is near to none of the short ones, and is not compared with them.
    let key = [&b"edu,"[..], &vec![b'k'; 100 << 10], b"=1"].concat();
    let started = std::time::Instant::now();
    assert!(read(&key).is_err());
    assert!(started.elapsed() < std::time::Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn rules_refuse_with_words() {
    #[derive(QemuOpts, Debug, Clone)]
    #[qemu(implied = "edu", build)]
    struct Edu {
        #[qemu(range = 4..=1024, power_of_two)]
        size: Option<u16>,
        #[qemu(range = -2..=7)]
        small: Option<i8>,
        #[qemu(range = 1024..=1_048_576)]
        memory: Option<Size>,
        #[qemu(needs = "small")]
        behind: Option<bool>,
        #[qemu(conflicts = "memory", since = "9.2")]
        apart: Option<bool>,
    }
    let said = |edu: &Edu| opts::to_text(edu).map_err(|error| error.to_string());
    let edu = Edu::new();
    for (wrong, words) in [
        (edu.clone().size(100), "`size` is not possible: 100 does not fit: choose a power of two, 4 to 1024"),
        (edu.clone().size(2048), "`size` is not possible: 2048 does not fit: choose a power of two, 4 to 1024"),
        (edu.clone().small(-3), "`small` is not possible: -3 does not fit: choose -2 to 7"),
        (edu.clone().memory(Size::mib(2)), "`memory` is not possible: 2097152 does not fit: choose 1024 to 1048576"),
        (edu.clone().behind(true), "`behind` is not possible: it needs `small`: set both, or leave both out"),
        (
            edu.clone().memory(Size::kib(1)).apart(true),
            "`apart` is not possible: it does not go with `memory`: leave one of them out",
        ),
    ] {
        assert_eq!(said(&wrong).unwrap_err(), format!("the value of {words}"));
    }
    for right in [edu.clone().size(4), edu.clone().small(-2).behind(false), edu.memory(Size::mib(1))] {
        assert!(said(&right).is_ok(), "{right:?}");
    }
}

/// Two devices of one value, by the name that a derive gives to what must differ.
#[test]
fn what_must_differ_is_compared() {
    use qemu_dsl::prelude::*;

    #[derive(QemuOpts)]
    #[qemu(device = "edu", bus = qemu_dsl::bus::Pci, build)]
    struct Edu {
        #[qemu(unique = "station number")]
        station: Option<u8>,
        #[qemu(unique = "serial")]
        serial: Option<String>,
    }
    let built = |first: Edu, second: Edu| {
        let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), qemu_dsl::mib!(64));
        vm.kernel(Kernel::new("k"));
        vm.add(first);
        vm.add(second);
        vm.build().map(|command| command.to_string()).map_err(|errors| errors.to_string())
    };
    let edu = || Edu::new().station(1).serial("a".into());
    assert!(built(edu(), Edu::new().station(2)).is_ok());
    let error = built(edu(), Edu::new().station(1)).unwrap_err();
    assert!(error.contains("two devices have the station number `1`: give one of them another"), "{error}");
    // The first of two values in one device counts as much as the last.
    let both = built(edu(), edu()).unwrap_err();
    assert!(both.contains("station number") && both.contains("serial number"), "{both}");
}

/// Generated code must compile where nothing is in scope, and where the crate has another name.
mod hygiene {
    #![no_implicit_prelude]

    mod renamed {
        pub(crate) use ::qemu_dsl as dsl;
    }

    #[derive(::qemu_dsl::opts::QemuOpts)]
    #[qemu(device = "edu", bus = ::qemu_dsl::bus::Pci, crate = self::renamed::dsl, single)]
    pub(super) struct Edu {
        pub(super) r#type: ::core::option::Option<u8>,
        #[qemu(flatten, prefix = "a.")]
        pub(super) mode: Mode,
    }

    #[derive(::qemu_dsl::opts::QemuOpts)]
    pub(super) enum Mode {
        Fast { level: u8 },
        Slow,
    }

    #[derive(::qemu_dsl::opts::QemuOpts)]
    #[qemu(value)]
    #[allow(dead_code)]
    pub(super) enum Word {
        On,
    }

    #[derive(::qemu_dsl::opts::QemuOpts)]
    #[qemu(implied = "generic")]
    pub(super) struct Generic<'a, T: ?::core::marker::Sized, const N: usize> {
        pub(super) value: &'a T,
    }
}

#[test]
fn generated_code_is_hygienic() {
    use hygiene::{Edu, Generic, Mode};
    assert_eq!(opts::to_text(&Generic::<str, 3> { value: "x" }).unwrap(), b"generic,value=x");
    // The head of an enum cannot stand behind the struct's own: an error, not a text that means something else.
    let edu = Edu { r#type: Some(1), mode: Mode::Fast { level: 2 } };
    assert!(matches!(opts::to_text(&edu), Err(OptError::HeadNotFirst { head: "fast" })));
    assert_eq!(opts::to_text(&Mode::Slow).unwrap(), b"slow");
}
